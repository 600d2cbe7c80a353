//! Continues with a set that was fetched before: by another engine, or as a part of a set that has ended.

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
        let taken = match (combined, usable) {
            // There may be parts that the other engine did not use, for example parts with other
            // algorithms or from a seed.
            (Some(combined), Some(set)) if combined.document != set.document => combined,
            (combined, None) => match combined {
                Some(combined) => combined,
                None => return,
            },
            (_, Some(set)) => match self.source.parse(&set.document, self.accepted) {
                Ok(keys) => Snapshot {
                    keys: Arc::new(keys),
                    life: set.life.for_another_engine(),
                    document: set.document.clone(),
                    validator: set.validator.clone(),
                    seed: set.seed,
                    is_combined_anew: Mutex::default(),
                },
                Err(_) => return,
            },
        };
        self.snapshot.store(Some(Arc::new(taken)));
        // The next complete set is then reported as a recovery.
        self.incomplete.store(other.failures(), Ordering::Relaxed);
        self.last_error.store(other.last_error.load_full());
    }

    /// Whether there is a set in use that has not ended, or that can be [continued](Self::current). Emits
    /// no event, so this may be called before the engine is in use.
    pub(crate) fn is_usable(&self) -> bool {
        let now = self.clock.monotonic();
        let can_continue =
            || combined(self.source.parts(), self.accepted, &self.freshness, now, false).is_some();
        let snapshot = self.snapshot.load();
        snapshot.as_ref().is_some_and(|set| set.life.stage(now).is_usable() || can_continue())
    }

    /// The set in use. If it has ended, and it was merged from several sets, the sets that have not ended
    /// are used from now on.
    pub(crate) fn current(&self, now: Duration) -> Guard<Option<Arc<Snapshot>>> {
        loop {
            let snapshot = self.snapshot.load();
            match &*snapshot {
                Some(set) if !set.life.stage(now).is_usable() && self.continue_after(set, now) => {}
                _ => return snapshot,
            }
        }
    }

    /// Continues with the parts that may still be used, after the set `ended` has ended. Returns whether
    /// another set is in use now.
    pub(crate) fn continue_after(&self, ended: &Arc<Snapshot>, now: Duration) -> bool {
        let mut is_combined_anew =
            ended.is_combined_anew.lock().unwrap_or_else(PoisonError::into_inner);
        let mut published = None;
        // Once is enough: only a fetch brings more parts, and it also brings another set.
        if !std::mem::replace(&mut *is_combined_anew, true)
            && let Some(set) =
                combined(self.source.parts(), self.accepted, &self.freshness, now, ended.seed)
        {
            let set = Arc::new(set);
            let is_ended = |present: &Option<Arc<Snapshot>>| {
                present.as_ref().is_some_and(|present| Arc::ptr_eq(present, ended))
            };
            let before = self.snapshot.rcu(|present| match is_ended(present) {
                true => Some(Arc::clone(&set)),
                false => present.clone(),
            });
            published = is_ended(&before).then_some(set);
        }
        drop(is_combined_anew);
        if let Some(set) = published {
            self.report_rotation(ended, &set);
        }
        self.snapshot.load().as_ref().is_some_and(|present| !Arc::ptr_eq(present, ended))
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
