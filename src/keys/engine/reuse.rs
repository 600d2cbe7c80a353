//! Reuses sets that were fetched earlier: by another engine, or as parts of a merged set that has expired.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::Guard;

use crate::keys::engine::combine::combined;
use crate::keys::engine::remote::RemoteKeys;
use crate::keys::engine::snapshot::Snapshot;
use crate::observe::Event;

impl RemoteKeys {
    /// Takes over the usable set of another engine that fetches from the same place. If there are several
    /// places, takes over the last good set of each. The accepted algorithms may have changed, so the
    /// sets are parsed again.
    pub(crate) fn take_over(&self, other: &Self) {
        self.source.take_over(other.source.parts());
        let now = self.clock.monotonic();
        let before = other.snapshot.load_full();
        let is_seed = before.as_ref().is_none_or(|set| set.seed);
        let usable = before.filter(|set| set.life.stage(now).is_usable());
        let combined = combined(self.source.parts(), self.accepted, &self.freshness, now, is_seed);
        let taken = match usable {
            Some(set) if combined.as_ref().is_none_or(|new| new.document == set.document) => {
                self.source.parse(&set.document, self.accepted).ok().map(|keys| Snapshot {
                    keys: Arc::new(keys),
                    life: set.life.for_another_engine(),
                    document: set.document.clone(),
                    validator: set.validator.clone(),
                    seed: set.seed,
                    replacement_tried: Mutex::default(),
                })
            }
            // The parts may have keys that the other engine does not use, for example because it does
            // not accept their algorithm, or because they come from a seed.
            _ => combined,
        };
        let Some(taken) = taken else { return };
        self.snapshot.store(Some(Arc::new(taken)));
        // The next complete set is then reported as a recovery.
        self.incomplete.store(other.failures(), Ordering::Relaxed);
        self.last_error.store(other.last_error.load_full());
    }

    /// Whether there is a set that has not expired, or that [`current`](Self::current) can replace. Emits no
    /// event, so this may be called before the engine is in use.
    pub(crate) fn is_usable(&self) -> bool {
        let now = self.clock.monotonic();
        let can_be_replaced =
            || combined(self.source.parts(), self.accepted, &self.freshness, now, false).is_some();
        let snapshot = self.snapshot.load();
        snapshot.as_ref().is_some_and(|set| set.life.stage(now).is_usable() || can_be_replaced())
    }

    /// The set in use. If it was merged from several sets and has expired because one of them has, a new set
    /// is merged from the others first.
    pub(crate) fn current(&self, now: Duration) -> Guard<Option<Arc<Snapshot>>> {
        loop {
            let snapshot = self.snapshot.load();
            match &*snapshot {
                Some(set) if !set.life.stage(now).is_usable() && self.replace_expired(set, now) => {
                }
                _ => return snapshot,
            }
        }
    }

    /// Replaces an expired set with the parts that have not expired, if there are any. Returns whether another
    /// set is in use now.
    pub(crate) fn replace_expired(&self, expired: &Arc<Snapshot>, now: Duration) -> bool {
        let mut replacement_tried =
            expired.replacement_tried.lock().unwrap_or_else(PoisonError::into_inner);
        let mut published = None;
        // Try once: later there are no more parts, because a fetch that brings a part also brings another
        // set.
        if !std::mem::replace(&mut *replacement_tried, true)
            && let Some(set) =
                combined(self.source.parts(), self.accepted, &self.freshness, now, expired.seed)
        {
            let set = Arc::new(set);
            let is_same = |present: &Option<Arc<Snapshot>>| {
                present.as_ref().is_some_and(|present| Arc::ptr_eq(present, expired))
            };
            let before = self.snapshot.rcu(|present| match is_same(present) {
                true => Some(Arc::clone(&set)),
                false => present.clone(),
            });
            published = is_same(&before).then_some(set);
        }
        drop(replacement_tried);
        if let Some(set) = published {
            self.report_rotation(expired, &set);
        }
        self.snapshot.load().as_ref().is_some_and(|present| !Arc::ptr_eq(present, expired))
    }

    /// Reports which kids `set` has and `before` does not have, and the reverse.
    pub(crate) fn report_rotation(&self, before: &Snapshot, set: &Snapshot) {
        let added = set.keys.kids_beyond(&before.keys);
        let removed = before.keys.kids_beyond(&set.keys);
        if !(added.is_empty() && removed.is_empty()) {
            self.emit(|issuer| Event::Rotated { issuer, added, removed });
        }
    }
}
