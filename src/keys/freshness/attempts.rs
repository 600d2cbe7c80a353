//! Attempts to fetch: at most one at a time, and after a failure not at once again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::budget::backoff;

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

/// How long an attempt may take unless it is set: the metadata and the keys, each of which has 5 s. No request waits
/// that long; the attempt is for those that come later.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How long after its start an attempt counts as ended, whether it reported or not: its deadline and
/// a margin. The task may be on a runtime that is no longer polled, and then it never reports.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(12);

/// Bits of the word that hold a moment in milliseconds: 557 years, since a clock may count from
/// the Unix epoch, and a moment that did not fit would be a pause that is over already.
const TIME_BITS: u32 = 44;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const UNDER_WAY: u64 = 1 << TIME_BITS;
const FAILED: u64 = 1 << (TIME_BITS + 1);
/// Above them the attempt's number, which wraps after a quarter of a million: at two a second, in a
/// day and a half. A number is compared with those of the hours around it only.
const NUMBER_SHIFT: u32 = TIME_BITS + 2;
const NUMBER_MASK: u64 = u64::MAX >> NUMBER_SHIFT;

/// The state of all attempts in one word: the number of the last one, whether it is under way,
/// whether the last one that ended had failed, and a moment. While an attempt is under way, the
/// moment is when it counts as ended; after that, it is when the next may start. Readers load the
/// word; only who starts an attempt and who ends it write.
#[derive(Debug)]
pub(crate) struct Attempts {
    word: AtomicU64,
    /// Failures in a row. Written by whoever holds the ticket.
    failures: AtomicU32,
    /// How long after its start an attempt counts as ended.
    lost_after: Duration,
}

/// What was seen of the attempts. Whoever decides something takes this first and the set after
/// it: a set that lands in between then shows as a changed word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View(u64);

/// The number of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(u64);

impl Attempt {
    /// The one after it.
    pub(crate) fn next(self) -> Self {
        Self((self.0 + 1) & NUMBER_MASK)
    }

    /// Whether it is `first` or one after that. Numbers wrap, so this is asked of attempts that are
    /// not far apart.
    pub(crate) fn is_from(self, first: Self) -> bool {
        self.0.wrapping_sub(first.0) & NUMBER_MASK <= NUMBER_MASK / 2
    }
}

/// What an attempt is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The set is due to be fetched.
    Schedule,
    /// A kid that the set does not have.
    UnknownKid,
    /// A signature that fails under a known kid.
    BadSignature,
}

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
    cause: Cause,
    started_at: Duration,
    /// The word that says so. Once it is another one, the attempt was given up.
    word: u64,
}

impl Ticket {
    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt
    }

    pub(crate) fn cause(&self) -> Cause {
        self.cause
    }

    pub(crate) fn started_at(&self) -> Duration {
        self.started_at
    }

    /// Whether it counts as ended by now, although it did not report.
    pub(crate) fn is_late(&self, now: Duration) -> bool {
        now >= moment(self.word)
    }
}

impl View {
    pub(crate) fn phase(self, now: Duration) -> Phase {
        let until = moment(self.0);
        if now >= until {
            // Also where an attempt is under way: it never reported, and another may start.
            Phase::Idle
        } else if self.0 & UNDER_WAY != 0 {
            Phase::UnderWay(self.last())
        } else {
            Phase::Paused { until }
        }
    }

    /// Whether the last attempt that ended had failed.
    pub(crate) fn has_failed(self) -> bool {
        self.0 & FAILED != 0
    }

    /// The last attempt that began.
    pub(crate) fn last(self) -> Attempt {
        Attempt(self.0 >> NUMBER_SHIFT)
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self::lasting(DEADLINE)
    }
}

impl Attempts {
    /// Attempts with this deadline.
    pub(crate) fn lasting(deadline: Duration) -> Self {
        let lost_after = deadline.saturating_add(LOST_AFTER - DEADLINE);
        Self { word: AtomicU64::default(), failures: AtomicU32::default(), lost_after }
    }

    pub(crate) fn lost_after(&self) -> Duration {
        self.lost_after
    }

    pub(crate) fn view(&self) -> View {
        View(self.word.load(Ordering::Acquire))
    }

    /// Starts an attempt, unless another was started or has ended since `seen`.
    pub(crate) fn begin(&self, seen: View, now: Duration, cause: Cause) -> Option<Ticket> {
        let attempt = seen.last().next();
        let lost_at = millis(now.saturating_add(self.lost_after));
        let word = (attempt.0 << NUMBER_SHIFT) | (seen.0 & FAILED) | UNDER_WAY | lost_at;
        self.word
            .compare_exchange(seen.0, word, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
            .then_some(Ticket { attempt, cause, started_at: now, word })
    }

    /// Whether no other attempt has begun, which would mean that this one was given up.
    pub(crate) fn is_current(&self, ticket: &Ticket) -> bool {
        self.view().0 == ticket.word
    }

    /// Ends an attempt well; returns how many had failed before it, none where it was given up.
    pub(crate) fn succeeded(&self, ticket: &Ticket) -> u32 {
        if self.end(ticket, false, Duration::ZERO) {
            self.failures.swap(0, Ordering::Relaxed)
        } else {
            0
        }
    }

    /// Ends an attempt badly; returns how many have failed in a row, or `None` where the attempt was
    /// given up.
    ///
    /// Full jitter: the pause is anything up to the doubled bound, so that a fleet spreads. It
    /// counts from the attempt's start, since an attempt that hung has been a pause, too. `asked`
    /// is what the server asked for, which it gets up to a bound, and then the fleet spreads.
    pub(crate) fn failed(
        &self,
        ticket: &Ticket,
        now: Duration,
        random: f64,
        asked: Option<Duration>,
    ) -> Option<u32> {
        let before = self.failures.load(Ordering::Relaxed);
        let bound = backoff(before, MIN_BACKOFF, MAX_BACKOFF);
        let pause = ticket.started_at.saturating_add(bound.mul_f64(random));
        let asked = asked.unwrap_or_default().min(MAX_ASKED).mul_f64(1.0 + random / 2.0);
        let not_before = pause.max(now.saturating_add(asked.max(LEAST_PAUSE)));
        let failures = before.saturating_add(1);
        self.end(ticket, true, not_before).then(|| {
            self.failures.store(failures, Ordering::Relaxed);
            failures
        })
    }

    /// Ends an attempt that says nothing about the server: it could not be made, or it died with its
    /// runtime, or it came too late. Whether it was not given up before.
    pub(crate) fn cancel(&self, ticket: &Ticket) -> bool {
        self.end(ticket, ticket.word & FAILED != 0, Duration::ZERO)
    }

    /// Whether this attempt has not ended yet, as far as anyone reported.
    pub(crate) fn is_under_way(&self, attempt: Attempt) -> bool {
        let view = self.view();
        view.last() == attempt && view.0 & UNDER_WAY != 0
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Ends an attempt; whether it was still the one under way. Nobody else writes then.
    fn end(&self, ticket: &Ticket, failed: bool, not_before: Duration) -> bool {
        let failed = if failed { FAILED } else { 0 };
        let word = (ticket.attempt.0 << NUMBER_SHIFT) | failed | millis(not_before);
        self.word.compare_exchange(ticket.word, word, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A moment as it is kept in the word: rounded up, so that a pause is never shorter than it was meant
/// to be.
fn millis(moment: Duration) -> u64 {
    let millis = moment.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX).min(TIME_MASK)
}

fn moment(word: u64) -> Duration {
    Duration::from_millis(word & TIME_MASK)
}
