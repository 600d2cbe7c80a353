//! A service for the readiness probe of a platform.
//!
//! The service requires no credentials, so mount it where only the platform can reach it. The response
//! is:
//!
//! | state | status | body |
//! |---|---|---|
//! | every issuer has usable keys, and its introspection works | 200 | `{"ready":true,"issuers":[{"issuer":"https://..","keys":"fresh"}]}` |
//! | an issuer has no usable keys, or its introspection does not work | 503 | the same with `"ready":false` |
//!
//! Each readiness probe starts the fetches of keys that are due. If an introspection endpoint has
//! failed, the probe also sends a random text as a token to that endpoint, at most once per back-off
//! pause. So an instance becomes ready even if it gets no other requests. Do not use this service for a
//! liveness probe: a restart does not repair an issuer.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use tower_service::Service;

use crate::rejection::EmptyBody;
use crate::server::ResourceServer;
use crate::token::Claims;

/// Answers readiness probes.
/// [`ResourceServer::readiness_service`](crate::ResourceServer::readiness_service) creates this service.
pub struct ReadinessService<B, C = Claims, R = EmptyBody> {
    server: ResourceServer<C, R>,
    body: PhantomData<fn() -> B>,
}

impl<C, R> ResourceServer<C, R> {
    /// A service for a readiness probe. The response is 200 if the tokens of every issuer can be
    /// validated ([`Health::is_ready`](crate::observe::Health::is_ready)), and otherwise 503. `B` is the
    /// type of the response bodies. The service requires no credentials.
    ///
    /// ```
    /// # #[cfg(feature = "axum")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, body::Body, http::Request};
    /// use tower::ServiceExt as _;
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// # let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new("https://as.example.com").jwks(jwks))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    /// let app: Router = Router::new().route_service("/ready", api.readiness_service::<Body>());
    /// let answer = app.oneshot(Request::get("/ready").body(Body::empty())?).await?;
    /// assert_eq!(answer.status(), 200);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "axum"))]
    /// # fn main() {}
    /// ```
    pub fn readiness_service<B>(&self) -> ReadinessService<B, C, R> {
        ReadinessService { server: self.clone(), body: PhantomData }
    }
}

impl<ReqBody, B, C, R> Service<Request<ReqBody>> for ReadinessService<B, C, R>
where
    B: From<Bytes>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ReqBody>) -> Self::Future {
        self.server.wake();
        let health = self.server.health();
        let issuers: Vec<_> = health
            .issuers
            .iter()
            .map(
                |issuer| serde_json::json!({ "issuer": issuer.issuer, "keys": issuer.keys.name() }),
            )
            .collect();
        let body = serde_json::json!({ "ready": health.is_ready(), "issuers": issuers });
        let mut response = Response::new(B::from(Bytes::from(body.to_string())));
        if !health.is_ready() {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        ready(Ok(response))
    }
}

impl<B, C, R> Clone for ReadinessService<B, C, R> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), body: PhantomData }
    }
}

impl<B, C, R> fmt::Debug for ReadinessService<B, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadinessService").finish_non_exhaustive()
    }
}
