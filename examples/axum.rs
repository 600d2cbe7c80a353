//! The first program of the README. `cargo run --example axum` starts an issuer, too, and prints requests to
//! try. With a real authorization server:
//!
//! `cargo run --example axum -- https://as.example.com https://api.example.com`

use axum::routing::{get, put};
use axum::{Router, response::IntoResponse};
use tokio::net::TcpListener;
use tower_resource_server::policy::all_of;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, ResourceServer, scope};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let issuer = TestIssuer::start().await?;
    let (builder, is_try_out) = match arguments.as_slice() {
        [url, audience] => (ResourceServer::builder().issuer(url).audience(audience), false),
        [] => {
            let builder = ResourceServer::builder().issuer(issuer.url());
            // The test issuer uses http on this machine.
            (builder.audience("https://api.example.com").allow_http_loopback(), true)
        }
        _ => return Err("usage: axum [ISSUER AUDIENCE]".into()),
    };
    let api = builder.build()?;

    let app = Router::new()
        .route("/notes", get(list).route_layer(api.require(scope("notes:read"))))
        .route(
            "/notes/{id}",
            put(edit).route_layer(api.require(all_of(["notes:read", "notes:write"]))),
        )
        .layer(api.layer());

    let listener = match TcpListener::bind("127.0.0.1:3000").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    println!("The API listens on http://{}/notes\n", listener.local_addr()?);
    if is_try_out {
        print_commands(&issuer, &format!("http://{}", listener.local_addr()?));
    }
    axum::serve(listener, app).await?;
    Ok(())
}

async fn list(token: AccessToken) -> impl IntoResponse {
    format!("the notes of {}\n", token.subject().unwrap_or("a client"))
}

async fn edit(token: AccessToken) -> impl IntoResponse {
    format!("edited by {}\n", token.subject().unwrap_or("a client"))
}

fn print_commands(issuer: &TestIssuer, base: &str) {
    let token = |scope| issuer.token().subject("alice").scope(scope).expires_in(3600).sign();
    let (reader, editor) = (token("notes:read"), token("notes:read notes:write"));
    for (what, token, rest) in [
        ("200: the notes", &reader, "/notes"),
        ("200: an edited note", &editor, "/notes/7 -X PUT"),
        ("403 insufficient_scope: the scope notes:write is missing", &reader, "/notes/7 -X PUT"),
    ] {
        println!("# {what}\ncurl -i -H 'Authorization: Bearer {token}' {base}{rest}\n");
    }
    println!("# 401: no token\ncurl -i {base}/notes\n");
    println!("Below is the API's log: it tells why each refused request was refused.");
}
