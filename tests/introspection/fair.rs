//! What one client sends costs that client: odd tokens, floods and bursts, at an endpoint that other
//! clients need.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{Request, Response};
use serde_json::json;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer as _, ServiceExt as _};
use tower_resource_server::introspection::Introspection;
use tower_resource_server::issuer::SourceError;
use tower_resource_server::keys::{FetchedKeys, KeySource};
use tower_resource_server::test_issuer::Fault;
use tower_resource_server::{Issuer, ResourceServer};

use super::World;
use super::support::*;

fn is_open(world: &World) -> bool {
    introspection(world).open
}

fn introspection(world: &World) -> tower_resource_server::observe::IntrospectionHealth {
    world.server.health().issuers[0].introspection.clone().unwrap()
}

/// What can be said of a token that says nothing of the endpoint.
fn odd_answers() -> Vec<(&'static str, Fault)> {
    let groups: Vec<_> = (0..1_000).map(|n| format!("group-{n}")).collect();
    let body = |value: serde_json::Value| Fault::Body(value.to_string());
    vec![
        ("403 of a firewall", Fault::Status(403)),
        ("404", Fault::Status(404)),
        ("500", Fault::Status(500)),
        ("501", Fault::Status(501)),
        ("204", Fault::Status(204)),
        ("a redirect", Fault::Redirect("http://127.0.0.1:9/".into())),
        ("an empty object", body(json!({}))),
        ("`active` as text", body(json!({ "active": "true" }))),
        ("1,000 groups", body(json!({ "active": true, "groups": groups }))),
        ("too much", Fault::Oversize(64 * 1024)),
        ("half of it", Fault::Truncated),
        ("HTML", Fault::Html),
        ("another error", Fault::Error(400, "server_error".into())),
    ]
}

#[tokio::test]
async fn odd_tokens_shut_no_other_token_out() {
    join_all(odd_answers().into_iter().map(async |(name, fault)| {
        let world = World::with(Introspection::only).await;
        world.bearer(&world.issuer.token().opaque()).await.assert_ok(name);
        for n in 0..24 {
            world.misbehave(fault.clone());
            world.bearer(&format!("../../etc/passwd{n}")).await;
        }
        world.misbehave(Fault::None);
        assert!(!is_open(&world) && world.server.health().is_ready(), "{name}");
        world.bearer(&world.issuer.token().opaque()).await.assert_ok(name);
    }))
    .await;
}

#[tokio::test]
async fn what_says_that_the_server_fails_opens_the_breaker() {
    let error = |code: &str| Fault::Error(401, code.into());
    for (name, fault, opens) in [
        ("502", Fault::Status(502), true),
        ("503", Fault::Status(503), true),
        ("504", Fault::Status(504), true),
        ("our credentials", error("invalid_client"), true),
        ("our credentials, 400", Fault::Error(400, "invalid_client".into()), true),
        ("401 for different tokens", error("invalid_token"), true),
        ("500", Fault::Status(500), false),
    ] {
        let world = World::with(Introspection::only).await;
        world.misbehave(fault);
        for n in 0..4 {
            world.bearer(&format!("token-{n}")).await.assert_unavailable(name);
            assert!(!is_open(&world), "{name}: {n}");
        }
        world.bearer("token-5").await.assert_unavailable(name);
        assert_eq!(is_open(&world), opens, "{name}");
        assert_eq!(world.server.health().is_ready(), !opens, "{name}");
    }
}

#[tokio::test]
async fn one_token_that_fails_again_and_again_opens_nothing() {
    for (name, fault) in [
        ("503", Fault::Status(503)),
        ("401", Fault::Status(401)),
        ("our credentials", Fault::Error(401, "invalid_client".into())),
    ] {
        let world = World::new().await;
        world.misbehave(fault);
        for _ in 0..50 {
            world.bearer("odd").await.assert_unavailable(name);
            world.pass(1);
        }
        assert_eq!(world.calls(), 50, "{name}");
        assert!(!is_open(&world), "{name}");
        world.misbehave(Fault::None);
        world.bearer(&world.issuer.token().opaque()).await.assert_ok(name);
    }
}

#[tokio::test]
async fn what_was_said_of_a_token_is_remembered_for_that_token_for_a_second() {
    let world = World::new().await;
    let (odd, good) = (world.issuer.token().opaque(), world.issuer.token().opaque());
    world.misbehave(Fault::Status(500));
    for _ in 0..10 {
        world.bearer(&odd).await.assert_unavailable("asked once");
    }
    assert_eq!(world.calls(), 1);
    world.misbehave(Fault::None);
    world.bearer(&good).await.assert_ok("another token");
    world.bearer(&odd).await.assert_unavailable("still remembered");
    world.pass(1);
    world.bearer(&odd).await.assert_ok("asked again");
    assert_eq!(world.calls(), 3);
}

