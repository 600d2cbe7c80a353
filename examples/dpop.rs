//! Tokens that are bound to a key of the client (DPoP, RFC 9449). An issuer, an API, and a client with a key, in one
//! process: `cargo run --example dpop --features dpop`.
//!
//! The client calls the router directly. The program prints each response, and the API's log shows why a request was
//! refused. A proof is accepted for one request and for one minute, so there are no curl lines to copy. To try your
//! own client, run the example `api` with `--dpop`.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::policy::dpop_bound;
use tower_resource_server::sender::{Dpop, Nonces, Replay};
use tower_resource_server::test_issuer::{TestIssuer, TestProver};
use tower_resource_server::{AccessToken, Issuer, ResourceServer};

type Problem = Box<dyn std::error::Error>;

/// The URL of the API, as clients write it in proofs.
const API: &str = "https://api.example.com";

#[tokio::main]
async fn main() -> Result<(), Problem> {
    let log = tracing_subscriber::fmt().with_env_filter("tower_resource_server=info");
    log.without_time().with_ansi(false).init();

    let issuer = TestIssuer::in_process("https://as.example.com");
    let server = |nonces| {
        ResourceServer::builder()
            .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
            .audience(API)
            // The store of used proofs is in this process. Several processes need a shared store.
            .dpop(Dpop::optional(API, Replay::in_process()).nonces(nonces))
            .build()
    };
    let (api, with_nonces) = (server(Nonces::off())?, server(Nonces::always())?);
    let app = Router::new()
        .route("/notes", get(notes))
        // This route also refuses tokens that are not bound to a key.
        .route("/secrets", get(notes).route_layer(api.require(dpop_bound())))
        .layer(api.layer())
        // Nonces are a setting of a whole `ResourceServer`, so this route has its own.
        .merge(Router::new().route("/payments", get(notes)).layer(with_nonces.layer()));

    // The key never leaves the client. The issuer writes the key's thumbprint into the token.
    let client = TestProver::generate(Algorithm::ES256);
    let bound = issuer.token().subject("alice").bound_to_key(&client).sign();
    let unbound = issuer.token().subject("bob").sign();
    let to = |path: &str| format!("{API}{path}");

    let proof = client.proof("GET", &to("/notes")).token(&bound).sign();
    let request = || with_proof("/notes", &bound, &proof);
    send(&app, "200: a bound token, with a proof for this request", request()).await?;
    send(
        &app,
        "401 invalid_dpop_proof: the same request was recorded, and is sent again",
        request(),
    )
    .await?;

    let proof = client.proof("GET", &to("/notes")).token(&bound).sign();
    send(&app, "200: each request has a new proof", with_proof("/notes", &bound, &proof)).await?;

    let proof = client.proof("GET", &to("/notes")).token(&bound).sign();
    let request = with_proof("/secrets", &bound, &proof);
    send(&app, "401 invalid_dpop_proof: the proof is for another URL", request).await?;

    let thief = TestProver::generate(Algorithm::ES256);
    let proof = thief.proof("GET", &to("/notes")).token(&bound).sign();
    let request = with_proof("/notes", &bound, &proof);
    send(&app, "401 invalid_token: the token was stolen, and the thief has another key", request)
        .await?;
    send(&app, "401 invalid_token: the thief sends it without a proof", bearer("/notes", &bound))
        .await?;

    send(&app, "200: this token is not bound", bearer("/notes", &unbound)).await?;
    send(&app, "401 invalid_token: the route requires a bound token", bearer("/secrets", &unbound))
        .await?;
    let proof = client.proof("GET", &to("/secrets")).token(&bound).sign();
    let request = with_proof("/secrets", &bound, &proof);
    send(&app, "200: the route requires a bound token, and this one is", request).await?;

    let proof = client.proof("GET", &to("/payments")).token(&bound).sign();
    let request = with_proof("/payments", &bound, &proof);
    let headers = send(&app, "401 use_dpop_nonce: the proof needs a nonce", request).await?;
    // From now on, the client puts this nonce into its proofs.
    client.remember_nonce(&headers);
    let proof = client.proof("GET", &to("/payments")).token(&bound).sign();
    let request = with_proof("/payments", &bound, &proof);
    send(&app, "200: the proof has the nonce of the last response", request).await?;
    Ok(())
}

async fn notes(token: AccessToken) -> Json<Value> {
    Json(json!({ "subject": token.subject(), "bound": token.is_sender_constrained() }))
}

fn with_proof(path: &str, token: &str, proof: &str) -> Request<Body> {
    let request = Request::get(path).header("authorization", format!("DPoP {token}"));
    request.header("dpop", proof).body(Body::empty()).expect("header values")
}

fn bearer(path: &str, token: &str) -> Request<Body> {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    request.body(Body::empty()).expect("header values")
}

/// Sends a request to the API, and prints the response.
async fn send(app: &Router, what: &str, request: Request<Body>) -> Result<HeaderMap, Problem> {
    println!("# {what}\nGET {}", request.uri());
    let (head, body) = app.clone().oneshot(request).await?.into_parts();
    println!("{}", head.status);
    for (name, value) in &head.headers {
        if name == "www-authenticate" || name == "dpop-nonce" {
            println!("{name}: {}", value.to_str()?);
        }
    }
    println!("{}\n", String::from_utf8_lossy(&to_bytes(body, 4096).await?));
    Ok(head.headers)
}
