//! The layer for a whole service: [`ResourceServer::protect_routes`].

use std::sync::Arc;

use crate::layer::by_route::ByRoute;
use crate::layer::gate::{Gate, Role};
use crate::layer::guard::Guard;
use crate::layer::layers::ResourceServerLayer;
use crate::policy::Routes;
use crate::server::ResourceServer;

impl<C, R> ResourceServer<C, R> {
    /// Protects a whole service with one table. The table has a requirement for each method and route.
    /// [`Routes`] describes the patterns of the table.
    ///
    /// If the table does not list the method and the route of a request, the request is refused. With a
    /// valid token, the response is 403, or 404 if the table has
    /// [`hide_unlisted`](Routes::hide_unlisted). Without a valid token, the response is the same
    /// response that [`layer`](Self::layer) gives. [`allow_preflight`](Routes::allow_preflight) lets CORS
    /// preflight requests pass.
    ///
    /// For a listed route, the challenge of a 401 response names the scopes that the route requires, unless
    /// the requirement is [`hidden`](crate::policy::Requirement::hidden).
    ///
    /// For an axum router:
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```ignore")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::Router;
    /// use axum::body::Body;
    /// use axum::routing::get;
    /// use http::Request;
    /// use tower::ServiceExt as _;
    /// use tower_resource_server::policy::Routes;
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer, scope};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let notes = Router::new()
    ///     .route("/{id}", get(async || "a note").delete(async || "deleted"))
    ///     .route("/export", get(async || "everything"));
    /// let app = Router::new().nest("/notes", notes).layer(api.protect_routes(
    ///     Routes::for_axum()
    ///         .get("/notes/{id}", scope("notes:read"))
    ///         .delete("/notes/{id}", scope("notes:write")),
    /// ));
    ///
    /// let request = |method, path| {
    ///     let token = issuer.token().scope("notes:read").sign();
    ///     let request = Request::builder().method(method).uri(path);
    ///     request.header("authorization", format!("Bearer {token}")).body(Body::empty())
    /// };
    /// let status = async |request: Request<Body>| {
    ///     app.clone().oneshot(request).await.map(|response| response.status())
    /// };
    /// assert_eq!(status(request("GET", "/notes/7")?).await?, 200);
    /// assert_eq!(status(request("DELETE", "/notes/7")?).await?, 403);
    /// // The router has this route, but the table does not.
    /// assert_eq!(status(request("GET", "/notes/export")?).await?, 403);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// For any other Tower service:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// use tower_resource_server::policy::Routes;
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer, scope};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let notes = service_fn(|request: Request<()>| async move {
    ///     let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    ///     let text = match path.as_slice() {
    ///         ["notes"] => "all notes",
    ///         ["notes", _] => "a note",
    ///         _ => "another route",
    ///     };
    ///     Ok::<_, Infallible>(Response::new(text.to_owned()))
    /// });
    /// let routes = Routes::for_raw_paths()
    ///     .get("/notes", scope("notes:list"))
    ///     .get("/notes/{id}", scope("notes:read"));
    /// let service = api.protect_routes(routes).layer(notes);
    ///
    /// let request = |path: &str| {
    ///     let token = issuer.token().scope("notes:read").sign();
    ///     Request::get(path).header("authorization", format!("Bearer {token}")).body(())
    /// };
    /// assert_eq!(service.clone().oneshot(request("/notes/7")?).await?.body(), "a note");
    /// assert_eq!(service.clone().oneshot(request("/notes")?).await?.status(), 403);
    /// assert_eq!(service.clone().oneshot(request("/notes/..")?).await?.status(), 403);
    ///
    /// let response = service.oneshot(Request::get("/notes/7").body(())?).await?;
    /// assert_eq!(response.status(), 401);
    /// let challenge = response.headers()["www-authenticate"].to_str()?;
    /// assert!(challenge.contains(r#"scope="notes:read""#), "{challenge}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn protect_routes(&self, routes: Routes<C>) -> ResourceServerLayer<C, R> {
        let guard = Arc::new(Guard::ByRoute(Box::new(ByRoute::new(routes, self))));
        ResourceServerLayer::new(Gate::new(self.clone(), Some(guard), Role::Authenticate))
    }
}