#[tokio::test]
async fn an_odd_token_does_not_fail_the_probe() {
    for (name, fault, good) in [
        ("403", Fault::Status(403), true),
        ("500", Fault::Status(500), true),
        ("garbage", Fault::Garbage, true),
        ("503", Fault::Status(503), false),
    ] {
        let world = World::new().await;
        world.misbehave(Fault::Status(503));
        for n in 0..5 {
            world.bearer(&format!("token-{n}")).await.assert_unavailable(name);
        }
        assert!(is_open(&world), "{name}");
        world.pass(1);
        world.misbehave(fault);
        world.bearer("../../etc/passwd").await.assert_unavailable(name);
        world.misbehave(Fault::None);
        let reply = world.bearer(&world.issuer.token().opaque()).await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
}

#[tokio::test]
async fn a_429_pauses_new_tokens_and_all_once_a_known_one_gets_it() {
    let world = World::new().await;
    let busy = || Fault::Error(429, "slow_down".into());
    let tokens: Vec<_> = (0..3).map(|_| world.issuer.token().opaque()).collect();
    for token in &tokens {
        world.bearer(token).await.assert_ok("known");
    }
    world.pass(61);
    world.misbehave(busy());
    world.bearer("made-up").await.assert_unavailable("429");
    world.misbehave(Fault::None);
    let calls = world.calls();
    let new = world.issuer.token().opaque();
    world.bearer(&new).await.assert_unavailable("new tokens are paused");
    assert_eq!(world.calls(), calls);
    world.bearer(&tokens[0]).await.assert_ok("a known one is not");
    world.pass(1);
    world.bearer(&new).await.assert_ok("the pause is over");
    world.misbehave(busy());
    world.bearer(&tokens[1]).await.assert_unavailable("a known one gets it");
    world.misbehave(Fault::None);
    let calls = world.calls();
    world.bearer(&tokens[2]).await.assert_unavailable("so all are paused");
    world.bearer(&world.issuer.token().opaque()).await.assert_unavailable("new ones, too");
    assert_eq!(world.calls(), calls);
    assert!(!is_open(&world), "that is no outage");
    world.pass(1);
    world.bearer(&tokens[2]).await.assert_ok("over");
}

#[tokio::test]
async fn retry_after_of_the_endpoint_is_honoured_within_a_cap() {
    for (asked, held) in [(0, 1), (20, 20), (86_400, 30)] {
        let world = World::new().await;
        let token = world.issuer.token().opaque();
        world.misbehave(Fault::Busy(asked));
        let reply = world.bearer(&token).await;
        reply.assert_unavailable("busy");
        assert_eq!(reply.headers[RETRY_AFTER], held.to_string(), "{asked}");
        world.misbehave(Fault::None);
        world.pass(held - 1);
        world.bearer(&token).await.assert_unavailable("too early");
        assert_eq!(world.calls(), 1);
        world.bearer(&world.issuer.token().opaque()).await.assert_ok("another token");
        world.pass(1);
        world.bearer(&token).await.assert_ok("later");
    }
    // What opens the breaker asks for all.
    let world = World::new().await;
    world.misbehave(Fault::Busy(20));
    for n in 0..5 {
        world.bearer(&format!("token-{n}")).await.assert_unavailable("busy");
    }
    world.misbehave(Fault::None);
    world.pass(19);
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_unavailable("too early");
    world.pass(1);
    world.bearer(&token).await.assert_ok("later");
}

/// Sends many tokens at once, with so many made-up ones a second beside them.
async fn burst(made_up_a_second: u32) {
    let world = World::new().await;
    world.misbehave(Fault::Slow(Duration::from_millis(50)));
    let tokens: Vec<_> = (0..200).map(|_| world.issuer.token().opaque()).collect();
    let flood = async {
        if made_up_a_second == 0 {
            return std::future::pending().await;
        }
        let (mut sent, mut n) = (FuturesUnordered::new(), 0);
        let mut tick = tokio::time::interval(Duration::from_secs(1) / made_up_a_second);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    n += 1;
                    let token = format!("made-up-{n}");
                    let world = &world;
                    sent.push(async move { world.bearer(&token).await });
                }
                Some(_) = sent.next() => {}
            }
        }
    };
    let good = async {
        // The flood comes first.
        tokio::time::sleep(Duration::from_millis(300)).await;
        join_all(tokens.iter().map(|token| world.bearer(token))).await
    };
    let replies = tokio::select! {
        replies = good => replies,
        () = flood => unreachable!("it goes on"),
    };
    for reply in replies {
        reply.assert_ok("one of 200");
    }
}

#[tokio::test]
async fn a_burst_of_good_tokens_waits_its_turn() {
    burst(0).await;
}

#[tokio::test]
async fn a_burst_of_good_tokens_waits_its_turn_beside_made_up_ones() {
    burst(64).await;
}

