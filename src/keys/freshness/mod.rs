//! Decides whether a key set is fresh, whether it may be fetched now, and what happens to a
//! request. This state machine makes all decisions of the engine, without I/O.
//!
//! ```text
//! fetched ....... refresh_at ..... fresh_until ............ usable_until ....
//!    |   fresh         |    ahead       |        stale            |  expired
//!    | keys, no fetch  | keys, and one fetch in the background    |  503 until a fetch succeeds
//! ```
//!
//! - A failure postpones the next attempt. It never removes keys.
//! - A request whose key is in a usable set continues at once, even if the set is stale.
//! - A request whose key is not in a usable set waits for the attempt in progress. If there is
//!   none, the request starts an attempt, if the schedule or the budget allows one.
//! - A request with an unknown key gets 401 only if a recent attempt succeeded and did not return
//!   the key. An attempt is recent if it began after the request arrived, or at most one refill
//!   period of the budget ago. Otherwise the request gets 503, for example because the set is stale
//!   or missing, the last attempt failed, or too many requests are waiting.
//! - An attempt that does not report within its deadline plus a margin counts as ended, even if its
//!   task still exists.
//!
//! The code is pure. The times (of the monotonic clock) and the random numbers are arguments. Only
//! `std` is used, so that a simulation can include these files unchanged. The state is a few
//! atomics. A request that finds its key only reads them.

mod attempts;
mod decision;
mod life;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

#[cfg(test)]
pub(crate) use attempts::LOST_AFTER;
pub(crate) use attempts::{Attempt, Cause, DEADLINE, MAX_BACKOFF, Phase, Ticket, View};
pub(crate) use decision::{Decision, Note, Outcome, RequestState, Setback, ViewOutdated, Wait};
pub(crate) use life::{FreshnessSettings, Life, STALE_IF_ERROR, Stage, freshness};

use crate::budget::{Budget, Taken, first};
use attempts::{Attempts, LEAST_PAUSE, MIN_BACKOFF};

/// How long a request waits for a key set if there is no usable key set.
pub(crate) const NEEDED_WAIT: Duration = Duration::from_secs(3);

/// How long a request waits for a kid that the current set does not have.
pub(crate) const UNKNOWN_KID_WAIT: Duration = Duration::from_secs(2);

/// The budget of fetches for unknown kids: a burst of two, then one fetch every 10 s. So a flood of
/// forged kids delays the discovery of a genuine new key by at most one refill.
const UNKNOWN_KID_BURST: u32 = 2;
const UNKNOWN_KID_PERIOD: Duration = Duration::from_secs(10);

/// The budget of fetches after a signature with a known kid failed: one a minute, because most such
/// signatures are forged.
const BAD_SIGNATURE_PERIOD: Duration = Duration::from_secs(60);

/// The maximum number of requests that wait for an attempt that they did not start. Further
/// requests get 503 at once, so that forged tokens cannot fill the memory with waiting requests.
/// The limit is high enough for a key rotation under load.
pub(crate) const MAX_WAITING: u32 = 4_096;

/// The state machine.
#[derive(Debug)]
pub(crate) struct Freshness {
    settings: FreshnessSettings,
    attempts: Attempts,
    unknown_kid: Budget,
    bad_signature: Budget,
    /// The number of requests that wait for an attempt that they did not start.
    waiting: AtomicU32,
    /// Whether it was reported, since the last successful fetch, that the set is stale.
    stale_reported: AtomicBool,
    /// Whether it was reported, since the last start of an attempt, that there is no runtime.
    no_runtime_reported: AtomicBool,
}

impl Freshness {
    pub(crate) fn new(settings: FreshnessSettings) -> Self {
        Self {
            settings,
            attempts: Attempts::default(),
            unknown_kid: Budget::new(UNKNOWN_KID_BURST, UNKNOWN_KID_PERIOD),
            bad_signature: Budget::new(1, BAD_SIGNATURE_PERIOD),
            waiting: AtomicU32::new(0),
            stale_reported: AtomicBool::new(false),
            no_runtime_reported: AtomicBool::new(false),
        }
    }

    /// The same state machine, with this deadline for attempts.
    pub(crate) fn with_deadline(self, deadline: Duration) -> Self {
        Self { attempts: Attempts::lasting(deadline), ..self }
    }

    /// How long after its start an attempt counts as ended, even if it did not report.
    pub(crate) fn lost_after(&self) -> Duration {
        self.attempts.lost_after()
    }

    /// The state of the attempts. Call this function before you load the set for the decision.
    pub(crate) fn view(&self) -> View {
        self.attempts.view()
    }

