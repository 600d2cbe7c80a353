//! How fresh is a key set, may it be fetched now, and what becomes of a request? One state machine
//! that makes all of the engine's decisions and does none of its work.
//!
//! ```text
//! fetched ....... refresh_at ..... fresh_until ............ usable_until ....
//!    |   fresh         |    ahead       |        stale            |  expired
//!    | keys, no fetch  | keys, and one fetch in the background    |  503 until a fetch succeeds
//! ```
//!
//! - A failure only postpones the next attempt and never takes keys away.
//! - A request with a usable key is served, whatever the stage.
//! - One without waits for the attempt under way, or for one that the budget allows.
//! - 401 says that somebody looked: an attempt that began after the request came, or no longer ago
//!   than one refill of the budget, succeeded without the key. Where nobody could look, it is 503:
//!   the set is stale or missing, the last attempt failed, no more may wait.
//! - An attempt that did not report within its deadline and a margin counts as ended, whatever
//!   became of its task.
//!
//! Pure: times of the monotonic clock and randomness are arguments, and nothing but `std` is used,
//! so that a simulation can include these files as they are. Its state is a few atomics, which a
//! request that is served only reads.

mod attempts;
mod decision;
mod life;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

#[cfg(test)]
pub(crate) use attempts::LOST_AFTER;
pub(crate) use attempts::{Attempt, Cause, DEADLINE, MAX_BACKOFF, Phase, Ticket, View};
pub(crate) use decision::{Answer, Asked, Decision, Note, Outrun, Setback, Wait};
#[cfg_attr(
    not(feature = "remote"),
    allow(unused_imports, reason = "several places are fetched with it")
)]
pub(crate) use life::FRESHNESS;
pub(crate) use life::{FreshnessSettings, Life, STALE_IF_ERROR, Stage};

use crate::budget::{Budget, Taken, first};
use attempts::{Attempts, LEAST_PAUSE, MIN_BACKOFF};

/// How long a request waits for a set without which it can't be answered.
pub(crate) const NEEDED_WAIT: Duration = Duration::from_secs(3);

/// How long a request waits for a kid that the present set does not have.
pub(crate) const UNKNOWN_KID_WAIT: Duration = Duration::from_secs(2);

/// Fetches for unknown kids: two at once, one more each 10 s. A flood of forged kids then delays
/// a genuine rotation by one refill at most.
const UNKNOWN_KID_BURST: u32 = 2;
const UNKNOWN_KID_PERIOD: Duration = Duration::from_secs(10);

/// Fetches for signatures that fail under a known kid: one a minute, since most are forgeries.
const BAD_SIGNATURE_PERIOD: Duration = Duration::from_secs(60);

/// Requests that wait for an attempt that another one began; more are answered 503 at once, so that
/// forged tokens can't fill the memory with waiting requests. A rotation under load has room.
pub(crate) const MAX_WAITING: u32 = 4_096;

/// The state machine.
#[derive(Debug)]
pub(crate) struct Freshness {
    settings: FreshnessSettings,
    attempts: Attempts,
    unknown_kid: Budget,
    bad_signature: Budget,
    /// Requests that wait for an attempt that another one began.
    waiting: AtomicU32,
    /// Whether somebody was told that the set is stale, since it was last renewed.
    told_stale: AtomicBool,
    /// Whether somebody was told that there is no runtime, since an attempt last started.
    told_stranded: AtomicBool,
}

impl Freshness {
    pub(crate) fn new(settings: FreshnessSettings) -> Self {
        Self {
            settings,
            attempts: Attempts::default(),
            unknown_kid: Budget::new(UNKNOWN_KID_BURST, UNKNOWN_KID_PERIOD),
            bad_signature: Budget::new(1, BAD_SIGNATURE_PERIOD),
            waiting: AtomicU32::new(0),
            told_stale: AtomicBool::new(false),
            told_stranded: AtomicBool::new(false),
        }
    }

    /// The same with attempts of this deadline.
    pub(crate) fn with_deadline(self, deadline: Duration) -> Self {
        Self { attempts: Attempts::lasting(deadline), ..self }
    }

    /// How long after its start an attempt counts as ended, whether it reported or not.
    pub(crate) fn lost_after(&self) -> Duration {
        self.attempts.lost_after()
    }

    /// How the attempts stand. To be taken before the set that the decision is about.
    pub(crate) fn view(&self) -> View {
        self.attempts.view()
    }

