//! Who acts with a token: a user, a client on its own behalf, or unknown. Pure.
//!
//! RFC 9068 §5 asks that a client's own token is never taken for a user's. Its §2.2 gives such a
//! token a `sub` that stands for the client, which many servers do not: theirs is a service user's
//! id, a path, or a name. So a token is a user's only where something says so: its client is named
//! and is another than `sub`, or it has a claim that only users have. Whatever says that it is a
//! client's own token outweighs both.

use std::borrow::Cow;

use crate::profile::claim::is_absent;
use crate::token::OtherScope;
use crate::token::json::{Object, Value};

/// The signs of one format.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signs {
    pub(crate) of_clients: Vec<Sign>,
    pub(crate) of_users: Vec<Sign>,
}

/// What shows that a token is a client's own, or a user's.
#[derive(Clone, Debug)]
pub(crate) enum Sign {
    Present(Cow<'static, str>),
    Absent(Cow<'static, str>),
    Value(Cow<'static, str>, Cow<'static, str>),
    SubjectEnds(Cow<'static, str>),
    ClientNotInAudience,
}

impl Signs {
    /// The settings that the signs were made by, and the claims that they name. The end of a `sub` is
    /// among them: every `sub` ends in an empty text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&'static str, &Cow<'static, str>)> {
        let clients = self.of_clients.iter().filter_map(|sign| match sign {
            Sign::Present(name) => Some(("client_if_present", name)),
            Sign::Absent(name) => Some(("client_if_absent", name)),
            Sign::Value(name, _) => Some(("client_if_value", name)),
            Sign::SubjectEnds(suffix) => Some(("client_if_subject_ends", suffix)),
            Sign::ClientNotInAudience => None,
        });
        let users = self.of_users.iter().filter_map(|sign| match sign {
            Sign::Present(name) => Some(("user_if_present", name)),
            Sign::Value(name, _) => Some(("user_if_value", name)),
            Sign::Absent(_) | Sign::SubjectEnds(_) | Sign::ClientNotInAudience => None,
        });
        clients.chain(users)
    }
}

/// What is judged: the claims, and the subject and the client that were read from them.
#[derive(Clone, Copy)]
pub(crate) struct Acting<'a> {
    pub(crate) claims: &'a Object<'a>,
    pub(crate) subject: &'a str,
    pub(crate) client: Option<&'a str>,
    /// What the profile calls the client. A sign by its value counts under any name.
    pub(crate) client_claim: &'a str,
}

/// The members that RFC 7662 §2.2 gives an answer. There, that one of them is present says nothing
/// of who acts, although a server may put it into no JWT but a client's own (Keycloak's `client_id`).
#[cfg(feature = "remote")]
const ANSWER_MEMBERS: [&str; 12] = [
    "active",
    "scope",
    "client_id",
    "username",
    "token_type",
    "exp",
    "iat",
    "nbf",
    "sub",
    "aud",
    "iss",
    "jti",
];

#[cfg(feature = "remote")]
pub(super) fn is_answer_member(name: &str) -> bool {
    ANSWER_MEMBERS.contains(&name)
}

impl Sign {
    /// Whether a sign of a client in a JWT says as much in an introspection answer. A sign of a
    /// client only ever takes away, so what a member says by its value counts in both formats. A
    /// claim that an answer lacks says nothing, since an answer may lack any.
    #[cfg(feature = "remote")]
    pub(super) fn counts_in_answers(&self) -> bool {
        match self {
            Self::Present(name) => !is_answer_member(name),
            Self::Absent(_) => false,
            Self::Value(..) | Self::SubjectEnds(_) | Self::ClientNotInAudience => true,
        }
    }

    /// Whether the sign is something that is there, and not something that lacks.
    #[cfg(feature = "remote")]
    pub(super) fn is_positive(&self) -> bool {
        !matches!(self, Self::Absent(_) | Self::ClientNotInAudience)
    }

    pub(super) fn tells_client(&self, acting: Acting<'_>) -> bool {
        match self {
            Self::Present(name) => !is_absent(acting.claims, name),
            Self::Absent(name) => is_absent(acting.claims, name),
            Self::Value(name, value) => {
                has_value(acting.claims, name, value)
                    || (*name == acting.client_claim && acting.client == Some(value))
            }
            Self::SubjectEnds(suffix) => acting.subject.ends_with(suffix.as_ref()),
            Self::ClientNotInAudience => {
                !acting.client.is_some_and(|client| has_value(acting.claims, "aud", client))
            }
        }
    }

