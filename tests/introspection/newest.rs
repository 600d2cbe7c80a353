//! The newest question decides, in whatever order answers arrive: in memory, and in a store that is
//! late, careless or lies.

use std::time::Duration;

use serde_json::json;
use tower_resource_server::clock::{Clock as _, TestClock};
use tower_resource_server::danger;
use tower_resource_server::introspection::Introspection;
use tower_resource_server::policy::introspected_now;
use tower_resource_server::test_issuer::{Endpoint, Fault};

use super::shared::{Log, Shelf, ShelfFault, another, ask, trusted, world};
use super::support::*;
use super::{World, secret, serve};

#[tokio::test]
async fn a_newer_answer_past_its_exp_takes_the_place_of_an_older_one() {
    for (name, exp, over) in [("past", -100, true), ("ahead", 200, false)] {
        let world = World::new().await;
        let now = i64::try_from(world.clock.wall().as_secs()).unwrap();
        world.says(json!({ "exp": now + 300 }));
        world.bearer("token").await.assert_ok(name);
        world.pass(1);
        world.says(json!({ "exp": now + exp }));
        let asking = api(world.server.protect(introspected_now()));
        let newer = asking.bearer("token").await;
        let later = world.bearer("token").await;
        if over {
            newer.assert_invalid_token(name);
            later.assert_invalid_token("the older answer is out of use");
        } else {
            newer.assert_ok(name);
            later.assert_ok(name);
        }
        // An answer past its `exp` is as good as "inactive": the token is not asked for again at once.
        assert_eq!(world.calls(), 2, "{name}");
    }
}

#[tokio::test]
async fn an_older_active_stays_out_for_the_ttl_once_a_revocation_was_seen() {
    for (name, revoked) in [("revoked", true), ("still active", false)] {
        let world = World::with(|own| own.cache_ttl(Duration::from_secs(1))).await;
        let token = world.issuer.token().opaque();
        // This question is answered before the next one is put, and its answer arrives after it.
        world.misbehave(Fault::Slow(Duration::from_millis(800)));
        let early = tokio::spawn({
            let (api, token) = (api(world.server.layer()), token.clone());
            async move { api.bearer(&token).await }
        });
        while world.calls() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.misbehave(Fault::None);
        world.clock.advance(Duration::from_millis(1));
        if revoked {
            world.issuer.revoke(&token);
        }
        let newer = api(world.server.protect(introspected_now())).bearer(&token).await;
        // What it said is too old to be repeated, and the early question is still under way. A
        // request that comes now does not take its answer.
        world.pass(2);
        let late = tokio::spawn({
            let (api, token) = (api(world.server.layer()), token.clone());
            async move { api.bearer(&token).await }
        });
        assert!(!early.is_finished(), "{name}: the early answer came too soon");
        let late = late.await.unwrap();
        if revoked {
            newer.assert_invalid_token(name);
            late.assert_invalid_token(name);
        } else {
            newer.assert_ok(name);
            late.assert_ok(name);
        }
        early.await.unwrap().assert_ok("asked before");
    }
}

#[tokio::test]
async fn an_older_active_written_after_a_newer_inactive_is_not_believed() {
    for (name, apart, older_first) in [
        ("the older one is late", 1_000, false),
        ("in order", 1_000, true),
        ("by a millisecond", 1, false),
        ("a tie, the active one is second", 0, false),
        ("a tie, the inactive one is second", 0, true),
    ] {
        let shelf = Shelf::default();
        let world = world(&shelf).await;
        let other = another(&world, &shelf, &world.clock);
        let token = world.issuer.token().opaque();
        shelf.misbehave(ShelfFault::Late);
        world.bearer(&token).await.assert_ok(name);
        shelf.has(1).await;
        if older_first {
            shelf.misbehave(ShelfFault::None);
            shelf.catch_up();
        }
        world.clock.advance(Duration::from_millis(apart));
        world.issuer.revoke(&token);
        if older_first {
            // It asks, and does not look.
            let asking = api(other.protect(introspected_now()));
            asking.bearer(&token).await.assert_invalid_token(name);
        } else {
            shelf.misbehave(ShelfFault::None);
            ask(&other, &token).await.assert_invalid_token(name);
        }
        shelf.has(2).await;
        shelf.catch_up();
        assert_eq!(world.calls(), 2, "{name}");
        ask(&another(&world, &shelf, &world.clock), &token).await.assert_invalid_token(name);
        assert_eq!(world.calls(), 2, "{name}: shared");
        // Later it is no answer, and still there.
        for seconds in [5, 53] {
            world.pass(seconds);
            let calls = world.calls();
            shelf.misbehave(ShelfFault::ReadOnly);
            let new = another(&world, &shelf, &world.clock);
            ask(&new, &token).await.assert_invalid_token(name);
            assert_eq!(world.calls(), calls + 1, "{name}: asked");
            shelf.misbehave(ShelfFault::None);
        }
    }
}

