//! Continues with a set that was fetched before: by another engine, or as a part of a set that has ended.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::keys::engine::combine::combined;
use crate::keys::engine::remote::RemoteKeys;
use crate::keys::engine::snapshot::Snapshot;

impl RemoteKeys {
    /// Takes over the usable set of another engine that fetches from the same place, and the last good
    /// set of each of several places. The accepted algorithms may have changed, so the set is parsed
    /// again.
    pub(crate) fn take_over(&self, other: &Self) {
        self.source.take_over(other.source.parts());
        let taken = match other.snapshot.load_full().filter(|_| other.is_usable()) {
            Some(set) => {
                self.source.parse(&set.document, self.accepted).ok().map(|keys| Snapshot {
                    keys: Arc::new(keys),
                    life: set.life.for_another_engine(),
                    document: set.document.clone(),
                    validator: set.validator.clone(),
                    seed: set.seed,
                    is_combined_anew: Mutex::default(),
                })
            }
            // Some parts may still be usable, also if the combined set has ended.
            None => {
                let (parts, now) = (self.source.parts(), self.clock.monotonic());
                combined(parts, self.accepted, &self.freshness, now, true)
            }
        };
        if let Some(taken) = taken {
            self.snapshot.store(Some(Arc::new(taken)));
            // The next complete set is then reported as a recovery.
            self.incomplete.store(other.failures(), Ordering::Relaxed);
            self.last_error.store(other.last_error.load_full());
        }
    }

    /// Continues with the parts that may still be used, after the set `ended` has ended. Returns whether
    /// another set is in use now.
    pub(crate) fn continue_after(&self, ended: &Arc<Snapshot>, now: Duration) -> bool {
        let mut is_combined_anew =
            ended.is_combined_anew.lock().unwrap_or_else(PoisonError::into_inner);
        // Once is enough: only a fetch brings more parts, and it also brings another set.
        if !std::mem::replace(&mut *is_combined_anew, true)
            && let Some(set) =
                combined(self.source.parts(), self.accepted, &self.freshness, now, ended.seed)
        {
            let set = Arc::new(set);
            self.snapshot.rcu(|present| match present {
                Some(present) if !Arc::ptr_eq(present, ended) => Some(Arc::clone(present)),
                _ => Some(Arc::clone(&set)),
            });
        }
        drop(is_combined_anew);
        self.snapshot.load().as_ref().is_some_and(|present| !Arc::ptr_eq(present, ended))
    }
}
