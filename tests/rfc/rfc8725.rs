//! RFC 8725 and its successor (draft 10), JSON Web Token Best Current Practices.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Error, Issuer, Profile, ResourceServer};

use crate::support::*;

#[test]
fn id_8725_3_1_1_an_empty_list_of_algorithms_is_a_build_error() {
    let issuer = issuer();
    assert!(builder(trusting(&issuer).algorithms([])).build().is_err());
    assert!(builder(trusting(&issuer).algorithms([Algorithm::ES256])).build().is_ok());
}

#[tokio::test]
async fn id_8725_3_1_2_a_public_key_is_no_secret() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let issuer = TestIssuer::builder().algorithm(algorithm).in_process(ISSUER);
        let api = api(server(&issuer).layer());
        let pem = issuer.public_key_pem().unwrap();
        let der: Vec<u8> = base64::engine::general_purpose::STANDARD
            .decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>())
            .unwrap();
        let set: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
        let jwk = set["keys"][0].to_string();
        for (name, secret) in [
            ("PEM", pem.clone().into_bytes()),
            ("PEM, trimmed", pem.trim().to_owned().into_bytes()),
            ("DER", der),
            ("JWK", jwk.into_bytes()),
            ("JWK set", issuer.jwks().into_bytes()),
        ] {
            for alg in ["HS256", "HS384", "HS512"] {
                let token = issuer.token().header("alg", alg).hmac_key(secret.clone()).sign();
                api.bearer(&token)
                    .await
                    .assert_invalid_token(&format!("{algorithm}: {alg}, {name}"));
            }
        }
        api.bearer(&issuer.token().sign()).await.assert_ok(algorithm.name());
    }
    // HMAC is not to be had by listing it, either.
    let listed = trusting(&issuer()).algorithms([Algorithm::HS256, Algorithm::ES256]);
    assert!(builder(listed).build().is_err());
}

/// Two issuers, each with keys of its own.
fn two() -> (TestIssuer, TestIssuer, ResourceServer) {
    let a = TestIssuer::builder().algorithm(Algorithm::ES256).in_process("https://a.example.com");
    let b = TestIssuer::builder().algorithm(Algorithm::RS256).in_process("https://b.example.com");
    let server = ResourceServer::builder()
        .issuer(trusting(&a).algorithms([Algorithm::ES256]))
        .issuer(trusting(&b).algorithms([Algorithm::RS256]))
        .audience(AUDIENCE)
        .build()
        .unwrap();
    (a, b, server)
}

#[tokio::test]
async fn id_8725_3_1_3_the_list_of_algorithms_is_that_of_the_issuer() {
    let (a, b, server) = two();
    let api = api(server.layer());
    api.bearer(&a.token().sign()).await.assert_ok("ES256 of a");
    api.bearer(&b.token().sign()).await.assert_ok("RS256 of b");
    api.bearer(&b.token().claim("iss", a.url()).sign()).await.assert_invalid_token("RS256 as a");
}

#[tokio::test]
async fn id_8725_3_1_4_alg_is_matched_by_an_allow_list() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for alg in ["noNE", " none", "nonE", "none ", "\u{0}none", "RSA1_5", "HS1", "ES256K"] {
        api.bearer(&issuer.token().header("alg", alg).sign()).await.assert_invalid_token(alg);
    }
    api.bearer(&issuer.token().sign()).await.assert_ok("ES256");
}

#[tokio::test]
async fn id_8725_3_2_1_the_defaults_are_current_and_can_be_changed() {
    let issuer = TestIssuer::builder().algorithm(Algorithm::HS256).in_process(ISSUER);
    let other = crate::support::issuer();
    let api = api(server(&other).layer());
    api.bearer(&issuer.token().sign()).await.assert_invalid_token("HS256 by default");
    let secret = Issuer::new(ISSUER).secret(issuer.secret().unwrap(), Algorithm::HS256);
    let with_secret = crate::support::api(builder(secret).build().unwrap().layer());
    with_secret.bearer(&issuer.token().sign()).await.assert_ok("HS256 with a secret");
    with_secret.bearer(&other.token().sign()).await.assert_invalid_token("ES256 with a secret");
}

