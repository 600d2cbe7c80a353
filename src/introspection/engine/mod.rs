//! Answers for one authorization server: cached, asked for once for all requests that wait, queued
//! where there are many, and held back where the server is in trouble.

pub(super) mod breaker;
pub(super) mod cache;
pub(super) mod flight;
pub(super) mod introspector;
pub(super) mod turns;
pub(super) mod wait;

pub(crate) use cache::DEFAULT_TTL;
pub(crate) use flight::CALL_DEADLINE;
pub(crate) use introspector::{Introspector, Lookup};
pub(crate) use wait::AnswerWait;
