//! Metadata is looked for under each well-known name, whatever the ones before answer.

use std::time::Duration;

use futures::future::join_all;
use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

use super::ask;
use super::scripted::{HANGING, Scripted};
use super::support::*;

/// An issuer with a path, whose metadata may be in three places.
struct World {
    host: Scripted,
    issuer: TestIssuer,
    clock: TestClock,
}

const NAMES: [&str; 3] = [
    "/.well-known/oauth-authorization-server/t1",
    "/.well-known/openid-configuration/t1",
    "/t1/.well-known/openid-configuration",
];

impl World {
    async fn start() -> Self {
        let host = Scripted::start().await;
        let issuer = TestIssuer::in_process(&format!("{}/t1", host.url));
        host.set_json("/t1/jwks", &issuer.jwks());
        Self { host, issuer, clock: TestClock::starting_now() }
    }

    fn server(&self) -> ResourceServer {
        let issuer = Issuer::new(self.issuer.url());
        builder(issuer).allow_http_loopback().clock(self.clock.clone()).build().unwrap()
    }

    fn publish(&self, name: &str) {
        self.host.set_metadata(name, self.issuer.url(), &self.jwks_uri());
    }

    fn jwks_uri(&self) -> String {
        format!("{}/t1/jwks", self.host.url)
    }

    fn token(&self) -> String {
        self.issuer.token().expires_in(100_000).sign()
    }

    /// How often each name was asked.
    fn asked(&self) -> [usize; 3] {
        NAMES.map(|name| self.host.asked(name))
    }

