//! The layers that [`ResourceServer`] creates.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use tower_layer::Layer;

use crate::config_error::ConfigError;
use crate::layer::fixed::Fixed;
use crate::layer::gate::{Gate, Role};
use crate::layer::guard::Guard;
use crate::layer::service::ResourceServerService;
use crate::policy::Requirement;
use crate::rejection::EmptyBody;
use crate::server::ResourceServer;
use crate::token::{AccessToken, Claims};

/// Protects a service. [`ResourceServer::layer`](crate::ResourceServer::layer),
/// [`protect`](crate::ResourceServer::protect) and
/// [`protect_routes`](crate::ResourceServer::protect_routes) create this layer.
pub struct ResourceServerLayer<C = Claims, R = EmptyBody> {
    gate: Gate<C, R>,
}

/// Validates the tokens of requests, and lets requests without a token pass as anonymous.
/// [`ResourceServer::optional_layer`](crate::ResourceServer::optional_layer) creates this layer.
pub struct OptionalResourceServerLayer<C = Claims, R = EmptyBody> {
    gate: Gate<C, R>,
}

/// Authorizes a route: refuses a token that does not meet the requirement. An authenticating
/// layer of the same server, such as [`ResourceServerLayer`], must be around this layer. [`ResourceServer::require`](crate::ResourceServer::require) and
/// [`require_with`](crate::ResourceServer::require_with) create this layer.
pub struct RequireLayer<C = Claims, R = EmptyBody> {
    gate: Gate<C, R>,
}

impl<C, R> ResourceServer<C, R> {
    /// Authenticates each request. Only requests with a valid access token reach the inner service. All
    /// other requests get 400, 401 or 503.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{AccessToken, Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let hello = service_fn(|request: Request<()>| async move {
    ///     let token: AccessToken = AccessToken::from_extensions(request.extensions()).unwrap();
    ///     Ok::<_, Infallible>(Response::new(token.subject().unwrap_or("nobody").to_owned()))
    /// });
    /// let service = api.layer().layer(hello);
    ///
    /// # let request = |token: Option<String>| {
    /// #     let request = Request::get("/");
    /// #     match token {
    /// #         Some(token) => request.header("authorization", format!("Bearer {token}")),
    /// #         None => request,
    /// #     }
    /// #     .body(())
    /// # };
    /// let token = issuer.token().subject("alice").sign();
    /// let response = service.clone().oneshot(request(Some(token))?).await?;
    /// assert_eq!((response.status().as_u16(), response.body().as_str()), (200, "alice"));
    ///
    /// let expired = issuer.token().expires_in(-600).sign();
    /// assert_eq!(service.clone().oneshot(request(Some(expired))?).await?.status(), 401);
    /// assert_eq!(service.oneshot(request(None)?).await?.status(), 401);
    /// # Ok(())
    /// # }
    /// ```
    pub fn layer(&self) -> ResourceServerLayer<C, R> {
        ResourceServerLayer::new(Gate::new(self.clone(), None, Role::Authenticate))
    }

    /// Authenticates requests that have a token. A request without credentials passes as anonymous. A request
    /// whose credentials have another scheme than `Bearer` (or `DPoP`, if you turn on DPoP) also passes as
    /// anonymous. A request with a bad token is refused: the client gets the same response that
    /// [`layer`](Self::layer) gives.
    ///
    /// Handlers take `Option<AccessToken>`. If an API also has protected routes, put the optional
    /// routes in a separate router and merge the two routers. An `optional_layer` inside `layer` has no
    /// effect on anonymous requests: `layer` refuses them. The manual has
    /// [a complete program](crate::manual::axum#a-complete-program).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{AccessToken, Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let hello = service_fn(|request: Request<()>| async move {
    ///     let token: Option<AccessToken> = AccessToken::from_extensions(request.extensions());
    ///     let user = token.as_ref().and_then(|token| token.subject()).unwrap_or("anonymous");
    ///     Ok::<_, Infallible>(Response::new(user.to_owned()))
    /// });
    /// let service = api.optional_layer().layer(hello);
    ///
    /// # let request = |token: Option<String>| {
    /// #     let request = Request::get("/");
    /// #     match token {
    /// #         Some(token) => request.header("authorization", format!("Bearer {token}")),
    /// #         None => request,
    /// #     }
    /// #     .body(())
    /// # };
    /// let token = issuer.token().subject("alice").sign();
    /// assert_eq!(service.clone().oneshot(request(Some(token))?).await?.body(), "alice");
    /// assert_eq!(service.clone().oneshot(request(None)?).await?.body(), "anonymous");
    ///
    /// let expired = issuer.token().expires_in(-600).sign();
    /// assert_eq!(service.oneshot(request(Some(expired))?).await?.status(), 401);
    /// # Ok(())
    /// # }
    /// ```
    pub fn optional_layer(&self) -> OptionalResourceServerLayer<C, R> {
        OptionalResourceServerLayer::new(Gate::new(self.clone(), None, Role::AuthenticateIfPresent))
    }

