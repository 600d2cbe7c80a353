//! A request's wait for an answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::introspection::introspector::{Introspector, Lookup, Outcome, RETRY_AFTER, Sought};
use crate::runtime::Deadline;

/// How long a request waits: for the flight that it began or joined, which says itself how it ended.
/// One that wants no older answer may have to wait for the end of a call first; it waits no longer
/// for that.
pub(crate) const WAIT: Duration = Duration::from_secs(6);

/// What a request that has to wait comes to.
pub(super) enum Joined {
    Remembered(Lookup),
    Flight { outcome: watch::Receiver<Option<Outcome>>, fresh: bool, begun: u64 },
}

/// A wait for an answer.
pub(crate) struct AnswerWait {
    pub(super) introspector: Arc<Introspector>,
    pub(super) sought: Sought,
    pub(super) token: String,
    pub(super) came_at: u64,
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
    /// Whether the answer to come is to a question put no earlier than this request allows.
    pub(super) fresh: bool,
}

impl AnswerWait {
    /// The configuration under which the server is asked.
    pub(crate) fn generation(&self) -> u64 {
        self.introspector.generation()
    }

    /// Returns with the answer, or when the limit is reached.
    pub(crate) async fn done(mut self, deadline: Deadline) -> Outcome {
        let introspector = Arc::clone(&self.introspector);
        let outcome = deadline
            .within(WAIT, self.outcome())
            .await
            .unwrap_or_else(|| Err(introspector.unavailable("no answer in time", RETRY_AFTER)));
        outcome.or_else(|error| introspector.stale(&self.sought, &error).ok_or(error))
    }

    async fn outcome(&mut self) -> Outcome {
        loop {
            let outcome = match self.outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                // Whoever flies reports in any case; a lost sender is the end of the server.
                Err(_) => None,
            };
            if self.fresh {
                return outcome.unwrap_or_else(|| {
                    Err(self.introspector.unavailable("the call was aborted", RETRY_AFTER))
                });
            }
            let joined = self.introspector.join(self.sought, &self.token, Some(self.came_at))?;
            match joined {
                Joined::Flight { outcome, fresh, .. } => {
                    self.outcome = outcome;
                    self.fresh = fresh;
                }
                Joined::Remembered(Lookup::Active(answer)) => return Ok(answer),
                Joined::Remembered(Lookup::Refused(error)) => return Err(error),
                Joined::Remembered(Lookup::Wait(wait)) => *self = wait,
            }
        }
    }
}
