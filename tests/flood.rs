//! A flood of forged kids. A binary of its own, so that the memory it sees is its own.

#![cfg(feature = "http-client")]

#[path = "support/mod.rs"]
mod support;

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use tower_resource_server::Issuer;
use tower_resource_server::clock::TestClock;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::TestIssuer;

use support::*;

#[tokio::test]
async fn a_flood_of_forged_kids_costs_its_budget_and_nobody_else_anything() {
    const FLOOD: u32 = 100_000;
    let clock = TestClock::starting_now();
    let issuer = TestIssuer::builder().clock(clock.clone()).start().await.unwrap();
    let trusted = Issuer::new(issuer.url());
    let server = builder(trusted).allow_http_loopback().clock(clock.clone()).build().unwrap();
    let api = api(server.layer());
    let good = issuer.token().expires_in(100_000).sign();
    let forger = Forger::new(&good);
    api.bearer(&good).await.assert_ok("warm");
    let asked_before = issuer.counts().jwks;

    // Forged tokens have a service of their own: an `Api` tells one request's run from another's
    // only when they come one by one. The server, and with it the keys, are the same.
    let gate = self::api(server.layer());
    let (forged, valid) = (AtomicU32::new(0), AtomicU32::new(0));
    let flood = |from: u32, to: u32| {
        let (api, gate, forger, clock, good) = (&api, &gate, &forger, &clock, &good);
        let (forged, valid) = (&forged, &valid);
        futures::stream::iter(from..to)
            .map(move |n| async move {
                if n % 1_000 == 0 {
                    clock.advance(Duration::from_secs(1));
                }
                if n % 100 == 0 {
                    let reply = at_once(api.bearer(good)).expect("a good token waits");
                    reply.assert_ok("valid, in between");
                    valid.fetch_add(1, Ordering::Relaxed);
                }
                let reply = gate.bearer(&forger.token(&format!("forged-{n}"))).await;
                reply.assert_invalid_token("forged");
                forged.fetch_add(1, Ordering::Relaxed);
            })
            .buffer_unordered(64)
    };
    flood(0, 10_000).collect::<Vec<()>>().await;
    let resident = resident_kib();
    flood(10_000, FLOOD / 2).collect::<Vec<()>>().await;

    // A genuine rotation in the middle: whoever gets the next refill, the new key comes with it.
    issuer.add_key(Algorithm::ES256);
    let new = issuer.token().expires_in(100_000).sign();
    clock.advance(Duration::from_secs(10));
    let mut flooding = pin!(flood(FLOOD / 2, FLOOD));
    for _ in 0..64 {
        flooding.next().await;
    }
    api.bearer(&new).await.assert_ok("one refill later, in the flood");
    flooding.collect::<Vec<()>>().await;
    at_once(api.bearer(&new)).expect("it waits").assert_ok("the new key");

    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    assert_eq!((count(&forged), count(&valid)), (FLOOD, FLOOD / 100));
    // 100 s for the flood and 10 s for the rotation: a burst of 2, and one more each 10 s.
    let asked = issuer.counts().jwks - asked_before;
    println!("{asked} fetches for {FLOOD} forged kids");
    assert!((3..=2 + 11).contains(&asked), "{asked} fetches");
    if let (Some(before), Some(after)) = (resident, resident_kib()) {
        println!("resident: {before} KiB after 10,000 forged kids, {after} KiB after {FLOOD}");
        // A byte kept for each kid would be little; an entry for each would be 10 MiB at least.
        assert!(after < before + 4 * 1_024, "memory grows with the flood");
    }
    for line in issuer.requests() {
        assert!(!line.contains("forged"), "{line}");
    }
}

/// Memory of this process that is in use; none where the system does not say.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The bound of what a flood of forged kids can do to a key that was just published: one refill of
/// the budget, 10 s, from whatever moment of the flood it is published in.
#[tokio::test]
async fn a_rotated_key_is_accepted_within_one_refill_of_the_budget_in_any_flood() {
    const REFILL: u32 = 10_000;
    for (published_at, a_second) in [(0, 1), (3_300, 1), (9_900, 10), (10_100, 10), (25_000, 85)] {
        let clock = TestClock::starting_now();
        let issuer = TestIssuer::builder().clock(clock.clone()).start().await.unwrap();
        let server =
            builder(issuer.url()).allow_http_loopback().clock(clock.clone()).build().unwrap();
        let api = api(server.layer());
        let old = issuer.token().expires_in(100_000).sign();
        let forger = Forger::new(&old);
        api.bearer(&old).await.assert_ok("warm");
        let step = 1_000 / a_second;
        let mut n = 0;
        let mut forge = async |time: u32| {
            for _ in 0..time.div_ceil(step) {
                n += 1;
                let forged = api.bearer(&forger.token(&format!("forged-{n}"))).await;
                forged.assert_invalid_token("forged");
                clock.advance(Duration::from_millis(step.into()));
            }
        };
        // Burst and all.
        forge(1).await;
        forge(published_at).await;
        issuer.add_key(Algorithm::ES256);
        let new = issuer.token().expires_in(100_000).sign();
        let mut waited = 0;
        while api.bearer(&new).await.status != 200 {
            assert!(waited < REFILL, "published at {published_at} ms: not within one refill");
            forge(step).await;
            waited += step;
        }
        println!("published at {published_at} ms of a flood: accepted after {waited} ms");
        at_once(api.bearer(&old)).expect("it waits").assert_ok("the old key");
    }
}

#[tokio::test]
async fn a_flood_hides_nothing_from_tokens_with_known_kids() {
    use tower_resource_server::Error;

    let clock = TestClock::starting_now();
    let issuer = TestIssuer::builder().clock(clock.clone()).start().await.unwrap();
    let server = builder(issuer.url()).allow_http_loopback().clock(clock.clone()).build().unwrap();
    let api = api(server.layer());
    let foreign = |kid: &str| {
        issuer.token().claim("iss", "https://other.example.com").header("kid", kid).sign()
    };
    api.bearer(&issuer.token().sign()).await.assert_ok("warm");
    // Before a flood, the operator is told what is wrong first.
    let reply = api.bearer(&foreign("forged")).await;
    reply.assert_invalid_token("foreign");
    assert!(matches!(reply.error, Some(Error::UntrustedIssuer { .. })));

    let forged = issuer.token().header("kid", "forged").sign();
    for _ in 0..5 {
        api.bearer(&forged).await.assert_invalid_token("forged");
    }
    let asked = issuer.counts().jwks;
    let reply = at_once(api.bearer(&foreign("forged"))).expect("it waits");
    reply.assert_invalid_token("foreign, in a flood");
    assert!(matches!(reply.error, Some(Error::UnknownKey { .. })), "the kid alone decides");
    let reply = api.bearer(&foreign("key-1")).await;
    assert!(matches!(reply.error, Some(Error::UntrustedIssuer { .. })), "a known kid");
    api.bearer(&issuer.token().sign()).await.assert_ok("valid");
    assert_eq!(issuer.counts().jwks, asked);

    // A rotation is accepted with the next refill of the budget.
    issuer.add_key(Algorithm::ES256);
    let new = issuer.token().sign();
    at_once(api.bearer(&new)).expect("it waits").assert_invalid_token("the budget is spent");
    clock.advance(Duration::from_secs(10));
    api.bearer(&new).await.assert_ok("rotated");
}
