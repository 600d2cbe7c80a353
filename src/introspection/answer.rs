//! The answer of an authorization server about a token (RFC 7662 §2.2). Pure.
//!
//! Checks only the form: one strict JSON object whose `active` is a JSON boolean. If the token is
//! not active, no other member is read. If the token is active, the profile judges the other
//! members. It judges them once, except for the times: an answer does not change, and each
//! configuration has its own cache. At each request, the times are judged, and the sender of a
//! sender-constrained token is confirmed.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use crate::error::Error;
use crate::profile::Judged;
use crate::token::json::{self, Fault, Object, Value};

/// The claims that must agree between a token and the answer about it, to show that both are about
/// the same token.
const IDENTIFYING: [&str; 3] = ["sub", "client_id", "jti"];

/// An answer about an active token.
pub(crate) struct Answer {
    /// The members of the answer, without `active`. They are used like the claims of a JWT. They
    /// are dropped once they have passed all checks, because the handler's token then has all that
    /// is needed.
    members: ArcSwapOption<Object<'static>>,
    expires_at: Option<f64>,
    weight: usize,
    judged: OnceLock<Judged>,
}

/// Why an answer can't be used, in fixed words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerFault(pub(crate) &'static str);

impl Answer {
    /// Reads an answer. Returns `None` if the token is not active.
    pub(crate) fn parse(document: &[u8]) -> Result<Option<Self>, AnswerFault> {
        let members = json::parse(document).map_err(|fault| {
            AnswerFault(match fault {
                Fault::Depth => "the answer is nested deeper than 32",
                Fault::Duplicate => "an object in the answer has two members of one name",
                Fault::Surrogate => "a text in the answer has half of a surrogate pair",
                Fault::Form => "the answer is not one strict JSON object",
            })
        })?;
        Self::of(members)
    }

    /// The same as [`parse`](Self::parse), for members that were already read.
    pub(crate) fn of(mut members: Object<'_>) -> Result<Option<Self>, AnswerFault> {
        match members.take("active") {
            Some(Value::Bool(false)) => Ok(None),
            Some(Value::Bool(true)) => {
                normalize(&mut members);
                let members = members.into_owned();
                let expires_at = members.get("exp").and_then(Value::as_f64);
                let weight = weigh(&members);
                let members = ArcSwapOption::from_pointee(members);
                Ok(Some(Self { members, expires_at, weight, judged: OnceLock::new() }))
            }
            Some(_) => Err(AnswerFault("`active` is not a JSON boolean")),
            None => Err(AnswerFault("the answer has no `active`")),
        }
    }

    /// The answer as JSON text, which [`parse`](Self::parse) reads again.
    pub(crate) fn document(&self) -> Vec<u8> {
        let members = self.members().unwrap_or_default();
        let owned = |(name, value): (&str, &Value<'_>)| (name.to_owned(), value.to_owned_value());
        let mut members: serde_json::Map<_, _> = members.iter().map(owned).collect();
        members.insert("active".to_owned(), true.into());
        serde_json::Value::Object(members).to_string().into_bytes()
    }

    /// The members. `None` after they were [judged](Self::remember).
    pub(crate) fn members(&self) -> Option<Arc<Object<'static>>> {
        self.members.load_full()
    }

    /// A copy of the answer that keeps its members, even if the original is judged later.
    pub(crate) fn unjudged(&self) -> Self {
        Self {
            members: ArcSwapOption::new(self.members()),
            expires_at: self.expires_at,
            weight: self.weight,
            judged: OnceLock::new(),
        }
    }

    /// When the token expires, in seconds. `None` if the answer has no readable `exp`.
    pub(crate) fn expires_at(&self) -> Option<f64> {
        self.expires_at
    }

    /// The approximate size of the members in memory, in octets.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Compares the members of an answer with the claims of the JWT that the answer is about. The
    /// answer may leave claims out, but it must not contradict them. A value of another type is a
    /// contradiction.
    pub(crate) fn check_against(members: &Object<'_>, claims: &Object<'_>) -> Result<(), Error> {
        let differs = |claim: &&'static str| {
            match (members.get(claim), claims.get(claim)) {
                // A null or absent member says nothing.
                (None | Some(Value::Null), _) | (_, None | Some(Value::Null)) => false,
                (Some(Value::String(said)), Some(Value::String(own))) => said != own,
                (Some(said), Some(own)) => said.to_owned_value() != own.to_owned_value(),
            }
        };
        match IDENTIFYING.into_iter().find(differs) {
            Some(claim) => Err(Error::ContradictedByIntrospection { claim }),
            None => Ok(()),
        }
    }

    /// The result of the checks, if the answer was judged before.
    pub(crate) fn judged(&self) -> Option<&Judged> {
        self.judged.get()
    }

    /// Stores the result of the profile's checks, which the members have passed.
    pub(crate) fn remember(&self, judged: Judged) {
        // Another request may have stored the same result before.
        let _ = self.judged.set(judged);
        // The order matters: a request that finds no members must find the judgement.
        self.members.store(None);
    }
}

