//! The introspection engine of one authorization server: answers are cached, each question runs as
//! a single flight, calls beyond the limit are queued, and a circuit breaker holds calls back while
//! the server fails.

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
