//! One JSON Web Key (RFC 7517 §4) becomes a prepared key, or a reason why not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::{Algorithm, AlgorithmSet, KeyFault, VerificationKey};
use crate::token::json::{Object, Value};

const USE_IS_NOT_SIG: &str = "use is not sig";
const NO_VERIFY: &str = "key_ops has no verify";
const ALG_ENCRYPTS: &str = "alg is one for encryption";

/// The reasons to skip a key that is for something else than signatures.
pub(crate) const FOR_ENCRYPTION: [&str; 3] = [USE_IS_NOT_SIG, NO_VERIFY, ALG_ENCRYPTS];

/// A key of a set, with the members that decide when it may be used.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) kid: Option<Box<str>>,
    /// The issuer that the key serves, where the set says so (Microsoft Entra ID).
    pub(crate) issuer: Option<Box<str>>,
    pub(crate) prepared: VerificationKey,
}

impl Key {
    /// Reads one entry of `keys`.
    pub(crate) fn parse(jwk: &Object<'_>, accepted: AlgorithmSet) -> Result<Self, KeyFault> {
        check_use(jwk)?;
        // RFC 7517 §9.2: a private key in a public document is a compromised key.
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"].iter().any(|name| jwk.contains(name)) {
            return Err(KeyFault("has private members"));
        }
        let alg = string(jwk, "alg")?;
        let named = match alg {
            None => None,
            Some(name) => Some(Algorithm::from_name(name).ok_or_else(|| unknown_algorithm(name))?),
        };
        let mut prepared = match string(jwk, "kty")?.ok_or(KeyFault("kty is missing"))? {
            "RSA" => VerificationKey::rsa(&octets(jwk, "n")?, &octets(jwk, "e")?, accepted),
            "EC" => VerificationKey::ec(
                string(jwk, "crv")?.ok_or(KeyFault("crv is missing"))?,
                &octets(jwk, "x")?,
                &octets(jwk, "y")?,
                accepted,
            ),
            // Ed448 has no implementation here, and X25519 and X448 agree on keys, they do not
            // sign (RFC 8037 §3.2).
            "OKP" => match string(jwk, "crv")? {
                Some("Ed25519") => VerificationKey::ed25519(&octets(jwk, "x")?, accepted),
                _ => Err(KeyFault("curve is not Ed25519")),
            },
            "AKP" => VerificationKey::ml_dsa(
                named.ok_or(KeyFault("an AKP key needs alg"))?,
                &octets(jwk, "pub")?,
                accepted,
            ),
            // A secret that a server publishes is none (RFC 7517 §9.2).
            "oct" => Err(KeyFault("symmetric keys are never taken from a key set")),
            _ => Err(KeyFault("kty is unknown")),
        }?;
        if let Some(named) = named {
            prepared.restrict(named)?;
        }
        Ok(Self {
            kid: string(jwk, "kid")?.map(Into::into),
            issuer: string(jwk, "issuer")?.map(Into::into),
            prepared,
        })
    }
}

/// A key of another algorithm, or one for encryption (RFC 7518 §4.1), which is no mistake.
fn unknown_algorithm(name: &str) -> KeyFault {
    let encrypts = ["RSA-OAEP", "RSA1_5", "ECDH-ES", "A128", "A192", "A256", "PBES2"];
    KeyFault(match encrypts.iter().any(|start| name.starts_with(start)) {
        true => ALG_ENCRYPTS,
        false => "alg is no algorithm of ours",
    })
}

/// RFC 7517 §4.2 and §4.3: `use`, when present, is `sig`; `key_ops`, when present, has `verify`;
/// where both are, all of the second are operations of the first.
fn check_use(jwk: &Object<'_>) -> Result<(), KeyFault> {
    let used = string(jwk, "use")?;
    if used.is_some_and(|used| used != "sig") {
        return Err(KeyFault(USE_IS_NOT_SIG));
    }
    let ops = match jwk.get("key_ops") {
        None => return Ok(()),
        Some(Value::Array(ops)) => ops,
        Some(_) => return Err(KeyFault("key_ops is no array")),
    };
    if !ops.iter().any(|op| op.as_str() == Some("verify")) {
        return Err(KeyFault(NO_VERIFY));
    }
    if used.is_some() && !ops.iter().all(|op| matches!(op.as_str(), Some("sign" | "verify"))) {
        return Err(KeyFault("use and key_ops disagree"));
    }
    Ok(())
}

fn string<'a>(jwk: &'a Object<'_>, name: &'static str) -> Result<Option<&'a str>, KeyFault> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyFault("a member that must be a string is none")),
    }
}

fn octets(jwk: &Object<'_>, name: &'static str) -> Result<Vec<u8>, KeyFault> {
    let text = string(jwk, name)?.ok_or(KeyFault("a member of the key is missing"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyFault("a member is not canonical base64url"))
}