    /// What a server answers that has nothing, or nothing of this issuer, under a name.
    fn misfits(&self) -> Vec<(&'static str, Vec<u8>)> {
        let json =
            |body: &str| Scripted::answer("200 OK", "content-type: application/json\r\n", body);
        let root = format!(r#"{{"issuer":"{0}","jwks_uri":"{0}/jwks"}}"#, self.host.url);
        let of_other = root.replace(&self.host.url, "https://other.example.com");
        let html = "content-type: text/html\r\n";
        let twice = format!(r#"{{"issuer":"{0}","issuer":"{0}"}}"#, self.issuer.url());
        vec![
            ("500", Scripted::answer("500 Internal Server Error", "", "")),
            ("501", Scripted::answer("501 Not Implemented", "", "")),
            ("502", Scripted::answer("502 Bad Gateway", "", "")),
            ("503", Scripted::answer("503 Service Unavailable", "", "")),
            ("504", Scripted::answer("504 Gateway Timeout", "", "")),
            ("201", Scripted::answer("201 Created", "", "{}")),
            ("204", b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec()),
            ("302", Scripted::answer("302 Found", "location: /login\r\n", "")),
            ("400", Scripted::answer("400 Bad Request", "", "")),
            ("401", Scripted::answer("401 Unauthorized", "", "")),
            ("404", Scripted::answer("404 Not Found", "", "")),
            ("an error in JSON", json(r#"{"error":"invalid_request"}"#)),
            ("an error in JSON with 500", {
                let fields = "content-type: application/json\r\n";
                Scripted::answer("500 Internal Server Error", fields, r#"{"error":"x"}"#)
            }),
            ("null", json("null")),
            ("an array", json("[]")),
            ("text", json("\"ok\"")),
            ("nothing", json("")),
            ("half a document", json(r#"{"issuer":"#)),
            ("a name twice", json(&twice)),
            ("an empty object", json("{}")),
            ("a page", Scripted::answer("200 OK", html, "<html>")),
            ("the root's document", json(&root)),
            ("another issuer's document", json(&of_other)),
            ("too much", json(&" ".repeat(600_000))),
            ("no HTTP", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
            ("a head and no more", b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
            ("no answer", Vec::new()),
        ]
    }
}

#[tokio::test]
async fn a_name_that_does_not_fit_leads_to_the_next() {
    let names = World::start().await.misfits().into_iter().map(|(name, _)| name);
    for name in names {
        for place in [1, 2] {
            let world = World::start().await;
            let (_, answer) = world.misfits().into_iter().find(|(own, _)| *own == name).unwrap();
            for before in &NAMES[..place] {
                world.host.set(before, answer.clone());
            }
            world.publish(NAMES[place]);
            let what = format!("{name}, found at {place}");
            ask(&world.server(), &world.token()).await.assert_ok(&what);
        }
    }
}

#[tokio::test]
async fn where_no_name_fits_the_log_has_the_answer_of_each() {
    for (name, _) in World::start().await.misfits() {
        let world = World::start().await;
        let (_, answer) = world.misfits().into_iter().find(|(own, _)| *own == name).unwrap();
        let _ = NAMES.map(|name| world.host.set(name, answer.clone()));
        let server = world.server();
        ask(&server, &world.token()).await.assert_unavailable(name);
        assert!(world.asked().iter().all(|asked| *asked > 0), "{name}: {:?}", world.asked());
        let error = server.health().issuers[0].last_error.as_ref().unwrap().to_string();
        for label in ["RFC 8414: ", "OpenID: ", "OpenID in the path: "] {
            assert!(error.contains(label), "{name}: {error}");
        }
        assert!(!error.contains('…'), "{name}: {error}");
        let _ = NAMES.map(|name| world.publish(name));
        world.clock.advance(Duration::from_secs(31));
        ask(&server, &world.token()).await.assert_ok(&format!("{name}, and then it is there"));
    }
    let world = World::start().await;
    world.host.set(NAMES[0], Scripted::answer("500 Internal Server Error", "", ""));
    let root = format!(r#"{{"issuer":"{0}","jwks_uri":"{0}/jwks"}}"#, world.host.url);
    world.host.set_json(NAMES[2], &root);
    let server = world.server();
    ask(&server, &world.token()).await.assert_unavailable("three answers");
    let (host, names) = (&world.host.url, NAMES);
    assert_eq!(
        server.health().issuers[0].last_error.as_ref().unwrap().as_str(),
        format!(
            "metadata: RFC 8414: status 500 ({host}{}); OpenID: status 404 ({host}{}); OpenID in the \
             path: another `issuer`, `{host}`: compare it with the configured one ({host}{})",
            names[0], names[1], names[2]
        )
    );
}

/// It asks for a pause, which is not for one of its names. The name is in the way of the others once.
#[tokio::test]
async fn a_busy_server_gets_its_pause_and_is_then_asked_under_another_name() {
    for (name, status, fields, place, pause) in [
        ("503, the first", "503 Service Unavailable", "retry-after: 20\r\n", 0, 20),
        ("503, the second", "503 Service Unavailable", "retry-after: 20\r\n", 1, 20),
        ("429, the first", "429 Too Many Requests", "retry-after: 20\r\n", 0, 20),
        ("429, the third", "429 Too Many Requests", "retry-after: 20\r\n", 2, 20),
        ("429, no time said", "429 Too Many Requests", "", 0, 0),
    ] {
        let world = World::start().await;
        world.host.set(NAMES[place], Scripted::answer(status, fields, ""));
        let server = world.server();
        ask(&server, &world.token()).await.assert_unavailable(name);
        let asked = [0, 1, 2].map(|other| usize::from(other <= place));
        assert_eq!(world.asked(), asked, "{name}");
        let error = server.health().issuers[0].last_error.as_ref().unwrap().to_string();
        assert!(error.contains(&status[..3]), "{name}: {error}");
        assert_eq!(error.contains("RFC 8414: status 404"), place > 0, "{name}: {error}");
        let other = NAMES[(place + 1) % 3];
        world.publish(other);
        if pause > 0 {
            world.clock.advance(Duration::from_secs(pause - 1));
            ask(&server, &world.token()).await.assert_unavailable("too early");
            assert_eq!(world.asked(), asked, "{name}");
        }
        world.clock.advance(Duration::from_secs(31));
        ask(&server, &world.token()).await.assert_ok(&format!("{name}, by another name"));
        assert_eq!(world.host.asked(NAMES[place]), 1, "{name}");
    }
}

#[tokio::test]
async fn two_names_that_ask_for_pauses_do_not_hide_a_third() {
    let world = World::start().await;
    let busy = Scripted::answer("503 Service Unavailable", "retry-after: 20\r\n", "");
    world.host.set(NAMES[0], busy.clone());
    world.host.set(NAMES[1], busy);
    world.publish(NAMES[2]);
    let server = world.server();
    for name in ["the first", "the second"] {
        ask(&server, &world.token()).await.assert_unavailable(name);
        world.clock.advance(Duration::from_secs(31));
    }
    ask(&server, &world.token()).await.assert_ok("the third");
    assert_eq!(world.asked(), [1, 1, 1]);
}

/// The first document of this issuer is the one, though it may name nothing.
#[tokio::test]
async fn a_document_of_the_issuer_ends_the_search() {
    let world = World::start().await;
    world.host.set_json(NAMES[0], &format!(r#"{{"issuer":"{}"}}"#, world.issuer.url()));
    world.publish(NAMES[1]);
    ask(&world.server(), &world.token()).await.assert_unavailable("no keys in the first");
    assert_eq!(world.asked(), [1, 0, 0]);
}

#[tokio::test]
async fn a_name_that_hangs_is_asked_last_the_next_time() {
    let world = World::start().await;
    world.host.set(NAMES[0], HANGING.to_vec());
    world.publish(NAMES[1]);
    let server = world.server();
    ask(&server, &world.token()).await.assert_unavailable("the first name hangs");
    // The request waits 3 s, and the attempt 5 s.
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.clock.advance(Duration::from_secs(31));
    ask(&server, &world.token()).await.assert_ok("by the second name");
    assert_eq!(world.asked(), [1, 1, 0]);
}

/// What a name takes of the time of a search is lost to those after it.
#[tokio::test]
async fn a_name_that_was_left_too_little_time_is_asked_first_the_next_time() {
    for (name, millis, asked) in [("in time", 100, [1, 1, 0]), ("late", 4_000, [1, 2, 0])] {
        let world = World::start().await;
        world.host.set(NAMES[0], Scripted::answer("502 Bad Gateway", "", ""));
        world.host.set_delay(NAMES[0], Duration::from_millis(millis));
        world.publish(NAMES[1]);
        world.host.set_delay(NAMES[1], Duration::from_millis(1_300));
        let server = world.server();
        if name == "late" {
            ask(&server, &world.token()).await.assert_unavailable(name);
            // The request waits 3 s, and the attempt 5 s.
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            world.clock.advance(Duration::from_secs(31));
        }
        ask(&server, &world.token()).await.assert_ok(name);
        assert_eq!(world.asked(), asked, "{name}");
    }
}

/// The issuer with an endpoint for opaque tokens, which its metadata names.
fn introspecting(world: &World) -> ResourceServer {
    let introspection = Introspection::new(ClientAuth::client_secret_basic("api", "a secret"));
    let issuer = Issuer::new(world.issuer.url()).introspection(introspection);
    builder(issuer).allow_http_loopback().clock(world.clock.clone()).build().unwrap()
}

fn publish_endpoint(world: &World, name: &str) {
    let endpoint = format!("{}/t1/introspect", world.host.url);
    world.host.set_json("/t1/introspect", &format!(r#"{{"active":true,"aud":"{AUDIENCE}"}}"#));
    let document = serde_json::json!({
        "issuer": world.issuer.url(),
        "jwks_uri": world.jwks_uri(),
        "introspection_endpoint": endpoint,
    });
    world.host.set_json(name, &document.to_string());
}

#[tokio::test]
async fn sixty_tokens_at_a_cold_start_cost_one_search() {
    for (name, place, asked) in [("the first", 0, [1, 0, 0]), ("the third", 2, [1, 1, 1])] {
        let world = World::start().await;
        publish_endpoint(&world, NAMES[place]);
        let server = introspecting(&world);
        let jwt = world.token();
        let requests = (0..60).map(|number| {
            let (server, opaque, jwt) = (server.clone(), format!("opaque-{number}"), jwt.clone());
            async move {
                let token = if number % 3 == 0 { jwt } else { opaque };
                ask(&server, &token).await.assert_ok(name);
            }
        });
        join_all(requests).await;
        assert_eq!(world.asked(), asked, "{name}");
        world.clock.advance(Duration::from_secs(59 * 60));
        ask(&server, "another").await.assert_ok(name);
        assert_eq!(world.asked(), asked, "{name}, fresh for an hour");
    }
    // One that fails is shared, too.
    let world = World::start().await;
    let server = introspecting(&world);
    let requests = (0..20).map(|number| {
        let server = server.clone();
        async move { ask(&server, &format!("opaque-{number}")).await.assert_unavailable("nothing") }
    });
    join_all(requests).await;
    assert_eq!(world.asked(), [1, 1, 1]);
    publish_endpoint(&world, NAMES[1]);
    world.clock.advance(Duration::from_secs(31));
    ask(&server, "later").await.assert_ok("found at last");
}

/// A search belongs to no request and to no runtime: one that was lost is made again.
#[test]
fn a_search_that_is_lost_with_its_runtime_holds_nobody_up() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outside = runtime();
    for (name, is_dropped, advance) in [("dropped", true, 0), ("not driven any more", false, 7)] {
        let world = outside.block_on(World::start());
        world.host.set(NAMES[0], HANGING.to_vec());
        let server = introspecting(&world);
        let lost = runtime();
        let asking = server.clone();
        lost.block_on(async move {
            tokio::spawn(async move { ask(&asking, "lost").await });
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        outside.block_on(async {
            while world.asked()[0] == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let lost = if is_dropped {
            drop(lost);
            None
        } else {
            Some(lost)
        };
        publish_endpoint(&world, NAMES[1]);
        world.clock.advance(Duration::from_secs(advance));
        let reply = outside.block_on(async {
            tokio::time::timeout(Duration::from_secs(2), ask(&server, "next")).await
        });
        reply.expect("at once").assert_ok(name);
        drop(lost);
    }
}
