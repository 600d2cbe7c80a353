//! Steps 2 to 7 of a request: from a token's text to an [`AccessToken`]. The front page of the crate
//! lists the steps.
//!
//! [`Authenticator::judge`] calls one function for each step, or for a few steps together. The rules themselves are in
//! other modules. The steps are synchronous, except
//! for the end of step 7: [`Authenticator::use_up`] may wait for the store of used proofs. If a step
//! needs something from the network, it returns a [`Pending`] that names the dependency. The caller
//! waits for this dependency, and then repeats all steps from the token's text. So a partly validated
//! token is never kept.

use std::borrow::Cow;
use std::fmt;
#[cfg(feature = "dpop")]
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::credentials::Presentation;
#[cfg(feature = "http-client")]
use crate::credentials::Token68;
use crate::error::Error;
#[cfg(feature = "http-client")]
use crate::introspection::Answer;
#[cfg(feature = "dpop")]
use crate::observe::Event;
#[cfg(feature = "http-client")]
use crate::profile::{Judged, Profile};
#[cfg(feature = "dpop")]
use crate::replay::Inserted;
use crate::runtime::Deadline;
use crate::sender::{self, Checker, Proven};
use crate::server_id::ServerId;
#[cfg(feature = "http-client")]
use crate::token::Cnf;
use crate::token::header::Header;
use crate::token::json::Object;
use crate::token::jwt::UnverifiedJwt;
#[cfg(feature = "http-client")]
use crate::token::jwt::{claims_of, is_jwt};
use crate::token::memo::Memo;
use crate::token::{AccessToken, Claims, Excerpt, Facts, NumericDate, Payload};
use crate::trust::{Pending, Resolved, Route, Trust, Waited};

/// The maximum total time that one request waits for the resolver, for keys, and for an introspection
/// answer. A reload does not extend this time. If the longest `Introspection::deadline` of the
/// configured issuers is longer than the default of `Introspection::deadline`, this time is extended by
/// the difference. The wait for the store of used proofs has its own deadline, and is not included.
const REQUEST_DEADLINE: Duration = Duration::from_secs(6);

