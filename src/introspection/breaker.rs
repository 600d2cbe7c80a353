//! May the endpoint be called now? A pure state machine on `now`.
//!
//! ```text
//! closed --- 5 failures in a row ---> open --- pause over ---> half-open, one probe
//!    ^                                  ^                          |        |
//!    |                                  +------ it fails ----------+        |
//!    +------------------------------------ it succeeds --------------------+
//! ```
//!
//! A server in trouble is left alone, and requests are answered 503 at once instead of after the
//! deadline. Times are of the monotonic clock. Randomness is an argument.

use std::time::Duration;

/// Failures in a row that open the breaker: one lost packet is no outage.
pub(crate) const OPENS_AFTER: u32 = 5;

/// The first pause, doubled with each probe that fails.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause, so that a server that is back is used soon.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// What is known of one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Breaker {
    failures: u32,
    /// How often it opened without a success since.
    opened: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Closed,
    Open {
        until: Duration,
    },
    /// A probe is under way.
    HalfOpen,
}

/// The answer to a wish to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Call,
    /// The one call that shows whether the endpoint is back. How it ended must be reported.
    Probe,
    /// Not now.
    Wait {
        retry_after: Duration,
    },
}

impl Breaker {
    pub(crate) fn ask(&mut self, now: Duration) -> Admission {
        match self.state {
            State::Closed => Admission::Call,
            State::Open { until } if now < until => Admission::Wait { retry_after: until - now },
            State::Open { .. } => {
                self.state = State::HalfOpen;
                Admission::Probe
            }
            State::HalfOpen => Admission::Wait { retry_after: MIN_PAUSE },
        }
    }

    /// A call ended with an answer, be it that the token is not active.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call failed; `random` is from 0 up to 1. Calls that were under way when the breaker opened
    /// say nothing new. Answers whether it opened now.
    pub(crate) fn failed(&mut self, now: Duration, probe: bool, random: f64) -> bool {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            State::Closed => self.failures >= OPENS_AFTER,
            State::Open { .. } => false,
            State::HalfOpen => probe,
        };
        if opens {
            let bound = MIN_PAUSE.saturating_mul(1 << self.opened.min(5)).min(MAX_PAUSE);
            // From half the bound on, so that a fleet spreads and a server in distress has peace.
            let pause = bound.mul_f64(0.5 + random / 2.0);
            self.opened = self.opened.saturating_add(1);
            self.state = State::Open { until: now + pause };
        }
        opens
    }

    /// Whether calls are held back.
    pub(crate) fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_opens_after_failures_in_a_row() {
        let mut breaker = Breaker::default();
        for _ in 0..OPENS_AFTER - 1 {
            assert!(!breaker.failed(ms(0), false, 1.0));
        }
        breaker.succeeded();
        for _ in 0..OPENS_AFTER - 1 {
            assert!(!breaker.failed(ms(0), false, 1.0));
            assert_eq!(breaker.ask(ms(0)), Admission::Call);
        }
        assert!(breaker.failed(ms(0), false, 1.0));
        assert_eq!(breaker.ask(ms(0)), Admission::Wait { retry_after: ms(1_000) });
        assert_eq!(breaker.ask(ms(999)), Admission::Wait { retry_after: ms(1) });
    }

    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..OPENS_AFTER {
            breaker.failed(ms(0), false, 1.0);
        }
        breaker
    }

    #[test]
    fn one_probe_decides() {
        let mut breaker = open();
        assert_eq!(breaker.ask(ms(1_000)), Admission::Probe);
        assert_eq!(breaker.ask(ms(1_000)), Admission::Wait { retry_after: MIN_PAUSE });
        // One that was under way before says nothing about now.
        assert!(!breaker.failed(ms(1_000), false, 1.0));
        assert_eq!(breaker.ask(ms(1_000)), Admission::Wait { retry_after: MIN_PAUSE });
        breaker.succeeded();
        assert_eq!(breaker.ask(ms(1_000)), Admission::Call);
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut breaker = open();
        let mut now = ms(1_000);
        for seconds in [2, 4, 8, 16, 30, 30] {
            assert_eq!(breaker.ask(now), Admission::Probe);
            assert!(breaker.failed(now, true, 1.0));
            assert!(!breaker.failed(now, false, 1.0), "it is open already");
            let pause = Duration::from_secs(seconds);
            assert_eq!(breaker.ask(now + pause - ms(1)), Admission::Wait { retry_after: ms(1) });
            now += pause;
        }
        assert_eq!(breaker.ask(now), Admission::Probe);
        breaker.failed(now, true, 0.0);
        assert_eq!(breaker.ask(now + ms(14_999)), Admission::Wait { retry_after: ms(1) });
        assert_eq!(breaker.ask(now + ms(15_000)), Admission::Probe);
    }
}
