//! The handle in operation: health, readiness, and the export of keys.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::task::Poll;
use std::time::Duration;

use crate::keys::KeySeed;
use crate::observe::{Health, IssuerHealth};
use crate::runtime;
use crate::server::ResourceServer;

/// How often `ready` checks whether a reload has replaced the issuers.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The issuers that were not ready at the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    issuers: Vec<String>,
}

impl NotReady {
    /// The names of the issuers that were not ready.
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "issuers that are not ready: {}", self.issuers.join(", "))
    }
}

impl std::error::Error for NotReady {}

impl<C, R> ResourceServer<C, R> {
    /// The state of each issuer's keys and introspection, and of the store of used proofs (DPoP). This method
    /// makes no request.
    pub fn health(&self) -> Health {
        let trust = self.authenticator().trust.load();
        let tenants = trust.tenants.as_ref().map_or_else(Vec::new, |tenants| tenants.known());
        Health {
            generation: trust.generation,
            issuers: trust.issuers.iter().map(|issuer| issuer.health()).collect(),
            tenants: tenants.iter().map(|tenant| tenant.issuer.health()).collect(),
            replay: self.id().dpop.as_ref().map(|dpop| dpop.health(self.id().clock.wall())),
        }
    }

    /// Fetches missing keys and waits up to `deadline`, so that no request waits for the first fetch.
    /// This method does not wait for tenants of a resolver, because the tenants are not known yet.
    ///
    /// This call is optional: without it, the first request fetches the keys. Failed fetches are retried
    /// until the deadline. If a [reload](Self::reload) happens during the call, this method waits for the
    /// new issuers.
    ///
    /// ```
    /// # #[cfg(feature = "http-client")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use tower_resource_server::ResourceServer;
    /// use tower_resource_server::test_issuer::TestIssuer;
    ///
    /// let issuer = TestIssuer::start().await?;
    /// let api = ResourceServer::builder()
    ///     .issuer(issuer.url())
    ///     .audience("https://api.example.com")
    ///     .allow_http_loopback()
    ///     .build()?;
    /// assert!(!api.health().is_ready());
    /// api.ready(Duration::from_secs(10)).await?;
    /// assert!(api.health().is_ready());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "http-client"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// Lists the issuers that are not ready at the deadline. Outside a tokio runtime, or in a runtime without
    /// a timer (`enable_time`), this method fetches nothing and does not wait.
    pub async fn ready(&self, deadline: Duration) -> Result<(), NotReady> {
        let all = async {
            loop {
                let trust = self.authenticator().trust.load_full();
                self.wake();
                // Wait for all issuers concurrently: each issuer retries, even if another is down.
                let mut waits: Vec<_> =
                    trust.issuers.iter().map(|issuer| Box::pin(issuer.ready())).collect();
                let ready = poll_fn(|cx| {
                    waits.retain_mut(|wait| wait.as_mut().poll(cx).is_pending());
                    if waits.is_empty() { Poll::Ready(()) } else { Poll::Pending }
                });
                let ready = runtime::within(LOOK_AGAIN, ready).await.is_some();
                if ready && self.authenticator().trust.load().generation == trust.generation {
                    return;
                }
            }
        };
        let _ = runtime::within(deadline, all).await;
        let trust = self.authenticator().trust.load_full();
        let unready = |health: &IssuerHealth| !health.is_usable();
        let health = trust.issuers.iter().map(|issuer| issuer.health());
        let issuers: Vec<_> = health.filter(unready).map(|health| health.issuer).collect();
        if issuers.is_empty() { Ok(()) } else { Err(NotReady { issuers }) }
    }

    /// Starts the fetches of keys that are due. Does not wait.
    pub(crate) fn wake(&self) {
        for issuer in &self.authenticator().trust.load().issuers {
            issuer.wake();
        }
    }

    /// The last good key set of each issuer whose keys are fetched. In the next process, pass each key set
    /// to the [`Issuer::seed`](crate::Issuer::seed) of its issuer. That process can then validate tokens even
    /// if the issuer is down.
    pub fn export_keys(&self) -> Vec<KeySeed> {
        let trust = self.authenticator().trust.load();
        trust.issuers.iter().filter_map(|issuer| issuer.keys.export()).collect()
    }
}