/// Converts validated claims to the API's own type.
pub(crate) type ReadClaims<C> = fn(&Object<'_>, &Facts) -> Result<C, Error>;

/// A user-supplied check of every token. A validator can refuse a token, but cannot accept a token that
/// another check refused.
pub(crate) type Validator<C> = Arc<dyn Fn(&AccessToken<C>) -> Result<(), Invalid> + Send + Sync>;

/// A validator returns this value to refuse a token. The value contains a reason for the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Invalid(Cow<'static, str>);

impl Invalid {
    /// Refuses the token. The log shows `reason`, and the client never sees `reason`. Do not put the
    /// value of a claim into `reason`.
    pub fn because(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

/// The members of the introspection answer about a JWT.
#[cfg(feature = "http-client")]
type Answered = Arc<Object<'static>>;
#[cfg(not(feature = "http-client"))]
type Answered = std::convert::Infallible;

/// Decides whether a token is accepted.
pub(crate) struct Authenticator<C> {
    pub(crate) trust: ArcSwap<Trust>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) read_claims: ReadClaims<C>,
    pub(crate) validators: Vec<Validator<C>>,
    pub(crate) headers: Memo<Header>,
    pub(crate) server: ServerId,
}

/// A token that passed steps 2 to 7, and the generation of the configuration that was used. The
/// generation is a number that each reload increases. If the token came with a proof of the sender, the
/// verdict is final only after [`Authenticator::use_up`]: the proof may have been used before.
pub(crate) struct Verdict<C> {
    pub(crate) token: AccessToken<C>,
    pub(crate) generation: u64,
    /// The proof of the sender, if the token is bound to a key. [`Authenticator::use_up`] stores the
    /// proof as used.
    pub(crate) proven: Option<Proven>,
}

/// The result of [`Authenticator::use_up`]: a verdict whose proof, if there is one, is stored as used.
/// Or an error, for example because the proof was used before.
pub(crate) enum Settled<C> {
    Now(Result<Verdict<C>, Error>),
    /// The caller must wait, because the store of used proofs may need the network.
    #[cfg(feature = "dpop")]
    Later(Pin<Box<dyn Future<Output = Result<Verdict<C>, Error>> + Send>>),
}

impl<C: Send + Sync + 'static> Authenticator<C> {
    /// The maximum total time that one request waits for the resolver, for keys, and for an
    /// introspection answer. The wait for the store of used proofs is not included.
    pub(crate) fn longest_wait(&self) -> Duration {
        REQUEST_DEADLINE + self.trust.load().longer_calls()
    }

    /// Validates a token. Waits for the network if necessary.
    pub(crate) async fn authenticate(
        self: Arc<Self>,
        presentation: Presentation<'static>,
    ) -> Result<Verdict<C>, Error> {
        self.authenticate_as(presentation, Waited::default()).await
    }

    /// Validates a token. Introspects the token even if an answer is cached.
    pub(crate) async fn authenticate_now(
        self: Arc<Self>,
        presentation: Presentation<'static>,
    ) -> Result<Verdict<C>, Error> {
        self.authenticate_as(presentation, Waited { asks_now: true, ..Waited::default() }).await
    }

    async fn authenticate_as(
        self: Arc<Self>,
        presentation: Presentation<'static>,
        waited: Waited,
    ) -> Result<Verdict<C>, Error> {
        match self.judge(&presentation, &waited) {
            Ok(verdict) => self.settle(verdict).await,
            Err(pending) => self.resume(presentation, pending, waited).await,
        }
    }

    async fn settle(&self, verdict: Verdict<C>) -> Result<Verdict<C>, Error> {
        match self.use_up(verdict) {
            Settled::Now(verdict) => verdict,
            #[cfg(feature = "dpop")]
            Settled::Later(verdict) => verdict.await,
        }
    }

    /// Ends step 7: stores the proof of the sender as used. Of steps 2 to 7, this is the last action that may wait or
    /// refuse the request. So a request that is refused earlier, or that ends during an earlier wait, does not use up
    /// its proof. Only the requirement of the route (step 8) comes later.
    #[cfg(feature = "dpop")]
    pub(crate) fn use_up(&self, verdict: Verdict<C>) -> Settled<C> {
        let (Some(proven), Some(dpop)) = (&verdict.proven, &self.server.dpop) else {
            return Settled::Now(Ok(verdict));
        };
        let now = self.clock.wall();
        let judge = move |server: &ServerId, inserted, verdict: Verdict<C>| {
            if let (Some(proven), Some(dpop)) = (&verdict.proven, &server.dpop) {
                let issuer = &verdict.token.facts().issuer;
                dpop.judge(inserted, proven, issuer, &server.stream, now)?;
            }
            Ok(verdict)
        };
        match dpop.use_up(proven) {
            Inserted::Now(inserted) => Settled::Now(judge(&self.server, inserted, verdict)),
            Inserted::Later(inserted) => {
                let server = self.server.clone();
                Settled::Later(Box::pin(async move { judge(&server, inserted.await, verdict) }))
            }
        }
    }

    #[cfg(not(feature = "dpop"))]
    #[inline]
    pub(crate) fn use_up(&self, verdict: Verdict<C>) -> Settled<C> {
        Settled::Now(Ok(verdict))
    }

    /// Waits for the pending dependency and repeats all steps, until no dependency is pending. Each
    /// dependency is awaited at most once per request and configuration. After a reload, a resolver
    /// result or an introspection answer of the old configuration is not used. One deadline covers all
    /// these waits. The wait for the store of used proofs comes last, and has its own deadline.
    pub(crate) async fn resume(
        self: Arc<Self>,
        presentation: Presentation<'static>,
        mut pending: Pending,
        mut waited: Waited,
    ) -> Result<Verdict<C>, Error> {
        let deadline = *waited.deadline.get_or_insert_with(|| Deadline::after(self.longest_wait()));
        loop {
            let again = match pending {
                Pending::Refused(error) => return Err(error),
                Pending::Issuer(wait) => {
                    let generation = wait.generation();
                    let resolution = wait.done(deadline).await;
                    let before = waited.issuer.replace((generation, resolution));
                    before.is_some_and(|(own, _)| own == generation)
                }
                Pending::Keys(wait, tenant) => {
                    waited.keep(tenant);
                    let keys = wait.waited();
                    wait.done(deadline).await;
                    let before = waited.keys.replace(keys);
                    before.zip(waited.keys.as_ref()).is_some_and(|(one, other)| one.is_of(other))
                }
                #[cfg(feature = "http-client")]
                Pending::Answer(wait, tenant) => {
                    waited.keep(tenant);
                    let generation = wait.generation();
                    let said = wait.done(deadline).await;
                    // If the configuration was reloaded during the wait, this answer belongs to the old
                    // configuration. Then the answer is not used, and the token may be introspected
                    // again.
                    self.trust.load().generation == generation
                        && waited
                            .answer
                            .replace((generation, said?))
                            .is_some_and(|(own, _)| own == generation)
                }
            };
            debug_assert!(!again, "a request waited twice for one dependency");
            if again {
                return Err(Error::Wiring {
                    fix: "a request waited twice for one dependency".into(),
                });
            }
            match self.judge(&presentation, &waited) {
                Ok(verdict) => return self.settle(verdict).await,
                Err(next) => pending = next,
            }
        }
    }

    /// Runs steps 2 to 7 without waiting, up to [`Self::use_up`]. Returns [`Pending`] if a step refuses
    /// the token, or if the request must wait for a dependency.
    pub(crate) fn judge(
        &self,
        presentation: &Presentation<'_>,
        waited: &Waited,
    ) -> Result<Verdict<C>, Pending> {
        let trust = self.trust.load();
        let mut buffer = Vec::new();
        let token = &presentation.token;
        // The proof for a JWT that is bound to a key, if the JWT is validated and also introspected.
        // This proof is verified before the introspection.
        #[cfg_attr(not(feature = "http-client"), allow(unused_mut))]
        let mut proven = None;
        let (claims, facts, length, answer, issuer) =
            match trust.route(token.as_bytes(), &mut buffer, &self.headers, waited)? {
                Route::Validate(issuer, jwt) => {
                    let (claims, facts, length) = self.validate(&issuer, jwt, waited)?;
                    ((self.read_claims)(&claims, &facts)?, facts, length, None::<Answered>, issuer)
                }
                #[cfg(feature = "http-client")]
                Route::ValidateAndIntrospect(issuer, jwt) => {
                    let (claims, mut facts, length) = self.validate(&issuer, jwt, waited)?;
                    // First check the sender. If this sender may not use the token, the token is not
                    // introspected.
                    if facts.cnf.is_some() {
                        proven = self.confirm(&facts, presentation, &issuer)?;
                    }
                    let now = self.now();
                    let answer = issuer.introspect(token, trust.generation, waited, now)?;
                    issuer.narrow(&mut facts, &claims, &answer, &self.server.scopes, now)?;
                    let claims = (self.read_claims)(&claims, &facts)?;
                    (claims, facts, length, answer.members(), issuer)
                }
                #[cfg(feature = "http-client")]
                Route::Introspect(issuer) => {
                    let now = self.now();
                    let answer = issuer.introspect(token, trust.generation, waited, now)?;
                    let token = self.read_answer(&issuer, token, &answer, now)?;
                    let proven = self.confirm(token.facts(), presentation, &issuer)?;
                    return self.accept(token, proven, &issuer, trust.generation);
                }
            };
        let payload = Payload::of_buffer(buffer, length);
        #[cfg(feature = "http-client")]
        let payload = match answer {
            Some(members) => payload.with_answer(&members),
            None => payload,
        };
        #[cfg(not(feature = "http-client"))]
        let _ = answer;
        let proven = match proven {
            // The JWT is bound to a key, and its proof was verified before the introspection. The
            // answer can bind the token to a certificate, too. Then the certificate must be checked.
            // The answer cannot remove a binding of the JWT.
            Some(proven) => {
                sender::confirm_again(&facts, presentation, &proven)?;
                Some(proven)
            }
            None => self.confirm(&facts, presentation, &issuer)?,
        };
        let token = AccessToken::new(facts, payload, self.server.clone(), claims);
        self.accept(token, proven, &issuer, trust.generation)
    }

    /// Runs step 7, except for [`Self::use_up`]: confirms the sender, and refuses a token that lacks a
    /// binding that the server or the issuer requires. Returns the proof, if the token is bound to a
    /// key.
    #[inline]
    fn confirm(
        &self,
        facts: &Facts,
        presentation: &Presentation<'_>,
        issuer: &Resolved<'_>,
    ) -> Result<Option<Proven>, Error> {
        let own = self.server.dpop.as_deref();
        let dpop = own.filter(|_| issuer.accepts_dpop);
        let proven = sender::confirm(facts, presentation, dpop, self.clock.wall());
        #[cfg(feature = "dpop")]
        if let Err(Error::NonceRequired { problem: reason }) = proven {
            let issuer = Arc::clone(&facts.issuer);
            self.server.stream.tell_of(|| Event::NonceDemanded { issuer, reason });
        }
        let proven = proven?;
        let needs_key = issuer.requires_dpop || own.is_some_and(Checker::is_required);
        if needs_key && facts.cnf.and_then(|cnf| cnf.key).is_none() {
            return Err(Error::KeyNotBound);
        }
        if self.server.requires_bound_tokens && facts.cnf.is_none() {
            return Err(Error::SenderNotConstrained);
        }
        Ok(proven)
    }

    /// If the resolver found the issuer of this token (a tenant), records that the tenant has issued a valid
    /// token. Then runs the user-supplied validators.
    #[inline]
    fn accept(
        &self,
        token: AccessToken<C>,
        proven: Option<Proven>,
        issuer: &Resolved<'_>,
        generation: u64,
    ) -> Result<Verdict<C>, Pending> {
        issuer.confirm();
        for validator in &self.validators {
            validator(&token).map_err(|Invalid(reason)| Error::Refused { reason })?;
        }
        Ok(Verdict { token, generation, proven })
    }

    /// Runs steps 4 to 6 for a JWT. Also returns the length of the claims' text in the buffer.
    fn validate<'a>(
        &self,
        issuer: &Resolved<'_>,
        jwt: UnverifiedJwt<'a>,
        waited: &Waited,
    ) -> Result<(Object<'a>, Facts, usize), Pending> {
        issuer.check_header(&jwt.header)?;
        let (claims, length) = issuer.verify(jwt, waited)?.remember(&self.headers);
        let facts = issuer.validate(&claims, self.now())?;
        Ok((claims, facts, length))
    }

    /// Runs step 6 for a token that is only introspected: an opaque token, or a JWT that this crate
    /// does not validate. The members of the introspection answer are used as the claims. The first
    /// request that uses the answer runs all checks of the profile. For later requests with the same
    /// answer and the same configuration, only the times in the answer, such as `exp`, are checked.
    #[cfg(feature = "http-client")]
    fn read_answer(
        &self,
        issuer: &Resolved<'_>,
        text: &Token68<'_>,
        answer: &Answer,
        now: NumericDate,
    ) -> Result<AccessToken<C>, Error> {
        let judged = || answer.judged().and_then(|judged| judged.again(now, issuer.leeway));
        if let Some(token) = judged() {
            return token;
        }
        let Some(members) = answer.members() else {
            // The members of this answer are missing: another request has validated the answer in the
            // meantime, and the members were then dropped. Use the result of that request. If there is
            // still no result for this type of claims, the result was stored for another type.
            let fix = || Error::Wiring {
                fix: "an introspection answer was validated for another type of claims".into(),
            };
            return judged().ok_or_else(fix)?;
        };
        let times = issuer.validate_introspected(&members, now, false)?;
        let mut facts = issuer.read_answer(&members, now)?;
        facts.cnf = Cnf::both(cnf_of_text(text)?, facts.cnf)?;
        Profile::check_binding(&members, facts.cnf.as_ref())?;
        let claims = (self.read_claims)(&members, &facts)?;
        let payload = Payload::of(&members);
        let token = AccessToken::new(facts, payload, self.server.clone(), claims);
        answer.remember(Judged::new(times, &token));
        Ok(token)
    }

    fn now(&self) -> NumericDate {
        NumericDate::now(self.clock.wall())
    }
}

