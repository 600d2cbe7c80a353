//! A call of the endpoint that has its turn, and what it brings.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::flight::Waiter;
use crate::introspection::answer::Answer;
use crate::introspection::endpoint::client::{Blames, CallAnswer, CallFault};
use crate::introspection::engine::cache::Now;
use crate::introspection::engine::question_key::{QuestionKey, Told};

/// A call of the endpoint that has its turn.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) asked: Now,
    pub(crate) probe: bool,
    /// Of its [turn](crate::introspection::engine::turns::Turns).
    pub(crate) turn: u64,
    /// Whether the token was active before.
    pub(crate) known: bool,
}

/// What a question brought: an answer, `None` for a token that is not active, to a question that was
/// put `age` ago.
pub(crate) struct FetchedAnswer {
    pub(crate) answer: Option<Answer>,
    pub(crate) age: Duration,
    /// The same at most, where another server put the question.
    pub(crate) age_at_most: Duration,
    /// The call that brought it.
    pub(crate) call: Option<Call>,
}

/// Why a question brought nothing.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// It took too long, so that who joined late may ask again.
    pub(crate) late: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, late: false }
    }
}

/// Whoever gave the turn, and learns how the call ended.
pub(crate) trait CallOwner: Send + Sync {
    fn now(&self) -> Now;

    /// Whether the endpoint has ever answered 200.
    fn has_answered(&self) -> bool;

    /// Learns from how a call ended, and lets the next begin.
    fn call_ended(
        &self,
        key: QuestionKey,
        call: Call,
        said: Result<CallAnswer, CallFault>,
    ) -> Result<Option<Answer>, Error>;
}

/// When a call may begin.
pub(crate) enum Turn {
    Now(Running),
    /// The call, or why there is none.
    Later(oneshot::Receiver<Result<Running, Error>>),
    /// Once a probe has shown that the server is back.
    AfterProbe(Waiter<Told>),
}

/// A call that has its turn, from before its task starts. It gives the turn back however it ends, for
/// which it takes the lock: it must not be dropped under it.
pub(crate) struct Running {
    /// None once it was ended.
    owner: Option<Weak<dyn CallOwner>>,
    key: QuestionKey,
    pub(crate) call: Call,
}

impl Running {
    pub(crate) fn new(owner: Weak<dyn CallOwner>, key: QuestionKey, call: Call) -> Self {
        Self { owner: Some(owner), key, call }
    }

    /// Whether the endpoint has ever answered 200; none where the server is gone.
    pub(crate) fn has_answered(&self) -> Option<bool> {
        Some(self.owner.as_ref()?.upgrade()?.has_answered())
    }

    /// The call alone, for an owner who gives the turn back by itself.
    pub(crate) fn into_call(mut self) -> Call {
        self.owner = None;
        self.call
    }

    pub(crate) fn ended(
        &mut self,
        said: Result<CallAnswer, CallFault>,
    ) -> Result<FetchedAnswer, Failed> {
        // Whatever is done here is done once.
        let Some(owner) = self.owner.take().and_then(|owner| owner.upgrade()) else {
            return Err(gone().into());
        };
        // An answer is as old as its question: the token may have been revoked since.
        let age = owner.now().monotonic.saturating_sub(self.call.asked.monotonic);
        let late = said.as_ref().is_err_and(|fault| fault.blames == Blames::Silence);
        owner
            .call_ended(self.key, self.call, said)
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

/// The server ended: nobody sees this.
pub(crate) fn gone() -> Error {
    Error::Wiring { fix: "the server is gone".into() }
}
