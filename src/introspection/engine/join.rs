//! One question a token: a request joins the one under way, or begins one.

use std::sync::Arc;
use std::time::Duration;

use crate::crypto::Fingerprint;
use crate::error::Error;
use crate::flight::Waiter;
use crate::introspection::engine::cache::{Now, Remembered};
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::place::{MAX_WAITING_FOR_ONE, Place};
use crate::introspection::engine::question::Question;
use crate::introspection::engine::question_key::{QuestionKey, RETRY_AFTER, Told};
use crate::introspection::engine::turns::MAX_QUEUED_KNOWN;
use crate::observe::Introspected;
use crate::runtime;

/// Tokens looked up in a shared cache at once, calls included: what a process that begins with an
/// empty memory needs, and a bound to what a flood of tokens can pile up.
pub(crate) const MAX_LOOKUPS: usize = 1024;

/// How often it is looked whether a probe is due, by who waits for the endpoint.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// What a request that has to wait comes to.
pub(crate) enum Joined {
    Remembered(Remembered),
    Flight {
        waiter: Waiter<Told>,
        /// Whether the answer to come is to a question put no earlier than the request allows.
        fresh: bool,
        /// How many questions had begun.
        begun: u64,
        /// Whether another request put the question.
        joined: bool,
        place: Place,
    },
}

impl Introspector {
    /// Joins the question about this token that is under way, or begins one. Of a request that came
    /// when `came_at` questions had begun, and that wants no older answer, only a later one is fresh.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: QuestionKey,
        token: &str,
        came_at: Option<u64>,
    ) -> Result<Joined, Error> {
        let now = self.now();
        let known = self.known.contains_key(&key.fingerprint);
        // Asked for without the lock: where tokio panics, a hook of the API's own sees it.
        let runtime = runtime::current();
        // What another server was told will do, whether or not the endpoint can be called.
        let asks_shared = self.shared.is_some() && !key.asks_now;
        let probe = if asks_shared { None } else { self.probe_before(key, now) };
        let mut state = self.state();
        let begun = state.flights.begun();
        if let Some(waiter) = state.flights.join(&key, now.monotonic) {
            if state.flights.waiting(&key) > MAX_WAITING_FOR_ONE {
                drop(state);
                return Err(self.held_back("too many requests wait for one answer", RETRY_AFTER));
            }
            // One that was overtaken brings an answer that is known to be old.
            let any_will_do =
                self.cache.is_on() && !key.asks_now && !state.overtaken.contains_key(&key);
            let fresh = any_will_do || came_at.is_some_and(|came| waiter.number() >= came);
            drop(state);
            let place = self.place(known)?;
            return Ok(Joined::Flight { waiter, fresh, begun, joined: true, place });
        }
        // One that ended between our look and our lock has left its answer.
        if !key.asks_now
            && let Some(remembered) = self.remembered(&key.fingerprint, now)
        {
            return Ok(Joined::Remembered(remembered));
        }
        let (runtime, place) = match (runtime, self.said(&key.fingerprint, now)) {
            (_, Some(error)) => return Err(error),
            (Ok(runtime), None) => (runtime, self.place(known)?),
            (Err(unfit), None) => {
                drop(state);
                self.tell(Introspected::NoRuntime);
                return Err(self.unavailable(unfit.problem(), RETRY_AFTER));
            }
        };
        // Dropped after the lock.
        let (overdue, has_room) = state.give_up_overdue(now.monotonic);
        let turn = if asks_shared {
            let limit = if known { MAX_LOOKUPS + MAX_QUEUED_KNOWN } else { MAX_LOOKUPS };
            if state.flights.len() >= limit {
                return Err(self.held_back("too many tokens are looked up", RETRY_AFTER));
            }
            None
        } else {
            let turn = self.take_turn(&mut state, key, known, now, probe);
            Some(turn.map_err(|held| self.held_back(held.problem, held.retry_after))?)
        };
        state.overtaken.remove(&key);
        let (completion, waiter) = state.flights.begin(key, now.monotonic);
        // A runtime that shuts down drops the task at once, and that then asks for the lock.
        drop(state);
        drop(overdue);
        if has_room {
            self.give_turns(self.state(), now);
        }
        let question = Question {
            introspector: Arc::downgrade(self),
            key,
            token: token.to_owned(),
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

    /// What was said of this very token a moment ago.
    fn said(&self, token: &Fingerprint, now: Now) -> Option<Error> {
        let said = self.said.get(token)?;
        let left = said.until.checked_sub(now.monotonic).filter(|left| !left.is_zero())?;
        Some(self.held_back(&said.problem, left.max(RETRY_AFTER)))
    }

    /// Sends a probe where one is due: readiness is asked for, and there may be no other traffic that
    /// would show that the endpoint is back. It asks about a text of our own.
    pub(crate) fn probe(self: &Arc<Self>) -> Option<Waiter<Told>> {
        self.probe_if_due(self.now())
    }

    fn probe_if_due(self: &Arc<Self>, now: Now) -> Option<Waiter<Told>> {
        if !self.state().breaker.wants_a_probe(now.monotonic) {
            return None;
        }
        let key = QuestionKey { fingerprint: self.probe_fingerprint, asks_now: true };
        match self.join(key, &self.probe, None) {
            Ok(Joined::Flight { waiter, .. }) => Some(waiter),
            Ok(Joined::Remembered(_)) | Err(_) => None,
        }
    }

    /// The probe that a question about a token waits for, where one is due. The token itself is no
    /// probe: one client with a token that always fails could otherwise fail each of them.
    pub(super) fn probe_before(
        self: &Arc<Self>,
        key: QuestionKey,
        now: Now,
    ) -> Option<Waiter<Told>> {
        if self.is_probe(key) { None } else { self.probe_if_due(now) }
    }

    pub(super) fn is_probe(&self, key: QuestionKey) -> bool {
        key.fingerprint == self.probe_fingerprint
    }

    /// Whether this question is still under way, and not overdue.
    pub(crate) fn is_under_way(&self, key: &QuestionKey, waiter: &Waiter<Told>) -> bool {
        let now = self.clock.monotonic();
        let present = self.state().flights.join(key, now);
        present.is_some_and(|present| present.number() == waiter.number())
    }

    /// Returns when the endpoint may be called: at once, unless it failed. The caller has a deadline.
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
