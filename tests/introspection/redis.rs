//! Answers that several servers share through a real Redis. Each test has one of its own; without a
//! `redis-server` or `valkey-server` on the path they are skipped, and say so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tower_resource_server::clock::{Clock as _, TestClock};
use tower_resource_server::introspection::{
    AnswerStore as _, Introspection, RedisStore, SharedCache,
};
use tower_resource_server::{Issuer, ResourceServer};

use super::server::Redis;
use super::support::*;
use super::tls::{Authority, Tls};
use super::{World, secret, serve};

const SECRET: [u8; 32] = [42; 32];

/// How often what happens behind the requests' backs is looked for.
const PATIENCE: usize = 2_000;

/// By which a process of a test knows what to do.
const TASK: &str = "SHARED_CACHE_TASK";

impl Redis {
    fn cache(&self) -> SharedCache {
        SharedCache::new(RedisStore::new(&self.url()).unwrap(), SECRET).unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        let mut redis = self.connect().await;
        ::redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap()
    }

    /// Empty where there is nothing.
    async fn get(&self, key: &str) -> Vec<u8> {
        let mut redis = self.connect().await;
        let value: Option<_> = ::redis::cmd("GET").arg(key).query_async(&mut redis).await.unwrap();
        value.unwrap_or_default()
    }

    async fn set(&self, key: &str, value: &[u8]) {
        let mut redis = self.connect().await;
        ::redis::cmd("SET").arg(key).arg(value).exec_async(&mut redis).await.unwrap();
    }

