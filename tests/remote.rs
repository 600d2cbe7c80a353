//! Issuers over HTTP: discovery, rotation, outages, floods. Ages are driven by a test clock, and
//! the sockets are real.

#![cfg(feature = "http-client")]

#[path = "support/scripted.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod scripted;
#[path = "support/mod.rs"]
mod support;
#[path = "support/tls.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod tls;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tower_resource_server::clock::TestClock;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::layer::ResourceServerLayer;
use tower_resource_server::test_issuer::{Documents, Endpoint, Fault, TestIssuer};
use tower_resource_server::{Issuer, ResourceServer};

use scripted::{ENDLESS, OAUTH, OPENID, Scripted};
use support::*;
use tls::{Authority, Tls};

struct World {
    clock: TestClock,
    issuer: TestIssuer,
    server: ResourceServer,
}

impl World {
    async fn new() -> Self {
        let issuer = TestIssuer::start().await.unwrap();
        Self::of(issuer.clone(), Issuer::new(issuer.url()))
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

/// A server that trusts `issuer`, by this clock.
fn discovering(issuer: &str, clock: &TestClock) -> ResourceServer {
    let server = builder(Issuer::new(issuer)).allow_http_loopback();
    server.clock(clock.clone()).build().unwrap()
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
        let world = World::of(issuer.clone(), Issuer::new(issuer.url()));
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
        let built = builder(Issuer::new(issuer)).build();
        assert_eq!(built.is_ok(), good, "{issuer}: {built:?}");
    }
}

#[tokio::test]
async fn id_8414_2_2_a_key_url_from_metadata_must_be_https_too() {
    let host = Scripted::start().await;
    let clock = TestClock::starting_now();
    let issuer = TestIssuer::in_process(&host.url);
    host.set_json("/jwks", &issuer.jwks());
    // An address that reaches this very machine, and is none of those that the switch is for.
    let elsewhere = host.url.replace("127.0.0.1", "0.0.0.0");
    host.set_metadata(OAUTH, &host.url, &format!("{elsewhere}/jwks"));
    let other = api(discovering(&host.url, &clock).layer());
    other.bearer(&issuer.token().sign()).await.assert_unavailable("http on another machine");
    assert_eq!((host.asked(OAUTH), host.asked("/jwks")), (1, 0), "nobody was asked");
    host.set_metadata(OAUTH, &host.url, &issuer.jwks_uri());
    let own = api(discovering(&host.url, &clock).layer());
    own.bearer(&issuer.token().sign()).await.assert_ok("on this machine");
}

/// RFC 8414 §6.1: whoever can't show the certificate of its name is not asked, neither for metadata
/// nor for keys.
#[tokio::test]
async fn id_8414_2_2_certificates_are_checked() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let host = Scripted::start().await;
    let behind = host.url.strip_prefix("http://").unwrap().parse().unwrap();
    let tls = Tls::start(&authority, behind, None).await;
    let url = tls.url("");
    let issuer = TestIssuer::in_process(&url);
    host.set_json("/jwks", &issuer.jwks());
    host.set_metadata(OAUTH, &url, &issuer.jwks_uri());
    let found = |url: &str| Issuer::new(url);
    let explicit = |url: &str| Issuer::new(url).jwks_uri(format!("{url}/jwks"));
    let by_address = url.replace("localhost", "127.0.0.1");
    let of_address = TestIssuer::in_process(&by_address);
    let untrusted = |trusted: Issuer| builder(trusted);
    let trusting = |trusted: Issuer, own: &Authority| builder(trusted).root_certificates(own.pem());
    for (name, server, issuer) in [
        ("metadata, no such root", untrusted(found(&url)), &issuer),
        ("metadata, another root", trusting(found(&url), &stranger), &issuer),
        ("metadata, another name", trusting(found(&by_address), &authority), &of_address),
        ("keys, no such root", untrusted(explicit(&url)), &issuer),
        ("keys, another root", trusting(explicit(&url), &stranger), &issuer),
        ("keys, another name", trusting(explicit(&by_address), &authority), &of_address),
    ] {
        let api = api(server.build().unwrap().layer());
        api.bearer(&issuer.token().sign()).await.assert_unavailable(name);
    }
    assert!(host.requests.lock().unwrap().is_empty(), "nobody was asked");
    for (name, trusted) in [("metadata", found(&url)), ("keys", explicit(&url))] {
        let api = api(trusting(trusted, &authority).build().unwrap().layer());
        api.bearer(&issuer.token().sign()).await.assert_ok(name);
    }
    assert!(tls.connections() > 0);
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
        Fault::Oversize(600_000),
        Fault::Body("[]".into()),
        Fault::Typed("text/html".into(), "null".into()),
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

