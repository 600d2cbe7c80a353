//! Answers that several servers share, through a store of the test's own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use serde_json::json;
use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{AnswerStore, ClientAuth, Introspection, SharedCache};
use tower_resource_server::issuer::SourceError;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::{Endpoint, Fault, TestClient};
use tower_resource_server::{Issuer, ResourceServer, danger};

use super::support::*;
use super::{World, secret, serve};

const SECRET: [u8; 32] = [42; 32];

/// How often what happens behind the requests' backs is looked for.
const PATIENCE: usize = 10_000;

/// A store that says what it was asked, and fails on command.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf(Arc<Inner>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    values: Mutex<HashMap<String, (u64, Vec<u8>)>>,
    late: Mutex<Vec<(String, u64, Vec<u8>)>>,
    fault: Mutex<ShelfFault>,
    gets: AtomicUsize,
    puts: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum ShelfFault {
    #[default]
    None,
    Fails,
    Hangs,
    Panics,
    /// Reads well, and can't be written.
    ReadOnly,
    /// What is written arrives when it is told to catch up.
    Late,
    /// Keeps what was written last, whatever its version.
    Careless,
    /// Looks at once, and says what it saw a while later.
    SlowReads,
}

impl Shelf {
    pub(super) fn cache(&self) -> SharedCache {
        SharedCache::new(self.clone(), SECRET).unwrap()
    }

    pub(super) fn misbehave(&self, fault: ShelfFault) {
        *self.0.fault.lock().unwrap() = fault;
    }

    pub(super) fn values(&self) -> HashMap<String, Vec<u8>> {
        let values = self.0.values.lock().unwrap().clone();
        values.into_iter().map(|(key, (_, value))| (key, value)).collect()
    }

    /// Puts these values there, with whatever version the key had.
    pub(super) fn replace(&self, values: HashMap<String, Vec<u8>>) {
        let mut own = self.0.values.lock().unwrap();
        let version = |key: &String| own.get(key).map_or(0, |(version, _)| *version);
        let with = |(key, value)| (version(&key), key, value);
        let values: Vec<_> = values.into_iter().map(with).collect();
        *own = values.into_iter().map(|(version, key, value)| (key, (version, value))).collect();
    }

    pub(super) fn clear(&self) {
        self.0.values.lock().unwrap().clear();
    }

    /// Lets the late writes arrive.
    pub(super) fn catch_up(&self) {
        for (key, version, value) in std::mem::take(&mut *self.0.late.lock().unwrap()) {
            self.write(key, version, value);
        }
    }

    fn write(&self, key: String, version: u64, value: Vec<u8>) {
        let careless = *self.0.fault.lock().unwrap() == ShelfFault::Careless;
        let mut values = self.0.values.lock().unwrap();
        if careless || values.get(&key).is_none_or(|(known, _)| *known < version) {
            values.insert(key, (version, value));
        }
    }

    pub(super) fn gets(&self) -> usize {
        self.0.gets.load(Ordering::SeqCst)
    }

