//! The walk of a request, steps 2 to 7: from a token's text to an [`AccessToken`].
//!
//! One call a step and no rule of its own. The walk is synchronous. Where it lacks something that
//! only the network has, it says what ([`Pending`]); the caller waits for it and walks again, from
//! the token's text, so that nothing half-judged is ever kept.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::error::Error;
#[cfg(feature = "remote")]
use crate::introspection::{Answer, Jwts};
#[cfg(feature = "remote")]
use crate::issuer::TrustedIssuer;
use crate::issuer::{Pending, Trust};
use crate::token::json::Object;
#[cfg(feature = "remote")]
use crate::token::jwt::is_opaque;
use crate::token::jwt::{Decoded, UnverifiedJwt};
use crate::token::{AccessToken, Claims, Excerpt, Facts, NumericDate};

/// Turns validated claims into the API's own type.
pub(crate) type ReadClaims<C> = fn(&[u8], &Object<'_>, &Facts) -> Result<C, Error>;

/// A check of the API's own on every token. It can refuse, never admit.
pub(crate) type Validator<C> = Arc<dyn Fn(&AccessToken<C>) -> Result<(), Invalid> + Send + Sync>;

/// The refusal of a validator, with a reason for the operator's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Invalid(Cow<'static, str>);

impl Invalid {
    /// Refuses; `reason` goes to the log, never to the client, and must quote no claim.
    pub fn because(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

/// Judges tokens.
pub(crate) struct Authenticator<C> {
    pub(crate) trust: ArcSwap<Trust>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) read_claims: ReadClaims<C>,
    pub(crate) validators: Vec<Validator<C>>,
}

/// A token that passed, and the configuration under which it did.
pub(crate) struct Verdict<C> {
    pub(crate) token: AccessToken<C>,
    pub(crate) generation: u64,
}

/// What a walk has waited for already. It is given to the next walk, and to nothing else.
#[derive(Default)]
pub(crate) struct Waited {
    /// Keys have come, or they won't.
    keys: bool,
    /// What the authorization server said, and the configuration under which it was asked.
    #[cfg(feature = "remote")]
    answer: Option<(u64, Arc<Answer>)>,
}

impl<C: Send + Sync + 'static> Authenticator<C> {
    /// Judges a token, waiting for the network where it must.
    pub(crate) async fn authenticate(self: Arc<Self>, token: String) -> Result<Verdict<C>, Error> {
        match self.judge(&token, &Waited::default()) {
            Ok(verdict) => Ok(verdict),
            Err(pending) => self.resume(token, pending).await,
        }
    }

    /// Waits for what the walk lacked, and walks again.
    pub(crate) async fn resume(
        self: Arc<Self>,
        token: String,
        mut pending: Pending,
    ) -> Result<Verdict<C>, Error> {
        let mut waited = Waited::default();
        loop {
            match pending {
                Pending::Refused(error) => return Err(error),
                // Whoever has waited is never asked to wait again: see `Keys::find`.
                Pending::Keys(_) if waited.keys => {
                    return Err(Error::Wiring { fix: "waited for keys twice".into() });
                }
                Pending::Keys(wait) => {
                    wait.done().await;
                    waited.keys = true;
                }
                // Again only if the configuration changed meanwhile.
                #[cfg(feature = "remote")]
                Pending::Answer(wait) => {
                    let generation = wait.generation();
                    waited.answer = Some((generation, wait.done().await?));
                }
            }
            pending = match self.judge(&token, &waited) {
                Ok(verdict) => return Ok(verdict),
                Err(pending) => pending,
            };
        }
    }

    /// Walks as far as it goes without waiting.
    pub(crate) fn judge(&self, token: &str, waited: &Waited) -> Result<Verdict<C>, Pending> {
        let trust = self.trust.load();
        #[cfg(feature = "remote")]
        if let Some(issuer) = trust.introspects_all() {
            return self.introspect(&trust, issuer, token, waited);
        }
        let mut decoded = Decoded::default();
        let jwt = match UnverifiedJwt::parse(token.as_bytes(), &mut decoded) {
            Ok(jwt) => jwt,
            #[cfg(feature = "remote")]
            Err(error) if is_opaque(token.as_bytes(), &error) => {
                let issuer = trust.introspects_opaque().ok_or(error)?;
                return self.introspect(&trust, issuer, token, waited);
            }
            Err(error) => return Err(error.into()),
        };
        let issuer = trust.resolve(&jwt.claims)?;
        #[cfg(feature = "remote")]
        if issuer.introspects(Jwts::Introspect) {
            return self.introspect(&trust, issuer, token, waited);
        }
        issuer.admit(&jwt.header)?;
        let jwt = issuer.verify(jwt, waited.keys)?;
        let now = NumericDate::now(self.clock.wall());
        #[cfg_attr(not(feature = "remote"), allow(unused_mut))]
        let mut facts = issuer.validate(&jwt.claims, now)?;
        #[cfg(feature = "remote")]
        if issuer.introspects(Jwts::ValidateAndIntrospect) {
            let answer = waited.answer(&trust, || issuer.introspect(token))?;
            issuer.narrow(&mut facts, &jwt.claims, &answer, now)?;
        }
        let claims = (self.read_claims)(jwt.payload, &jwt.claims, &facts)?;
        self.conclude(&trust, AccessToken::new(facts, claims))
    }

    /// Steps 2 to 6 for a token that only its authorization server reads: what it says plays the
    /// part of the claims.
    #[cfg(feature = "remote")]
    fn introspect(
        &self,
        trust: &Trust,
        issuer: &TrustedIssuer,
        token: &str,
        waited: &Waited,
    ) -> Result<Verdict<C>, Pending> {
        let answer = waited.answer(trust, || issuer.introspect(token))?;
        let (members, now) = (answer.members(), NumericDate::now(self.clock.wall()));
        issuer.validate_introspected(members, now, false)?;
        let token = answer.token(|| {
            let facts = issuer.read(members, now)?;
            let claims = (self.read_claims)(&members.to_json(), members, &facts)?;
            Ok(AccessToken::new(facts, claims))
        })?;
        self.conclude(trust, token)
    }

    fn conclude(&self, trust: &Trust, token: AccessToken<C>) -> Result<Verdict<C>, Pending> {
        for validator in &self.validators {
            validator(&token).map_err(|Invalid(reason)| Error::Refused { reason })?;
        }
        Ok(Verdict { token, generation: trust.generation })
    }
}

#[cfg(feature = "remote")]
impl Waited {
    /// The answer that was waited for, unless the configuration has changed since; else `ask`.
    fn answer(
        &self,
        trust: &Trust,
        ask: impl FnOnce() -> Result<Arc<Answer>, Pending>,
    ) -> Result<Arc<Answer>, Pending> {
        match &self.answer {
            Some((generation, answer)) if *generation == trust.generation => Ok(Arc::clone(answer)),
            _ => ask(),
        }
    }
}

impl<C> fmt::Debug for Authenticator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("trust", &self.trust.load()).finish_non_exhaustive()
    }
}

/// Reads the default [`Claims`].
pub(crate) fn read_default(_: &[u8], claims: &Object<'_>, facts: &Facts) -> Result<Claims, Error> {
    Ok(Claims::new(claims, facts.scope.clone(), facts.client_id.as_deref()))
}

/// Reads a type of the API's own.
pub(crate) fn read_typed<C: DeserializeOwned>(
    payload: &[u8],
    _: &Object<'_>,
    _: &Facts,
) -> Result<C, Error> {
    serde_json::from_slice(payload).map_err(|error| unfit::<C>(payload, &error))
}

/// Says which claim does not fit, and quotes no value, as `serde_json`'s own words would.
#[cold]
fn unfit<C: DeserializeOwned>(payload: &[u8], error: &serde_json::Error) -> Error {
    let words = error.to_string();
    let missing = words.starts_with("missing field").then(|| words.split('`').nth(1)).flatten();
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    let path = match serde_path_to_error::deserialize::<_, C>(&mut deserializer) {
        Err(error) => error.path().to_string(),
        Ok(_) => String::new(),
    };
    let problem = match missing {
        Some(field) => format!("{field} is missing"),
        None => format!("{path} has another type or form"),
    };
    Error::UnfitClaims { problem: Excerpt::of(&problem) }
}
