//! RFC 9701, signed answers.

use serde_json::{Value, json};
use tower_resource_server::Issuer;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::{Fault, TestIssuer};

use super::support::*;
use super::{World, secret, serve, start};

const TYPE: &str = "application/token-introspection+jwt";

async fn signing() -> World {
    World::with(|own| own.require_signed_answers()).await
}

/// A good answer's claims.
fn claims(world: &World) -> Value {
    let now = tower_resource_server::clock::Clock::wall(&world.clock).as_secs();
    json!({
        "iss": world.issuer.url(), "aud": "notes-api", "iat": now,
        "token_introspection": { "active": true, "aud": AUDIENCE, "sub": "alice" },
    })
}

fn answers(world: &World, signer: &TestIssuer, claims: &Value, header: (&str, Value)) {
    let jwt = signer.token().header("typ", "token-introspection+jwt").header(header.0, header.1);
    let jwt = jwt.raw_payload(claims.to_string()).sign();
    world.misbehave(Fault::Typed(TYPE.into(), jwt));
}

#[tokio::test]
async fn id_9701_4_1_signed_answers_are_asked_for() {
    let world = signing().await;
    let token = world.issuer.token().scope("a").opaque();
    let reply = world.bearer(&token).await;
    reply.assert_ok("signed");
    assert_eq!((&reply.json()["sub"], &reply.json()["scope"]), (&json!("alice"), &json!("a")));
    assert_eq!(world.issuer.introspections()[0].accept.as_deref(), Some(TYPE));
    world.bearer(&token).await.assert_ok("remembered");
    assert_eq!((world.calls(), world.issuer.counts().jwks), (1, 1));
    world.bearer("unknown").await.assert_invalid_token("signed, and not active");
}

