//! An endpoint that answers by the token: some are odd, and the server is well.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Form;
use axum::response::{IntoResponse as _, Response};
use futures::future::join_all;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::json;
use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{Introspection, SharedCache};
use tower_resource_server::observe::IntrospectionHealth;
use tower_resource_server::{Issuer, ResourceServer};

use super::shared::{Shelf, ShelfFault};
use super::support::*;
use super::{secret, serve};

/// A server and its endpoint.
struct Odd {
    clock: TestClock,
    server: ResourceServer,
    endpoint: Arc<Endpoint>,
}

#[derive(Default)]
struct Endpoint {
    /// Every token is answered 503.
    down: AtomicBool,
    /// A text that is no token is answered 403 by a firewall.
    walled: AtomicBool,
    /// The connection breaks where the answer should be.
    broken: AtomicBool,
    calls: AtomicUsize,
}

impl Endpoint {
    /// `good-..` is active, `odd-503-..` is answered 503, and so on; any other text is not active.
    async fn answer(&self, token: &str) -> Response {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        if self.broken.load(Ordering::SeqCst) {
            let broken = async { Err::<bytes::Bytes, _>(std::io::Error::other("of the test")) };
            return Response::new(axum::body::Body::from_stream(futures::stream::once(broken)));
        }
        let mut parts = token.split('-');
        match (parts.next(), parts.next()) {
            (Some("good"), _) => {
                axum::Json(json!({ "active": true, "aud": AUDIENCE, "sub": "alice" }))
                    .into_response()
            }
            (Some("odd"), Some("hang")) => std::future::pending().await,
            (Some("odd"), Some(status)) => {
                let status = StatusCode::from_bytes(status.as_bytes()).unwrap();
                let mut answer = status.into_response();
                if parts.next() == Some("busy") {
                    answer.headers_mut().insert(RETRY_AFTER, u64::MAX.into());
                }
                answer
            }
            _ if self.walled.load(Ordering::SeqCst) => StatusCode::FORBIDDEN.into_response(),
            _ => axum::Json(json!({ "active": false })).into_response(),
        }
    }
}

