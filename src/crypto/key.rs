//! One prepared key, and the verification of a signature with it.
//!
//! The import checks everything about a key once, so that a signature check does not repeat it at
//! each request: sizes, curves, encodings, and the algorithms that the key supports.

use std::fmt;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, VerificationAlgorithm};
use aws_lc_rs::{constant_time, hmac};

use crate::crypto::{Algorithm, AlgorithmSet, edwards, roca};

/// Allowed sizes of an RSA modulus in bits. RFC 7518 §3.3 requires at least 2048. Above 8192, the
/// library does not support keys, and a check would take milliseconds.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Maximum size of an RSA exponent in bits. 65537 has 17 bits. A large exponent only slows down the
/// verifier.
const MAX_RSA_EXPONENT_BITS: usize = 33;

/// The length of a coordinate of P-521, the largest one, in octets (RFC 7518 §6.2.1.2).
const MAX_COORDINATE: usize = 66;

/// A verification key, with one prepared form for each algorithm that it supports.
pub(crate) struct VerificationKey {
    prepared: Vec<(Algorithm, Prepared)>,
}

enum Prepared {
    Public(ParsedPublicKey),
    /// Boxed, because a prepared secret is twenty times larger than a public key.
    Secret(Box<hmac::Key>),
}

/// Why a key cannot be used. The text is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyFault(pub(crate) &'static str);

impl VerificationKey {
    /// A key that verifies nothing, for the empty slots of a cache.
    #[cfg(feature = "dpop")]
    pub(crate) fn placeholder() -> Self {
        Self { prepared: Vec::new() }
    }

    /// An RSA key from its big-endian modulus and exponent (RFC 7518 §6.3.1).
    pub(crate) fn rsa(n: &[u8], e: &[u8], accepted: AlgorithmSet) -> Result<Self, KeyFault> {
        let bits = |number: &[u8]| match number.first() {
            None | Some(0) => Err(KeyFault("RSA number is empty or has leading zeros")),
            Some(first) => Ok(number.len() * 8 - first.leading_zeros() as usize),
        };
        if !RSA_BITS.contains(&bits(n)?) {
            return Err(KeyFault("RSA modulus has less than 2048 or more than 8192 bits"));
        }
        let exponent = bits(e)?;
        if !(2..=MAX_RSA_EXPONENT_BITS).contains(&exponent) || e.last().is_none_or(|e| e % 2 == 0) {
            return Err(KeyFault("RSA exponent is even, below 3 or above 33 bits"));
        }
        if n.last().is_none_or(|n| n % 2 == 0) {
            return Err(KeyFault("RSA modulus is even"));
        }
        if roca::has_fingerprint(n) {
            return Err(KeyFault("RSA key was made by a faulty generator (CVE-2017-15361)"));
        }
        let components = PublicKeyComponents { n, e };
        Self::prepare(accepted, |algorithm| {
            let parameters = rsa_parameters(algorithm)?;
            Some(components.to_parsed_public_key(parameters).map_err(|_| ()))
        })
    }

    /// A key on a NIST curve from its coordinates. Each coordinate must be exactly as long as the
    /// field (RFC 7518 §6.2.1). The point must be on the curve.
    pub(crate) fn ec(
        curve: &str,
        x: &[u8],
        y: &[u8],
        accepted: AlgorithmSet,
    ) -> Result<Self, KeyFault> {
        let (algorithm, length) = match curve {
            "P-256" => (Algorithm::ES256, 32),
            "P-384" => (Algorithm::ES384, 48),
            "P-521" => (Algorithm::ES512, 66),
            _ => return Err(KeyFault("curve is not P-256, P-384 or P-521")),
        };
        if x.len() != length || y.len() != length {
            return Err(KeyFault("coordinate does not have the length of the curve"));
        }
        // SEC 1 §2.3.3: uncompressed point.
        let mut point = [4; 1 + 2 * MAX_COORDINATE];
        for (to, from) in point.iter_mut().skip(1).zip(x.iter().chain(y)) {
            *to = *from;
        }
        Self::single(algorithm, point.get(..1 + 2 * length).unwrap_or_default(), accepted)
    }

