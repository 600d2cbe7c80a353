//! Documents and answers as real servers write them: read where that can admit nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

use super::ask;
use super::scripted::{OAUTH, OPENID, Scripted};
use super::support::*;

const LIMIT: usize = 512 * 1024;

struct World {
    host: Scripted,
    issuer: TestIssuer,
    clock: TestClock,
}

impl World {
    async fn start() -> Self {
        let host = Scripted::start().await;
        let issuer = TestIssuer::in_process(&host.url);
        let world = Self { host, issuer, clock: TestClock::starting_now() };
        world.host.set_json("/jwks", &world.issuer.jwks());
        world.host.set_json(OAUTH, &world.metadata(""));
        world.host.set_json("/introspect", &active(""));
        world
    }

    /// The metadata, with `more` members before the others.
    fn metadata(&self, more: &str) -> String {
        let url = &self.host.url;
        format!(
            r#"{{{more}"issuer":"{url}","jwks_uri":"{url}/jwks","introspection_endpoint":"{url}/introspect"}}"#
        )
    }

    fn server(&self) -> ResourceServer {
        let asking = Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"));
        let issuer = Issuer::new(&self.host.url).introspection(asking);
        builder(issuer).allow_http_loopback().clock(self.clock.clone()).build().unwrap()
    }

    fn token(&self) -> String {
        self.issuer.token().expires_in(100_000).sign()
    }
}

