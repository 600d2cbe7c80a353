//! Attempts to fetch: at most one at a time, and after a failure not at once again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The first pause after a failure, doubled with each one more.
pub(crate) const MIN_BACKOFF: Duration = Duration::from_secs(1);

/// The longest pause between attempts, so that an issuer that is back is used soon.
pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The least time from the end of a failed attempt to the next, or a run of small random numbers
/// would hammer a server in distress.
pub(crate) const LEAST_PAUSE: Duration = Duration::from_millis(500);

/// The most of what a server asks for (Retry-After) that is granted. The pause is up to half as long
/// again, at random, or a fleet that was told the same comes back in the same second, again and
/// again; two thirds of the longest pause leave that room within it.
const MAX_ASKED: Duration = Duration::from_secs(20);

/// Bits of the word that hold a moment in milliseconds: 557 years, since a clock may count from
/// the Unix epoch, and a moment that did not fit would be a pause that is over already.
const TIME_BITS: u32 = 44;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const UNDER_WAY: u64 = 1 << TIME_BITS;
/// Above it the attempt's number, which wraps after half a million: at two a second, in three days;
/// and nobody holds on to a number for longer than a wait lasts.
const NUMBER_SHIFT: u32 = TIME_BITS + 1;

/// The state of all attempts in one word: the number of the last one, whether it is under way, and
/// before which moment there must be no other. Readers load it; only who starts an attempt and who
/// ends it write.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    word: AtomicU64,
    /// Failures in a row. Written by whoever holds the ticket.
    failures: AtomicU32,
}

/// What was seen of the attempts. Whoever decides something takes this first and the set after
/// it: a set that lands in between then shows as a changed word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View(u64);

/// The number of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// An attempt may start.
    Idle,
    UnderWay(Attempt),
    /// The last one failed a moment ago.
    Paused {
        until: Duration,
    },
}

/// The right to make one attempt and the duty to say how it ended: there is no other ticket until
/// this one is given back.
#[derive(Debug)]
#[must_use = "an attempt that is not reported as ended blocks all others"]
pub(crate) struct Ticket {
    attempt: Attempt,
    started_at: Duration,
}

impl Ticket {
    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt
    }
}

impl View {
    pub(crate) fn phase(self, now: Duration) -> Phase {
        if self.0 & UNDER_WAY != 0 {
            return Phase::UnderWay(Attempt(self.0 >> NUMBER_SHIFT));
        }
        let not_before = Duration::from_millis(self.0 & TIME_MASK);
        if now < not_before { Phase::Paused { until: not_before } } else { Phase::Idle }
    }
}

impl Attempts {
    pub(crate) fn view(&self) -> View {
        View(self.word.load(Ordering::Acquire))
    }

    /// Starts an attempt, unless another was started or has ended since `seen`.
    pub(crate) fn begin(&self, seen: View, now: Duration) -> Option<Ticket> {
        let attempt = Attempt(((seen.0 >> NUMBER_SHIFT) + 1) & (u64::MAX >> NUMBER_SHIFT));
        let word = (attempt.0 << NUMBER_SHIFT) | UNDER_WAY;
        self.word
            .compare_exchange(seen.0, word, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
            .then_some(Ticket { attempt, started_at: now })
    }

    /// Ends an attempt well; returns how many had failed before it.
    pub(crate) fn succeeded(&self, ticket: Ticket) -> u32 {
        let failures = self.failures.swap(0, Ordering::Relaxed);
        self.end(ticket, Duration::ZERO);
        failures
    }

    /// Ends an attempt badly; returns how many have failed in a row.
    ///
    /// Full jitter: the pause is anything up to the doubled bound, so that a fleet spreads. It
    /// counts from the attempt's start, since an attempt that hung has been a pause, too. `asked`
    /// is what the server asked for, which it gets up to a bound, and then the fleet spreads.
    pub(crate) fn failed(
        &self,
        ticket: Ticket,
        now: Duration,
        random: f64,
        asked: Option<Duration>,
    ) -> u32 {
        let before = self.failures.load(Ordering::Relaxed);
        let failures = before.saturating_add(1);
        self.failures.store(failures, Ordering::Relaxed);
        let bound = MIN_BACKOFF.saturating_mul(1 << before.min(5)).min(MAX_BACKOFF);
        let pause = ticket.started_at.saturating_add(bound.mul_f64(random));
        let asked = asked.unwrap_or_default().min(MAX_ASKED).mul_f64(1.0 + random / 2.0);
        self.end(ticket, pause.max(now.saturating_add(asked.max(LEAST_PAUSE))));
        failures
    }

    /// Gives back a ticket that could not be used.
    pub(crate) fn cancel(&self, ticket: Ticket) {
        self.end(ticket, Duration::ZERO);
    }

    /// Whether this attempt has not ended yet.
    pub(crate) fn is_under_way(&self, attempt: Attempt) -> bool {
        self.view().0 == (attempt.0 << NUMBER_SHIFT) | UNDER_WAY
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Nobody else writes while the ticket is out.
    fn end(&self, ticket: Ticket, not_before: Duration) {
        // Rounded up, so that a pause is never shorter than it was meant to be.
        let nanos = not_before.as_nanos().div_ceil(1_000_000);
        let not_before = u64::try_from(nanos).unwrap_or(u64::MAX).min(TIME_MASK);
        self.word.store((ticket.attempt.0 << NUMBER_SHIFT) | not_before, Ordering::Release);
    }
}
