//! A whole MCP server as an axum router.

use std::convert::Infallible;

use axum::body::Body as AxumBody;
use axum::{BoxError, Router};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer as _;
use tower_service::Service;

use crate::config_error::ConfigError;
use crate::layer::mcp::body::McpBody;
use crate::policy::McpPolicy;
use crate::rejection::RefusalBody;
use crate::server::ResourceServer;
use crate::url::path_of;

impl<C: Send + Sync + 'static, R> ResourceServer<C, R> {
    /// Creates a router with two routes. At the path of the URL that
    /// [`Builder::resource`](crate::builder::Builder::resource) sets, the router serves the MCP server, protected by
    /// [`protect_mcp`](Self::protect_mcp). At the well-known path, the router serves the metadata of the resource (RFC
    /// 9728), which a client can read without a token. `service` is the MCP server, such as the `StreamableHttpService`
    /// of rmcp.
    ///
    /// To change the metadata, or to serve clients in web pages, use [`protect_mcp`](Self::protect_mcp) and
    /// [`metadata`](Self::metadata): see [the manual](crate::manual::mcp#browsers).
    ///
    /// ```
    /// # #[cfg(feature = "http-client")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::body::Body;
    /// use http::{Request, Response};
    /// use tower::{ServiceExt as _, service_fn};
    /// use tower_resource_server::layer::McpBody;
    /// use tower_resource_server::policy::McpPolicy;
    /// use tower_resource_server::{ResourceServer, scope};
    ///
    /// let api = ResourceServer::builder()
    ///     .issuer("https://as.example.com")
    ///     .resource("https://api.example.com/mcp")
    ///     .build()?;
    /// // In your program: the service of `rmcp`, the Rust SDK of MCP.
    /// let tools = service_fn(|_: Request<McpBody<Body>>| async {
    ///     Ok::<_, std::convert::Infallible>(Response::new(Body::from("a result")))
    /// });
    /// let app = api.mcp_router(McpPolicy::new().require(scope("mcp")), tools)?;
    ///
    /// let ask = async |path: &str| {
    ///     let request = Request::get(path).body(Body::empty()).unwrap();
    ///     app.clone().oneshot(request).await.unwrap()
    /// };
    /// let response = ask("/mcp").await;
    /// assert_eq!(response.status(), 401);
    /// let challenge = response.headers()["www-authenticate"].to_str()?;
    /// assert!(challenge.contains(r#"scope="mcp""#), "{challenge}");
    /// let url = "https://api.example.com/.well-known/oauth-protected-resource/mcp";
    /// assert!(challenge.contains(&format!(r#"resource_metadata="{url}""#)), "{challenge}");
    /// assert_eq!(ask("/.well-known/oauth-protected-resource/mcp").await.status(), 200);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "http-client"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// The error lists every problem of the policy and of the metadata. The metadata has a problem if the server has no
    /// resource identifier. MCP also requires that the metadata lists at least one issuer. An issuer whose name is a
    /// template, or is not a URL, is not listed.
    pub fn mcp_router<S, B>(&self, policy: McpPolicy<C>, service: S) -> Result<Router, ConfigError>
    where
        S: Service<Request<McpBody<AxumBody>>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
        R: RefusalBody<McpBody<B>>,
    {
        let mut metadata = self.metadata();
        for requirement in policy.fixed() {
            metadata = metadata.requirement(requirement.clone());
        }
        let (layer, metadata) = match (self.try_protect_mcp(policy), metadata.build()) {
            (Ok(layer), Ok(metadata)) => (layer, metadata),
            (Err(policy), Err(metadata)) => {
                return Err(ConfigError {
                    problems: [policy.problems, metadata.problems].concat(),
                });
            }
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
        };
        let path = self.resource().and_then(path_of).unwrap_or_else(|| "/".to_owned());
        Ok(Router::new()
            .without_v07_checks()
            .route_service(&path, layer.layer(service))
            .merge(metadata.into_router()))
    }
}
