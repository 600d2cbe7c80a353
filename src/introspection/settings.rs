//! The public settings for introspection of an issuer's tokens.

use std::fmt;
use std::time::Duration;

use crate::introspection::endpoint::ClientAuth;
use crate::introspection::endpoint::client::CALL_DEADLINE;
use crate::introspection::engine::DEFAULT_TTL;
use crate::introspection::shared::SharedCache;
use crate::observe::shown::{AllShown, Shown};

/// How an issuer's tokens are introspected (RFC 7662). For
/// [`Issuer::introspection`](crate::Issuer::introspection).
///
/// By default, a JWT is validated locally, and any other token is introspected at the endpoint that
/// the issuer's metadata names. Answers are cached for 60 s.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::Issuer;
/// use tower_resource_server::introspection::{ClientAuth, Introspection};
///
/// let auth = ClientAuth::client_secret_basic("notes-api", "secret");
/// let issuer = Issuer::new("https://as.example.com")
///     .introspection(Introspection::new(auth).cache_ttl(Duration::from_secs(10)));
/// # let _ = issuer;
/// ```
///
/// `Debug` shows no secret. It shows URLs without user, password, query and fragment.
#[derive(Clone)]
#[must_use = "give it to `Issuer::introspection`"]
pub struct Introspection {
    pub(crate) auth: ClientAuth,
    pub(crate) endpoint: Option<String>,
    pub(crate) ttl: Duration,
    pub(crate) shared: Option<SharedCache>,
    pub(crate) stale: Duration,
    pub(crate) signed: bool,
    pub(crate) answer_audiences: Vec<String>,
    pub(crate) audience_optional: bool,
    pub(crate) opaque: bool,
    pub(crate) jwts: Jwts,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) deadline: Duration,
}

/// How a token that is a JWT is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jwts {
    /// It is validated locally, and the authorization server is not asked.
    Validate,
    /// It is validated locally, and the authorization server is asked as well.
    ValidateAndIntrospect,
    /// It is not validated locally; only the authorization server is asked.
    Introspect,
}

impl Introspection {
    /// Introspects tokens that are not JWTs, as the client `auth`.
    pub fn new(auth: ClientAuth) -> Self {
        Self {
            auth,
            endpoint: None,
            ttl: DEFAULT_TTL,
            shared: None,
            stale: Duration::ZERO,
            signed: false,
            answer_audiences: Vec::new(),
            audience_optional: false,
            opaque: true,
            jwts: Jwts::Validate,
            parameters: Vec::new(),
            headers: Vec::new(),
            deadline: CALL_DEADLINE,
        }
    }

    /// Whether the endpoint is read from the issuer's metadata.
    pub(crate) fn is_discovered(&self) -> bool {
        self.endpoint.is_none()
    }

    /// Sets the URL of the endpoint. The default is the `introspection_endpoint` of the issuer's
    /// metadata (RFC 8414 §2).
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Also introspects JWTs, after they were validated locally, so that a revoked JWT is refused
    /// (RFC 7009 §3). The handler gets the claims of the token. The scope has only the values that
    /// are both in the token and in the answer.
    pub fn also_for_jwts(mut self) -> Self {
        self.jwts = Jwts::ValidateAndIntrospect;
        self
    }

    /// Introspects every token of this issuer, including JWTs, and validates none locally. The
    /// issuer's keys are then used only for [signed answers](Self::require_signed_answers).
    pub fn only(mut self) -> Self {
        self.jwts = Jwts::Introspect;
        self
    }

    /// Leaves tokens that are not JWTs to another issuer. A token that names no issuer is sent to
    /// only one authorization server, so only one issuer can be configured for such tokens.
    pub fn not_for_opaque_tokens(mut self) -> Self {
        self.opaque = false;
        self
    }

    /// Adds a parameter to the posted form, for a server that needs more than RFC 7662 §2.1
    /// defines. Each name can be set once. The parameters of the token and of the client
    /// credentials can't be set. `Debug` and logs never show the value.
    pub fn form_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Adds a header to the call, for example a tenant or the subscription key of a gateway. Each
    /// name can be set once. Headers that this crate or HTTP sets can't be set. `Debug` and logs
    /// never show the value. The header is sent only to the introspection endpoint.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets how long one call may take in total: 5 s by default, at most 30 s. A request waits for
    /// at most this time plus one second.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how long a cached answer is used: 60 s by default, at most 300 s. A revoked token is
    /// accepted for up to this time (RFC 7662 §4). With zero, no answer is cached: each request
    /// gets the answer to a call that began after the request came. Requests with the same token
    /// may share that call.
    pub fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Shares answers with other servers, so that only one of them has to call the endpoint. An
    /// answer is not used for longer than without sharing: [`cache_ttl`](Self::cache_ttl) counts
    /// from the call, whichever server made it. (If the clocks of two servers differ by up to the
    /// leeway, a store that keeps expired values can add that difference.) If two answers differ,
    /// the answer to the newer call counts, by the clocks of the servers that made the calls. So
    /// keep these clocks synchronized. A store that is slow or down delays a request by at most
    /// 250 ms. After 5 failures in a row, a circuit breaker stops using the store until one call to
    /// it succeeds again.
    pub fn shared_cache(mut self, cache: SharedCache) -> Self {
        self.shared = Some(cache);
        self
    }

    /// Requires signed answers (RFC 9701) and accepts no others. An answer must be signed with one
    /// of the issuer's keys and algorithms, and its `aud` must be this server's client id. If an
    /// answer was signed earlier than the call, by more than the issuer's leeway, it is refused as
    /// replayed.
    pub fn require_signed_answers(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Sets the `aud` of signed answers if it is not the client id (RFC 9701 §5). It replaces the
    /// client id. Call it again to accept several values.
    pub fn signed_answer_audience(mut self, audience: impl Into<String>) -> Self {
        self.answer_audiences.push(audience.into());
        self
    }

    /// Accepts answers without an audience, for a server that sends none (RFC 7662 §2.2 makes it
    /// optional). This weakens a check: such a token may be meant for another API of the same
    /// authorization server. Then only its scope, or the fact that the server answers this client
    /// at all, can show that the token is meant for this API. If an answer has an audience, the
    /// audience must still name this API.
    pub fn audience_optional(mut self) -> Self {
        self.audience_optional = true;
        self
    }
}

/// Only the names: the values may be secret.
fn names(pairs: &[(String, String)]) -> Vec<&str> {
    pairs.iter().map(|(name, _)| name.as_str()).collect()
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("auth", &self.auth)
            .field("endpoint", &self.endpoint.as_deref().map(Shown))
            .field("ttl", &self.ttl)
            .field("shared", &self.shared)
            .field("stale", &self.stale)
            .field("signed", &self.signed)
            .field("answer_audiences", &AllShown(&self.answer_audiences))
            .field("audience_optional", &self.audience_optional)
            .field("opaque", &self.opaque)
            .field("jwts", &self.jwts)
            .field("parameters", &names(&self.parameters))
            .field("headers", &names(&self.headers))
            .field("deadline", &self.deadline)
            // A field that is not listed here is not shown.
            .finish_non_exhaustive()
    }
}
