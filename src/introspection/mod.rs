//! Steps 2 to 6 for a token that only its authorization server can read: introspection (RFC 7662),
//! answered as JSON or signed (RFC 9701).
//!
//! Decides, in this order:
//!
//! 1. whether an answer about this token is cached (`engine/cache.rs`), without a lock or a wait;
//! 2. whether another server got an answer, if a shared cache (`shared/`) is configured;
//! 3. whether the endpoint may be called: at most one call per token at a time (one more if a route
//!    requires a new answer) and 64 calls in total. Calls beyond the limit are queued
//!    (`engine/turns.rs`), and an open circuit breaker stops all calls (`engine/breaker.rs`);
//! 4. what the endpoint answers, within a deadline (`endpoint/`, `answer.rs`).
//!
//! The token is sent unchanged, in the form body of a POST request. The configuration or the
//! issuer's metadata names the endpoint; nothing in a token can change this URL. The issuer's
//! profile judges the answer. The times in the answer are judged at each request. If the endpoint
//! is unavailable or its answer can't be trusted, the client gets 503. If the token is not active
//! or fails a check, the client gets 401.

mod answer;
mod build;
mod endpoint;
mod engine;
mod settings;
mod shared;

#[cfg(feature = "redis")]
pub use crate::redis::RedisStore;
pub(crate) use answer::Answer;
pub(crate) use build::{Context, Introspecting};
pub use endpoint::{ClientAuth, TokenSource};
pub(crate) use engine::{AnswerLookup, AnswerWait};
pub use settings::Introspection;
pub(crate) use settings::Jwts;
#[cfg(feature = "redis")]
pub(crate) use shared::MAX_VALUE;
pub use shared::{AnswerStore, SharedCache};
