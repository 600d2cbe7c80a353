//! Every setting that weakens a check, each with what it gives up.
//!
//! Some of them are methods elsewhere, since many servers need them:
//!
//! | setting | what it gives up |
//! |---|---|
//! | [`Profile::jwt`](crate::Profile::jwt) | The type of the token: a JWT without the type `at+jwt` passes, so an ID token is told apart by its claims alone. Only `iss`, the audience and `exp` are required. |
//! | [`Profile::audience_claim`](crate::Profile::audience_claim) | The claim `aud`: another claim says for whom the token is. |
//! | [`Profile::claim_optional`](crate::Profile::claim_optional) | One of the claims that RFC 9068 requires. |
//! | `Introspection::audience_optional` | The audience of an opaque token: it may be for another API of the same server. |
//! | [`Builder::allow_http_loopback`](crate::Builder::allow_http_loopback) | Encryption on the way to an issuer on this machine. |
//! | [`Builder::query_token`](crate::Builder::query_token) | The secrecy of the token: URLs are logged. |
//! | [`Builder::stale_if_error`](crate::Builder::stale_if_error) | How soon a withdrawn key is refused while its issuer does not answer. |

#[cfg(feature = "remote")]
use std::time::Duration;

#[cfg(feature = "remote")]
use crate::introspection::Introspection;
#[cfg(feature = "remote")]
use crate::issuer::Issuer;
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

/// Lets what is asked of this issuer go by `http://` to these hosts: its metadata, its keys, its
/// introspection endpoint. A host is one exact name or address as it stands in the URL, without scheme,
/// port and wildcard; every other host stays https.
///
/// What it gives up: whoever is on the way to such a host, or can answer for its name, can put in keys
/// of their own, and with them sign any token. Client credentials, a bearer token for the key server
/// and introspected tokens can be read there. It is for a network that nobody else is in, such as that
/// of a compose file. A warning for each host stands in the log when the server is built.
///
/// ```
/// use tower_resource_server::{Issuer, ResourceServer, danger};
///
/// let issuer = Issuer::new("https://auth.example.com/realms/demo")
///     .metadata_url("http://keycloak:8080/realms/demo/.well-known/openid-configuration");
/// let build = |issuer| {
///     ResourceServer::builder().issuer(issuer).audience("https://api.example.com").build()
/// };
/// assert!(build(issuer.clone()).is_err());
/// assert!(build(danger::allow_http_hosts(issuer.clone(), ["keycloak"])).is_ok());
/// assert!(build(danger::allow_http_hosts(issuer, ["keycloak2"])).is_err());
/// ```
#[cfg(feature = "remote")]
pub fn allow_http_hosts<T: Into<String>>(
    issuer: impl Into<Issuer>,
    hosts: impl IntoIterator<Item = T>,
) -> Issuer {
    let mut issuer = issuer.into();
    issuer.transport.http_hosts.extend(hosts.into_iter().map(Into::into));
    issuer
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
