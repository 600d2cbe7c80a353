//! Authorization beyond scopes: RFC 9470 (step-up), RFC 9396 (authorization_details), RFC 8693 (`act`), RFC
//! 8707 (resource indicators), and what MCP asks of scopes.

use std::time::Duration;

use serde_json::json;
use tower::ServiceBuilder;
use tower_resource_server::clock::TestClock;
use tower_resource_server::policy::{
    Policy, Requirement, acr, all_of, audience, authorization_details, claim, max_age, user,
};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{ResourceServer, scope};

use crate::support::*;

const NOW: u64 = 1_790_000_000;

/// An issuer and a server with a clock that stands still.
fn at_rest() -> (TestIssuer, ResourceServer) {
    let clock = TestClock::at(NOW);
    let issuer = TestIssuer::builder().clock(clock.clone()).in_process(ISSUER);
    let server = builder(trusting(&issuer)).clock(clock).build().unwrap();
    (issuer, server)
}

/// The parameters of the only challenge.
fn params(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.challenges.len(), 1, "{reply:?}");
    let params = reply.challenges[0].params.iter();
    let own = params.filter(|(name, _)| name != "realm" && name != "error_description");
    own.map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

const STEP_UP: (&str, &str) = ("error", "insufficient_user_authentication");

#[tokio::test]
async fn id_9470_3_1_a_weak_login_is_401_insufficient_user_authentication() {
    let (issuer, server) = at_rest();
    let api = api(server.protect(acr(["high"])));
    for (name, value) in
        [("too low", json!("low")), ("another type", json!(["high"])), ("a number", json!(1))]
    {
        let reply = api.bearer(&issuer.token().claim("acr", value).sign()).await;
        assert_eq!((reply.status.as_u16(), reply.ran), (401, false), "{name}");
        assert_eq!(params(&reply), [STEP_UP, ("acr_values", "high")], "{name}");
    }
    let reply = api.bearer(&issuer.token().sign()).await;
    assert_eq!(params(&reply), [STEP_UP, ("acr_values", "high")], "no acr");
    api.bearer(&issuer.token().claim("acr", "high").sign()).await.assert_ok("high enough");
}

#[tokio::test]
async fn id_9470_3_2_acr_values_keep_their_order_beside_max_age_and_scope() {
    let (issuer, server) = at_rest();
    let policy = all_of([
        acr(["urn:example:phr", "urn:example:mfa"]),
        max_age(Duration::from_secs(300)),
        scope("pay"),
        scope("read"),
    ]);
    let api = api(server.protect(policy));
    let token = |acr: &str, age: u64, scope: &str| {
        issuer.token().claim("acr", acr).claim("auth_time", NOW - age).scope(scope).sign()
    };
    let all = [
        STEP_UP,
        ("scope", "pay read"),
        ("acr_values", "urn:example:phr urn:example:mfa"),
        ("max_age", "300"),
    ];
    for (name, token) in [
        ("acr", token("low", 0, "pay read")),
        ("age", token("urn:example:mfa", 301, "pay read")),
        ("both", token("low", 301, "pay read")),
        ("all", token("low", 301, "")),
    ] {
        let reply = api.bearer(&token).await;
        assert_eq!(reply.status, 401, "{name}");
        assert_eq!(params(&reply), all, "{name}");
    }
    // With a login that suffices, only scopes are missing.
    let reply = api.bearer(&token("urn:example:mfa", 0, "read")).await;
    reply.assert_insufficient_scope("scope", "pay read");
    assert_eq!(reply.challenges[0].param("acr_values"), None);
    api.bearer(&token("urn:example:mfa", 300, "read pay")).await.assert_ok("all");
}

