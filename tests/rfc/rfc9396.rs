//! RFC 9396, Rich Authorization Requests.

use serde_json::{Value, json};
use tower_resource_server::policy::{Policy, all_of, authorization_details};
use tower_resource_server::{Error, scope};

use super::rfc9470::{kinds, of_both_kinds};
use crate::support::*;

fn assert_denied(reply: &Reply, name: &str) {
    assert_eq!(reply.status, 403, "{name}: {:?}", reply.error);
    assert!(matches!(reply.error, Some(Error::AccessDenied { .. })), "{name}: {:?}", reply.error);
    assert_eq!(reply.challenges[0].param("error"), None, "{name}");
    assert_eq!(reply.challenges[0].param("scope"), None, "{name}");
    assert!(!reply.ran, "{name}");
}

fn payment() -> Policy {
    authorization_details("payment").with("actions", ["initiate"]).into()
}

#[tokio::test]
async fn id_9396_9_1_details_are_a_top_level_array_of_objects_with_a_type() {
    let (issuer, _, server) = of_both_kinds().await;
    let api = api(server.protect(payment()));
    let entry = json!({ "type": "payment", "actions": ["initiate"] });
    for (name, claim, details, good) in [
        ("an array", "authorization_details", json!([entry]), true),
        ("among others", "authorization_details", json!([{ "type": "x" }, entry]), true),
        ("an object", "authorization_details", entry.clone(), false),
        ("JSON as a text", "authorization_details", json!(json!([entry]).to_string()), false),
        ("an array in an array", "authorization_details", json!([[entry]]), false),
        ("no type", "authorization_details", json!([{ "actions": ["initiate"] }]), false),
        (
            "a type that is no text",
            "authorization_details",
            json!([{ "type": ["payment"], "actions": ["initiate"] }]),
            false,
        ),
        ("null", "authorization_details", json!(null), false),
        ("empty", "authorization_details", json!([]), false),
        ("under another name", "authorization_detail", json!([entry]), false),
        ("inside another claim", "x", json!({ "authorization_details": [entry] }), false),
    ] {
        for (kind, token) in kinds(|| issuer.token().claim(claim, details.clone())) {
            let (reply, name) = (api.bearer(&token).await, format!("{name}, {kind}"));
            if good { reply.assert_ok(&name) } else { assert_denied(&reply, &name) }
        }
    }
    for (kind, token) in kinds(|| issuer.token()) {
        assert_denied(&api.bearer(&token).await, kind);
    }
}

#[tokio::test]
async fn id_9396_9_2_details_count_beside_the_scope_and_what_is_unknown_grants_nothing() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(all_of([scope("pay"), payment()])));
    let good = json!([{ "type": "payment", "actions": ["initiate"] }]);
    let token = |scope: &str, details: &Value| {
        issuer.token().scope(scope).claim("authorization_details", details.clone()).sign()
    };
    api.bearer(&token("pay", &good)).await.assert_ok("both");
    api.bearer(&token("x", &good)).await.assert_insufficient_scope("details alone", "pay");
    assert_denied(&api.bearer(&issuer.token().scope("pay").sign()).await, "the scope alone");
    assert_denied(&api.bearer(&token("x", &json!([]))).await, "neither");
    for (name, details) in [
        ("another type", json!([{ "type": "account", "actions": ["initiate"] }])),
        ("an unknown member", json!([{ "type": "payment", "actions": ["initiate"], "limit": 1 }])),
        ("another action", json!([{ "type": "payment", "actions": ["cancel"] }])),
        (
            "only two entries together",
            json!([{ "type": "payment" }, { "type": "account", "actions": ["initiate"] }]),
        ),
    ] {
        assert_denied(&api.bearer(&token("pay", &details)).await, name);
    }
}

#[tokio::test]
async fn id_9396_2_2_1_locations_name_this_api() {
    const OWN: &str = "urn:example:this-api";
    let issuer = issuer();
    let details = |locations: Value| json!([{ "type": "payment", "actions": ["initiate"], "locations": locations }]);
    // An issuer with an audience of its own knows this API by that name alone.
    let plain = server(&issuer);
    let named = builder(trusting(&issuer).audience(OWN)).build().unwrap();
    let renamed = server(&issuer);
    renamed.reload([trusting(&issuer)], [OWN]).unwrap();
    for (server_name, server, own, foreign) in [
        ("by its audience", plain, AUDIENCE, OWN),
        ("by the issuer's audience", named, OWN, AUDIENCE),
        ("by its audience after a reload", renamed, OWN, AUDIENCE),
    ] {
        let api = api(server.protect(payment()));
        for (name, locations, good) in [
            ("this API", json!([own]), true),
            ("this API and another", json!([foreign, own]), true),
            ("another API", json!([foreign]), false),
            ("a path of this API", json!([format!("{own}/x")]), false),
            ("a text", json!(own), false),
            ("nothing", json!([]), false),
            ("null", json!(null), false),
        ] {
            let token = issuer.token().audience(own);
            let token = token.claim("authorization_details", details(locations)).sign();
            let (reply, name) = (api.bearer(&token).await, format!("{name}, {server_name}"));
            if good { reply.assert_ok(&name) } else { assert_denied(&reply, &name) }
        }
    }
}
