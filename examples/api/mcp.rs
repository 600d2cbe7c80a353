//! `POST /mcp`: a stateless MCP server with one tool, which returns the caller.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{ACCEPT, HeaderValue};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, JsonObject,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tower_resource_server::AccessToken;

struct WhoAmI;

fn whoami() -> Tool {
    let schema: JsonObject = [("type".to_owned(), json!("object"))].into_iter().collect();
    Tool::new("whoami", "Returns the subject, the client and the scope of the token", schema)
}

impl ServerHandler for WhoAmI {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![whoami()]))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        Some(whoami()).filter(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != "whoami" {
            return Err(ErrorData::invalid_params("no such tool", None));
        }
        let head = context.extensions.get::<Parts>();
        let token: Option<AccessToken> =
            head.and_then(|head| AccessToken::from_extensions(&head.extensions));
        let token = token.ok_or_else(|| ErrorData::internal_error("no token", None))?;
        let caller = json!({
            "sub": token.subject(),
            "client_id": token.client_id(),
            "scope": token.scope().to_string(),
        });
        Ok(CallToolResult::success(vec![ContentBlock::text(caller.to_string())]).into())
    }
}

/// The MCP server, without its protection.
pub fn route() -> MethodRouter {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // The check of the host name is not needed, because a web page needs a token like every
        // other client.
        .disable_allowed_hosts();
    let manager = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(WhoAmI), manager, config);
    axum::routing::any_service(service).layer(from_fn(accept))
}

/// Adds `Accept` to requests by hand, for example with curl. MCP clients name both types, as rmcp
/// requires.
async fn accept(mut request: Request, next: Next) -> Response {
    let accepts = request.headers().get(ACCEPT).map(HeaderValue::as_bytes);
    if matches!(accepts, None | Some(b"*/*")) {
        let both = HeaderValue::from_static("application/json, text/event-stream");
        request.headers_mut().insert(ACCEPT, both);
    }
    next.run(request).await
}