    /// Waits until there are `keys`: answers are put behind the requests' backs.
    async fn has(&self, keys: usize) {
        for _ in 0..PATIENCE {
            if self.keys().await.len() >= keys {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{keys} answers were not put");
    }
}

fn another(world: &World, cache: SharedCache) -> ResourceServer {
    let own = Introspection::new(secret()).shared_cache(cache);
    serve(Issuer::new(world.issuer.url()).introspection(own), &world.clock)
}

async fn ask(server: &ResourceServer, token: &str) -> Reply {
    api(server.layer()).bearer(token).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_answers() {
    let Some(redis) = Redis::start().await else { return };
    let world = World::with(|own| own.shared_cache(redis.cache())).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked here");
    world.bearer("dead").await.assert_invalid_token("asked here");
    redis.has(2).await;
    let now = world.clock.wall().as_secs();
    let task = [&redis.url(), world.issuer.url(), &now.to_string(), &token].join(" ");
    let other = async |task: &str| {
        tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["redis::the_other_process", "--exact", "--ignored", "--nocapture"])
            .env(TASK, task)
            .output()
            .await
            .unwrap()
    };
    let done = other(&task).await;
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(world.calls(), 2, "one for each token, by both processes together");
    // What fails there fails here.
    let unknown = task.replace(&token, "unknown");
    assert!(!other(&unknown).await.status.success());
    assert_eq!(world.calls(), 3);
}

/// What `two_processes_share_answers` runs as a process of its own.
#[tokio::test]
#[ignore = "it is started by another test"]
async fn the_other_process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [redis, issuer, now, token] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let cache = SharedCache::new(RedisStore::new(redis).unwrap(), SECRET).unwrap();
    let own = Introspection::new(secret()).shared_cache(cache);
    let trusted = Issuer::new(issuer).introspection(own);
    let server = serve(trusted, &TestClock::at(now.parse().unwrap()));
    ask(&server, token).await.assert_ok("shared");
    ask(&server, "dead").await.assert_invalid_token("shared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_and_restarted_under_load_loses_no_request_and_opens_nothing() {
    const REQUESTS: usize = 1_200;
    let Some(mut redis) = Redis::start().await else { return };
    let world = Arc::new(World::with(|own| own.shared_cache(redis.cache())).await);
    let known = world.issuer.token().opaque();
    world.bearer(&known).await.assert_ok("known");
    // Redis still has the answer about this one when its ttl is over.
    let revoked = world.issuer.token().opaque();
    world.bearer(&revoked).await.assert_ok("not yet revoked");
    redis.has(2).await;
    world.issuer.revoke(&revoked);
    world.pass(60);
    let tokens: Vec<_> = (0..REQUESTS).map(|_| world.issuer.token().opaque()).collect();
    let (tokens, next) = (Arc::new(tokens), Arc::new(AtomicUsize::new(0)));
    let load = || {
        let (world, tokens, next) = (Arc::clone(&world), Arc::clone(&tokens), Arc::clone(&next));
        let (known, revoked) = (known.clone(), revoked.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                let Some(token) = tokens.get(n) else { return };
                match n % 4 {
                    0 => world.bearer(token).await.assert_ok("fresh"),
                    1 => world.bearer(&known).await.assert_ok("known"),
                    2 => world.bearer(&revoked).await.assert_invalid_token("revoked"),
                    _ => {
                        let forged = format!("forged-{n}");
                        world.bearer(&forged).await.assert_invalid_token("forged");
                    }
                }
                // Redis' pauses are by the test's clock.
                if n.is_multiple_of(100) {
                    world.pass(1);
                }
            }
        })
    };
    let reached = async |n: usize| {
        while next.load(Ordering::SeqCst) < n {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let workers: Vec<_> = (0..8).map(|_| load()).collect();
    reached(REQUESTS / 3).await;
    redis.kill();
    let killed_at = next.load(Ordering::SeqCst);
    reached(2 * REQUESTS / 3).await;
    redis.restart().await;
    assert!(killed_at < next.load(Ordering::SeqCst), "requests went on without it");
    for worker in workers {
        worker.await.unwrap();
    }
    // It is used again without any help.
    world.pass(30);
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("the probe");
    let before = redis.keys().await.len();
    world.pass(30);
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("after it");
    redis.has(before + 1).await;
    let calls = world.calls();
    ask(&another(&world, redis.cache()), &token).await.assert_ok("shared");
    assert_eq!(world.calls(), calls);
    world.bearer(&revoked).await.assert_invalid_token("revoked");
}

#[tokio::test]
async fn a_connection_that_broke_is_made_anew_without_a_word() {
    let Some(redis) = Redis::start().await else { return };
    let world = World::with(|own| own.shared_cache(redis.cache())).await;
    let tokens: Vec<_> = (0..10).map(|_| world.issuer.token().opaque()).collect();
    for (n, token) in tokens.iter().enumerate() {
        world.bearer(token).await.assert_ok("asked");
        redis.has(n + 1).await;
        let mut own = redis.connect().await;
        let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
        ::redis::cmd("CLIENT").arg(&kill).exec_async(&mut own).await.unwrap();
    }
    let other = another(&world, redis.cache());
    for token in &tokens {
        ask(&other, token).await.assert_ok("all were put");
    }
    assert_eq!(world.calls(), 10);
}

/// A way to a server that is far away: what is said first over each connection takes so long, as the
/// handshakes of TCP and TLS do, and the rest does not.
async fn far_away(server: SocketAddr, handshake: Duration) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                tokio::time::sleep(handshake).await;
                let mut far = tokio::net::TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, connections)
}

/// No request waits for a store longer than 250 ms, so a connection that needs longer must not belong
/// to one.
#[tokio::test]
async fn a_server_that_takes_its_time_to_connect_is_used_once_it_is_connected() {
    for handshake in [0, 400] {
        let handshake = Duration::from_millis(handshake);
        let Some(redis) = Redis::start().await else { return };
        let (address, connections) = far_away(redis.address, handshake).await;
        let far = || {
            let store = RedisStore::new(&format!("redis://{address}")).unwrap();
            SharedCache::new(store, SECRET).unwrap()
        };
        let world = World::with(|own| own.shared_cache(far())).await;
        world
            .bearer(&world.issuer.token().opaque())
            .await
            .assert_ok("the first, while it connects");
        tokio::time::sleep(2 * handshake).await;
        // What failed while it connected is forgiven.
        world.pass(30);
        let put = redis.keys().await.len();
        let token = world.issuer.token().opaque();
        world.bearer(&token).await.assert_ok("connected");
        redis.has(put + 1).await;
        assert_eq!(connections.load(Ordering::SeqCst), 1, "{handshake:?}: one is enough");

        let other = another(&world, far());
        ask(&other, &world.issuer.token().opaque()).await.assert_ok("it connects as well");
        tokio::time::sleep(2 * handshake).await;
        world.clock.advance(Duration::from_secs(30));
        let calls = world.calls();
        ask(&other, &token).await.assert_ok("shared");
        assert_eq!(world.calls(), calls, "{handshake:?}");
    }
}