#[tokio::test]
async fn id_9701_5_1_content_type_and_typ_are_those_of_a_signed_answer() {
    for (name, content_type, typ, good) in [
        ("both", TYPE, "token-introspection+jwt", true),
        ("with a parameter", "application/Token-Introspection+JWT; charset=utf-8", TYPE, true),
        ("content type JWT", "application/jwt", "token-introspection+jwt", false),
        ("content type JSON", "application/json", "token-introspection+jwt", false),
        ("no content type", "", "token-introspection+jwt", false),
        ("typ JWT", TYPE, "JWT", false),
        ("typ at+jwt", TYPE, "at+jwt", false),
        ("typ empty", TYPE, "", false),
    ] {
        let world = signing().await;
        let jwt = world.issuer.token().header("typ", typ);
        let jwt = jwt.raw_payload(claims(&world).to_string()).sign();
        world.misbehave(Fault::Typed(content_type.into(), jwt));
        let reply = world.bearer("token").await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
    let world = signing().await;
    let jwt = world.issuer.token().without_header("typ");
    let jwt = jwt.raw_payload(claims(&world).to_string()).sign();
    world.misbehave(Fault::Typed(TYPE.into(), jwt));
    world.bearer("token").await.assert_unavailable("no typ");
}

#[tokio::test]
async fn id_9701_5_2_the_answer_is_of_the_issuer_for_this_server() {
    let world = signing().await;
    let good = claims(&world);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    };
    let now = good["iat"].as_u64().unwrap();
    for (name, claims, accepted) in [
        ("good", good.clone(), true),
        ("aud an array", with("aud", json!(["other", "notes-api"])), true),
        ("iss another", with("iss", json!("https://other")), false),
        ("iss missing", with("iss", Value::Null), false),
        ("aud another", with("aud", json!("other")), false),
        ("aud the API's", with("aud", json!(AUDIENCE)), false),
        ("aud missing", with("aud", Value::Null), false),
        ("aud nested", with("aud", json!([["notes-api"]])), false),
        ("iat missing", with("iat", Value::Null), false),
        ("iat as text", with("iat", json!(now.to_string())), false),
        ("iat within the leeway", with("iat", json!(now + 60)), true),
        ("iat ahead", with("iat", json!(now + 61)), false),
        ("no token_introspection", with("token_introspection", Value::Null), false),
        ("token_introspection as text", with("token_introspection", json!("x")), false),
    ] {
        let world = World { server: signing_server(&world), ..reuse(&world) };
        answers(&world, &world.issuer, &claims, ("x", json!(1)));
        let reply = world.bearer("token").await;
        if accepted { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }

    // Signed by someone else, or with what the issuer's list does not have.
    let stranger = TestIssuer::in_process(world.issuer.url());
    for (name, signer, header) in [
        ("foreign signature", &stranger, ("x", json!(1))),
        ("foreign key", &stranger, ("kid", json!("unknown"))),
        ("alg none", &world.issuer, ("alg", json!("none"))),
        ("crit", &world.issuer, ("crit", json!(["x"]))),
    ] {
        let world = World { server: signing_server(&world), ..reuse(&world) };
        answers(&world, signer, &good, header);
        world.bearer("token").await.assert_unavailable(name);
    }
    for (algorithm, accepted) in [(Algorithm::ES256, true), (Algorithm::RS256, false)] {
        let introspection = Introspection::new(secret()).require_signed_answers();
        let trusted = Issuer::new(world.issuer.url()).algorithms([algorithm]);
        let server = serve(trusted.introspection(introspection), &world.clock);
        let world = World { server, ..reuse(&world) };
        answers(&world, &world.issuer, &good, ("x", json!(1)));
        let reply = world.bearer("token").await;
        if accepted {
            reply.assert_ok("listed");
        } else {
            reply.assert_unavailable("not listed");
        }
    }
}

#[tokio::test]
async fn id_9701_5_2_an_answer_signed_before_the_question_is_refused() {
    let world = signing().await;
    let good = claims(&world);
    let now = good["iat"].as_i64().unwrap();
    let week = 7 * 24 * 60 * 60;
    for (name, iat, accepted) in [
        ("now", json!(now), true),
        ("before, within the leeway", json!(now - 60), true),
        ("before, with a fraction", json!(now as f64 - 59.5), true),
        ("before the leeway", json!(now - 61), false),
        ("before the leeway by a fraction", json!(now as f64 - 60.5), false),
        ("a week old", json!(now - week), false),
        ("1970", json!(0), false),
        ("before 1970", json!(-1), false),
        ("far from ahead", json!(now + week), false),
        ("ahead by what clocks differ", json!(now + 60), true),
        ("ahead by more", json!(now + 61), false),
        ("in milliseconds", json!(now * 1_000), false),
        ("null", Value::Null, false),
        ("text", json!(now.to_string()), false),
        ("a boolean", json!(true), false),
        ("an array", json!([now]), false),
        ("an object", json!({ "iat": now }), false),
    ] {
        let world = World { server: signing_server(&world), ..reuse(&world) };
        let mut claims = good.clone();
        claims["iat"] = iat;
        answers(&world, &world.issuer, &claims, ("x", json!(1)));
        let reply = world.bearer("token").await;
        if accepted { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
    // By the leeway that is set for the issuer.
    for (leeway, iat, accepted) in [
        (0, now, true),
        (0, now - 1, false),
        (1, now - 1, true),
        (1, now - 2, false),
        (300, now - 300, true),
        (300, now - 301, false),
    ] {
        let world = World { server: with_leeway(&world, leeway), ..reuse(&world) };
        let mut claims = good.clone();
        claims["iat"] = json!(iat);
        answers(&world, &world.issuer, &claims, ("x", json!(1)));
        let (name, reply) = (format!("leeway {leeway}"), world.bearer("token").await);
        if accepted { reply.assert_ok(&name) } else { reply.assert_unavailable(&name) }
    }
}

#[tokio::test]
async fn whole_seconds_of_the_server_are_not_held_against_it() {
    let world = signing().await;
    let world = World { server: with_leeway(&world, 0), ..reuse(&world) };
    world.clock.advance(std::time::Duration::from_millis(900));
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("signed in the second of the question");
}

#[tokio::test]
async fn id_7519_4_1_4_exp_and_nbf_of_a_signed_answer_count() {
    let world = signing().await;
    let good = claims(&world);
    let now = good["iat"].as_i64().unwrap();
    for (name, claim, value, accepted) in [
        ("exp ahead", "exp", json!(now + 1), true),
        ("exp past, within the leeway", "exp", json!(now - 59), true),
        ("exp past", "exp", json!(now - 60), false),
        ("exp long past", "exp", json!(1), false),
        ("exp null", "exp", Value::Null, false),
        ("exp as text", "exp", json!((now + 100).to_string()), false),
        ("exp an array", "exp", json!([now + 100]), false),
        ("nbf past", "nbf", json!(now - 1_000), true),
        ("nbf ahead, within the leeway", "nbf", json!(now + 60), true),
        ("nbf ahead", "nbf", json!(now + 61), false),
        ("nbf null", "nbf", Value::Null, false),
        ("nbf as text", "nbf", json!(now.to_string()), false),
        ("nbf a boolean", "nbf", json!(true), false),
    ] {
        let world = World { server: signing_server(&world), ..reuse(&world) };
        let mut claims = good.clone();
        claims[claim] = value;
        answers(&world, &world.issuer, &claims, ("x", json!(1)));
        let reply = world.bearer("token").await;
        if accepted { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
}

#[tokio::test]
async fn a_recorded_answer_does_not_bring_a_revoked_token_back() {
    let world = signing().await;
    let token = world.issuer.token().opaque();
    let recorded = claims(&world);
    world.issuer.revoke(&token);
    for (seconds, replayed) in [(60, true), (1, false)] {
        world.pass(seconds);
        answers(&world, &world.issuer, &recorded, ("x", json!(1)));
        let world = World { server: signing_server(&world), ..reuse(&world) };
        let reply = world.bearer(&token).await;
        if replayed {
            reply.assert_ok("within the leeway nobody can tell");
        } else {
            reply.assert_unavailable("replayed");
        }
    }
    world.misbehave(Fault::None);
    world.bearer(&token).await.assert_invalid_token("the server's own word");
}

#[tokio::test]
async fn a_slow_answer_is_judged_by_when_it_was_asked_for() {
    use std::time::Duration;

    let world = signing().await;
    let token = world.issuer.token().opaque();
    world.misbehave(Fault::Slow(Duration::from_millis(300)));
    let early = tokio::spawn({
        let (api, token) = (api(world.server.layer()), token.clone());
        async move { api.bearer(&token).await }
    });
    while world.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.pass(100);
    early.await.unwrap().assert_ok("signed 100 s ago, and asked for then");
}

#[tokio::test]
async fn a_signed_answer_that_is_shared_is_not_held_to_a_later_question() {
    let shelf = super::shared::Shelf::default();
    let own = || Introspection::new(secret()).require_signed_answers().shared_cache(shelf.cache());
    let world = World::with(|_| own()).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    shelf.has(1).await;
    let trusted = || Issuer::new(world.issuer.url()).introspection(own());
    for (leeway, seconds) in [(0, 59), (60, 0)] {
        world.pass(seconds);
        let trusted = trusted().leeway(std::time::Duration::from_secs(leeway));
        let other = World { server: serve(trusted, &world.clock), ..reuse(&world) };
        other.bearer(&token).await.assert_ok("59 s later");
        assert_eq!(world.calls(), 1);
    }
}

fn with_leeway(world: &World, seconds: u64) -> tower_resource_server::ResourceServer {
    let introspection = Introspection::new(secret()).require_signed_answers();
    let trusted = Issuer::new(world.issuer.url()).introspection(introspection);
    serve(trusted.leeway(std::time::Duration::from_secs(seconds)), &world.clock)
}

fn signing_server(world: &World) -> tower_resource_server::ResourceServer {
    let introspection = Introspection::new(secret()).require_signed_answers();
    serve(Issuer::new(world.issuer.url()).introspection(introspection), &world.clock)
}

fn reuse(world: &World) -> World {
    let (clock, issuer) = (world.clock.clone(), world.issuer.clone());
    World { clock, issuer, server: world.server.clone() }
}

#[tokio::test]
async fn the_audience_of_signed_answers_can_be_set_and_must_be_known() {
    let (clock, issuer) = start().await;
    let trusted = |introspection: Introspection| {
        Issuer::new(issuer.url()).introspection(introspection.require_signed_answers())
    };
    let bearer = Introspection::new(ClientAuth::bearer_token("token-of-the-api"));
    let built = builder(trusted(bearer.clone())).allow_http_loopback().build();
    assert!(built.unwrap_err().to_string().contains("signed_answer_audience"));
    let server = serve(trusted(bearer.signed_answer_audience("bearer")), &clock);
    api(server.layer()).bearer(&issuer.token().opaque()).await.assert_ok("as set");
    let other = Introspection::new(secret()).signed_answer_audience("other");
    let server = serve(trusted(other), &clock);
    api(server.layer()).bearer(&issuer.token().opaque()).await.assert_unavailable("client id");
}

#[tokio::test]
async fn id_9701_5_3_what_is_outside_token_introspection_means_nothing() {
    let world = signing().await;
    let mut outside = claims(&world);
    outside["token_introspection"].as_object_mut().unwrap().remove("active");
    outside["active"] = json!(true);
    answers(&world, &world.issuer, &outside, ("x", json!(1)));
    world.bearer("one").await.assert_unavailable("active outside only");
    let mut outside = claims(&world);
    // As a token it would have expired by now, by the leeway alone.
    outside["exp"] = json!(outside["iat"].as_u64().unwrap() - 30);
    for (name, value) in [("sub", "mallory"), ("scope", "admin"), ("client_id", "evil")] {
        outside[name] = json!(value);
    }
    answers(&world, &world.issuer, &outside, ("x", json!(1)));
    let reply = world.bearer("two").await;
    reply.assert_ok("exp outside is not the token's");
    let echo = reply.json();
    assert_eq!((&echo["sub"], &echo["scope"]), (&json!("alice"), &json!("")));
    assert_eq!(echo["client_id"], Value::Null);
    world.bearer("two").await.assert_ok("and it does not end what is remembered");
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn id_9701_5_4_a_refusal_of_our_credentials_is_a_fault_of_ours() {
    let world = signing().await;
    world.misbehave(Fault::Error(400, "invalid_client".into()));
    world.bearer("token").await.assert_unavailable("we are not known");
    world.misbehave(Fault::None);
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("we are");
}

#[tokio::test]
async fn id_9701_8_1_1_a_signed_answer_is_no_access_token() {
    let world = signing().await;
    let answer = world.issuer.token().header("typ", "token-introspection+jwt");
    let answer = answer.raw_payload(claims(&world).to_string()).sign();
    world.bearer(&answer).await.assert_invalid_token("as Bearer");
    world.bearer(&world.issuer.token().sign()).await.assert_ok("an access token");
}

#[tokio::test]
async fn id_9701_8_2_1_there_is_no_way_back_to_plain_json() {
    let world = signing().await;
    world.says(json!({}));
    world.bearer("token").await.assert_unavailable("plain JSON");
    let world = World::new().await;
    world.says(json!({}));
    world.bearer("token").await.assert_ok("where it is asked for");
    // Nor is an answer taken as signed that was not asked for as such.
    answers(&world, &world.issuer, &claims(&world), ("x", json!(1)));
    world.bearer("other").await.assert_unavailable("signed, unasked");
}