#[tokio::test]
async fn id_9470_3_3_max_age_is_a_whole_number_of_seconds() {
    let (issuer, server) = at_rest();
    for (age, expected) in [
        (Duration::ZERO, "0"),
        (Duration::from_millis(1_999), "1"),
        (Duration::from_secs(3_600), "3600"),
        (Duration::MAX, "18446744073709551615"),
    ] {
        let reply = api(server.protect(max_age(age))).bearer(&issuer.token().sign()).await;
        assert_eq!(params(&reply), [STEP_UP, ("max_age", expected)]);
    }
    // A setting can't be negative: `Duration` has no sign. The text of `acr_values` is checked.
    assert!(Policy::try_acr(["a b"]).is_err() && Policy::try_acr(["a"]).is_ok());
}

#[tokio::test]
async fn id_9470_6_1_1_missing_data_is_no_fulfilment() {
    let (issuer, server) = at_rest();
    let api = api(server.protect(max_age(Duration::from_secs(300))));
    for (name, auth_time, status) in [
        ("exactly as old", json!(NOW - 300), 200),
        ("a second older", json!(NOW - 301), 401),
        ("now", json!(NOW), 200),
        ("a clock ahead", json!(NOW + 60), 200),
        ("the future", json!(NOW + 61), 401),
        ("milliseconds", json!(NOW * 1000), 401),
        ("text", json!((NOW - 1).to_string()), 401),
        ("null", json!(null), 401),
        ("an array", json!([NOW]), 401),
    ] {
        let reply = api.bearer(&issuer.token().claim("auth_time", auth_time).sign()).await;
        assert_eq!(reply.status, status, "{name}");
    }
    let reply = api.bearer(&issuer.token().sign()).await;
    assert_eq!(params(&reply), [STEP_UP, ("max_age", "300")], "no auth_time");
}

#[tokio::test]
async fn id_9470_9_1_the_token_is_validated_first() {
    let (issuer, server) = at_rest();
    let api = api(server.protect(all_of([acr(["high"]), max_age(Duration::from_secs(60))])));
    for (name, token) in [
        ("expired", issuer.token().expires_in(-600).sign()),
        ("for another API", issuer.token().audience("https://other.example.com").sign()),
        ("garbage", "garbage".to_owned()),
    ] {
        let reply = api.bearer(&token).await;
        reply.assert_invalid_token(name);
        assert_eq!(reply.challenges[0].param("acr_values"), None, "{name}");
        assert_eq!(reply.challenges[0].param("max_age"), None, "{name}");
    }
    let anonymous = api.anonymous().await;
    assert_eq!(anonymous.challenges[0].param("acr_values"), None);
    let good = issuer.token().claim("acr", "high").claim("auth_time", NOW).sign();
    api.bearer(&good).await.assert_ok("good");
}

fn details(value: serde_json::Value) -> impl Fn(&TestIssuer) -> String {
    move |issuer| issuer.token().scope("pay").claim("authorization_details", value.clone()).sign()
}

#[tokio::test]
async fn id_9396_9_1_it_is_an_array_of_objects_with_a_type() {
    let (issuer, server) = at_rest();
    let api = api(server.protect(Policy::from(authorization_details("payment"))));
    for (name, value, status) in [
        ("an entry", json!([{ "type": "payment" }]), 200),
        ("beside others", json!([{ "type": "x" }, 1, { "type": "payment" }]), 200),
        ("an object", json!({ "type": "payment" }), 403),
        ("no type", json!([{ "kind": "payment" }]), 403),
        ("a type that is no string", json!([{ "type": ["payment"] }]), 403),
        ("a string", json!("payment"), 403),
        ("an array in an array", json!([[{ "type": "payment" }]]), 403),
        ("empty", json!([]), 403),
        ("null", json!(null), 403),
    ] {
        let reply = api.bearer(&details(value)(&issuer)).await;
        assert_eq!(reply.status, status, "{name}");
        if status == 403 {
            assert_eq!(params(&reply), [], "{name}: no scope would help");
        }
    }
}

