//! Who is trusted, and how that changes: reload, tenants by a resolver, tenants by a template.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{AUDIENCE, Counted, ISSUER, api, builder, issuer, trusting};
use tower_resource_server::clock::TestClock;
use tower_resource_server::issuer::{IssuerResolver, SourceError};
use tower_resource_server::keys::{Algorithm, FetchedKeys, KeySource};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

const OTHER: &str = "https://as2.example.com";

/// `&str`, `String`, `&String` and an `Issuer` say the same.
#[test]
fn a_name_stands_for_an_issuer_in_each_type_of_text() {
    let name = ISSUER.to_owned();
    let issuers: [Issuer; 4] = [ISSUER.into(), (&name).into(), name.into(), Issuer::new(ISSUER)];
    let shown = issuers.map(|issuer| format!("{issuer:?}"));
    assert!(shown.iter().all(|one| *one == shown[0]), "{shown:#?}");
    assert_ne!(shown[0], format!("{:?}", Issuer::new("https://other.example.com")));
}

#[tokio::test]
async fn a_removed_issuer_is_refused_with_the_next_request() {
    let (first, second) = (issuer(), TestIssuer::in_process(OTHER));
    let server = builder(trusting(&first)).issuer(trusting(&second)).build().unwrap();
    let api = api(server.layer());
    api.bearer(&first.token().sign()).await.assert_ok("trusted");
    api.bearer(&second.token().sign()).await.assert_ok("trusted");

    server.reload([trusting(&first)], [AUDIENCE]).unwrap();
    api.bearer(&first.token().sign()).await.assert_ok("still trusted");
    api.bearer(&second.token().sign()).await.assert_invalid_token("removed");

    server.reload([trusting(&second)], [AUDIENCE]).unwrap();
    api.bearer(&first.token().sign()).await.assert_invalid_token("removed");
    api.bearer(&second.token().sign()).await.assert_ok("trusted again");
}

#[tokio::test]
async fn audiences_are_replaced_with_the_issuers() {
    let issuer = issuer();
    let server = support::server(&issuer);
    let api = api(server.layer());
    let other = "https://api2.example.com";
    api.bearer(&issuer.token().audience(other).sign()).await.assert_invalid_token("foreign");

    server.reload([trusting(&issuer)], [other]).unwrap();
    api.bearer(&issuer.token().audience(other).sign()).await.assert_ok("ours now");
    api.bearer(&issuer.token().sign()).await.assert_invalid_token("foreign now");
}

#[tokio::test]
async fn a_reload_that_cannot_be_changes_nothing() {
    let issuer = issuer();
    let server = support::server(&issuer);
    let none: [Issuer; 0] = [];
    assert!(server.reload(none, [AUDIENCE]).is_err());
    assert!(server.reload([trusting(&issuer)], [""]).is_err());
    assert!(server.reload([trusting(&issuer), trusting(&issuer)], [AUDIENCE]).is_err());
    let error = server.reload([Issuer::new("http://as.example.com")], [""; 0]).unwrap_err();
    assert!(error.problems().len() >= 2, "{error}");
    api(server.layer()).bearer(&issuer.token().sign()).await.assert_ok("as before");
}

#[cfg(feature = "http-client")]
#[tokio::test]
async fn an_issuer_that_stays_keeps_its_keys_through_a_reload() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = builder(issuer.url()).allow_http_loopback().build().unwrap();
    let api = api(server.layer());
    api.bearer(&issuer.token().sign()).await.assert_ok("fetched");
    issuer.stop();
    server.reload([Issuer::new(issuer.url())], [AUDIENCE]).unwrap();
    api.bearer(&issuer.token().sign()).await.assert_ok("keys at hand");

    // From another place, they have to be fetched.
    server.reload([Issuer::new(issuer.url()).jwks_uri(issuer.jwks_uri())], [AUDIENCE]).unwrap();
    api.bearer(&issuer.token().sign()).await.assert_unavailable("keys from elsewhere");
}

#[cfg(feature = "http-client")]
#[tokio::test]
async fn a_request_that_waits_is_judged_by_what_is_trusted_afterwards() {
    use futures::FutureExt as _;
    use tower_resource_server::test_issuer::{Endpoint, Fault};

    let issuer = TestIssuer::start().await.unwrap();
    let slow = Fault::Slow(Duration::from_millis(300));
    issuer.set_fault(Endpoint::Jwks, slow);
    let server = builder(issuer.url()).allow_http_loopback().build().unwrap();
    let api = api(server.layer());
    let token = issuer.token().sign();
    let mut waiting = Box::pin(api.bearer(&token));
    assert!((&mut waiting).now_or_never().is_none());
    let other = TestIssuer::in_process(OTHER);
    server.reload([trusting(&other)], [AUDIENCE]).unwrap();
    waiting.await.assert_invalid_token("removed while it waited");
}

/// Resolves `https://t<n>.example.com`, each an issuer in process, and counts what it is asked.
struct Directory {
    tenants: Vec<TestIssuer>,
    asked: Arc<AtomicUsize>,
}

impl IssuerResolver for Directory {
    fn allows(&self, iss: &str) -> bool {
        let rest = iss.strip_prefix("https://t").and_then(|rest| rest.strip_suffix(".example.com"));
        let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        rest.is_some_and(|tenant| tenant.bytes().all(is_label))
    }

    async fn resolve(&self, iss: &str) -> Result<Option<Issuer>, SourceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if iss.contains("down") {
            return Err(SourceError::new("the directory is down"));
        }
        if iss.contains("wrong") {
            return Ok(Some(trusting(&self.tenants[0])));
        }
        // Signed by the tenant's own keys, and called what an issuer of the API is called.
        if let Some(name) = iss.strip_prefix("https://t-as-").and(Some(ISSUER)) {
            return Ok(Some(Issuer::new(name).jwks(self.tenants[0].jwks()).alias(iss)));
        }
        if iss.contains("both") {
            return Ok(Some(Issuer::new(iss).jwks(self.tenants[0].jwks()).alias(ISSUER)));
        }
        if iss.contains("panic") {
            panic!("a bug of the directory");
        }
        Ok(self.tenants.iter().find(|tenant| tenant.url() == iss).map(trusting))
    }
}

fn platform(tenants: usize) -> (Vec<TestIssuer>, Arc<AtomicUsize>, ResourceServer) {
    platform_with(tenants, TestClock::starting_now())
}

fn platform_with(
    tenants: usize,
    clock: TestClock,
) -> (Vec<TestIssuer>, Arc<AtomicUsize>, ResourceServer) {
    let tenants: Vec<_> = (0..tenants)
        .map(|n| TestIssuer::in_process(&format!("https://t{n}.example.com")))
        .collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let directory = Directory { tenants: tenants.clone(), asked: Arc::clone(&asked) };
    let builder = ResourceServer::builder().issuer_resolver(directory).audience(AUDIENCE);
    (tenants, asked, builder.clock(clock).build().unwrap())
}