#[tokio::test]
async fn made_up_tokens_take_no_call_of_tokens_that_were_active_before() {
    let world = World::new().await;
    let known = world.issuer.token().opaque();
    world.bearer(&known).await.assert_ok("active");
    world.pass(61);
    world.misbehave(Fault::Hang);
    let mut flood: FuturesUnordered<_> = (0..48 + 1_024)
        .map(|n| {
            let world = &world;
            async move { world.bearer(&format!("made-up-{n}")).await }
        })
        .collect();
    // Each is polled, and none is answered.
    assert!(tokio::time::timeout(Duration::from_millis(300), flood.next()).await.is_err());
    let health = introspection(&world);
    assert_eq!((health.in_flight, health.queued), (48, 1_024));
    while world.calls() < 1 + 48 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.misbehave(Fault::None);
    world.bearer("one-more").await.assert_unavailable("too many wait");
    let reply = tokio::time::timeout(Duration::from_secs(2), world.bearer(&known)).await;
    reply.expect("it has calls of its own").assert_ok("known");
}

#[tokio::test]
async fn those_who_wait_for_one_answer_are_bounded() {
    let world = World::new().await;
    world.misbehave(Fault::Hang);
    let mut sent: FuturesUnordered<_> = (0..4_096 + 100)
        .map(|_| {
            let world = &world;
            async move { world.bearer("made-up").await }
        })
        .collect();
    let mut refused = 0;
    while let Ok(Some(reply)) = tokio::time::timeout(Duration::from_millis(500), sent.next()).await
    {
        reply.assert_unavailable("too many");
        refused += 1;
    }
    assert_eq!((refused, introspection(&world).waiting), (100, 4_096));
    drop(sent);
    assert_eq!(introspection(&world).waiting, 0);
}

#[tokio::test]
async fn who_joins_a_call_shortly_before_its_deadline_may_begin_another() {
    let world = World::new().await;
    world.misbehave(Fault::Hang);
    let token = world.issuer.token().opaque();
    let early = world.bearer(&token);
    let late = async {
        tokio::time::sleep(Duration::from_millis(4_500)).await;
        world.misbehave(Fault::None);
        world.bearer(&token).await
    };
    let (early, late) = futures::join!(early, late);
    early.assert_unavailable("its call hung");
    late.assert_ok("it has a deadline of its own");
    assert_eq!(world.calls(), 2);
}

/// A service behind which four requests at a time find room.
macro_rules! four_at_once {
    ($server:expr) => {
        $server.layer().layer(ConcurrencyLimitLayer::new(4).layer(tower::service_fn(
            async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::default())),
        )))
    };
}

fn with(token: &str) -> Request<Body> {
    get().header(AUTHORIZATION, format!("Bearer {token}")).body(Body::default()).unwrap()
}

const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn requests_that_wait_for_an_answer_hold_no_permit() {
    let world = World::new().await;
    let good = world.issuer.token().opaque();
    world.bearer(&good).await.assert_ok("remembered");
    world.misbehave(Fault::Hang);
    let service = four_at_once!(world.server);
    let tokens: Vec<_> = (0..4).map(|n| format!("made-up-{n}")).collect();
    let mut waiting: FuturesUnordered<_> =
        tokens.iter().map(|token| service.clone().oneshot(with(token))).collect();
    assert!(futures::poll!(waiting.next()).is_pending(), "they wait");
    let reply = tokio::time::timeout(SOON, service.clone().oneshot(with(&good))).await;
    assert_eq!(reply.expect("there is a permit").unwrap().status(), 200);
}

/// Gives keys once, and then never again.
struct Once(std::sync::Mutex<Option<String>>);

impl KeySource for Once {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        let keys = self.0.lock().unwrap().take();
        match keys {
            Some(keys) => Ok(FetchedKeys::new(keys)),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn requests_that_wait_for_keys_hold_no_permit() {
    let issuer = issuer();
    let source = Once(std::sync::Mutex::new(Some(issuer.jwks())));
    let server: ResourceServer = builder(Issuer::new(ISSUER).key_source(source)).build().unwrap();
    let good = issuer.token().sign();
    api(server.layer()).bearer(&good).await.assert_ok("keys are fetched");
    let service = four_at_once!(server);
    let forger = Forger::new(&good);
    let forged: Vec<_> = (0..4).map(|n| forger.token(&format!("kid-{n}"))).collect();
    let mut waiting: FuturesUnordered<_> =
        forged.iter().map(|token| service.clone().oneshot(with(token))).collect();
    assert!(futures::poll!(waiting.next()).is_pending(), "they wait");
    let reply = tokio::time::timeout(SOON, service.clone().oneshot(with(&good))).await;
    assert_eq!(reply.expect("there is a permit").unwrap().status(), 200);
}

#[tokio::test]
async fn a_request_that_has_waited_takes_its_turn_at_the_inner_service() {
    let world = World::new().await;
    world.misbehave(Fault::Slow(Duration::from_millis(50)));
    let (first, second) = (world.issuer.token().opaque(), world.issuer.token().opaque());
    let service = world.server.layer().layer(ConcurrencyLimitLayer::new(1).layer(
        tower::service_fn(async |_: Request<Body>| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, Infallible>(Response::new(Body::default()))
        }),
    ));
    let mut both =
        pin!(join_all([first, second].map(|token| service.clone().oneshot(with(&token)))));
    let replies = tokio::time::timeout(SOON, both.as_mut()).await.expect("one after the other");
    assert!(replies.into_iter().all(|reply| reply.unwrap().status() == 200));
}
