//! One tenant at hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::issuer::Issuer;
use crate::trust::issuer::TrustedIssuer;

/// A tenant at hand.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) issuer: TrustedIssuer,
    pub(super) name: Arc<str>,
    /// As it was resolved, for a configuration to come.
    pub(super) resolved: Issuer,
    /// The configuration that it is a tenant under.
    pub(super) generation: u64,
    /// Milliseconds of the monotonic clock.
    pub(super) used_at: AtomicU64,
    /// When to resolve it again, in the same.
    pub(super) due_at: AtomicU64,
    /// Whether a token of the tenant ever verified.
    pub(super) confirmed: AtomicBool,
}

impl Tenant {
    /// A token of the tenant verified; whether it is the first one.
    pub(crate) fn confirm(&self) -> bool {
        !self.is_confirmed() && !self.confirmed.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// What a request keeps of it while it waits for something else: the tenant may have to make room
    /// meanwhile.
    pub(crate) fn resolution(self: &Arc<Self>) -> (u64, Resolution) {
        (self.generation, Resolution::Known(Arc::clone(self)))
    }
}

/// What became of a question to the resolver.
#[derive(Clone, Debug)]
pub(crate) enum Resolution {
    /// There is no answer yet, or none can be had.
    Open,
    /// The tenant, which is this request's even if it has to make room.
    Known(Arc<Tenant>),
    /// There is no such tenant.
    Unknown,
}

impl Tenant {
    /// The same tenant under another configuration.
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
