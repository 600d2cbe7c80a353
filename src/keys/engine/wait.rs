//! A request's wait for keys.

use std::sync::Arc;

use crate::crypto::Algorithm;
use crate::keys::engine::remote::{Look, RemoteKeys};
use crate::keys::freshness::{Attempt, Wait};
use crate::runtime::Deadline;
use crate::token::header::{KeyHint, Thumbprints};

/// Attempts that one wait goes through: one that began before it, one of its own, and two that may die
/// with a runtime that shuts down. Without a bound, a request on such a runtime would begin them for
/// ever.
const ATTEMPTS: u32 = 4;

/// A wait for keys, at most as long as its limit.
pub(crate) struct KeyWait {
    keys: Arc<RemoteKeys>,
    wait: Wait,
    kid: Option<Box<str>>,
    thumbprints: Box<Thumbprints>,
    algorithm: Algorithm,
    iss: Box<str>,
}

/// That a request has waited for the keys of one engine.
#[derive(Clone, Debug)]
pub(crate) struct KeysWaited {
    keys: Arc<RemoteKeys>,
    since: Attempt,
}

impl KeysWaited {
    /// The first attempt that began after the request came, if it has waited for these keys. Those
    /// that a reload put in their place are others.
    pub(crate) fn since(&self, keys: &Arc<RemoteKeys>) -> Option<Attempt> {
        Arc::ptr_eq(&self.keys, keys).then_some(self.since)
    }

    /// Whether they are the same keys.
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

    /// What the caller has waited for when it is [done](Self::done).
    pub(crate) fn waited(&self) -> KeysWaited {
        KeysWaited { keys: Arc::clone(&self.keys), since: self.wait.since }
    }

    /// Returns when there is more to know, or when the limit is reached: the caller looks again. It
    /// goes on to the next attempt where one ended without an answer to this request: one that began
    /// before it, or that died with its runtime.
    pub(crate) async fn done(mut self, deadline: Deadline) {
        let limit = self.wait.limit;
        let end = async {
            for _ in 0..ATTEMPTS {
                self.keys.ended(self.wait.attempt).await;
                // Its place goes first, so that all who wait can wait again.
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
            self.keys.wait_is_over();
        }
    }
}

impl Drop for KeyWait {
    fn drop(&mut self) {
        self.leave();
    }
}
