//! What an outage of the endpoint does: 503 in time, nothing accepted, and it heals by itself.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tower_resource_server::test_issuer::{Endpoint, Fault};
use tower_resource_server::{Introspection, Issuer, danger};

use super::support::*;
use super::{World, secret};

/// A call is given 5 s in all; what a client waits beyond that is our own slowness.
const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn id_7662_2_3_1_a_fault_of_the_server_is_not_the_tokens() {
    let good = json!({ "active": true, "aud": AUDIENCE }).to_string();
    let faults = [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(403),
        Fault::Status(204),
        Fault::Status(201),
        Fault::Error(401, "invalid_client".into()),
        Fault::Error(400, "invalid_client".into()),
        Fault::Status(401),
        Fault::Status(400),
        Fault::Redirect("http://127.0.0.1:9/".into()),
        Fault::Html,
        Fault::Garbage,
        Fault::Truncated,
        Fault::Oversize(64 * 1024),
        Fault::Typed("application/jwt".into(), good.clone()),
        Fault::Body(format!("{good}{good}")),
        Fault::Hang,
        Fault::Trickle,
    ];
    join_all(faults.map(async |fault| {
        let name = format!("{fault:?}");
        let world = World::new().await;
        let token = world.issuer.token().opaque();
        world.misbehave(fault);
        let reply = tokio::time::timeout(DEADLINE, world.bearer(&token)).await.expect("in time");
        reply.assert_unavailable(&name);
        assert_eq!(reply.challenges, []);
        world.misbehave(Fault::None);
        world.bearer(&token).await.assert_ok(&name);
    }))
    .await;
}

