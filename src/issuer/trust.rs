//! What is trusted right now: the issuers of one configuration, ready to judge.

use std::sync::Arc;

use crate::crypto::AlgorithmSet;
use crate::error::Error;
#[cfg(feature = "remote")]
use crate::introspection::{Answer, AnswerWait, Introspecting, Jwts, Lookup as AnswerLookup};
use crate::keys::{KeyWait, Keys, Lookup};
use crate::profile::{Expected, Profile};
use crate::token::json::{Object, Value};
use crate::token::jwt::{Header, UnverifiedJwt, VerifiedJwt};
use crate::token::{Excerpt, Facts, NumericDate};

/// The issuers of one configuration.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Counts the configurations of one server; what was cached under another does not count.
    pub(crate) generation: u64,
    pub(crate) issuers: Vec<Arc<TrustedIssuer>>,
}

/// One issuer, with all that its tokens are judged by.
#[derive(Debug)]
pub(crate) struct TrustedIssuer {
    pub(crate) name: Arc<str>,
    pub(crate) aliases: Vec<Box<str>>,
    pub(crate) audiences: Vec<Box<str>>,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) older_names: bool,
    pub(crate) profile: Profile,
    /// Seconds.
    pub(crate) leeway: u64,
    pub(crate) keys: Keys,
    #[cfg(feature = "remote")]
    pub(crate) introspection: Option<Introspecting>,
}

/// Why the walk stops before its end.
pub(crate) enum Pending {
    /// It is over.
    Refused(Error),
    /// It goes on when keys have come, or when waiting for them has taken too long.
    Keys(KeyWait),
    /// It goes on when the authorization server has answered.
    #[cfg(feature = "remote")]
    Answer(Box<AnswerWait>),
}

impl From<Error> for Pending {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Trust {
    /// The issuer that the token names, by exact comparison (RFC 9068 §4).
    pub(crate) fn resolve(&self, claims: &Object<'_>) -> Result<&Arc<TrustedIssuer>, Error> {
        let iss = match claims.get("iss") {
            Some(Value::String(iss)) => iss.as_ref(),
            Some(_) => return Err(Error::MalformedClaim { claim: "iss".into() }),
            None => return Err(Error::MissingClaim { claim: "iss".into() }),
        };
        self.issuers
            .iter()
            .find(|issuer| issuer.is_named(iss))
            .ok_or_else(|| Error::UntrustedIssuer { found: Excerpt::of(iss) })
    }
}

/// The ways of a token to introspection. The configuration decides; all that a token can do is to
/// name one of the trusted issuers, or none (RFC 7662 §2.1).
#[cfg(feature = "remote")]
impl Trust {
    /// The issuer that is asked about every token, whatever it looks like: the only one, and it
    /// validates none here.
    pub(crate) fn introspects_all(&self) -> Option<&Arc<TrustedIssuer>> {
        match self.issuers.as_slice() {
            [issuer] if issuer.introspects(Jwts::Introspect) => {
                issuer.introspection.as_ref().filter(|own| own.opaque).map(|_| issuer)
            }
            _ => None,
        }
    }

    /// The one issuer that is asked about a token that names none.
    pub(crate) fn introspects_opaque(&self) -> Option<&Arc<TrustedIssuer>> {
        self.issuers.iter().find(|issuer| issuer.introspection.as_ref().is_some_and(|i| i.opaque))
    }
}

#[cfg(feature = "remote")]
impl TrustedIssuer {
    /// Whether this is what is done with its JWTs.
    pub(crate) fn introspects(&self, jwts: Jwts) -> bool {
        self.introspection.as_ref().is_some_and(|introspection| introspection.jwts == jwts)
    }

    /// What the authorization server says about a token.
    pub(crate) fn introspect(&self, token: &str) -> Result<Arc<Answer>, Pending> {
        let Some(introspection) = &self.introspection else {
            return Err(Error::NotAJwt.into());
        };
        match introspection.engine.lookup(token) {
            AnswerLookup::Active(answer) => Ok(answer),
            AnswerLookup::Refused(error) => Err(error.into()),
            AnswerLookup::Wait(wait) => Err(Pending::Answer(Box::new(wait))),
        }
    }

