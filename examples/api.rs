//! A small API to point at any authorization server, to find out in a minute whether its tokens
//! will do. Each refused request is explained on the terminal.
//!
//! `cargo run --example api -- --issuer https://as.example.com --audience https://api.example.com`
//!
//! With `--client-id` and a secret, the authorization server is asked about opaque tokens.

use std::net::SocketAddr;
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Json, Router};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use tower_resource_server::{
    AccessToken, Algorithm, Claims, ClientAuth, Introspection, Issuer, Policy, ProblemJson,
    Profile, ResourceServer, authenticated,
};

/// Protects GET /api/read, POST /api/write and GET /api/whoami; GET /open is open.
// Not `Debug`: it has a secret.
#[derive(Parser)]
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
    /// Who this API is to the authorization server, which it asks about opaque tokens (RFC 7662).
    #[arg(long, value_name = "ID", requires = "client_secret")]
    client_id: Option<String>,
    /// The secret for that. Other users of this machine see a command line; an environment variable
    /// they don't.
    #[arg(long, value_name = "SECRET", env = "CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// Where to ask, for a server whose metadata does not tell.
    #[arg(long, value_name = "URL", requires = "client_id")]
    introspection_endpoint: Option<String>,
    /// Ask about JWTs as well, after they were validated here, so that revoked ones are refused.
    #[arg(long, requires = "client_id")]
    jwt_and_introspect: bool,
    /// Ask for signed answers, and accept no other (RFC 9701).
    #[arg(long, requires = "client_id")]
    signed_answers: bool,
    /// For how many seconds an answer is good.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "client_id")]
    introspection_ttl: u64,
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
    if let Some(introspection) = introspection(options) {
        issuer = issuer.introspection(introspection);
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

fn introspection(options: &Options) -> Option<Introspection> {
    let (id, secret) = options.client_id.as_ref().zip(options.client_secret.as_ref())?;
    let mut introspection = Introspection::new(ClientAuth::client_secret_basic(id, secret))
        .cache_ttl(Duration::from_secs(options.introspection_ttl));
    if let Some(endpoint) = &options.introspection_endpoint {
        introspection = introspection.endpoint(endpoint);
    }
    if options.jwt_and_introspect {
        introspection = introspection.also_for_jwts();
    }
    if options.signed_answers {
        introspection = introspection.require_signed_answers();
    }
    Some(introspection)
}

async fn echo(token: AccessToken) -> Json<Value> {
    Json(json!({
        "sub": token.subject(),
        "client_id": token.client_id(),
        "scope": token.scope().to_string(),
        "claims": token.claims(),
    }))
}
