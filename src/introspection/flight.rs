//! A call under way, and who waits for its end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::crypto::Fingerprint;
use crate::error::Error;
use crate::introspection::answer::Answer;
use crate::introspection::client::{IntrospectionClient, Verdict};
use crate::introspection::introspector::{Introspector, Lookup, RETRY_AFTER};
use crate::runtime;

/// How long a call may take in all: metadata, the call, keys for its signature.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// How long a request waits: for the call that it began or joined, which says itself how it ended.
/// One that wants no older answer may have to wait for the end of a call first; it waits no longer
/// for that.
pub(crate) const WAIT: Duration = Duration::from_secs(6);

/// A call under way.
pub(super) struct Flight {
    pub(super) number: u64,
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
}

pub(super) type Outcome = Result<Arc<Answer>, Error>;

/// What a request that has to wait comes to.
pub(super) enum Joined {
    Remembered(Lookup),
    Flight { outcome: watch::Receiver<Option<Outcome>>, fresh: bool, begun: u64 },
}

/// A wait for an answer.
pub(crate) struct AnswerWait {
    pub(super) introspector: Arc<Introspector>,
    pub(super) fingerprint: Fingerprint,
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
    pub(crate) async fn done(mut self) -> Outcome {
        let introspector = Arc::clone(&self.introspector);
        let outcome = runtime::within(WAIT, self.outcome())
            .await
            .unwrap_or_else(|| Err(introspector.unavailable("no answer in time", RETRY_AFTER)));
        outcome.or_else(|error| introspector.stale(&self.fingerprint, &error).ok_or(error))
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
            let joined =
                self.introspector.join(self.fingerprint, &self.token, Some(self.came_at))?;
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

/// The end of a call. It reports even when its task panics or is dropped.
pub(super) struct Landing {
    pub(super) introspector: Weak<Introspector>,
    pub(super) fingerprint: Fingerprint,
    pub(super) sender: Option<watch::Sender<Option<Outcome>>>,
    pub(super) asked_at: Duration,
    pub(super) probe: bool,
}

impl Landing {
    fn land(&mut self, brought: Result<Verdict, String>) {
        let Some(sender) = self.sender.take() else { return };
        if let Some(introspector) = self.introspector.upgrade() {
            let outcome =
                introspector.conclude(self.fingerprint, self.asked_at, self.probe, brought);
            sender.send_replace(Some(outcome));
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.land(Err("the call was aborted".to_owned()));
    }
}

pub(super) async fn fly(mut landing: Landing, client: Arc<IntrospectionClient>, token: String) {
    let brought = runtime::within(CALL_DEADLINE, client.ask(&token)).await;
    landing.land(brought.unwrap_or_else(|| Err("no answer in time".to_owned())));
}
