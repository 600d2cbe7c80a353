//! The handle in operation: is it ready, how does it stand, what does the next process start from?

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::task::Poll;
use std::time::Duration;

use crate::keys::KeySeed;
use crate::observe::{Health, IssuerHealth};
use crate::runtime;
use crate::server::ResourceServer;

/// How often `ready` looks whether a reload has put others in the place of the issuers that it waits
/// for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Issuers that had no usable keys when the deadline came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    issuers: Vec<String>,
}

impl NotReady {
    /// The names of those issuers.
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no usable keys yet of {}", self.issuers.join(", "))
    }
}

impl std::error::Error for NotReady {}

impl<C, R> ResourceServer<C, R> {
    /// How the keys of each issuer stand, and its introspection. It asks nobody.
    pub fn health(&self) -> Health {
        let trust = self.authenticator().trust.load();
        let tenants = trust.tenants.as_ref().map_or_else(Vec::new, |tenants| tenants.known());
        Health {
            generation: trust.generation,
            issuers: trust.issuers.iter().map(|issuer| issuer.health()).collect(),
            tenants: tenants.iter().map(|tenant| tenant.issuer.health()).collect(),
        }
    }

    /// Has the keys of all issuers fetched that have none, and waits for them, at most as long as
    /// `deadline`: for an API that wants no request to wait for the first fetch. Tenants that a
    /// resolver finds are not known yet, and are not waited for.
    ///
    /// It is no condition for anything: without it, keys are fetched by the first request. Failed
    /// fetches are tried again until the deadline. After a [reload](Self::reload) it waits for the
    /// issuers that are trusted then.
    ///
    /// ```
    /// # #[cfg(feature = "remote")]
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
    /// # #[cfg(not(feature = "remote"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// The issuers that have no usable keys when the deadline comes; at once outside a tokio runtime, and in one
    /// without a timer (`enable_time`).
    pub async fn ready(&self, deadline: Duration) -> Result<(), NotReady> {
        let all = async {
            loop {
                let trust = self.authenticator().trust.load_full();
                self.wake();
                // Side by side: each tries again by itself, whoever else is down.
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

    /// Has keys fetched where that is due, and waits for nothing.
    pub(crate) fn wake(&self) {
        for issuer in &self.authenticator().trust.load().issuers {
            issuer.wake();
        }
    }

    /// The last good key set of each issuer that fetches its keys, for
    /// [`Issuer::seed`](crate::Issuer::seed) of the next process: to start while the issuer is down.
    pub fn export_keys(&self) -> Vec<KeySeed> {
        let trust = self.authenticator().trust.load();
        trust.issuers.iter().filter_map(|issuer| issuer.keys.export()).collect()
    }
}