    /// Decides what happens to a request. `life` describes the current set.
    ///
    /// # Errors
    /// Fails if the view is out of date.
    pub(crate) fn request(
        &self,
        view: View,
        life: Option<&Life>,
        request: RequestState,
        now: Duration,
    ) -> Result<Decision, ViewOutdated> {
        let stage = Stage::of(life, now);
        let phase = view.phase(now);
        let done = |outcome| Ok(Decision { outcome, start: None, note: None });
        let answered = if request.known && stage.is_usable() {
            Some(Outcome::Serve)
        } else {
            fetched_since(life, stage, request.since).then_some(Outcome::Unknown)
        };
        if stage != Stage::Fresh && phase == Phase::Idle {
            let ticket = self.begin(view, now, Cause::Schedule)?;
            let outcome = answered.unwrap_or_else(|| {
                if request.may_wait {
                    Outcome::Wait(wait_for_new(&ticket, stage, request.since))
                } else {
                    unavailable(Phase::InProgress(ticket.attempt()), now)
                }
            });
            return Ok(Decision { outcome, start: Some(ticket), note: None });
        }
        if let Some(outcome) = answered {
            return done(outcome);
        }
        match phase {
            Phase::InProgress(attempt) if request.may_wait && self.enter() => {
                let since = request.since.unwrap_or(attempt.next());
                done(Outcome::Wait(Wait { attempt, limit: limit(stage), since, counted: true }))
            }
            Phase::Idle if request.may_wait => self.unknown_kid(view, life, request.since, now),
            Phase::Idle => done(refusal(view, life, now)),
            Phase::InProgress(_) | Phase::Paused { .. } => done(unavailable(phase, now)),
        }
    }

    /// The set is fresh and does not have this kid. A fetch may return the kid, if the budget
    /// allows one.
    fn unknown_kid(
        &self,
        view: View,
        life: Option<&Life>,
        since: Option<Attempt>,
        now: Duration,
    ) -> Result<Decision, ViewOutdated> {
        if let Taken::Spent { first } = self.unknown_kid.take(now) {
            let outcome = refusal(view, life, now);
            let note = first.then_some(Note::BudgetSpent);
            return Ok(Decision { outcome, start: None, note });
        }
        let ticket = self
            .begin(view, now, Cause::UnknownKid)
            .inspect_err(|ViewOutdated| self.unknown_kid.give_back())?;
        let wait = wait_for_new(&ticket, Stage::of(life, now), since);
        let note = Some(Note::UnknownKid);
        Ok(Decision { outcome: Outcome::Wait(wait), start: Some(ticket), note })
    }

    /// Whether an unknown kid is refused with 401 without a fetch. That is the case if the set is
    /// fresh, the server answered recently, no attempt is in progress, and the budget is spent.
    /// Returns `true` only after the spent budget was reported to the operator.
    pub(crate) fn is_flooded(&self, view: View, life: &Life, now: Duration) -> bool {
        life.stage(now) == Stage::Fresh
            && view.phase(now) == Phase::Idle
            && fetched_recently(view, life, now)
            && self.unknown_kid.is_spent(now)
    }

    /// Whether a flood was reported and may still continue.
    pub(crate) fn flood_was_reported(&self) -> bool {
        self.unknown_kid.was_reported()
    }

    /// The outcome for a request that should wait for a fetch but cannot, because there is no
    /// runtime or timer.
    pub(crate) fn unavailable(&self, now: Duration) -> Outcome {
        unavailable(self.view().phase(now), now)
    }

