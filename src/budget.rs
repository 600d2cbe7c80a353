//! Rate limits: a budget of fetches or calls, and the back-off after a failure.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A rate limit as a token bucket in one atomic. "Fetch" also stands for other calls, such as calls
/// of a resolver.
///
/// If the bucket is empty, a request only reads atomics; only the first such request also writes a
/// flag. So a flood does not slow down other requests.
#[derive(Debug)]
pub(crate) struct Budget {
    /// The time in nanoseconds at which the bucket is full (the theoretical arrival time of GCRA).
    full_at: AtomicU64,
    burst: u64,
    period: u64,
    /// Whether it was reported, since the bucket was last full, that the bucket is empty.
    reported: AtomicBool,
}

/// The result of taking one fetch from the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Granted,
    /// The budget is spent. `first` is `true` once, until the bucket is full again, so that a flood
    /// is reported as one event.
    Spent {
        first: bool,
    },
}

impl Budget {
    /// Allows a burst of `burst` fetches, and then one fetch every `period`.
    pub(crate) fn new(burst: u32, period: Duration) -> Self {
        Self {
            full_at: AtomicU64::new(0),
            burst: u64::from(burst),
            period: nanos(period),
            reported: AtomicBool::new(false),
        }
    }

    pub(crate) fn take(&self, now: Duration) -> Taken {
        let now = nanos(now);
        let allowance = self.allowance();
        let taken = self.full_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
            (full_at <= now.saturating_add(allowance))
                .then(|| full_at.max(now).saturating_add(self.period))
        });
        match taken {
            Ok(full_at) => {
                if full_at <= now {
                    self.reported.store(false, Ordering::Relaxed);
                }
                Taken::Granted
            }
            Err(_) => Taken::Spent { first: first(&self.reported) },
        }
    }

    /// Whether the budget is spent and this was already reported. Takes nothing from the budget.
    pub(crate) fn is_spent(&self, now: Duration) -> bool {
        let full_at = self.full_at.load(Ordering::Acquire);
        self.was_reported() && full_at > nanos(now).saturating_add(self.allowance())
    }

    pub(crate) fn was_reported(&self) -> bool {
        self.reported.load(Ordering::Relaxed)
    }

    /// How far `full_at` may be ahead of the current time.
    fn allowance(&self) -> u64 {
        self.period.saturating_mul(self.burst.saturating_sub(1))
    }

    /// Puts back one fetch that was taken and not used.
    pub(crate) fn give_back(&self) {
        self.full_at.fetch_sub(self.period, Ordering::AcqRel);
    }
}

/// The maximum pause after a failure that follows `failures_before` failures in a row (back-off):
/// `least` after the first failure, doubled after each further failure, but at most `most`. The
/// caller uses a random part of this pause (jitter), so that the instances of a fleet spread out.
pub(crate) fn backoff(failures_before: u32, least: Duration, most: Duration) -> Duration {
    least.saturating_mul(1 << failures_before.min(16)).min(most)
}

/// Sets a flag. Returns `true` if this call has set the flag. If the flag is already set, it is
/// only read.
pub(crate) fn first(flag: &AtomicBool) -> bool {
    !flag.load(Ordering::Relaxed) && !flag.swap(true, Ordering::Relaxed)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_its_bound() {
        let s = Duration::from_secs;
        let pauses = [0, 1, 2, 3, 4, 5, 6, 16, 17, u32::MAX];
        let bounds = pauses.map(|before| backoff(before, s(1), s(30)).as_secs());
        assert_eq!(bounds, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]);
        assert_eq!(backoff(u32::MAX, Duration::MAX, s(30)), s(30));
    }
}
