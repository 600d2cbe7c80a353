//! How an issuer's tokens are introspected, as the API says it.

use std::fmt;
use std::time::Duration;

use crate::introspection::endpoint::ClientAuth;
use crate::introspection::endpoint::client::CALL_DEADLINE;
use crate::introspection::engine::DEFAULT_TTL;
use crate::introspection::shared::SharedCache;
use crate::observe::shown::{AllShown, Shown};

/// How an issuer's tokens are introspected (RFC 7662); for
/// [`Issuer::introspection`](crate::Issuer::introspection).
///
/// Unless said otherwise, a token that is a JWT is validated here, and any other is introspected at
/// the endpoint that the issuer's metadata names. Answers are remembered for 60 s.
///
/// ```
/// use std::time::Duration;
/// use tower_resource_server::{ClientAuth, Introspection, Issuer};
///
/// let auth = ClientAuth::client_secret_basic("notes-api", "secret");
/// let issuer = Issuer::discover("https://as.example.com")
///     .introspection(Introspection::new(auth).cache_ttl(Duration::from_secs(10)));
/// # let _ = issuer;
/// ```
///
/// `Debug` shows no secret, and of a URL neither user and password nor query and fragment.
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

/// What is done with a token that is a JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jwts {
    /// It is validated here, and the authorization server is not asked.
    Validate,
    /// It is validated here, and the authorization server is asked as well.
    ValidateAndIntrospect,
    /// The authorization server alone is asked.
    Introspect,
}

impl Introspection {
    /// Introspects tokens that are no JWT, as the client `auth`.
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

    /// Whether the endpoint is looked for in the issuer's metadata.
    pub(crate) fn is_discovered(&self) -> bool {
        self.endpoint.is_none()
    }

    /// The endpoint's URL; that of the issuer's metadata (`introspection_endpoint`, RFC 8414 §2)
    /// unless set.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Introspects JWTs too, after they were validated here, so that a revoked one is refused (RFC
    /// 7009 §3). The handler's claims are those of the token; its scope is what both say.
    pub fn also_for_jwts(mut self) -> Self {
        self.jwts = Jwts::ValidateAndIntrospect;
        self
    }

    /// Introspects every token of this issuer, and validates none here, be it a JWT. Its keys are
    /// used for [signed answers](Self::require_signed_answers) alone.
    pub fn only(mut self) -> Self {
        self.jwts = Jwts::Introspect;
        self
    }

    /// Leaves tokens that are no JWT to another issuer: a token that names no issuer goes to one
    /// authorization server alone, so only one can be configured for them.
    pub fn not_for_opaque_tokens(mut self) -> Self {
        self.opaque = false;
        self
    }

    /// A further parameter of the form that is posted, for a server that wants to know more than RFC 7662
    /// §2.1 has. Each name once; those of the token and the client credentials can't be set. The value
    /// is never shown.
    pub fn form_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// A further header of the call: a tenant or a subscription key of a gateway, say. Each name once;
    /// those that this crate or HTTP sets can't be set. The value is never shown, and goes to the
    /// introspection endpoint alone.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long a call may take in all: 5 s unless set, at most 30 s. A request waits as long for it, and
    /// a second more.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long an answer may be used again: 60 s unless set, at most 300 s. A revoked token is
    /// accepted for as long (RFC 7662 §4). With zero, every request asks, and none gets an answer
    /// to a question that was put before it came.
    pub fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Shares answers with other servers, so that together they ask once. An answer holds no longer
    /// for it: [`cache_ttl`](Self::cache_ttl) counts from the question, whoever put it. (Where the
    /// clocks of two servers differ, by up to the leeway, a store that keeps what it should have
    /// dropped can add as much.) Of two answers, the one to the newer question counts, by the clocks
    /// of the servers that asked: keep them in step. A store that is slow or down costs a request
    /// 250 ms at most, and then nothing until it is back.
    pub fn shared_cache(mut self, cache: SharedCache) -> Self {
        self.shared = Some(cache);
        self
    }

    /// Asks for signed answers (RFC 9701) and accepts no other. They are signed with one of the
    /// issuer's keys and algorithms, and are for this server's client id. One that was signed before
    /// the question, by more than the issuer's leeway, is refused as replayed.
    pub fn require_signed_answers(mut self) -> Self {
        self.signed = true;
        self
    }

    /// The `aud` of signed answers, where it is not the client id (RFC 9701 §5). Given once or more,
    /// it replaces the client id.
    pub fn signed_answer_audience(mut self, audience: impl Into<String>) -> Self {
        self.answer_audiences.push(audience.into());
        self
    }

    /// Accepts answers without an audience, for a server that names none (RFC 7662 §2.2 makes it
    /// optional). What it gives up: such a token may be meant for another API of the same server,
    /// so only its scope, or that the server answers this client at all, can tell. One that is
    /// named must still be this API's.
    pub fn audience_optional(mut self) -> Self {
        self.audience_optional = true;
        self
    }
}

/// The names of settings whose values may be secret.
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
