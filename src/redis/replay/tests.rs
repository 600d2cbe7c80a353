//! Against a real Redis. Each test has one of its own; without a `redis-server` or `valkey-server` on
//! the path they are skipped, and say so.

#[path = "../../../tests/support/redis.rs"]
mod server;

use super::*;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use redis::aio::MultiplexedConnection;
use server::Redis;

use crate::replay::tests::assert_one_of_many_passes;
use crate::replay::{Inserted, Replay};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// How long a proof is kept: longer than the slowest test.
const LIFE: Duration = Duration::from_secs(10 * 60);

/// The variable that tells the other process of a test what to do.
const TASK: &str = "REPLAY_TASK";

impl Redis {
    fn store(&self) -> RedisReplay {
        RedisReplay::new(&self.url()).unwrap()
    }
}

fn wall() -> Duration {
    SystemClock::new().wall()
}

/// A proof that was made at `made` and is used now. It can't have been used before it was made.
fn made(id: u64, made: Duration) -> UsedProof {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&id.to_be_bytes());
    UsedProof::new(octets, [1; 32], made, made + LIFE, wall())
}

fn fresh(id: u64) -> UsedProof {
    made(id, wall())
}

/// One that is later than the start of the data set, whose milliseconds are rounded up.
async fn later(id: u64) -> UsedProof {
    tokio::time::sleep(5 * MILLI).await;
    fresh(id)
}

/// Begins the data set with a proof that is forgotten.
async fn begin(store: &RedisReplay) {
    let answer = store.insert_if_absent(&fresh(u64::MAX)).await;
    assert_eq!(answer, Ok(Insertion::Forgotten), "the first one begins the data set");
    tokio::time::sleep(5 * MILLI).await;
}

#[test]
fn the_script_has_the_name_by_which_it_is_called() {
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes());
    let name: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(name, SCRIPT_SHA1);
}

#[test]
fn errors_name_the_type_and_debug_shows_no_password() {
    let problem = RedisReplay::new("hunter2").unwrap_err().to_string();
    assert!(
        problem.contains("RedisReplay: not a URL") && !problem.contains("hunter2"),
        "{problem}"
    );
    let problem = RedisReplay::with_root_certificates("redis://127.0.0.1", "PEM").unwrap_err();
    assert!(problem.to_string().contains("RedisReplay: root certificates"), "{problem}");
    let store = RedisReplay::new("redis://user:hunter2@redis.example.com:7000/2").unwrap();
    let shown = format!("{store:?}");
    assert!(shown.contains("redis.example.com:7000") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn milliseconds_are_rounded_up() {
    for (time, expected) in [
        (Duration::ZERO, 0),
        (Duration::from_nanos(1), 1),
        (MILLI, 1),
        (MILLI + Duration::from_nanos(1), 2),
        (Duration::MAX, u64::MAX),
    ] {
        assert_eq!(millis(time), expected, "{time:?}");
    }
}

#[tokio::test]
async fn a_proof_is_new_once_and_goes_when_it_is_refused_for_its_age() {
    let Some(redis) = Redis::start().await else { return };
    let store = redis.store();
    begin(&store).await;
    let proof = fresh(1);
    assert_eq!(store.insert_if_absent(&proof).await, Ok(Insertion::New));
    assert_eq!(store.insert_if_absent(&proof).await, Ok(Insertion::Known));
    assert_eq!(store.insert_if_absent(&fresh(2)).await, Ok(Insertion::New));
    assert_eq!(
        redis.store().insert_if_absent(&proof).await,
        Ok(Insertion::Known),
        "another server"
    );
    let key = [PROOF.as_bytes(), proof.id()].concat();
    let mut connection = redis.connect().await;
    let left: i64 = ::redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
    let life = i64::try_from(LIFE.as_millis()).unwrap();
    assert!((life - 60_000..=life).contains(&left), "{left}");
    let size: usize =
        ::redis::cmd("MEMORY").arg("USAGE").arg(&key).query_async(&mut connection).await.unwrap();
    assert!(size <= 200, "{size} octets");
    assert_eq!(redis.number(&["PTTL", SINCE]).await, -1, "the start does not expire");
    // A short one.
    let now = wall();
    let short = UsedProof::new([3; 32], [1; 32], now, now + 100 * MILLI, now);
    assert_eq!(store.insert_if_absent(&short).await, Ok(Insertion::New));
    tokio::time::sleep(200 * MILLI).await;
    // Redis counts expired keys until it removes them.
    let removed = async {
        while redis.number(&["DBSIZE"]).await != 3 {
            tokio::time::sleep(10 * MILLI).await;
        }
    };
    tokio::time::timeout(MINUTE, removed).await.expect("the start and two proofs");
    assert_eq!(store.problem(), None);
    // Times that Redis can't hold.
    for (name, earliest, until, now) in [
        ("a clock before 1970", now, Duration::MAX, Duration::MAX),
        ("an endless life", now, Duration::MAX, now),
        ("a time to come", Duration::MAX, now, now),
    ] {
        let proof = UsedProof::new([4; 32], [1; 32], earliest, until, now);
        assert!(store.insert_if_absent(&proof).await.is_err(), "{name}");
    }
    assert_eq!(store.insert_if_absent(&later(5).await).await, Ok(Insertion::New));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_tasks_over_two_connections_one_passes() {
    let Some(redis) = Redis::start().await else { return };
    let stores = [Arc::new(redis.store()), Arc::new(redis.store())];
    begin(&stores[0]).await;
    let base = wall();
    assert_one_of_many_passes(move |task, round| {
        let store = Arc::clone(&stores[task % 2]);
        async move { store.insert_if_absent(&made(round as u64, base)).await }
    })
    .await;
}

/// Presents the proofs with these ids, many at a time, and returns those that were new.
async fn present(store: Arc<RedisReplay>, ids: std::ops::Range<u64>, base: Duration) -> Vec<u64> {
    let (next, end) = (Arc::new(AtomicU64::new(ids.start)), ids.end);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            tokio::spawn(async move {
                let mut new = Vec::new();
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if id >= end {
                        return new;
                    }
                    if store.insert_if_absent(&made(id, base)).await.unwrap() == Insertion::New {
                        new.push(id);
                    }
                }
            })
        })
        .collect();
    let mut new = Vec::new();
    for task in tasks {
        new.extend(task.await.unwrap());
    }
    new
}

