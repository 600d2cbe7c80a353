//! Lacks that need care: hidden resources, claims of a surprising type on the way to another claim, checks
//! that panic.

mod support;

use http::Request;
use http::request::Parts;
use serde_json::json;
use support::{Body, api, builder, issuer, server, trusting};
use tower::ServiceBuilder;
use tower_resource_server::policy::{
    LookupError, Requirement, Routes, acr, all_of, claim_at, not, role, subject,
};
use tower_resource_server::{AccessToken, Claims, Profile, scope};

#[tokio::test]
async fn a_hidden_resource_is_404_whatever_the_token_lacks_but_a_login() {
    let issuer = issuer();
    let server = server(&issuer);
    let refused = |_: &Parts, _: &AccessToken<Claims>| async {
        Err::<(), _>(LookupError::refused("not this one"))
    };
    let down = |_: &Parts, _: &AccessToken<Claims>| async {
        Err::<(), _>(LookupError::unavailable("down"))
    };
    let gold = || all_of([scope("audit"), acr(["gold"])]);
    let with = |scope: &str, acr: &str| issuer.token().scope(scope).claim("acr", acr).sign();
    for (name, requirement, token, status) in [
        ("nothing", gold().into(), with("audit", "gold"), 200),
        ("scope", gold().into(), with("x", "gold"), 404),
        ("scope and login", gold().into(), with("x", "silver"), 404),
        ("only the login", gold().into(), with("audit", "silver"), 401),
        ("a check", scope("a").and_check_async(refused), with("a", "x"), 404),
        ("an outage", scope("a").and_check_async(down), with("a", "x"), 503),
    ] {
        let requirement = Requirement::hidden(requirement);
        let own = requirement.clone();
        let by_request = server.require_with(move |_, _| Ok(own.clone()));
        let by_request = ServiceBuilder::new().layer(server.layer()).layer(by_request);
        let inside = server.require(requirement.clone());
        let inside = ServiceBuilder::new().layer(server.layer()).layer(inside);
        for reply in [
            api(server.protect(requirement)).bearer(&token).await,
            api(inside).bearer(&token).await,
            api(by_request).bearer(&token).await,
        ] {
            assert_eq!(reply.status, status, "{name}");
            if status == 404 {
                assert!(reply.challenges.is_empty() && reply.body.is_empty(), "{name}: {reply:?}");
                assert!(!reply.headers.contains_key("cache-control"), "{name}: {reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_preflight_request_does_not_tell_that_a_hidden_route_exists() {
    let issuer = issuer();
    let server = server(&issuer);
    let hidden = Requirement::from(scope("audit")).hidden();
    let routes = Routes::for_raw_paths().get("/secret", hidden).get("/notes", scope("a"));
    let api = api(server.protect_routes(routes.allow_preflight().hide_unlisted()));
    let preflight = |path: &str| {
        let request = Request::options(path).header("origin", "https://app.example.com");
        let request = request.header("access-control-request-method", "GET");
        request.body(Body::default()).unwrap()
    };
    assert_eq!(api.send(preflight("/notes")).await.status, 200);
    let secret = api.send(preflight("/secret")).await;
    let nothing = api.send(preflight("/nothing")).await;
    assert_eq!((secret.status.as_u16(), &secret.headers), (401, &nothing.headers));
    assert_eq!(nothing.status, 401);
}

#[tokio::test]
async fn a_check_that_panics_before_it_waits_is_503() {
    let issuer = issuer();
    let server = server(&issuer);
    let by_id = scope("a").and_check_async(|parts: &Parts, _: &AccessToken<Claims>| {
        let id: u32 = parts.uri.path()[1..].parse().unwrap();
        async move { if id == 7 { Ok(()) } else { Err(LookupError::refused("another id")) } }
    });
    let api = api(server.protect(by_id));
    let token = issuer.token().scope("a").sign();
    let get = |path: &str| {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        request.body(Body::default()).unwrap()
    };
    let reply = api.send(get("/abc")).await;
    assert_eq!((reply.status.as_u16(), reply.ran), (503, false));
    assert!(reply.headers.contains_key("retry-after"));
    assert_eq!(api.send(get("/7")).await.status, 200);
    assert_eq!(api.send(get("/8")).await.status, 403);
}

#[tokio::test]
async fn a_surprising_type_on_the_way_to_a_claim_is_no_pass() {
    let issuer = issuer();
    let server = server(&issuer);
    let absent = api(server.protect(claim_at("/restrictions/readonly").absent()));
    let not_true = api(server.protect(not(claim_at("/restrictions/readonly").equals(true))));
    for (name, restrictions, is_absent, is_not_true) in [
        ("the claim", json!({ "readonly": true }), false, false),
        ("its opposite", json!({ "readonly": false }), false, true),
        ("null", json!({ "readonly": null }), true, false),
        ("no member", json!({}), true, false),
        ("null above", json!(null), true, false),
        ("an array", json!(["readonly"]), false, false),
        ("a string", json!("readonly"), false, false),
        ("a number", json!(7), false, false),
        ("a boolean", json!(true), false, false),
    ] {
        let token = issuer.token().claim("restrictions", restrictions).sign();
        assert_eq!(absent.bearer(&token).await.status == 200, is_absent, "{name}");
        assert_eq!(not_true.bearer(&token).await.status == 200, is_not_true, "{name}");
    }
}

#[tokio::test]
async fn a_surprising_type_on_the_way_to_roles_is_no_complete_list() {
    let issuer = issuer();
    let profile = Profile::rfc9068().without_roles();
    let profile = profile.roles_at("/realm_access/roles").client_roles("api");
    let server = builder(trusting(&issuer).profile(profile)).build().unwrap();
    let no_guest = api(server.protect(not(role("guest"))));
    for (name, realm, passes) in [
        ("another role", json!({ "roles": ["editor"] }), true),
        ("no list there", json!({}), true),
        ("the role", json!({ "roles": ["guest"] }), false),
        ("an array above", json!(["guest"]), false),
        ("a string above", json!("guest"), false),
        ("objects above", json!([{ "roles": ["guest"] }]), false),
    ] {
        let token = issuer.token().claim("realm_access", realm);
        let token = token.claim("resource_access", json!({ "api": { "roles": ["x"] } })).sign();
        assert_eq!(no_guest.bearer(&token).await.status == 200, passes, "{name}");
    }
}

#[test]
fn debug_of_a_requirement_shows_nobody() {
    let policy = all_of([
        subject("https://as.example.com", "alice@example.com"),
        claim_at("/owner").equals("alice@example.com"),
    ]);
    let requirement: Requirement = policy.clone().into();
    let shown = format!("{policy:?} {requirement:?}");
    assert!(!shown.contains("alice"), "{shown}");
    assert!(shown.contains("/owner"), "{shown}");
}
