//! Single claims: their types, their values, and the signs of another kind of token.

use std::borrow::Cow;

use crate::error::Error;
use crate::observe::shown::redacted;
use crate::profile::expected::Expected;
use crate::token::json::{Object, Value};
use crate::token::{Excerpt, NumericDate};

/// Refuses other kinds of JWT that the header's `typ` does not identify: each has a claim that no access
/// token has (RFC 8725 §3.12).
pub(super) fn check_kind(
    claims: &Object<'_>,
    access: &[(Cow<'static, str>, Cow<'static, str>)],
) -> Result<(), Error> {
    // Sources: OpenID Connect Core §2 and §3.1.3.6 (ID token), Back-Channel Logout §2.4 and RFC
    // 8417 §2.2 (`events`), RFC 9449 §4.2 (proof), RFC 9701 §5, Token Status List §5.1.
    const SIGNS: [(&str, &str); 8] = [
        ("at_hash", "`at_hash` is a claim of ID tokens"),
        ("c_hash", "`c_hash` is a claim of ID tokens"),
        ("s_hash", "`s_hash` is a claim of ID tokens"),
        ("events", "`events` is a claim of security event and logout tokens"),
        ("htm", "`htm` is a claim of DPoP proofs"),
        ("token_introspection", "`token_introspection` is a claim of introspection answers"),
        ("status_list", "`status_list` is a claim of status list tokens"),
        ("req_wl", "`req_wl` is a claim of transaction tokens"),
    ];
    for (claim, sign) in SIGNS {
        if claims.contains(claim) {
            return Err(Error::AnotherKind { sign });
        }
    }
    check_named_kind(claims, access)?;
    // Keycloak before 25 copies the `nonce` of the authorization request into the access token.
    // Keycloak's claim `typ` distinguishes this access token from an ID token.
    if claims.contains("nonce") && !is_named_access(claims, access) {
        return Err(Error::AnotherKind { sign: "`nonce` is a claim of ID tokens" });
    }
    // RFC 7523 §3: the issuer of a client assertion is its subject. This is never true for an
    // access token.
    if claims.get("sub").is_some_and(|sub| Some(sub) == claims.get("iss")) {
        return Err(Error::AnotherKind { sign: "`sub` is the issuer, as in a client assertion" });
    }
    Ok(())
}

/// Values of the claims `typ` and `token_use` in access tokens, in samples of real servers.
const ACCESS_TYP: [&str; 3] = ["bearer", "dpop", "at+jwt"];
const ACCESS_USE: [&str; 2] = ["access", "access_token"];

/// Values for other kinds of token, by their beginning. No setting can make such a token an access
/// token.
const OTHER_KINDS: [&str; 4] = ["refresh", "id", "logout", "offline"];

/// Refuses other kinds of token. Some servers name the kind in a claim: Keycloak in `typ`, Cognito and
/// Hydra in `token_use`, some libraries in `token_type`. Their introspection responses have this claim
/// too. That matters because a refresh token can be as active as an access token (RFC 7662 §2.1).
/// `access` has further claims and values that the profile accepts for access tokens.
pub(super) fn check_named_kind(
    claims: &Object<'_>,
    access: &[(Cow<'static, str>, Cow<'static, str>)],
) -> Result<(), Error> {
    let names = |name: &str, kinds: &[&str]| {
        claims.get(name).is_none_or(|value| {
            is_one_of(value, kinds)
                || (is_by_setting(name, value, access) && !names_another_kind(value))
        })
    };
    if !names("typ", &["bearer", "dpop", "at+jwt", "jwt"]) {
        return Err(Error::AnotherKind {
            sign: "claim `typ` names another kind; see `Profile::access_if_value`",
        });
    }
    if !names("token_use", &ACCESS_USE) {
        return Err(Error::AnotherKind {
            sign: "claim `token_use` names another use than access; see `Profile::access_if_value`",
        });
    }
    // In a JWT, no standard defines this claim. So only values of known other kinds are refused.
    if claims.get("token_type").is_some_and(names_another_kind) {
        return Err(Error::AnotherKind { sign: "`token_type` names another kind" });
    }
    Ok(())
}

/// Whether the token declares itself to be an access token.
fn is_named_access(claims: &Object<'_>, access: &[(Cow<'static, str>, Cow<'static, str>)]) -> bool {
    let says =
        |name: &str, kinds: &[&str]| claims.get(name).is_some_and(|own| is_one_of(own, kinds));
    says("typ", &ACCESS_TYP)
        || says("token_use", &ACCESS_USE)
        || access.iter().any(|(name, _)| {
            claims
                .get(name)
                .is_some_and(|own| is_by_setting(name, own, access) && !names_another_kind(own))
        })
}

