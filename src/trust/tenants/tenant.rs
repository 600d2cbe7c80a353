//! One known tenant: an issuer that the resolver returned.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::issuer::Issuer;
use crate::trust::issuer::TrustedIssuer;

/// A known tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) issuer: TrustedIssuer,
    pub(super) name: Arc<str>,
    /// The issuer that the resolver returned. A reload builds the tenant of the new configuration from
    /// this issuer.
    pub(super) resolved: Issuer,
    /// The generation (number) of the configuration that the tenant belongs to.
    pub(super) generation: u64,
    /// When a request last used the tenant, in milliseconds of the monotonic clock. Before the first
    /// use, this is the time when the tenant was resolved. Updated at most once a second.
    pub(super) used_at: AtomicU64,
    /// When the next resolver call for the tenant is due, in milliseconds of the monotonic clock.
    pub(super) due_at: AtomicU64,
    /// Whether a token of the tenant was ever verified, or introspected and accepted.
    pub(super) confirmed: AtomicBool,
}

impl Tenant {
    /// Records that a token of the tenant was verified. Returns `true` for the first such token.
    pub(crate) fn confirm(&self) -> bool {
        !self.is_confirmed() && !self.confirmed.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// This tenant as a resolver result, with its generation. A request that waits for keys or for an
    /// introspection answer stores this result. So the request keeps the tenant, even if the cache evicts
    /// the tenant.
    pub(crate) fn resolution(self: &Arc<Self>) -> (u64, Resolution) {
        (self.generation, Resolution::Known(Arc::clone(self)))
    }
}

/// The result of a call to the resolver.
#[derive(Clone, Debug)]
pub(crate) enum Resolution {
    /// There is no result. Either the resolver has not answered yet, or the resolver failed.
    Open,
    /// The resolver returned this tenant. A request that stores this result keeps the tenant, even if the
    /// cache evicts the tenant.
    Known(Arc<Tenant>),
    /// The resolver answered that there is no such tenant.
    Unknown,
}

impl Tenant {
    /// The same tenant in a new configuration.
    pub(super) fn under(&self, issuer: TrustedIssuer, generation: u64) -> Self {
        let copy = |number: &AtomicU64| AtomicU64::new(number.load(Ordering::Relaxed));
        Self {
            issuer,
            name: Arc::clone(&self.name),
            resolved: self.resolved.clone(),
            generation,
            used_at: copy(&self.used_at),
            due_at: copy(&self.due_at),
            confirmed: AtomicBool::new(self.is_confirmed()),
        }
    }
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