    /// Waits until `puts` answers were put: nobody else does.
    pub(super) async fn has(&self, puts: usize) {
        for _ in 0..PATIENCE {
            if self.0.puts.load(Ordering::SeqCst) >= puts {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{puts} answers were not put");
    }

    async fn act(&self, writes: bool) -> Result<(), SourceError> {
        let fault = *self.0.fault.lock().unwrap();
        match fault {
            ShelfFault::Fails => Err(SourceError::new("told to")),
            ShelfFault::ReadOnly if writes => Err(SourceError::new("told to")),
            ShelfFault::Hangs => std::future::pending().await,
            ShelfFault::Panics => panic!("told to"),
            _ => Ok(()),
        }
    }
}

impl AnswerStore for Shelf {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        self.0.gets.fetch_add(1, Ordering::SeqCst);
        self.act(false).await?;
        let seen = self.0.values.lock().unwrap().get(key).map(|(_, value)| value.clone());
        if *self.0.fault.lock().unwrap() == ShelfFault::SlowReads {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(seen)
    }

    async fn put_if_newer(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), SourceError> {
        assert!(ttl > Duration::ZERO && ttl <= Duration::from_secs(300));
        let acted = self.act(true).await;
        let late = *self.0.fault.lock().unwrap() == ShelfFault::Late;
        if late {
            self.0.late.lock().unwrap().push((key.to_owned(), version, value));
        } else if acted.is_ok() {
            self.write(key.to_owned(), version, value);
        }
        self.0.puts.fetch_add(1, Ordering::SeqCst);
        acted
    }
}

pub(super) async fn world(shelf: &Shelf) -> World {
    World::with(|own| own.shared_cache(shelf.cache())).await
}

/// Another server of the same API, with an empty memory and a clock of its own.
pub(super) fn another(world: &World, shelf: &Shelf, clock: &TestClock) -> ResourceServer {
    serve(trusted(world, Introspection::new(secret()).shared_cache(shelf.cache())), clock)
}

pub(super) fn trusted(world: &World, introspection: Introspection) -> Issuer {
    Issuer::new(world.issuer.url()).introspection(introspection)
}

pub(super) async fn ask(server: &ResourceServer, token: &str) -> Reply {
    api(server.layer()).bearer(token).await
}

#[tokio::test]
async fn servers_that_share_ask_once_and_hand_the_same_to_the_handler() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let other = another(&world, &shelf, &world.clock);
    let token = world.issuer.token().scope("a b").claim("n", 1.5).claim("o", json!({"p": [null]}));
    let token = token.opaque();
    let first = world.bearer(&token).await;
    world.bearer("dead").await.assert_invalid_token("dead");
    shelf.has(2).await;
    let second = ask(&other, &token).await;
    second.assert_ok("shared");
    assert_eq!(first.json(), second.json());
    ask(&other, "dead").await.assert_invalid_token("dead, shared");
    assert_eq!((world.calls(), shelf.gets()), (2, 4));
    // From then on it is in memory.
    ask(&other, &token).await.assert_ok("remembered");
    ask(&other, "dead").await.assert_invalid_token("dead, remembered");
    assert_eq!((world.calls(), shelf.gets()), (2, 4));
    // A reload forgets what is in memory, and asks the shared cache.
    let own = Introspection::new(secret()).shared_cache(shelf.cache());
    other.reload([trusted(&world, own)], [AUDIENCE]).unwrap();
    ask(&other, &token).await.assert_ok("shared");
    assert_eq!((world.calls(), shelf.gets()), (2, 5));
    // What the answer allows is judged by whoever uses it.
    let own = Introspection::new(secret()).shared_cache(shelf.cache());
    other.reload([trusted(&world, own)], ["https://other"]).unwrap();
    ask(&other, &token).await.assert_invalid_token("for another audience");
    assert_eq!((world.calls(), shelf.gets()), (2, 6));
}

#[tokio::test]
async fn a_revoked_token_is_refused_after_the_ttl_wherever_the_answer_came_from() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    shelf.has(1).await;
    world.pass(50);
    // A server that has just begun to run: its monotonic clock is younger than the answer.
    let young = TestClock::at(tower_resource_server::clock::Clock::wall(&world.clock).as_secs());
    let other = another(&world, &shelf, &young);
    ask(&other, &token).await.assert_ok("50 s old");
    world.issuer.revoke(&token);
    young.advance(Duration::from_secs(9));
    world.pass(9);
    ask(&other, &token).await.assert_ok("59 s old");
    assert_eq!(world.calls(), 1);
    young.advance(Duration::from_secs(1));
    world.pass(1);
    ask(&other, &token).await.assert_invalid_token("60 s old");
    assert_eq!(world.calls(), 2);
    shelf.has(2).await;
    world.bearer(&token).await.assert_invalid_token("and so the other");
    assert_eq!(world.calls(), 2, "that it is dead is shared as well");
}

#[tokio::test]
async fn that_a_token_is_dead_is_shared_for_its_own_short_time() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    world.bearer("dead").await.assert_invalid_token("asked");
    shelf.has(1).await;
    for (seconds, calls) in [(4, 1), (1, 2)] {
        world.pass(seconds);
        let other = another(&world, &shelf, &world.clock);
        ask(&other, "dead").await.assert_invalid_token("dead");
        assert_eq!(world.calls(), calls, "after {seconds} s more");
    }
}

