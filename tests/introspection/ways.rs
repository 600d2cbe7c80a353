//! Which tokens are introspected, and where.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tower_resource_server::builder::Invalid;
use tower_resource_server::introspection::Introspection;
use tower_resource_server::policy::{not, role};
use tower_resource_server::{AccessToken, Error, Issuer, ResourceServer, scope};

use super::support::*;
use super::{World, secret, serve, start};

#[tokio::test]
async fn unless_said_otherwise_a_jwt_is_validated_here_and_any_other_token_introspected() {
    let world = World::new().await;
    world.bearer(&world.issuer.token().sign()).await.assert_ok("JWT");
    assert_eq!(world.calls(), 0);
    world.bearer(&world.issuer.token().opaque()).await.assert_ok("handle");
    assert_eq!(world.calls(), 1);
    // A bad JWT is no opaque token.
    let bad = world.issuer.token().expires_in(-600).sign();
    world.bearer(&bad).await.assert_invalid_token("expired");
    world
        .bearer(&world.issuer.token().header("alg", "none").sign())
        .await
        .assert_invalid_token("alg");
    assert_eq!(world.calls(), 1);
    // These are nothing that could be read here.
    for (n, token) in ["v4.local.payload", "a.b.c.d.e", "ory_at_x.y"].into_iter().enumerate() {
        world.bearer(token).await.assert_invalid_token("inactive");
        assert_eq!(world.calls() as usize, 2 + n, "{token}");
    }
    // Without introspection they are refused here.
    let (_, issuer) = start().await;
    let api =
        api(builder(Issuer::new(issuer.url())).allow_http_loopback().build().unwrap().layer());
    let reply = api.bearer(&issuer.token().opaque()).await;
    reply.assert_invalid_token("no JWT");
    assert_eq!(reply.error, Some(Error::NotAJwt));
}

/// RFC 9449 §7.2, RFC 8705 §3: the proof is missing, whatever the server says.
#[tokio::test]
async fn nobody_is_asked_about_a_bound_jwt() {
    let world = World::with(|own| own.also_for_jwts()).await;
    let bound = world.issuer.token().claim("cnf", json!({ "jkt": KEY })).sign();
    let reply = world.bearer(&bound).await;
    reply.assert_invalid_token("bound");
    assert_eq!(reply.error, Some(Error::UnconfirmedSender));
    assert_eq!(world.calls(), 0);
    world.bearer(&world.issuer.token().sign()).await.assert_ok("unbound");
    assert_eq!(world.calls(), 1);
}

