//! The key or certificate that a token is bound to.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::Error;
use crate::token::json::{Object, Value};

/// The confirmation claim (`cnf`, RFC 7800 §3.1). The sender must prove possession of everything that the claim
/// names and that this crate supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cnf {
    /// The client certificate that the token is bound to (`x5t#S256`, RFC 8705 §3.1).
    pub(crate) certificate: Option<Thumbprint>,
    /// The key that the token is bound to (`jkt`, RFC 9449 §6.1).
    pub(crate) key: Option<Thumbprint>,
    /// Whether the claim names nothing that this crate supports. Then no sender can be confirmed. If a JWT and
    /// its introspection answer both have the claim, one such claim is enough.
    pub(crate) is_unknown: bool,
}

/// A SHA-256 hash: of a certificate in DER (RFC 8705 §3.1), or of a key (RFC 7638).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thumbprint([u8; 32]);

impl Thumbprint {
    #[cfg(any(feature = "dpop", feature = "mtls"))]
    pub(crate) fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    pub(crate) fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads base64url without padding, white space or unused bits.
    fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thumbprint").finish_non_exhaustive()
    }
}

/// Members that each describe one key (RFC 7800 §3.2, §3.3, §3.5). A claim must have at most one of them
/// (§3.1). The values of these members are not read, and no `jku` is fetched.
const KEYS: [&str; 3] = ["jwk", "jwe", "jku"];

impl Cnf {
    /// Reads the claim. Any claim binds the token. If no member is supported, the token is bound to something
    /// that no client can prove here. Besides a supported member, unsupported members are ignored.
    ///
    /// # Errors
    /// If the claim is not an object, for example null, if it describes two keys, or if a supported member is
    /// malformed.
    pub(crate) fn read(claims: &Object<'_>) -> Result<Option<Self>, Error> {
        let malformed = Error::MalformedClaim { claim: "cnf".into() };
        let members = match claims.get("cnf") {
            None => return Ok(None),
            Some(Value::Object(members)) => members,
            Some(_) => return Err(malformed),
        };
        if KEYS.iter().filter(|name| members.contains(name)).count() > 1 {
            return Err(malformed);
        }
        let hash = |name| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => {
                Thumbprint::parse(text).map(Some).ok_or_else(|| malformed.clone())
            }
            Some(_) => Err(malformed.clone()),
        };
        let (certificate, key) = (hash("x5t#S256")?, hash("jkt")?);
        Ok(Some(Self { certificate, key, is_unknown: certificate.is_none() && key.is_none() }))
    }

    /// What a token is bound to, by its own claim and by the claim of an introspection answer about it: to
    /// everything that one of the two names. If one of the two names nothing that this crate supports, no
    /// sender can be confirmed.
    ///
    /// # Errors
    /// If the two claims name different certificates or different keys.
    #[cfg(feature = "http-client")]
    pub(crate) fn both(own: Option<Self>, said: Option<Self>) -> Result<Option<Self>, Error> {
        let (Some(one), Some(other)) = (own, said) else { return Ok(own.or(said)) };
        let same = |one: Option<Thumbprint>, other: Option<Thumbprint>| match (one, other) {
            (Some(one), Some(other)) if one != other => {
                Err(Error::ContradictedByIntrospection { claim: "cnf" })
            }
            (one, other) => Ok(one.or(other)),
        };
        Ok(Some(Self {
            certificate: same(one.certificate, other.certificate)?,
            key: same(one.key, other.key)?,
            is_unknown: one.is_unknown || other.is_unknown,
        }))
    }

    /// A token that is bound to a certificate, for a test of rules.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        Self { certificate: Some(Thumbprint([7; 32])), key: None, is_unknown: false }
    }

    /// The same for a key.
    #[cfg(test)]
    pub(crate) fn of_test_key() -> Self {
        Self { certificate: None, key: Some(Thumbprint([7; 32])), is_unknown: false }
    }
}
