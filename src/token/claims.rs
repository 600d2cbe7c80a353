//! The default type of the claims that a handler gets.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::observe::shown::{AllShown, Shown};
use crate::token::json::{Object, Value};
use crate::token::{Facts, NumericDate, ScopeSet};

/// The claims of a verified access token: the registered claims as fields, the others as JSON.
///
/// `Debug` shows no claim about a person. Serialize the value to see all claims (RFC 9068 §6). An
/// absent claim is also absent in the serialized value: no `"iss": null`, no `"scope": ""`.
///
/// This type does not implement `Deserialize`, because the profile decides which claims hold the
/// scope and the client. A user-defined type can have a [`NumericDate`] and a [`ScopeSet`].
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Claims {
    /// The issuer, as written in the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The subject. It is unique only within the issuer. Some servers omit it for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The audiences. A single string in the token becomes one element.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    /// The expiration time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<NumericDate>,
    /// The time before which the token is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// The time at which the token was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<NumericDate>,
    /// The token's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The client that requested the token, from the claim that the profile names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The scope, from the claim that the profile names.
    #[serde(skip_serializing_if = "ScopeSet::is_empty")]
    pub scope: ScopeSet,
    /// Every other claim, unchanged. The claims `scope` and `client_id` are never here, even if the
    /// profile reads other claims instead.
    #[serde(flatten)]
    pub extra: Map<String, Json>,
}

impl Claims {
    /// Builds the value from validated claims. The profile has already read the scope and the
    /// client.
    pub(crate) fn new(claims: &Object<'_>, facts: &Facts) -> Self {
        let mut own = Self {
            iss: None,
            sub: None,
            aud: Vec::new(),
            exp: None,
            nbf: None,
            iat: None,
            jti: None,
            client_id: facts.client_id().map(str::to_owned),
            scope: facts.scope.clone(),
            extra: Map::new(),
        };
        for (name, value) in claims.iter() {
            match (name, value) {
                ("iss", Value::String(text)) => own.iss = Some(text.as_ref().to_owned()),
                ("sub", Value::String(text)) => own.sub = Some(text.as_ref().to_owned()),
                ("jti", Value::String(text)) => own.jti = Some(text.as_ref().to_owned()),
                ("aud", value) => own.aud = strings(value).map(str::to_owned).collect(),
                ("exp", value) => own.exp = value.as_f64().map(NumericDate::from_secs_f64),
                ("nbf", value) => own.nbf = value.as_f64().map(NumericDate::from_secs_f64),
                ("iat", value) => own.iat = value.as_f64().map(NumericDate::from_secs_f64),
                // These fields hold what the profile read, even if the token has other values under
                // these names.
                ("scope" | "client_id", _) => {}
                (name, value) => {
                    own.extra.insert(name.to_owned(), value.to_owned_value());
                }
            }
        }
        own
    }

    /// Whether the array claim `attribute` contains `value`, as a string or as a SCIM object with
    /// that `value` (RFC 7643 §4.1.2). `attribute` is usually `roles`, `groups` or `entitlements`
    /// (RFC 9068 §2.2.3.1). Returns `false` for a claim of any other shape.
    ///
    /// ```
    /// # use tower_resource_server::Claims;
    /// fn may_audit(claims: &Claims) -> bool {
    ///     claims.has("roles", "auditor")
    /// }
    /// ```
    pub fn has(&self, attribute: &str, value: &str) -> bool {
        let Some(Json::Array(entries)) = self.extra.get(attribute) else {
            return false;
        };
        entries.iter().any(|entry| match entry {
            Json::String(text) => text == value,
            Json::Object(object) => object.get("value").and_then(Json::as_str) == Some(value),
            _ => false,
        })
    }
}

/// The strings of a claim that is a string or an array of strings.
fn strings<'a>(value: &'a Value<'_>) -> impl Iterator<Item = &'a str> {
    let (one, many) = match value {
        Value::String(text) => (Some(text.as_ref()), &[][..]),
        Value::Array(values) => (None, values.as_slice()),
        _ => (None, &[][..]),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("iss", &self.iss.as_deref().map(Shown))
            .field("aud", &AllShown(&self.aud))
            .field("exp", &self.exp)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Names, json};

    /// The member names of a serialized object, in the order of its text.
    fn names(payload: &str, client_id: Option<&str>, scope: &str) -> Vec<String> {
        let claims = json::parse(payload.as_bytes()).unwrap();
        let facts = Facts { names: Names::new(None, client_id), ..Facts::of_test(scope) };
        let claims = Claims::new(&claims, &facts);
        let text = serde_json::to_string(&claims).unwrap();
        let parsed = json::parse(text.as_bytes()).expect("each name once");
        let mut names: Vec<_> = parsed.iter().map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn serialized_claims_have_each_name_once() {
        for (name, payload, expected) in [
            (
                "scope as text",
                r#"{"iss":"i","aud":"x","scope":"a"}"#,
                &["aud", "client_id", "iss", "scope"],
            ),
            (
                "scope as array",
                r#"{"iss":"i","aud":["x"],"scope":["a"]}"#,
                &["aud", "client_id", "iss", "scope"],
            ),
            (
                "client no text",
                r#"{"iss":"i","aud":"x","client_id":1}"#,
                &["aud", "client_id", "iss", "scope"],
            ),
        ] {
            assert_eq!(names(payload, Some("app"), "a"), expected, "{name}");
        }
    }

    #[test]
    fn serialized_claims_leave_out_what_was_absent() {
        let all = r#"{"iss":"i","sub":"s","aud":"x","exp":1,"nbf":1,"iat":1,"jti":"j","role":"r"}"#;
        for (name, payload, client, scope, expected) in [
            ("none", "{}", None, "", &[][..]),
            ("a client", "{}", Some("app"), "", &["client_id"]),
            ("a scope", "{}", None, "a", &["scope"]),
            ("an issuer", r#"{"iss":"i"}"#, None, "", &["iss"]),
            ("an audience", r#"{"aud":["x"]}"#, None, "", &["aud"]),
            (
                "all",
                all,
                Some("app"),
                "a",
                &["aud", "client_id", "exp", "iat", "iss", "jti", "nbf", "role", "scope", "sub"],
            ),
        ] {
            assert_eq!(names(payload, client, scope), expected, "{name}");
        }
    }
}
