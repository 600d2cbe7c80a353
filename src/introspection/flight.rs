//! One question about a token, on its way: a detached task, which no request can cancel.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;
use crate::introspection::answer::Answer;
use crate::introspection::cache::Now;
use crate::introspection::client::{IntrospectionClient, Verdict};
use crate::introspection::introspector::{Introspector, Outcome, RETRY_AFTER, Sought};
use crate::introspection::shared::SharedAnswers;
use crate::runtime;

/// How long a call may take in all: metadata, the call, keys for its signature.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// A call of the endpoint.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) asked: Now,
    pub(crate) probe: bool,
}

/// What a flight brought: an answer, `None` for a token that is not active, to a question that was
/// put `age` ago.
pub(crate) struct Brought {
    pub(crate) answer: Option<Answer>,
    pub(crate) age: Duration,
}

/// The end of a flight. It reports even when its task panics or is dropped.
pub(crate) struct Landing {
    pub(crate) introspector: Weak<Introspector>,
    pub(super) sought: Sought,
    pub(crate) sender: Option<watch::Sender<Option<Outcome>>>,
    /// The call of the endpoint, once there is one.
    pub(crate) call: Option<Call>,
}

impl Landing {
    /// Begins the call, unless it has begun. `None` when there is none to be made, which was
    /// reported, or when the server is gone.
    fn call(&mut self) -> Option<Call> {
        if self.call.is_none() {
            match self.introspector.upgrade()?.begin_call() {
                Ok(call) => self.call = Some(call),
                Err(error) => {
                    self.land(Err(error));
                }
            }
        }
        self.call
    }

    /// Reports; the outcome is handed back if it is the latest word on the token.
    fn land(&mut self, brought: Result<Brought, Error>) -> Option<Outcome> {
        let sender = self.sender.take()?;
        let introspector = self.introspector.upgrade()?;
        let (outcome, is_latest) = introspector.conclude(self.sought, self.call, brought);
        sender.send_replace(Some(outcome.clone()));
        is_latest.then_some(outcome)
    }

    /// Lands with what the endpoint said.
    fn land_call(&mut self, call: Call, said: Result<Verdict, String>) -> Option<Outcome> {
        let introspector = self.introspector.upgrade()?;
        // An answer is as old as its question: the token may have been revoked since.
        let age = introspector.now().monotonic.saturating_sub(call.asked.monotonic);
        let brought = match said {
            Ok(Verdict::Active(answer)) => Ok(Brought { answer: Some(answer), age }),
            Ok(Verdict::Inactive | Verdict::Refused) => Ok(Brought { answer: None, age }),
            Err(problem) => Err(introspector.unavailable(&problem, RETRY_AFTER)),
        };
        self.land(brought)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let (Some(_), Some(introspector)) = (&self.sender, self.introspector.upgrade()) {
            self.land(Err(introspector.unavailable("the call was aborted", RETRY_AFTER)));
        }
    }
}

/// Asks the shared cache, where there is one that will do, then the endpoint; and tells the shared
/// cache what it heard.
pub(crate) async fn fly(
    mut landing: Landing,
    shared: Option<Arc<SharedAnswers>>,
    to_tell: Option<Arc<SharedAnswers>>,
    client: Arc<IntrospectionClient>,
    token: String,
) {
    if let Some(shared) = &shared
        && let Some(found) = shared.get(&token).await
        && let Some(introspector) = landing.introspector.upgrade()
        && let Some(brought) = introspector.usable(landing.sought, found)
    {
        landing.land(Ok(brought));
        return;
    }
    let Some(call) = landing.call() else { return };
    let said = runtime::within(CALL_DEADLINE, client.ask(&token)).await;
    let said = said.unwrap_or_else(|| Err("no answer in time".to_owned()));
    let outcome = landing.land_call(call, said);
    // Nobody waits for this.
    if let (Some(shared), Some(outcome)) = (to_tell, outcome) {
        match outcome {
            Ok(answer) => shared.put(&token, Some(&answer), call.asked).await,
            Err(Error::Inactive) => shared.put(&token, None, call.asked).await,
            Err(_) => {}
        }
    }
}