#[tokio::test]
async fn id_9396_9_2_it_is_enforced_beside_scope_and_unknown_fields_grant_nothing() {
    let (issuer, server) = at_rest();
    let payment = authorization_details("payment").with("actions", ["initiate"]).ignoring("note");
    let api = api(server.protect(all_of([scope("pay"), payment.into()])));
    let good = json!([{ "type": "payment", "actions": ["initiate", "cancel"], "note": "x" }]);
    api.bearer(&details(good.clone())(&issuer)).await.assert_ok("both");
    let without_scope = issuer.token().claim("authorization_details", good).sign();
    api.bearer(&without_scope).await.assert_insufficient_scope("details alone", "pay");
    for (name, value) in [
        ("scope alone", json!(null)),
        ("another type", json!([{ "type": "account", "actions": ["initiate"] }])),
        ("an unknown field", json!([{ "type": "payment", "actions": ["initiate"], "max": 1 }])),
        ("another action", json!([{ "type": "payment", "actions": ["cancel"] }])),
        (
            "two entries that only together grant it",
            json!([{ "type": "payment" }, { "type": "x", "actions": ["initiate"] }]),
        ),
    ] {
        let reply = api.bearer(&details(value)(&issuer)).await;
        assert_eq!((reply.status.as_u16(), reply.ran), (403, false), "{name}");
        assert_eq!(params(&reply), [], "{name}");
    }
}

#[tokio::test]
async fn id_9396_2_2_1_locations_name_this_resource_server() {
    let (issuer, server) = at_rest();
    let api = api(server.protect(Policy::from(authorization_details("payment"))));
    for (name, locations, status) in [
        ("this API", json!([AUDIENCE]), 200),
        ("among others", json!(["https://other.example.com", AUDIENCE]), 200),
        ("another API", json!(["https://other.example.com"]), 403),
        ("a prefix", json!(["https://api.example.com/"]), 403),
        ("a string", json!(AUDIENCE), 403),
        ("empty", json!([]), 403),
        ("null", json!(null), 403),
    ] {
        let value = json!([{ "type": "payment", "locations": locations }]);
        assert_eq!(api.bearer(&details(value)(&issuer)).await.status, status, "{name}");
    }
}

#[tokio::test]
async fn id_8693_4_1_1_an_actor_in_the_token_grants_nothing() {
    let (issuer, server) = at_rest();
    let admin = api(server.protect(claim("role").equals("admin")));
    let alice = api(server.protect(tower_resource_server::policy::subject(ISSUER, "alice")));
    let act = json!({ "sub": "alice", "role": "admin", "act": { "sub": "root", "role": "admin" } });
    let token = |subject: &str| issuer.token().subject(subject).claim("act", act.clone());
    assert_eq!(admin.bearer(&token("bob").sign()).await.status, 403);
    assert_eq!(alice.bearer(&token("bob").sign()).await.status, 403);
    alice.bearer(&token("alice").sign()).await.assert_ok("the subject itself");
    admin.bearer(&token("bob").claim("role", "admin").sign()).await.assert_ok("the top level");
    // A handler sees the actor, for its records.
    let reply = alice.bearer(&token("alice").sign()).await;
    assert_eq!(reply.json()["claims"]["act"]["act"]["sub"], "root");
}

#[tokio::test]
async fn id_8693_4_1_3_and_4_4_1_times_of_an_actor_and_may_act_mean_nothing() {
    let (issuer, server) = at_rest();
    let api = api(server.protect(user()));
    let act = json!({ "sub": "svc", "exp": 1, "nbf": 9_999_999_999_u64, "aud": "x" });
    api.bearer(&issuer.token().claim("act", act).sign()).await.assert_ok("act");
    let token = issuer.token().claim("may_act", json!({ "sub": "app" })).sign();
    let reply = api.bearer(&token).await;
    reply.assert_ok("may_act");
    assert_eq!(reply.json()["sub"], api.bearer(&issuer.token().sign()).await.json()["sub"]);
}

#[tokio::test]
async fn id_8693_4_2_1_scope_and_client_id_are_strings() {
    let (issuer, server) = at_rest();
    let api = api(server.layer());
    for (name, claim, value) in [
        ("scope as an array", "scope", json!(["a"])),
        ("scope as a number", "scope", json!(1)),
        ("client_id as a number", "client_id", json!(1)),
        ("client_id as an array", "client_id", json!(["app"])),
    ] {
        let token = issuer.token().claim(claim, value).sign();
        api.bearer(&token).await.assert_invalid_token(name);
    }
    api.bearer(&issuer.token().scope("a b").claim("client_id", "app").sign())
        .await
        .assert_ok("good");
}