    /// An Ed25519 key (RFC 8037 §2). The key must be a point of the curve and must not have small order.
    /// With a key of small order, anyone can make signatures without a private key.
    pub(crate) fn ed25519(x: &[u8], accepted: AlgorithmSet) -> Result<Self, KeyFault> {
        let x: &[u8; 32] = x.try_into().map_err(|_| KeyFault("Ed25519 key has not 32 octets"))?;
        if is_small_order(x) {
            return Err(KeyFault("Ed25519 key is of small order"));
        }
        if !edwards::is_point(x) {
            return Err(KeyFault("Ed25519 key is not a point of the curve"));
        }
        Self::single(Algorithm::Ed25519, x, accepted)
    }

    /// An ML-DSA key (RFC 9964 §3).
    pub(crate) fn ml_dsa(
        algorithm: Algorithm,
        public: &[u8],
        accepted: AlgorithmSet,
    ) -> Result<Self, KeyFault> {
        // FIPS 204, table 2.
        let length = match algorithm {
            Algorithm::MlDsa44 => 1312,
            Algorithm::MlDsa65 => 1952,
            Algorithm::MlDsa87 => 2592,
            _ => return Err(KeyFault("alg of an AKP key is not ML-DSA")),
        };
        if public.len() != length {
            return Err(KeyFault("ML-DSA key does not have the length of its algorithm"));
        }
        Self::single(algorithm, public, accepted)
    }

    /// A shared secret for one HMAC algorithm. The secret must be at least as long as the hash (RFC 7518
    /// §3.2).
    pub(crate) fn secret(secret: &[u8], algorithm: Algorithm) -> Result<Self, KeyFault> {
        let (mac, length) = match algorithm {
            Algorithm::HS256 => (hmac::HMAC_SHA256, 32),
            Algorithm::HS384 => (hmac::HMAC_SHA384, 48),
            Algorithm::HS512 => (hmac::HMAC_SHA512, 64),
            _ => return Err(KeyFault("a secret works with HS256, HS384 or HS512 only")),
        };
        if secret.len() < length {
            return Err(KeyFault("secret is shorter than the hash (RFC 7518 section 3.2)"));
        }
        let key = Box::new(hmac::Key::new(mac, secret));
        Ok(Self { prepared: vec![(algorithm, Prepared::Secret(key))] })
    }