#[tokio::test]
async fn an_answer_of_64_kib_is_read_and_no_more() {
    let world = World::new().await;
    let answer = |length: usize| {
        let start = format!(r#"{{"active":true,"aud":"{AUDIENCE}","pad":""#);
        let pad = "x".repeat(length - start.len() - 2);
        Fault::Body(format!("{start}{pad}\"}}"))
    };
    world.misbehave(answer(64 * 1024));
    world.bearer("one").await.assert_ok("at the limit");
    world.misbehave(answer(64 * 1024 + 1));
    world.bearer("two").await.assert_unavailable("beyond it");
}

#[tokio::test]
async fn a_400_about_the_token_is_a_refused_token() {
    let world = World::new().await;
    world.misbehave(Fault::Error(400, "invalid_request".into()));
    for n in 0..20 {
        world.bearer(&format!("token-{n}")).await.assert_invalid_token("400");
    }
    assert_eq!(world.calls(), 20, "no breaker opens for that");
    world.bearer("token-1").await.assert_invalid_token("remembered");
    assert_eq!(world.calls(), 20);
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_alone_and_used_again_when_it_is_back() {
    let world = World::new().await;
    let known = world.issuer.token().opaque();
    world.bearer(&known).await.assert_ok("known");
    world.misbehave(Fault::Status(500));
    for n in 0..20 {
        let reply = world.bearer(&format!("token-{n}")).await;
        reply.assert_unavailable("down");
    }
    assert_eq!(world.calls(), 1 + 5, "5 failures in a row are enough");
    world.bearer(&known).await.assert_ok("what is remembered holds");
    let token = world.issuer.token().opaque();
    world.pass(1);
    world.bearer(&token).await.assert_unavailable("one probe fails");
    world.bearer(&token).await.assert_unavailable("no second one");
    assert_eq!(world.calls(), 1 + 5 + 1);
    world.misbehave(Fault::None);
    world.bearer(&token).await.assert_unavailable("not yet");
    world.pass(2);
    world.bearer(&token).await.assert_ok("it is back");
    world.bearer(&world.issuer.token().opaque()).await.assert_ok("for all");
}

#[tokio::test]
async fn a_server_that_hangs_gets_no_more_than_the_limit_and_heals() {
    let world = World::new().await;
    let known = world.issuer.token().opaque();
    world.bearer(&known).await.assert_ok("known");
    world.misbehave(Fault::Hang);
    let tokens: Vec<_> = (0..100).map(|_| world.issuer.token().opaque()).collect();
    let replies = join_all(tokens.iter().map(|token| world.bearer(token)));
    let replies = tokio::time::timeout(DEADLINE, replies).await.expect("in time");
    for reply in &replies {
        reply.assert_unavailable("hanging");
    }
    assert_eq!(world.calls(), 1 + 64);
    world.bearer(&tokens[0]).await.assert_unavailable("held back at once");
    assert_eq!(world.calls(), 1 + 64);
    world.bearer(&known).await.assert_ok("remembered");
    world.misbehave(Fault::None);
    world.pass(1);
    world.bearer(&tokens[0]).await.assert_ok("healed");
    for reply in join_all(tokens[1..65].iter().map(|token| world.bearer(token))).await {
        reply.assert_ok("64 at once");
    }
}

#[tokio::test]
async fn without_an_endpoint_or_metadata_it_is_an_outage() {
    let world = World::new().await;
    let token = world.issuer.token().opaque();
    let metadata = json!({ "issuer": world.issuer.url(), "jwks_uri": world.issuer.jwks_uri() });
    let fault = Fault::Body(metadata.to_string());
    world.issuer.set_fault(super::Endpoint::Metadata, fault);
    world.bearer(&token).await.assert_unavailable("no endpoint in the metadata");
    let world = World::new().await;
    let token = world.issuer.token().opaque();
    world.issuer.stop();
    world.bearer(&token).await.assert_unavailable("nobody there");
    world.issuer.restart().await.unwrap();
    world.bearer(&token).await.assert_ok("back");
}

#[test]
fn without_a_runtime_it_is_an_outage() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let token = world.issuer.token().opaque();
    futures::executor::block_on(world.bearer(&token)).assert_unavailable("no runtime");
    runtime.block_on(world.bearer(&token)).assert_ok("with one");
    futures::executor::block_on(world.bearer(&token)).assert_ok("remembered, so none is needed");
}

#[tokio::test]
async fn a_stale_answer_stands_in_only_where_that_was_chosen() {
    let chosen = World::with(|own| {
        danger::accept_stale_answers(
            own.cache_ttl(Duration::from_secs(10)),
            Duration::from_secs(30),
        )
    })
    .await;
    let default = World::with(|own| own.cache_ttl(Duration::from_secs(10))).await;
    for (name, world, good) in [("chosen", chosen, true), ("default", default, false)] {
        let token = world.issuer.token().opaque();
        let short = world.issuer.token().expires_in(15).opaque();
        let endless = world.issuer.token().without("exp").opaque();
        for token in [&token, &short, &endless] {
            world.bearer(token).await.assert_ok("before");
        }
        world.misbehave(Fault::Status(500));
        world.pass(11);
        let stale = async || {
            let reply = world.bearer(&token).await;
            if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
        };
        stale().await;
        world.bearer(&endless).await.assert_unavailable("nothing would end it");
        world.pass(4);
        world.bearer(&short).await.assert_unavailable("past exp");
        // The breaker is open by now; that is an outage as well.
        for _ in 0..5 {
            stale().await;
        }
        world.pass(25);
        world.bearer(&token).await.assert_unavailable("past the time it may stand in");
        world.misbehave(Fault::None);
        world.pass(60);
        world.bearer(&token).await.assert_ok("back");
        world.pass(11);
        world.issuer.revoke(&token);
        world.bearer(&token).await.assert_invalid_token("said to be dead");
        world.misbehave(Fault::Status(500));
        world.pass(6);
        world.bearer(&token).await.assert_unavailable("and never alive again");
    }
    for (ttl, stale, good) in [(60, 3_600, true), (60, 3_601, false), (0, 60, false)] {
        let own = Introspection::new(secret()).cache_ttl(Duration::from_secs(ttl));
        let own = danger::accept_stale_answers(own, Duration::from_secs(stale));
        let built = builder(Issuer::discover(ISSUER).introspection(own)).build();
        assert_eq!(built.is_ok(), good, "{ttl}, {stale}");
    }
}

/// Keys and endpoint are found by one document, whose server is spared by both.
#[tokio::test]
async fn a_busy_metadata_server_is_left_alone_for_tokens_of_both_kinds() {
    let world = World::new().await;
    let (jwt, opaque) = (world.issuer.token().sign(), world.issuer.token().opaque());
    world.issuer.set_fault(Endpoint::Metadata, Fault::Busy(20));
    world.bearer(&jwt).await.assert_unavailable("a JWT");
    assert_eq!(world.issuer.counts().metadata, 1);
    world.issuer.set_fault(Endpoint::Metadata, Fault::None);
    world.pass(19);
    world.bearer(&opaque).await.assert_unavailable("an opaque token, too early");
    assert_eq!(world.issuer.counts().metadata, 1);
    world.pass(1);
    world.bearer(&opaque).await.assert_ok("an opaque token, later");
    // The pause before keys are fetched is up to half as long again, so that a fleet spreads.
    world.pass(10);
    world.bearer(&jwt).await.assert_ok("a JWT, later");
    assert_eq!(world.issuer.counts().metadata, 2);
}

#[tokio::test]
async fn metadata_that_hangs_takes_no_known_endpoint_with_it() {
    let world = World::new().await;
    world.bearer(&world.issuer.token().opaque()).await.assert_ok("metadata is fetched");
    let fetched = world.issuer.counts().metadata;
    world.pass(60 * 60);
    world.issuer.set_fault(Endpoint::Metadata, Fault::Hang);
    for _ in 0..10 {
        let token = world.issuer.token().expires_in(100_000).opaque();
        world.bearer(&token).await.assert_ok("the endpoint is known and answers");
    }
    let attempts = world.issuer.counts().metadata - fetched;
    assert_eq!(attempts, 1, "one that fails is not asked for again at once");
    world.issuer.set_fault(Endpoint::Metadata, Fault::None);
    world.pass(60);
    let token = world.issuer.token().expires_in(100_000).opaque();
    world.bearer(&token).await.assert_ok("metadata is there again");
    assert_eq!(world.issuer.counts().metadata - fetched, 2);
}