    /// A sign of a user admits, so a claim that is there and holds nothing is none: servers write
    /// `"email": ""` for an account without one.
    pub(super) fn tells_user(&self, claims: &Object<'_>) -> bool {
        match self {
            Self::Present(name) => match claims.get(name) {
                None | Some(Value::Null | Value::Bool(false)) => false,
                Some(Value::String(text)) => !text.is_empty(),
                Some(Value::Array(values)) => !values.is_empty(),
                Some(Value::Object(members)) => members.iter().next().is_some(),
                Some(_) => true,
            },
            Self::Value(name, value) => has_value(claims, name, value),
            Self::Absent(_) | Self::SubjectEnds(_) | Self::ClientNotInAudience => false,
        }
    }
}

/// Whether the claim is this string, or an array with it.
fn has_value(claims: &Object<'_>, name: &str, value: &str) -> bool {
    has_one_of(claims, name, &[value])
}

fn has_one_of(claims: &Object<'_>, name: &str, values: &[&str]) -> bool {
    let is_one_of = |value: &Value<'_>| value.as_str().is_some_and(|own| values.contains(&own));
    match claims.get(name) {
        Some(Value::Array(own)) => own.iter().any(is_one_of),
        Some(own) => is_one_of(own),
        None => false,
    }
}

/// Claims by which servers name the client.
const CLIENT_CLAIMS: [&str; 5] = ["client_id", "azp", "cid", "appid", "clientId"];

/// Whether the token says in the words of its own server that a client acts for itself. It counts
/// under every profile, and it only takes away: a profile that names the wrong claim for the client,
/// or the right one where that is not enough, makes no user of a machine.
pub(super) fn is_machine(claims: &Object<'_>, subject: &str) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let is_subject = |name: &str| text(name) == Some(subject);
    let starts = |name: &str, prefix: &str| text(name).is_some_and(|own| own.starts_with(prefix));
    let ends = |name: &str, suffix: &str| text(name).is_some_and(|own| own.ends_with(suffix));
    // Okta (`cid`), Google's service accounts (`azp`), Cloud Foundry (`client_id`, `cid`).
    CLIENT_CLAIMS.iter().any(|name| is_subject(name))
        // Entra ID: `sub` is the service principal itself, which is granted roles and no scopes.
        || (is_subject("oid") && is_absent(claims, "scp"))
        || has_value(claims, "idtyp", "app")
        // WSO2: `APPLICATION` or `APPLICATION_USER`; `sub` is the id of an account.
        || has_value(claims, "aut", "APPLICATION")
        // Auth0, Kinde and FusionAuth; Cloud Foundry.
        || has_one_of(claims, "gty", &["client-credentials", "client_credentials"])
        || has_value(claims, "grant_type", "client_credentials")
        // Oracle; IBM Cloud.
        || has_one_of(claims, "sub_type", &["client", "ServiceId"])
        // Casdoor.
        || has_value(claims, "type", "application")
        // Keycloak, in JWTs (`preferred_username`) and answers (`username`).
        || !is_absent(claims, "clientHost")
        || !is_absent(claims, "clientAddress")
        || starts("preferred_username", "service-account-")
        // Zitadel, in answers: `sub` is the id of an account that has the client's name.
        || text("username").is_some_and(|own| {
            own.starts_with("service-account-") || text("client_id") == Some(own)
        })
        // authentik.
        || (starts("preferred_username", "ak-") && ends("preferred_username", "-client_credentials"))
        || (subject.starts_with("ak-") && subject.ends_with("-client_credentials"))
        // Auth0, Kubernetes, SPIFFE.
        || subject.ends_with("@clients")
        || subject.starts_with("system:serviceaccount:")
        || subject.starts_with("spiffe://")
}

/// A claim that seems to name the client, for the operator's log.
pub(super) fn other_client_claim(claims: &Object<'_>, known: &str) -> Option<&'static str> {
    let names = CLIENT_CLAIMS.into_iter().chain(["applicationId"]);
    names.into_iter().find(|name| *name != known && !is_absent(claims, name))
}

/// A claim that seems to have the scope, and that is not the one of the profile.
pub(super) fn other_scope(claims: &Object<'_>, known: &str) -> Option<OtherScope> {
    let found = |name| claims.get(name).filter(|_| name != known);
    match (found("scope"), found("scp")) {
        (Some(Value::String(_)), _) => Some(OtherScope::Scope),
        (Some(Value::Array(_)), _) => Some(OtherScope::ScopeArray),
        (_, Some(Value::String(_))) => Some(OtherScope::Scp),
        (_, Some(Value::Array(_))) => Some(OtherScope::ScpArray),
        _ => None,
    }
}
