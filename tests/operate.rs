//! The server in operation: ready, health, readiness probe, seeds, events, keep-warm.
#![cfg(feature = "http-client")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use support::{AUDIENCE, api, at_once, builder};
use tower::ServiceExt as _;
use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::issuer::SourceError;
use tower_resource_server::keys::{FetchedKeys, KeySeed, KeySource};
use tower_resource_server::observe::{Event, KeyStage};
use tower_resource_server::test_issuer::{Endpoint, Fault, TestIssuer};
use tower_resource_server::{Issuer, ResourceServer};

const SOON: Duration = Duration::from_secs(10);

fn remote(issuer: &TestIssuer) -> ResourceServer {
    builder(issuer.url()).allow_http_loopback().build().unwrap()
}

#[tokio::test]
async fn ready_fetches_before_the_first_request() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = remote(&issuer);
    assert_eq!(server.health().issuers[0].keys, KeyStage::Missing);
    server.ready(SOON).await.unwrap();
    let health = server.health();
    assert_eq!(health.issuers[0].keys, KeyStage::Fresh);
    assert_eq!(health.issuers[0].key_ids.len(), 1);
    assert!(health.is_ready());
    assert_eq!(issuer.counts().jwks, 1);
    // The first request finds the keys at hand.
    let api = api(server.layer());
    let token = issuer.token().sign();
    at_once(api.bearer(&token)).expect("nothing to wait for").assert_ok("ready");
}

#[tokio::test]
async fn ready_names_who_is_not_and_heals() {
    let (up, down) = (TestIssuer::start().await.unwrap(), TestIssuer::start().await.unwrap());
    down.stop();
    let builder = builder(up.url()).issuer(down.url()).allow_http_loopback();
    let server = builder.build().unwrap();
    let error = server.ready(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.issuers(), [down.url()]);
    assert!(error.to_string().contains(down.url()));
    let health = server.health();
    assert!(health.issuers[0].is_usable() && !health.issuers[1].is_usable());
    assert!(health.issuers[1].last_error.is_some() && health.issuers[1].failures > 0);

    down.restart().await.unwrap();
    server.ready(SOON).await.unwrap();
    assert!(server.health().is_ready());
}

/// Answers a key set from the second time on.
struct FailsOnce(String, AtomicBool);

impl KeySource for FailsOnce {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        if self.1.swap(true, Ordering::SeqCst) {
            Ok(FetchedKeys::new(self.0.clone()))
        } else {
            Err(SourceError::new("not yet"))
        }
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_holds_up_no_other_in_ready() {
    let down = TestIssuer::start().await.unwrap();
    down.stop();
    let keys = FailsOnce(support::issuer().jwks(), AtomicBool::new(false));
    let late = Issuer::new(support::ISSUER).key_source(keys);
    let server = builder(down.url()).issuer(late).allow_http_loopback().build().unwrap();
    let waiting = server.clone();
    let mut ready = tokio::spawn(async move { waiting.ready(SOON).await });
    let heals = async {
        while !server.health().issuers[1].is_usable() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = heals => {}
        ended = &mut ready => panic!("the other was tried once only: {ended:?}"),
    }
    down.restart().await.unwrap();
    ready.await.unwrap().unwrap();
}

/// Answers from the second time on, and never the first.
struct HangsOnce(String, AtomicBool);

impl KeySource for HangsOnce {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        if !self.1.swap(true, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(FetchedKeys::new(self.0.clone()))
    }
}

/// Each caller has a runtime of its own, which nobody drives once its request is answered; and with it
/// stands still what the request has started.
#[test]
fn an_issuer_is_not_held_up_by_a_runtime_that_nobody_drives() {
    let (issuer, clock) = (support::issuer(), TestClock::starting_now());
    let keys = HangsOnce(issuer.jwks(), AtomicBool::new(false));
    let builder = builder(Issuer::new(support::ISSUER).key_source(keys)).clock(clock.clone());
    let server = builder.build().unwrap();
    let token = format!("Bearer {}", issuer.token().sign());
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers.insert("authorization", token.parse().unwrap());
    let mut runtimes = Vec::new();
    let mut authenticate = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let status = match runtime.block_on(server.authenticate(&parts)) {
            Ok(_) => StatusCode::OK,
            Err(refusal) => refusal.into_response::<Full<Bytes>>().status(),
        };
        runtimes.push(runtime);
        status
    };
    assert_eq!(authenticate(), StatusCode::SERVICE_UNAVAILABLE, "the keys don't come");
    clock.advance(Duration::from_millis(11_999));
    assert_eq!(authenticate(), StatusCode::SERVICE_UNAVAILABLE, "they may still come");
    clock.advance(Duration::from_millis(1));
    assert_eq!(authenticate(), StatusCode::OK, "fetched again");
}