#[tokio::test]
async fn id_8725_3_3_1_signed_and_encrypted_tokens_are_told_apart() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().header("enc", "A256GCM").header("zip", "DEF").sign();
    api.bearer(&token).await.assert_ok("unknown members of a JWS header");
    let five = format!("{}.AAAA.AAAA", issuer.token().sign());
    api.bearer(&five).await.assert_invalid_token("five parts");
}

#[test]
fn id_8725_3_4_1_points_are_on_their_curve() {
    let issuer = issuer();
    let mut set: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    set["keys"][0]["x"] = json!(zero);
    set["keys"][0]["y"] = json!(zero);
    let trusted = Issuer::new(ISSUER).jwks(set.to_string());
    assert!(builder(trusted).build().is_err(), "no usable key is left");
    assert!(builder(trusting(&issuer)).build().is_ok());
}

#[tokio::test]
async fn id_8725_3_7_1_json_is_utf_8() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    let (_, rest) = token.split_once('.').unwrap();
    let utf_16: Vec<u8> =
        r#"{"alg":"ES256","typ":"at+jwt"}"#.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let reply = api.bearer(&format!("{}.{rest}", URL_SAFE_NO_PAD.encode(utf_16))).await;
    reply.assert_invalid_token("UTF-16");
    let problem = "the header is not one strict JSON object";
    assert_eq!(reply.error, Some(Error::MalformedToken { problem }), "not for its signature");
    api.bearer(&token).await.assert_ok("UTF-8");
}

#[tokio::test]
async fn id_8725_3_8_1_the_key_belongs_to_the_issuer_of_the_token() {
    let a = TestIssuer::in_process("https://a.example.com");
    let b = TestIssuer::in_process("https://b.example.com");
    let b_kid = b.add_key(Algorithm::ES256);
    let server = ResourceServer::builder()
        .issuer(trusting(&a))
        .issuer(trusting(&b))
        .audience(AUDIENCE)
        .build()
        .unwrap();
    let api = api(server.layer());
    api.bearer(&b.token().sign()).await.assert_ok("b as b");
    for (name, token) in [
        ("the kid of b", b.token().claim("iss", a.url())),
        ("the kid of both", b.token().claim("iss", a.url()).key("key-1")),
        ("no kid", b.token().claim("iss", a.url()).without_header("kid")),
        ("a kid of b in a token of a", a.token().header("kid", b_kid.as_str())),
    ] {
        api.bearer(&token.sign()).await.assert_invalid_token(name);
    }
    for iss in [json!(["https://a.example.com"]), json!(1), json!(null)] {
        let token = a.token().claim("iss", iss.clone()).sign();
        api.bearer(&token).await.assert_invalid_token(&iss.to_string());
    }
    api.bearer(&a.token().without("iss").sign()).await.assert_invalid_token("no iss");
}

#[tokio::test]
async fn id_8725_3_8_2_a_subject_is_one_of_its_issuer() {
    let (a, b, server) = two();
    let api = api(server.layer());
    let as_a = api.bearer(&a.token().subject("alice").sign()).await.json()["principal"].clone();
    let as_b = api.bearer(&b.token().subject("alice").sign()).await.json()["principal"].clone();
    assert!(as_a.as_str().unwrap().contains("https://a.example.com"));
    assert_ne!(as_a, as_b);
}

#[tokio::test]
async fn id_8725_3_9_1_the_audience_is_always_checked() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    api.bearer(&issuer.token().without("aud").sign()).await.assert_invalid_token("absent");
    api.bearer(&issuer.token().audience("https://b").sign()).await.assert_invalid_token("foreign");
    api.bearer(&issuer.token().sign()).await.assert_ok("ours");
}

#[tokio::test]
async fn audiences_of_an_issuer_replace_those_of_the_server() {
    let issuer = issuer();
    let trusted = trusting(&issuer).audience("urn:example:notes").audience("urn:example:old");
    let api = api(builder(trusted).build().unwrap().layer());
    for (aud, good) in [("urn:example:notes", true), ("urn:example:old", true), (AUDIENCE, false)] {
        let reply = api.bearer(&issuer.token().audience(aud).sign()).await;
        if good { reply.assert_ok(aud) } else { reply.assert_invalid_token(aud) }
    }
}

#[tokio::test]
async fn id_8725_3_10_1_kid_is_only_compared() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for kid in ["../../etc/passwd", "'; DROP TABLE keys; --", "key-1\u{0}", "http://127.0.0.1/"] {
        api.bearer(&issuer.token().header("kid", kid).sign()).await.assert_invalid_token(kid);
    }
    api.bearer(&issuer.token().header("kid", "key-1").sign()).await.assert_ok("its own");
}

