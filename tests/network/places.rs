//! Several key sets of one issuer, as of a server that has one for each policy.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use tower_resource_server::builder::{Builder, Ready};
use tower_resource_server::clock::TestClock;
use tower_resource_server::keys::{Algorithm, KeySeed};
use tower_resource_server::observe::Event;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

use super::ask;
use super::scripted::Scripted;
use super::support::*;

/// Two policies with keys of their own, and one `iss`.
struct World {
    host: Scripted,
    policies: [TestIssuer; 2],
    clock: TestClock,
    server: ResourceServer,
}

const PATHS: [&str; 2] = ["/signin/keys", "/reset/keys"];

impl World {
    async fn start() -> Self {
        Self::of([issuer(), issuer()]).await
    }

    /// The second policy has keys of another type.
    async fn of_two_types() -> Self {
        let rsa = TestIssuer::builder().algorithm(Algorithm::RS256).in_process(ISSUER);
        Self::of([issuer(), rsa]).await
    }

    async fn of(policies: [TestIssuer; 2]) -> Self {
        let host = Scripted::start().await;
        // No kid is one of both.
        (0..3).for_each(|_| drop(policies[1].rotate()));
        let clock = TestClock::starting_now();
        let uris = PATHS.map(|path| format!("{}{path}", host.url));
        let server = builder(Issuer::new(ISSUER).jwks_uris(uris)).allow_http_loopback();
        let server = server.clock(clock.clone()).build().unwrap();
        let world = Self { host, policies, clock, server };
        (0..2).for_each(|at| world.publish(at));
        world
    }

    fn publish(&self, at: usize) {
        let etag = format!("etag: \"{}\"\r\n", self.policies[at].jwks().len());
        let answer = Scripted::answer("200 OK", &etag, &self.policies[at].jwks());
        self.host.set(PATHS[at], answer);
    }

    fn breaks(&self, at: usize) {
        self.host.set(PATHS[at], Scripted::answer("500 Internal Server Error", "", ""));
    }

    /// The place confirms its set.
    fn confirms(&self, at: usize) {
        let etag = format!("etag: \"{}\"\r\n", self.policies[at].jwks().len());
        self.host.set(PATHS[at], Scripted::answer("304 Not Modified", &etag, ""));
    }

    /// The same places, and these algorithms.
    fn reload(&self, algorithms: &[Algorithm]) {
        let issuer = Issuer::new(ISSUER).jwks_uris(self.uris()).algorithms(algorithms.to_vec());
        self.server.reload([issuer], [AUDIENCE]).unwrap();
    }

    /// The next process, with a seed.
    fn next(&self, seed: &[u8]) -> Builder<Ready> {
        let issuer = Issuer::new(ISSUER).jwks_uris(self.uris());
        let issuer = issuer.seed(KeySeed::from_json(seed).unwrap());
        builder(issuer).allow_http_loopback().clock(self.clock.clone())
    }

    fn seed(&self) -> Vec<u8> {
        self.server.export_keys()[0].to_json()
    }

    fn seed_json(&self) -> Value {
        serde_json::from_slice(&self.seed()).unwrap()
    }

    /// Replaces the keys of a policy. Returns a token that was good before.
    async fn withdraw_keys(&self, at: usize) -> String {
        let token = self.policies[at].token().expires_in(100_000).sign();
        ask(&self.server, &token).await.assert_ok("before its key is withdrawn");
        (0..8).for_each(|_| drop(self.policies[at].rotate()));
        self.publish(at);
        token
    }

    async fn ask(&self, at: usize) -> Reply {
        ask(&self.server, &self.policies[at].token().expires_in(100_000).sign()).await
    }