#[tokio::test]
async fn clocks_that_differ_lengthen_no_life_beyond_ttl_and_leeway() {
    for (name, leeway, behind, ahead, shared, holds) in [
        ("the same clock", 60, 0, 0, true, 60),
        ("behind by the leeway", 60, 60, 0, true, 60),
        ("behind by more", 60, 61, 0, false, 0),
        ("behind, no leeway", 0, 1, 0, false, 0),
        ("ahead", 60, 0, 59, true, 1),
        ("ahead by the ttl", 60, 0, 60, false, 0),
    ] {
        let shelf = Shelf::default();
        let world = world(&shelf).await;
        // It has no times that the other clock could make invalid.
        let token = world.issuer.token().without("iat").without("nbf").expires_in(3_000).opaque();
        world.bearer(&token).await.assert_ok(name);
        shelf.has(1).await;
        let now = tower_resource_server::clock::Clock::wall(&world.clock).as_secs();
        let clock = TestClock::at(now - behind + ahead);
        let own = Introspection::new(secret()).shared_cache(shelf.cache());
        let other = serve(trusted(&world, own).leeway(Duration::from_secs(leeway)), &clock);
        ask(&other, &token).await.assert_ok(name);
        assert_eq!(world.calls() == 1, shared, "{name}");
        if !shared {
            continue;
        }
        let kept = shelf.values();
        // What is now in its memory, by the clock that no difference can lengthen.
        world.issuer.revoke(&token);
        clock.advance(Duration::from_secs(holds - 1));
        ask(&other, &token).await.assert_ok(name);
        shelf.clear();
        clock.advance(Duration::from_secs(1));
        ask(&other, &token).await.assert_invalid_token(name);
        // Should the store forget nothing: what a server is told that begins to run at the end of
        // that time, and just before it. By true time it is at most ttl and leeway.
        let end = 60 + behind - ahead;
        assert!(end <= 60 + leeway, "{name}");
        for (after, good) in [(end - 1, true), (end, false)] {
            shelf.replace(kept.clone());
            let clock = TestClock::at(now + after + ahead - behind);
            let reply = ask(&another(&world, &shelf, &clock), &token).await;
            if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
        }
    }
}

#[tokio::test]
async fn a_store_that_keeps_too_long_lengthens_no_life() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let short = world.issuer.token().expires_in(20).opaque();
    let long = world.issuer.token().opaque();
    for token in [&short, &long] {
        world.bearer(token).await.assert_ok("asked");
        world.issuer.revoke(token);
    }
    shelf.has(2).await;
    let kept = shelf.values();
    world.pass(19);
    ask(&another(&world, &shelf, &world.clock), &short).await.assert_ok("before exp");
    world.pass(1);
    let other = another(&world, &shelf, &world.clock);
    ask(&other, &short).await.assert_invalid_token("at exp");
    ask(&other, &long).await.assert_ok("before the ttl");
    world.pass(40);
    shelf.replace(kept);
    ask(&another(&world, &shelf, &world.clock), &long).await.assert_invalid_token("at the ttl");
}

#[tokio::test]
async fn what_does_not_open_is_not_there() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let tokens = [world.issuer.token().opaque(), world.issuer.token().opaque()];
    for token in &tokens {
        world.bearer(token).await.assert_ok("asked");
    }
    shelf.has(2).await;
    let good = shelf.values();
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [(&str, Change, u32); 10] = [
        ("nothing", |_| {}, 0),
        ("the last octet", |values| *values[0].last_mut().unwrap() ^= 1, 1),
        ("the first octet", |values| values[0][0] ^= 1, 1),
        ("an octet within", |values| values[0][30] ^= 0x80, 1),
        ("the first octet cut", |values| values[0] = values[0][1..].to_vec(), 1),
        ("half of it", |values| values[0].truncate(40), 1),
        ("empty", |values| values[0].clear(), 1),
        ("one more", |values| values[0].push(0), 1),
        ("oversize", |values| values[0] = vec![0; 1 << 20], 1),
        ("swapped", |values| values.swap(0, 1), 2),
    ];
    for (name, change, misses) in changes {
        let (keys, mut values): (Vec<_>, Vec<_>) = good.clone().into_iter().unzip();
        change(&mut values);
        shelf.replace(keys.into_iter().zip(values).collect());
        let (other, calls) = (another(&world, &shelf, &world.clock), world.calls());
        for token in &tokens {
            ask(&other, token).await.assert_ok(name);
        }
        assert_eq!(world.calls() - calls, misses, "{name}");
    }
}

