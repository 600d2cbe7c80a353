//! How fresh is a key set, and may it be fetched now? A pure state machine on `now`.
//!
//! ```text
//! fetched ....... refresh_at ..... fresh_until ............ usable_until ....
//!    |   fresh         |    ahead       |        stale            |  expired
//!    | keys, no fetch  | keys, and one fetch in the background    |  503 until a fetch succeeds
//! ```
//!
//! It decides when a fetch is due and when one is allowed; a failure only postpones the next
//! attempt and never takes keys away. Times are of the monotonic clock. Randomness is an argument.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a set is fresh when its server does not say. A rotation with overlap is then seen long
/// before the old key goes.
pub(crate) const FRESHNESS: Duration = Duration::from_secs(5 * 60);

/// The least freshness that a server can ask for, so that `max-age=0` is no load on it.
pub(crate) const MIN_FRESHNESS: Duration = Duration::from_secs(60);

/// The most freshness that a server can ask for, so that a withdrawn key is gone within the hour.
pub(crate) const MAX_FRESHNESS: Duration = Duration::from_secs(60 * 60);

/// How long past its freshness a set is used while its server fails: an outage of 50 minutes
/// passes unnoticed, and a compromised key can't be kept alive for longer by blocking the fetch.
pub(crate) const STALE_IF_ERROR: Duration = Duration::from_secs(60 * 60);

/// The part of its freshness after which a set is fetched again, before anyone has to wait.
const REFRESH_AHEAD: f64 = 0.8;

/// The part of its freshness by which that moment is moved earlier at random, so that the
/// instances of a fleet that started together don't fetch together.
const JITTER: f64 = 0.1;

/// The first pause after a failure, doubled with each one more.
pub(crate) const MIN_BACKOFF: Duration = Duration::from_secs(1);

/// The longest pause between attempts, so that an issuer that is back is used soon.
pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// How a set stands at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No set was ever fetched.
    Empty,
    Fresh,
    /// Fresh, and due to be fetched again.
    Ahead,
    /// Past its freshness, and still used.
    Stale,
    /// No longer used.
    Expired,
}

/// When a set was fetched and how long it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Life {
    pub(crate) fetched_at: Duration,
    pub(crate) refresh_at: Duration,
    pub(crate) fresh_until: Duration,
    pub(crate) usable_until: Duration,
}

impl Life {
    /// The life of a set fetched `now`; `random` is from 0 up to 1.
    pub(crate) fn new(now: Duration, max_age: Option<Duration>, random: f64) -> Self {
        let fresh = max_age.unwrap_or(FRESHNESS).clamp(MIN_FRESHNESS, MAX_FRESHNESS);
        Self {
            fetched_at: now,
            refresh_at: now + fresh.mul_f64(REFRESH_AHEAD - JITTER * random),
            fresh_until: now + fresh,
            usable_until: now + fresh + STALE_IF_ERROR,
        }
    }

    pub(crate) fn stage(&self, now: Duration) -> Stage {
        if now < self.refresh_at {
            Stage::Fresh
        } else if now < self.fresh_until {
            Stage::Ahead
        } else if now < self.usable_until {
            Stage::Stale
        } else {
            Stage::Expired
        }
    }
}

/// Attempts to fetch: at most one at a time, and after a failure not at once again.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attempts {
    in_flight: bool,
    failures: u32,
    not_before: Duration,
}

/// What to do for a request that would like a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Start one; the caller must report how it ended.
    Start,
    /// One is under way.
    Join,
    /// The last one failed a moment ago.
    BackOff { until: Duration },
}

impl Attempts {
    pub(crate) fn ask(&self, now: Duration) -> Attempt {
        if self.in_flight {
            Attempt::Join
        } else if now < self.not_before {
            Attempt::BackOff { until: self.not_before }
        } else {
            Attempt::Start
        }
    }

