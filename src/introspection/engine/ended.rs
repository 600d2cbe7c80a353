//! Evaluates how a question or a call ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::crypto::{Fingerprint, random_unit};
use crate::error::Error;
use crate::flight::Completion;
use crate::introspection::answer::Answer;
use crate::introspection::endpoint::client::{Blames, CallAnswer, CallFault};
use crate::introspection::engine::breaker::within_cap;
use crate::introspection::engine::cache::{Now, is_past};
use crate::introspection::engine::call::{Call, CallOwner, Failed, FetchedAnswer};
use crate::introspection::engine::introspector::{Introspector, TokenFault};
use crate::introspection::engine::question_key::{
    AnswerResult, QuestionKey, QuestionOutcome, RETRY_AFTER,
};
use crate::introspection::shared::record::SharedAnswer;
use crate::observe::Introspected;

/// How long the engine remembers that the endpoint gave no usable answer about a token. A client
/// that keeps retrying causes at most one call in this time.
const SAID_TTL: Duration = Duration::from_secs(1);

/// If the first answers are all "inactive", a warning is logged after this many: the cause may not
/// be the tokens. The number is small, so that developers see the warning while they set up an API.
const SUSPICIOUS: u32 = 3;

impl Introspector {
    /// Returns the answer from the shared cache if it may be used. An answer that may be older than
    /// a revocation that this server saw is ignored. An "inactive" answer that is no longer
    /// repeated to clients, or the answer about an expired token, is not returned, but it still
    /// overrides older answers.
    pub(crate) fn usable(&self, key: QuestionKey, shared: SharedAnswer) -> Option<FetchedAnswer> {
        let (token, now) = (key.fingerprint, self.now());
        let SharedAnswer { answer, age, age_at_most } = shared;
        match answer {
            None if self.cache.refused_for(age).is_zero() => {
                self.cache.put_inactive(token, now, age);
                None
            }
            Some(answer) if is_past(&answer, now.wall) => {
                self.cache.put(token, &Arc::new(answer), now, age);
                None
            }
            Some(_) if self.cache.is_inactive_since(&token, now, age_at_most) => {
                // Either the store does not compare versions, or clocks differ, or someone restored
                // an old value.
                let reason = "it may be older than a revocation seen here";
                self.report(Introspected::SharedAnswerUnusable(reason));
                None
            }
            answer => Some(FetchedAnswer { answer, age, age_at_most, call: None }),
        }
    }

    /// Records the result of a question. Also returns whether it is the newest answer about the
    /// token. If the answer to a later question came first, the waiting requests still get this
    /// answer, but it is not cached: the token may be known to be inactive.
    pub(crate) fn record(
        &self,
        key: QuestionKey,
        completion: &Completion<QuestionOutcome>,
        result: Result<FetchedAnswer, Failed>,
    ) -> (AnswerResult, bool) {
        let now = self.now();
        let mut state = self.state();
        // If the question is overdue, another one with the same key may have replaced it.
        let present = state.flights.complete(&key, completion);
        let overtaken_by = if present { state.overtaken.remove(&key) } else { None };
        let FetchedAnswer { answer, age, age_at_most, call } = match result {
            Ok(fetched) => fetched,
            Err(Failed { error, .. }) => return (Err(error), false),
        };
        if call.is_none() {
            self.counters.shared_hits.fetch_add(1, Ordering::Relaxed);
        }
        let asked = now.monotonic.saturating_sub(age);
        if state.flights.join(&key.other(), now.monotonic).is_some() {
            state.overtaken.insert(key.other(), asked);
        }
        match answer {
            Some(answer) => {
                let answer = Arc::new(answer);
                let is_latest = overtaken_by.is_none_or(|other| other < asked)
                    && self.cache.put_shared(key.fingerprint, &answer, now, age, age_at_most);
                if self.has_expired(&answer, now) {
                    // The token is refused because of its `exp`. So the endpoint need not be asked
                    // again at once.
                    self.cache.put_inactive(key.fingerprint, now, age);
                } else {
                    self.known.insert(key.fingerprint, ());
                }
                (Ok(answer), is_latest)
            }
            None => {
                let is_latest = self.cache.put_inactive(key.fingerprint, now, age);
                self.known.invalidate(&key.fingerprint);
                (Err(Error::Inactive), is_latest)
            }
        }
    }