    /// Decides on a request, given the life of the set at hand.
    ///
    /// # Errors
    /// When the view is out of date.
    pub(crate) fn request(
        &self,
        view: View,
        life: Option<&Life>,
        asked: Asked,
        now: Duration,
    ) -> Result<Decision, Outrun> {
        let stage = Stage::of(life, now);
        let phase = view.phase(now);
        let done = |answer| Ok(Decision { answer, start: None, note: None });
        let answered = if asked.known && stage.is_usable() {
            Some(Answer::Serve)
        } else {
            looked_since(life, stage, asked.since).then_some(Answer::Unknown)
        };
        if stage != Stage::Fresh && phase == Phase::Idle {
            let ticket = self.begin(view, now, Cause::Schedule)?;
            let answer = answered.unwrap_or_else(|| {
                if asked.patient {
                    Answer::Wait(begun(&ticket, stage, asked.since))
                } else {
                    unavailable(Phase::UnderWay(ticket.attempt()), now)
                }
            });
            return Ok(Decision { answer, start: Some(ticket), note: None });
        }
        if let Some(answer) = answered {
            return done(answer);
        }
        match phase {
            Phase::UnderWay(attempt) if asked.patient && self.enter() => {
                let since = asked.since.unwrap_or(attempt.next());
                done(Answer::Wait(Wait { attempt, limit: limit(stage), since, counted: true }))
            }
            Phase::Idle if asked.patient => self.unknown_kid(view, life, asked.since, now),
            Phase::Idle => done(refusal(view, life, now)),
            Phase::UnderWay(_) | Phase::Paused { .. } => done(unavailable(phase, now)),
        }
    }

    /// The set is fresh and has no such kid: a fetch may bring it, as far as the budget goes.
    fn unknown_kid(
        &self,
        view: View,
        life: Option<&Life>,
        since: Option<Attempt>,
        now: Duration,
    ) -> Result<Decision, Outrun> {
        if let Taken::Spent { first } = self.unknown_kid.take(now) {
            let answer = refusal(view, life, now);
            let note = first.then_some(Note::BudgetSpent);
            return Ok(Decision { answer, start: None, note });
        }
        let ticket = self
            .begin(view, now, Cause::UnknownKid)
            .inspect_err(|Outrun| self.unknown_kid.give_back())?;
        let wait = begun(&ticket, Stage::of(life, now), since);
        let note = Some(Note::UnknownKid);
        Ok(Decision { answer: Answer::Wait(wait), start: Some(ticket), note })
    }

    /// Whether an unknown kid is refused by 401 without a fetch, and the operator knows of it: the set
    /// is fresh, the server was asked a moment ago, no attempt is under way, and the budget is spent.
    pub(crate) fn is_flooded(&self, view: View, life: &Life, now: Duration) -> bool {
        life.stage(now) == Stage::Fresh
            && view.phase(now) == Phase::Idle
            && looked_lately(view, life, now)
            && self.unknown_kid.is_spent(now)
    }

    /// Whether somebody was told of a flood that may still be on.
    pub(crate) fn tells_of_a_flood(&self) -> bool {
        self.unknown_kid.was_told()
    }

    /// A request can't wait after all, and nobody could look: the answer without waiting.
    pub(crate) fn unavailable(&self, now: Duration) -> Answer {
        unavailable(self.view().phase(now), now)
    }