#[tokio::test]
async fn only_the_same_question_finds_an_answer() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    shelf.has(1).await;
    world.issuer.register_client(TestClient::secret("notes-api", "s3cr3t"));
    world.issuer.register_client(TestClient::secret("other-api", "s3cr3t"));
    world.issuer.register_client(TestClient::bearer("own-token"));
    let new = Introspection::new;
    let endpoint = world.issuer.introspection_endpoint();
    let wrong = SharedCache::new(shelf.clone(), [43; 32]).unwrap();
    let basic = ClientAuth::client_secret_basic;
    for (name, own, shared) in [
        ("the same", new(secret()), true),
        ("another ttl", new(secret()).cache_ttl(Duration::from_secs(9)), true),
        ("a new secret of the client's", new(basic("notes-api", "rotated")), true),
        ("another client", new(basic("other-api", "s3cr3t")), false),
        ("a token for a client", new(ClientAuth::bearer_token("own-token")), false),
        ("the endpoint by its URL", new(secret()).endpoint(&endpoint), false),
        ("another endpoint", new(secret()).endpoint(format!("{endpoint}?x")), false),
        ("signed answers only", new(secret()).require_signed_answers(), false),
        ("another secret", new(secret()).shared_cache(wrong), false),
    ] {
        let own = if name == "another secret" { own } else { own.shared_cache(shelf.cache()) };
        let (server, calls) = (serve(trusted(&world, own), &world.clock), world.calls());
        ask(&server, &token).await.assert_ok(name);
        assert_eq!(world.calls() - calls, u32::from(!shared), "{name}");
    }
    // The metadata names the endpoint, so other metadata may name another server.
    let metadata = format!("{}/.well-known/oauth-authorization-server", world.issuer.url());
    for (name, shared) in [("metadata at another URL", false), ("the same metadata", true)] {
        let own = new(secret()).shared_cache(shelf.cache());
        let issuer = trusted(&world, own).metadata_url(&metadata);
        let (server, calls) = (serve(issuer, &world.clock), world.calls());
        ask(&server, &token).await.assert_ok(name);
        assert_eq!(world.calls() - calls, u32::from(!shared), "{name}");
        // The first answer, six of the table, and this one.
        shelf.has(8).await;
    }
}

