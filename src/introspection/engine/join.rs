//! Single flight: a request joins the question in progress about its token, or begins one.

use std::sync::Arc;
use std::time::Duration;

use crate::credentials::Token68;
use crate::crypto::Fingerprint;
use crate::error::Error;
use crate::flight::Waiter;
use crate::introspection::engine::cache::{CachedAnswer, Now};
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::place::{MAX_WAITING_FOR_ONE, Place};
use crate::introspection::engine::question::Question;
use crate::introspection::engine::question_key::{QuestionKey, QuestionOutcome, RETRY_AFTER};
use crate::introspection::engine::state::HeldBack;
use crate::introspection::engine::turns::MAX_QUEUED_KNOWN;
use crate::observe::Introspected;
use crate::runtime;

/// The maximum number of questions in progress, if a shared cache is configured. This is enough for
/// a process that starts with an empty cache, and it limits the tasks that a flood of tokens can
/// start.
pub(crate) const MAX_LOOKUPS: usize = 1024;

/// How often a task that waits for the endpoint checks whether a probe is due.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// The result of [`Introspector::join`].
pub(crate) enum Joined {
    Cached(CachedAnswer),
    Flight {
        waiter: Waiter<QuestionOutcome>,
        /// Whether this request may use the answer: the question was not asked too early for it.
        fresh: bool,
        /// How many questions had begun when this request joined.
        begun: u64,
        /// Whether another request began the question.
        joined: bool,
        place: Place,
    },
}

