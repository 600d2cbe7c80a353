//! The timer that keeps keys fresh without requests.

use std::time::Duration;

/// The longest sleep of a timer, so that a clock that was stepped, or a machine that was suspended,
/// is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// After so long without a sign of it, a timer counts as lost: its longest sleep and a margin.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(15);

/// The shortest, so that rounding can't make a timer spin.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// Takes a step, and the next one after the time that it returns, until there is none.
pub(super) async fn again(mut step: impl FnMut() -> Option<Duration>) {
    while let Some(due_in) = step() {
        sleep(due_in, LONGEST_SLEEP).await;
    }
}

/// Sleeps for `time`, and for `longest` at most.
pub(super) async fn sleep(time: Duration, longest: Duration) {
    tokio::time::sleep(time.clamp(SHORTEST_SLEEP, longest)).await;
}
