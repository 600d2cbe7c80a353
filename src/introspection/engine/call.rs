//! A call to the endpoint that has its turn, and the result of the call.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::flight::Waiter;
use crate::introspection::answer::Answer;
use crate::introspection::endpoint::client::{Blames, CallAnswer, CallFault};
use crate::introspection::engine::cache::Now;
use crate::introspection::engine::question_key::{QuestionKey, QuestionOutcome};

/// A call to the endpoint that has its turn.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) asked: Now,
    pub(crate) probe: bool,
    /// The number of its [turn](crate::introspection::engine::turns::Turns).
    pub(crate) turn: u64,
    /// Whether the token was active before.
    pub(crate) known: bool,
}

/// The answer to a question that was asked `age` ago. `answer` is `None` if the token is not
/// active.
pub(crate) struct FetchedAnswer {
    pub(crate) answer: Option<Answer>,
    pub(crate) age: Duration,
    /// An upper bound of the age. It is larger than `age` if another server asked the question.
    pub(crate) age_at_most: Duration,
    /// The call that fetched the answer; `None` for an answer from the shared cache.
    pub(crate) call: Option<Call>,
}

/// Why a question has no answer.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// Whether the question took too long. Requests that joined late may then begin another one.
    pub(crate) late: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, late: false }
    }
}

/// Gives turns to calls. Each call reports to it how it ended.
pub(crate) trait CallOwner: Send + Sync {
    fn now(&self) -> Now;

    /// Whether the endpoint has ever given a usable answer.
    fn has_answered(&self) -> bool;

    /// Evaluates how a call ended, and lets waiting calls begin.
    fn call_ended(
        &self,
        key: QuestionKey,
        call: Call,
        answer: Result<CallAnswer, CallFault>,
    ) -> Result<Option<Answer>, Error>;
}

/// When a call may begin.
pub(crate) enum Turn {
    Now(Running),
    /// The call waits in the queue. The receiver gets the call, or the reason why there is none.
    Later(oneshot::Receiver<Result<Running, Error>>),
    /// After a probe has shown that the server is back.
    AfterProbe(Waiter<QuestionOutcome>),
}

/// A call that has its turn. It may be created before its task starts. When it ends or is dropped,
/// it takes the lock to give the turn back. So never drop it while the lock is held.
pub(crate) struct Running {
    /// `None` after the call has ended.
    owner: Option<Weak<dyn CallOwner>>,
    key: QuestionKey,
    pub(crate) call: Call,
}

impl Running {
    pub(crate) fn new(owner: Weak<dyn CallOwner>, key: QuestionKey, call: Call) -> Self {
        Self { owner: Some(owner), key, call }
    }

    /// Whether the endpoint has ever given a usable answer. `None` if the engine was dropped.
    pub(crate) fn has_answered(&self) -> Option<bool> {
        Some(self.owner.as_ref()?.upgrade()?.has_answered())
    }

    /// Only the call, for an owner that gives the turn back itself.
    pub(crate) fn into_call(mut self) -> Call {
        self.owner = None;
        self.call
    }

    pub(crate) fn ended(
        &mut self,
        answer: Result<CallAnswer, CallFault>,
    ) -> Result<FetchedAnswer, Failed> {
        // `take`, so that this runs only once.
        let Some(owner) = self.owner.take().and_then(|owner| owner.upgrade()) else {
            return Err(gone().into());
        };
        // The age of an answer counts from its question: the token may have been revoked since.
        let age = owner.now().monotonic.saturating_sub(self.call.asked.monotonic);
        let late = answer.as_ref().is_err_and(|fault| fault.blames == Blames::Silence);
        owner
            .call_ended(self.key, self.call, answer)
            .map(|answer| FetchedAnswer { answer, age, age_at_most: age, call: Some(self.call) })
            .map_err(|error| Failed { error, late })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take().and_then(|owner| owner.upgrade()) {
            let fault = CallFault::new(Blames::Nothing, "the call was aborted");
            let _ = owner.call_ended(self.key, self.call, Err(fault));
        }
    }
}

/// The engine was dropped with its server, so nobody sees this error.
pub(crate) fn gone() -> Error {
    Error::Wiring { fix: "the server is gone".into() }
}
