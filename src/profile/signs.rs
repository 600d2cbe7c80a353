//! Decides who acts with a token: a user, or a client on its own behalf. The result can also be unknown. Pure.
//!
//! RFC 9068 §5 requires that a client's own token is never treated as a user's token. According to
//! RFC 9068 §2.2, `sub` in such a token stands for the client. Many servers do not follow this:
//! their `sub` is the id of a service user, a path, or a name. So a token only counts as a user's
//! token if something shows it: it names a client that differs from `sub`, or it has a claim that
//! only users have. Any sign of a client's own token has priority over both.

use std::borrow::Cow;

use crate::profile::claim::is_absent;
use crate::token::OtherScope;
use crate::token::json::{Object, Value};

/// The signs for one format.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signs {
    pub(crate) of_clients: Vec<Sign>,
    pub(crate) of_users: Vec<Sign>,
}

/// A sign that a token belongs to a client on its own behalf, or to a user.
#[derive(Clone, Debug)]
pub(crate) enum Sign {
    Present(Cow<'static, str>),
    Absent(Cow<'static, str>),
    Value(Cow<'static, str>, Cow<'static, str>),
    SubjectEnds(Cow<'static, str>),
    ClientNotInAudience,
}

impl Signs {
    /// Each setting that made a sign, with the claim that the sign names. An end of `sub` is listed too,
    /// because it must not be empty: every `sub` ends with the empty text.
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
    /// The profile's name for the client. A sign with this name and a value also matches a client that was read
    /// under another name.
    pub(crate) client_claim: &'a str,
}

/// The members that RFC 7662 §2.2 defines for a response. In a response, their presence does not
/// show who acts, even if a server adds the claim only to JWTs of clients (Keycloak's `client_id`).
#[cfg(feature = "http-client")]
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

#[cfg(feature = "http-client")]
pub(super) fn is_answer_member(name: &str) -> bool {
    ANSWER_MEMBERS.contains(&name)
}

impl Sign {
    /// Whether a sign of a client in a JWT also applies to an introspection response. A sign of a
    /// client only removes rights, so a sign by value applies to both formats. The absence of a
    /// claim means nothing in a response, because a response may omit any claim.
    #[cfg(feature = "http-client")]
    pub(super) fn counts_in_answers(&self) -> bool {
        match self {
            Self::Present(name) => !is_answer_member(name),
            Self::Absent(_) => false,
            Self::Value(..) | Self::SubjectEnds(_) | Self::ClientNotInAudience => true,
        }
    }

    /// Whether the sign is the presence of something, not its absence.
    #[cfg(feature = "http-client")]
    pub(super) fn is_positive(&self) -> bool {
        !matches!(self, Self::Absent(_) | Self::ClientNotInAudience)
    }

    pub(super) fn shows_client(&self, acting: Acting<'_>) -> bool {
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

    /// A sign of a user grants rights, so an empty claim does not count: some servers write
    /// `"email": ""` for an account without an address.
    pub(super) fn shows_user(&self, claims: &Object<'_>) -> bool {
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

/// Whether the claim is this string or an array that contains it.
#[inline]
fn has_value(claims: &Object<'_>, name: &str, value: &str) -> bool {
    has_one_of(claims, name, &[value])
}

/// Inlined, as [`Object::get`] is: most of these claims are absent.
#[inline]
fn has_one_of(claims: &Object<'_>, name: &str, values: &[&str]) -> bool {
    claims.get(name).is_some_and(|own| contains_one_of(own, values))
}

fn contains_one_of(own: &Value<'_>, values: &[&str]) -> bool {
    let is_one_of = |value: &Value<'_>| value.as_str().is_some_and(|own| values.contains(&own));
    match own {
        Value::Array(own) => own.iter().any(is_one_of),
        own => is_one_of(own),
    }
}

/// Claims in which servers name the client.
const CLIENT_CLAIMS: [&str; 5] = ["client_id", "azp", "cid", "appid", "clientId"];

/// Whether the token shows, in the way of one of the known servers, that a client acts on its own behalf. This
/// applies to every profile without `any_subject`, and only removes rights. So a machine is not taken for a
/// user even if the client claim of the profile is wrong or not sufficient.
pub(super) fn is_machine(claims: &Object<'_>, subject: &str) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let is_subject = |name: &str| text(name) == Some(subject);
    let starts = |name: &str, prefix: &str| text(name).is_some_and(|own| own.starts_with(prefix));
    let ends = |name: &str, suffix: &str| text(name).is_some_and(|own| own.ends_with(suffix));
    // Okta (`cid`), Google's service accounts (`azp`), Cloud Foundry (`client_id`, `cid`).
    CLIENT_CLAIMS.iter().any(|name| is_subject(name))
        // Entra ID: `sub` is the service principal itself, which has roles but no scopes.
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
        // Keycloak, in JWTs (`preferred_username`) and introspection responses (`username`).
        || !is_absent(claims, "clientHost")
        || !is_absent(claims, "clientAddress")
        || starts("preferred_username", "service-account-")
        // Zitadel, in introspection responses: `sub` is the id of an account whose name is the client's name.
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

/// A claim that seems to have the scope but is not the one of the profile.
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
