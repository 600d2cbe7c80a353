//! Tokens that are bound to the client's certificate (mutual TLS, RFC 8705). This program accepts the TLS
//! connections itself: `cargo run --example mtls --features mtls`, then run the lines that the program prints.
//!
//! By default, the program uses tokio-rustls (`with_tokio_rustls.rs`). With `-- --axum-server` at the end of the
//! command, it uses axum-server (`with_axum_server.rs`).

mod certificates;
mod with_axum_server;
mod with_tokio_rustls;

use std::path::Path;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_resource_server::policy::sender_constrained;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, ResourceServer};

use certificates::{Authority, Files};

type Problem = Box<dyn std::error::Error>;

const AUDIENCE: &str = "https://api.example.com";

#[tokio::main]
async fn main() -> Result<(), Problem> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();
    let issuer = TestIssuer::start().await?;
    let api = ResourceServer::builder()
        .issuer(issuer.url())
        .audience(AUDIENCE)
        .allow_http_loopback() // because the issuer of this example uses http on this machine
        .build()?;
    let app = Router::new()
        .route("/notes", get(notes))
        // This route also refuses tokens that are not bound.
        .route("/secrets", get(notes).route_layer(api.require(sender_constrained())))
        .layer(api.layer());

    let authority = certificates::authority()?;
    let listener = match TcpListener::bind("127.0.0.1:3000").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    print_commands(&issuer, &authority, listener.local_addr()?.port())?;
    let tls = certificates::tls(&authority)?;
    if std::env::args().any(|argument| argument == "--axum-server") {
        with_axum_server::serve(listener, tls, app).await
    } else {
        with_tokio_rustls::serve(listener, tls, app).await
    }
}

async fn notes(token: AccessToken) -> Json<Value> {
    Json(json!({ "subject": token.subject(), "bound": token.is_sender_constrained() }))
}

fn print_commands(issuer: &TestIssuer, authority: &Authority, port: u16) -> Result<(), Problem> {
    let Files { ca, own, other, certificate } = certificates::files(authority)?;
    let token = || issuer.token().subject("alice").expires_in(3600);
    let bound = token().bound_to_certificate(&certificate).sign();
    let unbound = token().sign();
    let command = |what: &str, file: Option<&Path>, token: &str, path: &str| {
        let with = file.map(|file| format!(" --cert {}", file.display())).unwrap_or_default();
        println!(
            "# {what}\ncurl -i --cacert {}{with} -H 'Authorization: Bearer {token}' \
             https://localhost:{port}{path}\n",
            ca.display()
        );
    };
    command("200: the token is bound to this client's certificate", Some(&own), &bound, "/notes");
    command(
        "401 invalid_token: another client has stolen the token",
        Some(&other),
        &bound,
        "/notes",
    );
    command("401 invalid_token: the client has no certificate", None, &bound, "/notes");
    command("200: this token is not bound", None, &unbound, "/notes");
    command("200: the route asks for a bound token", Some(&own), &bound, "/secrets");
    command("401 invalid_token: the token is not bound", Some(&own), &unbound, "/secrets");
    println!(
        "To try these tokens behind a proxy, at GET /api/whoami:\ncargo run --example api --features \
         mtls -- --issuer {} --allow-http-loopback --audience {AUDIENCE} --listen 127.0.0.1:3001 \
         --mtls-header nginx --trusted-proxy 127.0.0.1\n",
        issuer.url()
    );
    println!("Below is the API's log: it tells why each refused request was refused.");
    Ok(())
}
