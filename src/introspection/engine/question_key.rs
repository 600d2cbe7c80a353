//! The key of a question, and how a question ended.

use std::sync::Arc;
use std::time::Duration;

use crate::crypto::Fingerprint;
use crate::error::Error;
use crate::introspection::answer::Answer;

/// The default of `Retry-After`, and its minimum after a failed call.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The key of a question: the token, and whether the endpoint itself must be asked from now on. The
/// two kinds of question never share a call, because an answer from the shared cache is accepted
/// for only one of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct QuestionKey {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) asks_now: bool,
}

impl QuestionKey {
    /// The other kind of question about the same token.
    pub(crate) fn other(self) -> Self {
        Self { asks_now: !self.asks_now, ..self }
    }
}

/// How a question ended, for the requests that wait for it.
#[derive(Clone)]
pub(crate) struct QuestionOutcome {
    pub(crate) result: AnswerResult,
    /// Whether the question took too long.
    pub(crate) late: bool,
}

pub(crate) type AnswerResult = Result<Arc<Answer>, Error>;