/// How often the two processes meet, and how many proofs both present each time.
const MEETINGS: u64 = 200;
const SHARED: u64 = 50;

/// Waits until both processes have come to this meeting, so that neither is far ahead of the other.
async fn meet(connection: &mut MultiplexedConnection, meeting: u64) {
    let key = format!("meeting:{meeting}");
    ::redis::cmd("INCR").arg(&key).exec_async(connection).await.unwrap();
    while ::redis::cmd("GET").arg(&key).query_async::<u64>(connection).await.unwrap() < 2 {
        tokio::task::yield_now().await;
    }
}

/// Presents the proofs of all meetings, and returns those that were new.
async fn present_at_meetings(url: &str, store: RedisReplay, base: Duration) -> Vec<u64> {
    let client = ::redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let store = Arc::new(store);
    let mut new = Vec::new();
    for meeting in 0..MEETINGS {
        meet(&mut connection, meeting).await;
        let ids = meeting * SHARED..(meeting + 1) * SHARED;
        new.extend(present(Arc::clone(&store), ids, base).await);
    }
    new
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_with_one_proof_one_passes() {
    let Some(redis) = Redis::start().await else { return };
    let store = redis.store();
    begin(&store).await;
    let base = Duration::from_secs(wall().as_secs() + 1);
    let task = format!("{} {}", redis.address, base.as_secs());
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["redis::replay::tests::the_other_process", "--exact", "--ignored", "--nocapture"])
        .env(TASK, task)
        .kill_on_drop(true)
        .output();
    let child = async {
        let done = child.await.unwrap();
        let said = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
        said
    };
    let url = redis.url();
    let both = async { tokio::join!(present_at_meetings(&url, store, base), child) };
    let (own, said) = tokio::time::timeout(2 * MINUTE, both).await.expect("both processes end");
    let line = said.lines().find_map(|line| line.strip_prefix("new:")).unwrap();
    let other: Vec<u64> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
    let all: HashSet<u64> = own.iter().chain(&other).copied().collect();
    assert_eq!(all.len(), own.len() + other.len(), "none twice");
    assert_eq!(all.len() as u64, MEETINGS * SHARED, "each once");
    assert!(!own.is_empty() && !other.is_empty(), "both: {} and {}", own.len(), other.len());
}

/// What `of_two_processes_with_one_proof_one_passes` runs as a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it is started by another test"]
async fn the_other_process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [address, base] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let url = format!("redis://{address}");
    let base = Duration::from_secs(base.parse().unwrap());
    let store = RedisReplay::new(&url).unwrap();
    let new = present_at_meetings(&url, store, base).await;
    let new: Vec<_> = new.iter().map(u64::to_string).collect();
    println!("\nnew:{}", new.join(" "));
}

