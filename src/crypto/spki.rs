//! Parses a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
//!
//! The result has the same parts as a JWK of the same key, so that a key passes the same checks in
//! every format. The whole `AlgorithmIdentifier` decides the kind of key and is compared octet by
//! octet. The following are therefore refused: curves given by parameters instead of by name
//! (CVE-2020-0601), RSA keys with RSASSA-PSS parameters, and all other kinds of key.

use crate::crypto::key::{KeyFault, VerificationKey};
use crate::crypto::{Algorithm, AlgorithmSet};

/// DER tags (X.690 §8).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The content of each `AlgorithmIdentifier`. RFC 3279 §2.3.1 with its NULL, RFC 5480 §2.1.1 with
/// the named curve, RFC 8410 §3 and RFC 9881 §2 without parameters.
const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0];
const P_256: &[u8] =
    &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P_384: &[u8] =
    &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 5, 0x2b, 0x81, 4, 0, 0x22];
const P_521: &[u8] =
    &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 5, 0x2b, 0x81, 4, 0, 0x23];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];
const ML_DSA_44: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 0x11];
const ML_DSA_65: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 0x12];
const ML_DSA_87: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 0x13];

const MALFORMED: KeyFault = KeyFault("not a DER SubjectPublicKeyInfo");

impl VerificationKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) of any supported kind of key.
    pub(crate) fn spki(der: &[u8], accepted: AlgorithmSet) -> Result<Self, KeyFault> {
        key(der, accepted)
    }
}

fn key(der: &[u8], accepted: AlgorithmSet) -> Result<VerificationKey, KeyFault> {
    let (algorithm, key) = parts(der).ok_or(MALFORMED)?;
    match algorithm {
        RSA => {
            let (n, e) = rsa_numbers(key).ok_or(MALFORMED)?;
            VerificationKey::rsa(n, e, accepted)
        }
        P_256 => ec("P-256", key, accepted),
        P_384 => ec("P-384", key, accepted),
        P_521 => ec("P-521", key, accepted),
        ED25519 => VerificationKey::ed25519(key, accepted),
        ML_DSA_44 => VerificationKey::ml_dsa(Algorithm::MlDsa44, key, accepted),
        ML_DSA_65 => VerificationKey::ml_dsa(Algorithm::MlDsa65, key, accepted),
        ML_DSA_87 => VerificationKey::ml_dsa(Algorithm::MlDsa87, key, accepted),
        _ => Err(KeyFault("kind of public key is not supported")),
    }
}

/// The octets of the algorithm identifier and of the key.
fn parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let info = only(SEQUENCE, der)?;
    let (algorithm, rest) = take(SEQUENCE, info)?;
    match only(BIT_STRING, rest)? {
        [0, key @ ..] => Some((algorithm, key)),
        _ => None,
    }
}

/// `RSAPublicKey` (RFC 8017 §A.1.1): modulus and exponent, each without its leading sign octet.
fn rsa_numbers(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (n, rest) = take(INTEGER, only(SEQUENCE, key)?)?;
    let e = only(INTEGER, rest)?;
    Some((unsigned(n)?, unsigned(e)?))
}

fn unsigned(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        // The sign octet is allowed only if the first bit of the number is set.
        [0, number @ ..] if number.first().is_some_and(|first| *first >= 0x80) => Some(number),
        [1..0x80, ..] => Some(integer),
        _ => None,
    }
}

/// An uncompressed point (RFC 5480 §2.2).
fn ec(curve: &str, point: &[u8], accepted: AlgorithmSet) -> Result<VerificationKey, KeyFault> {
    match point {
        [4, coordinates @ ..] if coordinates.len() % 2 == 0 => {
            let (x, y) = coordinates.split_at(coordinates.len() / 2);
            VerificationKey::ec(curve, x, y, accepted)
        }
        _ => Err(KeyFault("the point is not uncompressed")),
    }
}

/// The content of a value that must fill all of `der`.
fn only(tag: u8, der: &[u8]) -> Option<&[u8]> {
    match take(tag, der)? {
        (contents, []) => Some(contents),
        _ => None,
    }
}

/// The content of the first value, and the octets after it. Lengths must have the shortest form
/// (X.690 §10.1) and be below 64 KiB.
fn take(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [own, rest @ ..] = der else {
        return None;
    };
    let (length, rest) = match rest {
        [length, rest @ ..] if *length < 0x80 => (usize::from(*length), rest),
        [0x81, length, rest @ ..] if *length >= 0x80 => (usize::from(*length), rest),
        [0x82, high, low, rest @ ..] if *high > 0 => {
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        _ => return None,
    };
    if *own != tag {
        return None;
    }
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests;
