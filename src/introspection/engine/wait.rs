//! A request's wait for an answer.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::flight::Waiter;
use crate::introspection::engine::cache::Remembered;
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::join::Joined;
use crate::introspection::engine::place::Place;
use crate::introspection::engine::question_key::{AnswerResult, QuestionKey, RETRY_AFTER, Told};
use crate::runtime::{self, Deadline};

/// How long a request waits in all, whatever it waits for: the question that it began or joined,
/// which itself says how it ended; another, where that one does not answer it; and the same again
/// after a reload.
fn wait(call: Duration) -> Duration {
    call + Duration::from_secs(1)
}

/// A request that has waited less than this for a call that then came to its deadline joined it
/// late, and may begin one of its own.
fn joined_late(call: Duration) -> Duration {
    call / 2
}

/// How often a request that waits for longer looks whether the question still counts as under way: its
/// task may sit on a runtime that is no longer polled.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How often a request may begin again, since what it joined came to nothing.
const REPEATS: u32 = 2;

/// A wait for an answer.
pub(crate) struct AnswerWait {
    pub(crate) introspector: Arc<Introspector>,
    pub(crate) key: QuestionKey,
    pub(crate) token: String,
    pub(crate) came_at: u64,
    pub(crate) waiter: Waiter<Told>,
    pub(crate) fresh: bool,
    pub(crate) joined: bool,
    pub(crate) place: Place,
}

impl AnswerWait {
    /// The configuration under which the server is asked.
    pub(crate) fn generation(&self) -> u64 {
        self.introspector.generation()
    }

    /// Returns with the answer, or when the limit is reached.
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
            let (told, soon) = match runtime::within(late, self.waiter.outcome()).await {
                Some(told) => (told, true),
                None => (self.told_later().await, false),
            };
            match told {
                // It began before this request came.
                Some(_) if !self.fresh => {}
                Some(told) if !(told.late && self.joined && soon && repeats > 0) => {
                    return told.outcome;
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
                Joined::Remembered(Remembered::Active(answer)) => return Ok(answer),
                Joined::Remembered(Remembered::Inactive) => return Err(Error::Inactive),
            }
        }
    }

    /// Waits on. `None` also where the question is overdue, and ends without a word.
    async fn told_later(&mut self) -> Option<Told> {
        let mut under_way = true;
        loop {
            match runtime::within(LOOK_AGAIN, self.waiter.outcome()).await {
                Some(told) => return told,
                // One that has just landed tells us yet.
                None if !under_way => return None,
                None => under_way = self.introspector.is_under_way(&self.key, &self.waiter),
            }
        }
    }
}