    /// Authorizes a route: refuses a token that does not meet the requirement. The response depends on
    /// what the token lacks:
    ///
    /// - 401 if the client needs a new login, or another token, such as a more recent one;
    /// - 403 if the token lacks anything else, such as a scope;
    /// - 404 in both cases if the requirement is [`hidden`](crate::policy::Requirement::hidden). There is one
    ///   exception: if a new login alone is enough, the response is still 401.
    ///
    /// An anonymous request, which `optional_layer` lets pass, gets 401.
    /// [`Refusal`](crate::refusal::Refusal) lists all responses.
    ///
    /// The new layer uses the result of the layer that has authenticated the request: `layer`, `optional_layer`,
    /// `protect`, `protect_routes` or `protect_mcp`. Such a layer of the same server must be around the route.
    /// Otherwise, the response is 500, and the log describes the fix.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer, scope};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let hello = service_fn(|_: Request<()>| async {
    ///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// });
    /// let route = api.require(scope("notes:read")).layer(hello);
    /// let service = api.layer().layer(route.clone());
    ///
    /// # let request = |token: Option<String>| {
    /// #     let request = Request::get("/");
    /// #     match token {
    /// #         Some(token) => request.header("authorization", format!("Bearer {token}")),
    /// #         None => request,
    /// #     }
    /// #     .body(())
    /// # };
    /// let token = issuer.token().scope("notes:read").sign();
    /// assert_eq!(service.clone().oneshot(request(Some(token.clone()))?).await?.status(), 200);
    ///
    /// let other = issuer.token().scope("notes:write").sign();
    /// assert_eq!(service.oneshot(request(Some(other))?).await?.status(), 403);
    ///
    /// // Without `layer` around the route, the response is 500.
    /// assert_eq!(route.oneshot(request(Some(token))?).await?.status(), 500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn require(&self, requirement: impl Into<Requirement<C>>) -> RequireLayer<C, R> {
        let guard = self.guard(requirement.into());
        RequireLayer::new(Gate::new(self.clone(), Some(guard), Role::Require))
    }

    /// Authorizes a route with a requirement that depends on the request. For example, the requirement
    /// can depend on an id in the path, or on the name of a tool in a header field. For each request, the
    /// crate calls `rule`, and `rule` returns the requirement. In all other respects, this function does
    /// the same as [`require`](Self::require).
    ///
    /// A policy that contains text of the request must be created with the `try_` forms, such as
    /// [`Policy::try_scope`](crate::policy::Policy::try_scope). With `scope(..)`, a client could cause a
    /// panic. If `rule` returns an error, the response is 403, and the log contains the error.
    ///
    /// A requirement that `rule` returns cannot have `introspected_now`: the response would be 500. Put a
    /// separate `require(introspected_now())` around the route.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    ///
    /// use http::request::Parts;
    /// use http::{Request, Response};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// use tower_resource_server::policy::Policy;
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{AccessToken, Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let hello = service_fn(|_: Request<()>| async {
    ///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// });
    /// // `/files/7` requires the scope `files:7`.
    /// let by_path = api.require_with(|parts: &Parts, _: &AccessToken| {
    ///     // The id is the only segment after `/files/`, and has no percent escapes. For all other
    ///     // paths, the scope is empty, so `try_scope` returns an error.
    ///     let id = parts.uri.path().strip_prefix("/files/").filter(|id| !id.contains(['/', '%']));
    ///     Ok(Policy::try_scope(&id.map(|id| format!("files:{id}")).unwrap_or_default())?.into())
    /// });
    /// let service = api.layer().layer(by_path.layer(hello));
    ///
    /// let request = |path: &str| {
    ///     let token = issuer.token().scope("files:7").sign();
    ///     Request::get(path).header("authorization", format!("Bearer {token}")).body(())
    /// };
    /// assert_eq!(service.clone().oneshot(request("/files/7")?).await?.status(), 200);
    /// assert_eq!(service.clone().oneshot(request("/files/8")?).await?.status(), 403);
    /// assert_eq!(service.oneshot(request("/files/\"")?).await?.status(), 403);
    /// # Ok(())
    /// # }
    /// ```
    pub fn require_with(
        &self,
        rule: impl Fn(&Parts, &AccessToken<C>) -> Result<Requirement<C>, ConfigError>
        + Send
        + Sync
        + 'static,
    ) -> RequireLayer<C, R> {
        let guard = Arc::new(Guard::ByRequest { rule: Arc::new(rule), asks_now: false });
        RequireLayer::new(Gate::new(self.clone(), Some(guard), Role::Require))
    }

    /// Authenticates and authorizes in one layer. The challenge of a 401 response also names the scopes
    /// that the route requires, unless the requirement is [`hidden`](crate::policy::Requirement::hidden).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer, scope};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let hello = service_fn(|_: Request<()>| async {
    ///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// });
    /// let service = api.protect(scope("notes:read")).layer(hello);
    ///
    /// # let request = |token: Option<String>| {
    /// #     let request = Request::get("/");
    /// #     match token {
    /// #         Some(token) => request.header("authorization", format!("Bearer {token}")),
    /// #         None => request,
    /// #     }
    /// #     .body(())
    /// # };
    /// let token = issuer.token().scope("notes:read").sign();
    /// assert_eq!(service.clone().oneshot(request(Some(token))?).await?.status(), 200);
    /// assert_eq!(service.clone().oneshot(request(Some(issuer.token().sign()))?).await?.status(), 403);
    ///
    /// let response = service.oneshot(request(None)?).await?;
    /// assert_eq!(response.status(), 401);
    /// let challenge = response.headers()["www-authenticate"].to_str()?;
    /// assert!(challenge.contains(r#"scope="notes:read""#), "{challenge}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn protect(&self, requirement: impl Into<Requirement<C>>) -> ResourceServerLayer<C, R> {
        let guard = self.guard(requirement.into());
        ResourceServerLayer::new(Gate::new(self.clone(), Some(guard), Role::Authenticate))
    }

    fn guard(&self, requirement: Requirement<C>) -> Arc<Guard<C>> {
        Arc::new(Guard::Fixed(Box::new(Fixed::new(requirement, self))))
    }
}

macro_rules! layer {
    ($layer:ident) => {
        impl<C, R> $layer<C, R> {
            pub(crate) fn new(gate: Gate<C, R>) -> Self {
                Self { gate }
            }
        }

        impl<S, C, R> Layer<S> for $layer<C, R> {
            type Service = ResourceServerService<S, C, R>;

            fn layer(&self, inner: S) -> Self::Service {
                ResourceServerService::new(inner, self.gate.clone())
            }
        }

        impl<C, R> Clone for $layer<C, R> {
            fn clone(&self) -> Self {
                Self { gate: self.gate.clone() }
            }
        }

        impl<C, R> fmt::Debug for $layer<C, R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($layer)).field("gate", &self.gate).finish()
            }
        }
    };
}

layer!(ResourceServerLayer);
layer!(OptionalResourceServerLayer);
layer!(RequireLayer);
