//! The modifiers of a profile, through the layer: each with what it refuses and a neighbour that
//! passes.

#[path = "support/mod.rs"]
mod support;

use serde_json::{Value, json};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Error, Profile, user};

use support::*;

/// The answer to a token with these claims, on a route for users or for any token.
async fn ask(
    issuer: &TestIssuer,
    profile: Profile,
    claims: &[(&str, Value)],
    users: bool,
) -> Reply {
    let server = builder(trusting(issuer).profile(profile)).build().unwrap();
    let token = claims.iter().fold(issuer.token().header("typ", "JWT"), |token, (name, value)| {
        token.claim(name, value.clone())
    });
    let token = token.sign();
    if users {
        api(server.protect(user())).bearer(&token).await
    } else {
        api(server.layer()).bearer(&token).await
    }
}

#[tokio::test]
async fn a_required_value_is_one_of_those_listed() {
    let issuer = issuer();
    let one = || Profile::jwt().require_value("kind", "a");
    let two = || Profile::jwt().require_one_of("kind", ["a", "b"]);
    let none = || Profile::jwt().require_one_of("kind", [] as [&str; 0]);
    let unaccepted = Some(Error::UnacceptedValue { claim: "kind".into() });
    let malformed = Some(Error::MalformedClaim { claim: "kind".into() });
    let missing = Some(Error::MissingClaim { claim: "kind".into() });
    for (name, profile, value, expected) in [
        ("the value", one(), json!("a"), None),
        ("the first of two", two(), json!("a"), None),
        ("the second of two", two(), json!("b"), None),
        ("another", one(), json!("b"), unaccepted.clone()),
        ("none of two", two(), json!("c"), unaccepted.clone()),
        ("case differs", one(), json!("A"), unaccepted.clone()),
        ("a longer one", one(), json!("ab"), unaccepted.clone()),
        ("nothing is listed", none(), json!("a"), unaccepted),
        ("an array of it", one(), json!(["a"]), malformed),
        ("null", one(), json!(null), missing),
    ] {
        let reply = ask(&issuer, profile, &[("kind", value)], false).await;
        assert_eq!(reply.error, expected, "{name}");
        match expected {
            None => reply.assert_ok(name),
            Some(_) => reply.assert_invalid_token(name),
        }
    }
    let absent = ask(&issuer, one(), &[], false).await;
    absent.assert_invalid_token("absent");
    assert_eq!(absent.error, Some(Error::MissingClaim { claim: "kind".into() }));
}

#[tokio::test]
async fn id_9068_5_1_a_clients_own_token_is_told_by_the_sign_of_its_server() {
    let issuer = issuer();
    let present = || Profile::jwt().client_if_present("service");
    let absent = || Profile::jwt().client_if_absent("scp");
    let suffix = || Profile::jwt().client_if_subject_ends("@clients");
    for (name, profile, claims, is_user) in [
        ("sign absent", present(), vec![], true),
        ("sign null", present(), vec![("service", json!(null))], true),
        ("sign present", present(), vec![("service", json!("x"))], false),
        ("sign present, of any type", present(), vec![("service", json!(false))], false),
        ("claim of users present", absent(), vec![("scp", json!("read"))], true),
        ("claim of users absent", absent(), vec![], false),
        ("claim of users null", absent(), vec![("scp", json!(null))], false),
        ("another subject", suffix(), vec![("sub", json!("app@client"))], true),
        ("subject in the middle", suffix(), vec![("sub", json!("@clients|x"))], true),
        ("subject of a client", suffix(), vec![("sub", json!("app@clients"))], false),
        ("two signs, one holds", present().client_if_absent("scp"), vec![], false),
        // A sign makes a client of a user, never a user of a client.
        ("client by its subject", present(), vec![("sub", json!("app"))], false),
    ] {
        ask(&issuer, profile.clone(), &claims, false).await.assert_ok(name);
        let reply = ask(&issuer, profile, &claims, true).await;
        if is_user {
            reply.assert_ok(name);
        } else {
            assert_eq!(reply.status, 403, "{name}: {:?}", reply.error);
            assert_eq!(reply.error, Some(Error::AccessDenied), "{name}");
        }
    }
}

#[tokio::test]
async fn a_claim_in_place_of_aud_does_not_outdo_aud() {
    let issuer = issuer();
    let profile = || Profile::jwt().audience_claim("resource");
    let foreign = "https://other.example.com";
    for (name, resource, aud, good) in [
        ("in its place", json!(AUDIENCE), None, true),
        ("one of several", json!([foreign, AUDIENCE]), None, true),
        ("both", json!(AUDIENCE), Some(json!(AUDIENCE)), true),
        ("foreign", json!(foreign), None, false),
        ("empty", json!([]), None, false),
        ("aud alone", json!(null), Some(json!(AUDIENCE)), false),
        ("ours, and a foreign aud", json!(AUDIENCE), Some(json!(foreign)), false),
        ("ours, and an empty aud", json!(AUDIENCE), Some(json!([])), false),
        ("ours, and an aud that is none", json!(AUDIENCE), Some(json!(5)), false),
        ("foreign, and our aud", json!(foreign), Some(json!(AUDIENCE)), false),
    ] {
        let token = issuer.token().claim("resource", resource);
        let token = match aud {
            Some(aud) => token.claim("aud", aud),
            None => token.without("aud"),
        };
        let server = builder(trusting(&issuer).profile(profile())).build().unwrap();
        let reply = api(server.layer()).bearer(&token.sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn an_alias_is_compared_and_may_be_no_url() {
    let issuer = issuer();
    let alias = |name: &str| builder(trusting(&issuer).profile(Profile::jwt()).alias(name)).build();
    let server = alias("acme.com").unwrap();
    let api = api(server.layer());
    for (iss, good) in [(ISSUER, true), ("acme.com", true), ("acme.co", false), ("", false)] {
        let reply = api.bearer(&issuer.token().claim("iss", iss).sign()).await;
        if good {
            reply.assert_ok(iss);
            assert_eq!(reply.json()["iss"], ISSUER, "the issuer's own name");
        } else {
            reply.assert_invalid_token(iss);
        }
    }
    assert!(alias("").is_err(), "an empty alias");
    assert!(alias(ISSUER).is_err(), "its own name again");
}
