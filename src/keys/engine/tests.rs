//! Tests the engine around the state machine: how tasks end, events, seeds, and health.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::clock::{Clock as _, TestClock};
use crate::crypto::AlgorithmSet;
use crate::keys::*;
use crate::observe::{Event, Stream};
use crate::observe::{IssuerHealth, KeyStage};
use crate::runtime::Deadline;
use crate::source_error::SourceError;

const ISSUER: &str = "https://as.example.com";

/// A public key of RFC 7517 A.1.
const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"p","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;

/// The public key of RFC 8037 A.2 with this kid.
fn entry(kid: &str) -> String {
    format!(
        r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
    )
}

fn document(kids: &[&str]) -> String {
    let entries: Vec<_> = kids.iter().map(|kid| entry(kid)).collect();
    format!(r#"{{"keys":[{}]}}"#, entries.join(","))
}

/// What a scripted source does when it is called.
#[derive(Clone)]
enum Script {
    Answer(String),
    Fail(&'static str),
    Hang,
    Panic,
}

/// A source that follows a script. The last entry of the script is repeated for ever.
#[derive(Clone)]
struct Scripted {
    lines: Arc<Mutex<VecDeque<Script>>>,
    asked: Arc<AtomicU32>,
}

impl KeySource for Scripted {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let line = {
            let mut lines = self.lines.lock().unwrap();
            if lines.len() > 1 { lines.pop_front() } else { lines.front().cloned() }
        };
        match line.unwrap() {
            Script::Answer(document) => Ok(FetchedKeys::new(document)),
            Script::Fail(problem) => Err(SourceError::new(problem)),
            Script::Hang => std::future::pending().await,
            Script::Panic => panic!("a source of the API's own"),
        }
    }
}

struct World {
    clock: TestClock,
    source: Scripted,
    keys: Arc<RemoteKeys>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl World {
    fn new(script: impl IntoIterator<Item = Script>) -> Self {
        Self::with(script, KeySettings::default())
    }

    fn with(script: impl IntoIterator<Item = Script>, settings: KeySettings) -> Self {
        let clock = TestClock::at(1_700_000_000);
        let lines = Arc::new(Mutex::new(script.into_iter().collect()));
        let source = Scripted { lines, asked: Arc::default() };
        let events = Arc::new(Mutex::new(Vec::new()));
        let observed = Arc::clone(&events);
        let stream = match settings.stream.has_observer() {
            true => settings.stream.clone(),
            false => Stream::new(Arc::new(move |event: &Event| {
                observed.lock().unwrap().push(event.clone());
            })),
        };
        let settings = KeySettings { stream, ..settings };
        let user = Source::User(Arc::new(source.clone()));
        let accepted = AlgorithmSet::DEFAULT;
        let keys = RemoteKeys::new(ISSUER, accepted, user, Arc::new(clock.clone()), settings);
        keys.tell_of_seed();
        Self { clock, source, keys: Arc::new(keys), events }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn asked(&self) -> u32 {
        self.source.asked.load(Ordering::SeqCst)
    }

    fn look(&self, kid: &str) -> KeyLookup<'static> {
        self.keys.find(KeyHint::Kid(kid), Algorithm::Ed25519, ISSUER, None)
    }

    /// Looks for a kid in the same way as a request.
    async fn find(&self, kid: &str) -> &'static str {
        let wait = match self.look(kid) {
            KeyLookup::Wait(wait) => wait,
            answer => return name(&answer),
        };
        let waited = wait.waited();
        wait.done(Deadline::after(Duration::from_secs(60))).await;
        name(&self.keys.find(KeyHint::Kid(kid), Algorithm::Ed25519, ISSUER, Some(&waited)))
    }

    /// The events since the last call.
    fn events(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        events.iter().map(tell).collect()
    }
}

fn name(lookup: &KeyLookup<'_>) -> &'static str {
    match lookup {
        KeyLookup::Found(_) => "found",
        KeyLookup::Unknown => "unknown",
        KeyLookup::Unavailable { .. } => "unavailable",
        KeyLookup::Wait(_) => "wait",
    }
}

/// An event as one line with all its facts.
fn tell(event: &Event) -> String {
    assert_eq!(event.issuer(), Some(ISSUER));
    let seconds = |rest: &Duration| rest.as_secs();
    match event {
        Event::Refreshed { keys, first, changed, .. } => {
            format!("refreshed {keys} first={first} changed={changed}")
        }
        Event::Rotated { added, removed, .. } => format!("rotated +{added:?} -{removed:?}"),
        Event::KeySkipped { kid, reason, .. } => format!("skipped {kid:?}: {reason}"),
        Event::RefreshFailed { problem, failures, usable_for, .. } => {
            format!("failed {failures} {problem} {:?}", usable_for.as_ref().map(seconds))
        }
        Event::Stale { usable_for, .. } => format!("stale {}", seconds(usable_for)),
        Event::Recovered { failures, .. } => format!("recovered {failures}"),
        Event::UnknownKid { kid, .. } => format!("unknown kid {kid:?}"),
        Event::BudgetSpent { .. } => "budget spent".into(),
        Event::SeedIgnored { reason, .. } => format!("seed ignored: {reason}"),
        Event::NoRuntime { .. } => "no runtime".into(),
        other => panic!("an event that is not about keys: {other:?}"),
    }
}

/// Lets tasks run without advancing the clock.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn events_of_a_life() {
    let junk = document(&["b", "c"]).replace("]}", r#",{"kty":"XYZ","kid":"j\n"}]}"#);
    let world = World::new([
        Script::Answer(document(&["a", "b"])),
        Script::Answer(document(&["a", "b"])),
        Script::Answer(junk),
        Script::Fail("down\nfor now"),
        Script::Fail("down"),
        Script::Fail("down"),
        Script::Fail("down"),
        Script::Answer(document(&["b", "c"])),
    ]);
    assert_eq!(world.find("a").await, "found");
    assert_eq!(world.events(), ["refreshed 2 first=true changed=true"]);
    world.pass(250);
    assert_eq!(world.find("a").await, "found");
    settle().await;
    assert_eq!(world.events(), ["refreshed 2 first=false changed=false"]);
    world.pass(250);
    assert_eq!(world.find("a").await, "found", "until the fetch is in");
    settle().await;
    assert_eq!(world.find("a").await, "unavailable", "removed, and the server cannot be asked");
    let expected = [
        "refreshed 2 first=false changed=true",
        "skipped Some(`j\\n`): kty is unknown",
        "rotated +[`c`] -[`a`]",
        "unknown kid Some(`a`)",
        "failed 1 `down\\nfor now` Some(3900)",
    ];
    assert_eq!(world.events(), expected);
    // The outage continues past the freshness and then past the cap.
    for (pass, expected) in [
        (250, &["failed 2 `down` Some(3650)"][..]),
        (60, &["failed 3 `down` Some(3590)", "stale 3590"]),
        (3_600, &["failed 4 `down` None"]),
    ] {
        world.pass(pass);
        world.find("b").await;
        settle().await;
        assert_eq!(world.events(), expected);
    }
    world.pass(31);
    assert_eq!(world.find("b").await, "found");
    let expected = ["recovered 4", "refreshed 2 first=false changed=true"];
    assert_eq!(world.events(), expected);
}

#[tokio::test]
async fn a_flood_of_unknown_kids_is_a_handful_of_events() {
    let world = World::new([Script::Answer(document(&["a"]))]);
    world.find("a").await;
    world.events();
    for n in 0..1_000 {
        assert_eq!(world.find(&format!("forged-{n}")).await, "unknown");
    }
    let mut events = world.events();
    events.retain(|event| !event.starts_with("refreshed"));
    let expected = ["unknown kid Some(`forged-0`)", "unknown kid Some(`forged-1`)", "budget spent"];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn an_observer_that_panics_breaks_nothing() {
    let settings =
        KeySettings { stream: Stream::new(Arc::new(|_| panic!("an observer"))), ..<_>::default() };
    let script = [Script::Panic, Script::Answer(document(&["a"]))];
    let world = World::with(script, settings);
    assert_eq!(world.find("a").await, "unavailable", "the source panics");
    world.pass(2);
    assert_eq!(world.find("a").await, "found");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_however_its_task_ends() {
    for (script, problem) in [
        (Script::Panic, "failed 1 `the attempt panicked` None"),
        (Script::Hang, "failed 1 `no answer in time` None"),
        (
            Script::Answer("x".repeat(512 * 1024 + 1)),
            "failed 1 `key set: more than 524288 bytes` None",
        ),
        (
            Script::Answer("[]".into()),
            "failed 1 `key set: not one JSON object with one member `keys`` None",
        ),
        (Script::Answer(document(&[])), "failed 1 `key set: no usable key: the set is empty` None"),
    ] {
        let world = World::new([script, Script::Answer(document(&["a"]))]);
        assert_eq!(world.find("a").await, "unavailable");
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(world.events(), [problem]);
        world.pass(2);
        assert_eq!(world.find("a").await, "found", "after {problem}");
    }
    // Exactly the maximum size.
    let mut largest = document(&["a"]);
    largest.extend(std::iter::repeat_n(' ', 512 * 1024 - largest.len()));
    assert_eq!(World::new([Script::Answer(largest)]).find("a").await, "found");
}

#[test]
fn a_runtime_that_shuts_down_ends_its_attempt_and_another_goes_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::new([Script::Hang, Script::Answer(document(&["a"]))]);
    let first = runtime();
    first.block_on(async {
        assert_eq!(name(&world.look("a")), "wait");
        settle().await;
    });
    drop(first);
    assert!(world.events().is_empty(), "no fault of the issuer's");
    assert_eq!(world.keys.health().failures, 0);
    assert_eq!(runtime().block_on(world.find("a")), "found", "at once");
}

/// For example, each request may use `block_on` of its own runtime. The runtime polls its task a
/// few times and is not driven after that.
#[test]
fn an_attempt_whose_runtime_is_not_driven_counts_as_ended_in_time() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::new([Script::Hang, Script::Answer(document(&["a"]))]);
    let (first, second) = (runtime(), runtime());
    first.block_on(async {
        assert_eq!(name(&world.look("a")), "wait");
        settle().await;
    });
    assert_eq!(world.asked(), 1);
    world.pass(11);
    second.block_on(async { assert_eq!(name(&world.look("a")), "wait") });
    assert_eq!(world.asked(), 1, "it may still report");
    world.pass(1);
    assert_eq!(second.block_on(world.find("a")), "found");
    assert_eq!(world.asked(), 2);
    // The late result of the first attempt is ignored and removes no key.
    first.block_on(async {
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    assert_eq!(world.events(), ["refreshed 1 first=true changed=true"]);
    assert_eq!(second.block_on(world.find("a")), "found");
}

#[tokio::test(start_paused = true)]
async fn ready_goes_on_where_an_attempt_never_reports() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = World::new([Script::Answer(document(&["a"]))]);
    {
        let _undriven = runtime.enter();
        assert_eq!(name(&world.look("a")), "wait");
    }
    let keys = Arc::clone(&world.keys);
    let ready = tokio::spawn(async move { keys.ready().await });
    for _ in 0..30 {
        world.pass(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(ready.is_finished());
    runtime.shutdown_background();
}

#[test]
fn a_timer_whose_runtime_is_not_driven_is_replaced() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let undriven = builder.enable_all().build().unwrap();
    let driven = builder.start_paused(true).build().unwrap();
    let settings = KeySettings { keep_warm: true, ..KeySettings::default() };
    let world = World::with([Script::Answer(document(&["a"]))], settings);
    assert_eq!(undriven.block_on(world.find("a")), "found");
    world.pass(250);
    driven.block_on(async {
        assert_eq!(world.find("a").await, "found");
        settle().await;
        assert_eq!(world.asked(), 2, "the request has it fetched");
        world.pass(250);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(world.asked(), 3, "and the timer runs again");
    });
}

#[tokio::test]
async fn a_wait_goes_on_to_an_attempt_that_can_say_something() {
    let world = World::new([Script::Answer(document(&["a"]))]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    {
        let _undriven = runtime.enter();
        assert_eq!(name(&world.look("a")), "wait");
    }
    let found = async {
        tokio::task::yield_now().await;
        // The attempt that the request waits for is cancelled.
        runtime.shutdown_background();
    };
    let (found, ()) = tokio::join!(world.find("a"), found);
    assert_eq!(found, "found");
    assert_eq!(world.asked(), 1, "the other was never made");
}

/// On such a runtime, a task is dropped as soon as it is spawned, so an attempt ends before any
/// request waits for it.
#[test]
fn on_a_runtime_that_is_gone_a_request_is_refused_and_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let world = World::new([Script::Answer(document(&["a"]))]);
    {
        let _gone = handle.enter();
        let mut request = Box::pin(world.find("a"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let polled = std::future::Future::poll(request.as_mut(), &mut context);
        let std::task::Poll::Ready(found) = polled else {
            panic!("it waits for nothing");
        };
        assert_eq!(found, "unavailable");
    }
    assert_eq!((world.asked(), world.keys.health().failures), (0, 0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(world.find("a")), "found");
}

#[tokio::test]
async fn a_set_goes_on_under_other_algorithms() {
    let both = document(&["a"]).replace("]}", &format!(",{P256}]}}"));
    let world = World::new([Script::Answer(both)]);
    assert_eq!(world.find("a").await, "found");
    world.pass(100);
    let accepting = |accepted: &[Algorithm]| {
        let accepted = accepted.iter().copied().collect();
        let user = Source::User(Arc::new(world.source.clone()));
        let clock = Arc::new(world.clock.clone());
        let keys = RemoteKeys::new(ISSUER, accepted, user, clock, KeySettings::default());
        keys.take_over(&world.keys);
        keys
    };
    let health = |accepted: &[Algorithm]| accepting(accepted).health();
    let only = health(&[Algorithm::ES256]);
    assert_eq!(format!("{:?}", only.key_ids), "[`p`]");
    assert_eq!((only.keys, only.age), (KeyStage::Fresh, Some(Duration::from_secs(100))));
    assert_eq!(health(&[Algorithm::ES256, Algorithm::Ed25519]).key_ids.len(), 2);
    // A set without a usable key is not taken over. The next fetch reports it too.
    assert_eq!(health(&[Algorithm::RS256]).keys, KeyStage::Missing);
    assert_eq!(world.asked(), 1);
    world.pass(4_000);
    assert_eq!(health(&[Algorithm::ES256]).keys, KeyStage::Missing, "too old to go on with");
}

#[tokio::test]
async fn a_jump_of_the_wall_clock_changes_no_age() {
    let world = World::new([Script::Answer(document(&["a"]))]);
    world.find("a").await;
    world.pass(100);
    for wall in [0, 1_000, 1_700_000_100, 1_800_000_000] {
        world.clock.set_wall(wall);
        let health = world.keys.health();
        assert_eq!((health.keys, health.age), (KeyStage::Fresh, Some(Duration::from_secs(100))));
        // The next process reads the same wall clock.
        let fetched_at = world.keys.export().unwrap().fetched_at();
        assert_eq!(fetched_at, Duration::from_secs(wall.saturating_sub(100)), "{wall}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_nobody_waits_with_a_key_at_hand_and_the_schedule_holds() {
    const STEPS: u32 = 2_000;
    let world = Arc::new(World::new([Script::Answer(document(&["a"]))]));
    world.keys.ready().await;
    let requests: Vec<_> = (0..4)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                while world.clock.monotonic() < Duration::from_secs(u64::from(STEPS) * 30) {
                    assert_eq!(name(&world.look("a")), "found");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..STEPS {
        world.pass(30);
        tokio::task::yield_now().await;
        // The set must not expire just because this test advances the clock faster than fetches
        // finish.
        while world.keys.health().age > Some(Duration::from_secs(1_000)) {
            world.keys.wake();
            tokio::task::yield_now().await;
        }
    }
    for request in requests {
        request.await.unwrap();
    }
    // The earliest fetch is after 70 % of 5 minutes.
    assert!(world.asked() <= 1 + STEPS * 30 / 210, "{} fetches", world.asked());
    assert!(world.asked() > STEPS * 30 / 1_300, "{} fetches", world.asked());
}

#[test]
fn without_a_runtime_a_request_is_refused_and_nothing_is_held_against_the_issuer() {
    let world = World::new([Script::Answer(document(&["a"]))]);
    for _ in 0..5 {
        assert_eq!(name(&world.look("a")), "unavailable");
    }
    assert_eq!(world.events(), ["no runtime"], "once");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(world.find("a")), "found", "no pause");
    // With usable keys, no runtime is needed.
    assert_eq!(name(&world.look("a")), "found");
    assert_eq!(name(&world.look("c")), "unavailable", "the server cannot be asked");
    world.pass(250);
    assert_eq!(name(&world.look("a")), "found", "although a fetch is due");
    assert_eq!(name(&world.look("b")), "unavailable");
    world.keys.wake();
    let expected = ["refreshed 1 first=true changed=true", "no runtime"];
    assert_eq!(world.events(), expected, "a fetch that did not start is not reported");
}

#[tokio::test]
async fn the_last_handle_ends_the_attempt_and_the_timer() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for keep_warm in [false, true] {
        let settings = KeySettings { keep_warm, ..KeySettings::default() };
        let world = World::with([Script::Hang], settings);
        assert_eq!(name(&world.look("a")), "wait");
        settle().await;
        assert_eq!(alive(), 1 + usize::from(keep_warm));
        drop(world);
        settle().await;
        assert_eq!(alive(), 0, "keep_warm: {keep_warm}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_is_kept_warm_without_requests_where_that_is_asked() {
    for keep_warm in [false, true] {
        let settings = KeySettings { keep_warm, ..KeySettings::default() };
        let world = World::with([Script::Answer(document(&["a"]))], settings);
        world.keys.ready().await;
        assert_eq!(world.asked(), 1);
        for round in 2..5 {
            world.pass(200);
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(world.asked(), if keep_warm { round - 1 } else { 1 }, "not yet");
            world.pass(50);
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(world.asked(), if keep_warm { round } else { 1 }, "at 80 %");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ready_goes_on_through_failures_until_there_are_keys() {
    let script = [Script::Fail("a"), Script::Hang, Script::Fail("b")];
    let world = World::new(script.into_iter().chain([Script::Answer(document(&["a"]))]));
    let keys = Arc::clone(&world.keys);
    let ready = tokio::spawn(async move { keys.ready().await });
    for _ in 0..60 {
        world.pass(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(ready.is_finished());
    assert_eq!((world.asked(), world.find("a").await), (4, "found"));
    // With a set, fresh or stale, there is nothing to wait for.
    world.pass(1_000);
    world.keys.ready().await;
    assert_eq!(world.asked(), 4);
}

#[tokio::test]
async fn health_tells_how_keys_stand() {
    let world = World::new([
        Script::Answer(document(&["a"]).replace("]}", r#",{"kty":"XYZ"}]}"#)),
        Script::Fail("down"),
    ]);
    let empty = IssuerHealth {
        issuer: ISSUER.into(),
        keys: KeyStage::Missing,
        key_ids: vec![],
        skipped: 0,
        age: None,
        next_refresh: Some(Duration::ZERO),
        last_error: None,
        failures: 0,
        introspection: None,
    };
    assert_eq!(world.keys.health(), empty);
    assert!(!empty.is_usable());
    world.find("a").await;
    let health = world.keys.health();
    assert_eq!((health.keys, health.skipped), (KeyStage::Fresh, 1));
    assert_eq!(format!("{:?}", health.key_ids), "[`a`]");
    assert!(health.next_refresh > Some(Duration::from_secs(209)));
    for (pass, stage, usable) in [
        (250, KeyStage::Ahead, true),
        (50, KeyStage::Stale, true),
        (3_599, KeyStage::Stale, true),
        (1, KeyStage::Expired, false),
    ] {
        world.pass(pass);
        let health = world.keys.health();
        assert_eq!((health.keys, health.is_usable()), (stage, usable));
    }
    assert_eq!(world.keys.health().age, Some(Duration::from_secs(3_900)));
    world.find("a").await;
    let health = world.keys.health();
    assert_eq!((health.failures, health.last_error.unwrap().as_str()), (1, "down"));
    assert!(health.next_refresh > Some(Duration::ZERO), "a pause");
    let fixed = KeySet::parse(document(&["a"]).as_bytes(), AlgorithmSet::DEFAULT);
    let health = Keys::Static(Arc::new(fixed.unwrap_or_else(|_| panic!()))).health(ISSUER);
    assert_eq!((health.keys, health.is_usable()), (KeyStage::Fixed, true));
}

/// A seed with the kid `a`. Another process fetched it at the time of the test clock.
async fn seed() -> KeySeed {
    let world = World::new([Script::Answer(document(&["a"]))]);
    assert_eq!(world.keys.export(), None, "nothing yet");
    world.find("a").await;
    let seed = world.keys.export().unwrap();
    KeySeed::from_json(&seed.to_json()).unwrap()
}

fn seeded(seed: KeySeed, script: impl IntoIterator<Item = Script>) -> World {
    World::with(script, KeySettings { seed: Some(seed), ..KeySettings::default() })
}

#[tokio::test]
async fn a_seed_serves_until_the_first_fetch_that_succeeds() {
    let script = [Script::Fail("down"), Script::Answer(document(&["b"]))];
    let world = seeded(seed().await, script);
    assert_eq!(world.keys.health().keys, KeyStage::Stale);
    assert_eq!(name(&world.look("a")), "found", "at once");
    settle().await;
    assert_eq!(world.asked(), 1, "and a fetch starts");
    assert_eq!(world.find("b").await, "unavailable", "a key that it does not have");
    assert_eq!(world.keys.export(), Some(seed().await), "the seed is handed on, as old as it is");
    world.pass(2);
    assert_eq!(world.find("b").await, "found");
    assert_eq!(world.find("a").await, "unknown");
    let events = world.events();
    assert!(events.contains(&"refreshed 1 first=true changed=true".into()), "{events:?}");
    assert!(events.contains(&"rotated +[`b`] -[`a`]".into()), "{events:?}");
}

#[tokio::test]
async fn a_seed_is_used_within_the_cap_of_its_own_time() {
    let at = 1_700_000_000;
    for (fetched_at, usable) in [
        (at, true),
        (at - 3_899, true),
        (at - 3_900, false),
        (at + 60, true),
        (at + 61, false),
        (0, false),
        (u64::MAX, false),
    ] {
        let text = String::from_utf8(seed().await.to_json()).unwrap();
        let text = text.replace(&at.to_string(), &fetched_at.to_string());
        let world = seeded(KeySeed::from_json(text.as_bytes()).unwrap(), [Script::Fail("down")]);
        assert_eq!(world.keys.is_usable(), usable, "{fetched_at}");
        assert_eq!(world.events().is_empty(), usable, "{fetched_at}");
        // The seed is older than this process, whose monotonic clock starts at zero.
        let age = usable.then(|| Duration::from_secs(at.saturating_sub(fetched_at)));
        assert_eq!(world.keys.health().age, age, "{fetched_at}");
    }
    let world = seeded(seed().await, [Script::Fail("down")]);
    world.pass(3_899);
    assert_eq!(world.find("a").await, "found");
    world.pass(1);
    assert_eq!(world.find("a").await, "unavailable");
}

#[tokio::test]
async fn seeds_that_are_not_used() {
    let good = String::from_utf8(seed().await.to_json()).unwrap();
    for (name, text, expected) in [
        ("another issuer", good.replace(ISSUER, "https://as.example.com/"), "of another issuer"),
        ("another version", good.replace("\"version\":1", "\"version\":2"), "of another version"),
        ("no keys", good.replace("OKP", "XYZ"), "no key set"),
        ("private", good.replace("\\\"kid\\\"", "\\\"d\\\""), "no key set"),
        (
            "large",
            good.replace("\\\"kid\\\"", &format!("\\\"{}\\\"", "x".repeat(524_288))),
            "larger than a key set may be",
        ),
    ] {
        let seed = KeySeed::from_json(text.as_bytes()).unwrap();
        assert!(!format!("{seed:?}").contains("11qYAYK"), "{name}");
        let world = seeded(seed, [Script::Answer(document(&["a"]))]);
        assert_eq!(world.events(), [format!("seed ignored: {expected}")], "{name}");
        assert!(!world.keys.is_usable(), "{name}");
        assert_eq!(world.find("a").await, "found", "{name}: as without a seed");
    }
    for text in ["", "{}", "[]", "null", &good[1..]] {
        assert!(KeySeed::from_json(text.as_bytes()).is_err(), "{text}");
    }
    assert!(KeySeed::from_json(good.as_bytes()).is_ok());
}
