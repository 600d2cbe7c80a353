//! Every opt-out that weakens a check, each with what it gives up.

#[cfg(feature = "remote")]
use std::time::Duration;

#[cfg(feature = "remote")]
use crate::introspection::Introspection;

/// Accepts a remembered answer for `at_most` longer than its
/// [`cache_ttl`](Introspection::cache_ttl), at most 1 h, while the introspection endpoint fails, or
/// has as many calls under way as it is given at once.
///
/// What it gives up: a token that was revoked stays accepted for as long, and whoever can disturb
/// the endpoint, be it with a flood of tokens, can make it so. It is for an API that had better
/// serve the clients it knows than nobody. The answer must have an `exp` and is never used past it,
/// nor after the server has said that the token is not active.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::{ClientAuth, Introspection, danger};
///
/// let introspection = Introspection::new(ClientAuth::client_secret_basic("notes-api", "secret"));
/// let introspection = danger::accept_stale_answers(introspection, Duration::from_secs(300));
/// # let _ = introspection;
/// ```
#[cfg(feature = "remote")]
pub fn accept_stale_answers(mut introspection: Introspection, at_most: Duration) -> Introspection {
    introspection.stale = at_most;
    introspection
}