/// Each token file stands for a client, even if its name is not UTF-8.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn token_files_whose_names_are_not_utf_8_are_different_clients() {
    use std::os::unix::ffi::OsStrExt as _;
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let token = world.issuer.token().opaque();
    world.issuer.register_client(TestClient::bearer("own-token"));
    let folder = std::env::temp_dir().join(format!("trs-token-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, calls) in [(&b"\xfe"[..], 1), (b"\xff", 1), (b"\xfe", 0)] {
        let path = folder.join(std::ffi::OsStr::from_bytes(name));
        std::fs::write(&path, "own-token").unwrap();
        let own = Introspection::new(ClientAuth::bearer_token_file(&path));
        let own = own.shared_cache(shelf.cache());
        let (server, before) = (serve(trusted(&world, own), &world.clock), world.calls());
        ask(&server, &token).await.assert_ok("live");
        assert_eq!(world.calls() - before, calls, "{}", name.escape_ascii());
        // One answer of each file.
        shelf.has(if name == b"\xfe" && calls == 1 { 1 } else { 2 }).await;
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn signed_answers_are_shared_once_their_signature_was_checked() {
    let shelf = Shelf::default();
    let signed = |own: Introspection| own.require_signed_answers().shared_cache(shelf.cache());
    let world = World::with(signed).await;
    let token = world.issuer.token().scope("a").opaque();
    let first = world.bearer(&token).await;
    first.assert_ok("signed");
    shelf.has(1).await;
    let other = serve(trusted(&world, signed(Introspection::new(secret()))), &world.clock);
    let second = ask(&other, &token).await;
    second.assert_ok("shared");
    assert_eq!(first.json(), second.json());
    assert_eq!(world.calls(), 1);
    // Whose signature is trusted is part of the question, and so is for whom it was made.
    let own = || signed(Introspection::new(secret()));
    let algorithms = [Algorithm::ES256, Algorithm::RS256, Algorithm::PS256, Algorithm::Ed25519];
    for (name, trusted, calls) in [
        ("the same", trusted(&world, own()), 1),
        ("other algorithms", trusted(&world, own()).algorithms(algorithms), 2),
        (
            "another audience of answers",
            trusted(&world, own().signed_answer_audience("notes-api").signed_answer_audience("x")),
            3,
        ),
    ] {
        ask(&serve(trusted, &world.clock), &token).await.assert_ok(name);
        assert_eq!(world.calls(), calls, "{name}");
    }
    // An answer that is not trusted is not shared either.
    shelf.has(3).await;
    let shared = shelf.values().len();
    world.misbehave(Fault::Body(r#"{"active":true}"#.into()));
    world.bearer("plain").await.assert_unavailable("not signed");
    ask(&other, "plain").await.assert_unavailable("not signed");
    assert_eq!(world.calls(), 5);
    assert_eq!(shelf.values().len(), shared);
}

#[tokio::test]
async fn the_store_sees_no_token_and_no_claim() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let token = world.issuer.token().subject("alice-liddell").scope("notes:read").opaque();
    world.bearer(&token).await.assert_ok("asked");
    world.bearer("dead-token").await.assert_invalid_token("dead");
    shelf.has(2).await;
    let (url, host) = (world.issuer.url(), "127.0.0.1");
    for (key, value) in shelf.values() {
        assert_eq!(key.len(), "tower-resource-server:introspection:".len() + 43);
        let all = [key.as_bytes(), &value].concat();
        for secret in [&token, "dead-token", "alice", "notes", "active", url, host, "sub"] {
            let found = all.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} in {key}");
        }
    }
    assert!(!format!("{:?} {:?}", world.server, shelf.cache()).contains("42, 42"));
}

#[tokio::test]
async fn a_store_that_fails_costs_no_request_and_soon_nothing() {
    for fault in [ShelfFault::Fails, ShelfFault::Hangs] {
        let shelf = Shelf::default();
        let world = world(&shelf).await;
        let revoked = world.issuer.token().opaque();
        world.issuer.revoke(&revoked);
        shelf.misbehave(fault);
        for n in 0..20 {
            world.bearer(&world.issuer.token().opaque()).await.assert_ok("live");
            world.bearer(&format!("forged-{n}")).await.assert_invalid_token("forged");
        }
        world.bearer(&revoked).await.assert_invalid_token("revoked");
        assert_eq!(world.calls(), 41);
        assert_eq!(shelf.gets(), 5, "{fault:?}: 5 failures in a row are enough");
        shelf.misbehave(ShelfFault::None);
        world.bearer("x").await.assert_invalid_token("not yet");
        assert_eq!(shelf.gets(), 5, "{fault:?}");
        world.pass(1);
        world.bearer("y").await.assert_invalid_token("the probe");
        world.bearer("z").await.assert_invalid_token("all");
        assert_eq!(shelf.gets(), 7, "{fault:?}: it is back");
        while shelf.values().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn the_log_says_once_that_the_store_fails_and_names_what_is_not_used() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    shelf.misbehave(ShelfFault::Fails);
    for n in 0..20 {
        world.bearer(&format!("forged-{n}")).await.assert_invalid_token("forged");
    }
    shelf.has(5).await;
    assert_eq!(log.count("the shared cache fails"), 2, "to read and to write");
    shelf.misbehave(ShelfFault::None);
    world.pass(1);
    let token = world.issuer.token().without("iat").without("nbf").opaque();
    world.bearer(&token).await.assert_ok("back");
    shelf.has(6).await;
    assert_eq!(log.count("the shared cache is back"), 2);
    assert_eq!(log.count("is not used"), 0);
    let early =
        TestClock::at(tower_resource_server::clock::Clock::wall(&world.clock).as_secs() - 61);
    ask(&another(&world, &shelf, &early), &token).await.assert_ok("asked");
    assert_eq!(log.count("ahead of our clock"), 1);
    for (_, value) in shelf.0.values.lock().unwrap().values_mut() {
        value[0] ^= 1;
    }
    ask(&another(&world, &shelf, &world.clock), &token).await.assert_ok("asked");
    assert_eq!(log.count("was not sealed under this key"), 1);
    assert_eq!(log.count(&token), 0);
    assert_eq!(log.count("forged-"), 0);
}

/// What was logged.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_store_that_can_t_be_written_is_read() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    shelf.has(1).await;
    shelf.misbehave(ShelfFault::ReadOnly);
    let other = another(&world, &shelf, &world.clock);
    for n in 0..20 {
        ask(&other, &format!("dead-{n}")).await.assert_invalid_token("dead");
    }
    assert_eq!(world.calls(), 21);
    ask(&other, &token).await.assert_ok("shared");
    assert_eq!(world.calls(), 21);
}

#[tokio::test]
async fn what_is_shared_outlasts_an_outage_of_the_endpoint() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    shelf.has(1).await;
    world.issuer.set_fault(Endpoint::Introspection, Fault::Status(503));
    let other = another(&world, &shelf, &world.clock);
    for n in 0..10 {
        ask(&other, &format!("token-{n}")).await.assert_unavailable("down");
    }
    assert_eq!(world.calls(), 1 + 5, "the breaker of the endpoint is open");
    ask(&other, &token).await.assert_ok("shared all the same");
    world.misbehave(Fault::None);
    world.pass(1);
    let fresh = world.issuer.token().opaque();
    ask(&other, &fresh).await.assert_ok("the probe");
    ask(&other, &world.issuer.token().opaque()).await.assert_ok("it is back");
}

#[tokio::test]
async fn a_stale_answer_from_the_shared_cache_stands_in_no_longer_than_one_of_ones_own() {
    let shelf = Shelf::default();
    let stale = |own: Introspection| {
        danger::accept_stale_answers(own, Duration::from_secs(30)).shared_cache(shelf.cache())
    };
    let world = World::with(stale).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    shelf.has(1).await;
    world.pass(50);
    let other = serve(trusted(&world, stale(Introspection::new(secret()))), &world.clock);
    ask(&other, &token).await.assert_ok("shared, 50 s old");
    world.misbehave(Fault::Status(500));
    world.pass(39);
    ask(&other, &token).await.assert_ok("89 s old");
    world.pass(1);
    ask(&other, &token).await.assert_unavailable("90 s old");
}

#[tokio::test]
async fn tokens_that_are_shared_are_not_held_to_the_calls_in_flight() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    let tokens: Vec<_> = (0..200).map(|_| world.issuer.token().opaque()).collect();
    for token in &tokens {
        world.bearer(token).await.assert_ok("asked");
    }
    shelf.has(200).await;
    let other = another(&world, &shelf, &world.clock);
    for reply in join_all(tokens.iter().map(|token| ask(&other, token))).await {
        reply.assert_ok("200 at once");
    }
    assert_eq!(world.calls(), 200);
    // What a flood can pile up is bounded, and so is what reaches the endpoint.
    shelf.misbehave(ShelfFault::Hangs);
    let (gets, calls) = (shelf.gets(), world.calls());
    let forged: Vec<_> = (0..1_100).map(|n| format!("forged-{n}")).collect();
    for reply in join_all(forged.iter().map(|token| ask(&other, token))).await {
        assert!(!reply.ran);
    }
    assert_eq!(shelf.gets() - gets, 1_024);
    assert_eq!(world.calls() - calls, 1_024, "each in its turn");
}

