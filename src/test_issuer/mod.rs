//! A small authorization server for tests, in process and over HTTP.
//!
//! It mints any access token a test can ask for, serves its metadata and keys, rotates, counts what
//! it is asked, and misbehaves on command. It gives a token to whoever asks: never let it near
//! production. For tests of handlers alone, [`inject`] puts an access token into a request without
//! any token.
//!
//! Two kinds of time are in a test, and tokio's `start_paused` stops one of them. Ages and the times of
//! tokens go by the [`Clock`]: give a [`TestClock`](crate::TestClock) to the builders of
//! the server and of the issuer, and move it. Deadlines go by tokio's timers. With
//! `#[tokio::test(start_paused = true)]` tokio skips ahead to the next timer whenever nothing else is to
//! be done, and it does not count a socket as something: a fetch over HTTP then runs into its deadline
//! at once, and the answer is 503. So use `start_paused` with an issuer [in
//! process](TestIssuer::in_process) or a [`KeySource`](crate::KeySource), and let a test that talks to a
//! port run in real time.
//!
//! ```
//! use tower_resource_server::test_issuer::TestIssuer;
//! use tower_resource_server::{Issuer, ResourceServer};
//!
//! let issuer = TestIssuer::in_process("https://as.example.com");
//! let api = ResourceServer::builder()
//!     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
//!     .audience("https://api.example.com")
//!     .build()?;
//!
//! # tokio_test(async move {
//! let request = |token: String| {
//!     let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
//!     request.body(()).unwrap().into_parts().0
//! };
//! let good = api.authenticate(&request(issuer.token().scope("notes:read").sign())).await;
//! assert!(good.unwrap().token.scope().contains("notes:read"));
//!
//! let expired = api.authenticate(&request(issuer.token().expires_in(-600).sign())).await;
//! assert_eq!(expired.unwrap_err().status(), 401);
//! # });
//! # fn tokio_test(future: impl Future<Output = ()>) {
//! #     tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
//! # }
//! # Ok::<(), tower_resource_server::ConfigError>(())
//! ```

mod clients;
mod dress;
mod fault;
mod handles;
mod inject;
mod introspect;
mod keys;
mod mint;
mod server;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::clock::{Clock, SystemClock};
use crate::crypto::Algorithm;

pub use clients::TestClient;
pub use fault::{Endpoint, Fault};
pub use inject::{InjectLayer, InjectService, inject};
pub use introspect::IntrospectionCall;
use keys::TestKey;
pub use mint::TokenBuilder;
use server::ServerTask;

/// The bundled issuer. Clones are the same issuer; the server stops with the last of them.
#[derive(Clone)]
pub struct TestIssuer {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    url: String,
    path: String,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    server: Mutex<Option<ServerTask>>,
    address: Option<SocketAddr>,
}

struct State {
    keys: Vec<TestKey>,
    minted_keys: u32,
    extra_jwks: Vec<Value>,
    documents: Documents,
    advertised_issuer: Option<String>,
    cache_control: Option<String>,
    faults: HashMap<Endpoint, Fault>,
    counts: Counts,
    requests: Vec<String>,
    tokens: handles::Tokens,
    clients: clients::Clients,
    introspections: Vec<IntrospectionCall>,
}

/// Which metadata documents the issuer serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Documents {
    /// Both.
    #[default]
    Both,
    /// RFC 8414 alone.
    OAuth,
    /// OpenID Connect Discovery alone, appended to the issuer's path.
    OpenId,
}

/// How often each endpoint was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Metadata documents served, or meant to be.
    pub metadata: u32,
    /// Requests for anything that is not there.
    pub not_found: u32,
    /// Requests for the key set.
    pub jwks: u32,
    /// Requests for tokens.
    pub token: u32,
    /// Calls of the introspection endpoint.
    pub introspection: u32,
    /// Calls of the revocation endpoint.
    pub revocation: u32,
}

