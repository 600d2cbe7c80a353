//! The state of an issuer's keys and the exported set, for callers outside of a request.

use std::sync::atomic::Ordering;

use crate::keys::engine::remote::RemoteKeys;
use crate::keys::freshness::Stage;
use crate::keys::{KeySeed, Source};
use crate::observe::shown::redacted;
use crate::observe::{IssuerHealth, KeyStage};

impl RemoteKeys {
    /// Returns the state of the keys.
    pub(crate) fn health(&self) -> IssuerHealth {
        let now = self.clock.monotonic();
        let snapshot = self.current(now);
        let set = snapshot.as_deref();
        IssuerHealth {
            issuer: redacted(&self.issuer).into_owned(),
            keys: match Stage::of(set.map(|set| &set.life), now) {
                Stage::Empty => KeyStage::Missing,
                Stage::Fresh => KeyStage::Fresh,
                Stage::Ahead => KeyStage::Ahead,
                Stage::Stale => KeyStage::Stale,
                Stage::Expired => KeyStage::Expired,
            },
            key_ids: set.map_or_else(Vec::new, |set| set.keys.kids()),
            skipped: set.map_or(0, |set| set.keys.skipped().len()),
            age: set.map(|set| set.life.age(now)),
            next_refresh: Some(self.due_in()),
            last_error: self.last_error.load().as_deref().cloned(),
            failures: self.failures(),
            introspection: None,
        }
    }

    /// The current set as a seed for the next process. `None` if there is no set, or if the set
    /// comes from a file: the next process can read the file itself.
    pub(crate) fn export(&self) -> Option<KeySeed> {
        if matches!(*self.source, Source::File(_)) {
            return None;
        }
        let now = (self.clock.wall(), self.clock.monotonic());
        let settings = self.freshness.settings();
        let parts = self.source.parts();
        KeySeed::of(&self.issuer, self.snapshot.load().as_deref()?, &parts, &settings, now)
    }

    /// The number of fetches in a row that failed, in whole or in part.
    pub(crate) fn failures(&self) -> u32 {
        self.freshness.failures().saturating_add(self.incomplete.load(Ordering::Relaxed))
    }
}
