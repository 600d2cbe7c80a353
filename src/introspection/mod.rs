//! Steps 2 to 6 for a token that only its authorization server can read: introspection (RFC 7662),
//! answered as JSON or signed (RFC 9701).
//!
//! Decides, in this order:
//!
//! 1. whether an answer about this very token is at hand ([`cache`]), without a lock or a wait;
//! 2. whether another server was given one, where answers are [`shared`];
//! 3. whether the endpoint may be asked: one call a token at a time, 64 in all, more in their turn
//!    ([`turns`]), and none while it is known to be down ([`breaker`]);
//! 4. what it says, under a deadline ([`client`], [`signed`], [`answer`]).
//!
//! The token goes into the form of a POST, byte for byte, to an endpoint that the configuration or
//! the issuer's metadata names; nothing in a token changes where it goes. An answer is judged by the
//! issuer's profile, by its times at each request anew. An outage is 503, and so is an answer that
//! can't be trusted; 401 is for a token that is not active, or fails a check.

mod answer;
mod build;
mod endpoint;
mod engine;
mod settings;
mod shared;

pub(crate) use answer::Answer;
pub(crate) use build::{Context, Introspecting};
pub use endpoint::{ClientAuth, TokenSource};
pub(crate) use engine::{AnswerLookup, AnswerWait};
pub use settings::Introspection;
pub(crate) use settings::Jwts;
#[cfg(feature = "redis")]
pub use shared::RedisStore;
pub use shared::{AnswerStore, SharedCache};
