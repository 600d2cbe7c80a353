//! How a request waits for an answer.

use std::sync::Arc;
use std::time::Duration;

use crate::credentials::Token68;
use crate::error::Error;
use crate::flight::Waiter;
use crate::introspection::engine::cache::CachedAnswer;
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::join::Joined;
use crate::introspection::engine::place::Place;
use crate::introspection::engine::question_key::{
    AnswerResult, QuestionKey, QuestionOutcome, RETRY_AFTER,
};
use crate::runtime::{self, Deadline};

/// How long a request waits in total: for the question that it began or joined, and for another
/// question if the first gives no answer that it may use. After a reload of the configuration, the
/// request may wait once more for the same time.
fn wait(call: Duration) -> Duration {
    call + Duration::from_secs(1)
}

/// If a request has waited less than this when the call reaches its deadline, the request joined
/// late and may begin another call.
fn joined_late(call: Duration) -> Duration {
    call / 2
}

/// After that time, how often a request checks whether the question still counts as in progress.
/// The task of the question may be on a runtime that is no longer polled.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How many times a request may begin or join another question after one without a usable result.
const REPEATS: u32 = 2;

/// A wait for an answer.
pub(crate) struct AnswerWait {
    pub(crate) introspector: Arc<Introspector>,
    pub(crate) key: QuestionKey,
    pub(crate) token: Token68<'static>,
    pub(crate) came_at: u64,
    pub(crate) waiter: Waiter<QuestionOutcome>,
    pub(crate) fresh: bool,
    pub(crate) joined: bool,
    pub(crate) place: Place,
}

impl AnswerWait {
    /// The generation of the configuration that the question belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.introspector.generation()
    }

    /// Returns the answer, or an error when the limit is reached.
    pub(crate) async fn done(mut self, deadline: Deadline) -> AnswerResult {
        let outcome = deadline.within(wait(self.introspector.deadline()), self.outcome()).await;
        let introspector = self.introspector;
        outcome
            .unwrap_or_else(|| Err(introspector.unavailable("no answer in time", RETRY_AFTER)))
            .or_else(|error| introspector.stale(&self.key, &error).ok_or(error))
    }

    async fn outcome(&mut self) -> AnswerResult {
        let mut repeats = REPEATS;
        loop {
            let late = joined_late(self.introspector.deadline());
            let (outcome, soon) = match runtime::within(late, self.waiter.outcome()).await {
                Some(outcome) => (outcome, true),
                None => (self.later_outcome().await, false),
            };
            match outcome {
                // The question began before this request came, so its answer is too old.
                Some(_) if !self.fresh => {}
                Some(outcome) if !(outcome.late && self.joined && soon && repeats > 0) => {
                    return outcome.result;
                }
                None if repeats == 0 => {
                    let problem = "the call was aborted";
                    return Err(self.introspector.unavailable(problem, RETRY_AFTER));
                }
                Some(_) | None => repeats -= 1,
            }
            let joined = self.introspector.join(self.key, &self.token, Some(self.came_at))?;
            match joined {
                Joined::Flight { waiter, fresh, joined, place, .. } => {
                    (self.waiter, self.fresh, self.joined) = (waiter, fresh, joined);
                    self.place = place;
                }
                Joined::Cached(CachedAnswer::Active(answer)) => return Ok(answer),
                Joined::Cached(CachedAnswer::Inactive) => return Err(Error::Inactive),
            }
        }
    }

    /// Continues to wait. Returns `None` if the question ends without an outcome or is overdue.
    async fn later_outcome(&mut self) -> Option<QuestionOutcome> {
        let mut in_progress = true;
        loop {
            match runtime::within(LOOK_AGAIN, self.waiter.outcome()).await {
                Some(outcome) => return outcome,
                // A question that has just completed still sends its outcome, so this waits once
                // more before it gives up.
                None if !in_progress => return None,
                None => in_progress = self.introspector.is_in_progress(&self.key, &self.waiter),
            }
        }
    }
}
