//! Runtimes that end, or that is no longer polled, hold up no request on another one.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tower_resource_server::test_issuer::Fault;

use super::World;
use super::shared::{Shelf, ShelfFault};

/// The deadline of a call and a margin, by the server's clock.
const OVERDUE: u64 = 6;

fn living() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Drives `future` on a runtime of its own for a moment, and never again.
fn abandoned<F: Future>(future: F) -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut future = pin!(future);
        assert!(futures::poll!(future.as_mut()).is_pending(), "it waits");
    });
    runtime
}

#[test]
fn a_call_on_a_runtime_that_is_not_driven_counts_as_ended_in_time() {
    let living = living();
    let world = living.block_on(World::new());
    let (token, other) = (world.issuer.token().opaque(), world.issuer.token().opaque());
    let _abandoned = abandoned(world.bearer(&token));
    living.block_on(world.bearer(&other)).assert_ok("another token");
    world.pass(OVERDUE);
    living.block_on(world.bearer(&token)).assert_ok("asked again");
    assert_eq!(world.calls(), 2);
}

#[test]
fn all_calls_on_a_runtime_that_is_not_driven_count_as_ended_in_time() {
    let living = living();
    let world = living.block_on(World::new());
    let tokens: Vec<_> = (0..80).map(|_| world.issuer.token().opaque()).collect();
    let _abandoned =
        abandoned(futures::future::join_all(tokens.iter().map(|token| world.bearer(token))));
    let new = world.issuer.token().opaque();
    let soon = Duration::from_millis(300);
    let waits = living.block_on(async { tokio::time::timeout(soon, world.bearer(&new)).await });
    assert!(waits.is_err(), "all calls are taken");
    world.pass(OVERDUE);
    let new = world.issuer.token().opaque();
    living.block_on(world.bearer(&new)).assert_ok("they count no longer");
    living.block_on(world.bearer(&tokens[0])).assert_ok("nor do those that waited");
}

/// Nobody ends those calls, so who looks next gives their room to those who wait, in order.
#[test]
fn who_waits_for_a_turn_gets_it_from_calls_on_a_runtime_that_is_not_driven() {
    let living = living();
    let world = living.block_on(World::new());
    let tokens: Vec<_> = (0..48).map(|_| world.issuer.token().opaque()).collect();
    let _abandoned =
        abandoned(futures::future::join_all(tokens.iter().map(|token| world.bearer(token))));
    let (waiting, new) = (world.issuer.token().opaque(), world.issuer.token().opaque());
    let soon = Duration::from_millis(300);
    world.pass(OVERDUE / 2);
    living.block_on(async {
        let mut waits = pin!(world.bearer(&waiting));
        let early = tokio::time::timeout(soon, waits.as_mut()).await;
        assert!(early.is_err(), "all calls for new tokens are taken");
        // Its own place in the queue is not overdue yet, and must not stop those who come later.
        world.pass(OVERDUE / 2);
        let reply = tokio::time::timeout(Duration::from_secs(2), world.bearer(&new)).await;
        reply.expect("there is room").assert_ok("who came later");
        let reply = tokio::time::timeout(soon, waits).await;
        reply.expect("there is room").assert_ok("who waited");
    });
    let health = world.server.health().issuers[0].introspection.clone().unwrap();
    assert_eq!((health.in_flight, health.queued), (0, 0));
}

/// The request that finds the room may itself be held back. The room is for those who wait all the same.
#[test]
fn who_waits_for_a_turn_gets_it_also_if_the_request_that_found_the_room_is_refused() {
    let living = living();
    let world = living.block_on(World::new());
    let tokens: Vec<_> = (0..48).map(|_| world.issuer.token().opaque()).collect();
    let _abandoned = abandoned(join_all(tokens.iter().map(|token| world.bearer(token))));
    let queued: Vec<_> = (0..1_024).map(|_| world.issuer.token().opaque()).collect();
    let new = world.issuer.token().opaque();
    world.pass(OVERDUE / 2);
    living.block_on(async {
        let mut waits = pin!(join_all(queued.iter().map(|token| world.bearer(token))));
        let early = tokio::time::timeout(Duration::from_millis(300), waits.as_mut()).await;
        assert!(early.is_err(), "all calls for new tokens are taken");
        let health = world.server.health().issuers[0].introspection.clone().unwrap();
        assert_eq!((health.in_flight, health.queued), (48, 1_024));
        world.pass(OVERDUE / 2);
        world.bearer(&new).await.assert_unavailable("the queue is full");
        let replies = tokio::time::timeout(Duration::from_secs(60), waits).await;
        for reply in replies.expect("there is room") {
            reply.assert_ok("who waited");
        }
    });
}

/// A request that joined such a call asks on its own once that is overdue, within its deadline.
#[test]
fn who_waits_for_a_call_that_is_overdue_asks_on_its_own() {
    let living = living();
    let world = living.block_on(World::new());
    let token = world.issuer.token().opaque();
    let _abandoned = abandoned(world.bearer(&token));
    living.block_on(async {
        let passes = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.pass(OVERDUE);
        };
        let (reply, ()) = futures::join!(world.bearer(&token), passes);
        reply.assert_ok("asked on its own");
    });
}

