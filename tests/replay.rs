//! The store of used proofs through the layer: in the process, and in a real Redis that two processes share.
//!
//! Without a `redis-server` or `valkey-server` on the path, the tests with Redis are skipped, and say so.

#![cfg(feature = "dpop")]

#[cfg(feature = "redis")]
#[path = "support/redis.rs"]
mod server;
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;

use tower_resource_server::clock::TestClock;
use tower_resource_server::issuer::SourceError;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::observe::Event;
use tower_resource_server::sender::{Dpop, Insertion, Replay, ReplayStore, UsedProof};
use tower_resource_server::test_issuer::{TestIssuer, TestProver};
use tower_resource_server::{Error, ResourceServer};

use support::*;

const URL: &str = "https://api.example.com/notes";

/// A client with a key, and a token that is bound to it.
struct Client {
    issuer: TestIssuer,
    prover: TestProver,
    token: String,
}

impl Client {
    fn new() -> Self {
        let (issuer, prover) = (issuer(), TestProver::generate(Algorithm::Ed25519));
        let token = issuer.token().bound_to_key(&prover).sign();
        Self { issuer, prover, token }
    }

    fn server(&self, replay: Replay) -> ResourceServer {
        let dpop = Dpop::optional(AUDIENCE, replay);
        builder(trusting(&self.issuer)).dpop(dpop).build().unwrap()
    }

    fn proof(&self) -> String {
        self.prover.proof("GET", URL).token(&self.token).sign()
    }

