//! Every opt-out that weakens a check, each with what it gives up.

#[cfg(feature = "remote")]
use std::time::Duration;

#[cfg(feature = "remote")]
use crate::introspection::Introspection;
use crate::profile::Profile;

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

/// Takes every token with a `sub` that is not the client for a user's, unless a sign that the profile
/// itself names says otherwise: what nothing tells, and what only the well-known signs of servers
/// tell.
///
/// What it gives up: [`user`](crate::user()) no longer keeps machines out. Where the client's claim
/// has another name than the profile says, or a client's own token has the `sub` of a service
/// account, it passes. It is for a server that gives no client a token of its own.
///
/// ```
/// use tower_resource_server::{Issuer, Profile, danger};
///
/// let profile = danger::any_subject_is_a_user(Profile::jwt());
/// let issuer = Issuer::discover("https://as.example.com").profile(profile);
/// # let _ = issuer;
/// ```
pub fn any_subject_is_a_user(mut profile: Profile) -> Profile {
    profile.any_subject = true;
    profile
}