#[tokio::test]
async fn a_newer_active_is_shared_and_an_older_inactive_is_not() {
    for (name, late) in [("in order", false), ("the inactive one is late", true)] {
        let shelf = Shelf::default();
        let world = world(&shelf).await;
        let other = another(&world, &shelf, &world.clock);
        world.misbehave(Fault::Body(r#"{"active":false}"#.into()));
        if late {
            shelf.misbehave(ShelfFault::Late);
        }
        world.bearer("token").await.assert_invalid_token(name);
        shelf.has(1).await;
        shelf.misbehave(ShelfFault::None);
        world.clock.advance(Duration::from_millis(1));
        // A replica of the authorization server that did not know the token yet.
        world.says(json!({}));
        let asking = api(other.protect(introspected_now()));
        asking.bearer("token").await.assert_ok(name);
        shelf.has(2).await;
        shelf.catch_up();
        ask(&another(&world, &shelf, &world.clock), "token").await.assert_ok(name);
        assert_eq!(world.calls(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_read_of_the_store_that_a_revocation_overtook_is_not_believed() {
    for (name, revoked) in [("revoked", true), ("not revoked", false)] {
        let shelf = Shelf::default();
        let world = world(&shelf).await;
        let token = world.issuer.token().opaque();
        ask(&another(&world, &shelf, &world.clock), &token).await.assert_ok(name);
        shelf.has(1).await;
        world.pass(1);
        let gets = shelf.gets();
        shelf.misbehave(ShelfFault::SlowReads);
        let early = tokio::spawn({
            let (api, token) = (api(world.server.layer()), token.clone());
            async move { api.bearer(&token).await }
        });
        while shelf.gets() == gets {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if revoked {
            world.issuer.revoke(&token);
        }
        let asking = api(world.server.protect(introspected_now()));
        let newer = asking.bearer(&token).await;
        assert!(!early.is_finished(), "{name}: the read came too soon");
        let early = early.await.unwrap();
        if revoked {
            newer.assert_invalid_token(name);
            early.assert_invalid_token(name);
        } else {
            newer.assert_ok(name);
            early.assert_ok(name);
        }
    }
}

#[tokio::test]
async fn who_saw_a_revocation_believes_no_store_that_lies() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    shelf.has(1).await;
    let old = shelf.values();
    world.pass(1);
    world.issuer.revoke(&token);
    let asking = api(world.server.protect(introspected_now()));
    asking.bearer(&token).await.assert_invalid_token("revoked");
    shelf.has(2).await;
    for seconds in [5, 20, 33] {
        world.pass(seconds);
        // The old value under the newer version.
        shelf.replace(old.clone());
        let calls = world.calls();
        world.bearer(&token).await.assert_invalid_token("asked all the same");
        assert_eq!(world.calls(), calls + 1, "after {seconds} s more");
    }
    assert_eq!(log.count("it may be older than a revocation seen here"), 3);
    assert_eq!(log.count(&token), 0);
    // The neighbour: one that saw nothing can't know, until the ttl ends.
    shelf.replace(old.clone());
    ask(&another(&world, &shelf, &world.clock), &token).await.assert_ok("59 s old");
    world.pass(1);
    shelf.replace(old);
    let other = another(&world, &shelf, &world.clock);
    ask(&other, &token).await.assert_invalid_token("60 s old");
}

#[tokio::test]
async fn a_clock_ahead_makes_no_answer_newer_than_a_seen_revocation() {
    for (name, seen, ahead) in [("a revocation was seen", true, 30), ("none was seen", false, 30)] {
        let shelf = Shelf::default();
        let world = world(&shelf).await;
        let token = world.issuer.token().without("iat").without("nbf").expires_in(900).opaque();
        let clock = TestClock::at(world.clock.wall().as_secs() + ahead);
        ask(&another(&world, &shelf, &clock), &token).await.assert_ok(name);
        shelf.has(1).await;
        world.pass(1);
        world.issuer.revoke(&token);
        if seen {
            let asking = api(world.server.protect(introspected_now()));
            asking.bearer(&token).await.assert_invalid_token(name);
            shelf.has(2).await;
            world.pass(6);
        }
        let reply = world.bearer(&token).await;
        if seen { reply.assert_invalid_token(name) } else { reply.assert_ok(name) }
    }
}

#[tokio::test]
async fn a_revocation_that_another_server_saw_ends_a_stale_answer() {
    for (name, revoked) in [("revoked", true), ("not revoked", false)] {
        let shelf = Shelf::default();
        let own = || {
            let own = Introspection::new(secret()).shared_cache(shelf.cache());
            danger::accept_stale_answers(own, Duration::from_secs(200))
        };
        let world = World::with(|_| own()).await;
        let other = serve(trusted(&world, own()), &world.clock);
        let token = world.issuer.token().opaque();
        world.bearer(&token).await.assert_ok(name);
        shelf.has(1).await;
        world.pass(61);
        if revoked {
            world.issuer.revoke(&token);
        }
        let reply = ask(&other, &token).await;
        if revoked {
            reply.assert_invalid_token(name)
        } else {
            reply.assert_ok(name)
        }
        shelf.has(2).await;
        if !revoked {
            // So that there is nothing but what is in memory.
            shelf.clear();
        }
        world.issuer.set_fault(Endpoint::Introspection, Fault::Status(503));
        // Past the 5 s for which it is repeated that the token is dead, then past the ttl.
        for seconds in [6, 70] {
            world.pass(seconds);
            let reply = world.bearer(&token).await;
            if revoked { reply.assert_unavailable(name) } else { reply.assert_ok(name) }
        }
    }
}

#[tokio::test]
async fn an_expired_answer_of_another_server_ends_a_stale_one() {
    for (name, exp, over) in [("past", 62, true), ("ahead", 280, false)] {
        let shelf = Shelf::default();
        let own = || {
            let own = Introspection::new(secret()).shared_cache(shelf.cache());
            danger::accept_stale_answers(own, Duration::from_secs(200))
        };
        let world = World::with(|_| own()).await;
        let other = serve(trusted(&world, own()), &world.clock);
        let now = world.clock.wall().as_secs();
        world.says(json!({ "exp": now + 300 }));
        world.bearer("token").await.assert_ok(name);
        shelf.has(1).await;
        world.pass(61);
        world.says(json!({ "exp": now + exp }));
        ask(&other, "token").await.assert_ok(name);
        shelf.has(2).await;
        world.pass(2);
        world.issuer.set_fault(Endpoint::Introspection, Fault::Status(503));
        let reply = world.bearer("token").await;
        if over { reply.assert_unavailable(name) } else { reply.assert_ok(name) }
    }
}

#[tokio::test]
async fn a_revocation_seen_on_one_route_counts_for_jwts_on_all() {
    for (name, revoked) in [("revoked", true), ("not revoked", false)] {
        let shelf = Shelf::default();
        let own = |own: Introspection| own.also_for_jwts().shared_cache(shelf.cache());
        let world = World::with(own).await;
        let token = world.issuer.token().sign();
        world.bearer(&token).await.assert_ok(name);
        shelf.has(1).await;
        let old = shelf.values();
        world.pass(1);
        if revoked {
            world.issuer.revoke(&token);
        }
        let asking = api(world.server.protect(introspected_now()));
        let reply = asking.bearer(&token).await;
        if revoked {
            reply.assert_invalid_token(name)
        } else {
            reply.assert_ok(name)
        }
        shelf.has(2).await;
        world.pass(6);
        shelf.replace(old);
        let reply = world.bearer(&token).await;
        if revoked { reply.assert_invalid_token(name) } else { reply.assert_ok(name) }
    }
}

#[tokio::test]
async fn a_store_that_does_not_compare_is_no_better_than_its_last_write() {
    // Why comparing is asked of a store: a server that saw nothing believes the last write.
    for (name, fault, believed) in
        [("careless", ShelfFault::Careless, true), ("as asked", ShelfFault::None, false)]
    {
        let shelf = Shelf::default();
        let world = world(&shelf).await;
        let other = another(&world, &shelf, &world.clock);
        let token = world.issuer.token().opaque();
        shelf.misbehave(ShelfFault::Late);
        world.bearer(&token).await.assert_ok(name);
        shelf.has(1).await;
        world.pass(1);
        world.issuer.revoke(&token);
        shelf.misbehave(fault);
        ask(&other, &token).await.assert_invalid_token(name);
        shelf.has(2).await;
        shelf.catch_up();
        let reply = ask(&another(&world, &shelf, &world.clock), &token).await;
        if believed { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

/// A clock that is ahead makes an answer look newer than it is. Here it is taken in while the question
/// that sees the revocation is in progress.
#[tokio::test]
async fn a_shared_answer_that_only_seems_newer_does_not_outdo_a_revocation() {
    for (name, revoked) in [("revoked", true), ("not revoked", false)] {
        let shelf = Shelf::default();
        let world = world(&shelf).await;
        let token = world.issuer.token().without("iat").without("nbf").expires_in(900).opaque();
        let ahead = TestClock::at(world.clock.wall().as_secs() + 30);
        ask(&another(&world, &shelf, &ahead), &token).await.assert_ok(name);
        shelf.has(1).await;
        world.pass(1);
        if revoked {
            world.issuer.revoke(&token);
        }
        world.misbehave(Fault::Slow(Duration::from_millis(300)));
        let asking = tokio::spawn({
            let (api, token) = (api(world.server.protect(introspected_now())), token.clone());
            async move { api.bearer(&token).await }
        });
        while world.calls() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.misbehave(Fault::None);
        world.clock.advance(Duration::from_millis(1));
        world.bearer(&token).await.assert_ok("no revocation was seen yet");
        assert!(!asking.is_finished(), "{name}: the answer came too soon");
        let newer = asking.await.unwrap();
        let later = world.bearer(&token).await;
        if revoked {
            newer.assert_invalid_token(name);
            later.assert_invalid_token(name);
        } else {
            newer.assert_ok(name);
            later.assert_ok(name);
        }
        assert_eq!(world.calls(), 2, "{name}");
    }
}