/// Redis is killed under load and comes back, empty or with an old snapshot. No proof passes twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_and_restarted_admits_no_proof_twice() {
    for snapshot in [false, true] {
        let Some(mut redis) = Redis::start().await else { return };
        let stores = [Arc::new(redis.store()), Arc::new(redis.store())];
        begin(&stores[0]).await;
        let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let [passed, failed] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let load = |task: usize| {
            let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
            let (passed, failed) = (Arc::clone(&passed), Arc::clone(&failed));
            let stores = stores.clone();
            tokio::spawn(async move {
                let (mut new, mut proofs) = (Vec::new(), Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    let own = (id, wall());
                    proofs.push(own);
                    // The one that was just made, and an older one, at either server.
                    let older = proofs[(id as usize * 7_919) % proofs.len()];
                    for (n, (id, at)) in [own, older].into_iter().enumerate() {
                        let store = &stores[(task + n) % 2];
                        match store.insert_if_absent(&made(id, at)).await {
                            Ok(Insertion::New) => {
                                new.push(id);
                                passed.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(_) => {}
                            Err(_) => {
                                failed.fetch_add(1, Ordering::Relaxed);
                                tokio::time::sleep(5 * MILLI).await;
                            }
                        }
                    }
                }
                // Each of all its proofs once more.
                for (id, at) in proofs {
                    if store_ok(&stores[task % 2], id, at).await {
                        new.push(id);
                    }
                }
                new
            })
        };
        let tasks: Vec<_> = (0..8).map(load).collect();
        until_more(&passed, 100).await;
        if snapshot {
            redis.run(&["SAVE"]).await;
            until_more(&passed, 100).await;
        }
        redis.kill();
        until_more(&failed, 8).await;
        redis.restart().await;
        if snapshot {
            assert!(redis.number(&["EXISTS", SINCE]).await == 1, "the old start is there again");
        }
        until_more(&passed, 100).await;
        stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        let ids: HashSet<u64> = all.iter().copied().collect();
        assert_eq!(ids.len(), all.len(), "snapshot {snapshot}: a proof passed twice");
    }
}

/// Waits until `count` has grown by at least `more`.
async fn until_more(count: &AtomicUsize, more: usize) {
    let aim = count.load(Ordering::Relaxed) + more;
    let grown = async {
        while count.load(Ordering::Relaxed) < aim {
            tokio::time::sleep(5 * MILLI).await;
        }
    };
    tokio::time::timeout(2 * MINUTE, grown).await.expect("the load goes on");
}

async fn store_ok(store: &RedisReplay, id: u64, at: Duration) -> bool {
    store.insert_if_absent(&made(id, at)).await == Ok(Insertion::New)
}

#[tokio::test]
async fn a_loss_of_data_is_noticed_by_the_next_call() {
    for (name, command) in [
        ("all is deleted", &["FLUSHALL"][..]),
        ("the start is deleted", &["DEL", SINCE]),
        ("the script is gone", &["SCRIPT", "FLUSH"]),
    ] {
        let Some(redis) = Redis::start().await else { return };
        let stores = [redis.store(), redis.store()];
        begin(&stores[0]).await;
        let (used, unused) = (fresh(1), fresh(2));
        assert_eq!(stores[0].insert_if_absent(&used).await, Ok(Insertion::New), "{name}");
        tokio::time::sleep(5 * MILLI).await;
        redis.run(command).await;
        let answer = stores[1].insert_if_absent(&used).await;
        assert_ne!(answer, Ok(Insertion::New), "{name}");
        for store in &stores {
            assert_eq!(store.insert_if_absent(&unused).await, Ok(Insertion::Forgotten), "{name}");
        }
        let after = later(3).await;
        assert_eq!(stores[0].insert_if_absent(&after).await, Ok(Insertion::New), "{name}");
        assert_eq!(stores[1].insert_if_absent(&after).await, Ok(Insertion::Known), "{name}");
    }
}

#[tokio::test]
async fn a_full_redis_refuses_and_keeps_what_it_has() {
    let Some(redis) = Redis::start().await else { return };
    let store = redis.store();
    begin(&store).await;
    let base = wall();
    assert_eq!(store.insert_if_absent(&made(0, base)).await, Ok(Insertion::New));
    let limit = (redis.used().await + 300_000).to_string();
    redis.run(&["CONFIG", "SET", "maxmemory", &limit]).await;
    let mut admitted = 1;
    let refused = loop {
        match store.insert_if_absent(&made(admitted, base)).await {
            Ok(answer) => assert_eq!(answer, Insertion::New),
            Err(error) => break error,
        }
        admitted += 1;
        assert!(admitted < 10_000, "it is never full");
    };
    assert_eq!(refused.to_string(), "the server says OOM");
    for id in 0..admitted {
        assert_ne!(store.insert_if_absent(&made(id, base)).await, Ok(Insertion::New), "{id}");
    }
    redis.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(store.insert_if_absent(&made(admitted, base)).await, Ok(Insertion::New));
}

