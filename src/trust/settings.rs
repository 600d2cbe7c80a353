//! The settings that all issuers of one server share.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::issuer::AnyIssuerResolver;
use crate::keys::{FreshnessSettings, KeySeed, KeySettings, STALE_IF_ERROR};
use crate::observe::Stream;
use crate::trust::tenants::MAX_TENANTS;

/// The default leeway for differences between clocks.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);

/// The settings that apply to every issuer, in addition to the issuer's own settings.
pub(crate) struct TrustSettings {
    pub(crate) resolver: Option<Arc<dyn AnyIssuerResolver>>,
    pub(crate) leeway: Duration,
    pub(crate) allow_http_loopback: bool,
    #[cfg(feature = "http-client")]
    pub(crate) client: crate::fetch::ClientSettings,
    pub(crate) stale_if_error: Duration,
    pub(crate) keep_warm: bool,
    pub(crate) max_tenants: usize,
    pub(crate) stream: Stream,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether the server accepts tokens that are bound to a key (DPoP).
    pub(crate) has_dpop: bool,
    /// Whether every token must be bound to a key.
    pub(crate) requires_dpop: bool,
    /// Whether every issuer must meet the FAPI 2.0 Security Profile.
    pub(crate) is_fapi: bool,
}

impl TrustSettings {
    pub(crate) fn new() -> Self {
        Self {
            resolver: None,
            leeway: DEFAULT_LEEWAY,
            allow_http_loopback: false,
            #[cfg(feature = "http-client")]
            client: crate::fetch::ClientSettings::default(),
            stale_if_error: STALE_IF_ERROR,
            keep_warm: false,
            max_tenants: MAX_TENANTS,
            stream: Stream::default(),
            clock: Arc::new(SystemClock::new()),
            has_dpop: false,
            requires_dpop: false,
            is_fapi: false,
        }
    }

    /// The settings for the engine that fetches an issuer's keys.
    pub(crate) fn key_settings(&self, seed: Option<KeySeed>, keep_warm: bool) -> KeySettings {
        KeySettings {
            deadline: None,
            freshness: FreshnessSettings { stale_if_error: self.stale_if_error },
            keep_warm,
            stream: self.stream.clone(),
            seed,
        }
    }

    /// The invalid settings that do not depend on an issuer.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.key_settings(None, false).freshness.problem());
        if self.max_tenants == 0 {
            problems.push("max_tenants 0: at least one".to_owned());
        }
        problems
    }
}
