//! A small API for a quick test with any authorization server: does this crate accept its tokens? At
//! start, the program prints what it checks. It explains each refused request on the terminal.
//!
//! `cargo run --example api -- --issuer https://as.example.com --audience https://api.example.com`
//!
//! - `--provider`, for example `--provider keycloak`, accepts the tokens of that product.
//! - `--client-id` and a secret: opaque tokens are introspected.
//! - `--mtls-header` (feature `mtls`) reads the client's certificate from a header of a proxy.
//! - `--dpop` (feature `dpop`) accepts tokens that are bound to a key.
//! - `--help` lists all options.

#[cfg(feature = "dpop")]
mod dpop;
mod mcp;
mod options;
#[cfg(feature = "mtls")]
mod proxy;
mod trust;

use std::io::{IsTerminal, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser;
use serde_json::{Value, json};
use tower_resource_server::builder::{Builder, Ready};
use tower_resource_server::policy::{Policy, authenticated};
use tower_resource_server::refusal::ProblemJson;
#[cfg(feature = "dpop")]
use tower_resource_server::sender::Nonces;
use tower_resource_server::token::Principal;
use tower_resource_server::{AccessToken, Claims, Issuer, ResourceServer};
use tracing::{Instrument, info, info_span, warn};

use options::Options;
use trust::Problems;

#[tokio::main]
async fn main() -> ExitCode {
    let log = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "tower_resource_server=debug,api=info".into());
    // Use colours only on a terminal, and not if `NO_COLOR` is set (no-color.org).
    let asked_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = stdout().is_terminal() && !asked_for_none;
    tracing_subscriber::fmt().with_env_filter(log).with_ansi(colours).init();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problems(problems)) => {
            eprintln!("the API can't start:");
            problems.iter().for_each(|problem| eprintln!("  {problem}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(mut options: Options) -> Result<(), Problems> {
    // With --allowed-client, there is no audience, but the builder requires one. So use the client ids.
    let clients = &options.of_provider.allowed_client;
    let mut audiences =
        if options.audience.is_empty() { clients } else { &options.audience }.clone();
    // The first audience is the realm of challenges.
    if let Some(resource) = &options.resource {
        audiences.retain(|audience| audience != resource);
        audiences.insert(0, resource.clone());
    }
    let described = trust::described(&options, &audiences);
    let issuer = trust::issuer(&mut options)?;
    let api = builder(&options, &issuer, &audiences)?;
    #[cfg(feature = "dpop")]
    let api = options.proofs.set(api, Nonces::off());
    let api = api.build()?;
    let scope = |text: &str| {
        Policy::try_scope(text).map_err(|error| format!("scope `{}`: {error}", text.escape_debug()))
    };
    let (read, write) = (scope(&options.scope_read)?, scope(&options.scope_write)?);
    let mut app = Router::new()
        .route("/api/read", get(echo).layer(api.protect(read.clone())))
        .route("/api/write", post(echo).layer(api.protect(write.clone())))
        .route("/api/whoami", get(echo).layer(api.protect(authenticated())))
        .route("/mcp", mcp::route().layer(api.protect(read.clone())))
        .route("/open", get(async || Json(json!({ "open": true }))));
    #[cfg(feature = "dpop")]
    if options.proofs.dpop.is_some() {
        let with_nonces = builder(&options, &issuer, &audiences)?;
        let with_nonces = options.proofs.set(with_nonces, Nonces::always()).build()?;
        app = app.merge(dpop::routes(&api, &with_nonces, &read));
    }
    let mut metadata_url = None;
    if options.resource.is_some() {
        let metadata = api.metadata().requirement(read).requirement(write).build()?;
        metadata_url = Some(metadata.url().to_owned());
        // Merged outside of `protect`, because the document needs no token.
        app = app.merge(metadata.into_router());
    }
    let app = app.layer(from_fn(logged));

    println!("checks access tokens:");
    described.iter().for_each(|line| println!("{line}"));
    metadata_url.iter().for_each(|url| println!("  {:<13} {url}", "metadata"));
    let listener = tokio::net::TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("--listen {}: {error}", options.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on http://{address}");
    // With the address of the peer, to distinguish a trusted proxy from a client.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await.map_err(|error| error.to_string())?;
    Ok(())
}

fn builder(
    options: &Options,
    issuer: &Issuer,
    audiences: &[String],
) -> Result<Builder<Ready, Claims, ProblemJson>, Problems> {
    let (first, more) = audiences.split_first().ok_or("--audience is needed".to_owned())?;
    let builder = ResourceServer::builder().issuer(issuer.clone());
    let mut builder = match &options.resource {
        Some(resource) => builder.resource(resource),
        None => builder.audience(first),
    };
    for audience in more {
        builder = builder.audience(audience);
    }
    if options.allow_http_loopback {
        builder = builder.allow_http_loopback();
    }
    #[cfg(feature = "mtls")]
    {
        builder = options.proxy.set(builder)?;
    }
    Ok(builder.refusal_body(ProblemJson))
}

/// Adds the method and the path to each log line about a request. The query is not logged, because it may
/// contain a token.
async fn logged(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let span = info_span!("request", method = %request.method(), path);
    async {
        let response = next.run(request).await;
        info!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}

async fn echo(token: AccessToken) -> Json<Value> {
    let (who, id) = match token.principal() {
        Principal::User { .. } => ("user", token.subject()),
        Principal::Client { .. } => ("client", token.client_id()),
        _ => ("unknown", token.subject()),
    };
    let missing = missing(&token, who);
    missing.iter().for_each(|text| warn!("{text}"));
    let mut answer = json!({
        "who": { who: id },
        "sub": token.subject(),
        "client_id": token.client_id(),
        "scope": token.scope().to_string(),
        "claims": token.claims(),
    });
    if !missing.is_empty() {
        answer["warnings"] = json!(missing);
    }
    Json(answer)
}

/// Warnings about an accepted token: what the profile does not find in it.
fn missing(token: &AccessToken, who: &str) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if token.client_id().is_none() {
        missing.push(
            "the token passed, but names no client under this profile: is it --client-claim azp, \
             cid or appid, or another --provider?",
        );
    }
    if token.scope().is_empty() {
        missing.push(
            "the token passed, but has no scope under this profile, so routes that ask for one \
             refuse it: is it --scope-claim scp or --scope-array-claim scp, or another --provider?",
        );
    }
    if who == "unknown" {
        missing.push("the token passed, but nothing in it tells a user from a client");
    }
    missing
}