#[test]
fn with_a_ttl_of_zero_there_is_nothing_to_share() {
    for (seconds, good) in [(0, false), (1, true)] {
        let own = Introspection::new(secret())
            .cache_ttl(Duration::from_secs(seconds))
            .shared_cache(Shelf::default().cache());
        let built = builder(Issuer::new(ISSUER).introspection(own)).build();
        assert_eq!(built.is_ok(), good, "{seconds} s");
    }
}

#[tokio::test]
async fn a_store_that_panics_is_as_good_as_none() {
    for fault in [ShelfFault::None, ShelfFault::Fails, ShelfFault::Panics] {
        let shelf = Shelf::default();
        let world = world(&shelf).await;
        shelf.misbehave(fault);
        for _ in 0..7 {
            let token = world.issuer.token().opaque();
            world.bearer(&token).await.assert_ok("the endpoint is asked");
            world.bearer(&token).await.assert_ok("remembered");
        }
        assert_eq!(world.calls(), 7, "{fault:?}");
        shelf.misbehave(ShelfFault::None);
        world.pass(1);
        world.bearer(&world.issuer.token().opaque()).await.assert_ok("back");
    }
}

/// Once an answer has passed, its members are dropped. Requests read this one from memory on another
/// thread as soon as it is there, while it is on its way to the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_shared_whole_however_soon_it_is_used() {
    let shelf = Shelf::default();
    let world = world(&shelf).await;
    for n in 1..=100 {
        let token = world.issuer.token().claim("jti", n).opaque();
        let done = Arc::new(AtomicUsize::new(0));
        let eager = std::thread::spawn({
            let (api, token, done) = (api(world.server.layer()), token.clone(), done.clone());
            move || {
                while done.load(Ordering::SeqCst) == 0 {
                    let _ = api.bearer(&token).now_or_never();
                }
            }
        });
        world.bearer(&token).await.assert_ok("asked");
        done.store(1, Ordering::SeqCst);
        eager.join().unwrap();
        shelf.has(n).await;
        ask(&another(&world, &shelf, &world.clock), &token).await.assert_ok("shared");
    }
    assert_eq!(world.calls(), 100);
}