#[test]
fn a_look_into_the_shared_cache_that_dies_with_its_runtime_is_no_failure() {
    let living = living();
    for (name, fault, read) in [
        ("it dies", ShelfFault::Hangs, true),
        ("it fails", ShelfFault::Fails, false),
        ("it panics", ShelfFault::Panics, false),
    ] {
        let shelf = Shelf::default();
        let world = living.block_on(World::with(|own| own.shared_cache(shelf.cache())));
        let is_death = matches!(fault, ShelfFault::Hangs);
        shelf.misbehave(fault);
        for n in 0..8 {
            let token = format!("token-{n}");
            if is_death {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                let soon = Duration::from_millis(30);
                let waits = async { tokio::time::timeout(soon, world.bearer(&token)).await };
                assert!(runtime.block_on(waits).is_err(), "the store hangs");
            } else {
                living.block_on(world.bearer(&token));
            }
        }
        shelf.misbehave(ShelfFault::None);
        let gets = shelf.gets();
        living.block_on(world.bearer(&world.issuer.token().opaque())).assert_ok(name);
        assert_eq!(shelf.gets() - gets, usize::from(read), "{name}");
    }
}

#[test]
fn a_probe_on_a_runtime_that_is_not_driven_counts_as_ended_in_time() {
    let living = living();
    let world = living.block_on(World::new());
    world.misbehave(Fault::Status(503));
    for n in 0..5 {
        living.block_on(world.bearer(&format!("token-{n}"))).assert_unavailable("down");
    }
    world.misbehave(Fault::None);
    world.pass(1);
    let (token, other) = (world.issuer.token().opaque(), world.issuer.token().opaque());
    let _abandoned = abandoned(world.bearer(&token));
    living.block_on(world.bearer(&other)).assert_unavailable("one probe at a time");
    world.pass(OVERDUE);
    living.block_on(world.bearer(&other)).assert_ok("another probe");
    living.block_on(world.bearer(&token)).assert_ok("it is back");
}

#[test]
fn a_look_into_the_shared_cache_on_a_runtime_that_is_not_driven_counts_as_ended_in_time() {
    let living = living();
    let shelf = Shelf::default();
    let world = living.block_on(World::with(|own| own.shared_cache(shelf.cache())));
    let (token, other) = (world.issuer.token().opaque(), world.issuer.token().opaque());
    let _abandoned = abandoned(world.bearer(&token));
    living.block_on(world.bearer(&other)).assert_ok("another token");
    world.pass(OVERDUE);
    living.block_on(world.bearer(&token)).assert_ok("asked again");
}

#[test]
fn a_call_that_dies_with_its_runtime_is_no_failure() {
    let living = living();
    let world = living.block_on(World::new());
    let token = world.issuer.token().opaque();
    for n in 0..10 {
        drop(abandoned(world.bearer(&format!("token-{n}"))));
        drop(abandoned(world.bearer(&token)));
    }
    let health = world.server.health().issuers[0].introspection.clone().unwrap();
    assert_eq!((health.open, health.in_flight, health.waiting), (false, 0, 0));
    living.block_on(world.bearer(&token)).assert_ok("the next one");
}

/// Neighbour: who waits for a call whose runtime ends asks once more, on a runtime that lives.
#[test]
fn who_waits_for_a_call_whose_runtime_ends_asks_on_its_own() {
    let living = living();
    let world = living.block_on(World::new());
    let token = world.issuer.token().opaque();
    let dying = abandoned(world.bearer(&token));
    living.block_on(async {
        let mut joined = pin!(world.bearer(&token));
        assert!(futures::poll!(joined.as_mut()).is_pending());
        drop_elsewhere(dying);
        joined.await.assert_ok("asked on its own");
    });
}

/// A runtime may not be dropped within another.
fn drop_elsewhere(runtime: Runtime) {
    std::thread::spawn(move || drop(runtime)).join().unwrap();
}

/// A runtime ends while its requests wait, are asked about or are in the queue; those of another
/// that want the same tokens all get their answers.
#[test]
fn a_runtime_that_ends_in_a_burst_takes_nobody_with_it() {
    let living = living();
    let shelf = Shelf::default();
    for (name, shared) in [("alone", None), ("with a store", Some(shelf.cache()))] {
        let world = living.block_on(World::with(|own| match shared.clone() {
            Some(cache) => own.shared_cache(cache),
            None => own,
        }));
        world.misbehave(Fault::Slow(Duration::from_millis(50)));
        let tokens: Vec<_> = (0..150).map(|_| world.issuer.token().opaque()).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let dying = Runtime::new().unwrap();
                let all = join_all(tokens.iter().map(|token| world.bearer(token)));
                let soon = Duration::from_millis(30);
                let waits = async { tokio::time::timeout(soon, all).await };
                assert!(dying.block_on(waits).is_err(), "{name}: they wait");
                dying.shutdown_timeout(Duration::ZERO);
            });
            let replies = living.block_on(async {
                tokio::time::sleep(Duration::from_millis(15)).await;
                join_all(tokens.iter().map(|token| world.bearer(token))).await
            });
            for reply in replies {
                reply.assert_ok(name);
            }
        });
        let health = world.server.health().issuers[0].introspection.clone().unwrap();
        assert!(!health.open, "{name}");
        assert_eq!((health.in_flight, health.queued, health.waiting), (0, 0, 0), "{name}");
    }
}
