//! A look for an answer, without waiting.

use std::sync::Arc;

use crate::error::Error;
use crate::introspection::answer::Answer;
use crate::introspection::engine::cache::{Now, Remembered};
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::join::Joined;
use crate::introspection::engine::question_key::QuestionKey;
use crate::introspection::engine::wait::AnswerWait;
use crate::token::NumericDate;
use crate::token::jwt::MAX_TOKEN;

/// What a look for an answer came to.
pub(crate) enum AnswerLookup {
    Active(Arc<Answer>),
    Refused(Error),
    /// A call is under way.
    Wait(AnswerWait),
}

impl From<Remembered> for AnswerLookup {
    fn from(remembered: Remembered) -> Self {
        match remembered {
            Remembered::Active(answer) => Self::Active(answer),
            Remembered::Inactive => Self::Refused(Error::Inactive),
        }
    }
}

impl Introspector {
    /// Looks for an answer about a token, without waiting. `now` is the time by which the request is
    /// judged. With `asks_now`, only an answer to a question put from now on will do, and nothing
    /// stands in for it.
    pub(crate) fn lookup(
        self: &Arc<Self>,
        token: &str,
        now: NumericDate,
        asks_now: bool,
    ) -> AnswerLookup {
        // What is too long to be a token is not worth a call.
        if token.len() > MAX_TOKEN {
            return AnswerLookup::Refused(Error::TokenTooLarge {
                size: token.len(),
                limit: MAX_TOKEN,
            });
        }
        let key = QuestionKey { fingerprint: self.fingerprints.of(token.as_bytes()), asks_now };
        let now = Now { wall: now, monotonic: self.clock.monotonic() };
        if !asks_now && let Some(remembered) = self.remembered(&key.fingerprint, now) {
            return remembered.into();
        }
        match self.join(key, token, None) {
            Ok(Joined::Remembered(remembered)) => remembered.into(),
            Ok(Joined::Flight { waiter, fresh, begun, joined, place }) => {
                AnswerLookup::Wait(AnswerWait {
                    introspector: Arc::clone(self),
                    key,
                    token: token.to_owned(),
                    came_at: begun,
                    waiter,
                    fresh,
                    joined,
                    place,
                })
            }
            Err(error) => match self.stale(&key, &error) {
                Some(answer) => AnswerLookup::Active(answer),
                None => AnswerLookup::Refused(error),
            },
        }
    }
}
