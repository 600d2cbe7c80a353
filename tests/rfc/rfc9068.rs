//! RFC 9068, JWT Profile for OAuth 2.0 Access Tokens.

use serde_json::json;
use tower_resource_server::builder::Invalid;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::policy::{authenticated, user};
use tower_resource_server::refusal::ProblemJson;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, Claims, Error, Profile, scope};

use crate::support::*;

#[tokio::test]
async fn id_9068_2_1_1_rs256_is_supported() {
    let issuer = TestIssuer::builder().algorithm(Algorithm::RS256).in_process(ISSUER);
    let api = api(server(&issuer).layer());
    api.bearer(&issuer.token().sign()).await.assert_ok("RS256");
    let other = TestIssuer::builder().algorithm(Algorithm::RS256).in_process(ISSUER);
    api.bearer(&other.token().sign()).await.assert_invalid_token("another key");
}

#[tokio::test]
async fn id_9068_2_2_1_required_claims_are_required() {
    let issuer = issuer();
    let strict = api(server(&issuer).layer());
    let relaxed = api(builder(trusting(&issuer).profile(Profile::jwt())).build().unwrap().layer());
    for (claim, always) in [
        ("iss", true),
        ("exp", true),
        ("aud", true),
        ("sub", false),
        ("client_id", false),
        ("iat", false),
        ("jti", false),
    ] {
        let token = issuer.token().without(claim).sign();
        strict.bearer(&token).await.assert_invalid_token(claim);
        let reply = relaxed.bearer(&token).await;
        if always {
            reply.assert_invalid_token(claim)
        } else {
            reply.assert_ok(claim)
        }
        for wrong in [json!(null), json!(true), json!({})] {
            let token = issuer.token().claim(claim, wrong).sign();
            strict.bearer(&token).await.assert_invalid_token(claim);
        }
    }
    for (claim, wrong) in [
        ("sub", json!(1)),
        ("sub", json!("")),
        ("client_id", json!(["app"])),
        ("client_id", json!("")),
        ("jti", json!(1)),
        ("jti", json!("")),
    ] {
        let token = issuer.token().claim(claim, wrong).sign();
        strict.bearer(&token).await.assert_invalid_token(claim);
    }
    strict.bearer(&issuer.token().sign()).await.assert_ok("all there");
}

#[tokio::test]
async fn id_9068_2_2_3_1_scope_is_an_optional_string() {
    let issuer = issuer();
    let strict = api(server(&issuer).protect(scope("a")));
    let none = issuer.token().without("scope").sign();
    strict.bearer(&none).await.assert_insufficient_scope("absent", "a");
    for wrong in [json!(["a"]), json!({ "a": true }), json!(1), json!(true)] {
        let token = issuer.token().claim("scope", wrong.clone()).sign();
        strict.bearer(&token).await.assert_invalid_token(&wrong.to_string());
    }
    strict.bearer(&issuer.token().scope("a").sign()).await.assert_ok("string");

    let profile = Profile::rfc9068().scope_array_claim("scp");
    let named =
        api(builder(trusting(&issuer).profile(profile)).build().unwrap().protect(scope("a")));
    let array = issuer.token().claim("scp", json!(["b", "a"])).sign();
    named.bearer(&array).await.assert_ok("an array, by opt-in");
    let both = issuer.token().scope("a").claim("scp", json!(["b"])).sign();
    named.bearer(&both).await.assert_insufficient_scope("the one claim alone counts", "a");
    let string = issuer.token().claim("scp", "a").sign();
    named.bearer(&string).await.assert_ok("a string, for one scope");
    let words = issuer.token().claim("scp", json!(["b a"])).sign();
    named.bearer(&words).await.assert_invalid_token("a word with a space");

    let profile = Profile::rfc9068().scope_claim("scp");
    let named =
        api(builder(trusting(&issuer).profile(profile)).build().unwrap().protect(scope("a")));
    named.bearer(&string).await.assert_ok("a string under another name");
    named.bearer(&array).await.assert_invalid_token("an array under another name");
}

#[tokio::test]
async fn id_9068_2_2_3_1_1_and_4_8_roles_in_both_shapes() {
    let issuer = issuer();
    let audit = authenticated().and_check(|token: &AccessToken<Claims>| {
        token.has("roles", "auditor")
            || token.has("groups", "audit")
            || token.has("entitlements", "a")
    });
    let api = api(server(&issuer).protect(audit));
    for (name, claim, value, good) in [
        ("strings", "roles", json!(["reader", "auditor"]), true),
        ("objects", "roles", json!([{ "value": "auditor", "primary": true }]), true),
        ("groups", "groups", json!(["audit"]), true),
        ("entitlements", "entitlements", json!([{ "value": "a" }]), true),
        ("another role", "roles", json!(["reader"]), false),
        ("one string", "roles", json!("auditor"), false),
        ("an object", "roles", json!({ "auditor": true }), false),
        ("another member", "roles", json!([{ "display": "auditor" }]), false),
        ("nested", "roles", json!([["auditor"]]), false),
    ] {
        let reply = api.bearer(&issuer.token().claim(claim, value).sign()).await;
        if good {
            reply.assert_ok(name);
        } else {
            assert_eq!(reply.status, 403, "{name}");
            assert_eq!(reply.challenges[0].param("error"), None, "scope is not the cause: {name}");
            assert_eq!(reply.error.as_ref().map(Error::code), Some("access_denied"));
        }
    }
}

