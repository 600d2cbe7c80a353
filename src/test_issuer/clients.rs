//! Which clients may introspect and revoke, and how they authenticate.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::crypto::{Algorithm, AlgorithmSet, VerificationKey};
use crate::token::jwt::JwtHead;

/// The supported methods of client authentication (RFC 7591 §2, RFC 8705 §2).
pub(crate) const METHODS: [&str; 5] = [
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
];

/// A client that a [`TestIssuer`](super::TestIssuer) knows.
#[derive(Clone)]
pub struct TestClient {
    id: Option<String>,
    proof: Proof,
}

#[derive(Clone)]
enum Proof {
    Secret(String),
    PublicKey(Vec<u8>),
    Bearer(String),
    Certificate,
}

impl TestClient {
    /// A client with a secret. The client sends the secret in the header or the form, or signs an
    /// assertion with it.
    pub fn secret(id: &str, secret: &str) -> Self {
        Self { id: Some(id.to_owned()), proof: Proof::Secret(secret.to_owned()) }
    }

    /// A client that signs assertions. `pem` is its public key.
    pub fn public_key(id: &str, pem: &str) -> Self {
        Self { id: Some(id.to_owned()), proof: Proof::PublicKey(pem.into()) }
    }

    /// Any caller that has this token.
    pub fn bearer(token: &str) -> Self {
        Self { id: None, proof: Proof::Bearer(token.to_owned()) }
    }

    /// A client with a certificate (RFC 8705 §2). A TLS proxy in front of the issuer must check the
    /// certificate. The issuer itself does not see the certificate.
    pub fn certificate(id: &str) -> Self {
        Self { id: Some(id.to_owned()), proof: Proof::Certificate }
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A caller with valid credentials.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caller {
    pub(crate) id: String,
    pub(crate) method: &'static str,
}

#[derive(Default)]
pub(crate) struct Clients {
    known: Vec<TestClient>,
    /// The `jti` of used assertions. Each is accepted once (RFC 7523 §3).
    assertions: HashSet<String>,
}

impl Clients {
    pub(crate) fn register(&mut self, client: TestClient) {
        self.known.push(client);
    }

    /// Authenticates the caller (RFC 6749 §2.3, RFC 7523 §3, RFC 8705 §2). Returns `None` without
    /// valid credentials. `audiences` are the texts that an assertion may have in `aud`.
    pub(crate) fn authenticate(
        &mut self,
        headers: &HeaderMap,
        form: &[(String, String)],
        audiences: &[String],
        now: u64,
    ) -> Option<Caller> {
        let parameter =
            |name: &str| form.iter().find(|(own, _)| own == name).map(|(_, text)| text.as_str());
        if let Some(header) = headers.get(AUTHORIZATION) {
            let header = header.to_str().ok()?;
            if let Some(token) = header.strip_prefix("Bearer ") {
                return self
                    .knows(None, |proof| matches!(proof, Proof::Bearer(own) if own == token))
                    .then(|| Caller { id: "bearer".to_owned(), method: "bearer" });
            }
            let pair = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
            let pair = String::from_utf8(pair).ok()?;
            let (id, secret) = pair.split_once(':')?;
            let (id, secret) = (decode(id)?, decode(secret)?);
            return self.with_secret(id, &secret, "client_secret_basic");
        }
        let id = parameter("client_id")?.to_owned();
        if let Some(secret) = parameter("client_secret") {
            return self.with_secret(id, secret, "client_secret_post");
        }
        if let Some(assertion) = parameter("client_assertion") {
            return self.with_assertion(id, assertion, audiences, now);
        }
        self.knows(Some(&id), |proof| matches!(proof, Proof::Certificate))
            .then_some(Caller { id, method: "tls_client_auth" })
    }

    fn with_secret(&self, id: String, secret: &str, method: &'static str) -> Option<Caller> {
        self.knows(Some(&id), |proof| matches!(proof, Proof::Secret(own) if own == secret))
            .then_some(Caller { id, method })
    }

    fn with_assertion(
        &mut self,
        id: String,
        assertion: &str,
        audiences: &[String],
        now: u64,
    ) -> Option<Caller> {
        let mut decoded = Vec::new();
        let jwt = JwtHead::parse(assertion.as_bytes(), None).ok()?.open(&mut decoded).ok()?;
        let algorithm = jwt.header.algorithm;
        let text = |name: &str| jwt.claims.get(name).and_then(|value| value.as_str());
        let number = |name: &str| jwt.claims.get(name).and_then(|value| value.as_f64());
        let for_us = audiences.iter().any(|own| text("aud") == Some(own));
        let lives = number("exp").is_some_and(|exp| exp > now as f64 && exp < now as f64 + 600.0);
        let named = text("iss") == Some(&id) && text("sub") == Some(&id);
        let jti = text("jti")?.to_owned();
        if !(for_us && lives && named) {
            return None;
        }
        let keys: Vec<_> = self
            .known
            .iter()
            .filter(|client| client.id.as_deref() == Some(&id))
            .filter_map(|client| verification_key(&client.proof, algorithm))
            .collect();
        let verified = jwt.verify(|_, input, signature| {
            keys.iter().any(|key| key.verify(algorithm, input, signature))
        });
        let method = if algorithm.is_hmac() { "client_secret_jwt" } else { "private_key_jwt" };
        (verified.is_some() && self.assertions.insert(jti)).then_some(Caller { id, method })
    }

    /// Whether a known client has this id and these credentials. If no client is known, every
    /// client is accepted.
    fn knows(&self, id: Option<&str>, proof: impl Fn(&Proof) -> bool) -> bool {
        self.known.is_empty()
            || self.known.iter().any(|client| client.id.as_deref() == id && proof(&client.proof))
    }
}

fn verification_key(proof: &Proof, algorithm: Algorithm) -> Option<VerificationKey> {
    match proof {
        Proof::Secret(secret) if algorithm.is_hmac() => {
            VerificationKey::secret(secret.as_bytes(), algorithm).ok()
        }
        Proof::PublicKey(pem) => crate::keys::pem(pem, AlgorithmSet::DEFAULT).ok(),
        _ => None,
    }
}

/// Decodes one form-encoded value (RFC 6749 appendix B).
fn decode(text: &str) -> Option<String> {
    form_urlencoded::parse(format!("v={text}").as_bytes()).next().map(|(_, value)| value.into())
}