/// The `cnf` in the text of an introspected JWT. Some servers leave `cnf` out of their answers. The text can be
/// trusted here, because the authorization server has confirmed that this token is active.
#[cfg(feature = "http-client")]
fn cnf_of_text(token: &Token68<'_>) -> Result<Option<Cnf>, Error> {
    if !is_jwt(token.as_bytes()) {
        return Ok(None);
    }
    // The header does not matter here: the server may sign with an algorithm that this crate does not know.
    let mut buffer = Vec::new();
    Cnf::read(&claims_of(token.as_bytes(), &mut buffer)?)
}

impl<C> fmt::Debug for Authenticator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("trust", &self.trust.load()).finish_non_exhaustive()
    }
}

/// Reads the default [`Claims`].
pub(crate) fn read_default(claims: &Object<'_>, facts: &Facts) -> Result<Claims, Error> {
    Ok(Claims::new(claims, facts))
}

/// Converts the claims to the API's own type.
pub(crate) fn read_typed<C: DeserializeOwned>(claims: &Object<'_>, _: &Facts) -> Result<C, Error> {
    claims.to().map_err(|error| unfit::<C>(claims, &error.to_string()))
}

/// The maximum number of claims that `unfit` removes, one by one. Real tokens have about 12 claims.
const MAX_TRIED: usize = 64;

