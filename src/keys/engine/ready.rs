//! Waits for the first key set.

use std::sync::Arc;
use std::time::Duration;

use crate::keys::engine::remote::RemoteKeys;
use crate::keys::engine::timer;
use crate::runtime;

/// The maximum sleep while waiting for the first set.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

impl RemoteKeys {
    /// Waits until there is a usable set. If there is none, it fetches one and retries after each
    /// pause. It has no time limit of its own.
    ///
    /// Returns at once if there is no tokio runtime or the runtime has no timer, because then
    /// nothing can be fetched.
    pub(crate) async fn ready(self: &Arc<Self>) {
        while !self.is_usable() && runtime::current().is_ok() {
            match self.wake() {
                // Wait at most as long as an attempt can last: an attempt that never reports wakes
                // nobody.
                Some(attempt) => {
                    runtime::within(self.freshness.lost_after(), self.ended(attempt)).await;
                }
                None => timer::sleep(self.due_in(), LONGEST_SLEEP).await,
            }
        }
    }
}