#[tokio::test]
async fn evictions_are_seen_within_ten_seconds_and_the_store_heals() {
    let Some(redis) = Redis::start().await else { return };
    let store = redis.store();
    begin(&store).await;
    let base = wall();
    // Used by requests until then, each 20 ms.
    let until = async |name: &str, limit: Duration, done: &dyn Fn(&Insert) -> bool| {
        let (start, mut id) = (store.clock.monotonic(), 1_000);
        loop {
            id += 1;
            let answer = store.insert_if_absent(&later(id).await).await;
            let took = store.clock.monotonic() - start;
            if done(&answer) {
                return took;
            }
            assert!(took < limit, "{name}: {answer:?}, {:?}", store.problem());
            tokio::time::sleep(20 * MILLI).await;
        }
    };
    assert_eq!(store.insert_if_absent(&made(1, base)).await, Ok(Insertion::New));
    redis.run(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let took = until("seen", 10 * SECOND, &|answer| answer.is_err()).await;
    let problem = store.problem().unwrap();
    assert!(problem.contains("maxmemory-policy is allkeys-lru"), "{problem}");
    // Another server refuses from its first request on.
    let other = redis.store();
    let refused = other.insert_if_absent(&fresh(2)).await.unwrap_err().to_string();
    assert!(refused.contains("allkeys-lru"), "{refused}");
    assert_eq!(other.problem(), Some(refused));
    // One that accepts evictions does not.
    let careless = redis.store().accept_evictions();
    assert_eq!(careless.insert_if_absent(&fresh(3)).await, Ok(Insertion::New));
    assert_eq!(careless.problem(), None);
    // It evicts indeed.
    let limit = (redis.used().await + 100_000).to_string();
    redis.run(&["CONFIG", "SET", "maxmemory", &limit]).await;
    for id in 10_000..13_000 {
        let _ = careless.insert_if_absent(&made(id, base)).await;
    }
    let evicted = redis.run(&["INFO", "stats"]).await;
    assert!(!format!("{evicted:?}").contains("evicted_keys:0"));
    redis.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    redis.run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    let unused = fresh(4);
    let healed = until("healed", 12 * SECOND, &|answer| *answer == Ok(Insertion::New)).await;
    assert_eq!(store.problem(), None);
    for proof in [made(1, base), unused] {
        let answer = store.insert_if_absent(&proof).await;
        assert_eq!(answer, Ok(Insertion::Forgotten), "it can have been evicted");
    }
    // A server that starts now sees the count.
    let new = redis.store();
    let proof = later(5).await;
    assert_eq!(new.insert_if_absent(&proof).await, Ok(Insertion::Forgotten));
    tokio::time::sleep(SECOND).await;
    assert_eq!(new.insert_if_absent(&later(6).await).await, Ok(Insertion::New));
    println!("seen after {took:?}, healed after {healed:?}");
}

type Insert = Result<Insertion, SourceError>;

#[tokio::test]
async fn a_user_needs_these_rights_and_fails_without_one() {
    let Some(redis) = Redis::start().await else { return };
    let keys = "~{tower-resource-server:replay}:*";
    let rights = ["+evalsha", "+eval", "+get", "+set", "+time", "+info"];
    let url = format!("redis://api:hunter2@{}", redis.address);
    redis.run(&[&["ACL", "SETUSER", "api", "on", ">hunter2", keys], &rights[..]].concat()).await;
    let store = RedisReplay::new(&url).unwrap();
    begin(&store).await;
    assert_eq!(store.insert_if_absent(&fresh(1)).await, Ok(Insertion::New));
    for right in rights {
        let missing = right.replace('+', "-");
        redis.run(&["FLUSHALL"]).await;
        redis.run(&["SCRIPT", "FLUSH"]).await;
        redis.run(&["ACL", "SETUSER", "api", &missing]).await;
        let store = RedisReplay::new(&url).unwrap();
        for id in 0..3 {
            let refused = store.insert_if_absent(&fresh(id)).await;
            assert!(refused.is_err(), "{missing}: {refused:?}");
        }
        let looks = store.problem().is_some_and(|text| text.contains("NOPERM"));
        assert_eq!(looks, right == "+info", "{missing}: {:?}", store.problem());
        redis.run(&["ACL", "SETUSER", "api", right]).await;
        let _ = store.insert_if_absent(&fresh(4)).await.unwrap();
        assert_eq!(store.insert_if_absent(&later(5).await).await, Ok(Insertion::New), "{right}");
        assert_eq!(store.problem(), None, "{right}");
    }
    let store = RedisReplay::new(&url.replace("hunter2", "hunter3")).unwrap();
    let refused = store.insert_if_absent(&fresh(6)).await.unwrap_err().to_string();
    assert!(!refused.contains("hunter"), "{refused}");
}

#[tokio::test]
async fn a_replica_refuses_and_a_server_that_is_gone_or_hangs_is_an_error() {
    let Some(mut redis) = Redis::start().await else { return };
    let replays = Replay::store(redis.store()).start(wall());
    let insert = async |id| match replays.insert(later(id).await) {
        Inserted::Later(later) => later.await,
        Inserted::Now(answer) => panic!("{answer:?}"),
    };
    assert_eq!(insert(1).await, Ok(Insertion::Forgotten));
    assert_eq!(insert(2).await, Ok(Insertion::New));
    redis.run(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert!(insert(3).await.is_err(), "a replica");
    redis.run(&["REPLICAOF", "NO", "ONE"]).await;
    assert_eq!(insert(4).await, Ok(Insertion::New));
    redis.kill();
    assert!(insert(5).await.is_err(), "gone");
    redis.restart().await;
    assert_eq!(insert(6).await, Ok(Insertion::Forgotten));
    assert_eq!(insert(7).await, Ok(Insertion::New));
    let hangs = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", hangs.local_addr().unwrap());
    let replays = Replay::store(RedisReplay::new(&url).unwrap()).start(wall());
    let Inserted::Later(later) = replays.insert(fresh(8)) else { panic!("now") };
    let answer = tokio::time::timeout(2 * SECOND, later).await.expect("within the deadline");
    assert!(answer.is_err(), "it hangs: {answer:?}");
}

/// How many connections were made to Redis, with one connection that stays.
async fn connections(redis: &mut MultiplexedConnection) -> u64 {
    let text: String = ::redis::cmd("INFO").arg("stats").query_async(redis).await.unwrap();
    let name = "total_connections_received:";
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_caller_that_gives_up_early_does_not_cost_the_others_their_connection() {
    let Some(redis) = Redis::start().await else { return };
    let store = redis.store();
    begin(&store).await;
    let mut own = redis.connect().await;
    let before = connections(&mut own).await;
    for (name, patience, made) in [("early", 20 * MILLI, 0), ("late", 250 * MILLI, 1)] {
        for id in 0..3 {
            ::redis::cmd("CLIENT").arg(&["PAUSE", "400"]).exec_async(&mut own).await.unwrap();
            let call = fresh(id);
            let call = store.insert_if_absent(&call);
            assert!(tokio::time::timeout(patience, call).await.is_err(), "{name}");
            tokio::time::sleep(450 * MILLI).await;
            let _ = store.insert_if_absent(&fresh(10 + id)).await.unwrap();
            assert_eq!(connections(&mut own).await, before + made * (id + 1), "{name} {id}");
        }
    }
}

#[tokio::test]
async fn after_an_answer_of_a_replica_the_primary_is_looked_for_again() {
    let Some(redis) = Redis::start().await else { return };
    let store = redis.store();
    begin(&store).await;
    redis.run(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let mut own = redis.connect().await;
    let before = connections(&mut own).await;
    let insert = async || store.insert_if_absent(&fresh(1)).await.unwrap_err().to_string();
    for _ in 0..3 {
        assert_eq!(insert().await, "the server says READONLY");
    }
    assert_eq!(connections(&mut own).await, before, "not each call connects");
    tokio::time::sleep(SECOND).await;
    insert().await;
    insert().await;
    assert_eq!(connections(&mut own).await, before + 1);
}

#[tokio::test]
async fn a_start_in_the_future_is_a_problem() {
    let Some(redis) = Redis::start().await else { return };
    let store = redis.store();
    let hour = 3_600 * SECOND;
    let ahead = UsedProof::new([9; 32], [1; 32], wall() + hour, wall() + hour, wall() + hour);
    let _ = store.insert_if_absent(&ahead).await.unwrap();
    assert_eq!(store.problem(), None);
    assert_eq!(store.insert_if_absent(&fresh(1)).await, Ok(Insertion::Forgotten));
    assert!(store.problem().is_some_and(|text| text.contains("in the future")));
    redis.run(&["DEL", SINCE]).await;
    begin(&store).await;
    assert_eq!(store.insert_if_absent(&fresh(2)).await, Ok(Insertion::New));
    assert_eq!(store.problem(), None);
}