/// Returns an error that names the claim that does not fit the API's type, or the claims that may not
/// fit. Unlike serde's own message, this error does not contain a value.
///
/// Usually, serde's error has the path to the claim. The path is empty if the type first reads its
/// members into a buffer (`flatten`, `untagged`, a tag, `try_from`). So this function also removes one
/// claim at a time, and converts the remaining claims. If the result changes, the removed claim can be
/// the cause. The claim in the path is preferred if its removal changes the result.
#[cold]
fn unfit<C: DeserializeOwned>(claims: &Object<'_>, words: &str) -> Error {
    let field = |start| words.strip_prefix(start).and_then(|rest: &str| rest.split('`').next());
    let missing = field("missing field `");
    // Use only the name of the claim. The path inside the claim may contain personal data.
    let path = match serde_path_to_error::deserialize::<_, C>(claims.node()) {
        Err(error) => error.path().iter().next().map(ToString::to_string),
        Ok(_) => None,
    };
    let (mut certain, mut possible) = (Vec::new(), Vec::new());
    for (name, _) in claims.iter().take(MAX_TRIED) {
        match claims.without(name).to::<C>().map_err(|error| error.to_string()) {
            Err(same) if same == words => {}
            // The new error says only that the removed claim is missing. It can hide the original error,
            // because serde reports only one error. So the original error may come from this claim or from
            // another claim.
            Err(other) if other == format!("missing field `{name}`") => possible.push(name),
            Ok(_) | Err(_) => certain.push(name),
        }
    }
    let named = |names: &[&str]| match names {
        [] => None,
        [one] if field("unknown field `") == Some(*one) => {
            Some(format!("the type has no field {one}"))
        }
        [one] => Some(format!("{one} has a wrong type or format")),
        names => Some(format!("one of {} has a wrong type or format", names.join(", "))),
    };
    let seen = path.as_deref().filter(|path| certain.contains(path) || possible.contains(path));
    let problem = named(seen.as_slice())
        .or_else(|| named(&certain))
        .or_else(|| missing.map(|field| format!("{field} is missing")))
        .or_else(|| named(&possible))
        .or_else(|| path.as_deref().and_then(|path| named(&[path])))
        .unwrap_or_else(|| "no single claim causes the error".to_owned());
    Error::UnfitClaims { problem: Excerpt::of(&problem) }
}
