//! Issuers over HTTP: discovery, rotation, outages, floods. Ages are driven by a test clock, and
//! the sockets are real.

#![cfg(feature = "remote")]

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use tower_resource_server::test_issuer::{Documents, Endpoint, Fault, TestIssuer};
use tower_resource_server::{Algorithm, Issuer, ResourceServer, ResourceServerLayer, TestClock};

use support::*;

struct World {
    clock: TestClock,
    issuer: TestIssuer,
    server: ResourceServer,
}

impl World {
    async fn new() -> Self {
        let issuer = TestIssuer::start().await.unwrap();
        Self::of(issuer.clone(), Issuer::discover(issuer.url()))
    }

    fn of(issuer: TestIssuer, trusted: Issuer) -> Self {
        let clock = TestClock::starting_now();
        let server = builder(trusted).allow_http_loopback().clock(clock.clone()).build().unwrap();
        Self { clock, issuer, server }
    }

    fn layer(&self) -> ResourceServerLayer {
        self.server.layer()
    }

    /// Lets time pass. Tokens minted for these tests live long enough.
    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn token(&self) -> String {
        self.issuer.token().expires_in(100_000).sign()
    }

    /// Sends a request whose only purpose is to wake a refresh, and waits until the issuer was
    /// asked for keys so often.
    async fn refreshed(&self, jwks: u32) {
        let api = api(self.layer());
        let token = self.token();
        for _ in 0..200 {
            api.bearer(&token).await;
            if self.issuer.counts().jwks >= jwks {
                // The answer is under way; give it time to be taken in.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the issuer was asked {} times, not {jwks}", self.issuer.counts().jwks);
    }
}

#[tokio::test]
async fn keys_are_found_when_the_first_request_needs_them() {
    let world = World::new().await;
    assert_eq!(world.issuer.counts().jwks, 0, "nothing before it");
    let api = api(world.layer());
    for _ in 0..3 {
        api.bearer(&world.token()).await.assert_ok("good");
    }
    assert_eq!((world.issuer.counts().metadata, world.issuer.counts().jwks), (1, 1));
}

#[tokio::test]
async fn id_8414_3_1_1_and_5_1_and_oidcd_4_1_1_where_metadata_is_looked_for() {
    for (name, path, documents, expected) in [
        ("both", "", Documents::Both, &["/.well-known/oauth-authorization-server"][..]),
        (
            "OpenID alone",
            "",
            Documents::OpenId,
            &["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"],
        ),
        ("path", "/t1", Documents::OAuth, &["/.well-known/oauth-authorization-server/t1"]),
        (
            "path, OpenID alone",
            "/t1",
            Documents::OpenId,
            &[
                "/.well-known/oauth-authorization-server/t1",
                "/.well-known/openid-configuration/t1",
                "/t1/.well-known/openid-configuration",
            ],
        ),
    ] {
        let issuer = TestIssuer::builder().path(path).start().await.unwrap();
        issuer.set_documents(documents);
        let world = World::of(issuer.clone(), Issuer::discover(issuer.url()));
        api(world.layer()).bearer(&world.token()).await.assert_ok(name);
        let mut expected: Vec<_> = expected.iter().map(|path| format!("GET {path}")).collect();
        expected.push(format!("GET {path}/jwks"));
        assert_eq!(world.issuer.requests(), expected, "{name}");
    }
}

#[tokio::test]
async fn id_8414_3_3_1_and_oidcd_4_3_1_metadata_of_another_issuer_is_not_used() {
    let world = World::new().await;
    let api = api(world.layer());
    for other in [format!("{}/", world.issuer.url()), world.issuer.url().replace("http", "HTTP")] {
        world.issuer.set_advertised_issuer(&other);
        api.bearer(&world.token()).await.assert_unavailable(&other);
        world.pass(31);
    }
    assert_eq!(world.issuer.counts().jwks, 0);
    world.issuer.set_advertised_issuer(world.issuer.url());
    api.bearer(&world.token()).await.assert_ok("its own");
}

#[test]
fn id_8414_2_1_and_2_2_issuers_and_endpoints_are_https_without_query_and_fragment() {
    for (issuer, good) in [
        ("https://as.example.com", true),
        ("https://as.example.com/t1/", true),
        ("https://as.example.com/?x", false),
        ("https://as.example.com/#f", false),
        ("as.example.com", false),
    ] {
        let built = builder(Issuer::discover(issuer)).build();
        assert_eq!(built.is_ok(), good, "{issuer}: {built:?}");
    }
}

#[tokio::test]
async fn id_8414_2_2_a_key_url_from_metadata_must_be_https_too() {
    let world = World::new().await;
    let body = serde_json::json!({
        "issuer": world.issuer.url(),
        "jwks_uri": "http://192.0.2.1/jwks",
    });
    world.issuer.set_fault(Endpoint::Metadata, Fault::Body(body.to_string()));
    let started = std::time::Instant::now();
    api(world.layer()).bearer(&world.token()).await.assert_unavailable("http on another machine");
    assert!(started.elapsed() < Duration::from_secs(1), "nobody was asked");
}

#[tokio::test]
async fn id_8414_3_2_1_only_a_json_object_with_status_200_is_metadata() {
    for fault in [
        Fault::Status(204),
        Fault::Status(404),
        Fault::Status(500),
        Fault::Html,
        Fault::Garbage,
        Fault::Truncated,
        Fault::Redirect("/jwks".into()),
        Fault::Oversize(70_000),
        Fault::Body("[]".into()),
        Fault::ContentType("text/html".into()),
    ] {
        let world = World::new().await;
        let api = api(world.layer());
        world.issuer.set_fault(Endpoint::Metadata, fault.clone());
        let token = world.token();
        api.bearer(&token).await.assert_unavailable(&format!("{fault:?}"));
        world.issuer.set_fault(Endpoint::Metadata, Fault::None);
        world.pass(31);
        api.bearer(&token).await.assert_ok(&format!("after {fault:?}"));
    }
}

#[tokio::test]
async fn id_9068_4_9_documents_are_never_mixed() {
    let world = World::new().await;
    // One document is chosen by its place, and the other not even read.
    api(world.layer()).bearer(&world.token()).await.assert_ok("the first");
    let asked: Vec<_> =
        world.issuer.requests().into_iter().filter(|line| line.contains("well-known")).collect();
    assert_eq!(asked, ["GET /.well-known/oauth-authorization-server"]);
}

#[tokio::test]
async fn id_7517_5_1_and_7_answers_that_are_no_key_set_take_no_keys_away() {
    for fault in [
        Fault::Status(500),
        Fault::Status(404),
        Fault::Html,
        Fault::Garbage,
        Fault::Truncated,
        Fault::Redirect("/elsewhere".into()),
        Fault::Oversize(70_000),
        Fault::Body("[]".into()),
        Fault::Body(r#"{"keys":[]}"#.into()),
        Fault::Body(r#"{"keys":[{"kty":"XYZ"}]}"#.into()),
    ] {
        let name = format!("{fault:?}");
        let world = World::new().await;
        let api = api(world.layer());
        let token = world.token();
        world.issuer.set_fault(Endpoint::Jwks, fault.clone());
        api.bearer(&token).await.assert_unavailable(&name);
        world.issuer.set_fault(Endpoint::Jwks, Fault::None);
        world.pass(31);
        api.bearer(&token).await.assert_ok(&name);
        world.issuer.set_fault(Endpoint::Jwks, fault);
        let asked = world.issuer.counts().jwks;
        world.pass(250);
        world.refreshed(asked + 1).await;
        api.bearer(&token).await.assert_ok(&format!("{name}, with a good set at hand"));
    }
}

#[tokio::test]
async fn id_7517_8_5_1_key_sets_of_either_media_type_or_none() {
    for content_type in ["application/jwk-set+json", "application/json; charset=utf-8", ""] {
        let world = World::new().await;
        world.issuer.set_fault(Endpoint::Jwks, Fault::ContentType(content_type.into()));
        api(world.layer()).bearer(&world.token()).await.assert_ok(content_type);
    }
}

#[tokio::test]
async fn a_trickling_or_hanging_issuer_is_given_up_in_time() {
    for fault in [Fault::Hang, Fault::Trickle] {
        let world = World::new().await;
        world.issuer.set_fault(Endpoint::Jwks, fault.clone());
        let answer = api(world.layer());
        let token = world.token();
        let answer = tokio::time::timeout(Duration::from_secs(4), answer.bearer(&token)).await;
        answer.expect("3 s are the limit").assert_unavailable(&format!("{fault:?}"));
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_heals_by_itself() {
    let world = World::new().await;
    world.issuer.stop();
    let api = api(world.layer());
    let token = world.token();
    for _ in 0..5 {
        api.bearer(&token).await.assert_unavailable("down");
    }
    world.issuer.restart().await.unwrap();
    world.pass(31);
    api.bearer(&token).await.assert_ok("up");
}

#[tokio::test]
async fn a_new_key_is_accepted_with_the_first_request_that_carries_it() {
    let world = World::new().await;
    let api = api(world.layer());
    let old = world.token();
    api.bearer(&old).await.assert_ok("old key");
    world.issuer.rotate();
    api.bearer(&world.token()).await.assert_ok("new key");
    api.bearer(&old).await.assert_invalid_token("a successful fetch without the old key");
}

#[tokio::test]
async fn a_key_replaced_under_its_kid_heals_for_a_later_request() {
    let world = World::new().await;
    let api = api(world.layer());
    api.bearer(&world.token()).await.assert_ok("before");
    world.issuer.swap_key("key-1");
    let token = world.token();
    api.bearer(&token).await.assert_invalid_token("at once");
    world.refreshed(2).await;
    api.bearer(&token).await.assert_ok("later");
    // Its budget: one a minute, however many signatures fail.
    let stranger = TestIssuer::in_process(world.issuer.url());
    for _ in 0..50 {
        api.bearer(&stranger.token().sign()).await.assert_invalid_token("forged");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.issuer.counts().jwks, 2);
}

#[tokio::test]
async fn id_8414_x_1_forged_kids_cost_no_more_than_the_budget() {
    let world = World::new().await;
    let api = api(world.layer());
    let good = world.token();
    api.bearer(&good).await.assert_ok("warm");
    let forged = |n: u32| world.issuer.token().header("kid", format!("forged-{n}")).sign();
    for n in 0..1_000 {
        api.bearer(&forged(n)).await.assert_invalid_token("forged");
    }
    assert_eq!(world.issuer.counts().jwks, 1 + 2, "a burst of 2");
    api.bearer(&good).await.assert_ok("in between");
    world.issuer.rotate();
    let new = world.token();
    api.bearer(&new).await.assert_invalid_token("the budget is spent");
    world.pass(10);
    api.bearer(&new).await.assert_ok("one refill later");
    assert_eq!(world.issuer.counts().jwks, 1 + 2 + 1);
}

#[tokio::test]
async fn an_unknown_kid_is_503_when_the_set_is_stale_and_the_issuer_silent() {
    let world = World::new().await;
    let api = api(world.layer());
    let good = world.token();
    api.bearer(&good).await.assert_ok("warm");
    world.issuer.stop();
    let unknown = world.issuer.token().header("kid", "unknown").sign();
    api.bearer(&unknown).await.assert_invalid_token("while the set is fresh");
    world.pass(400);
    let unknown = world.issuer.token().expires_in(10_000).header("kid", "unknown").sign();
    api.bearer(&unknown).await.assert_unavailable("when it is stale");
    api.bearer(&good).await.assert_ok("known, stale");
}

#[tokio::test]
async fn an_unchanged_set_is_revalidated() {
    let world = World::new().await;
    let api = api(world.layer());
    let token = world.token();
    api.bearer(&token).await.assert_ok("first");
    for round in 2..5 {
        world.pass(250);
        world.refreshed(round).await;
        api.bearer(&token).await.assert_ok("unchanged");
    }
    world.issuer.add_key(Algorithm::ES256);
    api.bearer(&world.token()).await.assert_ok("changed");
}

#[tokio::test]
async fn cache_control_moves_the_freshness() {
    let world = World::new().await;
    world.issuer.set_cache_control("max-age=3600");
    let api = api(world.layer());
    let token = world.token();
    api.bearer(&token).await.assert_ok("first");
    world.pass(2_000);
    api.bearer(&token).await.assert_ok("fresh for an hour");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.issuer.counts().jwks, 1);
    world.pass(1_000);
    world.refreshed(2).await;
}

#[tokio::test]
async fn an_explicit_jwks_uri_needs_no_metadata_and_iss_is_checked_all_the_same() {
    let issuer = TestIssuer::start().await.unwrap();
    let trusted = Issuer::new(issuer.url()).jwks_uri(issuer.jwks_uri());
    let world = World::of(issuer, trusted);
    let api = api(world.layer());
    api.bearer(&world.token()).await.assert_ok("good");
    assert_eq!(world.issuer.counts().metadata, 0);
    let other = world.issuer.token().claim("iss", "https://other.example.com").sign();
    api.bearer(&other).await.assert_invalid_token("another iss");
    let none = world.issuer.token().without("iss").sign();
    api.bearer(&none).await.assert_invalid_token("no iss");
}

#[tokio::test]
async fn a_dropped_server_ends_its_fetch() {
    let world = World::new().await;
    world.issuer.set_fault(Endpoint::Jwks, Fault::Hang);
    let api = api(world.layer());
    let token = world.token();
    let waiting = tokio::time::timeout(Duration::from_millis(100), api.bearer(&token)).await;
    assert!(waiting.is_err(), "it waits");
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    drop((api, world.server));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(alive() < before, "the task is gone");
}