    /// A counted wait is over.
    pub(crate) fn left(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn enter(&self) -> bool {
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < MAX_WAITING).then(|| waiting + 1)
            })
            .is_ok()
    }

    /// A signature failed under a known kid: whether a fetch may find out if its key was replaced.
    pub(crate) fn signature_failed(&self, view: View, now: Duration) -> Option<Ticket> {
        if view.phase(now) != Phase::Idle || self.bad_signature.take(now) != Taken::Granted {
            return None;
        }
        // Outrun, another attempt answers the question as well.
        let ticket = self.begin(view, now, Cause::BadSignature);
        ticket.inspect_err(|Outrun| self.bad_signature.give_back()).ok()
    }

    /// Starts an attempt if the schedule asks for one, without any request.
    pub(crate) fn due(&self, view: View, life: Option<&Life>, now: Duration) -> Option<Ticket> {
        let due = Stage::of(life, now) != Stage::Fresh && view.phase(now) == Phase::Idle;
        if due { self.begin(view, now, Cause::Schedule).ok() } else { None }
    }

    /// How long until the schedule asks for an attempt.
    pub(crate) fn due_in(&self, view: View, life: Option<&Life>, now: Duration) -> Duration {
        let scheduled = life.map_or(now, Life::refresh_at);
        let allowed = match view.phase(now) {
            Phase::Idle => now,
            Phase::Paused { until } => until,
            // It may fail, and then this is the soonest.
            Phase::UnderWay(_) => now.saturating_add(LEAST_PAUSE),
        };
        scheduled.max(allowed).saturating_sub(now)
    }

    fn begin(&self, view: View, now: Duration, cause: Cause) -> Result<Ticket, Outrun> {
        self.attempts.begin(view, now, cause).ok_or(Outrun)
    }

    pub(crate) fn is_under_way(&self, attempt: Attempt) -> bool {
        self.attempts.is_under_way(attempt)
    }

    /// The attempt runs.
    pub(crate) fn launched(&self) {
        if self.told_stranded.load(Ordering::Relaxed) {
            self.told_stranded.store(false, Ordering::Relaxed);
        }
    }

    /// The attempt can't run, since there is no runtime: not the server's fault, so it counts as no
    /// failure. Whether this is the first of a row.
    pub(crate) fn stranded(&self, ticket: Ticket) -> bool {
        self.cancelled(ticket);
        first(&self.told_stranded)
    }

    /// The attempt has ended and says nothing about the server: its runtime shut down, or it reported
    /// too late. The budget that it took is given back.
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

    /// Whether the attempt is still the one under way, and was not given up for another.
    pub(crate) fn is_current(&self, ticket: &Ticket) -> bool {
        self.attempts.is_current(ticket)
    }

    /// The life of a set that an attempt brought; `random` is from 0 up to 1.
    pub(crate) fn renewed(&self, ticket: &Ticket, max_age: Option<Duration>, random: f64) -> Life {
        Life::fetched(ticket, max_age, random, &self.settings)
    }

    /// The life of a set that another process fetched, `age` ago.
    pub(crate) fn seeded(&self, now: Duration, age: Duration, freshness: Duration) -> Option<Life> {
        Life::seeded(now, age, freshness, &self.settings)
    }

    /// An attempt succeeded, and its set is published: in that order, so that who sees the attempt
    /// ended sees the set. Returns how many had failed before it.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is given back once")]
    pub(crate) fn succeeded(&self, ticket: Ticket) -> u32 {
        self.told_stale.store(false, Ordering::Relaxed);
        self.attempts.succeeded(&ticket)
    }

    /// An attempt failed; `life` is that of the set at hand, `asked` the pause that the server asked
    /// for. `None` where the attempt counted as ended before: that it failed so late is no fault of
    /// the server.
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
        let turned_stale = Stage::of(life, now) == Stage::Stale && first(&self.told_stale);
        let usable_for = life.and_then(|life| life.usable_for(now));
        Some(Setback { failures, usable_for, turned_stale })
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.attempts.failures()
    }
}

fn limit(stage: Stage) -> Duration {
    if stage.is_usable() { UNKNOWN_KID_WAIT } else { NEEDED_WAIT }
}

/// The wait for an attempt that begins with it.
fn begun(ticket: &Ticket, stage: Stage, since: Option<Attempt>) -> Wait {
    let attempt = ticket.attempt();
    let since = since.unwrap_or(attempt);
    Wait { attempt, limit: limit(stage), since, counted: false }
}

/// Whether an attempt that began after the request came has succeeded without its key.
fn looked_since(life: Option<&Life>, stage: Stage, since: Option<Attempt>) -> bool {
    // A set that came too late to be fresh says nothing about now.
    matches!(stage, Stage::Fresh | Stage::Ahead)
        && life.zip(since).is_some_and(|(life, first)| life.came_by(first))
}

/// Whether the server was asked no longer ago than one refill of the budget, and answered. Then a
/// flood of forged kids is refused by 401 until the refill, and so is a key that was published in
/// this very time.
fn looked_lately(view: View, life: &Life, now: Duration) -> bool {
    !view.has_failed() && life.was_asked_for_within(UNKNOWN_KID_PERIOD, now)
}

/// No key, no waiting for one, and no attempt under way.
fn refusal(view: View, life: Option<&Life>, now: Duration) -> Answer {
    match life {
        Some(life) if looked_lately(view, life, now) => Answer::Unknown,
        _ => unavailable(view.phase(now), now),
    }
}

/// No key, and nobody could look for one.
fn unavailable(phase: Phase, now: Duration) -> Answer {
    let retry_after = match phase {
        Phase::Paused { until } => until.saturating_sub(now),
        Phase::Idle | Phase::UnderWay(_) => MIN_BACKOFF,
    };
    Answer::Unavailable { retry_after: retry_after.clamp(MIN_BACKOFF, MAX_BACKOFF) }
}

#[cfg(test)]
mod tests;