/// The authorization server says "active" to anything here, as one does that reads tokens in another
/// way than this crate.
#[tokio::test]
async fn a_bad_jwt_is_no_opaque_token() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

    let world = World::new().await;
    world.says(json!({}));
    let good = world.issuer.token().sign();
    let (_, rest) = good.split_once('.').unwrap();
    let with = |header: &[u8]| format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
    let deep = format!(r#"{{"alg":"ES256","a":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(1025));
    let other_alphabet = STANDARD.encode("{\"a\":\"\u{ffff}\u{fffe}?>\"}").replace('=', "");
    assert!(other_alphabet.contains(['+', '/']));
    let padded = URL_SAFE.encode(br#"{"alg":"ES256"} "#).trim_end_matches('=').to_owned();
    for (name, token) in [
        ("a member twice", with(br#"{"alg":"ES256","alg":"ES256"}"#)),
        ("nested 40 deep", with(deep.as_bytes())),
        ("a reserved name", with(br#"{"alg":"ES256","$serde_json::private::RawValue":"1"}"#)),
        ("a long kid", with(long.as_bytes())),
        ("no member", with(b"{}")),
        ("cut off", with(br#"{"alg":"ES2"#)),
        ("something behind", with(br#"{"alg":"ES256"} x"#)),
        ("a byte order mark", with(b"\xef\xbb\xbf{\"alg\":\"ES256\"}")),
        ("white space before", with(b" \n{ \"alg\":\"none\"}")),
        ("the other alphabet", format!("{other_alphabet}.{rest}")),
        ("spare bits", format!("{}1.{rest}", padded.split_at(padded.len() - 1).0)),
        (
            "claims no JSON",
            good.split('.').enumerate().fold(String::new(), |token, (n, part)| {
                if n == 1 {
                    format!("{token}.AA")
                } else if n == 0 {
                    part.into()
                } else {
                    format!("{token}.{part}")
                }
            }),
        ),
    ] {
        let reply = world.bearer(&token).await;
        reply.assert_invalid_token(name);
        assert!(!reply.ran && world.calls() == 0, "{name}: the endpoint was asked");
    }
    world.bearer(&good).await.assert_ok("a good one, judged here");
    assert_eq!(world.calls(), 0);
    for (n, (name, token)) in [
        ("a handle", "2YotnFZFEjr1zCsicMWpAA".to_owned()),
        ("dots", "v4.local.payload".to_owned()),
        ("three parts, no object", format!("{}.{rest}", URL_SAFE_NO_PAD.encode(b"[\"alg\"]"))),
        ("five parts", format!("{}.a.b.c.d", good.split_once('.').unwrap().0)),
    ]
    .into_iter()
    .enumerate()
    {
        world.bearer(&token).await.assert_ok(name);
        assert_eq!(world.calls() as usize, n + 1, "{name}");
    }
}

/// What is asked of the authorization server alone is asked whatever it looks like; what is asked as
/// well passes both.
#[tokio::test]
async fn a_bad_jwt_where_jwts_are_introspected_too() {
    let header = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        br#"{"alg":"ES256","alg":"ES256"}"#,
    );
    for (name, only) in [("only", true), ("also", false)] {
        let world = World::with(|own| if only { own.only() } else { own.also_for_jwts() }).await;
        world.says(json!({}));
        let good = world.issuer.token().sign();
        let bad = format!("{header}.{}", good.split_once('.').unwrap().1);
        let reply = world.bearer(&bad).await;
        if only {
            reply.assert_ok(name)
        } else {
            reply.assert_invalid_token(name)
        }
        assert_eq!(world.calls(), u32::from(only), "{name}");
        world.bearer(&world.issuer.token().opaque()).await.assert_ok(name);
    }
}

#[tokio::test]
async fn metadata_is_fetched_once_and_not_at_all_where_it_is_not_needed() {
    let (clock, issuer) = start().await;
    let own = || Introspection::new(secret());
    let endpoint = issuer.introspection_endpoint();
    let fixed = || Issuer::new(issuer.url()).jwks(issuer.jwks());
    for (name, trusted, fetched) in [
        ("keys and endpoint by it", Issuer::new(issuer.url()).introspection(own()), 1),
        ("the endpoint alone", fixed().introspection(own()), 1),
        ("neither", fixed().introspection(own().endpoint(endpoint)), 0),
    ] {
        let before = issuer.counts().metadata;
        let api = api(serve(trusted, &clock).layer());
        api.bearer(&issuer.token().sign()).await.assert_ok(name);
        api.bearer(&issuer.token().opaque()).await.assert_ok(name);
        assert_eq!(issuer.counts().metadata - before, fetched, "{name}");
    }
}

#[tokio::test]
async fn with_only_every_token_is_introspected_and_no_key_fetched() {
    let world = World::with(|own| own.only()).await;
    let jwt = world.issuer.token().header("typ", "JWT").sign();
    world.bearer(&jwt).await.assert_ok("a JWT that the profile would refuse");
    world.bearer(&world.issuer.token().opaque()).await.assert_ok("handle");
    let forged = issuer().token().claim("iss", world.issuer.url()).sign();
    world.bearer(&forged).await.assert_invalid_token("unknown to the issuer");
    assert_eq!((world.calls(), world.issuer.counts().jwks), (3, 0));
    assert_eq!(world.issuer.counts().metadata, 1);
}

#[tokio::test]
async fn id_7009_3_1_a_revoked_jwt_is_refused_where_its_issuer_is_asked() {
    let revoke = async |world: &World, token: &str| {
        let response = reqwest::Client::new()
            .post(format!("{}/revoke", world.issuer.url()))
            .basic_auth("app", Some("secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={token}"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    };
    for (name, world, before, after) in [
        ("validated here", World::new().await, true, true),
        ("introspected too", World::with(|own| own.also_for_jwts()).await, true, false),
        ("introspected alone", World::with(|own| own.only()).await, true, false),
    ] {
        let check = |reply: Reply, good: bool| {
            if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
        };
        let token = world.issuer.token().sign();
        check(world.bearer(&token).await, before);
        revoke(&world, &token).await;
        world.pass(60);
        check(world.bearer(&token).await, after);
        assert_eq!(world.issuer.counts().revocation, 1);
    }
    let world = World::with(|own| own.also_for_jwts().cache_ttl(Duration::ZERO)).await;
    let token = world.issuer.token().sign();
    world.bearer(&token).await.assert_ok("before");
    revoke(&world, &token).await;
    world.bearer(&token).await.assert_invalid_token("at once, with ttl 0");
}

#[tokio::test]
async fn a_jwt_that_is_introspected_too_needs_both() {
    let world = World::with(|own| own.also_for_jwts()).await;
    world.bearer(&world.issuer.token().sign()).await.assert_ok("both");
    let forged = issuer().token().claim("iss", world.issuer.url()).sign();
    world.says(json!({}));
    world.bearer(&forged).await.assert_invalid_token("active, and not signed");
    let expired = world.issuer.token().expires_in(-600).sign();
    world.bearer(&expired).await.assert_invalid_token("active, and expired");
    for (name, members, good) in [
        ("less", json!({ "aud": null, "sub": null }), true),
        ("the same", json!({ "iss": world.issuer.url(), "client_id": "app" }), true),
        ("another subject", json!({ "sub": "bob" }), false),
        ("another client", json!({ "client_id": "other" }), false),
        ("another audience", json!({ "aud": "https://other" }), false),
        ("another issuer", json!({ "iss": "https://other" }), false),
        ("past", json!({ "exp": 1 }), false),
        ("bound", json!({ "cnf": { "jkt": KEY } }), false),
        ("bound to no thumbprint", json!({ "cnf": { "jkt": "x" } }), false),
        ("inactive", json!({ "active": false }), false),
    ] {
        world.says(members);
        let reply = world.bearer(&world.issuer.token().sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
    world.misbehave(super::Fault::Status(500));
    world.bearer(&world.issuer.token().sign()).await.assert_unavailable("nobody to ask");
}

#[tokio::test]
async fn a_member_of_another_type_contradicts_the_token() {
    for (name, members, good) in [
        ("the same", json!({ "sub": "bob", "client_id": "app", "jti": "7" }), true),
        ("absent and null", json!({ "sub": null, "client_id": null }), true),
        ("sub another", json!({ "sub": "eve" }), false),
        ("sub a number", json!({ "sub": 5 }), false),
        ("sub a boolean", json!({ "sub": true }), false),
        ("sub an array", json!({ "sub": ["bob"] }), false),
        ("sub an object", json!({ "sub": { "bob": 1 } }), false),
        ("client_id a number", json!({ "sub": "bob", "client_id": 1 }), false),
        ("client_id an array", json!({ "sub": "bob", "client_id": ["app"] }), false),
        ("jti a number", json!({ "sub": "bob", "jti": 7 }), false),
        ("jti an object", json!({ "sub": "bob", "jti": {} }), false),
    ] {
        let world = World::with(Introspection::also_for_jwts).await;
        let token = world.issuer.token().subject("bob").claim("client_id", "app").claim("jti", "7");
        world.says(members);
        let reply = world.bearer(&token.sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn what_the_issuer_says_of_a_jwt_narrows_its_scope_and_never_widens_it() {
    let world = World::with(|own| own.also_for_jwts()).await;
    let api = |name| api(world.server.protect(scope(name)));
    for (name, said, a, b, c) in [
        ("nothing", json!(null), true, true, false),
        ("less", json!("a"), true, false, false),
        ("more", json!("a b c"), true, true, false),
        ("none", json!(""), false, false, false),
    ] {
        world.says(json!({ "scope": said }));
        let token = world.issuer.token().scope("a b").sign();
        for (scope, good) in [("a", a), ("b", b), ("c", c)] {
            let reply = api(scope).bearer(&token).await;
            if good { reply.assert_ok(name) } else { reply.assert_insufficient_scope(name, scope) }
        }
    }
    world.says(json!({ "scope": ["a"] }));
    let token = world.issuer.token().scope("a b").sign();
    api("a").bearer(&token).await.assert_ok("of another form than the profile's");
    api("b").bearer(&token).await.assert_insufficient_scope("that form narrows, too", "b");
    world.says(json!({ "scope": ["a b"] }));
    let token = world.issuer.token().scope("a b").sign();
    api("a").bearer(&token).await.assert_invalid_token("a form that can't be read");
}

/// A role must be in both. A role that must be missing needs two lists with the same roles.
#[tokio::test]
async fn what_the_issuer_says_of_a_jwt_narrows_its_roles_in_both_directions() {
    let world = World::with(|own| own.also_for_jwts()).await;
    for (name, own, said, editor, no_guest) in [
        ("the answer names no roles", json!(["editor"]), json!(null), true, true),
        ("the same roles", json!(["editor", "a"]), json!(["a", "editor"]), true, true),
        ("the answer has fewer", json!(["editor", "a"]), json!(["a"]), false, false),
        ("the answer has none", json!(["editor"]), json!([]), false, false),
        ("the answer lacks the forbidden role", json!(["guest"]), json!([]), false, false),
        (
            "the answer has the forbidden role",
            json!(["editor"]),
            json!(["editor", "guest"]),
            true,
            false,
        ),
        ("both have the forbidden role", json!(["guest"]), json!(["guest"]), false, false),
        ("the answer has more", json!([]), json!(["editor"]), false, false),
        ("both are empty", json!([]), json!([]), false, true),
        ("the JWT names no roles", json!(null), json!(["editor"]), false, false),
        ("the answer has another type", json!(["editor"]), json!(7), false, false),
        ("the answer has an unknown element", json!(["editor"]), json!(["editor", 7]), true, false),
    ] {
        world.says(json!({ "roles": said }));
        let token = world.issuer.token().claim("roles", own).sign();
        for (policy, passes) in [(role("editor"), editor), (not(role("guest")), no_guest)] {
            let reply = api(world.server.protect(policy)).bearer(&token).await;
            if passes {
                reply.assert_ok(name);
            } else {
                assert_eq!(reply.error.as_ref().map(Error::code), Some("access_denied"), "{name}");
                assert_eq!(reply.status, 403, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn of_several_issuers_one_is_asked_about_opaque_tokens() {
    let (clock, one) = start().await;
    let (_, other) = start().await;
    let introspection = || Introspection::new(secret());
    let build = |first: Issuer, second: Issuer| {
        let builder = ResourceServer::builder().issuer(first).issuer(second).audience(AUDIENCE);
        builder.allow_http_loopback().clock(clock.clone()).build()
    };
    let (first, second) = (Issuer::new(one.url()), Issuer::new(other.url()));
    let server = build(first.clone(), second.clone().introspection(introspection())).unwrap();
    let answer = api(server.layer());
    answer.bearer(&one.token().sign()).await.assert_ok("JWT of the first");
    answer.bearer(&other.token().sign()).await.assert_ok("JWT of the second");
    answer.bearer(&other.token().opaque()).await.assert_ok("handle of the second");
    answer.bearer(&one.token().opaque()).await.assert_invalid_token("handle of the first");
    assert_eq!((one.counts().introspection, other.counts().introspection), (0, 2));

    let both = |other| build(first.clone().introspection(introspection()), other);
    let error = both(second.clone().introspection(introspection())).unwrap_err();
    assert!(error.to_string().contains("opaque tokens go to another issuer already"), "{error}");
    let rest = introspection().only().not_for_opaque_tokens();
    let server = both(second.clone().introspection(rest)).unwrap();
    let answer = api(server.layer());
    answer.bearer(&other.token().sign()).await.assert_ok("by its iss");
    answer.bearer(&one.token().opaque()).await.assert_ok("to the first");
    answer.bearer(&other.token().opaque()).await.assert_invalid_token("to the first");
    assert_eq!((one.counts().introspection, other.counts().introspection), (2, 3));
    let nothing = introspection().not_for_opaque_tokens();
    assert!(both(second.introspection(nothing)).is_err(), "it would never be asked");
}

#[tokio::test]
async fn claims_of_a_type_and_validators_work_as_for_jwts() {
    #[derive(Debug, Deserialize)]
    struct Tenant {
        tenant: u32,
        iss: String,
    }
    let (clock, issuer) = start().await;
    let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(secret()));
    let server = builder(trusted)
        .claims::<Tenant>()
        .validator(|token: &AccessToken<Tenant>| match token.tenant {
            7 => Err(Invalid::because("closed")),
            _ => Ok(()),
        })
        .allow_http_loopback()
        .clock(clock.clone())
        .build()
        .unwrap();
    let call = async |token: String| {
        let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
        server.authenticate(&request.body(()).unwrap().into_parts().0).await
    };
    let good = issuer.token().claim("tenant", 1).opaque();
    for _ in 0..2 {
        let token = call(good.clone()).await.unwrap().token;
        assert_eq!((token.tenant, token.iss.as_str()), (1, issuer.url()));
    }
    assert_eq!(issuer.counts().introspection, 1);
    let unfit = call(issuer.token().claim("tenant", "x").opaque()).await.unwrap_err();
    assert!(matches!(unfit.error(), Error::UnfitClaims { .. }), "{unfit:?}");
    let refused = issuer.token().claim("tenant", 7).opaque();
    for _ in 0..2 {
        let refused = call(refused.clone()).await.unwrap_err();
        assert!(matches!(refused.error(), Error::Refused { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn an_issuer_for_many_tenants_has_no_introspection() {
    let own = Issuer::new("https://as.example.com/{tenantid}/v2.0").jwks(issuer().jwks());
    let own = own.tenants("tid", |tenant| tenant == "one");
    assert!(builder(own.clone()).build().is_ok());
    let introspection = Introspection::new(secret()).endpoint("https://as.example.com/introspect");
    assert!(builder(own.introspection(introspection)).build().is_err());
}

#[tokio::test]
async fn a_jwt_that_names_no_issuer_goes_to_the_one_for_tokens_that_name_none() {
    let world = World::new().await;
    world.says(json!({}));
    let nameless = || world.issuer.token().without("iss");
    for (name, token, good) in [
        ("an access token", nameless().sign(), true),
        ("typed JWT", nameless().header("typ", "JWT").sign(), true),
        ("without a type", nameless().without_header("typ").sign(), true),
        ("under a kid of nobody", nameless().header("kid", "x").sign(), true),
        ("a logout token", nameless().header("typ", "logout+jwt").sign(), false),
        ("a proof", nameless().header("typ", "dpop+jwt").sign(), false),
        ("issuer null", nameless().claim("iss", json!(null)).sign(), false),
        ("issuer a list", nameless().claim("iss", json!([world.issuer.url()])).sign(), false),
        (
            "an issuer that is not trusted",
            nameless().claim("iss", "https://x.example").sign(),
            false,
        ),
        ("claims that are none", nameless().raw_payload("[]").sign(), false),
    ] {
        let calls = world.calls();
        let reply = world.bearer(&token).await;
        if good {
            reply.assert_ok(name)
        } else {
            reply.assert_invalid_token(name)
        }
        assert_eq!(world.calls() - calls, u32::from(good), "{name}");
    }
    world.says(json!({ "active": false }));
    let dead = nameless().claim("x", "dead").sign();
    world.bearer(&dead).await.assert_invalid_token("its server decides");
    // Where no issuer is set up for such tokens, nobody is asked.
    let none = World::with(|own| own.not_for_opaque_tokens().also_for_jwts()).await;
    none.says(json!({}));
    let reply = none.bearer(&none.issuer.token().without("iss").sign()).await;
    reply.assert_invalid_token("nobody to ask");
    assert_eq!(reply.error, Some(Error::MissingClaim { claim: "iss".into() }));
    assert_eq!(none.calls(), 0);
}