impl Introspector {
    /// Joins the question about this token that is in progress, or begins one. `came_at` is the
    /// number of questions that had begun when the request came. If the request accepts only new
    /// answers, the answer to a joined question is fresh only if `came_at` is set and the question
    /// began after that.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: QuestionKey,
        token: &Token68<'_>,
        came_at: Option<u64>,
    ) -> Result<Joined, Error> {
        let now = self.now();
        let known = self.known.contains_key(&key.fingerprint);
        // Call this without the lock: tokio may panic here, and then a user-supplied panic hook
        // runs.
        let runtime = runtime::current();
        // If the shared cache is looked up first, no probe is needed yet.
        let asks_shared = self.shared.is_some() && !key.asks_now;
        let probe = if asks_shared { None } else { self.probe_before(key, now) };
        let mut state = self.state();
        let begun = state.flights.begun();
        if let Some(waiter) = state.flights.join(&key, now.monotonic) {
            if state.flights.waiting(&key) > MAX_WAITING_FOR_ONE {
                drop(state);
                return Err(self.held_back("too many requests wait for one answer", RETRY_AFTER));
            }
            // If the other kind of question was answered meanwhile, this answer is known to be old.
            let any_will_do =
                self.cache.is_on() && !key.asks_now && !state.overtaken.contains_key(&key);
            let fresh = any_will_do || came_at.is_some_and(|came| waiter.number() >= came);
            drop(state);
            let place = self.place(known)?;
            return Ok(Joined::Flight { waiter, fresh, begun, joined: true, place });
        }
        // A question that ended between the cache lookup and the lock has stored its answer.
        if !key.asks_now
            && let Some(cached) = self.cached(&key.fingerprint, now)
        {
            return Ok(Joined::Cached(cached));
        }
        let (runtime, place) = match (runtime, self.token_fault(&key.fingerprint, now)) {
            (_, Some(error)) => return Err(error),
            (Ok(runtime), None) => (runtime, self.place(known)?),
            (Err(unfit), None) => {
                drop(state);
                self.report(Introspected::NoRuntime);
                return Err(self.unavailable(unfit.problem(), RETRY_AFTER));
            }
        };
        // Dropped after the lock is released.
        let (overdue, has_room) = state.give_up_overdue(now.monotonic);
        let limit = if known { MAX_LOOKUPS + MAX_QUEUED_KNOWN } else { MAX_LOOKUPS };
        let turn = match asks_shared {
            true if state.flights.len() < limit => Ok(None),
            true => {
                Err(HeldBack { problem: "too many tokens are looked up", retry_after: RETRY_AFTER })
            }
            false => self.take_turn(&mut state, key, known, now, probe).map(Some),
        };
        let turn = match turn {
            Ok(turn) => turn,
            Err(held) => {
                drop(state);
                drop(overdue);
                // The turns of overdue calls go to waiting questions, even if this request is
                // refused.
                if has_room {
                    self.give_turns(self.state(), now);
                }
                return Err(self.held_back(held.problem, held.retry_after));
            }
        };
        state.overtaken.remove(&key);
        let (completion, waiter) = state.flights.begin(key, now.monotonic);
        // A runtime that shuts down drops the task at once, and the task then takes the lock.
        drop(state);
        drop(overdue);
        if has_room {
            self.give_turns(self.state(), now);
        }
        let question = Question {
            introspector: Arc::downgrade(self),
            key,
            token: token.clone().into_owned(),
            client: Arc::clone(&self.client),
            shared: self.shared.clone(),
            turn,
        };
        question.launch(&runtime, completion);
        Ok(Joined::Flight { waiter, fresh: true, begun, joined: false, place })
    }

    fn place(&self, known: bool) -> Result<Place, Error> {
        Place::take(&self.waiting, known)
            .ok_or_else(|| self.held_back("too many requests wait", RETRY_AFTER))
    }

    /// The error of the last call about this token, if no other call may be made yet.
    fn token_fault(&self, token: &Fingerprint, now: Now) -> Option<Error> {
        let fault = self.token_faults.get(token)?;
        let left = fault.until.checked_sub(now.monotonic).filter(|left| !left.is_zero())?;
        Some(self.held_back(&fault.problem, left.max(RETRY_AFTER)))
    }

    /// Sends a probe if one is due. Readiness checks call this, because without other traffic
    /// nothing else would show that the endpoint has recovered. The probe asks about a random text.
    pub(crate) fn probe(self: &Arc<Self>) -> Option<Waiter<QuestionOutcome>> {
        self.probe_if_due(self.now())
    }

    fn probe_if_due(self: &Arc<Self>, now: Now) -> Option<Waiter<QuestionOutcome>> {
        if !self.state().breaker.is_probe_due(now.monotonic) {
            return None;
        }
        let key = QuestionKey { fingerprint: self.probe_fingerprint, asks_now: true };
        match self.join(key, &self.probe, None) {
            Ok(Joined::Flight { waiter, .. }) => Some(waiter),
            Ok(Joined::Cached(_)) | Err(_) => None,
        }
    }

    /// The probe that a question about a token waits for, if one is due. The client's token is
    /// never used as the probe: one client with a token that always fails could otherwise fail
    /// every probe.
    pub(super) fn probe_before(
        self: &Arc<Self>,
        key: QuestionKey,
        now: Now,
    ) -> Option<Waiter<QuestionOutcome>> {
        if self.is_probe(key) { None } else { self.probe_if_due(now) }
    }

    pub(super) fn is_probe(&self, key: QuestionKey) -> bool {
        key.fingerprint == self.probe_fingerprint
    }

    /// Whether this question is still in progress and not overdue.
    pub(crate) fn is_in_progress(
        &self,
        key: &QuestionKey,
        waiter: &Waiter<QuestionOutcome>,
    ) -> bool {
        let now = self.clock.monotonic();
        let present = self.state().flights.join(key, now);
        present.is_some_and(|present| present.number() == waiter.number())
    }

    /// Waits until the circuit breaker is closed, and sends probes when they are due. The caller
    /// sets the deadline.
    pub(crate) async fn ready(self: &Arc<Self>) {
        while self.is_open() {
            if let Some(mut waiter) = self.probe() {
                waiter.outcome().await;
            } else {
                runtime::within(PROBE_EVERY, std::future::pending::<()>()).await;
            }
        }
    }
}
