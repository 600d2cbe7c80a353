//! The timer that keeps keys fresh without requests.

use std::time::Duration;

/// The maximum sleep of a timer, so that it notices a changed clock or a machine that was
/// suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// A timer that has not run for this time counts as lost. The time is the maximum sleep plus a
/// margin.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(15);

/// The minimum sleep, so that rounding cannot cause a busy loop.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// Runs `step` repeatedly. Each call returns the time until the next call. The first `None` ends
/// the timer.
pub(super) async fn again(mut step: impl FnMut() -> Option<Duration>) {
    while let Some(due_in) = step() {
        sleep(due_in, LONGEST_SLEEP).await;
    }
}

/// Sleeps for `time`, but for `longest` at most.
pub(super) async fn sleep(time: Duration, longest: Duration) {
    tokio::time::sleep(time.clamp(SHORTEST_SLEEP, longest)).await;
}
