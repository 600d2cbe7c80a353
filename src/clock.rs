//! The only reader of the system clock.
//!
//! Two clocks, because they answer two questions. Claims are about the calendar, so `exp` and
//! `nbf` are judged by the **wall** clock. Ages and waits of our own (how old is the key set, may
//! we fetch again) are about elapsed time, so they follow the **monotonic** clock, which no
//! administrator and no NTP step can move.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time. [`ResourceServer`](crate::ResourceServer) uses the system's unless a test
/// hands it a [`TestClock`].
pub trait Clock: Send + Sync + 'static {
    /// Time since the Unix epoch, by the wall clock.
    fn wall(&self) -> Duration;

    /// Time since some fixed moment of this clock's own; never goes back.
    fn monotonic(&self) -> Duration;
}

/// Real time, for what tokio's timers end: a test's clock does not move them.
#[cfg(feature = "remote")]
pub(crate) fn real_time() -> Instant {
    Instant::now()
}

/// The system's clocks.
#[derive(Clone, Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Duration {
        since_epoch(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock set before 1970 reads as the end of time: every token has expired then. The start of time
/// would accept those of any age that have neither `nbf` nor `iat`.
fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX)
}

/// A clock that stands still until it is told to move, to test expiry, outages and rotation
/// without waiting.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::{Clock, TestClock};
///
/// let clock = TestClock::at(1_700_000_000);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.wall(), Duration::from_secs(1_700_000_060));
/// ```
#[derive(Clone)]
pub struct TestClock {
    shared: Arc<TestTime>,
}

struct TestTime {
    wall: Mutex<Duration>,
    monotonic_nanos: AtomicU64,
}

impl TestClock {
    /// A clock whose wall shows `unix_seconds`.
    pub fn at(unix_seconds: u64) -> Self {
        let wall = Mutex::new(Duration::from_secs(unix_seconds));
        Self { shared: Arc::new(TestTime { wall, monotonic_nanos: AtomicU64::new(0) }) }
    }

    /// A clock that starts at the system's present wall time.
    pub fn starting_now() -> Self {
        Self::at(SystemClock::new().wall().as_secs())
    }

    /// Lets `time` pass on both clocks.
    pub fn advance(&self, time: Duration) {
        let mut wall = self.shared.wall.lock().unwrap_or_else(PoisonError::into_inner);
        *wall = wall.saturating_add(time);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let monotonic = &self.shared.monotonic_nanos;
        // It never goes back, not even at its end. The lock keeps other writers out.
        let next = monotonic.load(Ordering::SeqCst).saturating_add(nanos);
        monotonic.store(next, Ordering::SeqCst);
    }

    /// Steps the wall clock alone, as an administrator or NTP would; it may go back.
    pub fn set_wall(&self, unix_seconds: u64) {
        *self.shared.wall.lock().unwrap_or_else(PoisonError::into_inner) =
            Duration::from_secs(unix_seconds);
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Duration {
        *self.shared.wall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.shared.monotonic_nanos.load(Ordering::SeqCst))
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClock")
            .field("wall", &self.wall())
            .field("monotonic", &self.monotonic())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_stops_at_its_end() {
        let clock = TestClock::at(0);
        clock.advance(Duration::from_secs(1));
        clock.advance(Duration::MAX);
        assert_eq!(clock.wall(), Duration::MAX);
        assert_eq!(clock.monotonic(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_clock_before_1970_accepts_nothing() {
        let second = Duration::from_secs(1);
        assert_eq!(since_epoch(UNIX_EPOCH + second), second);
        assert_eq!(since_epoch(UNIX_EPOCH), Duration::ZERO);
        assert_eq!(since_epoch(UNIX_EPOCH - second), Duration::MAX);
    }
}
