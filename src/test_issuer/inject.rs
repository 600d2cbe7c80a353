//! Access tokens without authentication, for tests of handlers and policies.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Request};
use serde_json::{Map, Value, json};
use tower_layer::Layer;
use tower_service::Service;

use super::keys;
use super::state::TOKEN_LIFETIME;
use crate::authentication::{Authentication, Presented};
use crate::server::ResourceServer;
use crate::token::{AccessToken, NumericDate, Payload, json as strict};
use crate::trust::TrustedIssuer;

/// Puts an [`AccessToken`] with these claims into every request, as if `server` had authenticated
/// it. The server's handlers, [`require`](ResourceServer::require) and layers accept this token.
/// The test needs no key, no issuer and no network.
///
/// The claims are a JSON object, with the claim names that the server's issuer uses. Scope and
/// client are read from the claims that the issuer's profile names. The API's own claims type is
/// read from the whole object. If the server has several issuers, `iss` selects one of them. The
/// default is the first. These claims are added if you do not set them: `iss`, `sub` (`alice`), the
/// audience, the client (`app`), `iat`, `exp` and `jti`. To leave one of them out, set it to
/// `null`.
///
/// `inject` skips authentication, and so every check of the token: `typ`, times, audience, required
/// claims, and [validators](crate::builder::Builder::validator). To test these checks, mint a token
/// with [`TestIssuer::token`](super::TestIssuer::token). The access token belongs to the server's
/// configuration at the time of the call, so call `inject` after a reload.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use serde_json::json;
/// use tower::ServiceExt as _;
/// use tower_resource_server::test_issuer::{TestIssuer, inject};
/// use tower_resource_server::{AccessToken, Issuer, ResourceServer, scope};
///
/// # let keys = TestIssuer::in_process("https://as.example.com").jwks();
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new("https://as.example.com").jwks(keys))
///     .audience("https://api.example.com")
///     .build()?;
/// let app = Router::new()
///     .route("/", get(async |token: AccessToken| token.subject().unwrap_or("nobody").to_owned()))
///     .route_layer(api.require(scope("notes:read")))
///     .layer(api.layer());
///
/// let ask = async |app: Router| {
///     let request = Request::get("/").body(Body::empty()).unwrap();
///     app.oneshot(request).await.unwrap().status().as_u16()
/// };
/// let reader = inject(&api, json!({ "sub": "bob", "scope": "notes:read" }));
/// assert_eq!(ask(app.clone().layer(reader)).await, 200);
/// assert_eq!(ask(app.clone().layer(inject(&api, json!({})))).await, 403);
/// assert_eq!(ask(app).await, 401);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
///
/// # Panics
/// If `claims` is not an object, names an issuer that the server does not trust, or does not fit
/// the profile or the API's claims type. Also if the server has no issuer, only a resolver.
#[track_caller]
pub fn inject<C: Send + Sync + 'static, R>(
    server: &ResourceServer<C, R>,
    claims: impl Into<Value>,
) -> InjectLayer {
    match outcome(server, claims.into()) {
        Ok(outcome) => InjectLayer { outcome },
        Err(problem) => panic!("inject: {problem}"),
    }
}

fn outcome<C: Send + Sync + 'static, R>(
    server: &ResourceServer<C, R>,
    claims: Value,
) -> Result<Authentication, String> {
    let Value::Object(given) = claims else {
        return Err("the claims are no JSON object".to_owned());
    };
    let authenticator = server.authenticator();
    let trust = authenticator.trust.load();
    let issuer = match given.get("iss").map(Value::as_str) {
        None => trust.issuers.first().ok_or("the server trusts no issuer")?,
        Some(iss) => {
            let mut named = trust.issuers.iter();
            let named = named.find(|issuer| iss.is_some_and(|iss| issuer.is_named(iss)));
            named.ok_or("the server trusts no issuer of this `iss`")?
        }
    };
    let wall = authenticator.clock.wall();
    let payload = Value::Object(complete(given, issuer, wall)).to_string();
    let claims = strict::parse(payload.as_bytes()).map_err(|_| "the claims are malformed")?;
    let facts = issuer.read(&claims, NumericDate::now(wall)).map_err(|error| error.to_string())?;
    let payload = Payload::of(&claims);
    let claims = (authenticator.read_claims)(&claims, &facts).map_err(|error| error.to_string())?;
    Ok(Authentication {
        server: server.id().clone(),
        generation: trust.generation,
        token: Some(AccessToken::new(facts, payload, server.id().clone(), claims).into()),
        presented: Presented::Injected,
        asked_now: false,
    })
}

/// Adds the claims that a test of a handler usually does not set.
pub(super) fn complete(
    mut given: Map<String, Value>,
    issuer: &TrustedIssuer,
    wall: Duration,
) -> Map<String, Value> {
    let audience = issuer.audiences.first().map_or("", |audience| &**audience);
    // Set the subject before the client: in tokens of workloads, they are the same claim.
    for (name, value) in [
        ("iss", json!(&*issuer.name)),
        ("sub", json!("alice")),
        (issuer.profile.audience_name(), json!(audience)),
        (issuer.profile.client_name(), json!("app")),
        ("iat", json!(wall.as_secs())),
        ("exp", json!(wall.saturating_add(TOKEN_LIFETIME).as_secs())),
        ("jti", json!(keys::random_text(16))),
    ] {
        given.entry(name).or_insert(value);
    }
    given.retain(|_, value| !value.is_null());
    given
}

/// A layer that puts the same access token into every request; see [`inject`].
#[derive(Clone)]
pub struct InjectLayer {
    outcome: Authentication,
}

/// A service that puts an injected token into its requests.
#[derive(Clone)]
pub struct InjectService<S> {
    inner: S,
    outcome: Authentication,
}

impl InjectLayer {
    /// Puts the token into the extensions of one request, for a test without layers.
    ///
    /// ```
    /// use tower_resource_server::test_issuer::{TestIssuer, inject};
    /// use tower_resource_server::{AccessToken, Claims, Issuer, ResourceServer};
    ///
    /// let keys = TestIssuer::in_process("https://as.example.com").jwks();
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new("https://as.example.com").jwks(keys))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    /// let mut request = http::Request::new(());
    /// assert!(AccessToken::<Claims>::from_extensions(request.extensions()).is_none());
    ///
    /// let claims = serde_json::json!({ "scope": "notes:read" });
    /// inject(&api, claims).insert_into(request.extensions_mut());
    /// let token = AccessToken::<Claims>::from_extensions(request.extensions()).unwrap();
    /// assert!(token.scope().contains("notes:read"));
    /// # Ok::<(), tower_resource_server::ConfigError>(())
    /// ```
    pub fn insert_into(&self, extensions: &mut Extensions) {
        extensions.insert(self.outcome.clone());
    }
}

impl<S> Layer<S> for InjectLayer {
    type Service = InjectService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InjectService { inner, outcome: self.outcome.clone() }
    }
}

impl<S, B> Service<Request<B>> for InjectService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.outcome.clone());
        self.inner.call(request)
    }
}

impl fmt::Debug for InjectLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectLayer").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for InjectService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