    /// Called when a counted wait has ended.
    pub(crate) fn wait_ended(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn enter(&self) -> bool {
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < MAX_WAITING).then(|| waiting + 1)
            })
            .is_ok()
    }

    /// Called when a signature with a known kid failed. Returns a ticket if a fetch is allowed that
    /// finds out whether the key was replaced.
    pub(crate) fn signature_failed(&self, view: View, now: Duration) -> Option<Ticket> {
        if view.phase(now) != Phase::Idle || self.bad_signature.take(now) != Taken::Granted {
            return None;
        }
        // If the view is out of date, another attempt has started or ended, and that attempt
        // fetches the same set.
        let ticket = self.begin(view, now, Cause::BadSignature);
        ticket.inspect_err(|ViewOutdated| self.bad_signature.give_back()).ok()
    }

    /// Starts an attempt if the schedule requires one and no pause forbids it. No request is
    /// needed.
    pub(crate) fn due(&self, view: View, life: Option<&Life>, now: Duration) -> Option<Ticket> {
        let due = Stage::of(life, now) != Stage::Fresh && view.phase(now) == Phase::Idle;
        if due { self.begin(view, now, Cause::Schedule).ok() } else { None }
    }

    /// The time until [`due`](Self::due) can start an attempt.
    pub(crate) fn due_in(&self, view: View, life: Option<&Life>, now: Duration) -> Duration {
        let scheduled = life.map_or(now, Life::refresh_at);
        let allowed = match view.phase(now) {
            Phase::Idle => now,
            Phase::Paused { until } => until,
            // The attempt in progress may fail. Then this is the earliest time for the next
            // attempt.
            Phase::InProgress(_) => now.saturating_add(LEAST_PAUSE),
        };
        scheduled.max(allowed).saturating_sub(now)
    }

    fn begin(&self, view: View, now: Duration, cause: Cause) -> Result<Ticket, ViewOutdated> {
        self.attempts.begin(view, now, cause).ok_or(ViewOutdated)
    }

    pub(crate) fn is_in_progress(&self, attempt: Attempt) -> bool {
        self.attempts.is_in_progress(attempt)
    }

    /// Called when the attempt's task has started.
    pub(crate) fn launched(&self) {
        if self.no_runtime_reported.load(Ordering::Relaxed) {
            self.no_runtime_reported.store(false, Ordering::Relaxed);
        }
    }

    /// Called when the attempt cannot run because there is no runtime. The server is not at fault,
    /// so this does not count as a failure. Returns `true` for the first of several such calls in a
    /// row.
    pub(crate) fn could_not_start(&self, ticket: Ticket) -> bool {
        self.cancelled(ticket);
        first(&self.no_runtime_reported)
    }

    /// Called when the attempt has ended and its result says nothing about the server: its runtime
    /// shut down, or it reported too late. Puts back what the attempt took from the budget.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is given back once")]
    pub(crate) fn cancelled(&self, ticket: Ticket) {
        if self.attempts.cancel(&ticket) {
            match ticket.cause() {
                Cause::Schedule => {}
                Cause::UnknownKid => self.unknown_kid.give_back(),
                Cause::BadSignature => self.bad_signature.give_back(),
            }
        }
    }

    /// Whether this attempt is still the current attempt: no other attempt has replaced it.
    pub(crate) fn is_current(&self, ticket: &Ticket) -> bool {
        self.attempts.is_current(ticket)
    }

    /// The life of a set that an attempt fetched. `random` is in `0.0..1.0`.
    pub(crate) fn renewed(&self, ticket: &Ticket, max_age: Option<Duration>, random: f64) -> Life {
        Life::fetched(ticket, max_age, random, &self.settings)
    }

    pub(crate) fn settings(&self) -> FreshnessSettings {
        self.settings
    }

    /// The life of a set that another process fetched `age` ago.
    pub(crate) fn seeded(&self, now: Duration, age: Duration, freshness: Duration) -> Option<Life> {
        Life::seeded(now, age, freshness, &self.settings)
    }

    /// Called when an attempt has succeeded. Publish the set before this call: a thread that sees
    /// that the attempt has ended must also see its set. Returns the number of failed attempts in a
    /// row before this attempt.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is given back once")]
    pub(crate) fn succeeded(&self, ticket: Ticket) -> u32 {
        self.stale_reported.store(false, Ordering::Relaxed);
        self.attempts.succeeded(&ticket)
    }

    /// Called when an attempt has failed. `life` describes the current set. `asked` is the pause
    /// that the server asked for. Returns `None` if the attempt already counted as ended, because
    /// such a late failure says nothing about the server.
    pub(crate) fn failed(
        &self,
        ticket: Ticket,
        life: Option<&Life>,
        now: Duration,
        random: f64,
        asked: Option<Duration>,
    ) -> Option<Setback> {
        if ticket.is_late(now) {
            self.cancelled(ticket);
            return None;
        }
        let failures = self.attempts.failed(&ticket, now, random, asked)?;
        let turned_stale = Stage::of(life, now) == Stage::Stale && first(&self.stale_reported);
        let usable_for = life.and_then(|life| life.usable_for(now));
        Some(Setback { failures, usable_for, turned_stale })
    }

    /// The number of failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.attempts.failures()
    }
}

fn limit(stage: Stage) -> Duration {
    if stage.is_usable() { UNKNOWN_KID_WAIT } else { NEEDED_WAIT }
}

/// The wait for an attempt that this request started.
fn wait_for_new(ticket: &Ticket, stage: Stage, since: Option<Attempt>) -> Wait {
    let attempt = ticket.attempt();
    let since = since.unwrap_or(attempt);
    Wait { attempt, limit: limit(stage), since, counted: false }
}

/// Whether an attempt that began after the request arrived has succeeded, and its set is still
/// fresh. If the request's key is not in this set, the key is unknown.
fn fetched_since(life: Option<&Life>, stage: Stage, since: Option<Attempt>) -> bool {
    // A set that arrived too late to be fresh does not describe the server's current keys.
    matches!(stage, Stage::Fresh | Stage::Ahead)
        && life.zip(since).is_some_and(|(life, first)| life.is_from(first))
}

/// Whether the last fetch succeeded and began at most one refill period of the budget ago. Then a
/// flood of forged kids is refused with 401 until the refill. A key that was published within this
/// time is refused, too.
fn fetched_recently(view: View, life: &Life, now: Duration) -> bool {
    !view.has_failed() && life.was_requested_within(UNKNOWN_KID_PERIOD, now)
}

/// The outcome if there is no key, the request cannot wait for one, and no attempt is in progress.
fn refusal(view: View, life: Option<&Life>, now: Duration) -> Outcome {
    match life {
        Some(life) if fetched_recently(view, life, now) => Outcome::Unknown,
        _ => unavailable(view.phase(now), now),
    }
}

/// The outcome if there is no key and it is not known whether the server has one.
fn unavailable(phase: Phase, now: Duration) -> Outcome {
    let retry_after = match phase {
        Phase::Paused { until } => until.saturating_sub(now),
        Phase::Idle | Phase::InProgress(_) => MIN_BACKOFF,
    };
    Outcome::Unavailable { retry_after: retry_after.clamp(MIN_BACKOFF, MAX_BACKOFF) }
}

#[cfg(test)]
mod tests;
