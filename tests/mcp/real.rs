//! The server of the example `mcp`, made with the official SDK `rmcp`, behind the layer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};
use tower_resource_server::test_issuer::TestIssuer;

use crate::notes;
use crate::server::{RESOURCE, api};
use crate::support::{Body, Reply, issuer};

fn config() -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_allowed_hosts(["api.example.com"])
        .with_legacy_session_mode(false)
        .with_json_response(true)
}

struct Real {
    issuer: TestIssuer,
    service:
        tower::util::BoxCloneSyncService<Request<Body>, Response<Body>, std::convert::Infallible>,
}

impl Real {
    fn new() -> Self {
        let issuer = issuer();
        let inner = StreamableHttpService::new(
            || Ok(notes::Notes),
            Arc::new(NeverSessionManager::default()),
            config(),
        );
        let service = api(&issuer).protect_mcp(notes::policy()).layer(inner);
        let service = tower::service_fn(move |request: Request<Body>| {
            let service = service.clone();
            async move {
                let (parts, body) = service.oneshot(request).await?.into_parts();
                let body = Full::new(body.collect().await?.to_bytes());
                Ok(Response::from_parts(parts, body))
            }
        });
        Self { issuer, service: tower::util::BoxCloneSyncService::new(service) }
    }

    async fn post(
        &self,
        scope: Option<&str>,
        version: &str,
        headers: &[(&str, &str)],
        message: Value,
    ) -> Reply {
        let mut request = Request::post(RESOURCE)
            .header("host", "api.example.com")
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(scope) = scope {
            let token = self.issuer.token().audience(RESOURCE).subject("alice").scope(scope).sign();
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(message.to_string())).unwrap();
        let Ok(response) = self.service.clone().oneshot(request).await;
        // rmcp refuses, too, and is then the handler that ran.
        let ran = response.extensions().get::<tower_resource_server::Error>().is_none();
        Reply::read(response, ran).await
    }
}

fn tool(name: &str, arguments: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": name, "arguments": arguments } })
}

fn text(reply: &Reply) -> String {
    let json = reply.json();
    let text = json["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("{json}")).to_owned()
}

#[tokio::test]
async fn a_tool_knows_the_caller_and_steps_up() {
    let real = Real::new();
    for version in ["2025-06-18", "2025-11-25"] {
        let reply = real.post(Some("notes"), version, &[], tool("whoami", json!({}))).await;
        assert_eq!((reply.status.as_u16(), text(&reply)), (200, "alice".to_owned()), "{version}");
        let reply = real.post(None, version, &[], tool("whoami", json!({}))).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.challenges[0].param("scope"), Some("notes"));

        // A requirement of the layer.
        let reply =
            real.post(Some("notes"), version, &[], tool("delete_note", json!({ "id": "7" }))).await;
        reply.assert_insufficient_scope("by the layer", "notes notes:delete");
        let reply = real
            .post(
                Some("notes notes:delete"),
                version,
                &[],
                tool("delete_note", json!({ "id": "7" })),
            )
            .await;
        assert_eq!(text(&reply), "note 7 is deleted");

        // A demand of the tool: the same complete answer.
        let archive = || tool("archive_note", json!({ "id": "7" }));
        let reply = real.post(Some("notes notes:archive:8"), version, &[], archive()).await;
        reply.assert_insufficient_scope("by the tool", "notes notes:archive:7");
        let reply = real.post(Some("notes notes:archive:7"), version, &[], archive()).await;
        assert_eq!(text(&reply), "note 7 is archived");
        // An id that no scope can have is the tool's own error.
        let reply = real
            .post(Some("notes"), version, &[], tool("archive_note", json!({ "id": "a b" })))
            .await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["error"]["code"].as_i64()),
            (200, Some(-32602))
        );
    }
}

#[tokio::test]
async fn resources_and_prompts_of_rmcp() {
    let real = Real::new();
    let read = |uri: &str| json!({ "jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": { "uri": uri } });
    let get = || json!({ "jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": { "name": "summary" } });
    for (name, message, own, result) in [
        ("a resource", read("config://app"), "notes:admin", "contents"),
        ("a template", read("note://7"), "notes:read:7", "contents"),
        ("a prompt", get(), "notes:summary", "messages"),
    ] {
        let reply = real.post(Some("notes"), "2025-11-25", &[], message.clone()).await;
        reply.assert_insufficient_scope(name, &format!("notes {own}"));
        let reply = real.post(Some(&format!("notes {own}")), "2025-11-25", &[], message).await;
        assert!(reply.json()["result"][result].is_array(), "{name}: {}", reply.json());
    }
}

/// Revision 2026-07-28, whose headers both the layer and rmcp check.
#[tokio::test]
async fn the_newest_revision_with_its_headers() {
    let real = Real::new();
    let message = |name: &str| {
        let mut message = tool(name, json!({ "id": "7" }));
        message["params"]["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        });
        message
    };
    let version = "2026-07-28";
    let headers = [("mcp-method", "tools/call"), ("mcp-name", "delete_note")];
    let reply =
        real.post(Some("notes notes:delete"), version, &headers, message("delete_note")).await;
    assert_eq!((reply.status.as_u16(), text(&reply)), (200, "note 7 is deleted".to_owned()));
    let reply = real.post(Some("notes"), version, &headers, message("delete_note")).await;
    reply.assert_insufficient_scope("without the scope", "notes notes:delete");
    let other = [("mcp-method", "tools/call"), ("mcp-name", "whoami")];
    let reply =
        real.post(Some("notes notes:delete"), version, &other, message("delete_note")).await;
    reply.assert_invalid_request("another name");
    assert_eq!(reply.json()["error"]["code"], -32020);
    assert_eq!(reply.json()["id"], 1);
}

/// MCP-16: each request is authorized by its own token. A session is not a credential.
#[tokio::test]
async fn id_mcp_16_a_session_without_a_token_is_refused() {
    let issuer = issuer();
    let inner = StreamableHttpService::new(
        || Ok(notes::Notes),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default().with_allowed_hosts(["api.example.com"]),
    );
    let service = api(&issuer).protect_mcp(notes::policy()).layer(inner);
    let request = |message: Value, session: Option<&str>, token: bool| {
        let mut request = Request::post(RESOURCE)
            .header("host", "api.example.com")
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json");
        if let Some(session) = session {
            request = request
                .header("mcp-session-id", session)
                .header("mcp-protocol-version", "2025-11-25");
        }
        if token {
            let token = issuer.token().audience(RESOURCE).scope("notes").sign();
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Full::<Bytes>::from(message.to_string())).unwrap()
    };
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } } });
    let response = service.clone().oneshot(request(initialize, None, true)).await.unwrap();
    assert_eq!(response.status(), 200);
    let session = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    drop(response);
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let response =
        service.clone().oneshot(request(initialized, Some(&session), true)).await.unwrap();
    assert_eq!(response.status(), 202);

    let call = || tool("whoami", json!({}));
    let response = service.clone().oneshot(request(call(), Some(&session), false)).await.unwrap();
    assert_eq!(response.status(), 401);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(!challenge.contains("error"), "{challenge}");
    let response = service.oneshot(request(call(), Some(&session), true)).await.unwrap();
    assert_eq!(response.status(), 200);
}
