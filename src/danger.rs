//! Every setting that weakens a check, and the risk of each.
//!
//! Some of these settings are methods of other types, because many servers need them:
//!
//! | setting | what it gives up |
//! |---|---|
//! | [`Profile::jwt`](crate::Profile::jwt) | The type of the token: a JWT without the type `at+jwt` passes. So only the claims tell an ID token from an access token. Only `iss`, the audience and `exp` are required. |
//! | [`Profile::audience_claim`](crate::Profile::audience_claim) | The claim `aud`: another claim names the audience. |
//! | [`Profile::claim_optional`](crate::Profile::claim_optional) | One of the claims that RFC 9068 requires. |
//! | `Introspection::audience_optional` | The audience of an opaque token: the token may be for another API of the same authorization server. |
//! | [`Builder::allow_http_loopback`](crate::builder::Builder::allow_http_loopback) | Encryption of requests to an issuer on this machine. |
//! | [`Builder::query_token`](crate::builder::Builder::query_token) | The secrecy of the token: URLs are logged. |
//! | [`Builder::stale_if_error`](crate::builder::Builder::stale_if_error) | How soon a withdrawn key is refused while its issuer does not answer. |

#[cfg(feature = "http-client")]
use std::time::Duration;

#[cfg(feature = "http-client")]
use crate::introspection::Introspection;
#[cfg(feature = "http-client")]
use crate::issuer::Issuer;
use crate::profile::Profile;
#[cfg(all(feature = "dpop", feature = "redis"))]
use crate::sender::RedisReplay;
#[cfg(feature = "dpop")]
use crate::sender::Replay;

/// Uses a cached answer for longer than its [`cache_ttl`](Introspection::cache_ttl) (stale-if-error).
/// The additional time is `at_most`, which can be up to 1 h. Such an answer is used only while the
/// introspection endpoint fails, or while the maximum number of calls is in progress.
///
/// What it gives up: a revoked token may be accepted for that time. An attacker can cause this by
/// disturbing the endpoint, for example with a flood of tokens. Use this setting for an API that must
/// serve known clients during an outage. The answer must have an `exp`, and is never used after its
/// `exp`. The answer is also never used after the authorization server has said that the token is not
/// active.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::danger;
/// use tower_resource_server::introspection::{ClientAuth, Introspection};
///
/// let introspection = Introspection::new(ClientAuth::client_secret_basic("notes-api", "secret"));
/// let introspection = danger::accept_stale_answers(introspection, Duration::from_secs(300));
/// # let _ = introspection;
/// ```
#[cfg(feature = "http-client")]
pub fn accept_stale_answers(mut introspection: Introspection, at_most: Duration) -> Introspection {
    introspection.stale = at_most;
    introspection
}

/// Allows `http://` to these hosts for the requests to this issuer: its metadata, its keys and its
/// introspection endpoint. A host is one exact name or address as in the URL, without scheme, port or
/// wildcard. All other hosts still need https.
///
/// What it gives up: an attacker on the network path, or an attacker who controls the host's name, can
/// replace the keys and then sign any token. The attacker can also read client credentials, the bearer
/// token for the key server, and introspected tokens. Use this setting only in a private network, such
/// as the network of a compose file. `build` logs a warning for each host.
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
#[cfg(feature = "http-client")]
pub fn allow_http_hosts<T: Into<String>>(
    issuer: impl Into<Issuer>,
    hosts: impl IntoIterator<Item = T>,
) -> Issuer {
    let mut issuer = issuer.into();
    issuer.transport.http_hosts.extend(hosts.into_iter().map(Into::into));
    issuer
}

/// Stores no used proofs (DPoP). This setting requires [`Nonces::always`](crate::sender::Nonces::always).
///
/// What it gives up: anyone who records a request can send its token and proof again while the nonce is accepted
/// (60 to 120 s). The new request must have the same method and URL, but may have another query and body. Use this
/// setting only if a repeated request does no harm.
///
/// ```
/// use tower_resource_server::sender::{Dpop, Nonces};
/// use tower_resource_server::{ResourceServer, danger};
///
/// # #[cfg(feature = "http-client")]
/// # fn example() {
/// let build = |nonces| {
///     let dpop = Dpop::optional("https://api.example.com", danger::without_replay_store());
///     let builder = ResourceServer::builder().issuer("https://as.example.com");
///     builder.audience("https://api.example.com").dpop(dpop.nonces(nonces)).build()
/// };
/// assert!(build(Nonces::always()).is_ok());
/// assert!(build(Nonces::off()).is_err());
/// # }
/// # #[cfg(feature = "http-client")]
/// # example();
/// ```
#[cfg(feature = "dpop")]
pub fn without_replay_store() -> Replay {
    Replay::none()
}

/// Uses a Redis for used proofs even if Redis may evict entries to save memory: its `maxmemory-policy` is not
/// `noeviction`, or it has evicted entries.
///
/// What it gives up: a proof whose entry was evicted can be used again until the proof is too old. An attacker who
/// has bound tokens can cause evictions by filling the memory.
///
/// ```
/// use tower_resource_server::danger;
/// use tower_resource_server::sender::{RedisReplay, Replay};
///
/// # fn main() -> Result<(), tower_resource_server::ConfigError> {
/// let store = RedisReplay::new("redis://127.0.0.1")?;
/// let replay = Replay::store(danger::accept_evictions(store));
/// # let _ = replay;
/// # Ok(())
/// # }
/// ```
#[cfg(all(feature = "dpop", feature = "redis"))]
pub fn accept_evictions(store: RedisReplay) -> RedisReplay {
    store.accept_evictions()
}

/// Treats every token whose `sub` is not the client as a user's token. Only a rule of the profile itself
/// can still show that a client acts. With this setting, two more kinds of tokens count as users' tokens:
/// tokens that do not show whether a user or a client acts, and tokens with a well-known sign of a client
/// that the profile does not name.
///
/// What it gives up: [`user`](crate::policy::user()) no longer refuses all machines. A token that a client
/// got for itself passes if the claim that names the client is not the one in the profile, or if `sub` is
/// a service account. Use this setting only if the authorization server never issues such tokens.
///
/// ```
/// use tower_resource_server::{Issuer, Profile, danger};
///
/// let profile = danger::any_subject_is_a_user(Profile::jwt());
/// let issuer = Issuer::new("https://as.example.com").profile(profile);
/// # let _ = issuer;
/// ```
pub fn any_subject_is_a_user(mut profile: Profile) -> Profile {
    profile.any_subject = true;
    profile
}