    async fn forged(&self, kid: &str) -> Reply {
        let token = self.policies[0].token().expires_in(100_000).header("kid", kid).sign();
        ask(&self.server, &token).await
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Lets a refresh that is due happen.
    async fn refreshed(&self) {
        let outcome = || {
            let health = self.server.health().issuers.remove(0);
            (health.age, health.failures)
        };
        let (before, outcome_before) = (self.asked(), outcome());
        for _ in 0..2_000 {
            self.ask(0).await;
            self.ask(1).await;
            let was_asked = self.asked()[0] > before[0] && self.asked()[1] > before[1];
            if was_asked && outcome() != outcome_before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no fetch of both sets has ended: {before:?}, now {:?}", self.asked());
    }

    /// The second set fails, and its keys are used all the while. 3,890 s pass; its freshness of 300 s and the hour are
    /// over after 3,900.
    async fn fails_for_almost_an_hour(&self, midway: impl Fn()) {
        self.ask(1).await.assert_ok("warm");
        self.breaks(1);
        self.pass(290);
        for minute in 0..60 {
            self.refreshed().await;
            self.ask(1).await.assert_ok("within the hour");
            if minute == 30 {
                midway();
            }
            self.pass(60);
        }
        self.refreshed().await;
    }

    fn asked(&self) -> [usize; 2] {
        PATHS.map(|path| self.host.asked(path))
    }

    fn uris(&self) -> [String; 2] {
        PATHS.map(|path| format!("{}{path}", self.host.url))
    }

    fn last_error(&self) -> Option<String> {
        self.last_error_of(&self.server)
    }

    fn last_error_of(&self, server: &ResourceServer) -> Option<String> {
        server.health().issuers[0].last_error.as_ref().map(ToString::to_string)
    }
}

#[tokio::test]
async fn keys_of_several_sets_count_together() {
    let world = World::start().await;
    world.ask(0).await.assert_ok("the first");
    world.ask(1).await.assert_ok("the second");
    assert_eq!(world.asked(), [1, 1]);
    let stranger = issuer();
    stranger.rotate();
    stranger.rotate();
    ask(&world.server, &stranger.token().sign()).await.assert_invalid_token("neither");
    assert_eq!(world.asked(), [2, 2], "a look for a kid is one at each");
    let other = TestIssuer::in_process("https://other.example.com");
    ask(&world.server, &other.token().sign()).await.assert_invalid_token("another iss");
    // Each by its own ETag.
    world.pass(290);
    world.refreshed().await;
    let etags = world.host.fields("if-none-match");
    for (at, path) in PATHS.iter().enumerate() {
        let last = etags.iter().rev().find(|(own, _)| own == path).unwrap();
        let own = format!("\"{}\"", world.policies[at].jwks().len());
        assert_eq!(last.1.as_deref(), Some(own.as_str()), "{path}");
    }
    assert_eq!(world.last_error(), None);
}

#[tokio::test]
async fn a_set_that_fails_drops_nothing_of_another() {
    let world = World::start().await;
    world.breaks(1);
    world.ask(0).await.assert_ok("the other one answers");
    world.ask(1).await.assert_unavailable("nobody could look");
    assert!(world.last_error().unwrap().contains("key set 2: status 500"));
    world.publish(1);
    world.pass(61);
    world.refreshed().await;
    world.ask(1).await.assert_ok("back");
    // With good keys in use, the one that fails keeps them while the other one rotates.
    world.breaks(1);
    world.policies[0].rotate();
    world.publish(0);
    world.pass(20);
    world.ask(0).await.assert_ok("a new key of the one that answers");
    world.ask(1).await.assert_ok("the last good key of the one that fails");
    for bad in ["<html></html>", r#"{"keys":[]}"#, "[]"] {
        world.host.set_json(PATHS[1], bad);
        world.pass(60);
        world.refreshed().await;
        world.ask(0).await.assert_ok(bad);
        world.ask(1).await.assert_ok(bad);
    }
    world.publish(1);
    world.pass(60);
    world.refreshed().await;
    assert_eq!(world.last_error(), None);
}

#[tokio::test]
async fn a_key_that_a_good_answer_lacks_is_gone_at_once() {
    let world = World::start().await;
    world.ask(1).await.assert_ok("published");
    let token = world.policies[1].token().expires_in(100_000).sign();
    let old = world.server.health().issuers[0].key_ids.clone();
    assert_eq!(old.len(), 2);
    let other = issuer();
    other.rotate();
    other.rotate();
    world.host.set_json(PATHS[1], &other.jwks());
    world.breaks(0);
    world.pass(290);
    world.refreshed().await;
    assert!(!ask(&world.server, &token).await.ran, "withdrawn, though the other set failed");
    world.ask(0).await.assert_ok("the last good key of the one that fails");
}

/// While a set can't be fetched, a kid may be there: that is no fault of the token.
#[tokio::test]
async fn an_unknown_kid_is_401_where_every_set_was_looked_at() {
    let world = World::start().await;
    world.ask(0).await.assert_ok("warm");
    world.forged("a").await.assert_invalid_token("both answered");
    world.breaks(1);
    world.pass(30);
    world.forged("b").await.assert_unavailable("one of them failed");
    world.publish(1);
    world.pass(30);
    world.forged("c").await.assert_invalid_token("both answer again");
}

/// The keys of a set that fails are used an hour past their freshness, however often others succeed.
#[tokio::test]
async fn a_set_that_fails_is_used_for_an_hour() {
    for reload in [false, true] {
        let world = World::start().await;
        let midway = || {
            if reload {
                world.reload(&[Algorithm::ES256, Algorithm::RS256]);
            }
        };
        world.fails_for_almost_an_hour(midway).await;
        world.ask(1).await.assert_ok("at the end of the hour");
        // By now, the other one fails as well. Its keys have most of their time left.
        world.breaks(0);
        world.pass(10);
        world.ask(0).await.assert_ok("the other one");
        world.ask(1).await.assert_unavailable("past it");
        world.ask(0).await.assert_ok("the other one");
        world.publish(0);
        world.pass(61);
        world.refreshed().await;
        world.ask(0).await.assert_ok("the other one");
        world.ask(1).await.assert_unavailable("past it");
        world.publish(1);
        world.pass(61);
        world.refreshed().await;
        world.ask(1).await.assert_ok("back");
    }
}

#[tokio::test]
async fn where_all_sets_fail_it_is_a_failure_as_of_one() {
    let world = World::start().await;
    world.breaks(0);
    world.breaks(1);
    world.ask(0).await.assert_unavailable("both");
    let url = &world.host.url;
    let [first, second] = PATHS.map(|path| format!("status 500 ({url}{path})"));
    let problem = format!("`key set 1: {first}; key set 2: {second}`");
    assert_eq!(world.last_error().unwrap(), problem);
    world.publish(0);
    world.publish(1);
    world.pass(31);
    world.ask(0).await.assert_ok("back");
    world.ask(1).await.assert_ok("back");
}

#[tokio::test]
async fn a_set_of_many_keys_pushes_out_none_of_another() {
    let world = World::start().await;
    let entry = world.policies[0].jwks();
    let entry = entry.trim_start_matches(r#"{"keys":["#).trim_end_matches("]}");
    let filler = entry.replace("\"kid\":\"", "\"kid\":\"x");
    let many = format!(r#"{{"keys":[{entry},{}]}}"#, vec![filler; 300].join(","));
    world.host.set_json(PATHS[0], &many);
    world.ask(1).await.assert_ok("the second set");
    world.ask(0).await.assert_ok("the first entry");
    assert_eq!(world.server.health().issuers[0].skipped, 1, "the rest is reported");
}

#[test]
fn one_to_sixteen_places() {
    let uris = |count: usize| (0..count).map(|n| format!("https://as.example.com/{n}"));
    for (count, good) in [(0, false), (1, true), (2, true), (16, true), (17, false)] {
        let built = builder(Issuer::new(ISSUER).jwks_uris(uris(count))).build();
        assert_eq!(built.is_ok(), good, "{count}: {built:?}");
    }
    let one_bad = Issuer::new(ISSUER).jwks_uris(["https://as.example.com/a", "http://other/b"]);
    assert!(builder(one_bad).build().is_err());
}

#[tokio::test]
async fn the_failures_of_one_set_are_counted_until_it_answers_again() {
    let world = World::start().await;
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&events);
    let server = builder(Issuer::new(ISSUER).jwks_uris(world.uris())).allow_http_loopback();
    let server = server.clock(world.clock.clone()).on_event(move |event| match event {
        Event::RefreshFailed { failures, .. } => {
            seen.lock().unwrap().push(format!("failed {failures}"));
        }
        Event::Recovered { failures, .. } => {
            seen.lock().unwrap().push(format!("recovered {failures}"));
        }
        _ => {}
    });
    let world = World { server: server.build().unwrap(), ..world };
    world.ask(1).await.assert_ok("warm");
    let heard = async |count: usize| {
        for _ in 0..2_000 {
            if events.lock().unwrap().len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{count} events: {:?}", events.lock().unwrap());
    };
    let failures = || world.server.health().issuers[0].failures;
    world.pass(290);
    world.breaks(1);
    for count in 1..=3 {
        world.refreshed().await;
        heard(count).await;
        assert_eq!(failures(), count as u32);
        world.pass(61);
    }
    // Both fail, and then one of them again.
    world.breaks(0);
    world.refreshed().await;
    heard(4).await;
    assert_eq!(failures(), 4);
    world.publish(0);
    world.pass(61);
    world.refreshed().await;
    heard(6).await;
    world.pass(61);
    world.publish(1);
    world.refreshed().await;
    heard(7).await;
    assert_eq!(failures(), 0);
    let expected =
        ["failed 1", "failed 2", "failed 3", "failed 4", "recovered 1", "failed 4", "recovered 4"];
    assert_eq!(*events.lock().unwrap(), expected);
}

/// Some keys of an incomplete set are older than the set. A process that starts with it uses them no longer.
#[tokio::test]
async fn a_seed_makes_the_keys_of_a_set_that_fails_no_newer() {
    for other_fails in [true, false] {
        let world = World::start().await;
        world.fails_for_almost_an_hour(|| ()).await;
        let text = world.seed();
        if other_fails {
            world.breaks(0);
        }
        let next = world.next(&text).build().unwrap();
        let world = World { server: next, ..world };
        world.ask(1).await.assert_ok("within the hour");
        world.refreshed().await;
        world.ask(1).await.assert_ok("after the first fetch");
        world.pass(10);
        world.ask(1).await.assert_unavailable("past it");
        world.publish(1);
        world.pass(61);
        world.ask(1).await.assert_ok("back");
    }
}

/// In a seed, each set has its own age. Before or after the old set has ended, the process that starts with the seed,
/// and the engine after a reload, go on with the new set.
#[tokio::test]
async fn the_end_of_a_set_that_fails_is_not_the_end_of_another() {
    for (by_seed, later) in [(true, 0), (true, 11), (false, 0), (false, 11)] {
        let name = format!("{} {later}", if by_seed { "seed" } else { "reload" });
        let world = World::start().await;
        world.fails_for_almost_an_hour(|| ()).await;
        let seed = world.seed();
        world.pass(later);
        // Now the old one answers, and the new one fails.
        world.publish(1);
        world.breaks(0);
        let world = if by_seed {
            World { server: world.next(&seed).build().unwrap(), ..world }
        } else {
            world.reload(&[Algorithm::ES256, Algorithm::RS256]);
            world
        };
        world.ask(0).await.assert_ok(&name);
        world.pass(59);
        world.refreshed().await;
        world.ask(0).await.assert_ok(&format!("{name}: the set that fails now"));
        world.ask(1).await.assert_ok(&format!("{name}: the set that failed before"));
        world.pass(3_900);
        world.ask(0).await.assert_unavailable(&format!("{name}: past its own end"));
    }
}

/// After the end of the combined set, everything says that the other set is still used, also without a request.
#[tokio::test]
async fn what_is_said_when_one_of_several_sets_ends() {
    for who in ["a request", "health", "ready", "a fetch"] {
        let world = World::start().await;
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&events);
        let issuer = Issuer::new(ISSUER).jwks_uris(world.uris());
        let server = builder(issuer).allow_http_loopback().clock(world.clock.clone());
        let server = server.on_event(move |event| match event {
            Event::Rotated { added, removed, .. } => {
                let text = format!("rotated +{} -{}", added.len(), removed.len());
                seen.lock().unwrap().push(text);
            }
            Event::RefreshFailed { usable_for, .. } => {
                seen.lock().unwrap().push(format!("usable {}", usable_for.is_some()));
            }
            _ => {}
        });
        let world = World { server: server.build().unwrap(), ..world };
        world.fails_for_almost_an_hour(|| ()).await;
        world.breaks(0);
        events.lock().unwrap().clear();
        if who == "a fetch" {
            // It begins before the end, and it fails after the end.
            PATHS.iter().for_each(|path| world.host.set_delay(path, Duration::from_millis(500)));
            let end = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                world.pass(11);
            };
            tokio::join!(world.forged("x"), end).0.assert_unavailable(who);
            for _ in 0..2_000 {
                if events.lock().unwrap().iter().any(|event| event.starts_with("usable")) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } else {
            world.pass(11);
        }
        match who {
            "a request" => world.ask(0).await.assert_ok(who),
            "ready" => world.server.ready(Duration::ZERO).await.unwrap(),
            _ => {}
        }
        let health = world.server.health();
        assert!(health.is_ready(), "{who}");
        assert_eq!(health.issuers[0].key_ids.len(), 1, "{who}");
        world.ask(0).await.assert_ok(who);
        world.ask(1).await.assert_unavailable(who);
        let events = events.lock().unwrap().clone();
        assert_eq!(events[0], "rotated +0 -1", "{who}");
        assert!(!events.contains(&"usable false".to_owned()), "{who}: {events:?}");
        assert_eq!(events.iter().filter(|event| event.starts_with("rotated")).count(), 1, "{who}");
    }
}

/// Keys that are no longer used are not exported.
#[tokio::test]
async fn a_set_that_has_ended_is_not_in_a_seed() {
    let world = World::start().await;
    world.fails_for_almost_an_hour(|| ()).await;
    let sets = |world: &World| {
        let seed = world.seed_json();
        seed["parts"].as_array().unwrap().len()
    };
    assert_eq!(sets(&world), 2);
    world.pass(11);
    assert_eq!(sets(&world), 1);
    world.pass(3_900);
    assert_eq!(world.server.export_keys(), []);
}

/// The keys of a URL that was removed from the configuration are not used.
#[tokio::test]
async fn a_seed_has_no_keys_of_a_url_that_was_removed() {
    let world = World::start().await;
    world.ask(1).await.assert_ok("warm");
    let seed = KeySeed::from_json(&world.seed()).unwrap();
    (0..2).for_each(|at| world.breaks(at));
    let [first, second] = world.uris();
    let other = format!("{}/other", world.host.url);
    for (name, uris, found) in [
        ("both", vec![first.clone(), second.clone()], [true, true]),
        ("in another order", vec![second.clone(), first.clone()], [true, true]),
        ("one and a new one", vec![first.clone(), other.clone()], [true, false]),
        ("one", vec![second], [false, true]),
        ("the other", vec![first], [true, false]),
        ("others", vec![other.clone(), format!("{other}2")], [false, false]),
    ] {
        let issuer = Issuer::new(ISSUER).jwks_uris(uris).seed(seed.clone());
        let server = builder(issuer).allow_http_loopback().clock(world.clock.clone());
        let server = server.build().unwrap();
        for (policy, found) in world.policies.iter().zip(found) {
            let reply = ask(&server, &policy.token().sign()).await;
            if found { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
        }
    }
}

/// The same places with other algorithms have another engine. It begins with the last good set of each place.
#[tokio::test]
async fn a_reload_with_other_algorithms_keeps_the_keys_of_a_set_that_fails() {
    let world = World::of_two_types().await;
    let both = [Algorithm::ES256, Algorithm::RS256];
    world.reload(&both);
    world.ask(1).await.assert_ok("warm");
    world.breaks(1);
    world.pass(290);
    world.refreshed().await;
    assert_eq!(world.server.health().issuers[0].failures, 1);
    world.reload(&[Algorithm::ES256, Algorithm::RS256, Algorithm::PS256]);
    assert_eq!(world.server.health().issuers[0].failures, 1, "the count goes on");
    world.pass(61);
    world.refreshed().await;
    world.ask(0).await.assert_ok("the one that answers");
    world.ask(1).await.assert_ok("the one that fails");
    // A mistake that is taken back.
    world.reload(&[Algorithm::ES256]);
    world.ask(1).await.assert_invalid_token("an algorithm that is not accepted");
    world.pass(61);
    world.refreshed().await;
    world.ask(1).await.assert_invalid_token("an algorithm that is not accepted");
    world.reload(&both);
    world.pass(61);
    world.refreshed().await;
    world.ask(1).await.assert_ok("accepted again");
    // The mistake is taken back while both fail.
    world.reload(&[Algorithm::ES256]);
    world.pass(61);
    world.refreshed().await;
    world.breaks(0);
    world.reload(&both);
    world.ask(0).await.assert_ok("both fail now");
    world.ask(1).await.assert_ok("both fail now");
    // There is another mistake.
    world.reload(&[Algorithm::ES256]);
    world.publish(0);
    world.pass(61);
    world.refreshed().await;
    world.reload(&[Algorithm::RS256]);
    world.ask(0).await.assert_invalid_token("an algorithm that is not accepted");
    world.ask(1).await.assert_ok("the one that fails");
    // A greater mistake: no set has a key of this algorithm.
    world.reload(&[Algorithm::PS512]);
    world.ask(0).await.assert_invalid_token("no set has a usable key");
    world.breaks(0);
    world.reload(&both);
    world.ask(0).await.assert_ok("both fail now");
    world.ask(1).await.assert_ok("both fail now");
}

/// A set that its server confirms is the last good set, also of another engine.
#[tokio::test]
async fn each_set_may_be_confirmed() {
    let world = World::of_two_types().await;
    world.reload(&[Algorithm::ES256, Algorithm::RS256]);
    world.ask(1).await.assert_ok("warm");
    world.confirms(1);
    world.pass(290);
    world.refreshed().await;
    world.confirms(0);
    for _ in 0..15 {
        world.pass(290);
        world.refreshed().await;
    }
    assert_eq!(world.last_error(), None);
    world.reload(&[Algorithm::ES256, Algorithm::RS256, Algorithm::PS256]);
    for _ in 0..15 {
        world.pass(290);
        world.refreshed().await;
    }
    assert_eq!(world.last_error(), None);
    world.ask(0).await.assert_ok("confirmed");
    world.ask(1).await.assert_ok("confirmed");
    // A set without a usable key is not good, even if it has not changed.
    world.reload(&[Algorithm::ES256]);
    world.pass(290);
    world.refreshed().await;
    let problem = world.last_error().unwrap();
    assert!(problem.contains("key set 2: no usable key"), "{problem}");
    world.ask(0).await.assert_ok("the good one");
    // It ends after 3,900 s, of which 290 have passed. This is not the end of the good one, which fails by then.
    for _ in 0..59 {
        world.pass(60);
        world.refreshed().await;
        world.ask(0).await.assert_ok("the good one");
    }
    world.breaks(0);
    for _ in 0..3 {
        world.pass(60);
        world.ask(0).await.assert_ok("the last good version of the good one");
    }
}

/// A reload with other algorithms and a seed goes on with the newer version of each set.
#[tokio::test]
async fn a_reload_with_a_seed_keeps_the_newer_version_of_each_set() {
    let world = World::start().await;
    world.ask(1).await.assert_ok("warm");
    // Another process fetched both sets 1,000 s later.
    let mut seed = world.seed_json();
    for part in seed["parts"].as_array_mut().unwrap() {
        part["fetched_at"] = json!(part["fetched_at"].as_u64().unwrap() + 1_000);
    }
    let withdrawn = world.withdraw_keys(0).await;
    world.fails_for_almost_an_hour(|| ()).await;
    world.breaks(0);
    world.pass(11);
    let seed = KeySeed::from_json(seed.to_string().as_bytes()).unwrap();
    let issuer = Issuer::new(ISSUER).jwks_uris(world.uris()).seed(seed);
    let algorithms = [Algorithm::ES256, Algorithm::PS256];
    world.server.reload([issuer.algorithms(algorithms)], [AUDIENCE]).unwrap();
    world.ask(0).await.assert_ok("by the engine");
    assert!(!ask(&world.server, &withdrawn).await.ran, "the seed has it, but the engine has not");
    world.ask(1).await.assert_ok("by the seed");
    world.publish(0);
    world.pass(61);
    world.refreshed().await;
    world.ask(0).await.assert_ok("the one that answers");
    world.ask(1).await.assert_ok("the one that fails, by the seed");
    // The seed's version of the first set ends at 4,900 s, and the version before the reload much later.
    world.publish(1);
    world.breaks(0);
    world.pass(1_100);
    world.ask(0).await;
    world.pass(61);
    world.refreshed().await;
    world.ask(0).await.assert_ok("the one that fails, by the engine");
    world.ask(1).await.assert_ok("the one that answers");
}

/// The builder of a reload may have the seed of the start. Its sets are older, even if they may be used for longer.
#[tokio::test]
async fn a_reload_with_an_old_seed_brings_no_withdrawn_key_back() {
    let world = World::start().await;
    world.ask(1).await.assert_ok("warm");
    let mut seed = world.seed_json();
    // Its sets end after 7,200 s.
    (0..2).for_each(|at| seed["parts"][at]["freshness"] = json!(3_600));
    let withdrawn = world.withdraw_keys(1).await;
    world.pass(1_000);
    world.refreshed().await;
    world.ask(1).await.assert_ok("published");
    assert!(!ask(&world.server, &withdrawn).await.ran, "withdrawn");
    let algorithms = [Algorithm::ES256, Algorithm::RS256];
    let issuer = Issuer::new(ISSUER).jwks_uris(world.uris()).algorithms(algorithms);
    let issuer = issuer.seed(KeySeed::from_json(seed.to_string().as_bytes()).unwrap());
    world.server.reload([issuer], [AUDIENCE]).unwrap();
    world.breaks(1);
    world.pass(290);
    world.refreshed().await;
    world.ask(1).await.assert_ok("published");
    assert!(!ask(&world.server, &withdrawn).await.ran, "withdrawn");
}

/// The first fetch of the next process finds one set failing. It uses the keys of this set in the
/// seed, and no others: a key that another set no longer has is refused.
#[tokio::test]
async fn a_seed_has_the_keys_of_a_set_that_fails() {
    let world = World::start().await;
    world.ask(1).await.assert_ok("warm");
    let text = world.seed();
    let shown = String::from_utf8(text.clone()).unwrap();
    assert!(!shown.contains("signin") && !shown.contains("http://"), "no URL: {shown}");
    let withdrawn = world.withdraw_keys(0).await;
    world.breaks(1);
    // Without a seed, the keys of the set that fails are not known.
    let issuer = Issuer::new(ISSUER).jwks_uris(world.uris());
    let cold = builder(issuer).allow_http_loopback().clock(world.clock.clone()).build().unwrap();
    let world = World { server: cold, ..world };
    world.ask(1).await.assert_unavailable("no seed");
    let world = World { server: world.next(&text).build().unwrap(), ..world };
    world.ask(1).await.assert_ok("the keys of the set that fails");
    world.refreshed().await;
    assert!(world.last_error().unwrap().contains("key set 2: status 500"));
    world.ask(1).await.assert_ok("the keys of the set that fails, after the fetch");
    world.ask(0).await.assert_ok("the new key of the set that answers");
    let reply = ask(&world.server, &withdrawn).await;
    assert!(!reply.ran, "a withdrawn key of the set that answers");
    // The seed ends like a single set: after the freshness of 300 s and an hour.
    world.pass(3_900);
    world.ask(1).await.assert_unavailable("past the hour");
}

/// A document may have 512 KiB. So the seed of several documents may have more.
#[tokio::test]
async fn a_seed_of_several_large_sets_is_used() {
    let world = World::start().await;
    for (path, policy) in PATHS.iter().zip(&world.policies) {
        // An entry that is not a key, and then the keys.
        let filler = format!(r#""keys":[{{"x":"{}"}},"#, "y".repeat(400 * 1024));
        let large = policy.jwks().replace(r#""keys":["#, &filler);
        world.host.set_json(path, &large);
    }
    world.ask(1).await.assert_ok("warm");
    let text = world.seed();
    assert!(text.len() > 800 * 1024, "{}", text.len());
    (0..2).for_each(|at| world.breaks(at));
    let world = World { server: world.next(&text).build().unwrap(), ..world };
    world.ask(0).await.assert_ok("the first");
    world.ask(1).await.assert_ok("the second");
}

/// What a stored seed may say of its sets. Nobody answers, so each key is the seed's.
#[tokio::test]
async fn strange_sets_in_a_seed() {
    let world = World::of_two_types().await;
    world.reload(&[Algorithm::ES256, Algorithm::RS256]);
    world.ask(1).await.assert_ok("warm");
    let seed = world.seed_json();
    let at = seed["fetched_at"].as_u64().unwrap();
    (0..2).for_each(|at| world.breaks(at));
    // The keys of one set are of an algorithm that the next process does not accept.
    let issuer = Issuer::new(ISSUER).jwks_uris(world.uris()).algorithms([Algorithm::ES256]);
    let issuer = issuer.seed(KeySeed::from_json(seed.to_string().as_bytes()).unwrap());
    let server = builder(issuer).allow_http_loopback().clock(world.clock.clone()).build().unwrap();
    let reply = ask(&server, &world.policies[0].token().sign()).await;
    reply.assert_ok("accepted");
    let reply = ask(&server, &world.policies[1].token().sign()).await;
    reply.assert_invalid_token("not accepted");
    // Such a set, and one that is no set, do not end the others.
    for (algorithms, document) in
        [(vec![Algorithm::ES256], None), (vec![Algorithm::ES256, Algorithm::RS256], Some("[]"))]
    {
        let clock = TestClock::at(at);
        let mut seed = seed.clone();
        seed["parts"][1]["fetched_at"] = json!(at - 3_800);
        if let Some(document) = document {
            seed["parts"][1]["document"] = json!(document);
        }
        let issuer = Issuer::new(ISSUER).jwks_uris(world.uris()).algorithms(algorithms);
        let issuer = issuer.seed(KeySeed::from_json(seed.to_string().as_bytes()).unwrap());
        let server = builder(issuer).allow_http_loopback().clock(clock.clone()).build().unwrap();
        clock.advance(Duration::from_secs(200));
        // The last one was made at another time.
        let token = world.policies[0].token().expires_in(100_000).sign();
        assert!(server.health().issuers[0].is_usable(), "{document:?}");
        ask(&server, &token).await.assert_ok("the good set");
    }
    let algorithms = [Algorithm::ES256, Algorithm::RS256];
    type Change = fn(&mut Value, u64);
    let table: [(&str, Change, Option<&str>, [bool; 2]); 12] = [
        ("as exported", |_, _| (), None, [true, true]),
        (
            "one is missing",
            |parts, _| drop(parts.as_array_mut().unwrap().pop()),
            None,
            [true, false],
        ),
        ("none", |parts, _| *parts = json!([]), Some("no key set"), [false, false]),
        ("one is no set", |parts, _| parts[1]["document"] = json!("[]"), None, [true, false]),
        (
            "a large one",
            |parts, _| parts[1]["document"] = json!("x".repeat(512 * 1024 + 1)),
            Some("larger than a key set may be"),
            [false, false],
        ),
        (
            "as large as a document may be",
            |parts, _| {
                let document = parts[1]["document"].as_str().unwrap();
                let blanks = " ".repeat(512 * 1024 - document.len());
                parts[1]["document"] = json!(format!("{document}{blanks}"));
            },
            None,
            [true, true],
        ),
        ("sixteen", |parts, _| *parts = vec![parts[0].clone(); 16].into(), None, [true, false]),
        (
            "seventeen",
            |parts, _| *parts = vec![parts[0].clone(); 17].into(),
            Some("more key sets than an issuer may have"),
            [false, false],
        ),
        ("an old one", |parts, at| parts[1]["fetched_at"] = json!(at - 3_900), None, [true, false]),
        ("not too old", |parts, at| parts[1]["fetched_at"] = json!(at - 3_800), None, [true, true]),
        (
            "a future one",
            |parts, at| parts[1]["fetched_at"] = json!(at + 100),
            Some("fetched in the future; compare the clocks"),
            [false, false],
        ),
        (
            "endless",
            |parts, _| (0..2).for_each(|at| parts[at]["freshness"] = json!(u64::MAX)),
            None,
            [true, true],
        ),
    ];
    for (name, change, ignored, found) in table {
        let mut seed = seed.clone();
        change(&mut seed["parts"], at);
        let reasons: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&reasons);
        let seed = KeySeed::from_json(seed.to_string().as_bytes()).unwrap();
        let issuer = Issuer::new(ISSUER).jwks_uris(world.uris()).algorithms(algorithms).seed(seed);
        let server = builder(issuer).allow_http_loopback().clock(world.clock.clone());
        let server = server.on_event(move |event| {
            if let Event::SeedIgnored { reason, .. } = event {
                seen.lock().unwrap().push((*reason).to_string());
            }
        });
        let server = server.build().unwrap();
        for (policy, found) in world.policies.iter().zip(found) {
            let reply = ask(&server, &policy.token().expires_in(100_000).sign()).await;
            match found {
                true => reply.assert_ok(name),
                false => reply.assert_unavailable(name),
            }
        }
        if name == "endless" {
            // Freshness has an hour at most, and then a set is used for another.
            for (seconds, found) in [(7_199, true), (1, false)] {
                world.pass(seconds);
                let reply =
                    ask(&server, &world.policies[1].token().expires_in(100_000).sign()).await;
                if found { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
            }
        }
        let reasons = reasons.lock().unwrap().clone();
        assert_eq!(reasons, ignored.map(str::to_owned).as_slice(), "{name}");
    }
}

#[tokio::test]
async fn the_log_and_the_observer_hear_of_the_set_that_fails() {
    let world = World::start().await;
    world.breaks(1);
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&events);
    let uris = PATHS.map(|path| format!("{}{path}?key=s3cr3t", world.host.url));
    world.host.set_json(&format!("{}?key=s3cr3t", PATHS[0]), &world.policies[0].jwks());
    let server = builder(Issuer::new(ISSUER).jwks_uris(uris)).allow_http_loopback();
    let server = server.on_event(move |event| {
        if let Event::RefreshFailed { problem, usable_for, .. } = event {
            seen.lock().unwrap().push(format!("{problem} {}", usable_for.is_some()));
        }
    });
    let server = server.build().unwrap();
    ask(&server, &world.policies[0].token().sign()).await.assert_ok("the first");
    // With the URL, whose query may be a secret.
    let problem = format!("`key set 2: status 404 ({}{}?..)` true", world.host.url, PATHS[1]);
    assert_eq!(*events.lock().unwrap(), [problem]);
    assert!(!format!("{server:?}").contains("s3cr3t"));
}