#[tokio::test]
async fn ready_waits_for_the_issuers_that_a_reload_has_put_there() {
    let (up, down) = (TestIssuer::start().await.unwrap(), TestIssuer::start().await.unwrap());
    down.stop();
    for (name, next, good) in [("up", &up, true), ("down", &down, false)] {
        let server = remote(&down);
        let waiting = server.clone();
        let deadline = if good { SOON } else { Duration::from_millis(1_500) };
        let ready = tokio::spawn(async move { waiting.ready(deadline).await });
        tokio::task::yield_now().await;
        server.reload([next.url()], [AUDIENCE]).unwrap();
        assert_eq!(ready.await.unwrap().is_ok(), good, "{name}");
    }
}

#[test]
fn ready_outside_a_runtime_ends_at_once() {
    let server = builder("https://as.example.com").build().unwrap();
    let mut ready = Box::pin(server.ready(SOON));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(ended) = ready.as_mut().poll(&mut context) else {
        panic!("it waits");
    };
    assert!(ended.is_err());
}

#[tokio::test]
async fn the_readiness_service_says_so_and_has_keys_fetched() {
    let issuer = TestIssuer::start().await.unwrap();
    issuer.set_fault(Endpoint::Jwks, Fault::Status(500));
    let server = remote(&issuer);
    let ask = async || {
        let service = server.readiness_service::<Full<Bytes>>();
        let answer = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
    };
    let (status, body) = ask().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let expected = serde_json::json!({
        "ready": false,
        "issuers": [{ "issuer": issuer.url(), "keys": "missing" }],
    });
    assert_eq!(body, expected);

    issuer.set_fault(Endpoint::Jwks, Fault::None);
    // No request, no `ready`: the probe alone has the keys fetched.
    let mut tries = 0;
    let body = loop {
        let (status, body) = ask().await;
        if status == StatusCode::OK {
            break body;
        }
        tries += 1;
        assert!(tries < 500, "never ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(body["ready"], true);
    assert_eq!(body["issuers"][0]["keys"], "fresh");
}

#[tokio::test]
async fn an_issuer_that_is_asked_about_every_token_needs_no_keys() {
    let issuer = TestIssuer::start().await.unwrap();
    let auth = ClientAuth::client_secret_basic("notes-api", "secret");
    let introspection = Introspection::new(auth).only();
    let builder = builder(Issuer::new(issuer.url()).introspection(introspection));
    let server = builder.allow_http_loopback().build().unwrap();
    server.ready(SOON).await.unwrap();
    assert_eq!(server.health().issuers[0].keys, KeyStage::Unused);
    assert_eq!(issuer.counts().jwks, 0);
    let api = api(server.layer());
    for _ in 0..2 {
        api.bearer(&issuer.token().sign()).await.assert_ok("introspected");
    }
    let token = issuer.token().opaque();
    for _ in 0..3 {
        api.bearer(&token).await.assert_ok("introspected");
    }
    let health = server.health().issuers[0].introspection.clone().unwrap();
    assert_eq!((health.calls, health.hits, health.open), (3, 2, false));
}

#[tokio::test]
async fn a_seed_bridges_a_start_without_the_issuer() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = remote(&issuer);
    server.ready(SOON).await.unwrap();
    let seeds = server.export_keys();
    assert_eq!(seeds.len(), 1);
    let seed = KeySeed::from_json(&seeds[0].to_json()).unwrap();
    assert_eq!(seed.issuer(), issuer.url());

    issuer.stop();
    let start = |seed: Option<KeySeed>| {
        let mut trusted = Issuer::new(issuer.url());
        if let Some(seed) = seed {
            trusted = trusted.seed(seed);
        }
        let server = builder(trusted).allow_http_loopback().build().unwrap();
        api(server.layer())
    };
    let token = issuer.token().sign();
    start(None).bearer(&token).await.assert_unavailable("no seed");
    let seeded = start(Some(seed));
    at_once(seeded.bearer(&token)).expect("keys at hand").assert_ok("seeded");
    let stranger = TestIssuer::in_process(issuer.url());
    seeded.bearer(&stranger.token().sign()).await.assert_invalid_token("another key");
}

#[tokio::test]
async fn events_tell_of_a_rotation_and_an_outage() {
    let issuer = TestIssuer::start().await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let clock = TestClock::starting_now();
    let server = builder(issuer.url())
        .allow_http_loopback()
        .clock(clock.clone())
        .on_event(move |event| log.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    let api = api(server.layer());
    let names = || {
        let events: Vec<Event> = std::mem::take(&mut told.lock().unwrap());
        let name =
            |event: &Event| format!("{event:?}").split([' ', '{']).next().unwrap().to_owned();
        assert!(events.iter().all(|event| event.issuer() == Some(issuer.url())));
        events.iter().map(name).collect::<Vec<_>>()
    };
    api.bearer(&issuer.token().sign()).await.assert_ok("first");
    assert_eq!(names(), ["Refreshed"]);
    issuer.rotate();
    api.bearer(&issuer.token().sign()).await.assert_ok("rotated");
    let seen = names();
    for expected in ["UnknownKid", "Refreshed", "Rotated"] {
        assert!(seen.iter().any(|name| name == expected), "{expected} is not in {seen:?}");
    }
    issuer.stop();
    clock.advance(Duration::from_secs(290));
    let mut seen = Vec::new();
    for _ in 0..200 {
        api.bearer(&issuer.token().sign()).await.assert_ok("keys at hand");
        seen.extend(names());
        if seen.iter().any(|name| name == "RefreshFailed") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen.iter().any(|name| name == "RefreshFailed"), "{seen:?}");
}

/// Runs it on a thread of its own; a deadlock is a failure and no test that hangs.
fn ends(name: &str, work: impl FnOnce() + Send + 'static) {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _runtime = runtime.enter();
        work();
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("{name}: it hangs"));
}

#[test]
fn an_observer_may_reload_and_ask_for_the_health() {
    ends("observer", || {
        let issuer = support::issuer();
        let keys = FailsOnce(issuer.jwks(), AtomicBool::new(true));
        let trusted = Issuer::new(support::ISSUER).key_source(keys);
        let own: Arc<std::sync::OnceLock<ResourceServer>> = Arc::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (server, told, again) = (Arc::clone(&own), Arc::clone(&seen), trusted.clone());
        let builder = builder(trusted.clone()).on_event(move |event| {
            told.lock().unwrap().push(format!("{event:?}"));
            if let Some(server) = server.get() {
                let before = server.health().generation;
                server.reload([again.clone()], [AUDIENCE]).unwrap();
                assert_eq!(server.health().generation, before + 1);
            }
        });
        own.set(builder.build().unwrap()).unwrap();
        let server = own.get().unwrap();
        let token = issuer.token().sign();
        futures::executor::block_on(async {
            // A seed that is not used is an event of the reload itself.
            let seed = format!(
                r#"{{"version":1,"issuer":"{}","fetched_at":0,"freshness":1,"document":"{{}}"}}"#,
                support::ISSUER
            );
            let seeded = trusted.clone().seed(KeySeed::from_json(seed.as_bytes()).unwrap());
            server.reload([seeded], [AUDIENCE]).unwrap();
        });
        assert_eq!(server.health().generation, 2, "one, and the observer's");
        let _ = at_once(api(server.layer()).bearer(&token));
        assert!(seen.lock().unwrap()[0].starts_with("SeedIgnored"), "{seen:?}");
    });
}

#[test]
fn a_subscriber_may_ask_for_the_health() {
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    struct Asks(Arc<std::sync::OnceLock<ResourceServer>>, Arc<AtomicBool>);

    impl<S: tracing::Subscriber> Layer<S> for Asks {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            if let Some(server) = self.0.get() {
                let _ = server.health();
                let _ = server.export_keys();
                self.1.store(true, Ordering::SeqCst);
            }
        }
    }

    struct Nobody;

    impl tower_resource_server::issuer::IssuerResolver for Nobody {
        fn allows(&self, iss: &str) -> bool {
            iss == "https://tenant.example.com"
        }

        async fn resolve(&self, _: &str) -> Result<Option<Issuer>, SourceError> {
            Ok(None)
        }
    }

    ends("subscriber", || {
        let own: Arc<std::sync::OnceLock<ResourceServer>> = Arc::default();
        let asked = Arc::new(AtomicBool::new(false));
        let asks = Asks(Arc::clone(&own), Arc::clone(&asked));
        let subscriber = tracing_subscriber::registry().with(asks);
        let _default = tracing::subscriber::set_default(subscriber);
        let issuer = support::issuer();
        let keys = FailsOnce(issuer.jwks(), AtomicBool::new(false));
        let builder = builder(Issuer::new(support::ISSUER).key_source(keys));
        own.set(builder.issuer_resolver(Nobody).build().unwrap()).unwrap();
        let api = api(own.get().unwrap().layer());
        let tenant = issuer.token().claim("iss", "https://tenant.example.com").sign();
        // Without a runtime that runs, and in one that lacks a timer, failures are logged, too.
        let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
        bare.block_on(async {
            api.bearer(&tenant).await.assert_unavailable("no timer");
            api.bearer(&issuer.token().sign()).await.assert_unavailable("no timer");
        });
        assert!(asked.load(Ordering::SeqCst), "something was logged");
    });
}

