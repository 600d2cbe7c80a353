//! The wait of a request for keys.

use std::sync::Arc;

use crate::crypto::Algorithm;
use crate::keys::engine::remote::{Look, RemoteKeys};
use crate::keys::freshness::{Attempt, Wait};
use crate::runtime::Deadline;
use crate::token::header::{KeyHint, Thumbprints};

/// The maximum number of attempts in one wait: one that began before the wait, one that the wait
/// started, and two that may end because their runtime shuts down. Without this limit, a request on
/// such a runtime would start attempts for ever.
const ATTEMPTS: u32 = 4;

/// A wait for keys. It ends at its limit at the latest.
pub(crate) struct KeyWait {
    keys: Arc<RemoteKeys>,
    wait: Wait,
    kid: Option<Box<str>>,
    thumbprints: Box<Thumbprints>,
    algorithm: Algorithm,
    iss: Box<str>,
}

/// Records that a request has waited for the keys of one engine.
#[derive(Clone, Debug)]
pub(crate) struct KeysWaited {
    keys: Arc<RemoteKeys>,
    since: Attempt,
}

impl KeysWaited {
    /// The first attempt that began after the request arrived, if the request has waited for these
    /// keys. Keys that replaced them in a reload are different keys.
    pub(crate) fn since(&self, keys: &Arc<RemoteKeys>) -> Option<Attempt> {
        Arc::ptr_eq(&self.keys, keys).then_some(self.since)
    }

    /// Whether both are for the same keys.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.keys, &other.keys)
    }
}

impl KeyWait {
    pub(crate) fn new(
        keys: Arc<RemoteKeys>,
        wait: Wait,
        (key, algorithm, iss): (KeyHint<'_>, Algorithm, &str),
    ) -> Self {
        let (kid, thumbprints) = (key.kid().map(Into::into), Box::new(key.thumbprints()));
        Self { keys, wait, kid, thumbprints, algorithm, iss: iss.into() }
    }

    /// The record to keep once the wait is [done](Self::done).
    pub(crate) fn waited(&self) -> KeysWaited {
        KeysWaited { keys: Arc::clone(&self.keys), since: self.wait.since }
    }

    /// Returns when there is more to know, or when the limit is reached. The caller then looks
    /// again. If an attempt ended without an answer to this request, it waits for the next one:
    /// that attempt began before the request, or its runtime shut down.
    pub(crate) async fn done(mut self, deadline: Deadline) {
        let limit = self.wait.limit;
        let end = async {
            for _ in 0..ATTEMPTS {
                self.keys.ended(self.wait.attempt).await;
                // Leave first, so that all waiting requests can wait once more.
                self.leave();
                let key = KeyHint::new(self.kid.as_deref(), &self.thumbprints);
                let sought = (key, self.algorithm, &*self.iss);
                match self.keys.look(sought, Some(self.wait.since), true) {
                    // Its place is this wait's now.
                    Look::Wait(again) => self.wait = again,
                    Look::Found(..) | Look::Unknown | Look::Unavailable { .. } => return,
                }
            }
        };
        let _ = deadline.within(limit, end).await;
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.wait.counted) {
            self.keys.wait_ended();
        }
    }
}

impl Drop for KeyWait {
    fn drop(&mut self) {
        self.leave();
    }
}
