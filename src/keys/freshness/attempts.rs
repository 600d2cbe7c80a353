//! Attempts to fetch: at most one at a time, with back-off after a failure.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::budget::backoff;

/// The maximum of the first pause after a failure. Each further failure doubles it.
pub(crate) const MIN_BACKOFF: Duration = Duration::from_secs(1);

/// The maximum pause between attempts, so that an issuer that has recovered is used soon.
pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The minimum time from the end of a failed attempt to the next attempt. Without it, several small
/// random numbers in a row would overload a server that is already in trouble.
pub(crate) const LEAST_PAUSE: Duration = Duration::from_millis(500);

/// The maximum pause that a server can ask for with Retry-After. A random time of up to half of it
/// is added. Otherwise all instances that received the same value would come back in the same
/// second. The value is two thirds of the maximum pause, so that the sum stays within that maximum.
const MAX_ASKED: Duration = Duration::from_secs(20);

/// Default time limit of an attempt. The metadata and the keys are allowed 5 s each. No request
/// waits this long; the attempt serves later requests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How long after its start an attempt counts as ended, even if it did not report: its deadline and
/// a margin. The task may be on a runtime that is no longer polled. Then it never reports.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(12);

/// Number of bits that hold a time in milliseconds. They cover 557 years, because a clock may count
/// from the Unix epoch. A time that did not fit would look like a pause that is already over.
const TIME_BITS: u32 = 44;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const IN_PROGRESS: u64 = 1 << TIME_BITS;
const FAILED: u64 = 1 << (TIME_BITS + 1);
/// The attempt's number is above these bits. It wraps after a quarter of a million attempts. At two
/// attempts a second, that takes a day and a half. A number is only compared with numbers of the
/// hours around it.
const NUMBER_SHIFT: u32 = TIME_BITS + 2;
const NUMBER_MASK: u64 = u64::MAX >> NUMBER_SHIFT;

/// The state of all attempts in one word: the number of the last attempt, whether it is in
/// progress, whether the last attempt that ended had failed, and a time. While an attempt is in
/// progress, the time is when it counts as ended. After that, it is when the next attempt may
/// start. Readers only load the word. Starting and ending an attempt write it.
#[derive(Debug)]
pub(crate) struct Attempts {
    word: AtomicU64,
    /// Failures in a row. Only the holder of the ticket writes it.
    failures: AtomicU32,
    /// How long after its start an attempt counts as ended.
    lost_after: Duration,
}

/// The state of the attempts at one moment. Load this before the set. If a set is published in
/// between, the word has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View(u64);

/// The number of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(u64);

impl Attempt {
    /// The next attempt.
    pub(crate) fn next(self) -> Self {
        Self((self.0 + 1) & NUMBER_MASK)
    }

    /// Whether this is `first` or a later attempt. Numbers wrap, so compare only attempts that are
    /// close together.
    pub(crate) fn is_from(self, first: Self) -> bool {
        self.0.wrapping_sub(first.0) & NUMBER_MASK <= NUMBER_MASK / 2
    }
}

/// The reason for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The set is due to be fetched.
    Schedule,
    /// The set does not have a kid.
    UnknownKid,
    /// A signature failed with a known kid.
    BadSignature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// An attempt may start.
    Idle,
    InProgress(Attempt),
    /// The last attempt failed a short time ago.
    Paused {
        until: Duration,
    },
}

/// The right to make one attempt, and the duty to report how it ended. There is no other ticket
/// until this one is returned.
#[derive(Debug)]
#[must_use = "an attempt that is not reported as ended blocks all others"]
pub(crate) struct Ticket {
    attempt: Attempt,
    cause: Cause,
    started_at: Duration,
    /// The word that this attempt wrote. If the current word differs, the attempt was given up.
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

    /// Whether the attempt counts as ended by now because it did not report in time.
    pub(crate) fn is_late(&self, now: Duration) -> bool {
        now >= moment(self.word)
    }
}

impl View {
    pub(crate) fn phase(self, now: Duration) -> Phase {
        let until = moment(self.0);
        if now >= until {
            // This also applies to an attempt in progress: it did not report in time, so another
            // may start.
            Phase::Idle
        } else if self.0 & IN_PROGRESS != 0 {
            Phase::InProgress(self.last())
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

    /// Starts an attempt, unless another attempt has started or ended since `seen`.
    pub(crate) fn begin(&self, seen: View, now: Duration, cause: Cause) -> Option<Ticket> {
        let attempt = seen.last().next();
        let lost_at = millis(now.saturating_add(self.lost_after));
        let word = (attempt.0 << NUMBER_SHIFT) | (seen.0 & FAILED) | IN_PROGRESS | lost_at;
        self.word
            .compare_exchange(seen.0, word, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
            .then_some(Ticket { attempt, cause, started_at: now, word })
    }

    /// Whether this attempt is still the current one. If another attempt has begun, this one was
    /// given up.
    pub(crate) fn is_current(&self, ticket: &Ticket) -> bool {
        self.view().0 == ticket.word
    }

    /// Ends an attempt as a success. Returns how many attempts had failed before it, or 0 if it was
    /// given up.
    pub(crate) fn succeeded(&self, ticket: &Ticket) -> u32 {
        if self.end(ticket, false, Duration::ZERO) {
            self.failures.swap(0, Ordering::Relaxed)
        } else {
            0
        }
    }

    /// Ends an attempt as a failure. Returns how many attempts have failed in a row, or `None` if
    /// the attempt was given up.
    ///
    /// The back-off has full jitter: the pause is a random time up to the doubled bound, so that
    /// the instances of a fleet spread out. The pause counts from the start of the attempt, because
    /// an attempt that hung was already a pause. `asked` is the pause that the server asked for. It
    /// is granted up to a limit, with jitter.
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

    /// Ends an attempt that says nothing about the server: it could not be made, its runtime shut
    /// down, or it reported too late. Returns `false` if it was already given up.
    pub(crate) fn cancel(&self, ticket: &Ticket) -> bool {
        self.end(ticket, ticket.word & FAILED != 0, Duration::ZERO)
    }

    /// Whether this attempt has not reported its end yet.
    pub(crate) fn is_in_progress(&self, attempt: Attempt) -> bool {
        let view = self.view();
        view.last() == attempt && view.0 & IN_PROGRESS != 0
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Ends an attempt. Returns `true` if it was still the one in progress. Nothing else writes the
    /// word during an attempt.
    fn end(&self, ticket: &Ticket, failed: bool, not_before: Duration) -> bool {
        let failed = if failed { FAILED } else { 0 };
        let word = (ticket.attempt.0 << NUMBER_SHIFT) | failed | millis(not_before);
        self.word.compare_exchange(ticket.word, word, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A time as stored in the word. It is rounded up, so that a pause is never shorter than intended.
fn millis(moment: Duration) -> u64 {
    let millis = moment.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX).min(TIME_MASK)
}

fn moment(word: u64) -> Duration {
    Duration::from_millis(word & TIME_MASK)
}
