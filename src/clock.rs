//! The only place that reads the system clock.
//!
//! There are two clocks for two purposes. Claims contain calendar times, so `exp` and `nbf` are
//! compared with the **wall** clock. Ages and waits of this crate are elapsed times: the age of a
//! key set, the time until the next fetch. They use the **monotonic** clock, which neither an
//! administrator nor NTP can set. On Linux, the monotonic clock also counts the time that the
//! machine is suspended, so that keys and cached answers have their real age afterwards. On other
//! systems, the clock may stop during that time, as [`Instant`](std::time::Instant) does.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of time. [`ResourceServer`](crate::ResourceServer) uses the system's clocks unless
/// [`Builder::clock`](crate::builder::Builder::clock) sets another one, such as a [`TestClock`].
pub trait Clock: Send + Sync + 'static {
    /// The time since the Unix epoch, by the wall clock.
    fn wall(&self) -> Duration;

    /// The time since some fixed moment. It must never go back. Ages are measured with this clock,
    /// so it should also count the time that the machine is suspended.
    fn monotonic(&self) -> Duration;
}

/// The real time, for waits with tokio's timers. A test clock does not change it.
#[cfg(feature = "http-client")]
pub(crate) fn real_time() -> std::time::Instant {
    std::time::Instant::now()
}

/// The clocks of the system.
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

/// Reads `CLOCK_BOOTTIME`, which counts suspended time. `Instant` reads `CLOCK_MONOTONIC`, which
/// does not. Both clocks are usually read without a system call.
#[cfg(target_os = "linux")]
fn moment() -> Moment {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::Boottime);
    // Neither value is negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
fn moment() -> Moment {
    std::time::Instant::now()
}

/// The time since the Unix epoch. If the clock is set before 1970, returns the maximum, so that
/// every token has expired. With 0 instead, expired tokens without `nbf` and `iat` would be
/// accepted.
fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX)
}

/// A clock that moves only when a test moves it. With this clock, tests check expiry, outages and
/// key rotation without waiting.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::clock::{Clock, TestClock};
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
    /// A clock whose wall time is `unix_seconds`.
    pub fn at(unix_seconds: u64) -> Self {
        let wall = Mutex::new(Duration::from_secs(unix_seconds));
        Self { shared: Arc::new(TestTime { wall, monotonic_nanos: AtomicU64::new(0) }) }
    }

    /// A clock that starts at the current wall time of the system.
    pub fn starting_now() -> Self {
        Self::at(SystemClock::new().wall().as_secs())
    }

    /// Advances both clocks by `time`.
    pub fn advance(&self, time: Duration) {
        let mut wall = self.shared.wall.lock().unwrap_or_else(PoisonError::into_inner);
        *wall = wall.saturating_add(time);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let monotonic = &self.shared.monotonic_nanos;
        // The clock never goes back, not even at its maximum. The lock excludes other writers.
        let next = monotonic.load(Ordering::SeqCst).saturating_add(nanos);
        monotonic.store(next, Ordering::SeqCst);
    }

    /// Sets only the wall clock, as an administrator or NTP could. The new time may be earlier.
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

    /// A test cannot suspend the machine, so this test only shows which clock is read.
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
