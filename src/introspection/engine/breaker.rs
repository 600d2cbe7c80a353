//! The circuit breaker of one endpoint. A pure state machine that takes `now`.
//!
//! ```text
//! closed --- 5 failures in a row ---> open --- pause over ---> half-open, one probe
//!    ^                                  ^                          |        |
//!    |                                  +------ it fails ----------+        |
//!    +------------------------------------ it succeeds --------------------+
//! ```
//!
//! While the breaker is open, the server gets no calls, so requests get 503 at once and not only
//! after the deadline. Times are from the monotonic clock. Randomness is an argument.
//!
//! [`Evidence`] decides what counts as a failure. A failure that one token causes counts once,
//! however often the token is sent.

use std::time::Duration;

use crate::budget::backoff;

use crate::crypto::Fingerprint;
use crate::flight;

/// The number of failures in a row that opens the breaker. One lost packet is not an outage.
pub(crate) const OPENS_AFTER: u32 = 5;

/// The first pause. It doubles with each probe that fails.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause. It is short, so that a server is used again soon after it has recovered.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The state of one endpoint's breaker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Breaker {
    /// How long a probe counts as in progress: the deadline of the call plus a margin. After that
    /// time another probe may be sent, because the first may be on a runtime that is no longer
    /// polled.
    probe_lasts: Duration,
    failures: u32,
    /// How many times the breaker has opened since the last success.
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
    /// A probe is in progress.
    HalfOpen {
        since: Duration,
    },
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Call,
    /// The one call that shows whether the endpoint has recovered. Its end must be reported.
    Probe,
    /// The call is held back.
    Wait {
        retry_after: Duration,
    },
}

impl Breaker {
    /// For calls with this deadline.
    pub(crate) fn for_calls(deadline: Duration) -> Self {
        let probe_lasts = deadline.saturating_add(flight::MARGIN);
        Self { probe_lasts, failures: 0, opened: 0, state: State::Closed }
    }

    pub(crate) fn ask(&mut self, now: Duration) -> Admission {
        match self.state {
            State::Closed => Admission::Call,
            State::Open { until } if now < until => Admission::Wait { retry_after: until - now },
            State::HalfOpen { since } if now < since.saturating_add(self.probe_lasts) => {
                Admission::Wait { retry_after: MIN_PAUSE }
            }
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { since: now };
                Admission::Probe
            }
        }
    }

    /// Whether [`ask`](Self::ask) would return [`Admission::Probe`].
    pub(crate) fn is_probe_due(&self, now: Duration) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { until } => now >= until,
            State::HalfOpen { since } => now >= since.saturating_add(self.probe_lasts),
        }
    }

    /// A call ended with a good answer, for example that the token is not active.
    pub(crate) fn succeeded(&mut self) {
        *self = Self { failures: 0, opened: 0, state: State::Closed, ..*self };
    }

    /// The probe was answered with an error that may be caused by its text. So the server is up,
    /// and calls continue. If they fail, the next pause is still longer than the last.
    pub(crate) fn probe_was_answered(&mut self) {
        if let State::HalfOpen { .. } = self.state {
            self.state = State::Closed;
            self.failures = 0;
        }
    }

    /// The probe ended without a result, so another may be sent.
    pub(crate) fn probe_was_lost(&mut self, now: Duration) {
        if let State::HalfOpen { .. } = self.state {
            self.state = State::Open { until: now };
        }
    }

    /// A call failed. `random` is at least 0 and below 1; `asked` is the pause that the server
    /// asked for. Calls that were in flight when the breaker opened add no information. Returns
    /// whether the breaker opened now.
    pub(crate) fn failed(
        &mut self,
        now: Duration,
        probe: bool,
        random: f64,
        asked: Option<Duration>,
    ) -> bool {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            State::Closed => self.failures >= OPENS_AFTER,
            State::Open { .. } => false,
            State::HalfOpen { .. } => probe,
        };
        if opens {
            let bound = backoff(self.opened, MIN_PAUSE, MAX_PAUSE);
            // Jitter: between half the bound and the bound, so that instances spread out and an
            // overloaded server can recover.
            let pause = bound.mul_f64(0.5 + random / 2.0);
            let pause = pause.max(within_cap(asked));
            self.opened = self.opened.saturating_add(1);
            self.state = State::Open { until: now.saturating_add(pause) };
        }
        opens
    }

    /// Whether calls are held back.
    pub(crate) fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