#[tokio::test]
async fn a_tenant_is_resolved_once_and_judged_by_its_own_keys() {
    let (tenants, asked, server) = platform(2);
    let api = api(server.layer());
    let reply = api.bearer(&tenants[0].token().sign()).await;
    reply.assert_ok("resolved");
    assert_eq!(reply.json()["iss"], tenants[0].url());
    api.bearer(&tenants[0].token().sign()).await.assert_ok("at hand");
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    // Another tenant's key does not sign for this one, even under its kid.
    let forged = tenants[1].token().claim("iss", tenants[0].url()).sign();
    api.bearer(&forged).await.assert_invalid_token("key of another tenant");
    api.bearer(&tenants[1].token().sign()).await.assert_ok("the other tenant itself");
}

#[tokio::test]
async fn the_rule_is_asked_before_anything_is() {
    let (tenants, asked, server) = platform(1);
    let api = api(server.layer());
    let foreign = tenants[0].token().claim("iss", "https://evil.example.net").sign();
    api.bearer(&foreign).await.assert_invalid_token("not allowed");
    assert_eq!(asked.load(Ordering::SeqCst), 0);

    let absent = tenants[0].token().claim("iss", "https://t999.example.com").sign();
    api.bearer(&absent).await.assert_invalid_token("no such tenant");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_directory_that_fails_is_our_outage() {
    let (tenants, _, server) = platform(1);
    let api = api(server.layer());
    for name in ["down", "wrong", "panic"] {
        let iss = format!("https://t-{name}.example.com");
        let token = tenants[0].token().claim("iss", iss).sign();
        api.bearer(&token).await.assert_unavailable(name);
    }
    api.bearer(&tenants[0].token().sign()).await.assert_ok("another tenant");
}

#[tokio::test]
async fn a_resolver_gives_no_tenant_the_name_of_a_configured_issuer() {
    let own = issuer();
    for (name, configured, good) in [
        ("its name", Some(trusting(&own)), false),
        ("its alias", Some(trusting(&TestIssuer::in_process(OTHER)).alias(ISSUER)), false),
        ("a name of nobody's", None, true),
    ] {
        let (tenants, _, server) = platform(1);
        server.reload(configured, [AUDIENCE]).unwrap();
        let api = api(server.layer());
        for iss in ["https://t-as-own.example.com", "https://t-both.example.com"] {
            let reply = api.bearer(&tenants[0].token().claim("iss", iss).sign()).await;
            if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
        }
    }
}

#[tokio::test]
async fn requests_for_one_tenant_ask_once() {
    let (tenants, asked, server) = platform(1);
    let api = api(server.layer());
    let token = tenants[0].token().sign();
    let requests = (0..200).map(|_| api.bearer(&token));
    for reply in futures::future::join_all(requests).await {
        reply.assert_ok("resolved");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn made_up_tenants_do_not_push_out_real_ones() {
    let clock = TestClock::starting_now();
    let (tenants, asked, server) = platform_with(140, clock.clone());
    let api = api(server.layer());
    let (real, made_up) = tenants.split_at(99);
    let resolve = async |issuer: &TestIssuer, genuine: bool| {
        // The budget is one more name each 100 ms.
        clock.advance(Duration::from_millis(100));
        if genuine {
            api.bearer(&issuer.token().sign()).await.assert_ok("a tenant");
        } else {
            let forged = issuer.token().header("kid", "forged").sign();
            api.bearer(&forged).await.assert_invalid_token("a forged token");
        }
    };
    for tenant in real {
        resolve(tenant, true).await;
    }
    for tenant in made_up {
        resolve(tenant, false).await;
    }
    let before = asked.load(Ordering::SeqCst);
    for tenant in real {
        api.bearer(&tenant.token().sign()).await.assert_ok("still at hand");
    }
    assert_eq!(asked.load(Ordering::SeqCst), before, "nobody had to be resolved again");
}

#[tokio::test]
async fn a_flood_of_names_asks_no_more_than_the_budget() {
    let clock = TestClock::starting_now();
    let (tenants, asked, server) = platform_with(1, clock.clone());
    let api = api(server.layer());
    api.bearer(&tenants[0].token().sign()).await.assert_ok("resolved");
    let tokens: Vec<_> = (0..200)
        .map(|n| {
            let iss = format!("https://t-flood-{n}.example.com");
            tenants[0].token().claim("iss", iss).sign()
        })
        .collect();
    let requests = tokens.iter().map(|token| api.bearer(token));
    for (n, reply) in futures::future::join_all(requests).await.iter().enumerate() {
        // A name that can't be asked for now is not known to be wrong.
        if n < 49 { reply.assert_invalid_token("asked") } else { reply.assert_unavailable("spent") }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 50);
    api.bearer(&tenants[0].token().sign()).await.assert_ok("at hand");
    clock.advance(Duration::from_millis(100));
    let iss = "https://t-late.example.com";
    let reply = api.bearer(&tenants[0].token().claim("iss", iss).sign()).await;
    reply.assert_invalid_token("one more");
}

#[tokio::test]
async fn tenants_survive_a_reload() {
    let (tenants, _, server) = platform(1);
    let api = api(server.layer());
    api.bearer(&tenants[0].token().sign()).await.assert_ok("resolved");
    let own = issuer();
    server.reload([trusting(&own)], [AUDIENCE]).unwrap();
    api.bearer(&own.token().sign()).await.assert_ok("configured");
    api.bearer(&tenants[0].token().sign()).await.assert_ok("resolved again");
}

/// A source whose server takes its time.
struct Slow(Duration, String);

impl KeySource for Slow {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        tokio::time::sleep(self.0).await;
        Ok(FetchedKeys::new(self.1.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_keys_over_a_reload_waits_for_the_new_ones() {
    let issuer = issuer();
    let from = |seconds| {
        let keys = Slow(Duration::from_secs(seconds), issuer.jwks());
        Issuer::new(ISSUER).key_source(keys)
    };
    for (name, next, good) in [
        ("a place that answers", Some(from(1)), true),
        ("keys in code", Some(trusting(&issuer)), true),
        ("a place that hangs as well", Some(from(100)), false),
        ("no reload", None, false),
    ] {
        let server = builder(from(100)).build().unwrap();
        let api = api(server.layer());
        let token = issuer.token().sign();
        let mut request = Box::pin(api.bearer(&token));
        assert!(futures::poll!(request.as_mut()).is_pending(), "{name}");
        if let Some(next) = next {
            server.reload([next], [AUDIENCE]).unwrap();
        }
        let reply = request.await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
}

/// A configuration that is read again and again may name a seed that is too old by now.
#[tokio::test(start_paused = true)]
async fn a_seed_that_cannot_be_takes_no_fetch_away() {
    use std::sync::atomic::AtomicBool;
    use tower_resource_server::keys::KeySeed;
    use tower_resource_server::observe::Event;

    let issuer = issuer();
    let old = serde_json::json!({
        "version": 1, "issuer": ISSUER, "fetched_at": 1, "freshness": 300,
        "document": issuer.jwks(),
    });
    let old = KeySeed::from_json(old.to_string().as_bytes()).unwrap();
    let from = Issuer::new(ISSUER).key_source(Slow(Duration::from_secs(2), issuer.jwks()));
    for (name, seed) in [("no seed", None), ("a seed that is too old", Some(old))] {
        let next = || match &seed {
            Some(seed) => from.clone().seed(seed.clone()),
            None => from.clone(),
        };
        let told = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&told);
        let server = builder(from.clone()).on_event(move |event| {
            if matches!(event, Event::SeedIgnored { .. }) {
                note.store(true, Ordering::SeqCst);
            }
        });
        let server = server.build().unwrap();
        let api = api(server.layer());
        let token = issuer.token().sign();
        let reloads = async {
            loop {
                tokio::time::sleep(Duration::from_millis(900)).await;
                server.reload([next()], [AUDIENCE]).unwrap();
            }
        };
        tokio::select! {
            reply = api.bearer(&token) => reply.assert_ok(name),
            () = reloads => {}
        }
        assert_eq!(told.load(Ordering::SeqCst), seed.is_some(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_has_one_deadline_through_however_many_reloads() {
    let issuer = issuer();
    let hangs = || {
        let keys = Slow(Duration::from_secs(1_000), issuer.jwks());
        Issuer::new(ISSUER).key_source(keys)
    };
    let server = builder(hangs()).build().unwrap();
    let api = api(server.layer());
    let start = tokio::time::Instant::now();
    let token = issuer.token().sign();
    let reloads = async {
        loop {
            tokio::time::sleep(Duration::from_millis(900)).await;
            server.reload([hangs()], [AUDIENCE]).unwrap();
        }
    };
    tokio::select! {
        reply = api.bearer(&token) => reply.assert_unavailable("in the end"),
        () = reloads => {}
    }
    assert!(start.elapsed() <= Duration::from_millis(6_100), "{:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_secs(3), "it asked again");
}

#[cfg(feature = "http-client")]
#[tokio::test]
async fn a_reload_with_a_seed_uses_it_where_no_keys_are_at_hand() {
    let issuer = TestIssuer::start().await.unwrap();
    let trusted = || Issuer::new(issuer.url());
    let start = || builder(trusted()).allow_http_loopback().build().unwrap();
    let token = issuer.token().sign();
    let server = start();
    api(server.layer()).bearer(&token).await.assert_ok("fetched");
    let seed = server.export_keys().remove(0);
    issuer.stop();
    let cold = start();
    api(cold.layer()).bearer(&token).await.assert_unavailable("no keys");
    cold.reload([trusted()], [AUDIENCE]).unwrap();
    api(cold.layer()).bearer(&token).await.assert_unavailable("no seed");
    cold.reload([trusted().seed(seed.clone())], [AUDIENCE]).unwrap();
    let reply = support::at_once(api(cold.layer()).bearer(&token));
    reply.expect("it waits").assert_ok("seeded");
    // A seed that can't be is none, and takes nothing away.
    let stranger = TestIssuer::in_process(issuer.url());
    let text = String::from_utf8(seed.to_json()).unwrap().replace("key-1", "key-2");
    let other = tower_resource_server::keys::KeySeed::from_json(text.as_bytes()).unwrap();
    server.reload([trusted().seed(other)], [AUDIENCE]).unwrap();
    api(server.layer()).bearer(&token).await.assert_ok("keys at hand are better than a seed");
    api(server.layer()).bearer(&stranger.token().sign()).await.assert_invalid_token("a stranger");
}

#[cfg(feature = "http-client")]
#[tokio::test]
async fn a_reload_that_changes_algorithms_alone_keeps_the_good_keys() {
    use tower_resource_server::keys::Algorithm;

    let issuer = TestIssuer::start().await.unwrap();
    let first = issuer.token().sign();
    issuer.add_key(Algorithm::RS256);
    let second = issuer.token().sign();
    let server = builder(issuer.url()).allow_http_loopback().build().unwrap();
    let api = api(server.layer());
    api.bearer(&first).await.assert_ok("fetched");
    api.bearer(&second).await.assert_ok("fetched");
    issuer.stop();
    let only = |algorithm| {
        let issuer = Issuer::new(issuer.url()).algorithms([algorithm]);
        server.reload([issuer], [AUDIENCE]).unwrap();
    };
    for (algorithm, good, bad) in [
        (Algorithm::ES256, &first, &second),
        (Algorithm::RS256, &second, &first),
        (Algorithm::ES256, &first, &second),
    ] {
        only(algorithm);
        support::at_once(api.bearer(good)).expect("it waits").assert_ok("kept");
        api.bearer(bad).await.assert_invalid_token("not accepted any more");
    }
}

/// Counts what is fetched for each tenant.
#[derive(Clone, Default)]
struct Fetches(Arc<std::sync::Mutex<std::collections::BTreeMap<String, usize>>>);

struct Of(Fetches, String, String);

/// What the source answers where nothing can be fetched.
const DOWN: &str = "down";

impl KeySource for Of {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        if self.2 == DOWN {
            return Err(SourceError::new(DOWN));
        }
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += 1;
        Ok(FetchedKeys::new(self.2.clone()))
    }
}

struct Warm {
    fetches: Fetches,
    jwks: String,
    forbidden: Arc<std::sync::Mutex<String>>,
}

impl IssuerResolver for Warm {
    fn allows(&self, iss: &str) -> bool {
        iss.starts_with("https://t-") && *self.forbidden.lock().unwrap() != iss
    }

    async fn resolve(&self, iss: &str) -> Result<Option<Issuer>, SourceError> {
        let keys = Of(self.fetches.clone(), iss.to_owned(), self.jwks.clone());
        Ok(Some(Issuer::new(iss).key_source(keys)))
    }
}

/// A directory whose next answer names another place for the keys.
struct Moving(Fetches, std::sync::Mutex<Vec<String>>);

impl IssuerResolver for Moving {
    fn allows(&self, iss: &str) -> bool {
        iss == ISSUER
    }

    async fn resolve(&self, iss: &str) -> Result<Option<Issuer>, SourceError> {
        let keys = Of(self.0.clone(), iss.to_owned(), self.1.lock().unwrap().remove(0));
        Ok(Some(Issuer::new(iss).key_source(keys)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_keys_have_moved_is_replaced_when_they_are_at_hand() {
    let (issuer, clock) = (issuer(), TestClock::starting_now());
    let old = issuer.token().expires_in(100_000).sign();
    let before = issuer.jwks();
    issuer.rotate();
    let new = issuer.token().expires_in(100_000).sign();
    let places = vec![before, DOWN.to_owned(), issuer.jwks()];
    let directory = Moving(Fetches::default(), std::sync::Mutex::new(places));
    let builder = ResourceServer::builder().issuer_resolver(directory).audience(AUDIENCE);
    let server = builder.clock(clock.clone()).build().unwrap();
    let api = api(server.layer());
    api.bearer(&old).await.assert_ok("resolved");
    for (name, seconds) in [("another place, which is down", 600), ("tried again soon", 61)] {
        clock.advance(Duration::from_secs(seconds));
        support::at_once(api.bearer(&old)).expect(name).assert_ok(name);
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    support::at_once(api.bearer(&new)).expect("it waits").assert_ok("the keys of the third place");
    api.bearer(&old).await.assert_invalid_token("which has no others");
}

#[tokio::test(start_paused = true)]
async fn keep_warm_is_for_proven_tenants_of_the_present_configuration() {
    let (issuer, clock) = (issuer(), TestClock::starting_now());
    let (fetches, forbidden) = (Fetches::default(), Arc::default());
    let directory =
        Warm { fetches: fetches.clone(), jwks: issuer.jwks(), forbidden: Arc::clone(&forbidden) };
    let builder = ResourceServer::builder().issuer_resolver(directory).audience(AUDIENCE);
    let server = builder.clock(clock.clone()).keep_warm().build().unwrap();
    let api = api(server.layer());
    let iss = |name: &str| format!("https://t-{name}.example.com");
    let token = |name: &str| issuer.token().claim("iss", iss(name)).expires_in(1_000_000);
    for name in ["a", "b"] {
        api.bearer(&token(name).sign()).await.assert_ok(name);
    }
    for n in 0..20 {
        let made_up = token(&format!("made-up-{n}")).header("kid", "forged").sign();
        api.bearer(&made_up).await.assert_invalid_token("a stranger's");
    }
    let since = async |minutes: u32| {
        let before = fetches.0.lock().unwrap().clone();
        for _ in 0..minutes * 6 {
            clock.advance(Duration::from_secs(10));
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        let after = fetches.0.lock().unwrap().clone();
        let more = after.into_iter().map(|(name, n)| {
            let before = before.get(&name).copied().unwrap_or_default();
            (name, n - before)
        });
        let mut fetched = Vec::new();
        for (name, n) in more.filter(|(_, n)| *n > 0) {
            // At 70 to 80 % of 5 minutes.
            assert!((2..=3).contains(&n), "{name}: {n} fetches");
            fetched.push(name);
        }
        fetched
    };
    assert_eq!(since(9).await, [iss("a"), iss("b")]);
    server.reload([] as [Issuer; 0], [AUDIENCE]).unwrap();
    assert_eq!(since(9).await, [iss("a"), iss("b")], "over a reload");
    *forbidden.lock().unwrap() = iss("a");
    server.reload([] as [Issuer; 0], [AUDIENCE]).unwrap();
    assert_eq!(since(9).await, [iss("b")], "the other is not allowed any more");
    api.bearer(&token("b").sign()).await.assert_ok("and served");
}

/// A platform by a test's clock, whose tenants are looked up as tests want them.
struct Platform {
    clock: TestClock,
    server: ResourceServer,
    directory: Arc<Listed>,
    key: TestIssuer,
}

/// A directory of tenants that all sign with one issuer's keys, named `https://<label>.example.com`.
struct Listed {
    jwks: String,
    /// Names that are asked about, in order.
    asked: std::sync::Mutex<Vec<String>>,
    gone: std::sync::Mutex<std::collections::HashSet<String>>,
    fails: std::sync::atomic::AtomicBool,
    forbidden: std::sync::Mutex<std::collections::HashSet<String>>,
    slow: std::sync::Mutex<Duration>,
}

/// What the server gets of it.
struct Shown(Arc<Listed>);

impl IssuerResolver for Shown {
    fn allows(&self, iss: &str) -> bool {
        let rest = iss.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".example.com"));
        let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        rest.is_some_and(|label| label.bytes().all(is_label))
            && !self.0.forbidden.lock().unwrap().contains(iss)
    }

    async fn resolve(&self, iss: &str) -> Result<Option<Issuer>, SourceError> {
        self.0.asked.lock().unwrap().push(iss.to_owned());
        let slow = *self.0.slow.lock().unwrap();
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(SourceError::new("the directory is down"));
        }
        if iss.contains("made-up") || self.0.gone.lock().unwrap().contains(iss) {
            return Ok(None);
        }
        Ok(Some(Issuer::new(iss).jwks(self.0.jwks.clone())))
    }
}

impl Platform {
    fn new(most: Option<usize>) -> Self {
        let (clock, key) = (TestClock::starting_now(), issuer());
        let directory = Arc::new(Listed {
            jwks: key.jwks(),
            asked: Default::default(),
            gone: Default::default(),
            fails: Default::default(),
            forbidden: Default::default(),
            slow: Default::default(),
        });
        let mut builder = ResourceServer::builder()
            .issuer_resolver(Shown(Arc::clone(&directory)))
            .audience(AUDIENCE)
            .clock(clock.clone());
        if let Some(most) = most {
            builder = builder.max_tenants(most);
        }
        Self { clock, server: builder.build().unwrap(), directory, key }
    }

    fn token(&self, label: &str) -> String {
        let iss = format!("https://{label}.example.com");
        self.key.token().claim("iss", iss).expires_in(1_000_000).sign()
    }

    fn forged(&self, label: &str) -> String {
        let iss = format!("https://{label}.example.com");
        self.key.token().claim("iss", iss).header("kid", "forged").sign()
    }

    async fn ask(&self, token: &str) -> support::Reply {
        api(self.server.layer()).bearer(token).await
    }

    fn pass(&self, milliseconds: u64) {
        self.clock.advance(Duration::from_millis(milliseconds));
    }

    fn asked(&self) -> usize {
        self.directory.asked.lock().unwrap().len()
    }

    fn reload(&self) {
        self.server.reload([] as [Issuer; 0], [AUDIENCE]).unwrap();
    }

    /// Lets questions in the background come to their end.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_thousand_tenants_see_no_outage_after_their_first_request_nor_over_a_reload() {
    let platform = Platform::new(None);
    let tokens: Vec<_> = (0..1_000).map(|n| platform.token(&format!("t{n}"))).collect();
    for (n, token) in tokens.iter().enumerate() {
        platform.pass(100);
        platform.ask(token).await.assert_ok(&format!("warm-up of {n}"));
    }
    assert_eq!(platform.asked(), 1_000);
    for round in 0..3 {
        if round == 1 {
            platform.reload();
        }
        for (n, token) in tokens.iter().enumerate() {
            let name = format!("tenant {n}, round {round}");
            support::at_once(platform.ask(token)).expect(&name).assert_ok(&name);
            platform.pass(3);
        }
    }
    assert_eq!(platform.asked(), 1_000, "nobody had to be resolved anew");
    assert_eq!(platform.server.health().tenants.len(), 1_000);
    // One more than there is room for: the one that was used longest ago goes.
    platform.ask(&platform.token("one-more")).await.assert_ok("one more");
    platform.pass(100);
    platform.ask(&tokens[0]).await.assert_ok("resolved again");
    assert_eq!(platform.asked(), 1_002);
    support::at_once(platform.ask(&tokens[999])).expect("it waits").assert_ok("kept");
}

#[tokio::test]
async fn a_deleted_tenant_that_is_asked_for_all_the_time_delays_nobody() {
    for (label, refused) in [("made-up", 401), ("down", 503)] {
        let platform = Platform::new(None);
        platform.pass(1_000_000);
        let dead = platform.token(label);
        let mut newcomers = 0;
        for tick in 0..2_000 {
            platform.pass(12);
            platform.directory.fails.store(refused == 503, Ordering::SeqCst);
            assert_eq!(platform.ask(&dead).await.status.as_u16(), refused, "{tick}");
            platform.directory.fails.store(false, Ordering::SeqCst);
            if tick % 100 == 0 {
                let new = platform.token(&format!("new-{newcomers}"));
                platform.ask(&new).await.assert_ok(label);
                newcomers += 1;
            }
        }
        // 24 s: one question each 10 s about a tenant that is not there, and one each second where
        // the directory has no answer.
        let asked = platform.asked() - newcomers;
        let expected = if refused == 401 { 3..=3 } else { 23..=25 };
        assert!(expected.contains(&asked), "{label}: {asked}");
    }
}

#[tokio::test]
async fn a_tenant_that_was_just_made_is_found_within_ten_seconds() {
    let platform = Platform::new(None);
    let iss = "https://new.example.com".to_owned();
    platform.directory.gone.lock().unwrap().insert(iss.clone());
    let token = platform.token("new");
    platform.ask(&token).await.assert_invalid_token("not made yet");
    platform.directory.gone.lock().unwrap().remove(&iss);
    platform.pass(9_999);
    platform.ask(&token).await.assert_invalid_token("remembered");
    platform.pass(1);
    platform.ask(&token).await.assert_ok("made");
}

#[tokio::test]
async fn names_take_turns_in_their_order_and_nobody_is_refused_for_a_burst() {
    let platform = Platform::new(None);
    let layer = api(platform.server.layer());
    let tokens: Vec<_> = (0..60).map(|n| platform.token(&format!("n{n}"))).collect();
    // More requests than one for some, and 10 names more than the budget has.
    let requests = tokens.iter().chain(&tokens[..20]).map(|token| layer.bearer(token));
    let time = async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            platform.pass(100);
        }
    };
    let (replies, ()) = futures::join!(futures::future::join_all(requests), time);
    for (n, reply) in replies.iter().enumerate() {
        reply.assert_ok(&format!("request {n}"));
    }
    let asked = platform.directory.asked.lock().unwrap().clone();
    let expected: Vec<_> = (0..60).map(|n| format!("https://n{n}.example.com")).collect();
    assert_eq!(asked, expected, "each once, in order");
}

#[tokio::test]
async fn a_bounded_number_of_requests_waits_for_the_resolver() {
    let platform = Platform::new(None);
    *platform.directory.slow.lock().unwrap() = Duration::from_secs(3_600);
    let known = platform.token("known");
    let layer = api(platform.server.layer());
    let (mut waiting, mut refused) = (Vec::new(), 0);
    for n in 0..1_100 {
        let (layer, token) = (layer.clone(), platform.token(&format!("n{n}")));
        let mut request = Box::pin(async move { layer.bearer(&token).await });
        match futures::poll!(request.as_mut()) {
            std::task::Poll::Ready(reply) => {
                reply.assert_unavailable("one too many");
                refused += 1;
            }
            std::task::Poll::Pending => waiting.push(request),
        }
    }
    assert_eq!((waiting.len(), refused), (1_024, 76));
    drop(waiting);
    *platform.directory.slow.lock().unwrap() = Duration::ZERO;
    // Those who hang up make room; questions that never report make it, too, in time.
    platform.pass(7_000);
    platform.ask(&known).await.assert_ok("there is room again");
}

/// Neither idle tenants nor made-up names keep a newcomer from being served.
#[tokio::test]
async fn newcomers_and_proven_tenants_have_room_of_their_own() {
    let platform = Platform::new(Some(20));
    let proven: Vec<_> = (0..20).map(|n| platform.token(&format!("t{n}"))).collect();
    for token in &proven {
        platform.pass(100);
        platform.ask(token).await.assert_ok("proven");
    }
    // Real names of tenants, in tokens that a stranger made.
    for n in 0..100 {
        platform.pass(1_000);
        let forged = platform.forged(&format!("other-{n}"));
        platform.ask(&forged).await.assert_invalid_token("forged");
    }
    assert_eq!(platform.server.health().tenants.len(), 20 + 16);
    for token in &proven {
        support::at_once(platform.ask(token)).expect("it waits").assert_ok("kept");
    }
    let newcomer = platform.token("newcomer");
    for _ in 0..10 {
        platform.pass(100);
        platform.ask(&newcomer).await.assert_ok("a newcomer beside 20 idle ones");
    }
    // It is proven now, and the one that was idle longest has gone.
    let asked = platform.asked();
    for n in 100..200 {
        platform.pass(1_000);
        let forged = platform.forged(&format!("other-{n}"));
        platform.ask(&forged).await.assert_invalid_token("forged");
    }
    support::at_once(platform.ask(&newcomer)).expect("it waits").assert_ok("kept");
    assert_eq!(platform.asked(), asked + 100);
}

#[tokio::test]
async fn a_waiting_request_keeps_its_own_tenant() {
    let platform = Platform::new(Some(1));
    let layer = api(platform.server.layer());
    let tokens: Vec<_> = (0..45).map(|n| platform.token(&format!("t{n}"))).collect();
    let requests = tokens.iter().map(|token| layer.bearer(token));
    for (n, reply) in futures::future::join_all(requests).await.iter().enumerate() {
        reply.assert_ok(&format!("tenant {n}, with room for 1 and 16"));
    }
    assert_eq!(platform.asked(), 45);
    assert!(platform.server.health().tenants.len() <= 17);
}

/// What a directory says of one tenant, in turn, whose keys take their time; of others it has keys.
struct Crowded {
    jwks: String,
    says: Arc<std::sync::Mutex<Vec<Result<bool, SourceError>>>>,
}

/// Keys that come slowly.
struct Slowly(String);

impl KeySource for Slowly {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(FetchedKeys::new(self.0.clone()))
    }
}

impl IssuerResolver for Crowded {
    fn allows(&self, iss: &str) -> bool {
        iss.ends_with(".example.com")
    }

    async fn resolve(&self, iss: &str) -> Result<Option<Issuer>, SourceError> {
        let issuer = Issuer::new(iss);
        if iss == ISSUER {
            let source = Slowly(self.jwks.clone());
            let there = self.says.lock().unwrap().remove(0);
            there.map(|there| there.then(|| issuer.key_source(source)))
        } else {
            Ok(Some(issuer.jwks(self.jwks.clone())))
        }
    }
}

/// The tenant may have been known when the request came, and have to make room before it is proven.
#[tokio::test]
async fn a_request_that_waits_for_keys_keeps_its_own_tenant() {
    for (name, crowd) in [("alone", 0), ("in a crowd", 40)] {
        let (issuer, clock) = (issuer(), TestClock::starting_now());
        let says = vec![Ok(true), Err(SourceError::new("down"))];
        let says = Arc::new(std::sync::Mutex::new(says));
        let directory = Crowded { jwks: issuer.jwks(), says: Arc::clone(&says) };
        let builder = ResourceServer::builder().issuer_resolver(directory).audience(AUDIENCE);
        let server = builder.clock(clock.clone()).max_tenants(1).build().unwrap();
        let (first, second, others) =
            (api(server.layer()), api(server.layer()), api(server.layer()));
        let token = issuer.token().sign();
        let mut asking = Box::pin(first.bearer(&token));
        while server.health().tenants.is_empty() {
            assert!(futures::poll!(asking.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        let mut waiting = Box::pin(second.bearer(&token));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        // Its client hangs up.
        drop(asking);
        clock.advance(Duration::from_secs(1));
        for n in 0..crowd {
            let iss = format!("https://t{n}.example.com");
            let forged = issuer.token().claim("iss", iss).header("kid", "forged").sign();
            others.bearer(&forged).await.assert_invalid_token("forged");
        }
        let is_known = server.health().tenants.iter().any(|tenant| tenant.issuer == ISSUER);
        assert_eq!(is_known, crowd == 0, "{name}");
        waiting.await.assert_ok(name);
        assert_eq!(says.lock().unwrap().len(), 1, "{name}: asked about once");
        let again = api(server.layer());
        support::at_once(again.bearer(&token)).expect("it waits").assert_ok("proven");
    }
}

/// What a request waited for serves it no longer once the directory has said that it is gone.
#[tokio::test]
async fn a_tenant_that_is_gone_serves_no_request_that_waits() {
    for (name, there, status) in [("still there", true, 200), ("gone", false, 401)] {
        let (issuer, clock) = (issuer(), TestClock::starting_now());
        let says = Arc::new(std::sync::Mutex::new(vec![Ok(true), Ok(there)]));
        let directory = Crowded { jwks: issuer.jwks(), says: Arc::clone(&says) };
        let builder = ResourceServer::builder().issuer_resolver(directory).audience(AUDIENCE);
        let server = builder.clock(clock.clone()).build().unwrap();
        let (first, second, third) =
            (api(server.layer()), api(server.layer()), api(server.layer()));
        let token = issuer.token().expires_in(100_000).sign();
        let mut asking = Box::pin(first.bearer(&token));
        while server.health().tenants.is_empty() {
            assert!(futures::poll!(asking.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        let mut waiting = Box::pin(second.bearer(&token));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        clock.advance(Duration::from_secs(600));
        let mut last = Box::pin(third.bearer(&token));
        assert!(futures::poll!(last.as_mut()).is_pending());
        while !says.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let replies = futures::join!(asking, waiting, last);
        for reply in [replies.0, replies.1, replies.2] {
            assert_eq!(reply.status.as_u16(), status, "{name}");
        }
    }
}

/// That a tenant is gone is found out however many names strangers make up.
#[tokio::test]
async fn a_flood_of_names_keeps_no_tenant_from_being_resolved_again() {
    for (name, flood) in [("alone", 0), ("in a flood", 200)] {
        let platform = Platform::new(None);
        let layer = api(platform.server.layer());
        let own = platform.token("own");
        platform.ask(&own).await.assert_ok(name);
        platform.directory.gone.lock().unwrap().insert("https://own.example.com".to_owned());
        platform.pass(600_000);
        let tokens: Vec<_> = (0..flood).map(|n| platform.token(&format!("made-up-{n}"))).collect();
        let mut requests: Vec<_> =
            tokens.iter().map(|token| Box::pin(layer.bearer(token))).collect();
        for request in &mut requests {
            assert!(futures::poll!(request.as_mut()).is_pending());
        }
        support::at_once(platform.ask(&own)).expect("it waits").assert_ok("known");
        platform.settle().await;
        platform.ask(&own).await.assert_invalid_token(&format!("{name}: gone"));
        // A newcomer waits for its turn behind the flood.
        assert_eq!(platform.asked(), 2 + flood.min(50), "{name}");
    }
}

/// Allows all names of one host, and says that each is there.
struct Paths(String, Arc<AtomicUsize>);

impl IssuerResolver for Paths {
    fn allows(&self, iss: &str) -> bool {
        self.1.fetch_add(1, Ordering::SeqCst);
        iss.starts_with("https://as.example.com/")
    }

    async fn resolve(&self, iss: &str) -> Result<Option<Issuer>, SourceError> {
        Ok(Some(Issuer::new(iss).jwks(self.0.clone())))
    }
}

#[tokio::test]
async fn a_name_of_more_than_a_kibibyte_is_not_asked_about() {
    let (issuer, asked) = (issuer(), Arc::default());
    let directory = Paths(issuer.jwks(), Arc::clone(&asked));
    let builder = ResourceServer::builder().issuer_resolver(directory).audience(AUDIENCE);
    let api = api(builder.build().unwrap().layer());
    let token = |length: usize| {
        let iss = format!("{:a<length$}", "https://as.example.com/");
        issuer.token().claim("iss", iss).sign()
    };
    api.bearer(&token(1_024)).await.assert_ok("at the limit");
    let before = asked.load(Ordering::SeqCst);
    api.bearer(&token(1_025)).await.assert_invalid_token("beyond it");
    assert_eq!(asked.load(Ordering::SeqCst), before, "the rule is not asked");
}

#[tokio::test]
async fn a_reload_drops_at_once_what_is_not_allowed_any_more() {
    let platform = Platform::new(None);
    let (own, other) = (platform.token("own"), platform.token("other"));
    let unproven = platform.forged("unproven");
    platform.ask(&own).await.assert_ok("resolved");
    platform.ask(&other).await.assert_ok("resolved");
    platform.ask(&unproven).await.assert_invalid_token("resolved");
    let names = || {
        let mut names: Vec<_> =
            platform.server.health().tenants.into_iter().map(|tenant| tenant.issuer).collect();
        names.sort();
        names
    };
    assert_eq!(names().len(), 3);
    platform.reload();
    assert_eq!(names(), ["https://other.example.com", "https://own.example.com"], "the proven");

    // The rule forbids one.
    platform.directory.forbidden.lock().unwrap().insert("https://own.example.com".to_owned());
    platform.reload();
    assert_eq!(names(), ["https://other.example.com"], "without a request for it");
    platform.ask(&own).await.assert_invalid_token("forbidden");
    // Without a reload it goes with the first request.
    *platform.directory.forbidden.lock().unwrap() = ["https://other.example.com".to_owned()].into();
    platform.ask(&other).await.assert_invalid_token("forbidden");
    assert!(names().is_empty());
    platform.directory.forbidden.lock().unwrap().clear();
    platform.ask(&other).await.assert_ok("allowed again");
    platform.ask(&other).await.assert_ok("at hand");
    // The configuration has one of the name now, with other keys.
    let configured = TestIssuer::in_process("https://other.example.com");
    platform.server.reload([trusting(&configured)], [AUDIENCE]).unwrap();
    assert!(names().is_empty());
    platform.ask(&other).await.assert_invalid_token("not the keys of the configured issuer");
    // Another audience is that of tenants, too.
    platform.server.reload([] as [Issuer; 0], ["https://api2.example.com"]).unwrap();
    platform.ask(&other).await.assert_invalid_token("another audience");
}

#[tokio::test]
async fn a_tenant_is_resolved_again_in_the_background_after_ten_minutes() {
    let platform = Platform::new(None);
    let (own, iss) = (platform.token("own"), "https://own.example.com".to_owned());
    platform.ask(&own).await.assert_ok("resolved");
    let again = async |expected: usize| {
        support::at_once(platform.ask(&own)).expect("it waits").assert_ok("at hand");
        platform.settle().await;
        assert_eq!(platform.asked(), expected);
    };
    platform.pass(539_000);
    again(1).await;
    platform.pass(61_000);
    again(2).await;
    platform.pass(1_000);
    again(2).await;
    // An error leaves the tenant as it is, and is not asked for at every request.
    platform.directory.fails.store(true, Ordering::SeqCst);
    platform.pass(600_000);
    again(3).await;
    platform.pass(59_000);
    again(3).await;
    platform.pass(1_000);
    again(4).await;
    // It comes back with other keys, or is gone.
    platform.directory.fails.store(false, Ordering::SeqCst);
    platform.pass(60_000);
    again(5).await;
    platform.directory.gone.lock().unwrap().insert(iss);
    platform.pass(600_000);
    again(6).await;
    platform.ask(&own).await.assert_invalid_token("no such tenant any more");
    assert!(platform.server.health().tenants.is_empty());
}

#[test]
fn a_question_on_a_runtime_that_is_not_driven_counts_as_ended_in_time() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let platform = Platform::new(None);
    *platform.directory.slow.lock().unwrap() = Duration::from_secs(3_600);
    let (first, second) = (runtime(), runtime());
    let token = platform.token("own");
    first.block_on(async {
        let mut request = Box::pin(platform.ask(&token));
        assert!(futures::poll!(request.as_mut()).is_pending());
        platform.settle().await;
    });
    assert_eq!(platform.asked(), 1);
    *platform.directory.slow.lock().unwrap() = Duration::ZERO;
    platform.pass(5_999);
    second.block_on(async {
        let mut request = Box::pin(platform.ask(&token));
        assert!(futures::poll!(request.as_mut()).is_pending(), "it may still report");
        platform.pass(1);
        request.await.assert_unavailable("it waited for the other");
        platform.ask(&token).await.assert_ok("asked again");
    });
    assert_eq!(platform.asked(), 2);
}

#[test]
fn on_a_runtime_that_is_gone_a_question_ends() {
    let platform = Platform::new(None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let token = platform.token("own");
    {
        let _gone = handle.enter();
        let reply = support::at_once(platform.ask(&token));
        reply.expect("it waits for nothing").assert_unavailable("nobody could ask");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { platform.ask(&token).await.assert_ok("at once") });
}

#[test]
fn a_question_that_dies_with_its_runtime_is_asked_again() {
    let platform = Platform::new(None);
    *platform.directory.slow.lock().unwrap() = Duration::from_secs(3_600);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let token = platform.token("own");
    let first = runtime();
    first.block_on(async {
        let mut request = Box::pin(platform.ask(&token));
        assert!(futures::poll!(request.as_mut()).is_pending());
        platform.settle().await;
    });
    drop(first);
    *platform.directory.slow.lock().unwrap() = Duration::ZERO;
    runtime().block_on(async { platform.ask(&token).await.assert_ok("at once") });
}

#[tokio::test]
async fn a_request_that_waits_for_a_resolver_over_a_reload_asks_again() {
    let platform = Platform::new(None);
    *platform.directory.slow.lock().unwrap() = Duration::from_millis(200);
    let token = platform.token("own");
    let mut request = Box::pin(platform.ask(&token));
    assert!(futures::poll!(request.as_mut()).is_pending());
    platform.settle().await;
    platform.reload();
    request.await.assert_ok("what it waited for was asked under the configuration before");
    assert_eq!(platform.asked(), 2);
}

#[test]
fn at_least_one_tenant_is_kept() {
    let build = |most: usize| {
        let directory = Platform::new(None).directory;
        let builder = ResourceServer::builder().issuer_resolver(Shown(directory));
        builder.audience(AUDIENCE).max_tenants(most).build()
    };
    assert!(build(1).is_ok());
    let error = build(0).unwrap_err().to_string();
    assert!(error.contains("max_tenants"), "{error}");
}

const TEMPLATE: &str = "https://login.example.com/{tenantid}/v2.0";

/// A server that trusts tenants `a` and `b` of a template, and a token of one of them.
fn shared() -> (TestIssuer, ResourceServer) {
    let issuer = TestIssuer::in_process("https://login.example.com/a/v2.0");
    let template = Issuer::new(TEMPLATE)
        .jwks(issuer.jwks())
        .tenants("tid", |tenant| ["a", "b"].contains(&tenant));
    let server = builder(template).build().unwrap();
    (issuer, server)
}

#[tokio::test]
async fn a_shared_key_set_binds_iss_to_the_claim_of_the_tenant() {
    let (issuer, server) = shared();
    let api = api(server.layer());
    let iss = |tenant: &str| TEMPLATE.replace("{tenantid}", tenant);
    for (name, tenant, tid, good) in [
        ("a tenant", "a", Some("a"), true),
        ("another", "b", Some("b"), true),
        ("claim of another", "a", Some("b"), false),
        ("no claim", "a", None, false),
        ("not allowed", "c", Some("c"), false),
        ("the template itself", "{tenantid}", Some("{tenantid}"), false),
    ] {
        let mut token = issuer.token().claim("iss", iss(tenant));
        if let Some(tid) = tid {
            token = token.claim("tid", tid);
        }
        let reply = api.bearer(&token.sign()).await;
        if good {
            reply.assert_ok(name);
            assert_eq!(reply.json()["iss"], iss(tenant), "{name}");
        } else {
            reply.assert_invalid_token(name);
        }
    }
}

#[tokio::test]
async fn equal_subjects_of_two_tenants_are_two_principals() {
    let (issuer, server) = shared();
    let api = api(server.layer());
    let principal = async |tenant: &str| {
        let iss = TEMPLATE.replace("{tenantid}", tenant);
        let token = issuer.token().claim("iss", iss).claim("tid", tenant).sign();
        api.bearer(&token).await.json()["principal"].clone()
    };
    assert_ne!(principal("a").await, principal("b").await);
    assert_eq!(principal("a").await, principal("a").await);
}

#[tokio::test]
async fn a_key_published_for_one_tenant_serves_no_other() {
    let issuer = TestIssuer::in_process("https://login.example.com/a/v2.0");
    for (name, of_key, good) in [
        ("for all", TEMPLATE.to_owned(), true),
        ("for this one", TEMPLATE.replace("{tenantid}", "a"), true),
        ("for another", TEMPLATE.replace("{tenantid}", "b"), false),
    ] {
        let mut keys: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
        keys["keys"][0]["issuer"] = of_key.into();
        let template = Issuer::new(TEMPLATE).jwks(keys.to_string()).tenants("tid", |_| true);
        let api = api(builder(template).build().unwrap().layer());
        let reply = api.bearer(&issuer.token().claim("tid", "a").sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[test]
fn templates_that_cannot_be_are_build_errors() {
    let keys = issuer().jwks();
    let build = |issuer: Issuer| builder(issuer).build().is_ok();
    let tenants = |name: &str| Issuer::new(name).jwks(keys.clone()).tenants("tid", |_| true);
    assert!(build(tenants(TEMPLATE)));
    assert!(!build(tenants(ISSUER)), "no place for the tenant");
    assert!(!build(tenants("https://{tenantid}.example.com/{tenantid}")), "two places");
    assert!(!build(tenants(TEMPLATE).alias("x")), "an alias of no tenant");
    assert!(!build(Issuer::new(TEMPLATE).jwks(keys.clone())), "no rule");
    assert!(!build(Issuer::new(TEMPLATE).tenants("tid", |_| true)), "no metadata");
}

#[test]
fn an_issuer_that_a_template_before_it_stands_for_is_a_build_error() {
    let keys = issuer().jwks();
    let build = |issuers: [Issuer; 2]| {
        let [first, second] = issuers;
        builder(first).issuer(second).build().is_ok()
    };
    let template = || {
        let allow = |tenant: &str| ["a", "b"].contains(&tenant);
        Issuer::new(TEMPLATE).jwks(keys.clone()).tenants("tid", allow)
    };
    let one = |tenant: &str| Issuer::new(TEMPLATE.replace("{tenantid}", tenant)).jwks(keys.clone());
    assert!(!build([template(), one("a")]), "its rules would never count");
    assert!(build([one("a"), template()]), "rules of its own for one tenant");
    assert!(build([template(), one("c")]), "a tenant that the rule leaves out");
    let alias = TEMPLATE.replace("{tenantid}", "a");
    assert!(!build([template(), one("c").alias(alias)]), "by its alias");
}

/// `Builder::new_current_thread().build()`, say: no deadline can be kept, so nothing is fetched.
#[test]
fn a_runtime_without_a_timer_is_an_outage_and_no_panic() {
    let issuer = issuer();
    let clock = TestClock::starting_now();
    let keys = Counted { document: issuer.jwks(), fetches: Arc::default() };
    let fetches = Arc::clone(&keys.fetches);
    let server = builder(Issuer::new(ISSUER).key_source(keys)).clock(clock.clone()).build();
    let server = server.unwrap();
    let (tenants, _, platform) = platform(1);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let (bare, whole) = (runtime.build().unwrap(), runtime.enable_time().build().unwrap());
    let token = issuer.token().sign();
    bare.block_on(async {
        for _ in 0..3 {
            api(server.layer()).bearer(&token).await.assert_unavailable("without a timer");
        }
        let reply = api(platform.layer()).bearer(&tenants[0].token().sign()).await;
        reply.assert_unavailable("a tenant, without a timer");
        assert!(server.ready(Duration::from_secs(3_600)).await.is_err(), "at once");
    });
    assert_eq!(fetches.load(Ordering::SeqCst), 0);
    clock.advance(Duration::from_secs(31));
    whole.block_on(async {
        api(server.layer()).bearer(&token).await.assert_ok("with a timer");
        let reply = api(platform.layer()).bearer(&tenants[0].token().sign()).await;
        reply.assert_ok("a tenant, with a timer");
    });
    bare.block_on(async {
        api(server.layer()).bearer(&token).await.assert_ok("keys at hand");
        let unknown = issuer.token().header("kid", "unknown").sign();
        api(server.layer()).bearer(&unknown).await.assert_unavailable("no fetch for a new kid");
    });
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_test_token_with_a_secret_has_an_hmac_algorithm() {
    let issuer = issuer();
    let secret = [7_u8; 64];
    for algorithm in [Algorithm::HS256, Algorithm::HS512] {
        let trusted = Issuer::new(ISSUER).secret(secret, algorithm);
        let api = api(builder(trusted).build().unwrap().layer());
        let by_default = issuer.token().hmac_key(secret).sign();
        let named = issuer.token().header("alg", algorithm.name()).hmac_key(secret).sign();
        api.bearer(&named).await.assert_ok("with its name");
        match algorithm {
            Algorithm::HS256 => api.bearer(&by_default).await.assert_ok("HS256"),
            _ => api.bearer(&by_default).await.assert_invalid_token("HS256"),
        }
        let other = issuer.token().header("alg", algorithm.name()).hmac_key([8; 64]).sign();
        api.bearer(&other).await.assert_invalid_token("another secret");
    }
    // The issuer's own key is a secret: the default is its algorithm.
    let issuer = TestIssuer::builder().algorithm(Algorithm::HS512).in_process(ISSUER);
    let trusted = Issuer::new(ISSUER).secret(secret, Algorithm::HS512);
    let api = api(builder(trusted).build().unwrap().layer());
    api.bearer(&issuer.token().hmac_key(secret).sign()).await.assert_ok("HS512");
}
