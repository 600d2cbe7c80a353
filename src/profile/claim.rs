//! Single claims: their types, their values, and the signs of another kind of token.

use std::borrow::Cow;

use crate::error::Error;
use crate::profile::Expected;
use crate::shown::redacted;
use crate::token::json::{Object, Value};
use crate::token::{Excerpt, NumericDate};

/// Tells other kinds of JWT by what only they carry, where `typ` does not (RFC 8725 §3.12).
pub(super) fn check_kind(claims: &Object<'_>) -> Result<(), Error> {
    // Sources: OpenID Connect Core §2 and §3.1.3.6 (ID token), Back-Channel Logout §2.4 and RFC
    // 8417 §2.2 (`events`), RFC 9449 §4.2 (proof), RFC 9701 §5, Token Status List §5.1.
    const SIGNS: [(&str, &str); 9] = [
        ("nonce", "`nonce` is a claim of ID tokens"),
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
    check_named_kind(claims)?;
    // RFC 7523 §3: a client assertion is issued by its own subject, an access token never is.
    if claims.get("sub").is_some_and(|sub| Some(sub) == claims.get("iss")) {
        return Err(Error::AnotherKind { sign: "`sub` is the issuer, as in a client assertion" });
    }
    Ok(())
}

/// Tells other kinds of token by the claim in which some servers name them: `typ` of Keycloak,
/// `token_use` of Cognito and Hydra. An introspection answer of theirs says so, too, and a refresh
/// token is as active as an access token is (RFC 7662 §2.1).
pub(super) fn check_named_kind(claims: &Object<'_>) -> Result<(), Error> {
    let is_one_of = |value: &Value<'_>, kinds: &[&str]| {
        value.as_str().is_some_and(|own| kinds.iter().any(|kind| own.eq_ignore_ascii_case(kind)))
    };
    if claims.get("typ").is_some_and(|typ| !is_one_of(typ, &["bearer", "dpop", "jwt", "at+jwt"])) {
        return Err(Error::AnotherKind { sign: "claim `typ` names another kind" });
    }
    if claims.get("token_use").is_some_and(|used| !is_one_of(used, &["access", "access_token"])) {
        return Err(Error::AnotherKind { sign: "claim `token_use` names another use than access" });
    }
    Ok(())
}

/// RFC 7519 §4.1.3: one string or an array of strings, one of them exactly ours. `None` when
/// the claim is absent.
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
        // What the operator's log may quote is `aud`, and not the claim of a client.
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

/// A NumericDate claim: absent, or a JSON number (RFC 7519 §2); `null` is neither.
pub(super) fn date(claims: &Object<'_>, name: &'static str) -> Result<Option<NumericDate>, Error> {
    claims
        .get(name)
        .map(|value| value.as_f64().map(NumericDate::from_secs_f64).ok_or_else(|| malformed(name)))
        .transpose()
}

/// A string claim. Servers write `null` for a subject that a client's own token does not have; a
/// subject of no characters would be everybody's.
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