fn is_one_of(value: &Value<'_>, kinds: &[&str]) -> bool {
    value.as_str().is_some_and(|own| kinds.iter().any(|kind| own.eq_ignore_ascii_case(kind)))
}

fn is_by_setting(
    name: &str,
    value: &Value<'_>,
    access: &[(Cow<'static, str>, Cow<'static, str>)],
) -> bool {
    access.iter().any(|(own, kind)| own == name && is_one_of(value, &[kind.as_ref()]))
}

/// Whether the value names another kind of token: `Refresh`, `refresh_token`, `ID`, `id+jwt`, ..
fn names_another_kind(value: &Value<'_>) -> bool {
    value.as_str().is_some_and(|text| {
        OTHER_KINDS.iter().any(|kind| {
            let Some((start, rest)) = text.split_at_checked(kind.len()) else { return false };
            let ends = rest.bytes().next().is_none_or(|next| !next.is_ascii_alphanumeric());
            start.eq_ignore_ascii_case(kind) && (ends || rest.eq_ignore_ascii_case("token"))
        })
    })
}

/// RFC 7519 §4.1.3: a string or an array of strings. One of them must equal a configured audience.
/// Returns `None` if the claim is absent.
pub(super) fn check_audience(
    name: &str,
    claims: &Object<'_>,
    expected: &Expected<'_>,
) -> Result<Option<()>, Error> {
    let ours = |found: &str| expected.audiences.iter().any(|own| **own == *found);
    let found = match claims.get(name) {
        None => return Ok(None),
        Some(Value::String(found)) if ours(found) => return Ok(Some(())),
        Some(Value::String(found)) => redacted(found).into_owned(),
        Some(Value::Array(values)) => {
            let found: Option<Vec<_>> = values.iter().map(Value::as_str).collect();
            let found = found.ok_or_else(|| malformed(name))?;
            if found.iter().any(|found| ours(found)) {
                return Ok(Some(()));
            }
            found.into_iter().map(redacted).collect::<Vec<_>>().join(" ")
        }
        Some(_) => return Err(malformed(name)),
    };
    if name != "aud" {
        // The log may quote the value of `aud`, but not the value of a client claim.
        return Err(Error::UnacceptedValue { claim: name.to_owned().into() });
    }
    let ours: Vec<_> = expected.audiences.iter().map(|own| redacted(own)).collect();
    let (found, expected) = (Excerpt::of(&found), Excerpt::of(&ours.join(" ")));
    Err(Error::ForeignAudience { found, expected })
}

pub(super) fn check_value(
    claims: &Object<'_>,
    name: &str,
    accepted: &[Cow<'static, str>],
) -> Result<(), Error> {
    match claims.get(name) {
        None | Some(Value::Null) => Err(missing(name)),
        Some(Value::String(found)) if accepted.iter().any(|value| value == found) => Ok(()),
        Some(Value::String(_)) => Err(Error::UnacceptedValue { claim: name.to_owned().into() }),
        Some(_) => Err(malformed(name)),
    }
}

/// A NumericDate claim: absent, or a JSON number of seconds (RFC 7519 §2). `null` is refused.
pub(super) fn date(claims: &Object<'_>, name: &'static str) -> Result<Option<NumericDate>, Error> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    match value.as_f64().map(NumericDate::from_secs_f64) {
        Some(date) if date.is_in_milliseconds() => Err(Error::TimeInMilliseconds { claim: name }),
        Some(date) => Ok(Some(date)),
        None => Err(malformed(name)),
    }
}

/// When the user logged in. A value of another type meets no requirement (RFC 9470 §6.1), but is no
/// reason to refuse the token on a route without such a requirement.
#[inline]
pub(super) fn auth_time(claims: &Object<'_>) -> Option<NumericDate> {
    claims.get("auth_time").and_then(Value::as_f64).map(NumericDate::from_secs_f64)
}

/// A string claim. `null` counts as absent, because some servers write it as the subject in a client's
/// own token. An empty text is refused, because all users or clients would share it.
pub(super) fn text<'a>(claims: &'a Object<'_>, name: &str) -> Result<Option<&'a str>, Error> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Err(malformed(name)),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed(name)),
    }
}

pub(super) fn is_absent(claims: &Object<'_>, name: &str) -> bool {
    matches!(claims.get(name), None | Some(Value::Null))
}

pub(super) fn missing(claim: &str) -> Error {
    Error::MissingClaim { claim: claim.to_owned().into() }
}

pub(super) fn malformed(claim: &str) -> Error {
    Error::MalformedClaim { claim: claim.to_owned().into() }
}
