//! A small API to point at any authorization server, to find out in a minute whether its tokens
//! will do. Each refused request is explained on the terminal.
//!
//! `cargo run --example api -- --issuer https://as.example.com --audience https://api.example.com`

use std::net::SocketAddr;

use axum::routing::{get, post};
use axum::{Json, Router};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use tower_resource_server::{
    AccessToken, Algorithm, Claims, Issuer, Policy, ProblemJson, Profile, ResourceServer,
    authenticated,
};

/// Protects GET /api/read, POST /api/write and GET /api/whoami; GET /open is open.
#[derive(Debug, Parser)]
struct Options {
    /// The authorization server, exactly as it spells itself in `iss`.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// Who this API is in `aud`; may be given more than once.
    #[arg(long, value_name = "AUD", required = true)]
    audience: Vec<String>,
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Where the keys are, for a server without metadata.
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// How the server writes its tokens.
    #[arg(long, value_enum, default_value_t = ProfileName::Rfc9068)]
    profile: ProfileName,
    /// The algorithms to accept, separated by commas.
    #[arg(long, value_name = "ALG", value_delimiter = ',')]
    algorithms: Vec<Algorithm>,
    /// The scope that GET /api/read asks for.
    #[arg(long, value_name = "SCOPE", default_value = "read")]
    scope_read: String,
    /// The scope that POST /api/write asks for.
    #[arg(long, value_name = "SCOPE", default_value = "write")]
    scope_write: String,
    /// Accept an issuer at http://127.0.0.1, http://[::1] or http://localhost.
    #[arg(long)]
    allow_http_loopback: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileName {
    /// JWT access tokens by RFC 9068.
    Rfc9068,
    /// Access tokens with typ `JWT` or none.
    Jwt,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "tower_resource_server=debug".into());
    tracing_subscriber::fmt().with_env_filter(log).init();
    let options = Options::parse();
    let api = server(&options)?;
    let app = Router::new()
        .route("/api/read", get(echo).layer(api.protect(Policy::try_scope(&options.scope_read)?)))
        .route(
            "/api/write",
            post(echo).layer(api.protect(Policy::try_scope(&options.scope_write)?)),
        )
        .route("/api/whoami", get(echo).layer(api.protect(authenticated())))
        .route("/open", get(async || Json(json!({ "open": true }))));

    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

type Server = ResourceServer<Claims, ProblemJson>;

fn server(options: &Options) -> Result<Server, Box<dyn std::error::Error>> {
    let mut issuer = Issuer::discover(&options.issuer).profile(match options.profile {
        ProfileName::Rfc9068 => Profile::rfc9068(),
        ProfileName::Jwt => Profile::jwt(),
    });
    if let Some(uri) = &options.jwks_uri {
        issuer = issuer.jwks_uri(uri);
    }
    if !options.algorithms.is_empty() {
        issuer = issuer.algorithms(options.algorithms.iter().copied());
    }
    let (first, more) = options.audience.split_first().ok_or("--audience is needed")?;
    let mut builder = ResourceServer::builder().issuer(issuer).audience(first);
    for audience in more {
        builder = builder.audience(audience);
    }
    if options.allow_http_loopback {
        builder = builder.allow_http_loopback();
    }
    Ok(builder.refusal_body(ProblemJson).build()?)
}

async fn echo(token: AccessToken) -> Json<Value> {
    Json(json!({
        "sub": token.subject(),
        "client_id": token.client_id(),
        "scope": token.scope().to_string(),
        "claims": token.claims(),
    }))
}
