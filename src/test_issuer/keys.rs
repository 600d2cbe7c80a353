//! The issuer's private keys and their JWKs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::crypto::Algorithm;

/// A private key that signs with one algorithm.
pub(crate) struct TestKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa(PqdsaKeyPair),
    Hmac(Vec<u8>),
}

impl TestKey {
    /// Generates a key.
    pub(crate) fn generate(kid: String, algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => rsa(),
            Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => rsa(),
            Algorithm::ES256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::ES512 => ecdsa(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::Ed25519 => {
                Pair::Ed25519(Ed25519KeyPair::generate().expect("an Ed25519 key"))
            }
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Pair::Hmac(random(64)),
            Algorithm::MlDsa44 => ml_dsa(&signature::ML_DSA_44_SIGNING),
            Algorithm::MlDsa65 => ml_dsa(&signature::ML_DSA_65_SIGNING),
            Algorithm::MlDsa87 => ml_dsa(&signature::ML_DSA_87_SIGNING),
        };
        Self { kid, algorithm, pair }
    }

    /// Signs with `algorithm`. An RSA key signs with any RSA algorithm, and an HMAC secret with any
    /// HMAC algorithm. All other keys sign with their own algorithm, whatever `algorithm` is.
    ///
    /// # Panics
    /// If `algorithm` is not RSA for an RSA key, or not HMAC for a secret.
    pub(crate) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding: &'static dyn signature::RsaEncoding = match algorithm {
                    Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::PS256 => &signature::RSA_PSS_SHA256,
                    Algorithm::PS384 => &signature::RSA_PSS_SHA384,
                    Algorithm::PS512 => &signature::RSA_PSS_SHA512,
                    other => panic!("an RSA key can't sign with {other}"),
                };
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, input, &mut signed).expect("an RSA signature");
                signed
            }
            Pair::Ecdsa(pair) => pair.sign(&random, input).expect("a signature").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(input).as_ref().to_vec(),
            Pair::MlDsa(pair) => {
                let mut signed = vec![0; pair.algorithm().signature_len()];
                pair.sign(input, &mut signed).expect("a signature");
                signed
            }
            Pair::Hmac(secret) => hmac_with(algorithm, secret, input),
        }
    }

    /// The public key as a JWK. `None` for a secret, which is never published.
    pub(crate) fn jwk(&self) -> Option<Value> {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => json!({
                "kty": "RSA",
                "n": encode(pair.public_key().modulus().big_endian_without_leading_zero()),
                "e": encode(pair.public_key().exponent().big_endian_without_leading_zero()),
            }),
            Pair::Ecdsa(pair) => {
                // An uncompressed point: the octet 4, then x, then y.
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at((point.len() - 1) / 2);
                let crv = match self.algorithm {
                    Algorithm::ES256 => "P-256",
                    Algorithm::ES384 => "P-384",
                    _ => "P-521",
                };
                json!({ "kty": "EC", "crv": crv, "x": encode(x), "y": encode(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
            Pair::MlDsa(pair) => json!({ "kty": "AKP", "pub": encode(pair.public_key().as_ref()) }),
            Pair::Hmac(_) => return None,
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm.name());
        jwk["use"] = json!("sig");
        Some(jwk)
    }

    /// The secret of an HMAC key.
    pub(crate) fn secret(&self) -> Option<&[u8]> {
        match &self.pair {
            Pair::Hmac(secret) => Some(secret),
            _ => None,
        }
    }

    /// The private key as DER PKCS#8.
    pub(crate) fn pkcs8(&self) -> Option<Vec<u8>> {
        use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
        let private = |der: Pkcs8V1Der<'_>| der.as_ref().to_vec();
        match &self.pair {
            Pair::Rsa(pair) => pair.as_der().ok().map(private),
            Pair::Ecdsa(pair) => Some(pair.to_pkcs8v1().ok()?.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.as_der().ok().map(private),
            Pair::MlDsa(_) | Pair::Hmac(_) => None,
        }
    }

    /// The public key as DER SubjectPublicKeyInfo.
    pub(crate) fn spki(&self) -> Option<Vec<u8>> {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der().ok()?,
            Pair::Ecdsa(pair) => pair.public_key().as_der().ok()?,
            Pair::Ed25519(pair) => pair.public_key().as_der().ok()?,
            Pair::MlDsa(pair) => pair.public_key().as_der().ok()?,
            Pair::Hmac(_) => return None,
        };
        Some(der.as_ref().to_vec())
    }
}

/// An HMAC with any secret, for tokens that use a public key as the secret.
pub(crate) fn hmac_with(algorithm: Algorithm, secret: &[u8], input: &[u8]) -> Vec<u8> {
    let mac = match algorithm {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        other => panic!("a secret can't sign with {other}"),
    };
    hmac::sign(&hmac::Key::new(mac, secret), input).as_ref().to_vec()
}

/// Random octets as base64url text.
pub(crate) fn random_text(octets: usize) -> String {
    encode(random(octets))
}

/// A strong entity tag of a document.
pub(crate) fn etag(document: &str) -> String {
    let digest = digest::digest(&digest::SHA256, document.as_bytes());
    format!("\"{}\"", encode(&digest.as_ref()[..12]))
}

fn random(octets: usize) -> Vec<u8> {
    let mut bytes = vec![0; octets];
    rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

fn rsa() -> Pair {
    Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key")))
}

fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm) -> Pair {
    Pair::Ecdsa(EcdsaKeyPair::generate(algorithm).expect("an EC key"))
}

fn ml_dsa(algorithm: &'static signature::PqdsaSigningAlgorithm) -> Pair {
    Pair::MlDsa(PqdsaKeyPair::generate(algorithm).expect("an ML-DSA key"))
}

/// DER as PEM text.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Base64url without padding.
pub(super) fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}
