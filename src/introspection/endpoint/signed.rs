//! Signed answers (RFC 9701): a JWT from the authorization server about a token.
//!
//! The JWT has its own times, besides those of the token that it describes. An answer that was
//! signed before the question was asked is refused: it may have been recorded before the token was
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

/// The same as a media type, for the `Accept` header.
pub(crate) const MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// How signed answers are checked.
#[derive(Debug)]
pub(crate) struct SignedAnswers {
    /// The keys of the issuer.
    pub(crate) keys: Keys,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) older_names: bool,
    pub(crate) issuer: Arc<str>,
    /// The names of this server at the authorization server: usually its client id.
    pub(crate) audiences: Vec<Box<str>>,
    /// The accepted difference between the server's clock and ours.
    pub(crate) leeway: Duration,
    /// The deadline of the whole call.
    pub(crate) deadline: Duration,
}

impl SignedAnswers {
    /// Reads the answer to a question that was asked at `asked`. Returns `None` if the token is not
    /// active. Waits if keys must be fetched.
    pub(crate) async fn open(
        &self,
        jwt: &[u8],
        asked: NumericDate,
        clock: &dyn Clock,
    ) -> Result<Option<Answer>, AnswerFault> {
        let mut decoded = Vec::new();
        let jwt = UnverifiedJwt::parse_up_to(MAX_BODY, jwt.trim_ascii(), &mut decoded)
            .map_err(|_| AnswerFault("the signed answer is not a well-formed JWT"))?;
        self.check_header(&jwt.header)?;
        let mut waited = None;
        if let KeyLookup::Wait(wait) = self.find(&jwt.header, None) {
            waited = Some(wait.waited());
            wait.done(Deadline::after(self.deadline)).await;
        }
        let KeyLookup::Found(keys) = self.find(&jwt.header, waited.as_ref()) else {
            return Err(AnswerFault("no key of the issuer fits the signed answer"));
        };
        let verified =
            jwt.verify(|header, input, signature| keys.verify(header.algorithm, input, signature));
        let Some(jwt) = verified else {
            self.keys.signature_failed();
            return Err(AnswerFault("the signature of the signed answer is wrong"));
        };
        // Read the clock again, because the wait for keys took time.
        self.read(jwt.claims, asked, NumericDate::now(clock.wall()))
    }

    fn find(&self, header: &Header, waited: Option<&KeysWaited>) -> KeyLookup<'_> {
        self.keys.find(header.key(), header.algorithm, &self.issuer, waited)
    }

    /// RFC 9701 §5, RFC 8725 §3.1 and §3.11: only this type is accepted. Otherwise any other JWT of
    /// the server would count as an answer. Only algorithms of the issuer's list are accepted.
    fn check_header(&self, header: &Header) -> Result<(), AnswerFault> {
        if !header.typ.as_deref().is_some_and(|typ| media_type(typ).eq_ignore_ascii_case(TYPE)) {
            return Err(AnswerFault("`typ` of the signed answer is not `token-introspection+jwt`"));
        }
        let old = header.legacy_name && !self.older_names;
        if old || !self.algorithms.contains(header.algorithm) {
            return Err(AnswerFault("`alg` of the signed answer is not accepted from this issuer"));
        }
        Ok(())
    }

    /// RFC 9701 §5: `iss`, `aud` and `iat` describe the answer. So do `exp` and `nbf` if they are
    /// present (RFC 7519 §4.1.4, §4.1.5). The claims of the token are inside `token_introspection`.
    /// All other claims of the JWT are ignored.
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

    /// `exp`, `nbf` and an `iat` in the future are judged as for a token. RFC 9701 §5 requires
    /// `iat`, which distinguishes an answer to this question from a recorded one.
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
        // Servers write whole seconds, so an answer may seem up to one second older than it is.
        // That is why the time of the question is rounded down.
        if iat < asked.as_secs_f64().floor() - self.leeway.as_secs_f64() {
            return Err(AnswerFault("`iat` of the signed answer is before the question"));
        }
        Ok(())
    }
}
