//! One question about a token, on its way: to the shared cache first, where there is one that will
//! do, then to the endpoint when its turn comes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::error::Error;
use crate::flight::{self, Completion, Ended};
use crate::introspection::endpoint::client::{Blames, CallFault, IntrospectionClient};
use crate::introspection::engine::call::{Call, Failed, FetchedAnswer, Running, Turn, gone};
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::question_key::{AnswerResult, QuestionKey, RETRY_AFTER, Told};
use crate::introspection::shared::SharedAnswers;
use crate::runtime;

/// A bound to all of it, beyond those of its parts: the shared cache, the turn, the call, each of the
/// last two with this deadline.
fn question_deadline(call: Duration) -> Duration {
    2 * call + Duration::from_secs(2)
}

/// A question and what it needs.
pub(crate) struct Question {
    pub(crate) introspector: Weak<Introspector>,
    pub(crate) key: QuestionKey,
    pub(crate) token: String,
    pub(crate) client: Arc<IntrospectionClient>,
    pub(crate) shared: Option<Arc<SharedAnswers>>,
    /// Where there is no cache to be asked first.
    pub(crate) turn: Option<Turn>,
}

impl Question {
    /// Puts the question, as a task that no request can cancel. To be called without a lock.
    pub(crate) fn launch(self, runtime: &Handle, completion: Completion<Told>) {
        let completion = Arc::new(completion);
        let (introspector, key) = (Weak::clone(&self.introspector), self.key);
        let to_share = self.shared.clone().map(|shared| (shared, self.token.clone()));
        let own = runtime.clone();
        let deadline = question_deadline(self.client.deadline);
        let question = self.put(Arc::clone(&completion));
        flight::launch(runtime, deadline, question, move |ended| {
            complete(&introspector, key, completion, ended, |outcome, call| {
                let Some((shared, token)) = to_share else { return };
                // Nobody waits for this.
                let sharing = share(shared, token, outcome, call);
                flight::launch(&own, deadline, sharing, drop);
            });
        });
    }

    async fn put(mut self, completion: Arc<Completion<Told>>) -> Result<FetchedAnswer, Failed> {
        if let Some(shared) = self.shared.as_ref().filter(|_| !self.key.asks_now)
            // A store that panics is as good as none.
            && let Ok(Some(found)) = flight::caught(shared.get(&self.token)).await
            && let Some(introspector) = self.introspector.upgrade()
            && let Some(fetched) = introspector.usable(self.key, found)
        {
            return Ok(fetched);
        }
        let mut running = self.turn(&completion).await?;
        let said = runtime::within(self.client.deadline, async {
            let Some(has_answered) = running.has_answered() else {
                return Err(CallFault::new(Blames::Nothing, "the server is gone"));
            };
            self.client.ask(&self.token, has_answered).await
        });
        let said = said.await;
        let said =
            said.unwrap_or_else(|| Err(CallFault::new(Blames::Silence, "no answer in time")));
        running.ended(said)
    }

    /// Waits for the turn.
    async fn turn(&mut self, completion: &Completion<Told>) -> Result<Running, Failed> {
        let turn = match self.turn.take() {
            Some(turn) => turn,
            None => self.introspector()?.turn(self.key)?,
        };
        if let Turn::Now(running) = turn {
            return Ok(running);
        }
        let turn = runtime::within(self.client.deadline, self.wait_for(turn)).await;
        let introspector = self.introspector()?;
        match turn.transpose()?.flatten() {
            Some(running) => {
                introspector.renew(self.key, completion, running.call.asked);
                Ok(running)
            }
            // Given up, or it took too long.
            None => {
                let problem = "too many calls are under way";
                Err(Failed { error: introspector.held_back(problem, RETRY_AFTER), late: true })
            }
        }
    }

    /// `None` where the turn was given up.
    async fn wait_for(&self, mut turn: Turn) -> Result<Option<Running>, Failed> {
        if let Turn::AfterProbe(mut probe) = turn {
            probe.outcome().await;
            turn = self.introspector()?.turn(self.key)?;
        }
        match turn {
            Turn::Now(running) => Ok(Some(running)),
            Turn::Later(turn) => Ok(turn.await.ok().transpose()?),
            // The first was lost.
            Turn::AfterProbe(_) => Ok(None),
        }
    }

    fn introspector(&self) -> Result<Arc<Introspector>, Failed> {
        self.introspector.upgrade().ok_or_else(|| gone().into())
    }
}

/// The end of a question, however it comes.
fn complete(
    introspector: &Weak<Introspector>,
    key: QuestionKey,
    completion: Arc<Completion<Told>>,
    ended: Ended<Result<FetchedAnswer, Failed>>,
    share: impl FnOnce(AnswerResult, Call),
) {
    let Some(introspector) = introspector.upgrade() else { return };
    let result = match ended {
        // It died with its runtime, which says nothing: who waits may ask on another.
        Ended::Gone => return introspector.forget(key, &completion),
        Ended::Done(result) => result,
        ended @ (Ended::Late | Ended::Panicked) => {
            let problem = ended.done().err().unwrap_or_default();
            Err(introspector.unavailable(problem, RETRY_AFTER).into())
        }
    };
    let late = result.as_ref().is_err_and(|failed| failed.late);
    // A copy from before other requests can see the answer: once its members have passed for one of
    // them, they are gone.
    let to_share = result.as_ref().ok().and_then(|FetchedAnswer { answer, call, .. }| {
        let answer = answer.as_ref().map(|answer| Arc::new(answer.unjudged()));
        call.map(|call| (answer.ok_or(Error::Inactive), call))
    });
    let (outcome, is_latest) = introspector.record(key, &completion, result);
    // The question itself is over, so this is the only owner.
    if let Some(completion) = Arc::into_inner(completion) {
        completion.tell(Told { outcome, late });
    }
    if let Some((outcome, call)) = to_share.filter(|_| is_latest) {
        share(outcome, call);
    }
}

/// Tells the shared cache what was heard.
async fn share(shared: Arc<SharedAnswers>, token: String, outcome: AnswerResult, call: Call) {
    match outcome {
        Ok(answer) => shared.put(&token, Some(&answer), call.asked).await,
        Err(Error::Inactive) => shared.put(&token, None, call.asked).await,
        Err(_) => {}
    }
}
