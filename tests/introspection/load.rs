//! What many requests cost the authorization server.

use std::time::Duration;

use futures::future::join_all;
use tower_resource_server::Issuer;
use tower_resource_server::introspection::Introspection;
use tower_resource_server::test_issuer::Fault;

use super::support::*;
use super::{World, secret, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn id_7662_4_4_a_thousand_requests_with_one_token_make_one_call() {
    let world = World::new().await;
    world.misbehave(Fault::Slow(Duration::from_millis(50)));
    let token = world.issuer.token().opaque();
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let (api, token) = (api(world.server.layer()), token.clone());
            tokio::spawn(async move { api.bearer(&token).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().assert_ok("one of many");
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_over_a_hundred_tokens_make_a_hundred_calls() {
    let world = World::new().await;
    let tokens: Vec<_> = (0..100).map(|_| world.issuer.token().opaque()).collect();
    // The endpoint takes 64 at once; what exceeds that is refused, which is another test.
    for half in tokens.chunks(50) {
        let tasks: Vec<_> = half
            .iter()
            .flat_map(|token| std::iter::repeat_n(token, 100))
            .map(|token| {
                let (api, token) = (api(world.server.layer()), token.clone());
                tokio::spawn(async move { api.bearer(&token).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().assert_ok("one of many");
        }
    }
    assert_eq!(world.calls(), 100);
}

#[tokio::test]
async fn dead_tokens_are_remembered_apart_and_push_no_live_one_out() {
    let world = World::new().await;
    let live: Vec<_> = (0..50).map(|_| world.issuer.token().opaque()).collect();
    for token in &live {
        world.bearer(token).await.assert_ok("live");
    }
    for _ in 0..3 {
        for n in 0..1_000 {
            world.bearer(&format!("dead-{n}")).await.assert_invalid_token("dead");
        }
    }
    for token in &live {
        world.bearer(token).await.assert_ok("still remembered");
    }
    assert_eq!(world.calls(), 50 + 1_000);
}

#[tokio::test]
async fn a_client_that_goes_takes_no_call_with_it() {
    let world = World::new().await;
    world.misbehave(Fault::Slow(Duration::from_millis(100)));
    let token = world.issuer.token().opaque();
    let impatient = tokio::time::timeout(Duration::from_millis(20), world.bearer(&token)).await;
    assert!(impatient.is_err(), "it goes");
    world.bearer(&token).await.assert_ok("the one behind it");
    assert_eq!(world.calls(), 1);
    // Nor does it matter that nobody is left.
    let token = world.issuer.token().opaque();
    let _ = tokio::time::timeout(Duration::from_millis(20), world.bearer(&token)).await;
    while world.calls() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.misbehave(Fault::Status(500));
    world.bearer(&token).await.assert_ok("the answer was taken in");
}

#[tokio::test]
async fn with_ttl_zero_no_answer_is_older_than_the_request() {
    let world = World::with(|own| own.cache_ttl(Duration::ZERO)).await;
    world.misbehave(Fault::Slow(Duration::from_millis(200)));
    let token = world.issuer.token().opaque();
    let early = world.bearer(&token);
    let late = async {
        // The early question is on its way, and its answer is made already.
        while world.calls() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.issuer.revoke(&token);
        join_all((0..50).map(|_| world.bearer(&token))).await
    };
    let (early, late) = futures::join!(early, late);
    early.assert_ok("asked before");
    for reply in late {
        reply.assert_invalid_token("came after it was revoked");
    }
    assert_eq!(world.calls(), 2, "they asked together");
}

#[tokio::test]
async fn a_remembered_answer_is_used_without_waiting() {
    let world = World::new().await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    let api = api(world.server.layer());
    let mut answer = std::pin::pin!(api.bearer(&token));
    assert!(futures::poll!(answer.as_mut()).is_ready(), "one poll, no wait");
}

#[tokio::test]
async fn two_servers_share_no_answer() {
    let world = World::new().await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    let introspection = || Introspection::new(secret());
    let issuer = || Issuer::new(world.issuer.url());
    let elsewhere = format!("{}?x", world.issuer.introspection_endpoint());
    for (name, trusted, good) in [
        ("the same settings", issuer().introspection(introspection()), true),
        ("another endpoint", issuer().introspection(introspection().endpoint(elsewhere)), true),
        (
            "another audience",
            issuer().audience("https://other").introspection(introspection()),
            false,
        ),
    ] {
        let calls = world.calls();
        let reply = api(serve(trusted, &world.clock).layer()).bearer(&token).await;
        if good {
            reply.assert_ok(name)
        } else {
            reply.assert_invalid_token(name)
        }
        assert_eq!(world.calls(), calls + 1, "{name}");
    }
}

#[tokio::test]
async fn a_reload_forgets_every_answer() {
    let world = World::new().await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    let trusted = || Issuer::new(world.issuer.url()).introspection(Introspection::new(secret()));
    world.server.reload([trusted()], [AUDIENCE]).unwrap();
    world.bearer(&token).await.assert_ok("asked again");
    assert_eq!(world.calls(), 2);
    world.server.reload([trusted()], ["https://other"]).unwrap();
    world.bearer(&token).await.assert_invalid_token("for another audience now");
    world.server.reload([Issuer::new(world.issuer.url())], [AUDIENCE]).unwrap();
    world.bearer(&token).await.assert_invalid_token("introspected no longer");
    assert_eq!(world.calls(), 3);

    // A request that waits while the configuration changes is judged by the new one.
    world.server.reload([trusted()], [AUDIENCE]).unwrap();
    let slow = Fault::Slow(Duration::from_millis(100));
    for (name, fault, audience, good) in [
        ("another audience", slow, "https://other", false),
        ("the old call fails", Fault::Hang, AUDIENCE, true),
    ] {
        let token = world.issuer.token().opaque();
        let before = world.calls();
        world.misbehave(fault);
        let (reply, ()) = futures::join!(world.bearer(&token), async {
            while world.calls() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            world.misbehave(Fault::None);
            world.server.reload([trusted()], [audience]).unwrap();
        });
        if good {
            reply.assert_ok(name)
        } else {
            reply.assert_invalid_token(name)
        }
        assert_eq!(world.calls() - before, 2, "{name}: each configuration asks for itself");
    }
}
