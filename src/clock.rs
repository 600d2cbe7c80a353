//! The only reader of the system clock.
//!
//! Two clocks, because they answer two questions. Claims are about the calendar, so `exp` and
//! `nbf` are judged by the **wall** clock. Ages and waits of our own (how old is the key set, may
//! we fetch again) are about elapsed time, so they follow the **monotonic** clock, which no
//! administrator and no NTP step can move. On Linux it counts the time that the machine sleeps, so
//! that keys and answers are as old after a suspension as they are; elsewhere it may stand still
//! then, as [`Instant`](std::time::Instant) does.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of time. [`ResourceServer`](crate::ResourceServer) uses the system's unless a test
/// hands it a [`TestClock`].
pub trait Clock: Send + Sync + 'static {
    /// Time since the Unix epoch, by the wall clock.
    fn wall(&self) -> Duration;

    /// Time since some fixed moment of this clock's own; never goes back. Ages are measured by it, so
    /// it counts the time that the machine sleeps, where that can be had.
    fn monotonic(&self) -> Duration;
}

/// Real time, for what tokio's timers end: a test's clock does not move them.
#[cfg(feature = "remote")]
pub(crate) fn real_time() -> std::time::Instant {
    std::time::Instant::now()
}

/// The system's clocks.
#[derive(Clone, Debug)]
pub(crate) struct SystemClock {
    start: Moment,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { start: moment() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Duration {
        since_epoch(SystemTime::now())
    }

    #[cfg(target_os = "linux")]
    fn monotonic(&self) -> Duration {
        moment().saturating_sub(self.start)
    }

    #[cfg(not(target_os = "linux"))]
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(target_os = "linux")]
type Moment = Duration;

#[cfg(not(target_os = "linux"))]
type Moment = std::time::Instant;

/// `CLOCK_BOOTTIME`, which counts sleep, unlike the clock behind `Instant` (`CLOCK_MONOTONIC`). It is
/// read without a system call, as that one is.
#[cfg(target_os = "linux")]
fn moment() -> Moment {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::Boottime);
    // Neither is negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
fn moment() -> Moment {
    std::time::Instant::now()
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
    fn the_systems_clock_goes_on() {
        let clock = SystemClock::new();
        let start = clock.monotonic();
        assert!(start < Duration::from_secs(60), "it counts from its own start");
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.monotonic() >= start + Duration::from_millis(2));
    }

    /// No test can put the machine to sleep, so this one shows which clock is read.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_systems_clock_counts_sleep() {
        use rustix::time::{ClockId, clock_gettime};

        let read = |id| {
            let time = clock_gettime(id);
            Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
        };
        let (before, read_here, after) =
            (read(ClockId::Boottime), moment(), read(ClockId::Boottime));
        assert!(before <= read_here && read_here <= after);
        assert!(read_here >= read(ClockId::Monotonic).saturating_sub(Duration::from_secs(1)));
    }

    #[test]
    fn a_clock_before_1970_accepts_nothing() {
        let second = Duration::from_secs(1);
        assert_eq!(since_epoch(UNIX_EPOCH + second), second);
        assert_eq!(since_epoch(UNIX_EPOCH), Duration::ZERO);
        assert_eq!(since_epoch(UNIX_EPOCH - second), Duration::MAX);
    }
}