    /// One of the algorithms that the key supports. The algorithm shows the kind of key.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.prepared.first().map(|(own, _)| *own)
    }

    /// Whether the key supports `algorithm`.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.prepared.iter().any(|(own, _)| *own == algorithm)
    }

    /// Restricts the key to `algorithm`, for a JWK with an `alg` (RFC 7517 §4.4).
    pub(crate) fn restrict(&mut self, algorithm: Algorithm) -> Result<(), KeyFault> {
        self.prepared.retain(|(own, _)| *own == algorithm);
        if self.prepared.is_empty() {
            return Err(KeyFault("alg does not match the key or is not accepted"));
        }
        Ok(())
    }

    /// Whether `signature` is a signature over `input` by this key. Returns `false` if the key does not
    /// support `algorithm`.
    pub(crate) fn verify(&self, algorithm: Algorithm, input: &[u8], signature: &[u8]) -> bool {
        match self.prepared.iter().find(|(own, _)| *own == algorithm) {
            None => false,
            Some((_, Prepared::Public(key))) => key.verify_sig(input, signature).is_ok(),
            Some((_, Prepared::Secret(key))) => {
                let tag = hmac::sign(key, input);
                constant_time::verify_slices_are_equal(tag.as_ref(), signature).is_ok()
            }
        }
    }

    fn single(
        algorithm: Algorithm,
        public: &[u8],
        accepted: AlgorithmSet,
    ) -> Result<Self, KeyFault> {
        let parameters = parameters(algorithm).ok_or(KeyFault("no public key algorithm"))?;
        if !accepted.contains(algorithm) {
            return Err(KeyFault("no accepted algorithm uses this kind of key"));
        }
        let key = ParsedPublicKey::new(parameters, public);
        let key = key.map_err(|_| KeyFault("no valid public key"))?;
        // A `Vec` with a capacity of one, to save memory: with DPoP, each client has its own key.
        Ok(Self { prepared: vec![(algorithm, Prepared::Public(key))] })
    }

    /// Prepares the key for each accepted algorithm of its kind. `parse` returns `None` for other
    /// algorithms.
    fn prepare(
        accepted: AlgorithmSet,
        parse: impl Fn(Algorithm) -> Option<Result<ParsedPublicKey, ()>>,
    ) -> Result<Self, KeyFault> {
        let mut prepared = Vec::new();
        for algorithm in accepted.iter() {
            if let Some(key) = parse(algorithm) {
                let key = key.map_err(|()| KeyFault("no valid public key"))?;
                prepared.push((algorithm, Prepared::Public(key)));
            }
        }
        if prepared.is_empty() {
            return Err(KeyFault("no accepted algorithm uses this kind of key"));
        }
        Ok(Self { prepared })
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.prepared.iter().map(|(algorithm, _)| algorithm)).finish()
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn parameters(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::ES512 => &signature::ECDSA_P521_SHA512_FIXED,
        Algorithm::Ed25519 => &signature::ED25519,
        Algorithm::MlDsa44 => &signature::ML_DSA_44,
        Algorithm::MlDsa65 => &signature::ML_DSA_65,
        Algorithm::MlDsa87 => &signature::ML_DSA_87,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => return None,
        rsa => rsa_parameters(rsa)?,
    })
}

