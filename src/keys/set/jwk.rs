//! Parses one JSON Web Key (RFC 7517 §4) into a prepared key, or returns the reason why the key
//! cannot be used.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::crypto::{Algorithm, AlgorithmSet, KeyFault, VerificationKey};
use crate::keys::set::pem;
use crate::observe::{ALG_ENCRYPTS, NO_VERIFY, USE_IS_NOT_SIG};
use crate::token::header::{Thumbprint, Thumbprints};
use crate::token::json::{Object, Value};

/// A key of a set, with the members that decide when it may be used.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) kid: Option<Box<str>>,
    /// The thumbprints of its certificate, if the set lists them (RFC 7517 §4.8, §4.9).
    pub(crate) thumbprints: Thumbprints,
    /// The issuer that the key may be used for, if the set names one (as Microsoft Entra ID does).
    pub(crate) issuer: Option<Box<str>>,
    pub(crate) prepared: VerificationKey,
}

impl Key {
    /// A key without a kid, a thumbprint or an issuer.
    pub(crate) fn nameless(prepared: VerificationKey) -> Self {
        Self { kid: None, thumbprints: [None, None], issuer: None, prepared }
    }

    /// Parses one entry of `keys`.
    pub(crate) fn parse(jwk: &Object<'_>, accepted: AlgorithmSet) -> Result<Self, KeyFault> {
        check_use(jwk)?;
        // RFC 7517 §9.2: a private key in a public document is a compromised key.
        const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];
        if PRIVATE.iter().any(|name| member(jwk, name).is_some()) {
            return Err(KeyFault("has private members"));
        }
        let alg = string(jwk, "alg")?;
        let named = match alg {
            None => None,
            Some(name) => Some(Algorithm::from_name(name).ok_or_else(|| unknown_algorithm(name))?),
        };
        // RFC 7517 §4.7: if the JWK also has the members of the key, its certificate contains the
        // same key.
        let has_own = ["n", "e", "x", "y", "pub"].iter().any(|name| member(jwk, name).is_some());
        let mut prepared = match string(jwk, "kty")? {
            kty if !has_own && member(jwk, "x5c").is_some() => {
                certified(jwk, kty, string(jwk, "crv")?, accepted)
            }
            None => Err(KeyFault("kty is missing")),
            Some("RSA") => VerificationKey::rsa(&number(jwk, "n")?, &number(jwk, "e")?, accepted),
            Some("EC") => VerificationKey::ec(
                string(jwk, "crv")?.ok_or(KeyFault("crv is missing"))?,
                &octets(jwk, "x")?,
                &octets(jwk, "y")?,
                accepted,
            ),
            // Ed448 is not implemented here. X25519 and X448 are for key agreement, not for
            // signatures (RFC 8037 §3.2).
            Some("OKP") => match string(jwk, "crv")? {
                Some("Ed25519") => VerificationKey::ed25519(&octets(jwk, "x")?, accepted),
                _ => Err(KeyFault("curve is not Ed25519")),
            },
            Some("AKP") => VerificationKey::ml_dsa(
                named.ok_or(KeyFault("an AKP key requires alg"))?,
                &octets(jwk, "pub")?,
                accepted,
            ),
            // A published secret is not secret (RFC 7517 §9.2).
            Some("oct") => Err(KeyFault("a key set must not contain symmetric keys")),
            Some(_) => Err(KeyFault("kty is unknown")),
        }?;
        if let Some(named) = named {
            prepared.restrict(named)?;
        }
        Ok(Self {
            kid: string(jwk, "kid")?.map(Into::into),
            thumbprints: Thumbprint::read_all(jwk),
            issuer: string(jwk, "issuer")?.map(Into::into),
            prepared,
        })
    }
}

/// The reason why a key with an unknown algorithm cannot be used. A key for encryption (RFC 7518
/// §4.1) is not a mistake.
fn unknown_algorithm(name: &str) -> KeyFault {
    let encrypts = ["RSA-OAEP", "RSA1_5", "ECDH-ES", "A128", "A192", "A256", "PBES2"];
    KeyFault(match encrypts.iter().any(|start| name.starts_with(start)) {
        true => ALG_ENCRYPTS,
        false => "alg is not supported",
    })
}

