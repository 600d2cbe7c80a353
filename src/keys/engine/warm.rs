//! Keys before anyone asks: waiting for the first set, and keeping it fresh without requests.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::keys::engine::remote::RemoteKeys;
use crate::runtime;

/// The longest sleep of a timer, so that a clock that was stepped, or a machine that was suspended,
/// is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// After so long without a sign of it, a timer counts as lost: its longest sleep and a margin.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(15);

/// The shortest, so that rounding can't make a timer spin.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// While the first set is awaited a timer looks more often.
const LONGEST_SLEEP_UNREADY: Duration = Duration::from_secs(1);

impl RemoteKeys {
    /// Returns when there is a usable set, having it fetched if there is none, again and again
    /// through all pauses. It has no limit of its own.
    ///
    /// Without a tokio runtime, or with one that has no timer, it returns at once: nothing can be fetched.
    pub(crate) async fn ready(self: &Arc<Self>) {
        while !self.is_usable() && runtime::current().is_ok() {
            match self.wake() {
                // No longer than an attempt can last: one that never reports wakes nobody.
                Some(attempt) => {
                    runtime::within(self.freshness.lost_after(), self.ended(attempt)).await;
                }
                None => sleep(self.due_in(), LONGEST_SLEEP_UNREADY).await,
            }
        }
    }
}

/// Has the set fetched whenever that is due, as long as the engine lives.
pub(crate) async fn keep_warm(keys: Weak<RemoteKeys>) {
    loop {
        let due_in = match keys.upgrade() {
            None => return,
            Some(keys) => {
                keys.beats(keys.clock.monotonic());
                let _ = keys.wake();
                keys.due_in()
            }
        };
        sleep(due_in, LONGEST_SLEEP).await;
    }
}

async fn sleep(time: Duration, longest: Duration) {
    tokio::time::sleep(time.clamp(SHORTEST_SLEEP, longest)).await;
}
