//! The extractors for parts of a token, and the raw token.

#![cfg(all(feature = "axum", feature = "http-client"))]

mod support;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::routing::get;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::json;
use support::{AUDIENCE, ISSUER, builder, issuer, trusting};
use tower::ServiceExt as _;
use tower_resource_server::extract::{Claims, Scopes, Subject};
use tower_resource_server::token::RawToken;
use tower_resource_server::{Profile, ResourceServer};

#[derive(Clone, Deserialize)]
struct Own {
    tenant: String,
}

fn routes() -> Router {
    Router::new()
        .route("/claims", get(async |Claims(own): Claims<Own>| own.tenant))
        .route("/scopes", get(async |Scopes(scopes): Scopes| scopes.to_string()))
        .route("/subject", get(async |own: Subject| format!("{} {}", own.issuer, own.subject)))
        .route("/raw", get(async |raw: RawToken| raw.expose().to_owned()))
        .route(
            "/other",
            get(async |_: Claims<tower_resource_server::Claims>| "claims of another type"),
        )
}

async fn ask(app: &Router, path: &str, token: Option<&str>) -> (Response<Body>, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (Response::from_parts(head, Body::empty()), text)
}

fn server(keep_raw: bool) -> (tower_resource_server::test_issuer::TestIssuer, ResourceServer<Own>) {
    let issuer = issuer();
    let profile = Profile::rfc9068().claim_optional("sub");
    let builder = builder(trusting(&issuer).profile(profile)).claims::<Own>();
    let builder = if keep_raw { builder.keep_raw_tokens() } else { builder };
    let server = builder.build().unwrap();
    (issuer, server)
}

#[tokio::test]
async fn handlers_take_parts_of_the_token() {
    let (issuer, server) = server(true);
    let app = routes().layer(server.layer());
    let token = issuer.token().subject("alice").scope("a b").claim("tenant", "acme").sign();
    for (path, expected) in [
        ("/claims", "acme".to_owned()),
        ("/scopes", "a b".to_owned()),
        ("/subject", format!("{ISSUER} alice")),
        ("/raw", token.clone()),
    ] {
        let (response, text) = ask(&app, path, Some(&token)).await;
        assert_eq!((response.status().as_u16(), text), (200, expected), "{path}");
    }
}

#[tokio::test]
async fn an_anonymous_request_gets_401_from_each_extractor() {
    let (_, server) = server(true);
    let app = routes().layer(server.optional_layer());
    for path in ["/claims", "/scopes", "/subject", "/raw", "/other"] {
        let (response, _) = ask(&app, path, None).await;
        assert_eq!(response.status(), 401, "{path}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert_eq!(challenge, format!(r#"Bearer realm="{AUDIENCE}""#), "{path}");
    }
}

#[tokio::test]
async fn a_mistake_in_the_wiring_is_500_and_no_leak() {
    let (issuer, with_raw) = server(true);
    let token = issuer.token().claim("tenant", "acme").sign();
    // Without a layer.
    for path in ["/claims", "/scopes", "/subject", "/raw", "/other"] {
        let (response, text) = ask(&routes(), path, Some(&token)).await;
        assert_eq!((response.status().as_u16(), text.as_str()), (500, ""), "{path}");
        assert!(!response.headers().contains_key("www-authenticate"), "{path}");
    }
    // Another type of claims.
    let (response, _) = ask(&routes().layer(with_raw.layer()), "/other", Some(&token)).await;
    assert_eq!(response.status(), 500);
    // A raw token that is not kept, and the same with `keep_raw_tokens`.
    let (issuer, without_raw) = server(false);
    let token = issuer.token().claim("tenant", "acme").sign();
    let (response, text) = ask(&routes().layer(without_raw.layer()), "/raw", Some(&token)).await;
    assert_eq!((response.status().as_u16(), text.as_str()), (500, ""));
    // `introspected_now` and `load_user` keep tokens for themselves, and do not give them to handlers.
    let _ =
        without_raw.load_user(async |_| Ok::<_, tower_resource_server::policy::LookupError>(()));
    let (response, text) = ask(&routes().layer(without_raw.layer()), "/raw", Some(&token)).await;
    assert_eq!((response.status().as_u16(), text.as_str()), (500, ""));
}

#[tokio::test]
async fn a_token_without_a_subject_has_no_subject_to_extract() {
    let (issuer, server) = server(true);
    let app = routes().layer(server.layer());
    let token = issuer.token().claim("tenant", "acme").without("sub").sign();
    let (response, _) = ask(&app, "/subject", Some(&token)).await;
    assert_eq!(response.status(), 403);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert_eq!(challenge, format!(r#"Bearer realm="{AUDIENCE}""#));
    let (response, text) = ask(&app, "/claims", Some(&token)).await;
    assert_eq!((response.status().as_u16(), text.as_str()), (200, "acme"));
    let with = issuer.token().subject("alice").claim("tenant", json!("acme")).sign();
    let (response, _) = ask(&app, "/subject", Some(&with)).await;
    assert_eq!(response.status(), 200);
}

#[test]
fn debug_shows_nobody() {
    let subject = Subject { issuer: ISSUER.to_owned(), subject: "alice".to_owned() };
    assert!(!format!("{subject:?}").contains("alice"));
    assert_eq!(format!("{:?}", Claims(1)), "Claims(..)");
}