    // Two documents that differ: the keys of the first count, those of the second never.
    let host = Scripted::start().await;
    let clock = TestClock::starting_now();
    let (a, b) = (TestIssuer::in_process(&host.url), TestIssuer::in_process(&host.url));
    b.rotate();
    let url = |path: &str| format!("{}{path}", host.url);
    host.set_json("/a", &a.jwks());
    host.set_json("/b", &b.jwks());
    host.set_metadata(OAUTH, &host.url, &url("/a"));
    host.set_metadata(OPENID, &host.url, &url("/b"));
    let token_a = a.token().expires_in(10_000).sign();
    let token_b = b.token().expires_in(10_000).sign();
    let both = api(discovering(&host.url, &clock).layer());
    both.bearer(&token_a).await.assert_ok("by the first document");
    both.bearer(&token_b).await.assert_invalid_token("by the second document");
    assert_eq!((host.asked(OPENID), host.asked("/b")), (0, 0));
    // What the first document lacks is not taken from the second.
    host.set_json(OAUTH, &serde_json::json!({ "issuer": host.url }).to_string());
    let without = api(discovering(&host.url, &clock).layer());
    without.bearer(&token_b).await.assert_unavailable("no jwks_uri in the first");
    assert_eq!(host.asked("/b"), 0);
    // Without a first document the second is the first.
    host.set(OAUTH, Scripted::answer("404 Not Found", "", ""));
    let second = api(discovering(&host.url, &clock).layer());
    second.bearer(&token_b).await.assert_ok("by the only document");
    second.bearer(&token_a).await.assert_invalid_token("by a document that is gone");
}

