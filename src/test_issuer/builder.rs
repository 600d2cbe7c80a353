//! Sets up an issuer, over HTTP or in process.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::clients::Clients;
use super::handles::Tokens;
use super::issuer::TestIssuer;
use super::server;
use super::state::{Counts, Documents, Shared, State};
use crate::clock::{Clock, SystemClock};
use crate::crypto::Algorithm;

/// Sets up a [`TestIssuer`].
#[must_use = "a builder starts nothing until `start`"]
pub struct TestIssuerBuilder {
    algorithm: Algorithm,
    path: String,
    clock: Arc<dyn Clock>,
    bind: SocketAddr,
}

impl TestIssuerBuilder {
    /// The algorithm of the first key. The default is ES256.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The path of the issuer's URL, such as `/t1`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The clock for the times in tokens. The default is the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The address to listen on. The default is a free port of 127.0.0.1.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = address;
        self
    }

    /// Starts the HTTP server.
    ///
    /// # Errors
    /// Fails if the address can't be bound.
    pub async fn start(self) -> std::io::Result<TestIssuer> {
        let listener = server::bind(self.bind).await?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}{}", self.path);
        let issuer = self.build(url, Some(address));
        issuer.shared.serve(listener);
        Ok(issuer)
    }

    /// Creates an issuer with the name `url` and without an HTTP server. Pass its keys to the
    /// resource server in code, for example with [`Issuer::jwks`](crate::Issuer::jwks).
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
            tokens: Tokens::default(),
            clients: Clients::default(),
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

    /// Starts an issuer with an HTTP server on a free port of this machine.
    ///
    /// # Errors
    /// Fails if no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        Self::builder().start().await
    }

    /// An issuer with the name `url` and without an HTTP server.
    pub fn in_process(url: &str) -> Self {
        Self::builder().in_process(url)
    }

    /// Stops the HTTP server. Connections are refused until [`restart`](Self::restart).
    pub fn stop(&self) {
        drop(self.shared.server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Starts the HTTP server again at the same address.
    ///
    /// # Errors
    /// Fails if the address can't be bound, or if the issuer never had an HTTP server.
    pub async fn restart(&self) -> std::io::Result<()> {
        let address = self.shared.address.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        self.stop();
        let listener = server::bind(address).await?;
        self.shared.serve(listener);
        Ok(())
    }
}

impl fmt::Debug for TestIssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuerBuilder").field("bind", &self.bind).finish_non_exhaustive()
    }
}