    fn request(&self, proof: &str) -> Request<Body> {
        let request = get().header("authorization", format!("DPoP {}", self.token));
        request.header("dpop", proof).body(Body::default()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_requests_with_one_proof_exactly_one_passes() {
    let client = Arc::new(Client::new());
    let api = api(client.server(Replay::in_process()).layer());
    for round in 0..200 {
        let proof = client.proof();
        let passed = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (api, passed) = (api.clone(), Arc::clone(&passed));
                let request = client.request(&proof);
                tokio::spawn(async move {
                    let reply = api.send(request).await;
                    match reply.status.as_u16() {
                        200 => drop(passed.fetch_add(1, Ordering::SeqCst)),
                        _ => reply.assert_dpop("again", "invalid_dpop_proof"),
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(passed.load(Ordering::SeqCst), 1, "round {round}");
    }
}

#[tokio::test]
async fn a_client_beyond_its_share_does_not_affect_the_others() {
    let (greedy, other) = (Client::new(), TestProver::generate(Algorithm::Ed25519));
    let server = greedy.server(Replay::in_process_with_capacity(100));
    let api = api(server.layer());
    for _ in 0..10 {
        api.send(greedy.request(&greedy.proof())).await.assert_ok("within its share");
    }
    for _ in 0..3 {
        api.send(greedy.request(&greedy.proof())).await.assert_unavailable("beyond its share");
    }
    let token = greedy.issuer.token().bound_to_key(&other).sign();
    let proof = other.proof("GET", URL).token(&token).sign();
    let client = Client { issuer: greedy.issuer.clone(), prover: other, token };
    api.send(client.request(&proof)).await.assert_ok("another client");
    api.bearer(&greedy.issuer.token().sign()).await.assert_ok("a Bearer token");
    let reply = api.send(greedy.request(&greedy.proof())).await;
    assert_eq!(reply.error.as_ref().map(Error::code), Some("too_many_proofs"));
    let health = server.health().replay.unwrap();
    assert_eq!((health.entries, health.capacity, health.problem), (Some(11), Some(100), None));
}

/// What the store of an API does.
#[derive(Clone, Copy, Debug)]
enum Store {
    Fails,
    Hangs,
    Panics,
    Forgets,
    Answers,
}

impl ReplayStore for Store {
    async fn insert_if_absent(&self, proof: &UsedProof) -> Result<Insertion, SourceError> {
        assert!(proof.lifetime() > Duration::ZERO && proof.earliest() < proof.now());
        match self {
            Self::Fails => Err(SourceError::new("no disk")),
            Self::Hangs => std::future::pending().await,
            Self::Panics => panic!("of the test"),
            Self::Forgets => Ok(Insertion::Forgotten),
            Self::Answers => Ok(Insertion::New),
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_503_for_bound_tokens_alone() {
    let client = Client::new();
    for (store, status) in [
        (Store::Fails, 503),
        (Store::Hangs, 503),
        (Store::Panics, 503),
        (Store::Forgets, 401),
        (Store::Answers, 200),
    ] {
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let server = builder(trusting(&client.issuer))
            .dpop(Dpop::optional(AUDIENCE, Replay::store(store)))
            .on_event(move |event| told.lock().unwrap().push(event.clone()))
            .build()
            .unwrap();
        let api = api(server.layer());
        for _ in 0..2 {
            let reply = api.send(client.request(&client.proof())).await;
            assert_eq!(reply.status, status, "{store:?}: {:?}", reply.error);
            match status {
                503 => reply.assert_unavailable("no store"),
                401 => reply.assert_dpop("forgotten", "invalid_dpop_proof"),
                _ => reply.assert_ok("stored"),
            }
        }
        api.bearer(&client.issuer.token().sign()).await.assert_ok("a Bearer token");
        let events = events.lock().unwrap();
        let failures =
            events.iter().filter(|event| matches!(event, Event::ReplayStoreFailed { .. })).count();
        assert_eq!(failures, usize::from(status == 503), "{store:?}: {events:?}");
        let accepted = |event: &&Event| matches!(event, Event::ProofAccepted { clock_offset, .. } if clock_offset.abs() < 10.0);
        assert_eq!(events.iter().filter(accepted).count(), if status == 200 { 2 } else { 0 });
    }
}

/// A store that fails as long as it is told to.
#[derive(Clone)]
struct Switched(Arc<AtomicBool>);

impl ReplayStore for Switched {
    async fn insert_if_absent(&self, _: &UsedProof) -> Result<Insertion, SourceError> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(SourceError::new("no disk")),
            false => Ok(Insertion::New),
        }
    }
}

#[tokio::test]
async fn an_outage_of_the_store_is_told_once_and_so_is_its_end() {
    let client = Client::new();
    let (fails, clock) = (Arc::new(AtomicBool::new(true)), TestClock::starting_now());
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let server = builder(trusting(&client.issuer))
        .dpop(Dpop::optional(AUDIENCE, Replay::store(Switched(Arc::clone(&fails)))))
        .clock(clock.clone())
        .on_event(move |event| {
            let outage = matches!(event, Event::ReplayStoreFailed { .. });
            if outage || matches!(event, Event::ReplayStoreRecovered) {
                told.lock().unwrap().push(outage);
            }
        })
        .build()
        .unwrap();
    let api = api(server.layer());
    let send = || async { api.send(client.request(&client.proof())).await.status.as_u16() };
    // It fails now and then.
    for fail in [true, true, false, true, false] {
        fails.store(fail, Ordering::SeqCst);
        assert_eq!(send().await, if fail { 503 } else { 200 });
    }
    assert_eq!(*events.lock().unwrap(), [true]);
    clock.advance(Duration::from_secs(10));
    for _ in 0..2 {
        assert_eq!(send().await, 200);
    }
    assert_eq!(*events.lock().unwrap(), [true, false]);
    fails.store(true, Ordering::SeqCst);
    assert_eq!(send().await, 503);
    assert_eq!(*events.lock().unwrap(), [true, false, true]);
}

#[cfg(feature = "redis")]
mod shared {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use tower_resource_server::Issuer;
    use tower_resource_server::sender::RedisReplay;

    use super::server::Redis;
    use super::*;

    /// The variables that tell the other process of a test what to do.
    const TASK: [&str; 3] = ["REPLAY_LAYER_REDIS", "REPLAY_LAYER_JWKS", "REPLAY_LAYER_TOKEN"];

    fn replay(url: &str) -> Replay {
        Replay::store(RedisReplay::new(url).unwrap())
    }

    /// A proof after the first 15 s of a data set: its client's clock is ahead by that time.
    fn late_proof(client: &Client) -> String {
        client.prover.proof("GET", URL).token(&client.token).made_in(14).sign()
    }

    /// Waits until proofs pass that were made `made_in` seconds ahead of now.
    async fn settle<S>(api: &Api<S>, client: &Client)
    where
        S: tower::Service<
                Request<Body>,
                Response = http::Response<Body>,
                Error = std::convert::Infallible,
            > + Clone,
    {
        let start = Instant::now();
        while api.send(client.request(&late_proof(client))).await.status != 200 {
            assert!(start.elapsed() < Duration::from_secs(20), "the store does not heal");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The other process of the next test: presents the proofs that it reads, and writes each status.
    #[tokio::test]
    #[ignore = "started by `of_two_processes_one_accepts_a_proof`"]
    async fn other_process() {
        let [Ok(redis), Ok(jwks), Ok(token)] = TASK.map(std::env::var) else { return };
        let server = builder(Issuer::new(ISSUER).jwks(jwks))
            .dpop(Dpop::optional(AUDIENCE, replay(&redis)))
            .build()
            .unwrap();
        let api = api(server.layer());
        for proof in std::io::stdin().lines() {
            let request = get().header("authorization", format!("DPoP {token}"));
            let request = request.header("dpop", proof.unwrap()).body(Body::default()).unwrap();
            let status = api.send(request).await.status.as_u16();
            // Not `println!`, which the test harness captures.
            writeln!(std::io::stdout(), "status {status}").unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_two_processes_one_accepts_a_proof() {
        let Some(redis) = Redis::start().await else { return };
        let client = Arc::new(Client::new());
        let api = api(client.server(replay(&redis.url())).layer());
        settle(&api, &client).await;
        let values = [redis.url(), client.issuer.jwks(), client.token.clone()];
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "shared::other_process"])
            .envs(TASK.into_iter().zip(values))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut proofs = other.stdin.take().unwrap();
        let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
        for round in 0..200 {
            let proof = late_proof(&client);
            writeln!(proofs, "{proof}").unwrap();
            let tasks: Vec<_> = (0..64)
                .map(|_| {
                    let (api, request) = (api.clone(), client.request(&proof));
                    tokio::spawn(async move { api.send(request).await.status.as_u16() })
                })
                .collect();
            let mut passed = 0;
            for task in tasks {
                let status = task.await.unwrap();
                assert!([200, 401].contains(&status), "round {round}: {status}");
                passed += usize::from(status == 200);
            }
            let theirs = lines.by_ref().find_map(|line| {
                line.unwrap().rsplit_once("status ").map(|(_, status)| status.to_owned())
            });
            let theirs = theirs.unwrap();
            assert!(["200", "401"].contains(&theirs.as_str()), "round {round}: {theirs}");
            assert_eq!(passed + usize::from(theirs == "200"), 1, "round {round}");
        }
        drop(proofs);
        assert!(other.wait().unwrap().success());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_redis_that_loses_its_data_admits_no_proof_twice() {
        let Some(mut redis) = Redis::start().await else { return };
        let client = Client::new();
        let api = api(client.server(replay(&redis.url())).layer());
        let bearer = client.issuer.token().sign();
        settle(&api, &client).await;
        // Until proofs of a clock that is right pass.
        let start = Instant::now();
        while api.send(client.request(&client.proof())).await.status != 200 {
            assert!(start.elapsed() < Duration::from_secs(20), "the first seconds do not end");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        // Of clocks that are right, a little behind, and ahead.
        let proofs: Vec<_> = (-2..15)
            .map(|offset| {
                client.prover.proof("GET", URL).token(&client.token).made_in(offset).sign()
            })
            .collect();
        let mut used = Vec::new();
        for proof in &proofs {
            if api.send(client.request(proof)).await.status == 200 {
                used.push(proof);
            }
        }
        assert!(used.len() > 10, "{} proofs", used.len());
        redis.kill();
        redis.restart().await;
        let again = |proof: &str| api.send(client.request(proof));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(16) {
            for proof in &used {
                let reply = again(proof).await;
                assert!([401, 503].contains(&reply.status.as_u16()), "{:?}", reply.error);
            }
            api.bearer(&bearer).await.assert_ok("a Bearer token");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        settle(&api, &client).await;
        api.send(client.request(&client.proof())).await.assert_ok("it has healed");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_redis_that_is_full_evicts_or_is_gone_is_503_for_bound_tokens_alone() {
        let Some(mut redis) = Redis::start().await else { return };
        let client = Client::new();
        let server = client.server(replay(&redis.url()));
        let api = api(server.layer());
        let bearer = client.issuer.token().sign();
        settle(&api, &client).await;
        assert_eq!(server.health().replay.unwrap().problem, None);

        redis.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
        api.send(client.request(&late_proof(&client))).await.assert_unavailable("full");
        api.bearer(&bearer).await.assert_ok("a Bearer token, full");
        redis.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
        api.send(client.request(&late_proof(&client))).await.assert_ok("space again");

        redis.run(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
        let start = Instant::now();
        while server.health().replay.unwrap().problem.is_none() {
            assert!(start.elapsed() < Duration::from_secs(10), "not in health");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        api.send(client.request(&late_proof(&client))).await.assert_unavailable("evicts");
        api.bearer(&bearer).await.assert_ok("a Bearer token, evicts");
        redis.run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
        while server.health().replay.unwrap().problem.is_some() {
            assert!(start.elapsed() < Duration::from_secs(30), "health does not heal");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        settle(&api, &client).await;

        redis.kill();
        api.send(client.request(&late_proof(&client))).await.assert_unavailable("gone");
        api.bearer(&bearer).await.assert_ok("a Bearer token, gone");
    }
}
