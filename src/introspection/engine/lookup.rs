//! Looks up an answer without waiting.

use std::sync::Arc;

use crate::credentials::Token68;
use crate::error::Error;
use crate::introspection::answer::Answer;
use crate::introspection::engine::cache::{CachedAnswer, Now};
use crate::introspection::engine::introspector::Introspector;
use crate::introspection::engine::join::Joined;
use crate::introspection::engine::question_key::QuestionKey;
use crate::introspection::engine::wait::AnswerWait;
use crate::token::NumericDate;
use crate::token::jwt::MAX_TOKEN;

/// The result of a lookup.
pub(crate) enum AnswerLookup {
    Active(Arc<Answer>),
    Refused(Error),
    /// A question is in progress, and the request has to wait for its answer.
    Wait(AnswerWait),
}

impl From<CachedAnswer> for AnswerLookup {
    fn from(cached: CachedAnswer) -> Self {
        match cached {
            CachedAnswer::Active(answer) => Self::Active(answer),
            CachedAnswer::Inactive => Self::Refused(Error::Inactive),
        }
    }
}

impl Introspector {
    /// Looks up the answer about a token without waiting. `now` is the time at which the request is
    /// judged. With `asks_now`, only the answer to a question that is asked from now on is
    /// accepted: no cached answer, and no stale answer if the endpoint fails.
    pub(crate) fn lookup(
        self: &Arc<Self>,
        token: &Token68<'_>,
        now: NumericDate,
        asks_now: bool,
    ) -> AnswerLookup {
        // A text that is too long to be a token causes no call.
        if token.as_bytes().len() > MAX_TOKEN {
            return AnswerLookup::Refused(Error::TokenTooLarge {
                size: token.as_bytes().len(),
                limit: MAX_TOKEN,
            });
        }
        let key = QuestionKey { fingerprint: self.fingerprints.of(token.as_bytes()), asks_now };
        let now = Now { wall: now, monotonic: self.clock.monotonic() };
        if !asks_now && let Some(cached) = self.cached(&key.fingerprint, now) {
            return cached.into();
        }
        match self.join(key, token, None) {
            Ok(Joined::Cached(cached)) => cached.into(),
            Ok(Joined::Flight { waiter, fresh, begun, joined, place }) => {
                AnswerLookup::Wait(AnswerWait {
                    introspector: Arc::clone(self),
                    key,
                    token: token.clone().into_owned(),
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
