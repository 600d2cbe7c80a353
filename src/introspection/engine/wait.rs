//! A request's wait for an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::flight::Waiter;
use crate::introspection::engine::introspector::{
    Introspector, Lookup, Outcome, RETRY_AFTER, Sought, Told,
};
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

/// Requests that wait at one endpoint; more are refused at once. What waits costs some KiB.
pub(crate) const MAX_WAITING: usize = 8_192;

/// Those that wait for one question, so that one token does not take the room of the others.
pub(crate) const MAX_WAITING_FOR_ONE: usize = 4_096;

/// What a request that has to wait comes to.
pub(crate) enum Joined {
    Remembered(Lookup),
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

/// A place among those who wait.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Place {
    /// Tokens that were active before have as many again.
    pub(crate) fn take(waiting: &Arc<AtomicUsize>, known: bool) -> Option<Self> {
        let limit = if known { 2 * MAX_WAITING } else { MAX_WAITING };
        let one_more = |count| (count < limit).then_some(count + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(Arc::clone(waiting)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A wait for an answer.
pub(crate) struct AnswerWait {
    pub(crate) introspector: Arc<Introspector>,
    pub(crate) sought: Sought,
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
    pub(crate) async fn done(mut self, deadline: Deadline) -> Outcome {
        let outcome = deadline.within(wait(self.introspector.deadline()), self.outcome()).await;
        let introspector = self.introspector;
        outcome
            .unwrap_or_else(|| Err(introspector.unavailable("no answer in time", RETRY_AFTER)))
            .or_else(|error| introspector.stale(&self.sought, &error).ok_or(error))
    }

    async fn outcome(&mut self) -> Outcome {
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
            let joined = self.introspector.join(self.sought, &self.token, Some(self.came_at))?;
            match joined {
                Joined::Flight { waiter, fresh, joined, place, .. } => {
                    (self.waiter, self.fresh, self.joined) = (waiter, fresh, joined);
                    self.place = place;
                }
                Joined::Remembered(Lookup::Active(answer)) => return Ok(answer),
                Joined::Remembered(Lookup::Refused(error)) => return Err(error),
                Joined::Remembered(Lookup::Wait(wait)) => *self = wait,
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
                None => under_way = self.introspector.is_under_way(&self.sought, &self.waiter),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let waiting = Arc::default();
        let new: Vec<_> = (0..MAX_WAITING).filter_map(|_| Place::take(&waiting, false)).collect();
        assert_eq!(new.len(), MAX_WAITING);
        assert!(Place::take(&waiting, false).is_none());
        let known: Vec<_> = (0..=MAX_WAITING).filter_map(|_| Place::take(&waiting, true)).collect();
        assert_eq!(known.len(), MAX_WAITING);
        drop(known);
        assert!(Place::take(&waiting, false).is_none());
        drop(new);
        assert!(Place::take(&waiting, false).is_some());
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }
}