impl Odd {
    async fn start(shared: Option<SharedCache>) -> Self {
        let endpoint = Arc::new(Endpoint::default());
        let own = Arc::clone(&endpoint);
        let answer = async move |Form(form): Form<Vec<(String, String)>>| {
            let (_, token) = form.iter().find(|(name, _)| name == "token").unwrap();
            own.answer(token).await
        };
        let answer = move |form| {
            let answer = answer.clone();
            async move { answer(form).await }
        };
        let app = axum::Router::new().route("/introspect", axum::routing::post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/introspect", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let own = Introspection::only(Introspection::new(secret())).endpoint(url);
        let own = match shared {
            Some(shared) => own.shared_cache(shared),
            None => own,
        };
        let clock = TestClock::starting_now();
        let server = serve(Issuer::new(ISSUER).introspection(own), &clock);
        Self { clock, server, endpoint }
    }

    async fn bearer(&self, token: &str) -> Reply {
        api(self.server.layer()).bearer(token).await
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn down(&self, down: bool) {
        self.endpoint.down.store(down, Ordering::SeqCst);
    }

    fn calls(&self) -> usize {
        self.endpoint.calls.load(Ordering::SeqCst)
    }

    fn health(&self) -> IntrospectionHealth {
        self.server.health().issuers[0].introspection.clone().unwrap()
    }

    /// An outage that opens the breaker.
    async fn fail(&self) {
        self.down(true);
        for n in 0..5 {
            self.bearer(&format!("good-during-{n}")).await.assert_unavailable("down");
        }
        assert!(self.health().open);
        self.down(false);
    }
}

/// One client that sends its token all the time is the first after each pause.
#[tokio::test]
async fn a_token_that_always_fails_fails_no_probe() {
    for status in ["401", "403", "429-busy", "500", "502", "503", "503-busy", "504", "hang"] {
        let shelf = Shelf::default();
        for shared in [None, Some(shelf.cache())] {
            let odd = Odd::start(shared).await;
            odd.fail().await;
            for n in 0..4 {
                // The same as before, or another.
                let token = format!("odd-{status}-{}", n / 2);
                odd.pass(31);
                let early = Duration::from_millis(200);
                if let Ok(reply) = tokio::time::timeout(early, odd.bearer(&token)).await {
                    reply.assert_unavailable(status);
                }
                // Of new tokens alone, and by the cap.
                if status == "429-busy" {
                    odd.pass(30);
                }
                odd.bearer(&format!("good-{status}-{n}")).await.assert_ok(status);
            }
            assert!(!odd.health().open, "{status}");
        }
    }
}

/// Neighbour: while the server is down, a probe fails whoever comes, and costs one call a pause.
#[tokio::test]
async fn the_probe_of_a_server_that_is_down_is_its_only_call() {
    let odd = Odd::start(None).await;
    odd.fail().await;
    odd.down(true);
    for n in 0..3 {
        odd.pass(31);
        let before = odd.calls();
        let tokens: Vec<_> = (0..100).map(|m| format!("good-{n}-{m}")).collect();
        for reply in join_all(tokens.iter().map(|token| odd.bearer(token))).await {
            reply.assert_unavailable("down");
        }
        assert_eq!(odd.calls() - before, 1, "round {n}");
    }
    odd.down(false);
    odd.pass(31);
    odd.bearer("good").await.assert_ok("back");
}

/// A connection that breaks is held against nobody, but it is no answer to a probe either.
#[tokio::test]
async fn a_probe_on_a_connection_that_breaks_is_not_answered() {
    let odd = Odd::start(None).await;
    odd.endpoint.broken.store(true, Ordering::SeqCst);
    for n in 0..10 {
        odd.bearer(&format!("good-{n}")).await.assert_unavailable("broken");
    }
    assert!(!odd.health().open, "that opens nothing");
    odd.endpoint.broken.store(false, Ordering::SeqCst);
    odd.fail().await;
    odd.endpoint.broken.store(true, Ordering::SeqCst);
    odd.pass(31);
    odd.bearer("good").await.assert_unavailable("broken");
    assert!(odd.health().open, "nor does it close anything");
    odd.endpoint.broken.store(false, Ordering::SeqCst);
    odd.pass(31);
    odd.bearer("good").await.assert_ok("back");
}

#[tokio::test]
async fn one_token_opens_nothing_after_an_outage_either() {
    for (name, tokens, opens) in [("one token", 1, false), ("five tokens", 5, true)] {
        let odd = Odd::start(None).await;
        odd.fail().await;
        odd.endpoint.walled.store(true, Ordering::SeqCst);
        odd.pass(1);
        odd.bearer("odd-403").await.assert_unavailable("the probe is answered");
        assert!(!odd.health().open, "{name}");
        for n in 0..10 {
            odd.bearer(&format!("odd-503-{}", n % tokens)).await.assert_unavailable(name);
            odd.pass(if n % tokens + 1 == tokens { 1 } else { 0 });
        }
        assert_eq!(odd.health().open, opens, "{name}");
    }
}

/// The pause of new tokens is none for a probe that tokens which were active before need.
#[tokio::test]
async fn a_429_for_new_tokens_holds_back_no_probe() {
    let odd = Odd::start(None).await;
    let known: Vec<_> = (0..6).map(|n| format!("good-{n}")).collect();
    for token in &known {
        odd.bearer(token).await.assert_ok("known");
    }
    odd.pass(61);
    odd.bearer("odd-429-busy").await.assert_unavailable("for 30 s");
    odd.down(true);
    for token in &known[..5] {
        odd.bearer(token).await.assert_unavailable("down");
    }
    assert!(odd.health().open);
    odd.down(false);
    odd.pass(1);
    odd.bearer("good-new").await.assert_unavailable("new ones are paused");
    odd.bearer(&known[5]).await.assert_ok("a known one is not");
    odd.bearer("good-new").await.assert_unavailable("still");
    odd.pass(30);
    odd.bearer("good-new").await.assert_ok("over");
}

/// All at once, of which half go away, each after another number of polls.
#[tokio::test]
async fn a_storm_leaves_nothing_behind() {
    for fault in [None, Some(ShelfFault::None), Some(ShelfFault::Hangs), Some(ShelfFault::Fails)] {
        let name = format!("{fault:?}");
        let shelf = Shelf::default();
        let odd = Odd::start(fault.is_some().then(|| shelf.cache())).await;
        shelf.misbehave(fault.unwrap_or(ShelfFault::None));
        let known: Vec<_> = (0..20).map(|n| format!("good-known-{n}")).collect();
        for token in &known {
            odd.bearer(token).await.assert_ok("known");
        }
        odd.pass(61);
        let kinds = ["odd-401", "odd-403", "odd-429-busy", "odd-500", "odd-503-busy", "odd-hang"];
        let storm = (0..1_500).map(|n| {
            let token = match n % 8 {
                kind @ 0..6 => format!("{}-{}", kinds[kind], n / 16),
                6 => format!("good-{n}"),
                _ => known[n / 8 % known.len()].clone(),
            };
            let odd = &odd;
            async move {
                let mut reply = pin!(odd.bearer(&token));
                if n % 2 == 0 {
                    return Some(reply.await.status);
                }
                for _ in 0..n % 5 {
                    if futures::poll!(reply.as_mut()).is_ready() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                None
            }
        });
        let statuses = tokio::time::timeout(Duration::from_secs(8), join_all(storm)).await;
        for status in statuses.expect("each wait has a deadline").into_iter().flatten() {
            assert!([200, 503].contains(&status.as_u16()), "{name}: {status}");
        }
        // What nobody waits for ends by its own deadline.
        for _ in 0..120 {
            let health = odd.health();
            if (health.in_flight, health.queued, health.waiting) == (0, 0, 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let health = odd.health();
        assert_eq!((health.in_flight, health.queued, health.waiting), (0, 0, 0), "{name}");
        odd.pass(31);
        odd.bearer("good-after").await.assert_ok(&name);
        odd.bearer(&known[0]).await.assert_ok(&name);
    }
}