#[tokio::test]
async fn id_8414_4_1_issuers_are_compared_code_point_by_code_point() {
    let host = Scripted::start().await;
    let clock = TestClock::starting_now();
    let issuer = TestIssuer::in_process(&host.url);
    host.set_json("/jwks", &issuer.jwks());
    let escaped: String = host.url.bytes().map(|octet| format!("\\u{octet:04X}")).collect();
    let port: u16 = host.url.rsplit_once(':').unwrap().1.parse().unwrap();
    for (name, spelled, good) in [
        ("as it is", host.url.clone(), true),
        ("every character escaped", escaped, true),
        ("slashes escaped", host.url.replace('/', "\\/"), true),
        ("a slash more", format!("{}/", host.url), false),
        ("the scheme in another case", host.url.replace("http", "HTTP"), false),
        ("another port", host.url.replace(&port.to_string(), &(port ^ 1).to_string()), false),
        ("another scheme", host.url.replace("http", "https"), false),
        ("a character percent-encoded", host.url.replace("127", "%3127"), false),
        ("a full stop of another script", host.url.replace("127.", "127\u{3002}"), false),
        ("a soft hyphen", host.url.replace("127", "1\u{ad}27"), false),
        ("a space behind", format!("{} ", host.url), false),
        ("nothing", String::new(), false),
    ] {
        let document = format!(r#"{{"issuer":"{spelled}","jwks_uri":"{}/jwks"}}"#, host.url);
        host.set_json(OAUTH, &document);
        let api = api(discovering(&host.url, &clock).layer());
        let reply = api.bearer(&issuer.token().sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
    // The `iss` of a token likewise.
    let document = serde_json::json!({ "issuer": host.url, "jwks_uri": issuer.jwks_uri() });
    host.set_json(OAUTH, &document.to_string());
    let api = api(discovering(&host.url, &clock).layer());
    let claims = |iss: &str| {
        let claims = serde_json::json!({
            "sub": "alice", "aud": AUDIENCE, "client_id": "app", "jti": "1", "iat": 0,
            "exp": 4_102_444_800_u64,
        });
        let claims = claims.to_string();
        issuer.token().raw_payload(claims.replacen('{', &format!("{{\"iss\":\"{iss}\","), 1)).sign()
    };
    api.bearer(&claims(&host.url.replace('/', "\\/"))).await.assert_ok("escaped");
    api.bearer(&claims(&format!("{}\u{301}", host.url))).await.assert_invalid_token("an accent");
}

#[tokio::test]
async fn id_oidcd_4_1_1_a_final_slash_of_the_issuer_is_dropped_in_its_urls_alone() {
    let host = Scripted::start().await;
    let clock = TestClock::starting_now();
    for (name, issuer_path, place) in [
        ("OpenID, appended", "/t1/", format!("/t1{OPENID}")),
        ("OpenID, inserted", "/t2/", format!("{OPENID}/t2")),
        ("RFC 8414", "/t3/", format!("{OAUTH}/t3")),
        ("without a path", "/", OAUTH.to_owned()),
    ] {
        let url = format!("{}{issuer_path}", host.url);
        let issuer = TestIssuer::in_process(&url);
        host.set_json("/jwks", &issuer.jwks());
        host.set_metadata(&place, &url, &format!("{}/jwks", host.url));
        let api = api(discovering(&url, &clock).layer());
        api.bearer(&issuer.token().sign()).await.assert_ok(name);
        let without = issuer.token().claim("iss", url.trim_end_matches('/')).sign();
        api.bearer(&without).await.assert_invalid_token(name);
    }
    let asked = host.requests.lock().unwrap().clone();
    assert!(asked.iter().all(|path| !path.contains("//")), "{asked:?}");
}

#[tokio::test]
async fn keys_may_be_on_another_host_and_metadata_without_keys_is_none() {
    let (host, keys) = (Scripted::start().await, Scripted::start().await);
    let clock = TestClock::starting_now();
    let issuer = TestIssuer::in_process(&host.url);
    keys.set_json("/jwks", &issuer.jwks());
    for (name, jwks_uri, good) in [
        ("another origin", serde_json::json!(format!("{}/jwks", keys.url)), true),
        ("another machine, by http", serde_json::json!("http://192.0.2.1/jwks"), false),
        ("no URL", serde_json::json!("/jwks"), false),
        ("a file", serde_json::json!("file:///etc/passwd"), false),
        ("a user name", serde_json::json!(keys.url.replace("//", "//user@")), false),
        ("a number", serde_json::json!(1), false),
        ("null", serde_json::json!(null), false),
    ] {
        let document = serde_json::json!({ "issuer": host.url, "jwks_uri": jwks_uri });
        host.set_json(OAUTH, &document.to_string());
        let reply = api(discovering(&host.url, &clock).layer());
        let reply = reply.bearer(&issuer.token().sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
    host.set_json(OAUTH, &serde_json::json!({ "issuer": host.url }).to_string());
    let without = api(discovering(&host.url, &clock).layer());
    without.bearer(&issuer.token().sign()).await.assert_unavailable("absent");
}

/// Answers that a well-behaved server does not give. None is a key set, none takes keys away, and
/// none makes this server ask anyone else.
#[tokio::test]
async fn answers_in_bad_http_or_bad_json_are_no_key_set() {
    let (host, elsewhere) = (Scripted::start().await, Scripted::start().await);
    let issuer = TestIssuer::in_process(&host.url);
    let set = issuer.jwks();
    elsewhere.set_json("/jwks", &set);
    host.set_metadata(OAUTH, &host.url, &issuer.jwks_uri());
    let json = "content-type: application/json\r\n";
    let ok =
        |fields: &str, body: &str| Scripted::answer("200 OK", &format!("{json}{fields}"), body);
    let to = |status: &str| {
        Scripted::answer(status, &format!("location: {}/jwks\r\n", elsewhere.url), &set)
    };
    let of_length = |length: usize| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{json}\r\n");
        [head.as_bytes(), set.as_bytes()].concat()
    };
    for (name, bad) in [
        ("two byte order marks", ok("", &format!("\u{feff}\u{feff}{set}"))),
        ("two members `keys`", ok("", &set.replacen('{', r#"{"keys":[],"#, 1))),
        ("an object of keys", ok("", r#"{"keys":{}}"#)),
        ("no keys", ok("", "{}")),
        ("an empty body", ok("", "")),
        ("two documents", ok("", &set.repeat(2))),
        ("no content", Scripted::answer("204 No Content", "", "")),
        ("part of it", Scripted::answer("206 Partial Content", json, &set)),
        ("not modified, unasked", Scripted::answer("304 Not Modified", "", "")),
        ("moved", to("301 Moved Permanently")),
        ("found", to("302 Found")),
        ("see other", to("303 See Other")),
        ("temporary redirect", to("307 Temporary Redirect")),
        ("too many", Scripted::answer("429 Too Many Requests", "retry-after: 5\r\n", &set)),
        ("busy", Scripted::answer("503 Service Unavailable", "retry-after: 5\r\n", &set)),
        ("shorter than it says", of_length(set.len() + 1)),
        ("longer than it says", of_length(set.len() - 1)),
        ("compressed, or so it says", ok("content-encoding: gzip\r\n", "\u{1f}\u{8b}\u{8}")),
        ("no HTTP", b"hello".to_vec()),
        ("nothing", Vec::new()),
    ] {
        let clock = TestClock::starting_now();
        let api = api(discovering(&host.url, &clock).layer());
        let token = issuer.token().expires_in(100_000).sign();
        host.set("/jwks", bad.clone());
        api.bearer(&token).await.assert_unavailable(name);
        host.set_json("/jwks", &set);
        clock.advance(Duration::from_secs(31));
        api.bearer(&token).await.assert_ok(name);
        host.set("/jwks", bad);
        let asked = host.asked("/jwks");
        clock.advance(Duration::from_secs(290));
        for _ in 0..1_000 {
            api.bearer(&token).await.assert_ok(&format!("{name}, with a good set at hand"));
            if host.asked("/jwks") > asked {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(host.asked("/jwks") > asked, "{name}");
        tokio::time::sleep(Duration::from_millis(5)).await;
        api.bearer(&token).await.assert_ok(&format!("{name}, after it was taken in"));
    }
    assert_eq!(elsewhere.asked("/jwks"), 0, "redirects are not followed");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    for path in [OAUTH, "/jwks"] {
        let host = Scripted::start().await;
        let clock = TestClock::starting_now();
        let issuer = TestIssuer::in_process(&host.url);
        host.set_json("/jwks", &issuer.jwks());
        host.set_metadata(OAUTH, &host.url, &issuer.jwks_uri());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        host.set(path, [head.as_bytes(), ENDLESS].concat());
        let api = api(discovering(&host.url, &clock).layer());
        api.bearer(&issuer.token().sign()).await.assert_unavailable(path);
        // What the sockets hold between the two is a few MiB at most.
        let sent = host.sent.load(Ordering::SeqCst);
        assert!(sent > 60_000 && sent < 50_000_000, "{path}: {sent} octets");
    }
}

#[tokio::test]
async fn forged_kids_do_not_queue_up_behind_a_hanging_issuer() {
    let world = World::new().await;
    let api = api(world.layer());
    let good = world.token();
    api.bearer(&good).await.assert_ok("warm");
    world.issuer.set_fault(Endpoint::Jwks, Fault::Hang);
    let forger = Forger::new(&good);
    let forged: Vec<_> = (0..5_000)
        .map(|n| {
            let token = forger.token(&format!("forged-{n}"));
            let api = api.clone();
            Box::pin(async move { api.bearer(&token).await })
        })
        .collect();
    let (mut waiting, mut refused) = (Vec::new(), 0);
    for mut request in forged {
        match futures::poll!(request.as_mut()) {
            std::task::Poll::Pending => waiting.push(request),
            std::task::Poll::Ready(reply) => {
                reply.assert_unavailable("no place to wait");
                refused += 1;
            }
        }
    }
    assert_eq!((waiting.len(), refused), (1 + 4_096, 5_000 - 1 - 4_096));
    let mut known = std::pin::pin!(api.bearer(&good));
    match futures::poll!(known.as_mut()) {
        std::task::Poll::Ready(reply) => reply.assert_ok("a known kid in between"),
        std::task::Poll::Pending => panic!("a request with its key at hand waits"),
    }
    for reply in futures::future::join_all(waiting).await {
        reply.assert_unavailable("nobody could look");
    }
    assert_eq!(world.issuer.counts().jwks, 2, "the first fetch, and the one that hangs");
}

#[tokio::test]
async fn id_7517_5_1_and_7_answers_that_are_no_key_set_take_no_keys_away() {
    for fault in [
        Fault::Status(500),
        Fault::Status(404),
        // Not a status.
        Fault::Status(0),
        Fault::Error(1_000, "server_error".into()),
        Fault::Html,
        Fault::Garbage,
        Fault::Truncated,
        Fault::Redirect("/elsewhere".into()),
        Fault::Oversize(600_000),
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
    for content_type in
        ["application/jwk-set+json", "application/json; charset=utf-8", "text/plain", ""]
    {
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
    let reply = api.bearer(&unknown).await;
    reply.assert_unavailable("while the set is fresh: nobody could look");
    let told = reply.error.unwrap().to_string();
    assert!(told.starts_with("no key for the token could be fetched from issuer"), "{told}");
    world.pass(400);
    let unknown = world.issuer.token().expires_in(10_000).header("kid", "unknown").sign();
    api.bearer(&unknown).await.assert_unavailable("when it is stale");
    api.bearer(&good).await.assert_ok("known, stale");
}

#[tokio::test]
async fn a_new_kid_is_503_where_nobody_could_look_and_401_where_somebody_did() {
    for fault in [
        Fault::Status(503),
        Fault::Status(500),
        Fault::Busy(5),
        Fault::Garbage,
        Fault::Body(r#"{"keys":[]}"#.into()),
        Fault::Redirect("/elsewhere".into()),
        Fault::Hang,
        Fault::None,
    ] {
        for age in [0, 100] {
            let name = format!("{fault:?}, {age} s after the last fetch");
            let world = World::new().await;
            let api = api(world.layer());
            let good = world.token();
            api.bearer(&good).await.assert_ok("warm");
            world.pass(age);
            // Another document, so that none of it is answered by a sound 304.
            world.issuer.set_extra_jwks([serde_json::json!({ "kty": "XYZ" })]);
            world.issuer.set_fault(Endpoint::Jwks, fault.clone());
            let unknown = world.issuer.token().expires_in(100_000).header("kid", "new").sign();
            for time in ["first", "at once again"] {
                let reply = api.bearer(&unknown).await;
                if fault == Fault::None {
                    reply.assert_invalid_token(&format!("{name}, {time}"));
                } else {
                    reply.assert_unavailable(&format!("{name}, {time}"));
                    assert!(matches!(
                        reply.error,
                        Some(tower_resource_server::Error::KeysUnavailable { .. })
                    ));
                }
            }
            api.bearer(&good).await.assert_ok(&name);
            // And the key that comes at last is used.
            world.issuer.set_fault(Endpoint::Jwks, Fault::None);
            world.issuer.rotate();
            world.pass(31);
            api.bearer(&world.token()).await.assert_ok(&name);
        }
    }
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

/// RFC 9110 §5.3: several lines of one field are one list.
#[tokio::test]
async fn cache_control_is_read_from_all_its_lines() {
    let host = Scripted::start().await;
    let issuer = TestIssuer::in_process(&host.url);
    for (fields, next) in [
        ("cache-control: max-age=3600\r\n", 2_000..3_600),
        ("cache-control: max-age=3600\r\ncache-control: no-cache\r\n", 0..60),
        ("cache-control: public\r\ncache-control: max-age=3600\r\n", 2_000..3_600),
    ] {
        host.set("/jwks", Scripted::answer("200 OK", fields, &issuer.jwks()));
        let trusted = Issuer::new(&host.url).jwks_uri(format!("{}/jwks", host.url));
        let clock = TestClock::starting_now();
        let server = builder(trusted).clock(clock).allow_http_loopback().build().unwrap();
        api(server.layer()).bearer(&issuer.token().sign()).await.assert_ok(fields);
        let refresh = server.health().issuers[0].next_refresh.unwrap().as_secs();
        assert!(next.contains(&refresh), "{fields}: {refresh}");
    }
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

#[tokio::test]
async fn keys_that_moved_are_looked_for_in_the_metadata_again() {
    let host = Scripted::start().await;
    let issuer = TestIssuer::in_process(&host.url);
    for (status, moves) in [("404 Not Found", true), ("410 Gone", true), ("403 Forbidden", false)] {
        let clock = TestClock::starting_now();
        let token = issuer.token().expires_in(100_000).sign();
        host.set_json("/old", &issuer.jwks());
        host.set_metadata(OAUTH, &host.url, &format!("{}/old", host.url));
        let api = api(discovering(&host.url, &clock).layer());
        api.bearer(&token).await.assert_ok("the old place");
        host.set("/old", Scripted::answer(status, "", ""));
        host.set_json("/new", &issuer.jwks());
        host.set_metadata(OAUTH, &host.url, &format!("{}/new", host.url));
        let (metadata, new) = (host.asked(OAUTH), host.asked("/new"));
        // The keys are stale by then, and the metadata is fresh.
        clock.advance(Duration::from_secs(2_000));
        let before = host.asked("/old");
        settled(&api, &token, || host.asked("/old") > before).await;
        assert_eq!(host.asked(OAUTH), metadata, "{status}: fresh until the keys are gone");
        clock.advance(Duration::from_secs(31));
        let before = host.asked("/old") + host.asked("/new");
        settled(&api, &token, || host.asked("/old") + host.asked("/new") > before).await;
        let found = (host.asked(OAUTH) - metadata, host.asked("/new") - new);
        assert_eq!(found, if moves { (1, 1) } else { (0, 0) }, "{status}");
    }
}

/// A doubt costs one look at the metadata, and what is at hand stays where that look fails.
#[tokio::test]
async fn metadata_in_doubt_is_used_where_there_is_no_other() {
    let host = Scripted::start().await;
    let clock = TestClock::starting_now();
    let issuer = TestIssuer::in_process(&host.url);
    let token = issuer.token().expires_in(100_000).sign();
    host.set_json("/jwks", &issuer.jwks());
    host.set_metadata(OAUTH, &host.url, &issuer.jwks_uri());
    let api = api(discovering(&host.url, &clock).layer());
    api.bearer(&token).await.assert_ok("warm");
    host.set("/jwks", Scripted::answer("404 Not Found", "", ""));
    host.set(OAUTH, Scripted::answer("500 Internal Server Error", "", ""));
    for (round, metadata) in [(1, 1), (2, 2), (3, 3)] {
        clock.advance(Duration::from_secs(if round == 1 { 290 } else { 31 }));
        let before = host.asked("/jwks");
        settled(&api, &token, || host.asked("/jwks") > before).await;
        assert_eq!(host.asked(OAUTH), metadata, "one a failed fetch, round {round}");
    }
    host.set_json("/jwks", &issuer.jwks());
    clock.advance(Duration::from_secs(31));
    let before = host.asked("/jwks");
    settled(&api, &token, || host.asked("/jwks") > before).await;
    clock.advance(Duration::from_secs(250));
    let before = host.asked("/jwks");
    settled(&api, &token, || host.asked("/jwks") > before).await;
    assert_eq!(host.asked(OAUTH), 4, "no doubt after a success");
}

/// Sends requests until something has come of them at the issuer, and gives the answer time to be
/// taken in.
async fn settled<S>(api: &Api<S>, token: &str, done: impl Fn() -> bool)
where
    S: tower::Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = std::convert::Infallible,
        > + Clone,
{
    for _ in 0..1_000 {
        api.bearer(token).await.assert_ok("keys are at hand");
        if done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nobody was asked");
}

#[tokio::test]
async fn metadata_servers_in_trouble_are_left_alone() {
    for (name, answer, others, pause) in [
        ("not found", Scripted::answer("404 Not Found", "", ""), 1, 0),
        ("forbidden", Scripted::answer("403 Forbidden", "", ""), 1, 0),
        ("too many", Scripted::answer("429 Too Many Requests", "", ""), 0, 0),
        (
            "too many, 20 s",
            Scripted::answer("429 Too Many Requests", "retry-after: 20\r\n", ""),
            0,
            20,
        ),
        (
            "busy, 20 s",
            Scripted::answer("503 Service Unavailable", "retry-after: 20\r\n", ""),
            0,
            20,
        ),
        ("broken", Scripted::answer("500 Internal Server Error", "", ""), 1, 0),
    ] {
        let host = Scripted::start().await;
        let clock = TestClock::starting_now();
        let issuer = TestIssuer::in_process(&host.url);
        let token = issuer.token().sign();
        host.set(OAUTH, answer);
        let api = api(discovering(&host.url, &clock).layer());
        let reply = api.bearer(&token).await;
        reply.assert_unavailable(name);
        assert_eq!((host.asked(OAUTH), host.asked(OPENID)), (1, others), "{name}");
        host.set_json("/jwks", &issuer.jwks());
        host.set_metadata(OAUTH, &host.url, &issuer.jwks_uri());
        if pause > 0 {
            // Up to half as long again, so that a fleet spreads.
            let asked = reply.headers[http::header::RETRY_AFTER].to_str().unwrap();
            let asked: u64 = asked.parse().unwrap();
            assert!((pause..=pause + pause / 2).contains(&asked), "{name}: {asked}");
            clock.advance(Duration::from_secs(pause - 1));
            api.bearer(&token).await.assert_unavailable(&format!("{name}, too early"));
            assert_eq!(host.asked(OAUTH), 1, "{name}");
        }
        clock.advance(Duration::from_secs(31));
        api.bearer(&token).await.assert_ok(&format!("{name}, later"));
    }
}
