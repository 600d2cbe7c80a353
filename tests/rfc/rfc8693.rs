//! RFC 8693, Token Exchange: the claims of tokens that it issues.

use serde_json::json;
use tower_resource_server::policy::{Policy, client_id, role, subject};
use tower_resource_server::{Error, scope};

use crate::support::*;

#[tokio::test]
async fn id_8693_4_1_1_actors_grant_nothing() {
    let issuer = issuer();
    let server = server(&issuer);
    let act = json!({
        "sub": "service",
        "client_id": "service",
        "act": { "sub": "root", "client_id": "root", "scope": "admin", "roles": ["admin"], "iss": ISSUER },
    });
    let token = || issuer.token().claim("act", act.clone());
    for (name, policy, with_it) in [
        ("a scope", scope("admin"), token().scope("admin").sign()),
        ("a role", role("admin"), token().claim("roles", json!(["admin"])).sign()),
        ("a user", subject(ISSUER, "root"), token().subject("root").sign()),
        ("a client", client_id(ISSUER, "root"), token().claim("client_id", "root").sign()),
    ] {
        let policy: Policy = policy;
        let api = api(server.protect(policy));
        let reply = api.bearer(&token().sign()).await;
        assert_eq!(reply.status, 403, "{name}: {:?}", reply.error);
        assert!(!reply.ran, "{name}");
        api.bearer(&with_it).await.assert_ok(name);
    }
    // The handler can read who acted, for its records.
    let reply = api(server.layer()).bearer(&token().sign()).await;
    reply.assert_ok("no policy");
    assert_eq!(reply.json()["sub"], "alice");
    assert_eq!(reply.json()["claims"]["act"], act);
}

#[tokio::test]
async fn id_8693_4_1_3_times_and_audiences_of_an_actor_mean_nothing() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for (name, act) in [
        ("exp in the past", json!({ "sub": "service", "exp": 1 })),
        ("nbf in the future", json!({ "sub": "service", "nbf": 9_999_999_999_u64 })),
        ("another audience", json!({ "sub": "service", "aud": "https://x.example.com" })),
    ] {
        api.bearer(&issuer.token().claim("act", act).sign()).await.assert_ok(name);
    }
    api.bearer(&issuer.token().expires_in(-600).sign()).await.assert_invalid_token("its own exp");
}

#[tokio::test]
async fn id_8693_4_4_1_may_act_grants_the_presenter_nothing() {
    let issuer = issuer();
    let server = server(&issuer);
    let may_act = json!({ "sub": "admin", "client_id": "admin", "scope": "admin" });
    let token = issuer.token().claim("may_act", may_act).sign();
    let reply = api(server.layer()).bearer(&token).await;
    reply.assert_ok("as if it were not there");
    let plain = api(server.layer()).bearer(&issuer.token().sign()).await.json();
    for name in ["sub", "client_id", "scope", "principal"] {
        assert_eq!(reply.json()[name], plain[name], "{name}");
    }
    for (name, policy) in
        [("a user", subject(ISSUER, "admin")), ("a client", client_id(ISSUER, "admin"))]
    {
        let reply = api(server.protect(policy)).bearer(&token).await;
        assert_eq!(reply.status, 403, "{name}");
    }
    let reply = api(server.protect(scope("admin"))).bearer(&token).await;
    reply.assert_insufficient_scope("a scope", "admin");
    api(server.protect(subject(ISSUER, "alice"))).bearer(&token).await.assert_ok("its own user");
}

#[tokio::test]
async fn id_8693_4_2_1_scope_and_client_id_are_strings() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(scope("a")));
    api.bearer(&issuer.token().scope("b a").sign()).await.assert_ok("words in one string");
    for (name, claim, value) in [
        ("scope, an array", "scope", json!(["a"])),
        ("scope, a number", "scope", json!(1)),
        ("scope, an object", "scope", json!({ "a": true })),
        ("client_id, a number", "client_id", json!(1)),
        ("client_id, an array", "client_id", json!(["app"])),
    ] {
        let token = issuer.token().scope("a").claim(claim, value).sign();
        let reply = api.bearer(&token).await;
        reply.assert_invalid_token(name);
        let malformed = matches!(reply.error, Some(Error::MalformedClaim { .. }));
        assert!(malformed, "{name}: {:?}", reply.error);
    }
    for (name, scope) in [("a tab", "b\ta"), ("a comma", "b,a")] {
        let reply = api.bearer(&issuer.token().scope(scope).sign()).await;
        reply.assert_insufficient_scope(name, "a");
    }
}
