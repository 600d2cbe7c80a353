//! Signs client assertions (RFC 7523). This module never signs access tokens.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::crypto::{Algorithm, KeyFault};

/// Minimum size in bits of an RSA key that signs (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// Minimum length in octets of a secret that signs with HS256 (RFC 7518 §3.2).
const MIN_SECRET: usize = 32;

/// A private key or a secret, with the algorithm that it signs with.
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    key: Key,
}

enum Key {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Hmac(Box<hmac::Key>),
}

impl SigningKey {
    /// Reads a private key from PEM text with the label `PRIVATE KEY` (PKCS#8, RFC 5958).
    pub(crate) fn pem(pem: &[u8], algorithm: Algorithm) -> Result<Self, KeyFault> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem)
            .map_err(|_| KeyFault("no PEM block with the label PRIVATE KEY"))?;
        let der = der.secret_pkcs8_der();
        let unfit = KeyFault("private key does not match the algorithm");
        let key = match algorithm {
            Algorithm::RS256 => Key::Rsa(rsa(der)?, &signature::RSA_PKCS1_SHA256),
            Algorithm::PS256 => Key::Rsa(rsa(der)?, &signature::RSA_PSS_SHA256),
            Algorithm::ES256 => {
                let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
                Key::Ecdsa(EcdsaKeyPair::from_pkcs8(curve, der).map_err(|_| unfit)?)
            }
            Algorithm::Ed25519 => Key::Ed25519(Ed25519KeyPair::from_pkcs8(der).map_err(|_| unfit)?),
            _ => return Err(KeyFault("a client can sign with ES256, RS256, PS256 or Ed25519")),
        };
        Ok(Self { algorithm, key })
    }

    /// A secret that signs with HS256.
    pub(crate) fn secret(secret: &[u8]) -> Result<Self, KeyFault> {
        if secret.len() < MIN_SECRET {
            return Err(KeyFault("secret is shorter than the hash (RFC 7518 section 3.2)"));
        }
        let key = Key::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret)));
        Ok(Self { algorithm: Algorithm::HS256, key })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs `input`. Returns `None` if the library fails, for example because the system has no
    /// randomness.
    pub(crate) fn sign(&self, input: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(pair, encoding) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, input, &mut signed).ok()?;
                Some(signed)
            }
            Key::Ecdsa(pair) => pair.sign(&random, input).ok().map(|signed| signed.as_ref().into()),
            Key::Ed25519(pair) => Some(pair.sign(input).as_ref().into()),
            Key::Hmac(key) => Some(hmac::sign(key, input).as_ref().into()),
        }
    }
}

fn rsa(der: &[u8]) -> Result<RsaKeyPair, KeyFault> {
    let pair = RsaKeyPair::from_pkcs8(der)
        .map_err(|_| KeyFault("private key does not match the algorithm"))?;
    if pair.public_modulus_len() * 8 < MIN_RSA_BITS {
        return Err(KeyFault("RSA modulus has less than 2048 bits"));
    }
    Ok(pair)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::KeyPair as _;
    use base64::Engine as _;

    use crate::crypto::{AlgorithmSet, VerificationKey};

    fn pem(der: &[u8]) -> Vec<u8> {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").into_bytes()
    }

    #[test]
    fn what_a_client_signs_verifies_with_its_public_key() {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let ec = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let spki = |der: PublicKeyX509Der<'_>| der.as_ref().to_vec();
        let (rsa_private, ec_private, ed_private) = (
            pem(AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap().as_ref()),
            pem(ec.to_pkcs8v1().unwrap().as_ref()),
            pem(AsDer::<Pkcs8V1Der<'_>>::as_der(&ed).unwrap().as_ref()),
        );
        let rsa_public = spki(rsa.public_key().as_der().unwrap());
        for (algorithm, private, public) in [
            (Algorithm::RS256, &rsa_private, rsa_public.clone()),
            (Algorithm::PS256, &rsa_private, rsa_public),
            (Algorithm::ES256, &ec_private, spki(ec.public_key().as_der().unwrap())),
            (Algorithm::Ed25519, &ed_private, spki(ed.public_key().as_der().unwrap())),
        ] {
            let key = SigningKey::pem(private, algorithm).unwrap();
            let public = VerificationKey::spki(&public, AlgorithmSet::DEFAULT).unwrap();
            let signed = key.sign(b"input").unwrap();
            assert!(public.verify(algorithm, b"input", &signed), "{algorithm}");
            assert!(!public.verify(algorithm, b"other", &signed), "{algorithm}");
            assert!(!format!("{key:?}").contains('['), "{key:?}");
        }
        assert!(SigningKey::pem(&rsa_private, Algorithm::ES256).is_err());
        assert!(SigningKey::pem(&ec_private, Algorithm::RS256).is_err());
        assert!(SigningKey::pem(&ec_private, Algorithm::ES384).is_err());
        assert!(SigningKey::pem(b"no PEM", Algorithm::ES256).is_err());
    }

    #[test]
    fn secrets_are_as_long_as_the_hash() {
        assert!(SigningKey::secret(&[7; 31]).is_err());
        let signed = SigningKey::secret(&[7; 32]).unwrap().sign(b"input").unwrap();
        let key = VerificationKey::secret(&[7; 32], Algorithm::HS256).unwrap();
        assert!(key.verify(Algorithm::HS256, b"input", &signed));
    }
}
