//! One question about a token. It looks in the shared cache first, if one is configured and the
//! request accepts an answer from it. Then it waits for its turn and calls the endpoint.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::credentials::Token68;
use crate::error::Error;
use crate::flight::{self, Completion, Ended};
use crate::introspection::endpoint::client::{Blames, CallFault, IntrospectionClient};
use crate::introspection::engine::call::{Call, Failed, FetchedAnswer, Running, Turn, gone};
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::question_key::{
    AnswerResult, QuestionKey, QuestionOutcome, RETRY_AFTER,
};
use crate::introspection::shared::SharedAnswers;
use crate::runtime;

/// The deadline of the whole question. Its parts have their own deadlines: the shared cache, the
/// turn, and the call. The turn and the call each have the deadline `call`.
fn question_deadline(call: Duration) -> Duration {
    2 * call + Duration::from_secs(2)
}

/// A question and what it needs.
pub(crate) struct Question {
    pub(crate) introspector: Weak<Introspector>,
    pub(crate) key: QuestionKey,
    pub(crate) token: Token68<'static>,
    pub(crate) client: Arc<IntrospectionClient>,
    pub(crate) shared: Option<Arc<SharedAnswers>>,
    /// `None` if the shared cache is looked up first. The question then takes its turn later.
    pub(crate) turn: Option<Turn>,
}

impl Question {
    /// Starts the question as a task that no request can cancel. Call it without holding the lock.
    pub(crate) fn launch(self, runtime: &Handle, completion: Completion<QuestionOutcome>) {
        let completion = Arc::new(completion);
        let (introspector, key) = (Weak::clone(&self.introspector), self.key);
        let to_share = self.shared.clone().map(|shared| (shared, self.token.clone()));
        let own = runtime.clone();
        let deadline = question_deadline(self.client.deadline);
        let question = self.run(Arc::clone(&completion));
        flight::launch(runtime, deadline, question, move |ended| {
            complete(&introspector, key, completion, ended, |outcome, call| {
                let Some((shared, token)) = to_share else { return };
                // No request waits for this task.
                let sharing = share(shared, token, outcome, call);
                flight::launch(&own, deadline, sharing, drop);
            });
        });
    }

    async fn run(
        mut self,
        completion: Arc<Completion<QuestionOutcome>>,
    ) -> Result<FetchedAnswer, Failed> {
        if let Some(shared) = self.shared.as_ref().filter(|_| !self.key.asks_now)
            // A store that panics is treated as if it had no answer.
            && let Ok(Some(found)) = flight::caught(shared.get(&self.token.text())).await
            && let Some(introspector) = self.introspector.upgrade()
            && let Some(fetched) = introspector.usable(self.key, found)
        {
            return Ok(fetched);
        }
        let mut running = self.turn(&completion).await?;
        let answer = runtime::within(self.client.deadline, async {
            let Some(has_answered) = running.has_answered() else {
                return Err(CallFault::new(Blames::Nothing, "the server is gone"));
            };
            self.client.ask(&self.token.text(), has_answered).await
        });
        let answer = answer.await;
        let answer =
            answer.unwrap_or_else(|| Err(CallFault::new(Blames::Silence, "no answer in time")));
        running.ended(answer)
    }

    /// Waits for the turn.
    async fn turn(&mut self, completion: &Completion<QuestionOutcome>) -> Result<Running, Failed> {
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
            // The turn was given up, or the wait took too long.
            None => {
                let problem = "too many calls are in progress";
                Err(Failed { error: introspector.held_back(problem, RETRY_AFTER), late: true })
            }
        }
    }

    /// Returns `None` if the turn was given up.
    async fn wait_for(&self, mut turn: Turn) -> Result<Option<Running>, Failed> {
        if let Turn::AfterProbe(mut probe) = turn {
            probe.outcome().await;
            turn = self.introspector()?.turn(self.key)?;
        }
        match turn {
            Turn::Now(running) => Ok(Some(running)),
            Turn::Later(turn) => Ok(turn.await.ok().transpose()?),
            // The probe ended without a result, and another probe is due. Do not wait again.
            Turn::AfterProbe(_) => Ok(None),
        }
    }

    fn introspector(&self) -> Result<Arc<Introspector>, Failed> {
        self.introspector.upgrade().ok_or_else(|| gone().into())
    }
}

/// Handles the end of a question, however it ended.
fn complete(
    introspector: &Weak<Introspector>,
    key: QuestionKey,
    completion: Arc<Completion<QuestionOutcome>>,
    ended: Ended<Result<FetchedAnswer, Failed>>,
    share: impl FnOnce(AnswerResult, Call),
) {
    let Some(introspector) = introspector.upgrade() else { return };
    let result = match ended {
        // The task ended with its runtime. This says nothing about the token. The waiting requests
        // may begin another question on another runtime.
        Ended::Gone => return introspector.forget(key, &completion),
        Ended::Done(result) => result,
        ended @ (Ended::Late | Ended::Panicked) => {
            let problem = ended.done().err().unwrap_or_default();
            Err(introspector.unavailable(problem, RETRY_AFTER).into())
        }
    };
    let late = result.as_ref().is_err_and(|failed| failed.late);
    // Copy the answer before a request can see it: once its members have passed all checks for one
    // request, they are dropped.
    let to_share = result.as_ref().ok().and_then(|FetchedAnswer { answer, call, .. }| {
        let answer = answer.as_ref().map(|answer| Arc::new(answer.unjudged()));
        call.map(|call| (answer.ok_or(Error::Inactive), call))
    });
    let (outcome, is_latest) = introspector.record(key, &completion, result);
    // The question has ended, so this is the only owner.
    if let Some(completion) = Arc::into_inner(completion) {
        completion.send(QuestionOutcome { result: outcome, late });
    }
    if let Some((outcome, call)) = to_share.filter(|_| is_latest) {
        share(outcome, call);
    }
}

/// Writes the answer to the shared cache.
async fn share(
    shared: Arc<SharedAnswers>,
    token: Token68<'static>,
    outcome: AnswerResult,
    call: Call,
) {
    match outcome {
        Ok(answer) => shared.put(&token.text(), Some(&answer), call.asked).await,
        Err(Error::Inactive) => shared.put(&token.text(), None, call.asked).await,
        Err(_) => {}
    }
}