#[tokio::test]
async fn id_8707_2_2_each_configured_audience_is_accepted() {
    let issuer = issuer();
    let server = ResourceServer::builder()
        .issuer(trusting(&issuer))
        .audience(AUDIENCE)
        .audience("urn:example:api")
        .build()
        .unwrap();
    let api = api(server.layer());
    for (name, audience) in [("URL", AUDIENCE), ("URN", "urn:example:api")] {
        api.bearer(&issuer.token().audience(audience).sign()).await.assert_ok(name);
    }
    let other = issuer.token().audience("urn:example:other").sign();
    api.bearer(&other).await.assert_invalid_token("another one");
}

#[tokio::test]
async fn id_8707_3_1_the_audience_of_one_tenant_is_refused_at_another() {
    let issuer = issuer();
    let (a, b) = ("https://api.example.com/a", "https://api.example.com/b");
    let server = ResourceServer::builder()
        .issuer(trusting(&issuer))
        .audience(a)
        .audience(b)
        .build()
        .unwrap();
    let tenant = server.require_with(|parts, _| {
        let tenant = parts.uri.path().split('/').nth(1).unwrap_or_default();
        Ok(audience(&format!("https://api.example.com/{tenant}")).into())
    });
    let api = api(ServiceBuilder::new().layer(server.layer()).layer(tenant));
    let token = issuer.token().audience(a).sign();
    let ask = |path: &str| {
        let request = http::Request::get(path).header("authorization", format!("Bearer {token}"));
        request.body(Body::default()).unwrap()
    };
    api.send(ask("/a/notes")).await.assert_ok("its own tenant");
    for path in ["/b/notes", "/", "/A/notes", "/a%2fb/notes"] {
        api.send(ask(path)).await.assert_invalid_token(path);
    }
}

#[tokio::test]
async fn id_mcp_9_a_broader_scope_that_implies_a_narrower_one_suffices() {
    let issuer = issuer();
    let with_rule =
        builder(trusting(&issuer)).scope_implies("files", ["files:read"]).build().unwrap();
    let without = server(&issuer);
    let token = |scope: &str| issuer.token().scope(scope).sign();
    let read = api(with_rule.protect(scope("files:read")));
    read.bearer(&token("files")).await.assert_ok("implied");
    read.bearer(&token("files:read")).await.assert_ok("itself");
    read.bearer(&token("file")).await.assert_insufficient_scope("a prefix", "files:read");
    let files = api(with_rule.protect(scope("files")));
    files.bearer(&token("files:read")).await.assert_insufficient_scope("not upwards", "files");
    let plain = api(without.protect(scope("files:read")));
    plain.bearer(&token("files")).await.assert_insufficient_scope("no rule", "files:read");
}

#[tokio::test]
async fn id_mcp_24_a_handler_asks_for_all_scopes_of_one_operation_at_once() {
    let issuer = issuer();
    let server = server(&issuer);
    let by_id = server.require_with(|parts, _| {
        let id = parts.uri.path().strip_prefix("/files/").unwrap_or_default().to_owned();
        let own = Policy::try_scope(&format!("files:{id}"))?;
        Ok(Requirement::from(Policy::try_all_of([Policy::try_scope("files")?, own])?))
    });
    let api = api(ServiceBuilder::new().layer(server.layer()).layer(by_id));
    let ask = |scope: &str| {
        let token = issuer.token().scope(scope).sign();
        let request =
            http::Request::get("/files/7").header("authorization", format!("Bearer {token}"));
        request.body(Body::default()).unwrap()
    };
    for held in ["", "files", "files:7", "files:8 files"] {
        api.send(ask(held)).await.assert_insufficient_scope(held, "files files:7");
    }
    api.send(ask("files:7 files")).await.assert_ok("both");
}
