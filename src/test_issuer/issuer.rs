//! The handle of the issuer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use super::clients::TestClient;
use super::fault::{Endpoint, Fault};
use super::keys::{TestKey, pem};
use super::state::{Counts, Documents, IntrospectionCall, Shared};
use crate::crypto::Algorithm;

/// The bundled issuer. All clones are the same issuer. The HTTP server stops when the last clone is
/// dropped.
#[derive(Clone)]
pub struct TestIssuer {
    pub(super) shared: Arc<Shared>,
}

impl TestIssuer {
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// The issuer's name.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The address of the HTTP server; `None` for an issuer in process.
    pub fn address(&self) -> Option<SocketAddr> {
        self.shared.address
    }

    /// The URL of the key set.
    pub fn jwks_uri(&self) -> String {
        format!("{}/jwks", self.shared.url)
    }

    /// The key set as JSON text.
    pub fn jwks(&self) -> String {
        self.shared.jwks()
    }

    /// The newest public key as PEM text. `None` for an HMAC secret.
    pub fn public_key_pem(&self) -> Option<String> {
        Some(pem("PUBLIC KEY", &self.shared.state().keys.last()?.spki()?))
    }

    /// The newest private key as PEM text, for a test client that signs. `None` for an HMAC secret
    /// and for ML-DSA.
    pub fn private_key_pem(&self) -> Option<String> {
        Some(pem("PRIVATE KEY", &self.shared.state().keys.last()?.pkcs8()?))
    }

    /// The newest key as octets. `None` if the key is not an HMAC secret.
    pub fn secret(&self) -> Option<Vec<u8>> {
        self.shared.state().keys.last()?.secret().map(<[u8]>::to_vec)
    }

    /// Adds a key and returns its kid. From now on, the issuer signs with the new key.
    pub fn add_key(&self, algorithm: Algorithm) -> String {
        let mut state = self.shared.state();
        state.minted_keys += 1;
        let kid = format!("key-{}", state.minted_keys);
        state.keys.push(TestKey::generate(kid.clone(), algorithm));
        kid
    }

    /// Replaces all keys with one new key, and returns its kid. The new key has the algorithm of
    /// the newest old key.
    pub fn rotate(&self) -> String {
        let algorithm = self.key_of(None).1;
        self.shared.state().keys.clear();
        self.add_key(algorithm)
    }

    /// Removes a key from the set.
    pub fn withdraw(&self, kid: &str) {
        self.shared.state().keys.retain(|key| key.kid != kid);
    }

    /// Replaces a key with a new one under the same kid.
    pub fn swap_key(&self, kid: &str) {
        for key in &mut self.shared.state().keys {
            if key.kid == kid {
                *key = TestKey::generate(key.kid.clone(), key.algorithm);
            }
        }
    }

    /// Sets additional entries of the key set. They are not checked. A second call replaces the
    /// entries of the first.
    pub fn set_extra_jwks(&self, entries: impl IntoIterator<Item = Value>) {
        self.shared.state().extra_jwks = entries.into_iter().collect();
    }

    /// Selects the metadata documents that are served.
    pub fn set_documents(&self, documents: Documents) {
        self.shared.state().documents = documents;
    }

    /// Writes a wrong `issuer` into the metadata.
    pub fn set_advertised_issuer(&self, issuer: &str) {
        self.shared.state().advertised_issuer = Some(issuer.to_owned());
    }

    /// Sends this `Cache-Control` with the key set.
    pub fn set_cache_control(&self, value: &str) {
        self.shared.state().cache_control = Some(value.to_owned());
    }

    /// Sets the fault of an endpoint. [`Fault::None`] removes the fault.
    pub fn set_fault(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.state().faults.insert(endpoint, fault);
    }

    /// The number of requests to each endpoint.
    pub fn counts(&self) -> Counts {
        self.shared.state().counts
    }

    /// The method and target of every request, in order.
    pub fn requests(&self) -> Vec<String> {
        self.shared.state().requests.clone()
    }

    /// The URL of the introspection endpoint.
    pub fn introspection_endpoint(&self) -> String {
        format!("{}/introspect", self.shared.url)
    }

    /// Allows a client to introspect and revoke. If no client is registered, every caller that
    /// sends a secret, a bearer token or only a `client_id` may do so. A signed assertion is
    /// accepted only from a registered client.
    pub fn register_client(&self, client: TestClient) {
        self.shared.state().clients.register(client);
    }

    /// Revokes a token, as a call of the revocation endpoint does (RFC 7009).
    pub fn revoke(&self, token: &str) {
        self.shared.state().tokens.revoke(token);
    }

    /// The calls of the introspection endpoint, in order.
    pub fn introspections(&self) -> Vec<IntrospectionCall> {
        self.shared.state().introspections.clone()
    }

    pub(crate) fn now(&self) -> u64 {
        self.shared.clock.wall().as_secs()
    }

    pub(crate) fn key_of(&self, kid: Option<&str>) -> (String, Algorithm) {
        self.with_key(kid, |key| (key.kid.clone(), key.algorithm))
    }

    /// Whether the key can sign with `algorithm`.
    pub(crate) fn can(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let rsa = |algorithm: Algorithm| matches!(&algorithm.name()[..1], "R" | "P");
        self.with_key(kid, |key| {
            key.algorithm == algorithm
                || rsa(key.algorithm) && rsa(algorithm)
                || key.secret().is_some() && algorithm.is_hmac()
        })
    }

    pub(crate) fn sign_with(
        &self,
        kid: Option<&str>,
        algorithm: Option<Algorithm>,
        input: &[u8],
    ) -> Vec<u8> {
        self.with_key(kid, |key| key.sign(algorithm.unwrap_or(key.algorithm), input))
    }

    fn with_key<T>(&self, kid: Option<&str>, read: impl FnOnce(&TestKey) -> T) -> T {
        let state = self.shared.state();
        let key = match kid {
            None => state.keys.last(),
            Some(kid) => state.keys.iter().find(|key| key.kid == kid),
        };
        read(key.expect("the issuer has this key"))
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("url", &self.shared.url).finish_non_exhaustive()
    }
}
