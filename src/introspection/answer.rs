//! What an authorization server says of a token (RFC 7662 §2.2). Pure.
//!
//! Decides the form alone: one strict JSON object whose `active` is a JSON boolean. Of a token that
//! is not active nothing else is read. What the members of an active one are worth is the profile's
//! to judge, at each request anew.

use std::fmt;
use std::sync::OnceLock;

use crate::error::Error;
use crate::token::json::{self, Object, Value};
use crate::token::{AccessToken, AnyToken};

/// Claims by which a token and what its server says of it are known to be about the same thing.
const IDENTIFYING: [&str; 3] = ["sub", "client_id", "jti"];

/// An answer about an active token.
pub(crate) struct Answer {
    /// Its members, without `active`. They play the part that a JWT's claims do.
    members: Object<'static>,
    /// What the members became for the handler, when they were first used.
    token: OnceLock<AnyToken>,
}

/// Why an answer can't be used, in fixed words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerFault(pub(crate) &'static str);

impl Answer {
    /// Reads an answer; `None` when the token is not active.
    pub(crate) fn parse(document: &[u8]) -> Result<Option<Self>, AnswerFault> {
        let members = json::parse(document)
            .map_err(|_| AnswerFault("the answer is not one strict JSON object"))?;
        Self::of(members)
    }

    /// As [`parse`](Self::parse), from members that were read already.
    pub(crate) fn of(mut members: Object<'_>) -> Result<Option<Self>, AnswerFault> {
        match members.take("active") {
            Some(Value::Bool(false)) => Ok(None),
            Some(Value::Bool(true)) => {
                Ok(Some(Self { members: members.into_owned(), token: OnceLock::new() }))
            }
            Some(_) => Err(AnswerFault("`active` is not a JSON boolean")),
            None => Err(AnswerFault("the answer has no `active`")),
        }
    }

    pub(crate) fn members(&self) -> &Object<'static> {
        &self.members
    }

    /// When the token expires, in seconds, where the answer says so in a way that can be read.
    pub(crate) fn expires_at(&self) -> Option<f64> {
        self.members.get("exp").and_then(Value::as_f64)
    }

    /// Holds the answer against the claims of the JWT that it is about: it may say less, and
    /// nothing else.
    pub(crate) fn check_against(&self, claims: &Object<'_>) -> Result<(), Error> {
        let differs = |claim: &&'static str| {
            match (self.members.get(claim), claims.get(claim)) {
                (Some(Value::String(said)), Some(Value::String(own))) => said != own,
                // Null and absent say nothing.
                _ => false,
            }
        };
        match IDENTIFYING.into_iter().find(differs) {
            Some(claim) => Err(Error::ContradictedByIntrospection { claim }),
            None => Ok(()),
        }
    }

    /// The members as the handler's token: read once, then shared.
    pub(crate) fn token<C: Send + Sync + 'static>(
        &self,
        read: impl FnOnce() -> Result<AccessToken<C>, Error>,
    ) -> Result<AccessToken<C>, Error> {
        if let Some(token) = self.token.get().and_then(AnyToken::downcast) {
            return Ok(token);
        }
        let token = read()?;
        // Another request may have been quicker, with the same.
        let _ = self.token.set(AnyToken::from(token.clone()));
        Ok(token)
    }
}

/// What is said of a token may be personal (RFC 7662 §5).
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_is_a_json_boolean() {
        for (name, document, expected) in [
            ("active", r#"{"active":true,"sub":"x"}"#, Some(true)),
            ("inactive", r#"{"active":false,"sub":"x"}"#, Some(false)),
            ("text", r#"{"active":"true"}"#, None),
            ("number", r#"{"active":1}"#, None),
            ("null", r#"{"active":null}"#, None),
            ("missing", r#"{"sub":"x"}"#, None),
            ("another case", r#"{"Active":true}"#, None),
            ("twice", r#"{"active":false,"active":true}"#, None),
            ("inside", r#"{"token":{"active":true}}"#, None),
            ("array", r#"[{"active":true}]"#, None),
            ("true alone", "true", None),
            ("with more behind it", r#"{"active":true}{}"#, None),
            ("empty", "", None),
        ] {
            let read = Answer::parse(document.as_bytes()).map(|answer| answer.is_some()).ok();
            assert_eq!(read, expected, "{name}");
        }
    }

    #[test]
    fn an_answer_may_say_less_than_the_token_and_nothing_else() {
        let claims = json::parse(br#"{"sub":"alice","client_id":"app","jti":"1"}"#).unwrap();
        for (answer, good) in [
            (r#"{"active":true}"#, true),
            (r#"{"active":true,"sub":"alice","client_id":"app","jti":"1","x":2}"#, true),
            (r#"{"active":true,"sub":null}"#, true),
            (r#"{"active":true,"sub":"bob"}"#, false),
            (r#"{"active":true,"client_id":"other"}"#, false),
            (r#"{"active":true,"jti":"2"}"#, false),
        ] {
            let read = Answer::parse(answer.as_bytes()).unwrap().unwrap();
            assert_eq!(read.check_against(&claims).is_ok(), good, "{answer}");
        }
    }
}
