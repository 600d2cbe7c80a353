//! What an outage of the endpoint does: 503 in time, nothing accepted, and it heals by itself.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tower_resource_server::introspection::Introspection;
use tower_resource_server::test_issuer::{Endpoint, Fault};
use tower_resource_server::{Issuer, danger};

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
        Fault::Status(202),
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
        // What was said of the token is remembered for a second.
        world.pass(1);
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
    for (code, has_answered, good) in [
        ("invalid_token", false, true),
        ("invalid_grant", false, true),
        ("unsupported_token_type", false, true),
        ("invalid_request", true, true),
        // It may be our call that lacks something.
        ("invalid_request", false, false),
        ("unauthorized_client", true, false),
        ("server_error", true, false),
    ] {
        let world = World::new().await;
        if has_answered {
            world.bearer(&world.issuer.token().opaque()).await.assert_ok("before");
        }
        let before = world.calls();
        world.misbehave(Fault::Error(400, code.into()));
        for n in 0..20 {
            let reply = world.bearer(&format!("token-{n}")).await;
            if good { reply.assert_invalid_token(code) } else { reply.assert_unavailable(code) }
        }
        assert_eq!(world.calls() - before, 20, "{code}: no breaker opens for that");
        let reply = world.bearer("token-1").await;
        if good {
            reply.assert_invalid_token(code)
        } else {
            reply.assert_unavailable(code)
        }
        assert_eq!(world.calls() - before, 20, "{code}: remembered");
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_alone_and_used_again_when_it_is_back() {
    let world = World::new().await;
    let known = world.issuer.token().opaque();
    world.bearer(&known).await.assert_ok("known");
    world.misbehave(Fault::Status(503));
    for n in 0..20 {
        let reply = world.bearer(&format!("token-{n}")).await;
        reply.assert_unavailable("down");
    }
    assert_eq!(world.calls(), 1 + 5, "5 tokens in a row are enough");
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
    assert_eq!(world.calls(), 1 + 48);
    world.bearer(&tokens[0]).await.assert_unavailable("held back at once");
    assert_eq!(world.calls(), 1 + 48);
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
        let built = builder(Issuer::new(ISSUER).introspection(own)).build();
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

/// With the readiness probe as the only traffic, an endpoint that is back is found by it.
#[tokio::test]
async fn readiness_comes_back_by_itself_in_every_mode() {
    let ready = async |world: &World| {
        let request = http::Request::new(Body::default());
        let mut service = world.server.readiness_service::<Body>();
        tower::Service::call(&mut service, request).await.unwrap().status() == 200
    };
    type Mode = fn(Introspection) -> Introspection;
    let modes: [(&str, Mode); 3] = [
        ("opaque tokens", |own| own),
        ("every token", Introspection::only),
        ("JWTs as well", Introspection::also_for_jwts),
    ];
    for (name, mode) in modes {
        let world = World::with(mode).await;
        world.server.ready(DEADLINE).await.unwrap();
        assert!(ready(&world).await, "{name}");
        world.misbehave(Fault::Status(503));
        for n in 0..5 {
            world.bearer(&format!("token-{n}")).await.assert_unavailable(name);
        }
        assert!(!ready(&world).await, "{name}: requests are answered 503");
        let before = world.calls();
        world.pass(1);
        for _ in 0..20 {
            assert!(!ready(&world).await, "{name}: it is still down");
        }
        while world.server.health().issuers[0].introspection.as_ref().unwrap().in_flight > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!ready(&world).await, "{name}: it is still down");
        assert_eq!(world.calls() - before, 1, "{name}: one probe a pause");
        world.misbehave(Fault::None);
        world.pass(2);
        assert!(!ready(&world).await, "{name}: this question sends the probe");
        while !ready(&world).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(world.calls() - before, 2, "{name}");
        let calls = world.issuer.introspections();
        let [.., first, second] = calls.as_slice() else { panic!("two probes") };
        assert_eq!(first.token, second.token, "{name}: one text for all");
        let text = first.token.as_ref().unwrap();
        assert!(!text.starts_with("token-") && text.len() == 64, "{name}: no client's token");
    }
}

#[tokio::test]
async fn an_active_answer_past_its_exp_is_remembered_as_dead() {
    let world = World::new().await;
    let now = tower_resource_server::clock::Clock::wall(&world.clock).as_secs();
    for (name, exp, good, calls) in [
        ("long-past", now - 1_000, false, 1),
        ("past-within-the-leeway", now - 10, true, 3),
        ("ahead", now + 1_000, true, 1),
    ] {
        let before = world.calls();
        world.says(json!({ "exp": exp }));
        for _ in 0..3 {
            let reply = world.bearer(name).await;
            if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
        }
        assert_eq!(world.calls() - before, calls, "{name}");
    }
    let before = world.calls();
    world.pass(5);
    world.says(json!({ "exp": now + 1_000 }));
    world.bearer("long-past").await.assert_ok("asked again after 5 s");
    assert_eq!(world.calls() - before, 1);
}

/// The log's subscriber is the API's own code, and may ask how the server stands.
#[test]
fn a_subscriber_may_ask_for_health() {
    struct Asks(tower_resource_server::ResourceServer);
    impl std::io::Write for Asks {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.health();
            Ok(text.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let server = world.server.clone();
    let log = tracing_subscriber::fmt().with_writer(move || Asks(server.clone())).finish();
    let _guard = tracing_subscriber::util::SubscriberInitExt::set_default(log);
    let token = world.issuer.token().opaque();
    futures::executor::block_on(world.bearer(&token)).assert_unavailable("no runtime");
    world.misbehave(Fault::Status(503));
    for n in 0..6 {
        runtime.block_on(world.bearer(&format!("token-{n}"))).assert_unavailable("down");
    }
    world.misbehave(Fault::None);
    world.pass(1);
    runtime.block_on(world.bearer(&token)).assert_ok("back");
}

/// Each reload makes a waiting request ask again; all of that has one deadline.
#[tokio::test]
async fn a_request_that_waits_through_reloads_has_one_deadline() {
    let world = World::new().await;
    world.misbehave(Fault::Hang);
    let trusted = || Issuer::new(world.issuer.url()).introspection(Introspection::new(secret()));
    let reloads = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1_900)).await;
            world.server.reload([trusted()], [AUDIENCE]).unwrap();
        }
    };
    let token = world.issuer.token().opaque();
    let reply = tokio::select! {
        reply = tokio::time::timeout(Duration::from_millis(7_500), world.bearer(&token)) => reply,
        () = reloads => unreachable!("they go on"),
    };
    reply.expect("in time").assert_unavailable("hanging");
}