/// Sets up a [`TestIssuer`].
#[must_use = "a builder starts nothing until `start`"]
pub struct TestIssuerBuilder {
    algorithm: Algorithm,
    path: String,
    clock: Arc<dyn Clock>,
    bind: SocketAddr,
}

impl TestIssuerBuilder {
    /// The algorithm of the first key: ES256 unless set.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// A path of the issuer's URL, such as `/t1`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The clock by which tokens are dated.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The address to serve at: a free port of 127.0.0.1 unless set.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = address;
        self
    }

    /// Starts to serve over HTTP.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub async fn start(self) -> std::io::Result<TestIssuer> {
        let listener = server::bind(self.bind).await?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}{}", self.path);
        let issuer = self.build(url, Some(address));
        issuer.shared.serve(listener);
        Ok(issuer)
    }

    /// An issuer of the name `url` that serves nothing; its keys go into code.
    pub fn in_process(self, url: &str) -> TestIssuer {
        self.build(url.to_owned(), None)
    }

    fn build(self, url: String, address: Option<SocketAddr>) -> TestIssuer {
        let state = State {
            keys: Vec::new(),
            minted_keys: 0,
            extra_jwks: Vec::new(),
            documents: Documents::Both,
            advertised_issuer: None,
            cache_control: None,
            faults: HashMap::new(),
            counts: Counts::default(),
            requests: Vec::new(),
            tokens: handles::Tokens::default(),
            clients: clients::Clients::default(),
            introspections: Vec::new(),
        };
        let shared = Shared {
            url,
            path: self.path,
            clock: self.clock,
            state: Mutex::new(state),
            server: Mutex::default(),
            address,
        };
        let issuer = TestIssuer { shared: Arc::new(shared) };
        issuer.add_key(self.algorithm);
        issuer
    }
}

impl TestIssuer {
    /// Sets up an issuer.
    pub fn builder() -> TestIssuerBuilder {
        TestIssuerBuilder {
            algorithm: Algorithm::ES256,
            path: String::new(),
            clock: Arc::new(SystemClock::new()),
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }

    /// Starts an issuer over HTTP on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        Self::builder().start().await
    }

    /// An issuer of the name `url` that serves nothing.
    pub fn in_process(url: &str) -> Self {
        Self::builder().in_process(url)
    }

    /// The issuer's name.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Where the issuer serves; none in process.
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

    /// The newest key as PEM text; none for a secret.
    pub fn public_key_pem(&self) -> Option<String> {
        Some(pem("PUBLIC KEY", &self.shared.state().keys.last()?.spki()?))
    }

    /// The newest key as PEM text with its private half, for a client of a test that signs; none
    /// for a secret and for ML-DSA.
    pub fn private_key_pem(&self) -> Option<String> {
        Some(pem("PRIVATE KEY", &self.shared.state().keys.last()?.pkcs8()?))
    }

    /// The newest key as octets if it is a secret.
    pub fn secret(&self) -> Option<Vec<u8>> {
        self.shared.state().keys.last()?.secret().map(<[u8]>::to_vec)
    }

