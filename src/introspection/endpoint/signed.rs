//! Signed answers (RFC 9701): a JWT of the authorization server's about a token.
//!
//! The JWT has times of its own, besides those of the token inside it. An answer that was signed
//! before the question was put is refused: it may be a recorded one, from before the token was
//! revoked.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::crypto::AlgorithmSet;
use crate::error::Error;
use crate::fetch::MAX_BODY;
use crate::introspection::answer::{Answer, AnswerFault};
use crate::keys::{KeyLookup, Keys, KeysWaited};
use crate::profile::Times;
use crate::runtime::Deadline;
use crate::token::NumericDate;
use crate::token::header::{Header, media_type};
use crate::token::json::{Object, Value};
use crate::token::jwt::UnverifiedJwt;

/// Content type and `typ` of a signed answer (RFC 9701 §4, §5).
const TYPE: &str = "token-introspection+jwt";

/// The same as a media type, to ask for.
pub(crate) const MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// What signed answers are judged by.
#[derive(Debug)]
pub(crate) struct SignedAnswers {
    /// The issuer's own.
    pub(crate) keys: Keys,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) older_names: bool,
    pub(crate) issuer: Arc<str>,
    /// Who this server is to the authorization server: its client id, as a rule.
    pub(crate) audiences: Vec<Box<str>>,
    /// What the server's clock and ours may differ by.
    pub(crate) leeway: Duration,
    /// Of the whole call.
    pub(crate) deadline: Duration,
}

impl SignedAnswers {
    /// Reads the answer to a question that was put at `asked`; `None` when the token is not active.
    /// It waits where keys must be fetched.
    pub(crate) async fn open(
        &self,
        jwt: &[u8],
        asked: NumericDate,
        clock: &dyn Clock,
    ) -> Result<Option<Answer>, AnswerFault> {
        let mut decoded = Vec::new();
        let jwt = UnverifiedJwt::parse_up_to(MAX_BODY, jwt.trim_ascii(), &mut decoded)
            .map_err(|_| AnswerFault("the signed answer is no well-formed JWT"))?;
        self.admit(&jwt.header)?;
        let mut waited = None;
        if let KeyLookup::Wait(wait) = self.find(&jwt.header, None) {
            waited = Some(wait.waited());
            wait.done(Deadline::after(self.deadline)).await;
        }
        let KeyLookup::Found(keys) = self.find(&jwt.header, waited.as_ref()) else {
            return Err(AnswerFault("no key of the issuer fits the signed answer"));
        };
        let verified =
            jwt.verify(|algorithm, input, signature| keys.verify(algorithm, input, signature));
        let Ok(jwt) = verified else {
            self.keys.signature_failed();
            return Err(AnswerFault("the signature of the signed answer is wrong"));
        };
        // The wait for keys took time.
        self.read(jwt.claims, asked, NumericDate::now(clock.wall()))
    }

    fn find(&self, header: &Header, waited: Option<&KeysWaited>) -> KeyLookup<'_> {
        self.keys.find(header.key(), header.algorithm, &self.issuer, waited)
    }

    /// RFC 9701 §5, RFC 8725 §3.1 and §3.11: this type and no other, or any JWT of the server's
    /// would do; and an algorithm of the issuer's list.
    fn admit(&self, header: &Header) -> Result<(), AnswerFault> {
        if !header.typ.as_deref().is_some_and(|typ| media_type(typ).eq_ignore_ascii_case(TYPE)) {
            return Err(AnswerFault("`typ` of the signed answer is not `token-introspection+jwt`"));
        }
        let old = header.legacy_name && !self.older_names;
        if old || !self.algorithms.contains(header.algorithm) {
            return Err(AnswerFault("`alg` of the signed answer is not accepted from this issuer"));
        }
        Ok(())
    }

    /// RFC 9701 §5: `iss`, `aud`, `iat` are about the answer, and so are `exp` and `nbf` where they
    /// are there (RFC 7519 §4.1.4, §4.1.5). What is about the token is inside `token_introspection`;
    /// nothing else outside it is read.
    fn read(
        &self,
        mut claims: Object<'_>,
        asked: NumericDate,
        now: NumericDate,
    ) -> Result<Option<Answer>, AnswerFault> {
        if claims.get("iss").and_then(Value::as_str) != Some(&*self.issuer) {
            return Err(AnswerFault("`iss` of the signed answer is not the issuer"));
        }
        let ours = |value: &Value<'_>| {
            value.as_str().is_some_and(|found| self.audiences.iter().any(|own| **own == *found))
        };
        let for_us = match claims.get("aud") {
            Some(Value::Array(values)) => values.iter().any(ours),
            Some(value) => ours(value),
            None => false,
        };
        if !for_us {
            return Err(AnswerFault("`aud` of the signed answer is not this server's client id"));
        }
        self.check_times(&claims, asked, now)?;
        match claims.take("token_introspection") {
            Some(Value::Object(members)) => Answer::of(members),
            _ => Err(AnswerFault("the signed answer has no object `token_introspection`")),
        }
    }

    /// `exp`, `nbf` and an `iat` from ahead are judged as a token's are. RFC 9701 §5 requires `iat`,
    /// which tells an answer to this question from one that was recorded earlier.
    fn check_times(
        &self,
        claims: &Object<'_>,
        asked: NumericDate,
        now: NumericDate,
    ) -> Result<(), AnswerFault> {
        let judged = Times::read(claims).and_then(|times| times.check(now, self.leeway.as_secs()));
        judged.map_err(|error| {
            AnswerFault(match error {
                Error::Expired { .. } => "`exp` of the signed answer is past",
                Error::NotYetValid { .. } => "`nbf` of the signed answer is ahead",
                Error::IssuedAhead { .. } => "`iat` of the signed answer is ahead",
                _ => "a time of the signed answer is malformed",
            })
        })?;
        let Some(iat) = claims.get("iat").and_then(Value::as_f64) else {
            return Err(AnswerFault("`iat` of the signed answer is missing"));
        };
        // Servers write whole seconds, so an answer may seem to be up to one older than it is.
        if iat < asked.as_secs_f64().floor() - self.leeway.as_secs_f64() {
            return Err(AnswerFault("`iat` of the signed answer is before the question"));
        }
        Ok(())
    }
}
