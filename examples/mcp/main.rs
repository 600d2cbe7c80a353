//! A protected MCP server, made with the official SDK `rmcp`.
//!
//! `cargo run --example mcp` starts an issuer, too, and prints requests to try. With a real authorization
//! server: `cargo run --example mcp -- --issuer https://as.example.com --resource https://api.example.com/mcp`.

mod notes;

use std::sync::Arc;

use axum::Router;
use clap::{Parser, ValueEnum};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tower_resource_server::ResourceServer;
use tower_resource_server::test_issuer::TestIssuer;

#[derive(Parser)]
struct Options {
    /// The authorization server. Without it, the example starts an issuer of its own.
    #[arg(long)]
    issuer: Option<String>,
    /// The URL of this MCP server, as clients know it. The default is the address that it listens on.
    #[arg(long)]
    resource: Option<String>,
    /// Accepts http URLs of this machine.
    #[arg(long)]
    allow_http_loopback: bool,
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: String,
    /// How the MCP server is protected. The last two values are for comparisons.
    #[arg(long, value_enum, default_value = "protect")]
    layer: Around,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Around {
    /// Every request needs a token.
    Protect,
    /// A request without a token passes.
    Optional,
    None,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();
    let options = Options::parse();
    let listener = match TcpListener::bind(&options.listen).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    let own = format!("http://{}/mcp", listener.local_addr()?);
    let test_issuer = TestIssuer::start().await?;
    let is_try_out = options.issuer.is_none();
    let issuer = options.issuer.unwrap_or_else(|| test_issuer.url().to_owned());
    let resource = options.resource.unwrap_or_else(|| own.clone());

    let mut builder = ResourceServer::builder().issuer(issuer).resource(&resource);
    if is_try_out || options.allow_http_loopback {
        builder = builder.allow_http_loopback();
    }
    let api = builder.build()?;

    // Without sessions and with JSON answers, a tool can still refuse a request with 403.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(resource.parse::<http::Uri>()?.host().map(str::to_owned));
    let mcp = StreamableHttpService::new(
        || Ok(notes::Notes),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let app = match options.layer {
        Around::Protect => api.mcp_router(notes::policy(), mcp)?,
        Around::Optional => Router::new().route_service("/mcp", mcp).layer(api.optional_layer()),
        Around::None => Router::new().route_service("/mcp", mcp),
    };

    println!("The MCP server listens on {own}\n");
    if is_try_out {
        print_commands(&test_issuer, &own, &resource);
    }
    axum::serve(listener, app).await?;
    Ok(())
}

fn print_commands(issuer: &TestIssuer, url: &str, resource: &str) {
    let token = |scope: &str| {
        let token = issuer.token().audience(resource).subject("alice").scope(scope);
        token.expires_in(3600).sign()
    };
    let command = |what: &str, scope: Option<&str>, method: &str, params: &str| {
        let bearer = scope.map(|scope| format!("-H 'Authorization: Bearer {}' ", token(scope)));
        println!(
            "# {what}\ncurl -i {}-H 'Accept: application/json, text/event-stream' -H 'Content-Type: \
             application/json' -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}' \
             {url}\n",
            bearer.unwrap_or_default()
        );
    };
    let tool = |name: &str| format!(r#"{{"name":"{name}","arguments":{{"id":"7"}}}}"#);
    command("401: no token", None, "tools/call", &tool("whoami"));
    command("200: who calls", Some("notes"), "tools/call", &tool("whoami"));
    command(
        "403 insufficient_scope: the tool needs a scope of its own",
        Some("notes"),
        "tools/call",
        &tool("delete_note"),
    );
    command("200: with that scope", Some("notes notes:delete"), "tools/call", &tool("delete_note"));
    command(
        "403 insufficient_scope: the tool itself asks for a scope",
        Some("notes"),
        "tools/call",
        &tool("archive_note"),
    );
    command(
        "403 insufficient_scope: each note has a scope of its own",
        Some("notes notes:read:8"),
        "resources/read",
        r#"{"uri":"note://7"}"#,
    );
    command(
        "200: with that scope",
        Some("notes notes:read:7"),
        "resources/read",
        r#"{"uri":"note://7"}"#,
    );
    command(
        "403 insufficient_scope: a prompt",
        Some("notes"),
        "prompts/get",
        r#"{"name":"summary"}"#,
    );
    command("403: no such tool is listed", Some("notes"), "tools/call", &tool("drop_all"));
    let (origin, path) = url.rsplit_once("/mcp").unwrap_or((url, ""));
    println!(
        "# 200: the metadata, without a token\ncurl -i {origin}/.well-known/oauth-protected-resource/mcp{path}\n"
    );
    println!("Below is the server's log: it tells why each refused request was refused.");
}