/// The pause that a server asks for (`Retry-After`), limited to the longest pause.
pub(crate) fn within_cap(asked: Option<Duration>) -> Duration {
    asked.unwrap_or_default().min(MAX_PAUSE)
}

/// The tokens for which the endpoint failed since its last good answer. Repeated failures of one
/// token count once, because the token may be the cause.
#[derive(Default)]
pub(crate) struct Evidence {
    /// At most as many as open the breaker.
    failed: Vec<Fingerprint>,
    /// The first token that was answered 401 without the code `invalid_client`.
    unauthorized: Option<Fingerprint>,
}

impl Evidence {
    /// A call about this token failed because of the server or our credentials. Returns whether
    /// this is the first failure of this token since the last good answer.
    pub(crate) fn failed(&mut self, token: Fingerprint) -> bool {
        let is_new = !self.failed.contains(&token);
        if is_new && self.failed.len() < OPENS_AFTER as usize {
            self.failed.push(token);
        }
        is_new
    }

    /// A call about this token was answered 401. Returns how many failures this counts as. A 401
    /// for one token proves nothing; a 401 for two tokens shows that our credentials are refused.
    pub(crate) fn unauthorized(&mut self, token: Fingerprint) -> u32 {
        match self.unauthorized {
            None => {
                self.unauthorized = Some(token);
                0
            }
            Some(first) if first == token && !self.failed.contains(&first) => 0,
            Some(first) => u32::from(self.failed(first)) + u32::from(self.failed(token)),
        }
    }

    /// The endpoint gave a good answer.
    pub(crate) fn clear(&mut self) {
        self.failed.clear();
        self.unauthorized = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The deadline of the calls.
    const DEADLINE: Duration = Duration::from_secs(5);
    use crate::crypto::Fingerprints;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_opens_after_failures_in_a_row() {
        let mut breaker = Breaker::for_calls(DEADLINE);
        for _ in 0..OPENS_AFTER - 1 {
            assert!(!breaker.failed(ms(0), false, 1.0, None));
        }
        breaker.succeeded();
        for _ in 0..OPENS_AFTER - 1 {
            assert!(!breaker.failed(ms(0), false, 1.0, None));
            assert_eq!(breaker.ask(ms(0)), Admission::Call);
        }
        assert!(breaker.failed(ms(0), false, 1.0, None));
        assert_eq!(breaker.ask(ms(0)), Admission::Wait { retry_after: ms(1_000) });
        assert_eq!(breaker.ask(ms(999)), Admission::Wait { retry_after: ms(1) });
    }

    fn open() -> Breaker {
        let mut breaker = Breaker::for_calls(DEADLINE);
        for _ in 0..OPENS_AFTER {
            breaker.failed(ms(0), false, 1.0, None);
        }
        breaker
    }

    #[test]
    fn one_probe_decides() {
        let mut breaker = open();
        assert_eq!(breaker.ask(ms(1_000)), Admission::Probe);
        assert_eq!(breaker.ask(ms(1_000)), Admission::Wait { retry_after: MIN_PAUSE });
        // A call that was in flight before says nothing about the present.
        assert!(!breaker.failed(ms(1_000), false, 1.0, None));
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
            assert!(breaker.failed(now, true, 1.0, None));
            assert!(!breaker.failed(now, false, 1.0, None), "it is open already");
            let pause = Duration::from_secs(seconds);
            assert_eq!(breaker.ask(now + pause - ms(1)), Admission::Wait { retry_after: ms(1) });
            now += pause;
        }
        assert_eq!(breaker.ask(now), Admission::Probe);
        breaker.failed(now, true, 0.0, None);
        assert_eq!(breaker.ask(now + ms(14_999)), Admission::Wait { retry_after: ms(1) });
        assert_eq!(breaker.ask(now + ms(15_000)), Admission::Probe);
    }

