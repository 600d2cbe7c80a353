//! The cache of known tenants, and the eviction when there are too many tenants. The cache has two
//! segments: confirmed tenants (a token of the tenant was verified) and tenants on probation (no token
//! was verified yet). A token that is only introspected counts as verified if it was accepted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;

use crate::trust::tenants::tenant::Tenant;

/// The maximum number of tenants on probation: a tenth of the maximum for confirmed tenants, and at
/// least 16. A tenant is on probation from the resolver's answer until the first verified token of the
/// tenant. Probation usually takes a few seconds.
const PROBATION_PART: usize = 10;
const MIN_PROBATION: usize = 16;

type Tenants = HashMap<Arc<str>, Arc<Tenant>>;

/// Tenants by name. Reads take no lock.
pub(super) struct Known {
    tenants: ArcSwap<Tenants>,
    /// The maximum number of confirmed tenants.
    most: usize,
}

impl Known {
    pub(super) fn new(tenants: Vec<Tenant>, most: usize) -> Self {
        let named = |tenant: Tenant| (Arc::clone(&tenant.name), Arc::new(tenant));
        Self { tenants: ArcSwap::from_pointee(tenants.into_iter().map(named).collect()), most }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Tenant>> {
        self.tenants.load().get(name).cloned()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.tenants.load().contains_key(name)
    }

    pub(super) fn all(&self) -> Vec<Arc<Tenant>> {
        self.tenants.load().values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.tenants.load().len()
    }

    /// Adds a tenant to the cache. If a tenant of the same name exists, the new tenant replaces it.
    pub(super) fn keep(&self, tenant: &Arc<Tenant>) {
        self.change(|known| {
            known.insert(Arc::clone(&tenant.name), Arc::clone(tenant));
            trim(known, self.most, tenant);
        });
    }

    /// Adds a tenant whose first token was verified. If a tenant of the same name exists, that tenant
    /// stays, and the new tenant is not added.
    pub(super) fn keep_confirmed(&self, tenant: &Arc<Tenant>) {
        self.change(|known| {
            known.entry(Arc::clone(&tenant.name)).or_insert_with(|| Arc::clone(tenant));
            trim(known, self.most, tenant);
        });
    }

    /// Removes a tenant from the cache.
    pub(super) fn forget(&self, name: &str) {
        if self.contains(name) {
            self.change(|known| drop(known.remove(name)));
        }
    }

    fn change(&self, change: impl Fn(&mut Tenants)) {
        self.tenants.rcu(|known| {
            let mut next = HashMap::clone(known);
            change(&mut next);
            next
        });
    }
}

/// If a segment exceeds its limit, evicts its least recently used tenants. Never evicts `newest`.
fn trim(known: &mut Tenants, most: usize, newest: &Arc<Tenant>) {
    let probation = (most / PROBATION_PART).max(MIN_PROBATION);
    for (confirmed, limit) in [(true, most), (false, probation)] {
        let mut segment: Vec<_> =
            known.values().filter(|tenant| tenant.is_confirmed() == confirmed).cloned().collect();
        let beyond = segment.len().saturating_sub(limit);
        if beyond > 0 {
            segment.retain(|tenant| !Arc::ptr_eq(tenant, newest));
            segment.sort_by_key(|tenant| tenant.used_at.load(Ordering::Relaxed));
            for tenant in segment.iter().take(beyond) {
                known.remove(&tenant.name);
            }
        }
    }
}
