//! The wait of a request for keys.

use std::sync::Arc;

use crate::crypto::Algorithm;
use crate::keys::engine::remote::{Look, RemoteKeys};
use crate::keys::freshness::{Attempt, Wait};
use crate::runtime::Deadline;
use crate::token::header::{KeyHint, Thumbprints};

/// The maximum number of attempts in one wait: one attempt that began before the wait, one that the
/// wait started, and two that may end because their runtime shuts down. Without this limit, a
/// request on a runtime that shuts down would start attempts without end.
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

/// A record: a request has waited for the keys of one engine.
#[derive(Clone, Debug)]
pub(crate) struct KeysWaited {
    keys: Arc<RemoteKeys>,
    since: Attempt,
}

impl KeysWaited {
    /// The first attempt that began after the request arrived, if the request has waited for these
    /// keys. The keys of a new engine after a reload are different keys.
    pub(crate) fn since(&self, keys: &Arc<RemoteKeys>) -> Option<Attempt> {
        Arc::ptr_eq(&self.keys, keys).then_some(self.since)
    }

    /// Whether both records are for the keys of the same engine.
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

    /// The record to keep after the wait is [done](Self::done).
    pub(crate) fn waited(&self) -> KeysWaited {
        KeysWaited { keys: Arc::clone(&self.keys), since: self.wait.since }
    }

    /// Waits until the key can be found or refused, or until the limit or the deadline is reached.
    /// The caller then looks for the key once more. If an attempt cannot answer this request,
    /// because it began before the request or its runtime shut down, this function also waits for
    /// the next attempt.
    pub(crate) async fn done(mut self, deadline: Deadline) {
        let limit = self.wait.limit;
        let end = async {
            for _ in 0..ATTEMPTS {
                self.keys.ended(self.wait.attempt).await;
                // First stop counting this wait. Otherwise the limit could refuse the next wait of
                // the same requests.
                self.leave();
                let key = KeyHint::new(self.kid.as_deref(), &self.thumbprints);
                let sought = (key, self.algorithm, &*self.iss);
                match self.keys.look(sought, Some(self.wait.since), true) {
                    // If the new wait is counted, this value now reports its end.
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
