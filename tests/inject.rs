//! Access tokens without a token, for tests of handlers.

#[path = "support/mod.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};
use tower::Layer;
use tower_resource_server::clock::TestClock;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::policy::user;
use tower_resource_server::test_issuer::{TestIssuer, inject};
use tower_resource_server::{
    AccessToken, Claims, Issuer, Profile, ResourceServer, providers, scope,
};

use support::*;

#[tokio::test]
async fn an_injected_token_is_taken_by_layers_and_require() {
    let server = server(&issuer());
    let reader = || inject(&server, json!({ "sub": "bob", "scope": "notes:read" }));
    let guard = || scope("notes:read");

    api((reader(), server.layer())).anonymous().await.assert_ok("layer");
    api((reader(), server.optional_layer())).anonymous().await.assert_ok("optional layer");
    api((reader(), server.require(guard()))).anonymous().await.assert_ok("require");
    api((reader(), server.protect(guard()))).anonymous().await.assert_ok("protect");
    let handler = api(reader()).anonymous().await;
    handler.assert_ok("a handler alone");
    assert_eq!(handler.json()["sub"], "bob");
    assert_eq!(handler.json()["scope"], "notes:read");

    // The neighbours: no token, and one without the scope.
    api(server.layer()).anonymous().await.assert_invited("layer");
    let bare = inject(&server, json!({}));
    api((bare.clone(), server.layer())).anonymous().await.assert_ok("layer");
    let refused = api((bare, server.require(guard()))).anonymous().await;
    refused.assert_insufficient_scope("require", "notes:read");
}

#[tokio::test]
async fn an_injected_token_is_that_servers_alone() {
    let issuer = issuer();
    let (own, other) = (server(&issuer), server(&issuer));
    let layer = inject(&own, json!({ "scope": "a" }));
    api((layer.clone(), own.layer())).anonymous().await.assert_ok("its own");
    api((layer.clone(), other.layer())).anonymous().await.assert_invited("another");
    let wiring = api((layer, other.require(scope("a")))).anonymous().await;
    assert_eq!(wiring.status, 500);
}

#[tokio::test]
async fn claims_are_completed_and_null_leaves_one_out() {
    let clock = TestClock::at(1_700_000_000);
    let issuer = Issuer::new(ISSUER).jwks(issuer().jwks());
    let server = builder(issuer).clock(clock).build().unwrap();
    let claims = async |claims: Value| api(inject(&server, claims)).anonymous().await.json();

    let all = claims(json!({ "tenant": "t1" })).await;
    assert_eq!((&all["sub"], &all["client_id"]), (&json!("alice"), &json!("app")));
    let own = &all["claims"];
    assert_eq!((&own["iss"], &own["aud"]), (&json!(ISSUER), &json!([AUDIENCE])));
    assert_eq!((&own["iat"], &own["exp"]), (&json!(1_700_000_000), &json!(1_700_000_300)));
    assert_eq!(own["tenant"], "t1");
    assert!(own["jti"].is_string());

    let without = claims(json!({ "sub": null, "exp": null })).await;
    assert_eq!(without["sub"], Value::Null);
    assert_eq!(without["claims"].get("exp"), None);
}

#[tokio::test]
async fn claims_are_read_by_the_profile_of_the_issuer_they_name() {
    let rsa = TestIssuer::builder().algorithm(Algorithm::RS256).in_process(ISSUER);
    let jwks = rsa.jwks();
    let tenant = "11111111-2222-3333-4444-555555555555";
    let server = ResourceServer::builder()
        .issuer(Issuer::new(ISSUER).jwks(jwks.clone()))
        .issuer(providers::entra_v2(tenant).unwrap().jwks(jwks.clone()))
        .issuer(providers::cognito("eu-west-1_ABC", ["app1"]).unwrap().jwks(jwks))
        .audience(AUDIENCE)
        .build()
        .unwrap();
    let entra = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    for (name, claims, scope, client, is_user) in [
        ("the first", json!({ "scope": "a", "scp": "b" }), "a", "app", true),
        ("named", json!({ "iss": entra, "scope": "a", "scp": "b" }), "b", "app", true),
        ("its app", json!({ "iss": entra, "azp": "x" }), "", "x", false),
        (
            "its client is its audience",
            json!({ "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_ABC" }),
            "",
            "app1",
            true,
        ),
    ] {
        let layer = inject(&server, claims);
        let reply = api(layer.clone()).anonymous().await;
        reply.assert_ok(name);
        assert_eq!(reply.json()["scope"], scope, "{name}");
        assert_eq!(reply.json()["client_id"], client, "{name}");
        let users = api((layer, server.require(user()))).anonymous().await;
        assert_eq!(users.ran, is_user, "{name}: {:?}", users.error);
    }
}

#[test]
fn claims_of_the_apis_own_type() {
    #[derive(serde::Deserialize)]
    struct Own {
        tenant: String,
    }
    let issuer = issuer();
    let server = builder(trusting(&issuer)).claims::<Own>().build().unwrap();
    let mut request = http::Request::new(());
    inject(&server, json!({ "tenant": "t1" })).insert_into(request.extensions_mut());
    let token = AccessToken::<Own>::from_extensions(request.extensions()).unwrap();
    assert_eq!((token.tenant.as_str(), token.subject()), ("t1", Some("alice")));
    assert!(AccessToken::<Claims>::from_extensions(request.extensions()).is_none());
}

#[test]
fn claims_that_could_never_arrive_fail_where_they_are_written() {
    #[derive(serde::Deserialize)]
    struct Own {
        #[allow(dead_code, reason = "read by its type alone")]
        tenant: String,
    }
    let issuer = issuer();
    let server =
        builder(trusting(&issuer).profile(Profile::jwt())).claims::<Own>().build().unwrap();
    for (name, claims, good) in [
        ("fits", json!({ "tenant": "t1" }), true),
        ("no object", json!(["tenant"]), false),
        ("another issuer", json!({ "tenant": "t1", "iss": "https://other.example.com" }), false),
        ("issuer is a number", json!({ "tenant": "t1", "iss": 1 }), false),
        ("scope is an array", json!({ "tenant": "t1", "scope": ["a"] }), true),
        ("scope is a number", json!({ "tenant": "t1", "scope": 1 }), false),
        ("does not fit the API's type", json!({ "tenant": 1 }), false),
        ("lacks what the API's type needs", json!({}), false),
    ] {
        let injected = catch_unwind(AssertUnwindSafe(|| inject(&server, claims)));
        assert_eq!(injected.is_ok(), good, "{name}");
    }
}

#[test]
fn debug_shows_no_claim() {
    let server = server(&issuer());
    let layer = inject(&server, json!({ "sub": "a-person" }));
    let service = layer.layer("inner");
    for shown in [format!("{layer:?}"), format!("{service:?}")] {
        assert!(shown.starts_with("Inject") && !shown.contains("a-person"), "{shown}");
    }
}