#[tokio::test]
async fn id_9068_4_1_typ_is_at_jwt() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    api.bearer(&issuer.token().without_header("typ").sign()).await.assert_invalid_token("absent");
    for typ in ["JWT", "jwt+at", "at+jwt2", "at", "at-jwt", "", "application/jwt"] {
        api.bearer(&issuer.token().header("typ", typ).sign()).await.assert_invalid_token(typ);
    }
    for typ in ["at+jwt", "application/at+jwt"] {
        api.bearer(&issuer.token().header("typ", typ).sign()).await.assert_ok(typ);
    }
}

#[tokio::test]
async fn id_9068_4_3_iss_is_the_configured_issuer_exactly() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for iss in [
        "https://as.example.com/",
        "https://as.example.com//",
        "https://AS.example.com",
        "HTTPS://as.example.com",
        "https://as.example.com:443",
        "https://as.example.com:",
        "https://as.example.com.",
        "https://as%2Eexample.com",
        "https://%61s.example.com",
        "https://as.example.co",
        "https://as.example.com.evil.example",
        "https://as.example.com@evil.example",
        "https://as.example.com?",
        "as.example.com",
        "",
        "http://as.example.com",
        "https://as.example.com#",
        " https://as.example.com",
    ] {
        api.bearer(&issuer.token().claim("iss", iss).sign()).await.assert_invalid_token(iss);
    }
    api.bearer(&issuer.token().claim("iss", ISSUER).sign()).await.assert_ok("exact");

    let tenant = TestIssuer::in_process("https://as.example.com/t1/");
    let of_tenant = crate::support::api(server(&tenant).layer());
    for iss in [
        "https://as.example.com/t1",
        "https://as.example.com/T1/",
        "https://as.example.com/%741/",
        "https://as.example.com/x/../t1/",
        "https://as.example.com/t2/",
        "https://as.example.com/",
    ] {
        let token = tenant.token().claim("iss", iss).sign();
        of_tenant.bearer(&token).await.assert_invalid_token(iss);
    }
    of_tenant.bearer(&tenant.token().sign()).await.assert_ok("exact, with a path and a slash");

    let aliased = trusting(&issuer).alias("https://as.example.com/");
    let aliased = crate::support::api(builder(aliased).build().unwrap().layer());
    let reply =
        aliased.bearer(&issuer.token().claim("iss", "https://as.example.com/").sign()).await;
    reply.assert_ok("an alias, given explicitly");
    assert_eq!(reply.json()["iss"], ISSUER, "one issuer has one name");
}

#[tokio::test]
async fn id_9068_4_4_and_5_2_an_id_token_is_refused_although_its_key_fits() {
    let issuer = issuer();
    let strict = api(server(&issuer).layer());
    let relaxed = api(builder(trusting(&issuer).profile(Profile::jwt())).build().unwrap().layer());
    let id_token =
        |typ: &str| issuer.token().header("typ", typ).audience("app").claim("nonce", "n");
    for typ in ["JWT", "at+jwt"] {
        strict.bearer(&id_token(typ).sign()).await.assert_invalid_token(typ);
        relaxed.bearer(&id_token(typ).sign()).await.assert_invalid_token(typ);
    }
    let with_own = issuer.token().claim("aud", json!(["app", AUDIENCE])).sign();
    strict.bearer(&with_own).await.assert_ok("an array with our own value");
}

#[tokio::test]
async fn id_9068_4_5_the_signature_is_that_of_the_authorization_server() {
    let issuer = issuer();
    let attacker = crate::support::issuer();
    let api = api(server(&issuer).layer());
    api.bearer(&attacker.token().sign()).await.assert_invalid_token("another key");
    api.bearer(&issuer.token().header("alg", "none").sign()).await.assert_invalid_token("none");
    api.bearer(&issuer.token().sign()).await.assert_ok("its key");
}

#[test]
fn id_9068_4_6_the_leeway_is_five_minutes_at_most() {
    use std::time::Duration;
    let issuer = issuer();
    for (seconds, good) in [(0, true), (300, true), (301, false)] {
        let leeway = Duration::from_secs(seconds);
        let of_server = builder(trusting(&issuer)).leeway(leeway).build();
        let of_issuer = builder(trusting(&issuer).leeway(leeway)).build();
        assert_eq!((of_server.is_ok(), of_issuer.is_ok()), (good, good), "{seconds}");
    }
}

