//! The tenants at hand, and which of them go when there is no more room.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;

use crate::trust::tenants::tenant::Tenant;

/// Tenants on probation: a part of those that are kept, and no fewer than so many. A tenant is on
/// probation from its resolution to its first valid token, so these are some seconds' newcomers.
const PROBATION_PART: usize = 10;
const MIN_PROBATION: usize = 16;

type Tenants = HashMap<Arc<str>, Arc<Tenant>>;

/// Tenants by their names, to be read without a lock.
pub(super) struct Known {
    tenants: ArcSwap<Tenants>,
    /// How many confirmed ones are kept.
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

    /// Keeps a tenant, in the place of one of its name.
    pub(super) fn keep(&self, tenant: &Arc<Tenant>) {
        self.change(|known| {
            known.insert(Arc::clone(&tenant.name), Arc::clone(tenant));
            trim(known, self.most, tenant);
        });
    }

    /// Keeps a tenant whose first token verified, unless there is one of its name.
    pub(super) fn keep_confirmed(&self, tenant: &Arc<Tenant>) {
        self.change(|known| {
            known.entry(Arc::clone(&tenant.name)).or_insert_with(|| Arc::clone(tenant));
            trim(known, self.most, tenant);
        });
    }

    /// The tenant no longer exists.
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

/// Makes room in each segment: of those beyond it, the least recently used go, but not `newest`.
fn trim(known: &mut Tenants, most: usize, newest: &Arc<Tenant>) {
    let probation = (most / PROBATION_PART).max(MIN_PROBATION);
    for (confirmed, room) in [(true, most), (false, probation)] {
        let mut segment: Vec<_> =
            known.values().filter(|tenant| tenant.is_confirmed() == confirmed).cloned().collect();
        let beyond = segment.len().saturating_sub(room);
        if beyond > 0 {
            segment.retain(|tenant| !Arc::ptr_eq(tenant, newest));
            segment.sort_by_key(|tenant| tenant.used_at.load(Ordering::Relaxed));
            for tenant in segment.iter().take(beyond) {
                known.remove(&tenant.name);
            }
        }
    }
}
