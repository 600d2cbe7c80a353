//! Keys and algorithms that come as types of `jsonwebtoken`.

#![cfg(feature = "jsonwebtoken")]

#[path = "support/mod.rs"]
mod support;

use jsonwebtoken::Algorithm as Theirs;
use jsonwebtoken::jwk::JwkSet;
use serde_json::{Value, json};
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Error, Issuer};

use support::*;

fn of(algorithm: Algorithm) -> TestIssuer {
    TestIssuer::builder().algorithm(algorithm).in_process(ISSUER)
}

/// The key set as `jsonwebtoken` reads it.
fn read(jwks: &str) -> JwkSet {
    serde_json::from_str(jwks).unwrap()
}

#[test]
fn algorithms_keep_their_names() {
    for theirs in [
        Theirs::HS256,
        Theirs::HS384,
        Theirs::HS512,
        Theirs::ES256,
        Theirs::ES384,
        Theirs::RS256,
        Theirs::RS384,
        Theirs::RS512,
        Theirs::PS256,
        Theirs::PS384,
        Theirs::PS512,
        Theirs::EdDSA,
    ] {
        let name = serde_json::to_value(theirs).unwrap();
        let expected = Algorithm::from_name(name.as_str().unwrap());
        assert_eq!(Algorithm::try_from(theirs).ok(), expected, "{name}");
        assert!(expected.is_some(), "{name}");
    }
}

#[tokio::test]
async fn their_key_set_verifies_as_its_text_does() {
    for algorithm in [Algorithm::RS256, Algorithm::PS384, Algorithm::ES256, Algorithm::ES384] {
        let issuer = of(algorithm);
        let trusted = Issuer::new(issuer.url()).jwk_set(&read(&issuer.jwks()));
        let api = api(builder(trusted).build().unwrap().layer());
        api.bearer(&issuer.token().sign()).await.assert_ok(algorithm.name());

        let forged = of(algorithm).token().sign();
        let refused = api.bearer(&forged).await;
        refused.assert_invalid_token(algorithm.name());
        assert_eq!(refused.error, Some(Error::BadSignature { algorithm }));
    }
}

#[tokio::test]
async fn members_that_bind_a_key_are_kept() {
    let issuer = of(Algorithm::ES256);
    let original: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let spare =
        serde_json::from_str::<Value>(&of(Algorithm::ES384).jwks()).unwrap()["keys"][0].clone();
    for (name, member, value, good) in [
        ("as it is", "use", json!("sig"), true),
        ("for verifying", "key_ops", json!(["verify"]), true),
        ("for encryption", "use", json!("enc"), false),
        ("for another use", "use", json!("jwt-svid"), false),
        ("for signing alone", "key_ops", json!(["sign"]), false),
        ("of another kid", "kid", json!("other"), false),
        ("of another algorithm", "alg", json!("ES384"), false),
        // They have one word for all of these, so none is taken for another.
        ("of an algorithm that they do not know", "alg", json!("ES512"), false),
        ("of an algorithm that nobody knows", "alg", json!("x"), false),
    ] {
        let mut key = original["keys"][0].clone();
        key[member] = value;
        let jwks = json!({ "keys": [key, spare] }).to_string();
        let trusted = Issuer::new(issuer.url()).jwk_set(&read(&jwks));
        let api = api(builder(trusted).build().unwrap().layer());
        let reply = api.bearer(&issuer.token().sign()).await;
        if good {
            reply.assert_ok(name);
        } else {
            reply.assert_invalid_token(name);
            assert!(matches!(reply.error, Some(Error::UnknownKey { .. })), "{name}");
        }
    }
}

#[tokio::test]
async fn an_ed25519_key_is_known_by_its_older_name() {
    let issuer = of(Algorithm::Ed25519);
    let named = |alg: Option<&str>| {
        let mut jwks: Value = serde_json::from_str(&issuer.jwks()).unwrap();
        match alg {
            Some(alg) => jwks["keys"][0]["alg"] = json!(alg),
            None => drop(jwks["keys"][0].as_object_mut().unwrap().remove("alg")),
        }
        builder(Issuer::new(issuer.url()).jwk_set(&read(&jwks.to_string()))).build()
    };
    for alg in [Some("EdDSA"), None] {
        let api = api(named(alg).unwrap().layer());
        api.bearer(&issuer.token().sign()).await.assert_ok("older name, or none");
    }
    assert!(named(Some("Ed25519")).is_err(), "a name that they do not know: no usable key");
}

#[test]
fn a_secret_in_a_set_is_no_key() {
    let secret = json!({ "keys": [{ "kty": "oct", "k": "A".repeat(64), "alg": "HS256" }] });
    let trusted = Issuer::new(ISSUER).jwk_set(&read(&secret.to_string()));
    let listed = trusted.clone().algorithms([Algorithm::try_from(Theirs::HS256).unwrap()]);
    assert!(builder(trusted).build().is_err());
    assert!(builder(listed).build().is_err());
    let issuer = of(Algorithm::ES256);
    assert!(builder(Issuer::new(ISSUER).jwk_set(&read(&issuer.jwks()))).build().is_ok());
    assert!(builder(Issuer::new(ISSUER).jwk_set(&JwkSet::default())).build().is_err());
}
