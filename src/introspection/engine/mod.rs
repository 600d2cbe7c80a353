//! Answers for one authorization server: cached, asked for once for all requests that wait, queued
//! where there are many, and held back where the server is in trouble.

mod admit;
pub(super) mod breaker;
pub(super) mod cache;
mod call;
mod ended;
pub(super) mod introspector;
mod join;
mod lookup;
mod place;
mod question;
mod question_key;
mod state;
mod turns;
mod wait;

pub(crate) use cache::DEFAULT_TTL;
pub(crate) use lookup::AnswerLookup;
pub(crate) use wait::AnswerWait;
