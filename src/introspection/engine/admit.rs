//! Decides whether a call may begin now, waits for its turn, or is held back.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, Weak};

use tokio::sync::oneshot;

use crate::error::Error;
use crate::flight::{Completion, Waiter};
use crate::introspection::engine::cache::Now;
use crate::introspection::engine::call::{Call, CallOwner, Running, Turn};
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::question_key::{QuestionKey, QuestionOutcome, RETRY_AFTER};
use crate::introspection::engine::state::{HeldBack, State, Waiting};
use crate::introspection::engine::turns::Grant;

/// The problem of a call that gets neither a turn nor a place in the queue.
const BUSY: &str = "too many calls are in progress";

impl Introspector {
    /// Begins a call, or queues the question.
    pub(super) fn take_turn(
        self: &Arc<Self>,
        state: &mut State,
        key: QuestionKey,
        known: bool,
        now: Now,
        probe: Option<Waiter<QuestionOutcome>>,
    ) -> Result<Turn, HeldBack> {
        if let Some(probe) = probe {
            return Ok(Turn::AfterProbe(probe));
        }
        let owner: Weak<dyn CallOwner> = Arc::<Self>::downgrade(self);
        if state.breaker.is_probe_due(now.monotonic) {
            state.check_rate_limit(known || self.is_probe(key), now.monotonic)?;
            // Take a turn before asking the breaker: `ask` would count the probe as in progress.
            let turn =
                if self.is_probe(key) { state.turns.take_first(now.monotonic) } else { None };
            let turn = turn.ok_or(HeldBack { problem: BUSY, retry_after: RETRY_AFTER })?;
            // The rate limit holds a probe back only if it holds all calls back. A 429 for the
            // probe counts only for new tokens, because the text of the probe was never active.
            let call = Call { known: false, ..self.begin_call(state, turn, true, now)? };
            return Ok(Turn::Now(Running::new(owner, key, call)));
        }
        if state.breaker.is_open() {
            // No probe is due, so this fails, and the error has the time that is left.
            state.ask_breaker(now.monotonic)?;
        }
        state.check_rate_limit(known, now.monotonic)?;
        let (sender, receiver) = oneshot::channel();
        let waiting = Waiting { sender, owner: Weak::clone(&owner), key };
        match state.turns.take(known, now.monotonic, waiting) {
            Grant::Turn(turn) => {
                let call = self.begin_call(state, turn, known, now)?;
                Ok(Turn::Now(Running::new(owner, key, call)))
            }
            Grant::Queued => Ok(Turn::Later(receiver)),
            Grant::Full(_) => Err(HeldBack { problem: BUSY, retry_after: RETRY_AFTER }),
        }
    }

    /// Begins the call that has this turn. If calls are held back, ends the turn.
    fn begin_call(
        &self,
        state: &mut State,
        turn: u64,
        known: bool,
        asked: Now,
    ) -> Result<Call, HeldBack> {
        let held = state.check_rate_limit(known, asked.monotonic);
        match held.and_then(|()| state.ask_breaker(asked.monotonic)) {
            Ok(probe) => {
                self.counters.calls.fetch_add(1, Ordering::Relaxed);
                Ok(Call { asked, probe, turn, known })
            }
            Err(held) => {
                state.turns.end(turn);
                Err(held)
            }
        }
    }

    /// Takes a turn for a question whose task is already running.
    pub(crate) fn turn(self: &Arc<Self>, key: QuestionKey) -> Result<Turn, Error> {
        let now = self.now();
        let known = self.known.contains_key(&key.fingerprint);
        let probe = self.probe_before(key, now);
        let mut state = self.state();
        let (overdue, has_room) = state.give_up_overdue(now.monotonic);
        let turn = self.take_turn(&mut state, key, known, now, probe);
        drop(state);
        drop(overdue);
        if has_room {
            self.give_turns(self.state(), now);
        }
        turn.map_err(|held| self.held_back(held.problem, held.retry_after))
    }

    /// A question got its turn. From now on, its call has the whole deadline.
    pub(crate) fn renew(
        &self,
        key: QuestionKey,
        completion: &Completion<QuestionOutcome>,
        now: Now,
    ) {
        self.state().flights.renew(&key, completion, now.monotonic);
    }

    /// Gives free turns to waiting questions.
    pub(super) fn give_turns<'a>(&'a self, mut state: MutexGuard<'a, State>, now: Now) {
        loop {
            let mut given = Vec::new();
            while let Some((turn, known, waiting)) = state.turns.next(now.monotonic) {
                given.push((waiting, self.begin_call(&mut state, turn, known, now)));
            }
            drop(state);
            // Send without the lock, because this wakes tasks.
            let mut left = Vec::new();
            for (Waiting { sender, owner, key }, call) in given {
                let turn = call.map(|call| Running::new(owner, key, call));
                let turn = turn.map_err(|held| self.held_back(held.problem, held.retry_after));
                // A question that waited too long no longer receives its call.
                let unused = sender.send(turn).err().and_then(Result::ok);
                left.extend(unused.map(Running::into_call));
            }
            if left.is_empty() {
                return;
            }
            state = self.state();
            for Call { turn, probe, .. } in left {
                self.counters.calls.fetch_sub(1, Ordering::Relaxed);
                state.turns.end(turn);
                if probe {
                    state.breaker.probe_was_lost(now.monotonic);
                }
            }
        }
    }
}
