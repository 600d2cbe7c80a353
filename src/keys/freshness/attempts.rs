//! Attempts to fetch a set: at most one at a time (single flight), with back-off after a failure.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::budget::backoff;

/// The maximum length of the pause after a first failure. Each further failure in a row doubles
/// this maximum.
pub(crate) const MIN_BACKOFF: Duration = Duration::from_secs(1);

/// The maximum length of any pause between attempts, so that an issuer that has recovered is used
/// again soon.
pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The minimum time from the end of a failed attempt to the next attempt. Without this minimum,
/// several small random numbers in a row would overload a server that is already in trouble.
pub(crate) const LEAST_PAUSE: Duration = Duration::from_millis(500);

/// The maximum pause that a server can ask for with `Retry-After`. A random time of up to half of
/// the pause is added (jitter), because otherwise all instances that received the same value would
/// retry in the same second. The limit is two thirds of [`MAX_BACKOFF`], so that the sum is never
/// longer than `MAX_BACKOFF`.
const MAX_ASKED: Duration = Duration::from_secs(20);

/// The default deadline of an attempt: 5 s for the metadata and 5 s for the keys. No request waits
/// this long. The attempt continues for later requests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How long after its start an attempt counts as ended, even if it did not report: the default
/// deadline plus a margin. An attempt never reports if its task is on a runtime that is no longer
/// polled.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(12);

/// The number of bits that hold a time in milliseconds. They cover 557 years, which is enough for a
/// clock that counts from the Unix epoch. A longer time would be cut to the maximum, and a pause
/// until that time would seem to be over.
const TIME_BITS: u32 = 44;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const IN_PROGRESS: u64 = 1 << TIME_BITS;
const FAILED: u64 = 1 << (TIME_BITS + 1);
/// The bits above these hold the number of the attempt. The number wraps after a quarter of a
/// million attempts. At two attempts a second, that takes a day and a half. Only numbers of
/// attempts within a few hours are compared.
const NUMBER_SHIFT: u32 = TIME_BITS + 2;
const NUMBER_MASK: u64 = u64::MAX >> NUMBER_SHIFT;

/// The state of all attempts in one word: the number of the last attempt, whether it is in
/// progress, whether the last attempt that ended had failed, and a time. While an attempt is in
/// progress, the time is when it counts as ended. After that, it is when the next attempt may
/// start. Readers only load the word. Only the start and the end of an attempt write the word.
#[derive(Debug)]
pub(crate) struct Attempts {
    word: AtomicU64,
    /// The number of failures in a row. Only the attempt that has just ended writes this number.
    failures: AtomicU32,
    /// How long after its start an attempt counts as ended.
    lost_after: Duration,
}

/// The state of the attempts at one moment. Load the view before you load the set. If a set is
/// published after the view was loaded, the word changes, and the view is out of date.
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
/// until this ticket is returned or the attempt counts as ended.
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

    /// Whether the attempt counts as ended at `now`, because it did not report in time.
    pub(crate) fn is_late(&self, now: Duration) -> bool {
        now >= moment(self.word)
    }
}

impl View {
    pub(crate) fn phase(self, now: Duration) -> Phase {
        let until = moment(self.0);
        if now >= until {
            // This also applies to an attempt that did not report in time: another attempt may
            // start.
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

    /// Starts an attempt. Returns `None` if another attempt has started or ended since `seen` was
    /// loaded.
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

    /// Ends an attempt as a success. Returns the number of failures in a row before this attempt,
    /// or 0 if this attempt was given up.
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
    /// The back-off has full jitter: the pause is a random time between zero and a bound that
    /// doubles with each failure, so that the instances of a fleet spread out. The pause counts
    /// from the start of the attempt, because the time of an attempt that hung was already a pause.
    /// `asked` is the pause that the server asked for. It is limited to `MAX_ASKED` and has jitter.
    /// In all cases, the next attempt starts at least [`LEAST_PAUSE`] after `now`.
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

    /// Ends an attempt. Returns `true` if it was still the attempt in progress. During an attempt,
    /// nothing else writes the word, until the attempt is overdue and another attempt replaces it.
    fn end(&self, ticket: &Ticket, failed: bool, not_before: Duration) -> bool {
        let failed = if failed { FAILED } else { 0 };
        let word = (ticket.attempt.0 << NUMBER_SHIFT) | failed | millis(not_before);
        self.word.compare_exchange(ticket.word, word, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Converts a time to the form in the word. The time is rounded up, so that a pause is never
/// shorter than intended.
fn millis(moment: Duration) -> u64 {
    let millis = moment.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX).min(TIME_MASK)
}

fn moment(word: u64) -> Duration {
    Duration::from_millis(word & TIME_MASK)
}
