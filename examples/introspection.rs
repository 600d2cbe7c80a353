//! An API whose tokens are opaque, and the authorization server that introspects them, in one
//! process: `cargo run --example introspection`, then run the lines that the program prints.

use std::time::Duration;

use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::policy::all_of;
use tower_resource_server::test_issuer::{TestClient, TestIssuer};
use tower_resource_server::{AccessToken, Issuer, ResourceServer, scope};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();

    // The authorization server. Only this API may introspect tokens.
    let issuer = TestIssuer::start().await?;
    issuer.register_client(TestClient::secret("notes-api", "a-secret"));

    let auth = ClientAuth::client_secret_basic("notes-api", "a-secret");
    let introspection = Introspection::new(auth)
        // Introspect for each request, so that a revoked token is refused at once. Without this
        // line, an answer is cached for 60 s, and the authorization server gets far fewer calls.
        .cache_ttl(Duration::ZERO);
    let api = ResourceServer::builder()
        .issuer(Issuer::new(issuer.url()).introspection(introspection))
        .audience("https://api.example.com")
        .allow_http_loopback() // because the issuer of this example uses http on this machine
        .build()?;

    let app = Router::new()
        .route("/notes", get(list).route_layer(api.require(scope("notes:read"))))
        .route(
            "/notes/1",
            put(edit).route_layer(api.require(all_of(["notes:read", "notes:write"]))),
        )
        .layer(api.layer());

    let listener = match TcpListener::bind("127.0.0.1:3000").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    print_commands(&issuer, &format!("http://{}", listener.local_addr()?));
    axum::serve(listener, app).await?;
    Ok(())
}

async fn list(token: AccessToken) -> Json<Value> {
    Json(json!({ "notes": ["buy milk"], "claims": token.claims() }))
}

async fn edit(token: AccessToken) -> Json<Value> {
    Json(json!({ "edited_by": token.subject() }))
}

fn print_commands(issuer: &TestIssuer, base: &str) {
    let (server, notes) = (issuer.url(), format!("{base}/notes"));
    let token = issuer.token().scope("notes:read").expires_in(3600).opaque();
    let elsewhere = issuer.token().audience("https://other.example.com").expires_in(3600).opaque();
    let with = |token: &str| format!("curl -i -H 'Authorization: Bearer {token}'");
    println!("The API listens on {base}, its issuer on {server}.\n");
    for (what, command) in [
        ("200, and what the issuer says of the token", format!("{} {notes}", with(&token))),
        ("401 without an error code: no credentials", format!("curl -i {notes}")),
        (
            "401 invalid_token: nothing that the issuer knows",
            format!("{} {notes}", with("2YotnFZFEjr1zCsicMWpAA")),
        ),
        ("401 invalid_token: meant for another API", format!("{} {notes}", with(&elsewhere))),
        ("403 insufficient_scope: notes:write lacks", format!("{} -X PUT {notes}/1", with(&token))),
        (
            "200 from the issuer, which revokes the token (RFC 7009)",
            format!("curl -i -u notes-api:a-secret -d token={token} {server}/revoke"),
        ),
        ("401 invalid_token: revoked", format!("{} {notes}", with(&token))),
    ] {
        println!("# {what}\n{command}\n");
    }
    println!("Below is the API's log: it tells why each refused request was refused.");
}
