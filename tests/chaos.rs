//! What an authorization server, a network and an attacker do to an API at their worst, over real
//! sockets. Both clocks are a test's; nothing here is judged by how long it took: that a request does
//! not wait is shown by polling it once.

#![cfg(feature = "http-client")]

#[path = "support/mod.rs"]
mod support;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower_resource_server::clock::TestClock;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::{Documents, Endpoint, Fault, TestIssuer};
use tower_resource_server::{Error, Issuer, ResourceServer};

use support::*;

struct World {
    clock: TestClock,
    issuer: TestIssuer,
    server: ResourceServer,
}

impl World {
    async fn new() -> Self {
        let clock = TestClock::starting_now();
        let issuer = TestIssuer::builder().clock(clock.clone()).start().await.unwrap();
        let server = builder(Issuer::new(issuer.url()))
            .allow_http_loopback()
            .clock(clock.clone())
            .build()
            .unwrap();
        Self { clock, issuer, server }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn token(&self) -> String {
        self.issuer.token().expires_in(100_000).sign()
    }

    /// Lets answers that are under way come in.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_hour_of_outages_of_every_kind_is_not_noticed_by_requests_with_a_key() {
    let world = World::new().await;
    let api = api(world.server.layer());
    let token = world.token();
    api.bearer(&token).await.assert_ok("warm");
    let faults = [
        Fault::Hang,
        Fault::Status(500),
        Fault::Status(404),
        Fault::Busy(3_600),
        Fault::Garbage,
        Fault::Html,
        Fault::Body(r#"{"keys":[]}"#.into()),
        Fault::Body(r#"{"keys":{}}"#.into()),
        Fault::Body(r#"{"keys":[{"kty":"AKP"}]}"#.into()),
        Fault::Oversize(600_000),
        Fault::Truncated,
        Fault::Redirect("/elsewhere".into()),
        Fault::Trickle,
    ];
    let mut served = 0;
    for minute in 0..60 {
        if minute % 15 == 14 {
            world.issuer.stop();
        } else {
            if minute % 15 == 0 && minute > 0 {
                world.issuer.restart().await.unwrap();
            }
            // Another document each time, so that none of it is answered by a sound 304.
            world.issuer.set_extra_jwks([serde_json::json!({ "kty": "XYZ", "n": minute })]);
            let fault = faults[minute % faults.len()].clone();
            world.issuer.set_fault(Endpoint::Jwks, fault);
        }
        for second in 0..60 {
            world.pass(1);
            let reply = at_once(api.bearer(&token));
            let name = format!("minute {minute}, second {second}");
            reply.unwrap_or_else(|| panic!("it waits: {name}")).assert_ok(&name);
            served += 1;
            if second % 20 == 0 {
                world.settle().await;
            }
        }
    }
    assert_eq!(served, 3_600);
    assert!(world.issuer.counts().jwks > 30, "the issuer was asked in vain");

    // 65 minutes after the fetch, less a moment and more.
    world.pass(5 * 60 - 1);
    at_once(api.bearer(&token)).expect("it waits").assert_ok("at the cap");
    world.issuer.stop();
    world.pass(1);
    let reply = api.bearer(&token).await;
    reply.assert_unavailable("past the cap");
    assert!(matches!(reply.error, Some(Error::KeysUnavailable { .. })));
    world.issuer.set_fault(Endpoint::Jwks, Fault::None);
    world.issuer.restart().await.unwrap();
    world.pass(31);
    api.bearer(&token).await.assert_ok("healed, without a restart");
    at_once(api.bearer(&token)).expect("it waits").assert_ok("and at hand again");
}

#[tokio::test]
async fn a_bounded_number_waits_for_unknown_kids_and_the_rest_is_told_to_come_back() {
    let world = World::new().await;
    let api = api(world.server.layer());
    let good = world.token();
    let forger = Forger::new(&good);
    api.bearer(&good).await.assert_ok("warm");
    world.issuer.set_fault(Endpoint::Jwks, Fault::Hang);
    let gate = self::api(world.server.layer());
    let mut requests = Vec::new();
    let mut waiting = 0;
    for n in 0..4_200 {
        let (api, token) = (gate.clone(), forger.token(&format!("forged-{n}")));
        let mut request = Box::pin(async move { api.bearer(&token).await });
        match futures::poll!(request.as_mut()) {
            Poll::Ready(reply) => reply.assert_unavailable("one too many: nobody could look"),
            Poll::Pending => waiting += 1,
        }
        requests.push(request);
    }
    assert_eq!(waiting, 1 + 4_096, "the one that started the fetch, and those that joined it");
    at_once(api.bearer(&good)).expect("it waits").assert_ok("a key at hand");
    // Those who hang up make room, which shows that a wait is not counted for ever.
    drop(requests);
    let token = forger.token("one more");
    assert!(at_once(api.bearer(&token)).is_none(), "there is room again");
    // When the set is stale, it is no other. The fetch that hung counts as ended by then.
    world.pass(400);
    let requests: Vec<_> = (0..4_200)
        .filter_map(|n| {
            let (api, token) = (gate.clone(), forger.token(&format!("forged-{n}")));
            let mut request = Box::pin(async move { api.bearer(&token).await });
            match request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(reply) => {
                    reply.assert_unavailable("one too many, while stale");
                    None
                }
                Poll::Pending => Some(request),
            }
        })
        .collect();
    assert_eq!(requests.len(), 1 + 4_096);
}

/// All tokens of a rotation come at once, as they do where every client gets a new one within its
/// minute: not one of them is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rotation_under_load_refuses_no_valid_token() {
    let world = World::new().await;
    let api = api(world.server.layer());
    api.bearer(&world.token()).await.assert_ok("warm");
    let old = world.token();
    world.issuer.set_fault(Endpoint::Jwks, Fault::Slow(Duration::from_millis(150)));
    world.issuer.add_key(Algorithm::ES256);
    let new = world.token();
    let requests: Vec<_> = (0..1_000)
        .map(|_| {
            let (api, new) = (api.clone(), new.clone());
            tokio::spawn(async move { api.bearer(&new).await.status.as_u16() })
        })
        .collect();
    let mut statuses = std::collections::BTreeMap::new();
    for request in requests {
        *statuses.entry(request.await.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(statuses, [(200, 1_000)].into());
    assert_eq!(world.issuer.counts().jwks, 2, "and one fetch was enough");
    api.bearer(&old).await.assert_ok("the key before it");
}

#[tokio::test]
async fn a_key_published_while_a_fetch_is_under_way_is_found_by_the_first_request_with_it() {
    let world = World::new().await;
    let api = api(world.server.layer());
    let old = world.token();
    api.bearer(&old).await.assert_ok("warm");
    world.issuer.set_fault(Endpoint::Jwks, Fault::Slow(Duration::from_millis(100)));
    world.pass(250);
    at_once(api.bearer(&old)).expect("it waits").assert_ok("ahead; a fetch starts");
    while world.issuer.counts().jwks < 2 {
        world.settle().await;
    }
    // The answer to that fetch is made up already, and comes without the new key.
    world.issuer.add_key(Algorithm::ES256);
    api.bearer(&world.token()).await.assert_ok("the new key, at its first request");
    assert_eq!(world.issuer.counts().jwks, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stampede_on_all_threads_costs_one_fetch_of_each_kind() {
    for documents in [Documents::Both, Documents::OpenId] {
        let world = World::new().await;
        world.issuer.set_documents(documents);
        world.issuer.set_fault(Endpoint::Jwks, Fault::Slow(Duration::from_millis(150)));
        let api = api(world.server.layer());
        let token = world.token();
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for n in 0..1_000 {
            let (api, token) = (api.clone(), token.clone());
            let request = tokio::spawn(async move { api.bearer(&token).await });
            if n % 2 == 0 { dropped.push(request) } else { kept.push(request) }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        for request in &dropped {
            request.abort();
        }
        for request in kept {
            request.await.unwrap().assert_ok("those who stayed");
        }
        let hung_up = futures::future::join_all(dropped).await;
        assert!(hung_up.iter().any(Result::is_err), "some were dropped in flight");
        let counts = world.issuer.counts();
        assert_eq!((counts.metadata, counts.jwks), (1, 1), "{documents:?}");
        assert!(counts.not_found <= 1, "{documents:?}");
    }
}

#[tokio::test]
async fn a_busy_issuer_is_left_alone_as_long_as_it_asks() {
    let world = World::new().await;
    let api = api(world.server.layer());
    let token = world.token();
    world.issuer.set_fault(Endpoint::Jwks, Fault::Busy(20));
    let reply = api.bearer(&token).await;
    reply.assert_unavailable("busy");
    // And up to half as long again, at random.
    let retry_after = reply.headers[http::header::RETRY_AFTER].to_str().unwrap();
    assert!((20..=30).contains(&retry_after.parse::<u64>().unwrap()), "{retry_after}");
    world.issuer.set_fault(Endpoint::Jwks, Fault::None);
    world.pass(19);
    at_once(api.bearer(&token)).expect("it waits").assert_unavailable("left alone");
    assert_eq!(world.issuer.counts().jwks, 1);
    world.pass(11);
    api.bearer(&token).await.assert_ok("asked again");
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_after_the_next_fetch_and_served_until_then() {
    let world = World::new().await;
    let old = world.token();
    world.issuer.add_key(Algorithm::ES256);
    let new = world.token();
    let api = api(world.server.layer());
    api.bearer(&old).await.assert_ok("both published");
    world.issuer.withdraw("key-1");
    world.issuer.set_fault(Endpoint::Jwks, Fault::Status(500));
    world.pass(250);
    api.bearer(&old).await.assert_ok("a failed fetch takes no key away");
    world.settle().await;
    world.issuer.set_fault(Endpoint::Jwks, Fault::None);
    world.pass(2);
    at_once(api.bearer(&old)).expect("it waits").assert_ok("the fetch is under way");
    while world.issuer.counts().jwks < 3 {
        world.settle().await;
    }
    world.settle().await;
    api.bearer(&old).await.assert_invalid_token("withdrawn");
    at_once(api.bearer(&new)).expect("it waits").assert_ok("the other key");
}

#[tokio::test]
async fn a_dead_issuer_touches_no_other() {
    for death in ["stopped", "hanging", "garbage"] {
        let (a, b) = (TestIssuer::start().await.unwrap(), TestIssuer::start().await.unwrap());
        match death {
            "stopped" => b.stop(),
            "hanging" => b.set_fault(Endpoint::Metadata, Fault::Hang),
            _ => b.set_fault(Endpoint::Jwks, Fault::Garbage),
        }
        let b_kid = b.rotate();
        let server = ResourceServer::builder()
            .issuer(a.url())
            .issuer(b.url())
            .audience(AUDIENCE)
            .allow_http_loopback()
            .build()
            .unwrap();
        let api = api(server.layer());
        let (good, lost) = (a.token().sign(), b.token().sign());
        let mut waiting = Box::pin({
            let (api, lost) = (self::api(server.layer()), lost.clone());
            async move { api.bearer(&lost).await }
        });
        let _ = futures::poll!(waiting.as_mut());
        api.bearer(&good).await.assert_ok(death);
        for _ in 0..10 {
            at_once(api.bearer(&good)).expect("a waits for b").assert_ok(death);
        }
        waiting.await.assert_unavailable(death);
        // Neither the other's kid nor the other's key counts.
        let foreign = a.token().header("kid", b_kid.as_str()).sign();
        api.bearer(&foreign).await.assert_invalid_token("a token of a with a kid of b");
        let foreign = b.token().claim("iss", a.url()).sign();
        api.bearer(&foreign).await.assert_invalid_token("a token of a signed by b");
    }
}

#[tokio::test]
async fn no_line_of_an_outbound_request_comes_from_a_token() {
    let world = World::new().await;
    let api = api(world.server.layer());
    let evil = "http://169.254.169.254/latest/meta-data";
    let hostile = ["kid", "jku", "x5u", "jwk", "x5c", "iss"].into_iter().flat_map(|name| {
        [evil, "../../admin", "a b\r\nHost: evil", "/jwks?x=", "@evil.example.com"]
            .into_iter()
            .map(move |text| (name, text))
    });
    for (name, text) in hostile {
        // New kids, so that as many fetches as can be are caused by them.
        let kid = if name == "kid" { text.to_owned() } else { format!("{name}-{}", text.len()) };
        let token = world.issuer.token().expires_in(100_000).header("kid", kid);
        let token = if name == "kid" { token } else { token.header(name, text) };
        let token = token.claim("jwks_uri", evil).claim("x5u", evil);
        api.bearer(&token.sign()).await.assert_invalid_token(&format!("{name}: {text:?}"));
        let token = world.issuer.token().claim("iss", format!("{}/{text}", world.issuer.url()));
        api.bearer(&token.sign()).await.assert_invalid_token(&format!("iss with {text:?}"));
        world.pass(11);
    }
    api.bearer(&world.token()).await.assert_ok("a good one");
    let lines = world.issuer.requests();
    assert!(lines.len() > 20, "fetches were caused: {}", lines.len());
    for line in lines {
        let known = ["GET /.well-known/oauth-authorization-server", "GET /jwks"];
        assert!(known.contains(&line.as_str()), "{line}");
    }
}

/// A server of two key sets under one ETag, and of metadata that names one of them.
struct Mover {
    origin: String,
    moved: Arc<AtomicBool>,
}

impl Mover {
    async fn start(sets: [String; 2]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let moved = Arc::new(AtomicBool::new(false));
        let served = (origin.clone(), Arc::clone(&moved));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (origin, moved) = &served;
                let mut head = vec![0; 4_096];
                let length = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
                let place = usize::from(moved.load(Ordering::SeqCst));
                let (status, body) = if head.contains("well-known") {
                    let uri = format!("{origin}/keys/{place}");
                    ("200 OK", serde_json::json!({ "issuer": origin, "jwks_uri": uri }).to_string())
                } else if head.contains("if-none-match") {
                    ("304 Not Modified", String::new())
                } else {
                    ("200 OK", sets[usize::from(head.contains("/keys/1"))].clone())
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nETag: \"1\"\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len(),
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { origin, moved }
    }
}

#[tokio::test]
async fn an_etag_says_nothing_about_the_keys_at_another_url() {
    let issuer = TestIssuer::in_process("http://127.0.0.1");
    let before = issuer.jwks();
    let kid = issuer.rotate();
    let mover = Mover::start([before, issuer.jwks()]).await;
    let clock = TestClock::starting_now();
    let trusted = Issuer::new(mover.origin.as_str());
    let server = builder(trusted).allow_http_loopback().clock(clock.clone()).build().unwrap();
    let api = api(server.layer());
    let token = issuer.token().claim("iss", mover.origin.as_str()).expires_in(100_000).sign();
    api.bearer(&token).await.assert_invalid_token(&format!("{kid} is not published there"));
    mover.moved.store(true, Ordering::SeqCst);
    // The metadata is fresh for an hour, and then names the other place.
    clock.advance(Duration::from_secs(3_601));
    api.bearer(&token).await.assert_ok("the keys of the other place");
}
