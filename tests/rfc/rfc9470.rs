//! RFC 9470, Step-up Authentication Challenge.

use std::time::Duration;

use serde_json::json;
use tower::ServiceBuilder;
use tower_resource_server::clock::{Clock as _, TestClock};
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::policy::{Policy, acr, all_of, any_of, max_age};
use tower_resource_server::test_issuer::{TestIssuer, TokenBuilder};
use tower_resource_server::{Error, Issuer, ResourceServer, scope};

use crate::support::*;

/// An issuer whose tokens are JWTs and opaque ones, and the server that takes both.
pub(crate) async fn of_both_kinds() -> (TestIssuer, TestClock, ResourceServer) {
    let clock = TestClock::starting_now();
    let issuer = TestIssuer::builder().clock(clock.clone()).start().await.unwrap();
    let introspection = Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"));
    let trusted = Issuer::new(issuer.url()).introspection(introspection);
    let server = builder(trusted).allow_http_loopback().clock(clock.clone()).build().unwrap();
    (issuer, clock, server)
}

/// The same token in both kinds.
pub(crate) fn kinds<'a>(make: impl Fn() -> TokenBuilder<'a>) -> [(&'static str, String); 2] {
    [("a JWT", make().sign()), ("introspected", make().opaque())]
}

#[track_caller]
fn assert_step_up(
    reply: &Reply,
    name: &str,
    scope: Option<&str>,
    acr: Option<&str>,
    age: Option<&str>,
) {
    assert_eq!(reply.status, 401, "{name}: {:?}", reply.error);
    let [challenge] = reply.challenges.as_slice() else { panic!("{name}: {reply:?}") };
    assert_eq!(challenge.param("error"), Some("insufficient_user_authentication"), "{name}");
    assert_eq!(challenge.param("scope"), scope, "{name}");
    assert_eq!(challenge.param("acr_values"), acr, "{name}");
    assert_eq!(challenge.param("max_age"), age, "{name}");
    assert!(!reply.ran, "{name}");
}

#[tokio::test]
async fn id_9470_3_1_an_unmet_login_is_401_insufficient_user_authentication() {
    let issuer = issuer();
    let server = server(&issuer);
    let policy = || acr(["high", "higher"]);
    let layered = ServiceBuilder::new().layer(server.layer()).layer(server.require(policy()));
    let layered = api(layered);
    let protected = api(server.protect(policy()));
    for (name, own, good) in [
        ("too low", json!("low"), false),
        ("none", json!(null), false),
        ("another type", json!(["high"]), false),
        ("another case", json!("High"), false),
        ("both in one text", json!("high higher"), false),
        ("empty", json!(""), false),
        ("the first", json!("high"), true),
        ("the second", json!("higher"), true),
    ] {
        let token = issuer.token().claim("acr", own).sign();
        for reply in [layered.bearer(&token).await, protected.bearer(&token).await] {
            match good {
                true => reply.assert_ok(name),
                false => assert_step_up(&reply, name, None, Some("high higher"), None),
            }
        }
    }
}

#[tokio::test]
async fn id_9470_3_2_acr_values_stand_in_the_order_of_preference_beside_max_age_and_scope() {
    let issuer = issuer();
    let server = server(&issuer);
    let urn = "urn:mace:incommon:iap:silver";
    let hour = || max_age(Duration::from_secs(3600));
    let minute = || max_age(Duration::from_secs(60));
    for (name, policy, scope, acr_values, age) in [
        ("acr", acr(["b", "a", "c"]), None, Some("b a c"), None),
        ("a URN", acr([urn]), None, Some(urn), None),
        ("max_age", hour(), None, None, Some("3600")),
        ("both", all_of([hour(), acr(["a"])]), None, Some("a"), Some("3600")),
        (
            "with all scopes",
            all_of([scope("x"), acr(["a"]), hour(), scope("y")]),
            Some("x y"),
            Some("a"),
            Some("3600"),
        ),
        (
            "two conditions in one",
            all_of([acr(["a", "b", "c"]), acr(["c", "b"]), hour(), minute()]),
            None,
            Some("b c"),
            Some("60"),
        ),
        ("the first of two branches", any_of([acr(["a"]), acr(["b"])]), None, Some("a"), None),
    ] {
        let reply = api(server.protect(policy)).bearer(&issuer.token().scope("x").sign()).await;
        assert_step_up(&reply, name, scope, acr_values, age);
    }
    // Where a scope is enough, a client is not sent to a login.
    let either = || any_of([acr(["a"]), scope("x")]);
    let reply = api(server.protect(either())).bearer(&issuer.token().sign()).await;
    reply.assert_insufficient_scope("either", "x");
    api(server.protect(either())).bearer(&issuer.token().scope("x").sign()).await.assert_ok("x");
    // What can't stand in a list that spaces separate is no setting.
    for value in ["a b", "", "a\"", "é"] {
        assert!(Policy::try_acr([value]).is_err(), "{value:?}");
    }
}

#[tokio::test]
async fn id_9470_3_3_max_age_is_a_non_negative_integer() {
    let issuer = issuer();
    let server = server(&issuer);
    // A `Duration` is never negative.
    for (name, age, shown) in [
        ("zero", Duration::ZERO, "0"),
        ("a fraction", Duration::from_millis(1_999), "1"),
        ("less than a second", Duration::from_millis(999), "0"),
        ("the longest", Duration::MAX, "18446744073709551615"),
    ] {
        let reply = api(server.protect(max_age(age))).bearer(&issuer.token().sign()).await;
        assert_step_up(&reply, name, None, None, Some(shown));
    }
    let now = issuer.token().claim("auth_time", TestClock::starting_now().wall().as_secs()).sign();
    api(server.protect(max_age(Duration::MAX))).bearer(&now).await.assert_ok("any login");
}

#[tokio::test]
async fn id_9470_6_1_1_acr_and_auth_time_are_those_of_the_token_or_its_introspection() {
    let (issuer, clock, server) = of_both_kinds().await;
    let now = clock.wall().as_secs();
    let recent = api(server.protect(max_age(Duration::from_secs(60))));
    for (name, auth_time, good) in [
        ("absent", None, false),
        ("null", Some(json!(null)), false),
        ("a text", Some(json!(now.to_string())), false),
        ("an array", Some(json!([now])), false),
        ("exactly as old", Some(json!(now - 60)), true),
        ("a fraction older", Some(json!(now as f64 - 60.5)), false),
        ("a second older", Some(json!(now - 61)), false),
        ("just now", Some(json!(now)), true),
        ("by a clock that is a minute ahead", Some(json!(now + 60)), true),
        ("in the future", Some(json!(now + 61)), false),
        ("in milliseconds", Some(json!(now * 1000)), false),
        ("negative", Some(json!(-1)), false),
        ("endless", Some(json!(1e300)), false),
    ] {
        let make = || match &auth_time {
            Some(auth_time) => issuer.token().claim("auth_time", auth_time.clone()),
            None => issuer.token(),
        };
        for (kind, token) in kinds(make) {
            let (reply, name) = (recent.bearer(&token).await, format!("{name}, {kind}"));
            match good {
                true => reply.assert_ok(&name),
                false => assert_step_up(&reply, &name, None, None, Some("60")),
            }
        }
    }
    let high = api(server.protect(acr(["high"])));
    for (name, own, good) in [("high", json!("high"), true), ("low", json!("low"), false)] {
        for (kind, token) in kinds(|| issuer.token().claim("acr", own.clone())) {
            let (reply, name) = (high.bearer(&token).await, format!("{name}, {kind}"));
            match good {
                true => reply.assert_ok(&name),
                false => assert_step_up(&reply, &name, None, Some("high"), None),
            }
        }
    }
    for (kind, token) in kinds(|| issuer.token()) {
        assert_step_up(&high.bearer(&token).await, kind, None, Some("high"), None);
    }
}

#[tokio::test]
async fn id_9470_9_1_the_token_is_validated_before_its_login_is_judged() {
    let issuer = issuer();
    let server = server(&issuer);
    let policy = || all_of([acr(["high"]), max_age(Duration::from_secs(60))]);
    let layered = ServiceBuilder::new().layer(server.layer()).layer(server.require(policy()));
    let layered = api(layered);
    let protected = api(server.protect(policy()));
    let good = issuer.token().sign();
    for (name, token) in [
        ("expired", issuer.token().expires_in(-600).sign()),
        ("another audience", issuer.token().audience("https://x.example.com").sign()),
        ("a bad signature", Forger::new(&good).token("x")),
        ("no token at all", "x".to_owned()),
    ] {
        for reply in [layered.bearer(&token).await, protected.bearer(&token).await] {
            reply.assert_invalid_token(name);
            assert_eq!(reply.challenges[0].param("acr_values"), None, "{name}");
            assert_eq!(reply.challenges[0].param("max_age"), None, "{name}");
        }
    }
    for reply in [layered.anonymous().await, protected.anonymous().await] {
        reply.assert_invited("anonymous");
        assert_eq!(reply.challenges[0].param("acr_values"), None);
    }
    let reply = protected.bearer(&good).await;
    assert_step_up(&reply, "a valid token", None, Some("high"), Some("60"));
    assert!(matches!(reply.error, Some(Error::InsufficientUserAuthentication { .. })));
}