    /// Starts a token; see [`TokenBuilder`].
    pub fn token(&self) -> TokenBuilder<'_> {
        TokenBuilder::new(self)
    }

    /// Adds a key, which signs from now on, and returns its kid.
    pub fn add_key(&self, algorithm: Algorithm) -> String {
        let mut state = self.shared.state();
        state.minted_keys += 1;
        let kid = format!("key-{}", state.minted_keys);
        state.keys.push(TestKey::generate(kid.clone(), algorithm));
        kid
    }

    /// Replaces all keys by a new one of the same algorithm and returns its kid.
    pub fn rotate(&self) -> String {
        let algorithm = self.key_of(None).1;
        self.shared.state().keys.clear();
        self.add_key(algorithm)
    }

    /// Takes a key out of the set.
    pub fn withdraw(&self, kid: &str) {
        self.shared.state().keys.retain(|key| key.kid != kid);
    }

    /// Replaces a key by a new one under the same kid.
    pub fn swap_key(&self, kid: &str) {
        for key in &mut self.shared.state().keys {
            if key.kid == kid {
                *key = TestKey::generate(key.kid.clone(), key.algorithm);
            }
        }
    }

    /// Puts further entries into the key set, whatever they are.
    pub fn set_extra_jwks(&self, entries: impl IntoIterator<Item = Value>) {
        self.shared.state().extra_jwks = entries.into_iter().collect();
    }

    /// Serves only some metadata documents.
    pub fn set_documents(&self, documents: Documents) {
        self.shared.state().documents = documents;
    }

    /// Writes another `issuer` into the metadata than it is.
    pub fn set_advertised_issuer(&self, issuer: &str) {
        self.shared.state().advertised_issuer = Some(issuer.to_owned());
    }

    /// Sends this `Cache-Control` with the key set.
    pub fn set_cache_control(&self, value: &str) {
        self.shared.state().cache_control = Some(value.to_owned());
    }

    /// Makes an endpoint misbehave, or behave again with [`Fault::None`].
    pub fn set_fault(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.state().faults.insert(endpoint, fault);
    }

    /// How often each endpoint was asked.
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

    /// Lets a client introspect and revoke. As long as there is none, everyone may who shows any
    /// credentials.
    pub fn register_client(&self, client: TestClient) {
        self.shared.state().clients.register(client);
    }

    /// Revokes a token, as a call of the revocation endpoint does (RFC 7009).
    pub fn revoke(&self, token: &str) {
        self.shared.state().tokens.revoke(token);
    }

    /// What each call of the introspection endpoint brought, in order.
    pub fn introspections(&self) -> Vec<IntrospectionCall> {
        self.shared.state().introspections.clone()
    }

    /// Stops to serve: connections are refused until [`restart`](Self::restart).
    pub fn stop(&self) {
        drop(self.shared.server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Serves again at the same address.
    ///
    /// # Errors
    /// When the address can't be bound, or the issuer never served.
    pub async fn restart(&self) -> std::io::Result<()> {
        let address = self.shared.address.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        self.stop();
        let listener = server::bind(address).await?;
        self.shared.serve(listener);
        Ok(())
    }

    pub(crate) fn now(&self) -> u64 {
        self.shared.clock.wall().as_secs()
    }

    pub(crate) fn key_of(&self, kid: Option<&str>) -> (String, Algorithm) {
        self.with_key(kid, |key| (key.kid.clone(), key.algorithm))
    }

    /// Whether the key is of the family of `algorithm`.
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

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(self: &Arc<Self>, listener: tokio::net::TcpListener) {
        let task = ServerTask::spawn(listener, Arc::downgrade(self));
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    fn jwks(&self) -> String {
        let state = self.state();
        let own = state.keys.iter().filter_map(TestKey::jwk);
        let keys: Vec<_> = state.extra_jwks.iter().cloned().chain(own).collect();
        json!({ "keys": keys }).to_string()
    }

    fn metadata(&self) -> String {
        let issuer = self.state().advertised_issuer.clone().unwrap_or_else(|| self.url.clone());
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{}/jwks", self.url),
            "token_endpoint": format!("{}/token", self.url),
            "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "introspection_endpoint": format!("{}/introspect", self.url),
            "introspection_endpoint_auth_methods_supported": clients::METHODS,
            "revocation_endpoint": format!("{}/revoke", self.url),
            "revocation_endpoint_auth_methods_supported": clients::METHODS,
        })
        .to_string()
    }

    fn fault(&self, endpoint: Endpoint) -> Fault {
        self.state().faults.get(&endpoint).cloned().unwrap_or(Fault::None)
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("url", &self.shared.url).finish_non_exhaustive()
    }
}

impl fmt::Debug for TestIssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuerBuilder").field("bind", &self.bind).finish_non_exhaustive()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// How long a token of the token endpoint lives.
const TOKEN_LIFETIME: Duration = Duration::from_secs(300);