/// Whether `x` encodes a point of order 1, 2, 4 or 8. All encodings are found, and the sign bit is
/// ignored. `x` is the coordinate y of RFC 8032 §5.1.2, little-endian. The numbers 0 and 1 have a second
/// encoding: p and p + 1, with p = 2^255 - 19.
fn is_small_order(x: &[u8; 32]) -> bool {
    /// 2^255 - 19 + `offset`, for -1, 0 and 1.
    fn near_p(offset: i8) -> [u8; 32] {
        let mut y = [0xff; 32];
        y[0] = 0xed_u8.wrapping_add_signed(offset);
        y[31] = 0x7f;
        y
    }
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let mut y = *x;
    y[31] &= 0x7f;
    let (mut zero, mut one) = ([0; 32], [0; 32]);
    one[0] = 1;
    zero[0] = 0;
    [zero, one, near_p(-1), near_p(0), near_p(1)].contains(&y) || ORDER_8.contains(&y)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::KeyPair as _;

    use super::*;

    #[test]
    fn ed25519_keys_of_small_order_are_refused() {
        let mut zero = [0_u8; 32];
        let mut one = [0_u8; 32];
        one[0] = 1;
        let mut minus_one = [0xff_u8; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        for mut x in [zero, one, minus_one] {
            assert!(VerificationKey::ed25519(&x, AlgorithmSet::DEFAULT).is_err());
            x[31] |= 0x80;
            assert!(VerificationKey::ed25519(&x, AlgorithmSet::DEFAULT).is_err());
        }
        // RFC 8032 §7.1, test 1.
        zero.copy_from_slice(&[
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64,
            0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68,
            0xf7, 0x07, 0x51, 0x1a,
        ]);
        assert!(VerificationKey::ed25519(&zero, AlgorithmSet::DEFAULT).is_ok());
        assert!(VerificationKey::ed25519(&zero[..31], AlgorithmSet::DEFAULT).is_err());
    }

    #[test]
    fn ed25519_keys_are_points_of_the_curve() {
        // RFC 8410 §10.3 has the first key.
        let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
        let head = spki.len();
        spki.extend_from_slice(&[0; 32]);
        // p + 3 is a second encoding of 3.
        let mut second = [0xff; 32];
        (second[0], second[31]) = (0xf0, 0x7f);
        let small = |y: u8, sign: u8| {
            let mut x = [0; 32];
            (x[0], x[31]) = (y, sign);
            x
        };
        for (name, x, good) in [
            ("2 is not a y", small(2, 0), false),
            ("2 is not a y, with either sign", small(2, 0x80), false),
            ("3", small(3, 0), true),
            ("3, the other x", small(3, 0x80), true),
            ("3, spelled p + 3", second, false),
        ] {
            let key = VerificationKey::ed25519(&x, AlgorithmSet::DEFAULT);
            assert_eq!(key.is_ok(), good, "{name}");
            spki[head..].copy_from_slice(&x);
            assert_eq!(VerificationKey::spki(&spki, AlgorithmSet::DEFAULT).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn ec_keys_are_points_of_the_curve() {
        for (curve, algorithm, length) in [
            ("P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING, 32),
            ("P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING, 48),
            ("P-521", &signature::ECDSA_P521_SHA512_FIXED_SIGNING, 66),
        ] {
            let pair = signature::EcdsaKeyPair::generate(algorithm).unwrap();
            let (x, y) = pair.public_key().as_ref()[1..].split_at(length);
            let ec = |x: &[u8], y: &[u8]| {
                VerificationKey::ec(curve, x, y, AlgorithmSet::DEFAULT).map(drop)
            };
            let fault = Err(KeyFault("no valid public key"));
            assert_eq!(ec(x, y), Ok(()), "{curve}");
            let mut off = y.to_vec();
            off[length - 1] ^= 1;
            assert_eq!(ec(x, &off), fault, "{curve}: another y");
            assert_eq!(ec(y, x), fault, "{curve}: the other way round");
            let zero = vec![0; length];
            assert_eq!(ec(&zero, &zero), fault, "{curve}: 0, 0");
            assert_eq!(ec(&vec![0xff; length], y), fault, "{curve}: x beyond the field");
            assert_eq!(ec(x, &vec![0xff; length]), fault, "{curve}: y beyond the field");
        }
    }

    #[test]
    fn secrets_are_as_long_as_the_hash() {
        for (algorithm, length) in
            [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
        {
            assert!(VerificationKey::secret(&vec![7; length], algorithm).is_ok());
            assert!(VerificationKey::secret(&vec![7; length - 1], algorithm).is_err());
        }
        assert!(VerificationKey::secret(&[7; 64], Algorithm::RS256).is_err());
    }

    #[test]
    fn rsa_numbers() {
        let mut n = vec![0xff; 256];
        let e = [1, 0, 1];
        let rsa = |n: &[u8], e: &[u8]| VerificationKey::rsa(n, e, AlgorithmSet::DEFAULT).is_ok();
        assert!(rsa(&n, &e));
        assert!(rsa(&n, &[3]));
        assert!(rsa(&n, &[1, 0, 0, 0, 1]), "33 bits");
        assert!(!rsa(&n, &[2, 0, 0, 0, 1]), "34 bits");
        assert!(!rsa(&n, &[1]));
        assert!(!rsa(&n, &[4]));
        assert!(!rsa(&n, &[]));
        assert!(!rsa(&n, &[0, 1, 0, 1]));
        assert!(!rsa(&[&[0], n.as_slice()].concat(), &e));
        assert!(!rsa(&n[..255], &e), "2040 bits");
        assert!(rsa(&[0xff; 1024], &e));
        assert!(!rsa(&[0xff; 1025], &e), "8200 bits");
        n[255] = 0xfe;
        assert!(!rsa(&n, &e), "even");
    }
}
