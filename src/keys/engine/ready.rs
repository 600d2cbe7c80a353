//! Waiting for the first set.

use std::sync::Arc;
use std::time::Duration;

use crate::keys::engine::remote::RemoteKeys;
use crate::keys::engine::timer;
use crate::runtime;

/// The longest sleep while the first set is awaited.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

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
                None => timer::sleep(self.due_in(), LONGEST_SLEEP).await,
            }
        }
    }
}