    #[test]
    fn a_probe_that_is_overdue_or_lost_makes_room_for_another() {
        let mut breaker = open();
        assert!(!breaker.is_probe_due(ms(999)));
        assert!(breaker.is_probe_due(ms(1_000)));
        assert_eq!(breaker.ask(ms(1_000)), Admission::Probe);
        let end = ms(1_000) + DEADLINE + flight::MARGIN;
        assert!(!breaker.is_probe_due(end - ms(1)));
        assert_eq!(breaker.ask(end - ms(1)), Admission::Wait { retry_after: MIN_PAUSE });
        assert!(breaker.is_probe_due(end));
        assert_eq!(breaker.ask(end), Admission::Probe);
        breaker.probe_was_lost(end);
        assert!(breaker.is_open());
        assert_eq!(breaker.ask(end), Admission::Probe);
    }

    #[test]
    fn a_probe_may_take_as_long_as_the_calls_that_it_stands_for() {
        for (deadline, is_overdue) in [(DEADLINE, true), (Duration::from_secs(30), false)] {
            let mut breaker = Breaker::for_calls(deadline);
            // Also after the breaker has closed once.
            breaker.succeeded();
            for _ in 0..OPENS_AFTER {
                breaker.failed(ms(0), false, 1.0, None);
            }
            assert_eq!(breaker.ask(ms(1_000)), Admission::Probe);
            assert_eq!(breaker.is_probe_due(ms(10_000)), is_overdue, "{deadline:?}");
        }
    }

    #[test]
    fn an_answer_about_the_probes_token_ends_the_pause_and_not_its_growth() {
        let mut breaker = open();
        assert_eq!(breaker.ask(ms(1_000)), Admission::Probe);
        breaker.probe_was_answered();
        for _ in 0..OPENS_AFTER - 1 {
            assert_eq!(breaker.ask(ms(1_000)), Admission::Call);
            assert!(!breaker.failed(ms(1_000), false, 1.0, None));
        }
        assert!(breaker.failed(ms(1_000), false, 1.0, None));
        assert_eq!(breaker.ask(ms(1_000)), Admission::Wait { retry_after: ms(2_000) });
        // A breaker that is open or closed does not change.
        breaker.probe_was_answered();
        assert!(breaker.is_open());
    }

    #[test]
    fn a_server_may_ask_for_a_longer_pause_up_to_the_cap() {
        for (asked, pause) in [(0, 1_000), (7, 7_000), (30, 30_000), (86_400, 30_000)] {
            let mut breaker = Breaker::for_calls(DEADLINE);
            for _ in 0..OPENS_AFTER {
                breaker.failed(ms(0), false, 1.0, Some(Duration::from_secs(asked)));
            }
            assert_eq!(breaker.ask(ms(0)), Admission::Wait { retry_after: ms(pause) }, "{asked}");
        }
    }

    #[test]
    fn one_token_is_no_evidence_however_often_it_fails() {
        let fingerprints = Fingerprints::new(&[]).unwrap();
        let of = |n: u8| fingerprints.of(&[n]);
        let mut evidence = Evidence::default();
        let counted = |evidence: &mut Evidence, tokens: &[u8]| -> Vec<bool> {
            tokens.iter().map(|n| evidence.failed(of(*n))).collect()
        };
        assert_eq!(counted(&mut evidence, &[1, 1, 2, 1, 2]), [true, false, true, false, false]);
        evidence.clear();
        assert_eq!(counted(&mut evidence, &[1]), [true]);
    }

    #[test]
    fn a_401_counts_once_two_tokens_got_it() {
        let fingerprints = Fingerprints::new(&[]).unwrap();
        for (name, tokens, counts) in
            [("one", &[1, 1, 1][..], &[0, 0, 0][..]), ("two", &[1, 2, 1, 2, 3], &[0, 2, 0, 0, 1])]
        {
            let mut evidence = Evidence::default();
            let found: Vec<_> =
                tokens.iter().map(|n| evidence.unauthorized(fingerprints.of(&[*n]))).collect();
            assert_eq!(found, counts, "{name}");
            evidence.clear();
            assert_eq!(evidence.unauthorized(fingerprints.of(&[9])), 0, "{name}");
        }
    }
}
