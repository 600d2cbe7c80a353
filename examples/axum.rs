//! An axum API behind a real authorization server:
//!
//! `cargo run --example axum -- https://as.example.com https://api.example.com`

use axum::routing::{get, put};
use axum::{Router, response::IntoResponse};
use tower_resource_server::policy::all_of;
use tower_resource_server::{AccessToken, ResourceServer, scope};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();
    let mut arguments = std::env::args().skip(1);
    let (Some(issuer), Some(audience)) = (arguments.next(), arguments.next()) else {
        return Err("usage: axum ISSUER AUDIENCE".into());
    };

    let api = ResourceServer::builder().issuer(issuer).audience(audience).build()?;

    let app = Router::new()
        .route("/notes", get(list).route_layer(api.require(scope("notes:read"))))
        .route(
            "/notes/{id}",
            put(edit).route_layer(api.require(all_of(["notes:read", "notes:write"]))),
        )
        .layer(api.layer());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/notes", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn list(token: AccessToken) -> impl IntoResponse {
    format!("the notes of {}\n", token.subject().unwrap_or("a client"))
}

async fn edit(token: AccessToken) -> impl IntoResponse {
    format!("edited by {}\n", token.subject().unwrap_or("a client"))
}