    pub(crate) fn started(&mut self) {
        self.in_flight = true;
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Full jitter: the pause is anything up to the doubled bound, so that a fleet spreads.
    pub(crate) fn failed(&mut self, now: Duration, random: f64) {
        let bound = MIN_BACKOFF.saturating_mul(1 << self.failures.min(5)).min(MAX_BACKOFF);
        // Not below half a second, or a run of small numbers would hammer a server in distress.
        let pause = bound.mul_f64(random).max(MIN_BACKOFF / 2);
        self.in_flight = false;
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + pause;
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

/// A token bucket in one atomic: what is left of a budget of fetches.
///
/// A request that finds it empty reads the one number and writes nothing, so that a flood costs
/// other requests nothing.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Nanoseconds at which the bucket would be full (the theoretical arrival time of GCRA).
    full_at: AtomicU64,
    burst: u64,
    period: u64,
}

impl Budget {
    /// `burst` at once, and one more each `period`.
    pub(crate) fn new(burst: u32, period: Duration) -> Self {
        Self { full_at: AtomicU64::new(0), burst: u64::from(burst), period: nanos(period) }
    }

    pub(crate) fn take(&self, now: Duration) -> bool {
        let now = nanos(now);
        let allowance = self.period.saturating_mul(self.burst - 1);
        self.full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                (full_at <= now.saturating_add(allowance))
                    .then(|| full_at.max(now).saturating_add(self.period))
            })
            .is_ok()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long an answer is fresh by its headers (RFC 9111 §5.2.2): `max-age` less `Age`; nothing at
/// all by `no-store` and `no-cache`; `None` where they do not say.
#[cfg(any(feature = "remote", test))]
pub(crate) fn max_age(cache_control: &str, age: Option<&str>) -> Option<Duration> {
    let mut max_age = None;
    for directive in cache_control.split(',').map(str::trim) {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache")
        {
            return Some(Duration::ZERO);
        }
        if let Some((name, seconds)) = directive.split_once('=')
            && name.trim().eq_ignore_ascii_case("max-age")
        {
            max_age = max_age.or(seconds.trim().trim_matches('"').parse().ok());
        }
    }
    let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    max_age.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn stages_of_a_life() {
        let life = Life::new(s(0), None, 0.0);
        for (at, stage) in [
            (s(0), Stage::Fresh),
            (s(239), Stage::Fresh),
            (s(240), Stage::Ahead),
            (s(299), Stage::Ahead),
            (s(300), Stage::Stale),
            (s(300 + 3599), Stage::Stale),
            (s(300 + 3600), Stage::Expired),
        ] {
            assert_eq!(life.stage(at), stage, "{at:?}");
        }
    }

    #[test]
    fn freshness_is_kept_within_its_bounds() {
        for (max_age, fresh) in [
            (None, 300),
            (Some(0), 60),
            (Some(59), 60),
            (Some(60), 60),
            (Some(1_000), 1_000),
            (Some(3_600), 3_600),
            (Some(3_601), 3_600),
            (Some(u64::MAX), 3_600),
        ] {
            let life = Life::new(s(10), max_age.map(s), 0.0);
            assert_eq!(life.fresh_until, s(10 + fresh), "{max_age:?}");
        }
    }

    #[test]
    fn the_refresh_comes_ahead_and_spread() {
        let (first, last) = (Life::new(s(0), None, 0.999), Life::new(s(0), None, 0.0));
        assert_eq!(last.refresh_at, s(240));
        assert!(first.refresh_at > s(209) && first.refresh_at < s(211));
    }

    #[test]
    fn a_failure_postpones_the_next_attempt() {
        let mut attempts = Attempts::default();
        assert_eq!(attempts.ask(s(0)), Attempt::Start);
        attempts.started();
        assert_eq!(attempts.ask(s(0)), Attempt::Join);
        for bound in [1, 2, 4, 8, 16, 30, 30] {
            attempts.failed(s(0), 1.0);
            assert_eq!(attempts.ask(s(0)), Attempt::BackOff { until: s(bound) });
            assert_eq!(attempts.ask(s(bound)), Attempt::Start);
        }
        attempts.succeeded();
        assert_eq!(attempts.ask(s(0)), Attempt::Start);
        attempts.failed(s(0), 0.0);
        assert_eq!(attempts.ask(Duration::from_millis(499)), Attempt::BackOff { until: s(1) / 2 });
    }

    #[test]
    fn a_budget_has_a_burst_and_refills() {
        let budget = Budget::new(2, s(10));
        let taken: Vec<bool> =
            [0, 0, 0, 9, 10, 10, 19, 20, 100, 100, 100].map(|at| budget.take(s(at))).into();
        assert_eq!(taken, [true, true, false, false, true, false, false, true, true, true, false]);
    }

    #[test]
    fn cache_control() {
        for (text, age, expected) in [
            ("", None, None),
            ("public", None, None),
            ("max-age=600", None, Some(600)),
            ("public, Max-Age=600, must-revalidate", None, Some(600)),
            ("max-age=\"600\"", None, Some(600)),
            ("max-age=600", Some("100"), Some(500)),
            ("max-age=600", Some("1000"), Some(0)),
            ("max-age=600, max-age=1", None, Some(600)),
            ("max-age=600, no-store", None, Some(0)),
            ("no-cache", None, Some(0)),
            ("max-age=-1", None, None),
            ("max-age=99999999999999999999999", None, None),
            ("s-maxage=5", None, None),
        ] {
            assert_eq!(max_age(text, age), expected.map(s), "{text}");
        }
    }
}