#[tokio::test]
async fn keys_are_kept_warm_without_requests() {
    let issuer = TestIssuer::start().await.unwrap();
    let clock = TestClock::starting_now();
    let builder = builder(issuer.url()).allow_http_loopback().clock(clock.clone());
    let server = builder.keep_warm().build().unwrap();
    server.ready(SOON).await.unwrap();
    clock.advance(Duration::from_secs(250));
    // The timer looks every few seconds of real time.
    for _ in 0..150 {
        if issuer.counts().jwks == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(issuer.counts().jwks, 2, "refreshed without a request");
    assert_eq!(server.health().issuers[0].keys, KeyStage::Fresh);
}

#[test]
fn staleness_is_bounded_by_a_day() {
    let build = |hours: u64| {
        let builder = builder("https://as.example.com");
        builder.stale_if_error(Duration::from_secs(hours * 3_600)).build()
    };
    assert!(build(24).is_ok());
    assert!(build(0).is_ok());
    let error = build(25).unwrap_err().to_string();
    assert!(error.contains("stale_if_error"), "{error}");
}

#[tokio::test]
async fn the_hour_of_staleness_can_be_set() {
    let issuer = TestIssuer::start().await.unwrap();
    let clock = TestClock::starting_now();
    let builder = ResourceServer::builder().issuer(issuer.url()).audience(AUDIENCE);
    let builder = builder.allow_http_loopback().clock(clock.clone());
    let server = builder.stale_if_error(Duration::from_secs(600)).build().unwrap();
    let api = api(server.layer());
    let token = issuer.token().expires_in(86_400).sign();
    api.bearer(&token).await.assert_ok("fetched");
    issuer.stop();
    clock.advance(Duration::from_secs(300 + 599));
    api.bearer(&token).await.assert_ok("stale");
    clock.advance(Duration::from_secs(2));
    api.bearer(&token).await.assert_unavailable("expired");
}
