//! Which call may begin now, which waits for its turn, and which is held back.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, Weak};

use tokio::sync::oneshot;

use crate::error::Error;
use crate::flight::{Completion, Waiter};
use crate::introspection::engine::cache::Now;
use crate::introspection::engine::call::{Call, CallOwner, Running, Turn};
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::question_key::{QuestionKey, RETRY_AFTER, Told};
use crate::introspection::engine::state::{Held, State, Waiting};
use crate::introspection::engine::turns::Grant;

/// Why a call has to wait that finds no place.
const BUSY: &str = "too many calls are under way";

impl Introspector {
    /// Begins a call, or takes a place among those who wait for their turn.
    pub(super) fn take_turn(
        self: &Arc<Self>,
        state: &mut State,
        key: QuestionKey,
        known: bool,
        now: Now,
        probe: Option<Waiter<Told>>,
    ) -> Result<Turn, Held> {
        if let Some(probe) = probe {
            return Ok(Turn::AfterProbe(probe));
        }
        let owner: Weak<dyn CallOwner> = Arc::<Self>::downgrade(self);
        if state.breaker.wants_a_probe(now.monotonic) {
            state.holds(known || self.is_probe(key), now.monotonic)?;
            // Without room for the probe, the breaker is not asked for one.
            let turn =
                if self.is_probe(key) { state.turns.take_first(now.monotonic) } else { None };
            let turn = turn.ok_or(Held { problem: BUSY, retry_after: RETRY_AFTER })?;
            // It is held back only where all calls are, and a 429 for it says nothing of tokens that
            // were active before.
            let call = Call { known: false, ..self.begin_call(state, turn, true, now)? };
            return Ok(Turn::Now(Running::new(owner, key, call)));
        }
        if state.breaker.is_open() {
            // No probe is due, so this says for how long.
            state.ask_breaker(now.monotonic)?;
        }
        state.holds(known, now.monotonic)?;
        let (sender, receiver) = oneshot::channel();
        let waiting = Waiting { sender, owner: Weak::clone(&owner), key };
        match state.turns.take(known, now.monotonic, waiting) {
            Grant::Turn(turn) => {
                let call = self.begin_call(state, turn, known, now)?;
                Ok(Turn::Now(Running::new(owner, key, call)))
            }
            Grant::Queued => Ok(Turn::Later(receiver)),
            Grant::Full(_) => Err(Held { problem: BUSY, retry_after: RETRY_AFTER }),
        }
    }

    /// Begins the call that has this turn, unless the endpoint is left alone.
    fn begin_call(
        &self,
        state: &mut State,
        turn: u64,
        known: bool,
        asked: Now,
    ) -> Result<Call, Held> {
        let held = state.holds(known, asked.monotonic);
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

    /// A turn for a question that was put already.
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

    /// A question that waited for its turn goes on.
    pub(crate) fn renew(&self, key: QuestionKey, completion: &Completion<Told>, now: Now) {
        self.state().flights.renew(&key, completion, now.monotonic);
    }

    /// Gives the turns that are free to those who wait.
    pub(super) fn give_turns<'a>(&'a self, mut state: MutexGuard<'a, State>, now: Now) {
        loop {
            let mut given = Vec::new();
            while let Some((turn, known, waiting)) = state.turns.next(now.monotonic) {
                given.push((waiting, self.begin_call(&mut state, turn, known, now)));
            }
            drop(state);
            // Outside of the lock, since it wakes tasks.
            let mut left = Vec::new();
            for (Waiting { sender, owner, key }, call) in given {
                let turn = call.map(|call| Running::new(owner, key, call));
                let turn = turn.map_err(|held| self.held_back(held.problem, held.retry_after));
                // Who waited too long is gone.
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