#[tokio::test]
async fn id_9068_4_7_every_failure_looks_the_same_to_the_client() {
    let issuer = issuer();
    let attacker = crate::support::issuer();
    let validated = || {
        builder(trusting(&issuer)).validator(|token: &AccessToken<Claims>| {
            if token.extra.contains_key("banned") {
                Err(Invalid::because("banned"))
            } else {
                Ok(())
            }
        })
    };
    let empty = api(validated().build().unwrap().layer());
    let problem = api(validated().refusal_body(ProblemJson).build().unwrap().layer());
    let token = || issuer.token();
    let mut answers = Vec::new();
    for (name, token) in [
        ("no JWT", "abc".to_owned()),
        ("encrypted", "a.b.c.d.e".to_owned()),
        ("too large", "a".repeat(20_000)),
        ("no JSON", token().raw_header("{").sign()),
        ("typ", token().header("typ", "JWT").sign()),
        ("no typ", token().without_header("typ").sign()),
        ("alg none", token().header("alg", "none").sign()),
        ("alg not listed", token().header("alg", "HS256").sign()),
        ("iss", token().claim("iss", "https://other").sign()),
        ("no iss", token().without("iss").sign()),
        ("kid", token().header("kid", "other").sign()),
        ("signature", attacker.token().sign()),
        ("missing claim", token().without("jti").sign()),
        ("malformed claim", token().claim("sub", 1).sign()),
        ("malformed scope", token().claim("scope", json!(["a"])).sign()),
        ("exp", token().expires_in(-600).sign()),
        ("nbf", token().claim("nbf", 99_999_999_999_u64).sign()),
        ("iat", token().claim("iat", 99_999_999_999_u64).sign()),
        ("aud", token().audience("other").sign()),
        ("malformed aud", token().claim("aud", 1).sign()),
        ("cnf", token().claim("cnf", json!({ "jkt": KEY })).sign()),
        ("malformed cnf", token().claim("cnf", json!({ "jkt": "x" })).sign()),
        ("validator", token().claim("banned", true).sign()),
    ] {
        for (body, reply) in
            [("empty", empty.bearer(&token).await), ("problem", problem.bearer(&token).await)]
        {
            reply.assert_invalid_token(name);
            answers.push((name, body, format!("{:?} {:?}", reply.headers, reply.body)));
        }
    }
    for (name, body, answer) in &answers {
        let first = answers.iter().find(|(_, other, _)| other == body);
        assert_eq!(first.map(|(.., first)| first), Some(answer), "{name}, {body}");
    }
    empty.bearer(&token().sign()).await.assert_ok("good");
}

#[tokio::test]
async fn id_9068_5_1_a_client_is_not_taken_for_a_user() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(user()));
    let client = issuer.token().subject("app").claim("client_id", "app").sign();
    let reply = api.bearer(&client).await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.challenges[0].param("error"), None, "more scope would not help");
    api.bearer(&issuer.token().subject("alice").sign()).await.assert_ok("a user");
}

#[tokio::test]
async fn id_9068_6_1_debug_shows_no_personal_claims() {
    let issuer = issuer();
    let server = server(&issuer);
    let token = issuer.token().subject("alice@example.com").claim("email", "alice@example.com");
    let (parts, ()) = http::Request::get("/")
        .header("authorization", format!("Bearer {}", token.sign()))
        .body(())
        .unwrap()
        .into_parts();
    let passed = server.authenticate(&parts).await.unwrap();
    let debug = format!("{passed:?} {:?}", passed.token.claims());
    assert!(!debug.contains("alice"), "{debug}");
    assert!(debug.contains(ISSUER));
    assert_eq!(passed.token.subject(), Some("alice@example.com"));
}

#[tokio::test]
async fn a_bound_token_without_a_proof_is_refused_whatever_binds_it() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let malformed = || Error::MalformedClaim { claim: "cnf".into() };
    for (cnf, error) in [
        (json!({ "jkt": KEY }), Error::UnconfirmedSender),
        (json!({ "jkt": "x" }), malformed()),
        (
            json!({ "x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0" }),
            Error::MissingCertificate,
        ),
        (json!({ "x5t#S256": "x" }), malformed()),
        (json!({ "kid": "x" }), Error::UnconfirmedSender),
        (json!({}), Error::UnconfirmedSender),
        (json!("x"), malformed()),
        (json!(null), malformed()),
    ] {
        let reply = api.bearer(&issuer.token().claim("cnf", cnf.clone()).sign()).await;
        reply.assert_invalid_token(&cnf.to_string());
        assert_eq!(reply.error, Some(error));
    }
    api.bearer(&issuer.token().sign()).await.assert_ok("unbound");
}
