//! A client with a key, for tests of tokens that are bound to a key (DPoP, RFC 9449).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::keys::{TestKey, encode, random_text};
use crate::clock::{Clock, SystemClock};
use crate::crypto::{Algorithm, sha256};
use crate::keys::jwk_thumbprint;

/// A client that proves that it has a key (DPoP, RFC 9449). All clones have the same key and the same nonce.
///
/// ```
/// use tower_resource_server::keys::Algorithm;
/// use tower_resource_server::test_issuer::{TestIssuer, TestProver};
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let client = TestProver::generate(Algorithm::ES256);
/// let token = issuer.token().bound_to_key(&client).sign();
/// let proof = client.proof("GET", "https://api.example.com/notes").token(&token).sign();
/// assert_eq!(proof.split('.').count(), 3);
/// ```
#[derive(Clone)]
pub struct TestProver {
    key: Arc<TestKey>,
    nonce: Arc<Mutex<Option<String>>>,
    clock: Arc<dyn Clock>,
}

impl TestProver {
    /// A client with a new key for this algorithm. With an HMAC algorithm, the client makes proofs that every server
    /// must refuse.
    pub fn generate(algorithm: Algorithm) -> Self {
        Self {
            key: Arc::new(TestKey::generate("proof".to_owned(), algorithm)),
            nonce: Arc::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Sets the client's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The thumbprint of the key (`jkt`, RFC 9449 §6.1, RFC 7638).
    pub fn thumbprint(&self) -> String {
        jwk_thumbprint(&self.jwk().to_string()).unwrap_or_default()
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.key.jwk().unwrap_or_else(|| json!({ "kty": "oct", "k": "c2VjcmV0" }));
        if let Value::Object(members) = &mut jwk {
            members.retain(|name, _| !["kid", "use", "alg"].contains(&name.as_str()));
        }
        jwk
    }

    /// Remembers the nonce of a response (`DPoP-Nonce`, RFC 9449 §8) for the next proofs, as a real client does.
    /// Returns whether the response has one.
    pub fn remember_nonce(&self, response: &HeaderMap) -> bool {
        let nonce = response.get("dpop-nonce").and_then(|nonce| nonce.to_str().ok());
        let Some(nonce) = nonce else { return false };
        *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
        true
    }

    /// Starts a proof for a request with this method to this URL. The proof has the remembered nonce, if any.
    pub fn proof(&self, method: &str, url: &str) -> ProofBuilder<'_> {
        let claims = json!({
            "jti": random_text(16),
            "htm": method,
            "htu": url,
            "iat": self.clock.wall().as_secs(),
        });
        let header = json!({
            "typ": "dpop+jwt",
            "alg": self.key.algorithm.name(),
            "jwk": self.jwk(),
        });
        let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let builder = ProofBuilder { prover: self, header: object(header), claims: object(claims) };
        match nonce {
            Some(nonce) => builder.claim("nonce", nonce),
            None => builder,
        }
    }
}

impl fmt::Debug for TestProver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestProver").field("algorithm", &self.key.algorithm).finish_non_exhaustive()
    }
}

/// Builds a proof; see [`TestProver::proof`]. For a good proof, only the [`token`](Self::token) must be set.
#[must_use = "a builder makes nothing until `sign`"]
pub struct ProofBuilder<'a> {
    prover: &'a TestProver,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl ProofBuilder<'_> {
    /// Sets `ath`, the hash of the access token.
    pub fn token(self, token: &str) -> Self {
        self.claim("ath", encode(sha256(token.as_bytes())))
    }

    /// Sets the server's nonce, instead of the nonce that the client remembers.
    pub fn nonce(self, nonce: &str) -> Self {
        self.claim("nonce", nonce)
    }

    /// Sets `iat` to this number of seconds from now. A negative number is in the past.
    pub fn made_in(self, seconds: i64) -> Self {
        let now = self.prover.clock.wall().as_secs();
        self.claim("iat", now.saturating_add_signed(seconds))
    }

    /// Sets any claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets any member of the header. This does not change the key that signs.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a member of the header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Makes the proof.
    pub fn sign(self) -> String {
        let (header, claims) = (Value::Object(self.header), Value::Object(self.claims));
        let input = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.prover.key.sign(self.prover.key.algorithm, input.as_bytes());
        format!("{input}.{}", encode(signature))
    }
}

impl fmt::Debug for ProofBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofBuilder").field("prover", &self.prover).finish_non_exhaustive()
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
