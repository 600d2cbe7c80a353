//! The key or certificate that a token is bound to.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::Error;
use crate::token::json::{Object, Value};

/// The confirmation claim (`cnf`, RFC 7800 §3.1). The sender must prove possession of everything that
/// it names and that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cnf {
    /// The client certificate that the token is bound to (`x5t#S256`, RFC 8705 §3.1).
    certificate: Option<Thumbprint>,
    /// Whether the claim asks for something that this crate cannot check: the key of a DPoP proof (`jkt`, RFC 9449
    /// §6.1), or what [`both`](Self::both) found.
    has_key: bool,
}

/// The SHA-256 hash of a certificate in DER (RFC 8705 §3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thumbprint([u8; 32]);

impl Thumbprint {
    #[cfg(feature = "mtls")]
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

/// Members that each describe one key (RFC 7800 §3.2, §3.3, §3.5). A claim has at most one of them
/// (§3.1). They are not read, and no `jku` is fetched.
const KEYS: [&str; 3] = ["jwk", "jwe", "jku"];

impl Cnf {
    /// Reads the claim. Any value binds the token. If no member is known, the token is bound to something
    /// that nobody can prove here. A member that is not known is ignored beside a known one.
    ///
    /// # Errors
    /// If the claim is not an object, describes two keys, or has a known member of another form. Null is
    /// malformed, too.
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
        let has_key = match members.get("jkt") {
            None => false,
            Some(Value::String(_)) => true,
            Some(_) => return Err(malformed),
        };
        let certificate = match members.get("x5t#S256") {
            None => None,
            Some(Value::String(text)) => Some(Thumbprint::parse(text).ok_or(malformed)?),
            Some(_) => return Err(malformed),
        };
        Ok(Some(Self { certificate, has_key }))
    }

    /// What a token is bound to if the token and an introspection answer about it each have a claim: to
    /// everything that one of them names. If one of them names nothing that is known, nobody can prove what it
    /// asks for.
    ///
    /// # Errors
    /// If they name two certificates.
    #[cfg(feature = "http-client")]
    pub(crate) fn both(own: Option<Self>, said: Option<Self>) -> Result<Option<Self>, Error> {
        let (Some(one), Some(other)) = (own, said) else { return Ok(own.or(said)) };
        let certificate = match (one.certificate, other.certificate) {
            (Some(one), Some(other)) if one != other => {
                return Err(Error::ContradictedByIntrospection { claim: "cnf" });
            }
            (one, other) => one.or(other),
        };
        let has_key = [one, other].iter().any(|own| own.has_key || own.certificate.is_none());
        Ok(Some(Self { certificate, has_key }))
    }

    /// The certificate, if its proof is all that the claim asks for. Otherwise, nobody can prove here what
    /// the claim asks for.
    pub(crate) fn only_certificate(&self) -> Option<&Thumbprint> {
        self.certificate.as_ref().filter(|_| !self.has_key)
    }

    /// A token that is bound to a certificate, for a test of rules.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        Self { certificate: Some(Thumbprint([7; 32])), has_key: false }
    }
}
