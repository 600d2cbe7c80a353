//! Runtimes that end, or that nobody drives any more, hold up no request on another one.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tower_resource_server::test_issuer::Fault;

use super::World;
use super::shared::Shelf;

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