    /// Whether the answer is past its `exp` plus the leeway, so that each request with it is
    /// refused.
    fn has_expired(&self, answer: &Answer, now: Now) -> bool {
        let leeway = self.leeway.as_secs_f64();
        answer.expires_at().is_some_and(|exp| now.wall.as_secs_f64() >= exp + leeway)
    }

    /// Removes a question that ended without a result.
    pub(crate) fn forget(&self, key: QuestionKey, completion: &Completion<QuestionOutcome>) {
        let mut state = self.state();
        if state.flights.complete(&key, completion) {
            state.overtaken.remove(&key);
        }
    }

    /// Warns once if none of the first answers was "active". Some servers answer "inactive" for
    /// every token if the client is not allowed to introspect.
    fn count_inactive(&self, is_active: bool) {
        if is_active {
            self.never_active.store(u32::MAX, Ordering::Relaxed);
            return;
        }
        let count = |seen: u32| seen.checked_add(1).filter(|next| *next <= SUSPICIOUS);
        let seen = self.never_active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        if seen.is_ok_and(|seen| seen + 1 == SUSPICIOUS) {
            self.report(Introspected::NeverActive(SUSPICIOUS));
        }
    }

    /// Remembers the problem of a call about one token, if the endpoint answered.
    fn remember(&self, token: Fingerprint, fault: CallFault, now: Now) {
        match fault.blames {
            Blames::Server | Blames::Credentials | Blames::Unauthorized | Blames::Token => {
                let held_for = SAID_TTL.max(within_cap(fault.retry_after));
                let until = now.monotonic.saturating_add(held_for);
                self.token_faults
                    .insert(token, TokenFault { problem: fault.problem.into(), until });
            }
            Blames::Connection
            | Blames::Silence
            | Blames::Rate
            | Blames::Accident
            | Blames::Nothing => {}
        }
    }
}

impl CallOwner for Introspector {
    fn now(&self) -> Now {
        Self::now(self)
    }

    fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    fn call_ended(
        &self,
        key: QuestionKey,
        call: Call,
        answer: Result<CallAnswer, CallFault>,
    ) -> Result<Option<Answer>, Error> {
        let now = self.now();
        let token = key.fingerprint;
        let random = random_unit();
        let mut state = self.state();
        let counted = state.turns.end(call.turn);
        let was_open = state.breaker.is_open();
        let (mut opened, mut counts) = (false, false);
        let result = match answer {
            Ok(answer) => {
                state.breaker.succeeded();
                state.evidence.clear();
                match answer {
                    CallAnswer::Active(answer) => Ok((Some(answer), None)),
                    CallAnswer::Inactive => Ok((None, None)),
                    CallAnswer::Refused(code) => Ok((None, Some(code))),
                }
            }
            // A failed call does not count if it had been given up as overdue.
            Err(fault) => {
                if counted {
                    (counts, opened) = state.failed(token, call, &fault, now.monotonic, random);
                }
                Err(fault)
            }
        };
        if counts && !opened && state.turns.running() > 0 {
            // The server may be hanging. The end of the next call decides whether more calls begin.
            drop(state);
        } else {
            self.give_turns(state, now);
        }
        match result {
            Ok((answer, refused)) => {
                if was_open {
                    self.report(Introspected::Back);
                }
                match refused {
                    Some(code) => self.report(Introspected::RefusedToken(code)),
                    None => self.has_answered.store(true, Ordering::Relaxed),
                }
                // A probe asks about a random text, which is not a token.
                if !call.probe {
                    self.count_inactive(answer.is_some());
                }
                Ok(answer)
            }
            Err(fault) => {
                let retry_after = within_cap(fault.retry_after).max(RETRY_AFTER);
                let error = self.unavailable(&fault.problem, retry_after);
                if fault.blames != Blames::Nothing {
                    self.remember(token, fault, now);
                    self.report(match opened {
                        true => Introspected::Down(&error),
                        false => Introspected::Failed(&error),
                    });
                }
                Err(error)
            }
        }
    }
}
