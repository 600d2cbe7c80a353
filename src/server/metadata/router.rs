//! The metadata as a part of an axum router.

use axum::Router;

use crate::server::metadata::service::MetadataService;

impl MetadataService {
    /// A router with one route: the metadata. Merge it into the application's router after the layers of
    /// this crate, so that the route needs no token.
    ///
    /// If the application has a route with the same path, axum panics in [`Router::merge`], when the
    /// application starts. The panic message has the path. A wildcard route of the application, such as
    /// `/{*path}`, does not conflict: axum prefers the exact path.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, body::Body, http::Request, routing::get};
    /// use tower::ServiceExt as _;
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// # let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new("https://as.example.com").jwks(jwks))
    ///     .resource("https://api.example.com")
    ///     .build()?;
    /// let app = Router::new()
    ///     .route("/notes", get(async || "notes"))
    ///     .layer(api.layer())
    ///     .merge(api.metadata().build()?.into_router());
    ///
    /// let ask = async |path: &str| {
    ///     let request = Request::get(path).body(Body::empty()).unwrap();
    ///     app.clone().oneshot(request).await.unwrap().status()
    /// };
    /// assert_eq!(ask("/notes").await, 401);
    /// assert_eq!(ask("/.well-known/oauth-protected-resource").await, 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let path = self.path().to_owned();
        // The path is the path of a URL, not a pattern of axum 0.7: `:` and `*` are ordinary characters.
        Router::new().without_v07_checks().route_service(&path, self)
    }
}
