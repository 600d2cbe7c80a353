//! What an answer is sought about, and how the question ended.

use std::sync::Arc;
use std::time::Duration;

use crate::crypto::Fingerprint;
use crate::error::Error;
use crate::introspection::answer::Answer;

/// When to try again where nothing better is known.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A token that an answer is sought about, and whether the endpoint itself has to be asked, and now.
/// The two kinds of question never share a call: what another server was told will do for one of them
/// alone.
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

/// How a question ended, for those who wait for it.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) outcome: AnswerResult,
    /// It took too long.
    pub(crate) late: bool,
}

pub(crate) type AnswerResult = Result<Arc<Answer>, Error>;
