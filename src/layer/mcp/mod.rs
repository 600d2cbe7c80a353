//! The layer for MCP servers: [`ResourceServer::protect_mcp`].
//!
//! The layer does the following for each request, in this order:
//!
//! 1. It checks the header `Origin`, if the request has one and the policy does not accept every origin.
//! 2. It validates the token, as the layer of [`ResourceServer::layer`] does.
//! 3. It reads the body, if the policy lists a method, a tool, a resource or a prompt. The size of the body and the
//!    time to send it are limited. The inner service gets the same body.
//! 4. It checks that the headers `Mcp-Method` and `Mcp-Name` agree with the body. It does this only if it has read the
//!    body, and only if the request names version 2026-07-28 of the protocol.
//! 5. It evaluates the requirement that applies to every request. If it has read the body, it also evaluates the
//!    requirements of the messages in the body. The token must meet all requirements.

mod body;
mod fault;
mod messages;
mod origin;
mod prepared;
mod read;
#[cfg(feature = "axum")]
mod router;
mod service;
mod step_up;

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::config_error::ConfigError;
use crate::layer::mcp::prepared::Prepared;
use crate::policy::McpPolicy;
use crate::rejection::EmptyBody;
use crate::server::ResourceServer;
use crate::token::Claims;

pub use body::McpBody;
pub use messages::McpMessages;
pub use service::{McpFuture, McpService};

/// Protects an MCP server. [`ResourceServer::protect_mcp`](crate::ResourceServer::protect_mcp) creates this layer.
pub struct McpLayer<C = Claims, R = EmptyBody> {
    server: ResourceServer<C, R>,
    prepared: Arc<Prepared<C>>,
}

impl<C: Send + Sync + 'static, R> ResourceServer<C, R> {
    /// Creates a layer that protects an MCP server, for revisions 2025-06-18, 2025-11-25 and 2026-07-28 of MCP.
    ///
    /// [`McpPolicy`] says what each request, method, tool, resource and prompt requires. Set
    /// [`Builder::resource`](crate::builder::Builder::resource) to the URL of the MCP endpoint. This URL is also the
    /// audience of the tokens.
    ///
    /// If the policy lists a method, a tool, a resource or a prompt, the layer reads the body of each request. If the
    /// body has more than 4 MiB, the response is 413. If the client needs more than 30 seconds to send the body, the
    /// response is 408.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    ///
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// use tower_resource_server::layer::McpBody;
    /// use tower_resource_server::policy::{McpPolicy, authenticated};
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer, scope};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .resource("https://api.example.com/mcp")
    ///     .build()?;
    ///
    /// // In your program: the service of `rmcp`, the Rust SDK of MCP.
    /// let tools = service_fn(|_: Request<McpBody<Full<Bytes>>>| async {
    ///     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("a result")))
    /// });
    /// let policy = McpPolicy::new()
    ///     .require(scope("mcp"))
    ///     .tool("read", authenticated())
    ///     .tool("delete", scope("notes:delete"));
    /// let service = api.protect_mcp(policy).layer(tools);
    ///
    /// let call = |tool: &str| {
    ///     let token = issuer.token().audience("https://api.example.com/mcp").scope("mcp").sign();
    ///     let body = format!(
    ///         r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#
    ///     );
    ///     let request = Request::post("/mcp").header("authorization", format!("Bearer {token}"));
    ///     request.body(Full::<Bytes>::from(body))
    /// };
    /// assert_eq!(service.clone().oneshot(call("read")?).await?.status(), 200);
    ///
    /// let response = service.oneshot(call("delete")?).await?;
    /// assert_eq!(response.status(), 403);
    /// let challenge = response.headers()["www-authenticate"].to_str()?;
    /// assert!(challenge.contains(r#"scope="mcp notes:delete""#), "{challenge}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If [`Builder::resource`](crate::builder::Builder::resource) is not set, or if the policy has a problem. See
    /// [`try_protect_mcp`](Self::try_protect_mcp).
    #[track_caller]
    pub fn protect_mcp(&self, policy: McpPolicy<C>) -> McpLayer<C, R> {
        #[allow(clippy::panic, reason = "a mistake in the program, at its start")]
        self.try_protect_mcp(policy).unwrap_or_else(|error| panic!("protect_mcp: {error}"))
    }

    /// Does the same as [`protect_mcp`](Self::protect_mcp), but returns an error instead of a panic. Use it for a
    /// policy that comes from outside the program.
    ///
    /// # Errors
    /// If the server has no resource identifier ([`Builder::resource`](crate::builder::Builder::resource)). Or if the
    /// policy has problems: the error then lists every problem. A challenge that would name the scope `offline_access`
    /// is a problem, too.
    pub fn try_protect_mcp(&self, policy: McpPolicy<C>) -> Result<McpLayer<C, R>, ConfigError> {
        let Some(resource) = self.resource() else {
            return Err(ConfigError::new(
                "an MCP server needs `.resource(..)` of the builder: the URL of the MCP endpoint",
            ));
        };
        let prepared = Arc::new(Prepared::new(policy, self, resource)?);
        Ok(McpLayer { server: self.clone(), prepared })
    }
}

impl<S, C, R> Layer<S> for McpLayer<C, R> {
    type Service = McpService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        McpService::new(inner, self.server.clone(), Arc::clone(&self.prepared))
    }
}

impl<C, R> Clone for McpLayer<C, R> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), prepared: Arc::clone(&self.prepared) }
    }
}

impl<C, R> fmt::Debug for McpLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpLayer").field("server", &self.server).finish_non_exhaustive()
    }
}
