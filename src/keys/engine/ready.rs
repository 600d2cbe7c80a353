//! Waits for the first key set.

use std::sync::Arc;
use std::time::Duration;

use crate::keys::engine::remote::RemoteKeys;
use crate::keys::engine::timer;
use crate::runtime;

/// The maximum sleep while waiting for the first set.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

impl RemoteKeys {
    /// Waits until there is a usable set. If there is none, starts a fetch, and after a failure
    /// retries when the pause is over. There is no time limit, so the caller needs its own
    /// deadline.
    ///
    /// Returns at once if there is no tokio runtime, or if the runtime has no timer: in both cases
    /// nothing can be fetched.
    pub(crate) async fn ready(self: &Arc<Self>) {
        while !self.is_usable() && runtime::current().is_ok() {
            match self.wake() {
                // Wait at most as long as an attempt can last, because an attempt that never
                // reports does not end this wait.
                Some(attempt) => {
                    runtime::within(self.freshness.lost_after(), self.ended(attempt)).await;
                }
                None => timer::sleep(self.due_in(), LONGEST_SLEEP).await,
            }
        }
    }
}