/// RFC 7517 §4.2 and §4.3: `use`, if present, is `sig`. `key_ops`, if present, contains `verify`.
/// If both are present, all of `key_ops` must be allowed by `use`.
fn check_use(jwk: &Object<'_>) -> Result<(), KeyFault> {
    let used = string(jwk, "use")?;
    if used.is_some_and(|used| used != "sig") {
        return Err(KeyFault(USE_IS_NOT_SIG));
    }
    let ops = match member(jwk, "key_ops") {
        None => return Ok(()),
        Some(Value::Array(ops)) => ops,
        Some(_) => return Err(KeyFault("key_ops is not an array")),
    };
    if !ops.iter().any(|op| op.as_str() == Some("verify")) {
        return Err(KeyFault(NO_VERIFY));
    }
    if used.is_some() && !ops.iter().all(|op| matches!(op.as_str(), Some("sign" | "verify"))) {
        return Err(KeyFault("use and key_ops disagree"));
    }
    Ok(())
}

/// The key of the first certificate in `x5c`, for a JWK without key members of its own. As for PEM
/// and DER, the issuer and the validity period of the certificate are not checked. The set is
/// trusted, so the key could as well be in the set without a certificate.
fn certified(
    jwk: &Object<'_>,
    kty: Option<&str>,
    crv: Option<&str>,
    accepted: AlgorithmSet,
) -> Result<VerificationKey, KeyFault> {
    let first = match member(jwk, "x5c") {
        Some(Value::Array(chain)) => chain.first().and_then(Value::as_str),
        _ => None,
    };
    let text = first.ok_or(KeyFault("x5c is not an array of certificates"))?;
    // Tools break the lines of a certificate (RFC 2045 §6.8).
    let text: String = text.split(['\r', '\n']).collect();
    let der = lenient(&text).ok_or(KeyFault("x5c is not in base64"))?;
    let key = pem::certificate(&der, accepted)?;
    let (own_kty, own_crv) =
        key.algorithm().map(kind).ok_or(KeyFault("no algorithm uses the key"))?;
    if kty.is_some_and(|kty| kty != own_kty) || crv.is_some_and(|crv| Some(crv) != own_crv) {
        return Err(KeyFault("the key in x5c does not match kty or crv"));
    }
    Ok(key)
}

/// The `kty` and `crv` of a key for this algorithm.
fn kind(algorithm: Algorithm) -> (&'static str, Option<&'static str>) {
    match algorithm {
        Algorithm::ES256 => ("EC", Some("P-256")),
        Algorithm::ES384 => ("EC", Some("P-384")),
        Algorithm::ES512 => ("EC", Some("P-521")),
        Algorithm::Ed25519 => ("OKP", Some("Ed25519")),
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => ("AKP", None),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => ("oct", None),
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => ("RSA", None),
    }
}

/// The value of a member. `None` if the member is absent or null, because some servers write null
/// for a missing value.
fn member<'a, 'b>(jwk: &'a Object<'b>, name: &str) -> Option<&'a Value<'b>> {
    jwk.get(name).filter(|value| **value != Value::Null)
}

fn string<'a>(jwk: &'a Object<'_>, name: &'static str) -> Result<Option<&'a str>, KeyFault> {
    match member(jwk, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyFault("a member that must be a string is not a string")),
    }
}

/// The octets of a member whose length is fixed: a coordinate of a curve, or an Ed25519 or ML-DSA
/// key.
fn octets(jwk: &Object<'_>, name: &'static str) -> Result<Vec<u8>, KeyFault> {
    let text = string(jwk, name)?.ok_or(KeyFault("a member of the key is missing"))?;
    lenient(text).ok_or(KeyFault("a member of the key is not in base64"))
}

/// The octets of an unsigned number. Some libraries put a zero octet in front to mark the number as
/// not negative, and some use the wrong base64 alphabet. Both are accepted, although RFC 7518
/// §6.3.1 forbids both.
fn number(jwk: &Object<'_>, name: &'static str) -> Result<Vec<u8>, KeyFault> {
    let text = string(jwk, name)?.ok_or(KeyFault("a member of the key is missing"))?;
    let mut octets = lenient(text).ok_or(KeyFault("a number of the key is not base64"))?;
    if let [0, _, ..] = *octets {
        octets.remove(0);
    }
    Ok(octets)
}

/// Decodes both base64 alphabets, with or without padding.
fn lenient(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    URL.decode(text).or_else(|_| STANDARD.decode(text)).ok()
}
