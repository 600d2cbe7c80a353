//! RFC 7517, JSON Web Key; RFC 9964 where it touches key sets. The rows that need a key server are
//! in `tests/remote.rs`.

use serde_json::{Value, json};
use tower_resource_server::Issuer;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::TestIssuer;

use crate::support::*;

/// The first key of the issuer, changed.
fn changed(issuer: &TestIssuer, change: impl FnOnce(&mut Value)) -> Value {
    let mut set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let mut key = set["keys"][0].take();
    change(&mut key);
    key
}

/// Another good key, so that a set without the changed one is still a set.
fn other_key() -> Value {
    let other = TestIssuer::in_process("https://other.example.com");
    other.rotate();
    changed(&other, |key| key["kid"] = json!("other"))
}

async fn reply_with(issuer: &TestIssuer, keys: Vec<Value>, token: &str) -> Reply {
    let set = json!({ "keys": keys }).to_string();
    let server = builder(Issuer::new(ISSUER).jwks(set)).build().unwrap();
    let _ = issuer;
    api(server.layer()).bearer(token).await
}

#[test]
fn id_7517_5_1_a_set_is_an_object_with_an_array_of_keys() {
    let issuer = issuer();
    let good = issuer.jwks();
    for (name, set) in [
        ("array", "[]".to_owned()),
        ("HTML", "<!doctype html>".to_owned()),
        ("truncated", good[..good.len() / 2].to_owned()),
        ("no keys", "{}".to_owned()),
        ("keys as object", r#"{"keys":{}}"#.to_owned()),
        ("empty", r#"{"keys":[]}"#.to_owned()),
        ("keys twice", format!(r#"{{"keys":[],{}"#, &good[1..])),
        ("keys twice, once by an escape", format!(r#"{{"\u006beys":[],{}"#, &good[1..])),
        ("something behind it", format!("{good} {{}}")),
        ("two byte order marks", format!("\u{feff}\u{feff}{good}")),
    ] {
        assert!(builder(Issuer::new(ISSUER).jwks(set)).build().is_err(), "{name}");
    }
    assert!(builder(Issuer::new(ISSUER).jwks(format!("\u{feff}{good}"))).build().is_ok());
    assert!(builder(Issuer::new(ISSUER).jwks(good)).build().is_ok());
}

#[tokio::test]
async fn the_first_250_keys_of_a_set_are_used_and_the_rest_is_reported() {
    let issuer = issuer();
    let own = changed(&issuer, |_| {});
    let token = issuer.token().sign();
    let other = other_key();
    for (before, used) in [(0, true), (99, true), (100, true), (249, true), (250, false)] {
        for behind in [0, 1, 300] {
            let mut keys = vec![other.clone(); before];
            keys.push(own.clone());
            keys.extend(vec![other.clone(); behind]);
            let set = json!({ "keys": keys }).to_string();
            let server = builder(Issuer::new(ISSUER).jwks(set)).build().unwrap();
            let name = format!("{before} before it, {behind} behind it");
            let skipped = server.health().issuers[0].skipped;
            assert_eq!(skipped, usize::from(before + 1 + behind > 250), "{name}");
            let reply = api(server.layer()).bearer(&token).await;
            if used { reply.assert_ok(&name) } else { reply.assert_invalid_token(&name) }
        }
    }
}

/// Servers write null for what they leave out. What counts when it is there counts all the same.
#[tokio::test]
async fn a_member_that_is_null_is_absent() {
    for name in
        ["use", "alg", "key_ops", "x5c", "x5t", "x5u", "issuer", "d", "p", "oth", "priv", "n", "e"]
    {
        assert_key_is_used(name, |key| key[name] = json!(null)).await;
    }
    // Without a kid it fits any.
    assert_key_is_used("kid", |key| key["kid"] = json!(null)).await;
    for name in ["kty", "crv", "x", "y"] {
        assert_key_is_unused(name, |key| key[name] = json!(null)).await;
    }
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!("")),
        ("use", json!([null])),
        ("alg", json!("ES384")),
        ("alg", json!("null")),
        ("key_ops", json!([null])),
        ("key_ops", json!([])),
        ("d", json!("")),
        ("kid", json!("another")),
        ("kid", json!(0)),
    ] {
        assert_key_is_unused(&format!("{name}: {value}"), |key| key[name] = value).await;
    }
}

#[tokio::test]
async fn id_7517_5_2_unusable_keys_are_skipped_and_the_rest_is_used() {
    let issuer = issuer();
    let mut keys = vec![
        json!({ "kty": "XYZ", "kid": "a" }),
        json!({ "kty": "RSA", "kid": "b", "e": "AQAB" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "c", "x": "A".repeat(42) }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "d", "pub": "AAAA" }),
        changed(&TestIssuer::builder().algorithm(Algorithm::MlDsa44).in_process(ISSUER), |_| {}),
        json!({ "kty": "EC", "crv": "P-256", "x": 1, "y": null }),
        json!({ "kty": ["EC"] }),
        json!({}),
        json!(null),
        json!("key"),
    ];
    let token = issuer.token().sign();
    keys.push(other_key());
    reply_with(&issuer, keys.clone(), &token).await.assert_invalid_token("not among them");
    keys.push(changed(&issuer, |_| {}));
    reply_with(&issuer, keys, &token).await.assert_ok("one good among bad");
}

/// The token verifies with the key as published, and is refused once it is changed like this.
async fn assert_key_is_unused(name: &str, change: impl FnOnce(&mut Value)) {
    let issuer = issuer();
    let token = issuer.token().sign();
    let good = vec![changed(&issuer, |_| {}), other_key()];
    reply_with(&issuer, good, &token).await.assert_ok(name);
    let bad = vec![changed(&issuer, change), other_key()];
    reply_with(&issuer, bad, &token).await.assert_invalid_token(name);
}

async fn assert_key_is_used(name: &str, change: impl FnOnce(&mut Value)) {
    let issuer = issuer();
    let token = issuer.token().sign();
    let keys = vec![changed(&issuer, change), other_key()];
    reply_with(&issuer, keys, &token).await.assert_ok(name);
}

#[tokio::test]
async fn id_7517_4_1_unknown_members_are_ignored_and_duplicates_refused() {
    assert_key_is_used("unknown member", |key| key["x-unknown"] = json!({ "a": [1] })).await;
    // What is wrong inside one entry costs that entry alone, as with one of an unknown kind.
    let (own, other) = (issuer(), issuer());
    other.rotate();
    let entry = |issuer: &TestIssuer| changed(issuer, |_| {}).to_string();
    let with = |member: &str| entry(&own).replacen('{', &format!("{{{member},"), 1);
    let nested = |depth: usize| format!("\"a\":{}{}", "[".repeat(depth), "]".repeat(depth));
    let members = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| format!("\"x{n}\":0")).collect();
        members.join(",")
    };
    for (name, text, used) in [
        ("as published", entry(&own), true),
        ("a duplicate member", with(r#""kty":"EC""#), false),
        ("a duplicate member by an escape", with(r#""\u006bty":"EC""#), false),
        ("a duplicate in an unknown member", with(r#""a":{"b":1,"b":2}"#), false),
        ("a number out of range", with(r#""a":1e400"#), false),
        ("a large number", with(r#""a":1e300"#), true),
        ("half a surrogate pair", with(r#""a":"\ud800""#), false),
        ("nested 31 deep beneath the key", with(&nested(31)), true),
        ("nested 32 deep beneath the key", with(&nested(32)), false),
        ("nested 10,000 deep", with(&nested(10_000)), false),
        ("990 members", with(&members(990)), true),
        ("2,000 members", with(&members(2_000)), true),
    ] {
        let set = format!(r#"{{"x":{{"keys":[]}},"keys":[{text},{}],"y":1}}"#, entry(&other));
        let api = api(builder(Issuer::new(ISSUER).jwks(set)).build().unwrap().layer());
        api.bearer(&other.token().sign()).await.assert_ok(&format!("another key beside {name}"));
        let reply = api.bearer(&own.token().sign()).await;
        if used {
            reply.assert_ok(name)
        } else {
            reply.assert_invalid_token(name)
        }
        let alone = builder(Issuer::new(ISSUER).jwks(format!(r#"{{"keys":[{text}]}}"#))).build();
        assert_eq!(alone.is_ok(), used, "{name}, alone");
    }
}

#[tokio::test]
async fn id_7517_4_2_1_a_key_for_encryption_verifies_nothing() {
    assert_key_is_unused("use enc", |key| key["use"] = json!("enc")).await;
    assert_key_is_unused("use in upper case", |key| key["use"] = json!("SIG")).await;
    assert_key_is_used("use null", |key| key["use"] = json!(null)).await;
    assert_key_is_used("no use", |key| drop(key.as_object_mut().unwrap().remove("use"))).await;
}

#[tokio::test]
async fn id_7517_4_3_1_key_ops_must_have_verify() {
    assert_key_is_unused("sign alone", |key| key["key_ops"] = json!(["sign"])).await;
    assert_key_is_unused("empty", |key| key["key_ops"] = json!([])).await;
    assert_key_is_unused("no array", |key| key["key_ops"] = json!("verify")).await;
    assert_key_is_unused("against use", |key| {
        key["use"] = json!("enc");
        key["key_ops"] = json!(["verify"]);
    })
    .await;
    for (name, ops) in [
        ("sign alone, against use", json!(["sign"])),
        ("another operation beside verify", json!(["verify", "encrypt"])),
        ("something that is no operation", json!(["verify", 1])),
    ] {
        assert_key_is_unused(name, |key| {
            key["use"] = json!("sig");
            key["key_ops"] = ops;
        })
        .await;
    }
    assert_key_is_used("verify", |key| key["key_ops"] = json!(["verify"])).await;
    assert_key_is_used("both operations of use sig", |key| {
        key["use"] = json!("sig");
        key["key_ops"] = json!(["sign", "verify"]);
    })
    .await;
    assert_key_is_used("without use", |key| {
        key.as_object_mut().unwrap().remove("use");
        key["key_ops"] = json!(["verify"]);
    })
    .await;
}

#[tokio::test]
async fn id_7517_4_4_1_the_alg_of_a_key_binds_it() {
    let issuer = TestIssuer::builder().algorithm(Algorithm::RS256).in_process(ISSUER);
    let (rs, ps) = (issuer.token().sign(), issuer.token().header("alg", "PS256").sign());
    let bound = vec![changed(&issuer, |_| {})];
    reply_with(&issuer, bound.clone(), &rs).await.assert_ok("RS256 with a key for RS256");
    reply_with(&issuer, bound, &ps).await.assert_invalid_token("PS256 with a key for RS256");
    let open = vec![changed(&issuer, |key| drop(key.as_object_mut().unwrap().remove("alg")))];
    reply_with(&issuer, open.clone(), &ps).await.assert_ok("PS256 with a key that names none");
    reply_with(&issuer, open, &rs).await.assert_ok("RS256 with a key that names none");
}

#[tokio::test]
async fn id_7517_4_5_1_equal_kids_are_told_apart_by_kind() {
    let issuer = TestIssuer::builder().algorithm(Algorithm::RS256).in_process(ISSUER);
    let ec = issuer.add_key(Algorithm::ES256);
    let mut set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    for key in set["keys"].as_array_mut().unwrap() {
        key["kid"] = json!("shared");
    }
    let server = builder(Issuer::new(ISSUER).jwks(set.to_string())).build().unwrap();
    let api = api(server.layer());
    for key in ["key-1", &ec] {
        api.bearer(&issuer.token().key(key).header("kid", "shared").sign()).await.assert_ok(key);
    }
    api.bearer(&issuer.token().sign()).await.assert_invalid_token("another kid");
}

#[tokio::test]
async fn two_keys_of_one_kid_and_kind_are_both_tried() {
    let issuer = issuer();
    let second = issuer.add_key(Algorithm::ES256);
    let mut set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    for key in set["keys"].as_array_mut().unwrap() {
        key["kid"] = json!("shared");
    }
    let server = builder(Issuer::new(ISSUER).jwks(set.to_string())).build().unwrap();
    let api = api(server.layer());
    for key in ["key-1", &second] {
        api.bearer(&issuer.token().key(key).header("kid", "shared").sign()).await.assert_ok(key);
    }
    let stranger = crate::support::issuer();
    let token = stranger.token().header("kid", "shared").sign();
    api.bearer(&token).await.assert_invalid_token("a third key");
}

#[tokio::test]
async fn id_7517_9_1_symmetric_keys_and_private_members_of_a_set_are_not_used() {
    let issuer = issuer();
    let secret = [7_u8; 32];
    use base64::Engine as _;
    let k = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
    let oct = json!({ "kty": "oct", "kid": "s", "k": k, "alg": "HS256" });
    let keys = vec![oct, changed(&issuer, |_| {})];
    let token = issuer.token().header("alg", "HS256").header("kid", "s").hmac_key(secret).sign();
    reply_with(&issuer, keys.clone(), &token).await.assert_invalid_token("HS256");
    reply_with(&issuer, keys, &issuer.token().sign()).await.assert_ok("neighbour in the set");
    assert_key_is_unused("private", |key| key["d"] = json!("AAAA")).await;
}

#[tokio::test]
async fn id_9964_3_1_an_akp_key_needs_alg_and_pub() {
    let issuer = TestIssuer::builder().algorithm(Algorithm::MlDsa44).in_process(ISSUER);
    let token = issuer.token().sign();
    let reply = async |change: fn(&mut Value)| {
        let set = json!({ "keys": [changed(&issuer, change), other_key()] }).to_string();
        let trusted =
            Issuer::new(ISSUER).jwks(set).algorithms([Algorithm::MlDsa44, Algorithm::ES256]);
        api(builder(trusted).build().unwrap().layer()).bearer(&token).await
    };
    reply(|_| {}).await.assert_ok("as published");
    let without = reply(|key| drop(key.as_object_mut().unwrap().remove("alg"))).await;
    without.assert_invalid_token("no alg");
    let without = reply(|key| drop(key.as_object_mut().unwrap().remove("pub"))).await;
    without.assert_invalid_token("no pub");
    reply(|key| key["priv"] = json!("AAAA")).await.assert_invalid_token("private");
    reply(|key| key["alg"] = json!("ML-DSA-65")).await.assert_invalid_token("another alg");
}
