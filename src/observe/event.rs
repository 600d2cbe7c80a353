//! The events that the API's callback receives: about the keys of an issuer, and about proofs.

use std::sync::Arc;
use std::time::Duration;

use crate::token::Excerpt;

pub(crate) const USE_IS_NOT_SIG: &str = "use is not sig";
pub(crate) const NO_VERIFY: &str = "key_ops has no verify";
pub(crate) const ALG_ENCRYPTS: &str = "alg is one for encryption";

/// The reasons to skip a key that is not for signatures.
pub(crate) const FOR_ENCRYPTION: [&str; 3] = [USE_IS_NOT_SIG, NO_VERIFY, ALG_ENCRYPTS];

/// An event about the keys of a trusted issuer, or about proofs of keys (DPoP). It contains facts for the
/// operator, never a token, a proof or a claim. The log has the same facts.
///
/// A flood of tokens does not cause a flood of events about keys: an event about keys that tokens can cause is reported
/// once per flood, or at most as often as the rate limit allows fetches. `ProofAccepted`, `ProofReplayed` and
/// `NonceDemanded` are reported for each request, for metrics.
///
/// ```
/// # #[cfg(not(feature = "http-client"))]
/// # fn main() {}
/// # #[cfg(feature = "http-client")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::ResourceServer;
/// use tower_resource_server::observe::Event;
///
/// let issuer = TestIssuer::start().await?;
/// let events = Arc::new(Mutex::new(Vec::new()));
/// let observer = Arc::clone(&events);
/// let api = ResourceServer::builder()
///     .issuer(issuer.url())
///     .audience("https://api.example.com")
///     .allow_http_loopback()
///     .on_event(move |event| observer.lock().unwrap().push(event.clone()))
///     .build()?;
/// assert!(events.lock().unwrap().is_empty());
///
/// api.ready(Duration::from_secs(10)).await?;
/// let first = events.lock().unwrap().first().cloned().ok_or("no event")?;
/// assert_eq!(first.issuer(), Some(issuer.url()));
/// assert!(matches!(first, Event::Refreshed { keys: 1, first: true, .. }), "{first:?}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A fetch succeeded.
    Refreshed {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// The number of usable keys in the set.
        keys: usize,
        /// Whether this is the issuer's first set.
        first: bool,
        /// Whether the document differs from the previous one.
        changed: bool,
    },
    /// A fetch returned other keys than before. The event does not list keys without a kid.
    Rotated {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// The kids of new keys.
        added: Vec<Excerpt>,
        /// The kids of removed keys. Tokens with these kids are refused from now on.
        removed: Vec<Excerpt>,
    },
    /// An entry of a fetched set is not usable. Reported only if the document has changed.
    KeySkipped {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// The kid of the entry, if it has one.
        kid: Option<Excerpt>,
        /// The reason, as a fixed text.
        reason: &'static str,
    },
    /// A fetch failed. The last good set is kept, if there is one. With several
    /// [`jwks_uris`](crate::Issuer::jwks_uris), some URLs may have answered; the event is about the others.
    RefreshFailed {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// The problem.
        problem: Excerpt,
        /// The number of consecutive failures.
        failures: u32,
        /// How long the last good set can still be used. `None` if requests get 503.
        usable_for: Option<Duration>,
    },
    /// The set is stale, since the issuer has not answered. Reported once per outage.
    Stale {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// How long the set can still be used.
        usable_for: Duration,
    },
    /// A fetch succeeded after failures.
    Recovered {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// The number of failed attempts.
        failures: u32,
    },
    /// A token with an unknown kid caused a fetch.
    UnknownKid {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// The kid. It comes from an unverified token, so it may be made up.
        kid: Option<Excerpt>,
    },
    /// Unknown kids have reached the rate limit of fetches. Either clients send tokens with forged kids, or a server
    /// signs with keys that it does not publish. Reported again only after the budget of fetches was full again.
    BudgetSpent {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
    },
    /// A seed was not used.
    SeedIgnored {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// The reason, as a fixed text.
        reason: &'static str,
    },
    /// A fetch was due outside a tokio runtime, so it could not run.
    NoRuntime {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
    },
    /// A proof of a key was accepted (RFC 9449). The log has it at the level `trace`.
    ProofAccepted {
        /// The name of the token's issuer, from the configuration.
        issuer: Arc<str>,
        /// How far the client's clock is ahead of ours, in seconds, by the `iat` of the proof. Negative if it is
        /// behind.
        clock_offset: f64,
    },
    /// A proof was used before (RFC 9449 §11.1).
    ProofReplayed {
        /// The name of the token's issuer, from the configuration.
        issuer: Arc<str>,
    },
    /// A client was asked for a nonce (RFC 9449 §9).
    NonceDemanded {
        /// The name of the token's issuer, from the configuration.
        issuer: Arc<str>,
        /// The reason, as a fixed text.
        reason: &'static str,
    },
    /// The store of used proofs failed, so requests with proofs get 503. Not reported again until the store has worked
    /// again.
    ReplayStoreFailed {
        /// The problem.
        problem: Excerpt,
    },
    /// The store of used proofs works again.
    ReplayStoreRecovered,
}

impl Event {
    /// The name of the issuer, from the configuration. `None` if the event is not about an issuer.
    pub fn issuer(&self) -> Option<&str> {
        match self {
            Self::Refreshed { issuer, .. }
            | Self::Rotated { issuer, .. }
            | Self::KeySkipped { issuer, .. }
            | Self::RefreshFailed { issuer, .. }
            | Self::Stale { issuer, .. }
            | Self::Recovered { issuer, .. }
            | Self::UnknownKid { issuer, .. }
            | Self::BudgetSpent { issuer }
            | Self::SeedIgnored { issuer, .. }
            | Self::NoRuntime { issuer }
            | Self::ProofAccepted { issuer, .. }
            | Self::ProofReplayed { issuer }
            | Self::NonceDemanded { issuer, .. } => Some(issuer),
            Self::ReplayStoreFailed { .. } | Self::ReplayStoreRecovered => None,
        }
    }
}