#[tokio::test]
async fn values_changed_in_redis_are_misses() {
    let Some(redis) = Redis::start().await else { return };
    let world = World::with(|own| own.shared_cache(redis.cache())).await;
    let tokens = [world.issuer.token().opaque(), world.issuer.token().opaque()];
    for token in &tokens {
        world.bearer(token).await.assert_ok("asked");
    }
    redis.has(2).await;
    let keys = redis.keys().await;
    let good = [redis.get(&keys[0]).await, redis.get(&keys[1]).await];
    let mut tampered = good[0].clone();
    tampered[20] ^= 1;
    for (name, first, second, misses) in [
        ("as they were", &good[0][..], &good[1][..], 0),
        ("tampered", &tampered, &good[1], 1),
        ("truncated", &good[0][..good[0].len() - 1], &good[1], 1),
        ("empty", &[], &good[1], 1),
        ("swapped", &good[1], &good[0], 2),
        ("oversize", &[7; 1 << 20], &good[1], 1),
    ] {
        redis.set(&keys[0], first).await;
        redis.set(&keys[1], second).await;
        let (other, calls) = (another(&world, redis.cache()), world.calls());
        for token in &tokens {
            ask(&other, token).await.assert_ok(name);
        }
        assert_eq!(world.calls() - calls, misses, "{name}");
    }
    // Another type under the key is no answer, and is put right by the next one.
    let mut own = redis.connect().await;
    ::redis::cmd("DEL").arg(&keys).exec_async(&mut own).await.unwrap();
    for key in &keys {
        ::redis::cmd("RPUSH").arg(key).arg("x").exec_async(&mut own).await.unwrap();
    }
    let calls = world.calls();
    ask(&another(&world, redis.cache()), &tokens[0]).await.assert_ok("a list");
    assert_eq!(world.calls(), calls + 1);
    let types = async |key: &String| {
        let mut own = redis.connect().await;
        ::redis::cmd("TYPE").arg(key).query_async::<String>(&mut own).await.unwrap()
    };
    while types(&keys[0]).await != "string" && types(&keys[1]).await != "string" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn another_secret_finds_nothing() {
    let Some(redis) = Redis::start().await else { return };
    let world = World::with(|own| own.shared_cache(redis.cache())).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    redis.has(1).await;
    let store = || RedisStore::new(&redis.url()).unwrap();
    for (name, secret, calls) in [("the same", [42; 32], 1), ("another", [43; 32], 2)] {
        let cache = SharedCache::new(store(), secret).unwrap();
        ask(&another(&world, cache), &token).await.assert_ok(name);
        assert_eq!(world.calls(), calls, "{name}");
    }
}

#[tokio::test]
async fn redis_holds_no_token_and_no_claim_and_drops_what_is_over() {
    let Some(redis) = Redis::start().await else { return };
    let world = World::with(|own| own.shared_cache(redis.cache())).await;
    let token = world.issuer.token().subject("alice-liddell").scope("notes:read").opaque();
    world.bearer(&token).await.assert_ok("asked");
    world.bearer("dead-token").await.assert_invalid_token("asked");
    redis.has(2).await;
    let mut own = redis.connect().await;
    let mut lives = Vec::new();
    for key in redis.keys().await {
        let all = [key.as_bytes(), &redis.get(&key).await].concat();
        for secret in [&token, "dead-token", "alice", "notes", "active", world.issuer.url()] {
            let found = all.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} in {key}");
        }
        let left: u64 = ::redis::cmd("PTTL").arg(&key).query_async(&mut own).await.unwrap();
        lives.push(left);
    }
    lives.sort_unstable();
    // What is dead stays as long as an answer to an older question could be used.
    assert!(lives.iter().all(|life| (5_001..=60_000).contains(life)), "{lives:?}");
}