    /// Judges an answer. `vouched` says that the token's audience was found in the token itself.
    pub(crate) fn validate_introspected(
        &self,
        answer: &Object<'_>,
        now: NumericDate,
        vouched: bool,
    ) -> Result<(), Error> {
        if answer.contains("cnf") {
            return Err(Error::UnconfirmedSender);
        }
        let optional = self.introspection.as_ref().is_some_and(|own| own.audience_optional);
        self.profile.validate_introspected(
            answer,
            &self.expected(now),
            |iss| self.is_named(iss),
            vouched || optional,
        )
    }

    /// Judges what is said of a token that was validated here. It takes away and never adds: the
    /// scope is what both say, and the token expires by what is earlier.
    pub(crate) fn narrow(
        &self,
        facts: &mut Facts,
        claims: &Object<'_>,
        answer: &Answer,
        now: NumericDate,
    ) -> Result<(), Error> {
        self.validate_introspected(answer.members(), now, true)?;
        answer.check_against(claims)?;
        if let Some(scope) = self.profile.introspected_scope(answer.members())? {
            facts.scope = facts.scope.common_with(&scope);
        }
        if let Some(exp) = answer.expires_at().map(NumericDate::from_secs_f64)
            && facts.expires_at.is_none_or(|own| exp.as_secs_f64() < own.as_secs_f64())
        {
            facts.expires_at = Some(exp);
        }
        Ok(())
    }
}

impl TrustedIssuer {
    fn is_named(&self, iss: &str) -> bool {
        *self.name == *iss || self.aliases.iter().any(|alias| **alias == *iss)
    }

    /// Judges what the header says about the token: its kind and its algorithm.
    pub(crate) fn admit(&self, header: &Header<'_>) -> Result<(), Error> {
        self.profile.check_type(header.typ())?;
        let old = header.legacy_name && !self.older_names;
        if old || !self.algorithms.contains(header.algorithm) {
            let name =
                if header.legacy_name { crate::crypto::EDDSA } else { header.algorithm.name() };
            return Err(Error::UnacceptedAlgorithm { found: Excerpt::of(name), known: true });
        }
        Ok(())
    }

    /// Finds the key that the header names and verifies the signature with it.
    pub(crate) fn verify<'a>(
        &self,
        jwt: UnverifiedJwt<'a>,
        waited: bool,
    ) -> Result<VerifiedJwt<'a>, Pending> {
        let header = &jwt.header;
        match self.keys.find(header.kid(), header.algorithm, &self.name, waited) {
            Lookup::Found(keys, candidates) => {
                let verified = jwt.verify(|algorithm, input, signature| {
                    keys.verify(candidates, algorithm, input, signature)
                });
                if verified.is_err() {
                    self.keys.signature_failed();
                }
                Ok(verified?)
            }
            Lookup::Unknown => Err(Pending::Refused(Error::UnknownKey {
                kid: header.kid().map(Excerpt::of),
                algorithm: header.algorithm,
            })),
            Lookup::Unavailable { retry_after } => Err(Pending::Refused(Error::KeysUnavailable {
                issuer: Excerpt::of(&self.name),
                retry_after,
            })),
            Lookup::Wait(wait) => Err(Pending::Keys(wait)),
        }
    }

    /// Judges the claims of a verified token.
    pub(crate) fn validate(&self, claims: &Object<'_>, now: NumericDate) -> Result<Facts, Error> {
        // RFC 7800 §3.1, RFC 9449 §7.2, RFC 8705 §3: a bound token is worth nothing without the
        // proof of its sender, and nothing here can check one. Whatever `cnf` holds, it is refused.
        if claims.contains("cnf") {
            return Err(Error::UnconfirmedSender);
        }
        self.profile.validate(claims, &self.expected(now))
    }

    /// Reads claims without judging them: of an answer that was judged, and of an injected token.
    #[cfg(any(feature = "remote", feature = "test-issuer"))]
    pub(crate) fn read(&self, claims: &Object<'_>, now: NumericDate) -> Result<Facts, Error> {
        self.profile.read(claims, &self.expected(now))
    }

    fn expected(&self, now: NumericDate) -> Expected<'_> {
        Expected { issuer: &self.name, audiences: &self.audiences, leeway: self.leeway, now }
    }
}