fn active(more: &str) -> String {
    format!(r#"{{{more}"active":true,"aud":"{AUDIENCE}"}}"#)
}

fn typed(content_type: &str, body: &str) -> Vec<u8> {
    let field = match content_type {
        "" => String::new(),
        some => format!("content-type: {some}\r\n"),
    };
    Scripted::answer("200 OK", &field, body)
}

/// The document with as many blanks behind it as make it so long.
fn padded(document: &str, length: usize) -> String {
    format!("{document}{}", " ".repeat(length - document.len()))
}

const TYPES: [&str; 7] = [
    "application/json",
    "application/json; charset=utf-8",
    "text/plain",
    "text/html",
    "application/octet-stream",
    "binary/octet-stream",
    "",
];

#[tokio::test]
async fn metadata_is_read_as_servers_write_it() {
    let world = World::start().await;
    let plain = world.metadata("");
    let scopes = vec![r#""notes:read""#; 1_000].join(",");
    let many: String = (0..1_500).map(|n| format!(r#""x{n}":{n},"#)).collect();
    let mut rows = vec![
        ("a byte order mark", format!("\u{feff}{plain}"), true),
        ("two byte order marks", format!("\u{feff}\u{feff}{plain}"), false),
        ("a byte order mark inside", plain.replacen('{', "{\u{feff}", 1), false),
        ("1,000 scopes", world.metadata(&format!(r#""scopes_supported":[{scopes}],"#)), true),
        ("1,500 members", world.metadata(&many), true),
        ("a member twice", world.metadata(r#""x":1,"x":2,"#), true),
        ("another endpoint twice", world.metadata(r#""a_endpoint":"b","a_endpoint":"c","#), true),
        ("null", world.metadata(r#""mtls_endpoint_aliases":null,"#), true),
        ("issuer twice", world.metadata(&format!(r#""issuer":"{}","#, world.host.url)), false),
        ("a foreign issuer first", world.metadata(r#""issuer":"https://other.example","#), false),
        ("jwks_uri twice", world.metadata(r#""jwks_uri":"https://other.example","#), false),
        (
            "introspection_endpoint twice",
            world.metadata(r#""introspection_endpoint":"https://other.example","#),
            false,
        ),
        ("at the limit", padded(&plain, LIMIT), true),
        ("beyond it", padded(&plain, LIMIT + 1), false),
        ("a page", "<html></html>".to_owned(), false),
        ("more behind it", format!("{plain}{plain}"), false),
    ];
    for (name, document, good) in rows.drain(..) {
        let server = world.server();
        world.host.set_json(OAUTH, &document);
        let reply = ask(&server, &world.token()).await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
    for content_type in TYPES {
        for (body, good) in [(plain.as_str(), true), ("<html></html>", false)] {
            world.host.set(OAUTH, typed(content_type, body));
            let reply = ask(&world.server(), &world.token()).await;
            let name = format!("{content_type}: {body}");
            if good { reply.assert_ok(&name) } else { reply.assert_unavailable(&name) }
        }
    }
}

#[tokio::test]
async fn key_sets_are_read_as_servers_write_them() {
    let world = World::start().await;
    let plain = world.issuer.jwks();
    for (name, document, good) in [
        ("a byte order mark", format!("\u{feff}{plain}"), true),
        ("a byte order mark in UTF-16", format!("\u{fffe}{plain}"), false),
        ("70 KiB", padded(&plain, 70 * 1024), true),
        ("at the limit", padded(&plain, LIMIT), true),
        ("beyond it", padded(&plain, LIMIT + 1), false),
        ("keys as an object", r#"{"keys":{}}"#.to_owned(), false),
        ("a bare array", "[]".to_owned(), false),
        ("keys twice", plain.replacen('{', r#"{"keys":[],"#, 1), false),
    ] {
        world.host.set_json("/jwks", &document);
        let reply = ask(&world.server(), &world.token()).await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
    for content_type in TYPES {
        for (body, good) in [(plain.as_str(), true), ("<html></html>", false)] {
            world.host.set("/jwks", typed(content_type, body));
            let reply = ask(&world.server(), &world.token()).await;
            let name = format!("{content_type}: {body}");
            if good { reply.assert_ok(&name) } else { reply.assert_unavailable(&name) }
        }
    }
}

#[tokio::test]
async fn introspection_answers_are_read_as_servers_write_them() {
    let world = World::start().await;
    let mark = format!("\u{feff}{}", active(""));
    for (name, document, good) in [
        ("a byte order mark", mark.as_str(), true),
        ("two byte order marks", &format!("\u{feff}{mark}"), false),
        ("a member twice", &active(r#""active":false,"#), false),
        ("at the limit", &padded(&active(""), 64 * 1024), true),
        ("beyond it", &padded(&active(""), 64 * 1024 + 1), false),
    ] {
        world.host.set_json("/introspect", document);
        let reply = ask(&world.server(), "opaque").await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
    let jwts = ["application/jwt", "Application/JWT; a=b", "application/token-introspection+jwt"];
    for (content_type, good) in
        TYPES.map(|own| (own, true)).into_iter().chain(jwts.map(|own| (own, false)))
    {
        world.host.set("/introspect", typed(content_type, &active("")));
        let reply = ask(&world.server(), "opaque").await;
        if good { reply.assert_ok(content_type) } else { reply.assert_unavailable(content_type) }
    }
    world.host.set("/introspect", typed("text/html", "<html></html>"));
    ask(&world.server(), "opaque").await.assert_unavailable("a page");
}

#[tokio::test]
async fn a_byte_order_mark_in_a_token_is_refused() {
    let world = World::start().await;
    let server = world.server();
    let claims = |mark: &str| {
        let exp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let exp = exp.as_secs() + 1_000;
        format!(
            r#"{mark}{{"iss":"{}","aud":"{AUDIENCE}","exp":{exp},"iat":{},"sub":"a","client_id":"b","jti":"c"}}"#,
            world.host.url,
            exp - 1_000,
        )
    };
    for (mark, good) in [("", true), ("\u{feff}", false)] {
        let reply = ask(&server, &world.issuer.token().raw_payload(claims(mark)).sign()).await;
        if good { reply.assert_ok("claims") } else { reply.assert_invalid_token("claims") }
    }
}

/// No content coding is asked for. Where one comes all the same, the log names it.
#[tokio::test]
async fn a_content_coding_is_asked_for_by_nobody_and_named() {
    let world = World::start().await;
    let (server, keys) = (world.server(), world.issuer.jwks());
    ask(&server, &world.token()).await.assert_ok("keys");
    ask(&server, "opaque").await.assert_ok("introspection");
    for (path, coding) in world.host.fields("accept-encoding") {
        assert_eq!(coding.as_deref(), Some("identity"), "{path}");
    }
    for (coding, named) in [
        ("identity", None),
        ("Identity", None),
        ("gzip", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("GZIP", Some("gzip")),
        ("br", Some("br")),
        ("identity, deflate", Some("deflate")),
        ("zstd", Some("zstd")),
        ("s3cr3t", Some("an unknown one")),
    ] {
        let fields = format!("content-encoding: {coding}\r\n");
        world.host.set("/jwks", Scripted::answer("200 OK", &fields, &keys));
        let server = world.server();
        let reply = ask(&server, &world.token()).await;
        let error = server.health().issuers[0].last_error.as_ref().map(ToString::to_string);
        match named {
            None => reply.assert_ok(coding),
            Some(named) => {
                reply.assert_unavailable(coding);
                let error = error.unwrap();
                assert!(error.contains(&format!("content coding is {named}")), "{error}");
                assert!(!error.contains("s3cr3t"), "{error}");
            }
        }
        let body = active("");
        world.host.set("/introspect", Scripted::answer("200 OK", &fields, &body));
        let reply = ask(&world.server(), "opaque").await;
        if named.is_none() { reply.assert_ok(coding) } else { reply.assert_unavailable(coding) }
    }
}

/// 304 has no content, and so no coding that could hide it. It repeats what the document had (RFC 9110
/// §15.4.5).
#[tokio::test]
async fn a_content_coding_of_304_hides_nothing() {
    const GZIP: &str = "content-encoding: gzip\r\n";
    for (name, status, good) in [("304", "304 Not Modified", true), ("200", "200 OK", false)] {
        let world = World::start().await;
        let server = world.server();
        let keys = world.issuer.jwks();
        world.host.set("/jwks", Scripted::answer("200 OK", "etag: \"1\"\r\n", &keys));
        ask(&server, &world.token()).await.assert_ok(name);
        let body = if good { "" } else { keys.as_str() };
        world.host.set("/jwks", Scripted::answer(status, GZIP, body));
        world.clock.advance(Duration::from_secs(310));
        let mut error = None;
        for _ in 0..400 {
            ask(&server, &world.token()).await.assert_ok(name);
            let health = &server.health().issuers[0];
            error = health.last_error.as_ref().map(ToString::to_string);
            let renewed = health.age.is_some_and(|age| age < Duration::from_secs(300));
            if error.is_some() || renewed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(world.host.asked("/jwks"), 2, "{name}");
        assert_eq!(error.is_none(), good, "{name}: {error:?}");
    }
}

/// A server, or a cache in front of it, may confirm a document by the ETag of a newer one. With that ETag, each later
/// 304 would be right, and the old document would be used for ever (RFC 9111 §4.3.4).
#[tokio::test]
async fn a_304_for_another_document_confirms_nothing() {
    use axum::http::HeaderMap;
    use axum::response::IntoResponse as _;
    let key = |issuer: &TestIssuer| issuer.token().expires_in(100_000).sign();
    for (etag, calls) in [("\"1\"", 1), ("W/\"1\"", 1), ("\"2\"", 2), ("W/\"2\"", 2), ("", 1)] {
        for places in [1, 2] {
            let name = format!("{etag} at {places}");
            let (old, new) = (issuer(), issuer());
            (0..3).for_each(|_| drop(new.rotate()));
            let state = Arc::new(Mutex::new((old.jwks(), "\"1\"".to_owned(), Vec::new())));
            let shared = Arc::clone(&state);
            let app = axum::Router::new().fallback(async move |headers: HeaderMap| {
                let mut state = shared.lock().unwrap();
                let sent =
                    headers.get("if-none-match").map(|sent| sent.to_str().unwrap().to_owned());
                let (is_conditional, own) = (sent.is_some(), state.1.clone());
                state.2.push(sent);
                let fields = if own.is_empty() {
                    HeaderMap::new()
                } else {
                    HeaderMap::from_iter([("etag".parse().unwrap(), own.parse().unwrap())])
                };
                match is_conditional {
                    true => (axum::http::StatusCode::NOT_MODIFIED, fields).into_response(),
                    false => (fields, state.0.clone()).into_response(),
                }
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let serving = tokio::spawn(async { axum::serve(listener, app).await });
            let clock = TestClock::starting_now();
            let uris = (0..places).map(|place| format!("{url}/{place}"));
            let server = builder(Issuer::new(ISSUER).jwks_uris(uris)).allow_http_loopback();
            let server = server.clock(clock.clone()).build().unwrap();
            ask(&server, &key(&old)).await.assert_ok(&name);
            {
                let mut state = state.lock().unwrap();
                (state.0, state.1) = (new.jwks(), etag.to_owned());
                state.2.clear();
            }
            clock.advance(Duration::from_secs(290));
            let age = || server.health().issuers[0].age.unwrap();
            for _ in 0..2_000 {
                ask(&server, &key(&old)).await;
                if age() < Duration::from_secs(200) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(age() < Duration::from_secs(200), "{name}: a fetch that succeeds");
            let sent = state.lock().unwrap().2.clone();
            // The old token may then have another look for its kid.
            let (fetch, later) = sent.split_at(calls * places);
            let conditional = fetch.iter().flatten().count();
            assert_eq!(conditional, places, "{name}: {sent:?}");
            assert!(calls == 2 || later.is_empty(), "{name}: {sent:?}");
            let (old, new) = (ask(&server, &key(&old)).await, key(&new));
            if calls == 1 {
                old.assert_ok(&name);
            } else {
                old.assert_invalid_token(&format!("{name}: withdrawn"));
                ask(&server, &new).await.assert_ok(&format!("{name}: published"));
            }
            serving.abort();
        }
    }
}

/// What a status says of the token or of the server it says whatever its body is, and the log names
/// the coding that hides the rest.
#[tokio::test]
async fn a_status_counts_also_where_its_body_cannot_be_read() {
    const GZIP: &str = "content-encoding: gzip\r\n";
    let large = " ".repeat(64 * 1024 + 1);
    let world = World::start().await;
    for (status, fields, body, words) in [
        ("201 Created", GZIP, active(""), "content coding is gzip"),
        ("400 Bad Request", GZIP, r#"{"error":"invalid_token"}"#.into(), "content coding is gzip"),
        ("400 Bad Request", "", r#"{"error":"server_error"}"#.into(), "the code server_error"),
        ("404 Not Found", "", large.clone(), "status 404"),
        ("302 Found", "location: https://other.example\r\n", large.clone(), "a redirect"),
    ] {
        world.host.set("/introspect", Scripted::answer(status, fields, &body));
        let reply = ask(&world.server(), "opaque").await;
        let name = format!("{status} {fields}");
        reply.assert_unavailable(&name);
        let error = reply.error.unwrap().to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
    // A server that is down says so in a long page, too: it is left alone.
    for (status, body, calls) in [
        ("502 Bad Gateway", large.as_str(), 5),
        ("502 Bad Gateway", "", 5),
        ("404 Not Found", large.as_str(), 20),
    ] {
        let world = World::start().await;
        world.host.set("/introspect", Scripted::answer(status, "", body));
        let server = world.server();
        for n in 0..20 {
            ask(&server, &format!("token-{n}")).await.assert_unavailable(status);
        }
        assert_eq!(world.host.asked("/introspect"), calls, "{status}, {} octets", body.len());
    }
}

/// The old place goes on with the old keys. The first token of a new key has the metadata looked at
/// again, and no flood has it looked at more than once a minute.
#[tokio::test]
async fn keys_that_moved_are_found_while_the_old_place_still_answers() {
    let new = r#"{"keys":[]}"#;
    for (name, old) in
        [("the old keys", None), ("no keys", Some(new)), ("a page", Some("<html></html>"))]
    {
        let world = World::start().await;
        let server = world.server();
        ask(&server, &world.token()).await.assert_ok("the old place");
        world.clock.advance(Duration::from_secs(61));
        world.issuer.rotate();
        if let Some(old) = old {
            world.host.set_json("/jwks", old);
        }
        world.host.set_json("/new", &world.issuer.jwks());
        world.host.set_metadata(OAUTH, &world.host.url, &format!("{}/new", world.host.url));
        assert_eq!(world.host.asked(OAUTH), 1, "{name}");
        ask(&server, &world.token()).await.assert_ok(name);
        assert_eq!((world.host.asked(OAUTH), world.host.asked("/new")), (2, 1), "{name}");
    }
}

#[tokio::test]
async fn forged_kids_have_metadata_fetched_once_a_minute_at_most() {
    let world = World::start().await;
    let server = world.server();
    ask(&server, &world.token()).await.assert_ok("warm");
    let forged = |kid: &str| world.issuer.token().expires_in(100_000).header("kid", kid).sign();
    // The metadata is not a minute old.
    ask(&server, &forged("first")).await.assert_invalid_token("first");
    assert_eq!((world.host.asked(OAUTH), world.host.asked("/jwks")), (1, 2));
    for second in 0..180 {
        world.clock.advance(Duration::from_secs(1));
        let reply = ask(&server, &forged(&format!("forged-{second}"))).await;
        assert!(!reply.ran);
    }
    let asked = world.host.asked(OAUTH) - 1;
    assert!((1..=3).contains(&asked), "{asked} in three minutes");
    assert_eq!(world.host.asked(OPENID), 0);
    ask(&server, &world.token()).await.assert_ok("the good key");
}

/// A server of metadata that fails is not asked more often for it, and what is known stays.
#[tokio::test]
async fn metadata_that_fails_while_it_is_in_doubt_stays() {
    let world = World::start().await;
    let server = world.server();
    ask(&server, &world.token()).await.assert_ok("warm");
    world.host.set(OAUTH, Scripted::answer("500 Internal Server Error", "", ""));
    for second in 0..120 {
        world.clock.advance(Duration::from_secs(1));
        let forged = world.issuer.token().expires_in(100_000).header("kid", format!("{second}"));
        ask(&server, &forged.sign()).await;
    }
    let asked = world.host.asked(OAUTH) - 1;
    assert!((1..=4).contains(&asked), "{asked} in two minutes");
    ask(&server, &world.token()).await.assert_ok("the good key");
    // A rotation at the old place is seen all the same.
    world.clock.advance(Duration::from_secs(20));
    world.issuer.rotate();
    world.host.set_json("/jwks", &world.issuer.jwks());
    ask(&server, &world.token()).await.assert_ok("a new key");
}