#[tokio::test]
async fn a_user_with_four_rights_and_a_password_is_enough() {
    let Some(redis) = Redis::start().await else { return };
    let mut own = redis.connect().await;
    let keys = "~tower-resource-server:introspection:*";
    let rights = ["+getrange", "+set", "+evalsha", "+eval"];
    let user = ["SETUSER", "api", "on", ">hunter2", keys];
    ::redis::cmd("ACL").arg(&user).arg(&rights).exec_async(&mut own).await.unwrap();
    let url = format!("redis://api:hunter2@{}", redis.address);
    let cache = |url: &str| SharedCache::new(RedisStore::new(url).unwrap(), SECRET).unwrap();
    let world = World::with(|own| own.shared_cache(cache(&url))).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    redis.has(1).await;
    ask(&another(&world, cache(&url)), &token).await.assert_ok("shared");
    assert_eq!(world.calls(), 1);
    let wrong = url.replace("hunter2", "hunter3");
    ask(&another(&world, cache(&wrong)), &token).await.assert_ok("asked, for want of a cache");
    assert_eq!(world.calls(), 2);
    let shown = format!("{:?} {:?} {:?}", world.server, cache(&url), RedisStore::new(&url));
    assert!(shown.contains("RedisStore") && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn over_tls_the_certificate_is_checked() {
    let Some(redis) = Redis::start().await else { return };
    let (trusted, stranger) = (Authority::new(), Authority::new());
    let tls = Tls::start(&trusted, redis.address, None).await;
    let url = tls.url("").replace("https:", "rediss:");
    let cache = |authority: &Authority| {
        let store = RedisStore::with_root_certificates(&url, authority.pem()).unwrap();
        SharedCache::new(store, SECRET).unwrap()
    };
    let world = World::with(|own| own.shared_cache(cache(&trusted))).await;
    let token = world.issuer.token().opaque();
    world.bearer(&token).await.assert_ok("asked");
    redis.has(1).await;
    for (name, authority, calls) in [("trusted", &trusted, 1), ("a stranger", &stranger, 2)] {
        ask(&another(&world, cache(authority)), &token).await.assert_ok(name);
        assert_eq!(world.calls(), calls, "{name}");
    }
    assert_eq!(tls.connections(), 2, "both servers of the trusted one");
    // The name counts, and not only who signed.
    let address = url.replace("localhost", "127.0.0.1");
    let store = RedisStore::with_root_certificates(&address, trusted.pem()).unwrap();
    ask(&another(&world, SharedCache::new(store, SECRET).unwrap()), &token).await.assert_ok("x");
    assert_eq!(world.calls(), 3);
}

/// A value under a name that the store's users have.
const KEY: &str = "tower-resource-server:introspection:test";

fn store(redis: &Redis) -> RedisStore {
    RedisStore::new(&redis.url()).unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_value_is_put_if_it_is_newer() {
    let Some(redis) = Redis::start().await else { return };
    let own = store(&redis);
    for (name, first, second, kept) in [
        ("newer after older", 1, 2, 2),
        ("older after newer", 2, 1, 2),
        ("the same", 2, 2, 2),
        ("a higher octet", 0x01_ff, 0x02_00, 0x02_00),
        ("a higher octet first", 0x02_00, 0x01_ff, 0x02_00),
        ("the first octet", 0xfe << 56, 0xff << 56, 0xff << 56),
        ("beyond what a double has", u64::MAX - 1, u64::MAX, u64::MAX),
        ("beyond what a double has, first", u64::MAX, u64::MAX - 1, u64::MAX),
        ("octets that text ends at", 0x0100_0000, 0x0100_0001, 0x0100_0001),
        ("octets that a locale sorts otherwise", u64::from(b'a'), u64::from(b'B'), 97),
        ("zero", 0, 0, 0),
    ] {
        let mut connection = redis.connect().await;
        ::redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
        assert_eq!(own.get(KEY).await.unwrap(), None, "{name}");
        own.put_if_newer(KEY, first, format!("{first} first").into_bytes(), MINUTE).await.unwrap();
        own.put_if_newer(KEY, second, format!("{second} then").into_bytes(), MINUTE).await.unwrap();
        let value = String::from_utf8(own.get(KEY).await.unwrap().unwrap()).unwrap();
        let expected = if second > first { "then" } else { "first" };
        assert_eq!(value, format!("{kept} {expected}"), "{name}");
        let left: i64 = ::redis::cmd("PTTL").arg(KEY).query_async(&mut connection).await.unwrap();
        assert!((1..=60_000).contains(&left), "{name}");
    }
    // Any octets, none, and a short life.
    own.put_if_newer(KEY, 10, vec![], MINUTE).await.unwrap();
    assert_eq!(own.get(KEY).await.unwrap(), Some(vec![]));
    let octets: Vec<u8> = (0..=255).collect();
    own.put_if_newer(KEY, 11, octets.clone(), Duration::from_millis(200)).await.unwrap();
    assert_eq!(own.get(KEY).await.unwrap(), Some(octets));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(own.get(KEY).await.unwrap(), None, "its version goes with it");
    own.put_if_newer(KEY, 1, b"x".to_vec(), MINUTE).await.unwrap();
    assert_eq!(own.get(KEY).await.unwrap(), Some(b"x".to_vec()));
}

#[tokio::test]
async fn what_is_not_ours_under_a_key_is_replaced() {
    let Some(redis) = Redis::start().await else { return };
    let own = store(&redis);
    let mut connection = redis.connect().await;
    for (name, command) in [
        ("a list", ["RPUSH", KEY, "x"]),
        ("a set", ["SADD", KEY, "x"]),
        ("empty", ["SET", KEY, ""]),
        ("too short for a version", ["SET", KEY, "zzzzzzz"]),
    ] {
        ::redis::cmd("DEL").arg(KEY).exec_async(&mut connection).await.unwrap();
        let [command, arguments @ ..] = command;
        ::redis::cmd(command).arg(&arguments).exec_async(&mut connection).await.unwrap();
        own.put_if_newer(KEY, 1, b"value".to_vec(), MINUTE).await.unwrap();
        assert_eq!(own.get(KEY).await.unwrap(), Some(b"value".to_vec()), "{name}");
    }
}

#[tokio::test]
async fn a_server_that_forgot_the_script_learns_it_again() {
    let Some(redis) = Redis::start().await else { return };
    let own = store(&redis);
    let mut connection = redis.connect().await;
    for version in 1..4 {
        ::redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
        own.put_if_newer(KEY, version, vec![version as u8], MINUTE).await.unwrap();
        assert_eq!(own.get(KEY).await.unwrap(), Some(vec![version as u8]));
    }
    // It is sent once, and called by its name from then on.
    ::redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut connection).await.unwrap();
    for version in 4..9 {
        own.put_if_newer(KEY, version, vec![], MINUTE).await.unwrap();
    }
    let stats: String =
        ::redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    assert!(stats.contains("cmdstat_evalsha:calls=5,"), "{stats}");
    assert!(!stats.contains("cmdstat_eval:"), "{stats}");
}

#[tokio::test]
async fn without_the_right_to_look_nothing_is_overwritten() {
    let Some(redis) = Redis::start().await else { return };
    store(&redis).put_if_newer(KEY, 9, b"newer".to_vec(), MINUTE).await.unwrap();
    let mut connection = redis.connect().await;
    for (newer, rights, good) in [
        (10, &["+getrange", "+set", "+eval", "+evalsha"][..], true),
        (11, &["+set", "+eval", "+evalsha"], false),
        (12, &["+getrange", "+eval", "+evalsha"], false),
        (13, &["+getrange", "+set"], false),
    ] {
        let user = ["SETUSER", "api", "reset", "on", ">hunter2", "~tower-resource-server:*"];
        ::redis::cmd("ACL").arg(&user).arg(rights).exec_async(&mut connection).await.unwrap();
        let limited = RedisStore::new(&format!("redis://api:hunter2@{}", redis.address)).unwrap();
        let _ = limited.put_if_newer(KEY, 1, b"older".to_vec(), MINUTE).await;
        assert_eq!(store(&redis).get(KEY).await.unwrap(), Some(b"newer".to_vec()), "{rights:?}");
        let put = limited.put_if_newer(KEY, newer, b"newer".to_vec(), MINUTE).await;
        assert_eq!(put.is_ok(), good, "{rights:?}: {put:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_at_once_the_newest_wins() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 200;
    let Some(redis) = Redis::start().await else { return };
    let mut order: Vec<u64> = (1..=WRITERS * EACH).collect();
    // Shuffled, and the same each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for n in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        order.swap(n, (state >> 33) as usize % (n + 1));
    }
    let writers: Vec<_> = order
        .chunks(EACH as usize)
        .map(|versions| {
            let (own, versions) = (store(&redis), versions.to_vec());
            tokio::spawn(async move {
                for version in versions {
                    let value = version.to_string().into_bytes();
                    own.put_if_newer(KEY, version, value, MINUTE).await.unwrap();
                    // What is there is never older than what was written.
                    let there = own.get(KEY).await.unwrap().unwrap();
                    let there: u64 = String::from_utf8(there).unwrap().parse().unwrap();
                    assert!(there >= version, "{there} after {version}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let last = store(&redis).get(KEY).await.unwrap().unwrap();
    assert_eq!(last, (WRITERS * EACH).to_string().into_bytes());
}

#[tokio::test]
async fn an_older_active_in_redis_does_not_outlive_a_seen_revocation() {
    let Some(redis) = Redis::start().await else { return };
    for (name, apart, inactive_first) in [
        ("inactive is written first", 1_000, true),
        ("active is written first", 1_000, false),
        ("a tie, inactive first", 0, true),
        ("a tie, active first", 0, false),
    ] {
        let mut connection = redis.connect().await;
        ::redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
        let world = World::with(|own| own.shared_cache(redis.cache())).await;
        let token = world.issuer.token().opaque();
        world.bearer(&token).await.assert_ok(name);
        redis.has(1).await;
        let key = redis.keys().await.remove(0);
        let active = redis.get(&key).await;
        if inactive_first {
            // The write of the active one is on its way.
            ::redis::cmd("DEL").arg(&key).exec_async(&mut connection).await.unwrap();
        }
        world.clock.advance(Duration::from_millis(apart));
        world.issuer.revoke(&token);
        let other = another(&world, redis.cache());
        let asking = api(other.protect(tower_resource_server::policy::introspected_now()));
        asking.bearer(&token).await.assert_invalid_token(name);
        for _ in 0..PATIENCE {
            let there = redis.get(&key).await;
            if !there.is_empty() && there != active {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if inactive_first {
            // It arrives.
            let version = u64::from_be_bytes(active[..8].try_into().unwrap());
            store(&redis).put_if_newer(&key, version, active[8..].to_vec(), MINUTE).await.unwrap();
        }
        assert_ne!(redis.get(&key).await, active, "{name}");
        let calls = world.calls();
        ask(&another(&world, redis.cache()), &token).await.assert_invalid_token(name);
        assert_eq!(world.calls(), calls, "{name}: shared");
    }
}
