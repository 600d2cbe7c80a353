//! RFC 9701, signed answers.

use serde_json::{Value, json};
use tower_resource_server::test_issuer::{Fault, TestIssuer};
use tower_resource_server::{Algorithm, ClientAuth, Introspection, Issuer};

use super::support::*;
use super::{World, secret, serve, start};

const TYPE: &str = "application/token-introspection+jwt";

async fn signing() -> World {
    World::with(|own| own.require_signed_answers()).await
}

/// A good answer's claims.
fn claims(world: &World) -> Value {
    let now = tower_resource_server::Clock::wall(&world.clock).as_secs();
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
        let trusted = Issuer::discover(world.issuer.url()).algorithms([algorithm]);
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

fn signing_server(world: &World) -> tower_resource_server::ResourceServer {
    let introspection = Introspection::new(secret()).require_signed_answers();
    serve(Issuer::discover(world.issuer.url()).introspection(introspection), &world.clock)
}

fn reuse(world: &World) -> World {
    let (clock, issuer) = (world.clock.clone(), world.issuer.clone());
    World { clock, issuer, server: world.server.clone() }
}

#[tokio::test]
async fn the_audience_of_signed_answers_can_be_set_and_must_be_known() {
    let (clock, issuer) = start().await;
    let trusted = |introspection: Introspection| {
        Issuer::discover(issuer.url()).introspection(introspection.require_signed_answers())
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
    for (name, value) in [("sub", "mallory"), ("scope", "admin"), ("client_id", "evil")] {
        outside[name] = json!(value);
    }
    outside["exp"] = json!(1);
    answers(&world, &world.issuer, &outside, ("x", json!(1)));
    let reply = world.bearer("two").await;
    reply.assert_ok("exp outside is not the token's");
    let echo = reply.json();
    assert_eq!((&echo["sub"], &echo["scope"]), (&json!("alice"), &json!("")));
    assert_eq!(echo["client_id"], Value::Null);
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