/// Converts what servers write to the form of RFC 7662 §2.2:
///
/// - a member that is null counts as absent, except `cnf`: a token that is bound to something
///   unknown must be refused;
/// - an empty `sub` or `client_id`, which could match everybody, counts as absent;
/// - an empty `aud` counts as absent. Without `Introspection::audience_optional`, an answer without
///   `aud` is refused;
/// - a time that is a string of digits counts as that number.
fn normalize(members: &mut Object<'_>) {
    members.retain(|name, value| match (name, &*value) {
        (name, Value::Null) => name == "cnf",
        ("sub" | "client_id" | "aud", Value::String(text)) => !text.is_empty(),
        ("aud", Value::Array(values)) => !values.is_empty(),
        ("exp" | "nbf" | "iat", Value::String(text)) => {
            let seconds = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            if let Some(seconds) = seconds.and_then(|text| text.parse().ok()) {
                *value = Value::Unsigned(seconds);
            }
            true
        }
        _ => true,
    });
}

fn weigh(members: &Object<'_>) -> usize {
    fn of(value: &Value<'_>) -> usize {
        size_of::<Value<'_>>()
            + match value {
                Value::String(text) => text.len(),
                Value::Array(values) => values.iter().map(of).sum(),
                Value::Object(members) => weigh(members),
                Value::Null
                | Value::Bool(_)
                | Value::Unsigned(_)
                | Value::Signed(_)
                | Value::Float(_) => 0,
            }
    }
    let member = |(name, value): (&str, &Value<'_>)| size_of::<String>() + name.len() + of(value);
    members.iter().map(member).sum()
}

/// Shows nothing of the answer, because it may hold personal data (RFC 7662 §5).
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
        let claims = r#"{"sub":"alice","client_id":"app","jti":"1"}"#;
        for (claims, answer, good) in [
            (claims, r#"{"active":true}"#, true),
            (claims, r#"{"active":true,"sub":"alice","client_id":"app","jti":"1","x":2}"#, true),
            (claims, r#"{"active":true,"sub":"bob"}"#, false),
            (claims, r#"{"active":true,"client_id":"other"}"#, false),
            (claims, r#"{"active":true,"jti":"2"}"#, false),
            (claims, r#"{"active":true,"sub":null,"client_id":null,"jti":null}"#, true),
            // Another type.
            (claims, r#"{"active":true,"sub":5}"#, false),
            (claims, r#"{"active":true,"sub":true}"#, false),
            (claims, r#"{"active":true,"sub":["alice"]}"#, false),
            (claims, r#"{"active":true,"sub":{"sub":"alice"}}"#, false),
            (claims, r#"{"active":true,"client_id":false}"#, false),
            (claims, r#"{"active":true,"client_id":["app"]}"#, false),
            (claims, r#"{"active":true,"jti":1}"#, false),
            (claims, r#"{"active":true,"jti":[]}"#, false),
            // The JWT's claim is not a string.
            (r#"{"jti":1}"#, r#"{"active":true,"jti":"1"}"#, false),
            (r#"{"jti":1}"#, r#"{"active":true,"jti":2}"#, false),
            (r#"{"jti":1}"#, r#"{"active":true,"jti":1}"#, true),
            (r#"{"jti":-1.5}"#, r#"{"active":true,"jti":-1.5}"#, true),
            (r#"{"jti":true}"#, r#"{"active":true,"jti":"true"}"#, false),
            (r#"{"jti":["1"]}"#, r#"{"active":true,"jti":"1"}"#, false),
            (r#"{"jti":["1"]}"#, r#"{"active":true,"jti":["1"]}"#, true),
            (r#"{"jti":["1"]}"#, r#"{"active":true,"jti":["1","2"]}"#, false),
            (r#"{"jti":{"a":1}}"#, r#"{"active":true,"jti":{"a":2}}"#, false),
            (r#"{"jti":1}"#, r#"{"active":true,"jti":null}"#, true),
            // The JWT lacks the claim.
            (r#"{"jti":null}"#, r#"{"active":true,"jti":"1"}"#, true),
            ("{}", r#"{"active":true,"sub":"bob","client_id":["x"],"jti":1}"#, true),
        ] {
            let read = Answer::parse(answer.as_bytes()).unwrap().unwrap();
            let own = json::parse(claims.as_bytes()).unwrap();
            let members = read.members().unwrap();
            assert_eq!(Answer::check_against(&members, &own).is_ok(), good, "{claims} {answer}");
        }
    }

    #[test]
    fn members_that_have_passed_are_kept_once() {
        let answer = Answer::parse(br#"{"active":true,"sub":"alice"}"#).unwrap().unwrap();
        let kept = answer.unjudged();
        answer.members.store(None);
        assert!(answer.members().is_none());
        // The order of the members depends on a feature of `serde_json`.
        let read: serde_json::Value = serde_json::from_slice(&kept.document()).unwrap();
        assert_eq!(read, serde_json::json!({ "active": true, "sub": "alice" }));
    }
}