#[tokio::test]
async fn id_8725_3_11_1_jwt_is_no_explicit_type() {
    let issuer = issuer();
    let strict = api(server(&issuer).layer());
    let relaxed = builder(trusting(&issuer).profile(Profile::jwt())).build().unwrap();
    let relaxed = api(relaxed.layer());
    let token = issuer.token().header("typ", "JWT").sign();
    let reply = strict.bearer(&token).await;
    reply.assert_invalid_token("strict");
    let told = reply.error.unwrap().to_string();
    assert!(told.contains("`JWT`") && told.contains("Profile::jwt"), "{told}");
    relaxed.bearer(&token).await.assert_ok("relaxed, by name");
}

#[tokio::test]
async fn id_8725_3_12_1_other_kinds_of_jwt_are_refused_in_every_profile() {
    let issuer = issuer();
    let profiles = [("RFC 9068", Profile::rfc9068()), ("JWT", Profile::jwt())];
    for (profile_name, profile) in profiles {
        let strict = profile_name == "RFC 9068";
        let server = builder(trusting(&issuer).profile(profile)).build().unwrap();
        let api = api(server.layer());
        for typ in [
            "logout+jwt",
            "secevent+jwt",
            "dpop+jwt",
            "token-introspection+jwt",
            "txntoken+jwt",
            "wit+jwt",
            "wpt+jwt",
            "statuslist+jwt",
            "client-authentication+jwt",
            "oauth-authz-req+jwt",
            "id+jwt",
            "application/logout+jwt",
            "entity-statement+jwt",
            "kb+jwt",
            "dc+sd-jwt",
            "JWE",
            "JOSE",
        ] {
            let reply = api.bearer(&issuer.token().header("typ", typ).sign()).await;
            reply.assert_invalid_token(&format!("{profile_name}: {typ}"));
        }
        let events = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
        for (name, claim, value) in [
            ("ID token", "nonce", json!("n")),
            ("ID token of the code flow", "at_hash", json!("h")),
            ("ID token of the hybrid flow", "c_hash", json!("h")),
            ("logout token", "events", events),
            ("proof", "htm", json!("GET")),
            ("introspection answer", "token_introspection", json!({ "active": true })),
            ("status list", "status_list", json!({ "bits": 1 })),
            ("ID token with a state", "s_hash", json!("h")),
            ("transaction token", "req_wl", json!("apigateway")),
            ("Keycloak's ID token", "typ", json!("ID")),
            ("Keycloak's refresh token", "typ", json!("Refresh")),
            ("Cognito's ID token", "token_use", json!("id")),
            ("client assertion", "sub", json!(ISSUER)),
        ] {
            for typ in [Some("JWT"), None] {
                let token = issuer.token().claim(claim, value.clone());
                let token = match typ {
                    Some(typ) => token.header("typ", typ).sign(),
                    None => token.without_header("typ").sign(),
                };
                api.bearer(&token).await.assert_invalid_token(&format!("{profile_name}: {name}"));
            }
        }
        let token = issuer.token().claim("typ", "Bearer").header("typ", "JWT").sign();
        let reply = api.bearer(&token).await;
        let name = "an access token typed JWT";
        if strict {
            reply.assert_invalid_token(name)
        } else {
            reply.assert_ok(name)
        }
        api.bearer(&issuer.token().sign()).await.assert_ok("an access token");
    }
}

#[tokio::test]
async fn id_8725bis_3_13_1_and_3_14_1_costs_and_characters() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let header = URL_SAFE_NO_PAD
        .encode(r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":4294967295,"zip":"DEF"}"#);
    api.bearer(&format!("{header}.AA.AA.AA.AA")).await.assert_invalid_token("p2c");
    for bad in ["{}", "a\"b", "a.b.c}", "a,b"] {
        api.bearer(bad).await.assert_invalid_request(bad);
    }
    for bad in ["a+b.c.d", "a/b.c.d", "a~b.c.d"] {
        api.bearer(bad).await.assert_invalid_token(bad);
    }
    api.bearer(&issuer.token().sign()).await.assert_ok("letters, digits, - _ .");
}
