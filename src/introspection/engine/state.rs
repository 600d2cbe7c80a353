//! The state under the lock: what is in progress, and whether the endpoint may be called.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::crypto::Fingerprint;
use crate::error::Error;
use crate::flight::{Flights, MARGIN};
use crate::introspection::endpoint::client::{Blames, CallFault};
use crate::introspection::engine::breaker::{Admission, Breaker, Evidence, within_cap};
use crate::introspection::engine::call::{Call, CallOwner, Running};
use crate::introspection::engine::question_key::{QuestionKey, QuestionOutcome, RETRY_AFTER};
use crate::introspection::engine::turns::{MAX_IN_FLIGHT, Turns};

/// The state of the engine. Each decision is made in one critical section.
pub(crate) struct State {
    pub(crate) flights: Flights<QuestionKey, QuestionOutcome>,
    /// For a question in progress: if a question of the other kind about the same token was
    /// answered meanwhile, the time at which that other question was asked.
    pub(crate) overtaken: HashMap<QuestionKey, Duration>,
    pub(crate) turns: Turns<Waiting>,
    pub(crate) breaker: Breaker,
    pub(crate) evidence: Evidence,
    /// After a 429: the endpoint is not asked about tokens that were never active until
    /// `busy_for_new`, and about no token until `busy_for_all`.
    pub(crate) busy_for_new: Duration,
    pub(crate) busy_for_all: Duration,
}

/// A question that waits for its turn.
pub(crate) struct Waiting {
    pub(crate) sender: oneshot::Sender<Result<Running, Error>>,
    pub(crate) owner: Weak<dyn CallOwner>,
    pub(crate) key: QuestionKey,
}

/// Why no call may begin now.
pub(crate) struct HeldBack {
    pub(crate) problem: &'static str,
    pub(crate) retry_after: Duration,
}

impl State {
    pub(crate) fn new(deadline: Duration) -> Self {
        Self {
            flights: Flights::new(deadline),
            overtaken: HashMap::new(),
            turns: Turns::new(deadline + MARGIN),
            breaker: Breaker::for_calls(deadline),
            evidence: Evidence::default(),
            busy_for_new: Duration::ZERO,
            busy_for_all: Duration::ZERO,
        }
    }

    /// Fails while the endpoint wants fewer calls, after it answered 429.
    pub(crate) fn check_rate_limit(&self, known: bool, now: Duration) -> Result<(), HeldBack> {
        let busy_until =
            if known { self.busy_for_all } else { self.busy_for_all.max(self.busy_for_new) };
        match busy_until.checked_sub(now) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(retry_after) => Err(HeldBack { problem: "it asked for fewer calls", retry_after }),
        }
    }

    /// Asks the circuit breaker. Returns whether the call is a probe.
    pub(crate) fn ask_breaker(&mut self, now: Duration) -> Result<bool, HeldBack> {
        match self.breaker.ask(now) {
            Admission::Call => Ok(false),
            Admission::Probe => Ok(true),
            Admission::Wait { retry_after } => {
                let problem = "it failed several times in a row, so it is not called for some time";
                Err(HeldBack { problem, retry_after })
            }
        }
    }

    /// A call failed. Returns whether this counts against the server, and whether the breaker
    /// opened.
    pub(crate) fn failed(
        &mut self,
        token: Fingerprint,
        call: Call,
        fault: &CallFault,
        now: Duration,
        random: f64,
    ) -> (bool, bool) {
        let failures = match fault.blames {
            Blames::Connection | Blames::Silence | Blames::Server | Blames::Credentials => {
                u32::from(self.evidence.failed(token) || call.probe)
            }
            Blames::Unauthorized => self.evidence.unauthorized(token),
            Blames::Rate => {
                let until = now.saturating_add(within_cap(fault.retry_after).max(RETRY_AFTER));
                let busy = if call.known { &mut self.busy_for_all } else { &mut self.busy_for_new };
                *busy = until.max(*busy);
                0
            }
            Blames::Token => 0,
            // The text of a probe can't cause this, so the server did not answer.
            Blames::Accident => u32::from(call.probe),
            Blames::Nothing => {
                if call.probe {
                    self.breaker.probe_was_lost(now);
                }
                return (false, false);
            }
        };
        if failures == 0 && call.probe {
            self.breaker.probe_was_answered();
            self.evidence.clear();
        }
        let opened = (0..failures).fold(false, |opened, _| {
            self.breaker.failed(now, call.probe, random, fault.retry_after) || opened
        });
        (failures > 0, opened)
    }

    /// Removes overdue calls and questions. Drop the returned questions without the lock, because
    /// this wakes tasks. If the second value is true, turns of overdue calls became free. The owner
    /// then has to give turns to waiting questions, because an overdue call may never end.
    pub(crate) fn give_up_overdue(&mut self, now: Duration) -> (Vec<Waiting>, bool) {
        if self.flights.len() >= MAX_IN_FLIGHT {
            self.flights.give_up_overdue(now);
            let Self { flights, overtaken, .. } = self;
            overtaken.retain(|key, _| flights.join(key, now).is_some());
        }
        let running = self.turns.running();
        let overdue = self.turns.give_up_overdue(now);
        (overdue, self.turns.running() < running)
    }
}
