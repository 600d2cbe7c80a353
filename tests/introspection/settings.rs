//! What can be set of a call, for servers that want something else than RFC 7662 has: credentials as
//! they are, further parameters and headers, a token that is renewed, a longer deadline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower_resource_server::Issuer;
use tower_resource_server::introspection::{ClientAuth, Introspection, TokenSource};
use tower_resource_server::issuer::SourceError;
use tower_resource_server::test_issuer::{Endpoint, Fault};

use super::support::*;
use super::{secret, serve, start};

/// An endpoint that calls every token active, and keeps what it was sent.
struct Recorder {
    url: String,
    calls: Arc<Mutex<Vec<String>>>,
    task: tokio::task::AbortHandle,
}

impl Recorder {
    async fn start(status: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&calls);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut call = Vec::new();
                while !call.ends_with(b"\r\n\r\n") {
                    call.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(call.clone()).unwrap().to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                call.extend_from_slice(&body);
                kept.lock().unwrap().push(String::from_utf8(call).unwrap());
                let answer = json!({ "active": true, "sub": "alice", "aud": AUDIENCE }).to_string();
                let length = answer.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {length}\r\n\r\n{answer}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, calls, task: task.abort_handle() }
    }

    /// Asks about a token with these settings.
    async fn ask(&self, introspection: Introspection, token: &str) -> Reply {
        let trusted = Issuer::new(ISSUER)
            .jwks(issuer().jwks())
            .introspection(introspection.endpoint(format!("{}/introspect", self.url)));
        let server = builder(trusted).allow_http_loopback().build().unwrap();
        api(server.layer()).bearer(token).await
    }

    fn last(&self) -> String {
        self.calls.lock().unwrap().last().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What `build` says of these settings; nothing where they are good.
fn problem(introspection: Introspection) -> String {
    let trusted = Issuer::new(ISSUER)
        .jwks(issuer().jwks())
        .introspection(introspection.endpoint("http://127.0.0.1:1/introspect"));
    let built = builder(trusted).allow_http_loopback().build();
    built.err().map(|error| error.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn basic_credentials_are_encoded_or_as_they_are() {
    let recorder = Recorder::start("200 OK").await;
    let (id, secret) = ("api+notes/1", "p%q &é:");
    for (name, auth, pair) in [
        (
            "encoded",
            ClientAuth::client_secret_basic(id, secret),
            "api%2Bnotes%2F1:p%25q+%26%C3%A9%3A",
        ),
        ("as they are", ClientAuth::client_secret_basic_as_is(id, secret), "api+notes/1:p%q &é:"),
    ] {
        recorder
            .ask(Introspection::new(auth), name.replace(' ', "-").as_str())
            .await
            .assert_ok(name);
        let header = format!("authorization: Basic {}\r\n", STANDARD.encode(pair));
        assert!(recorder.last().contains(&header), "{name}");
    }
    for (name, id, secret, good) in [
        ("a colon in the secret", "api", "a:b", true),
        ("a colon in the id", "a:b", "secret", false),
        ("a control character", "api", "a\nb", false),
        ("no secret", "api", "", false),
    ] {
        let as_is = Introspection::new(ClientAuth::client_secret_basic_as_is(id, secret));
        assert_eq!(problem(as_is).is_empty(), good, "{name}");
    }
    let shown = format!("{:?}", ClientAuth::client_secret_basic_as_is("api", "s3cr3t"));
    assert!(shown.contains("api") && !shown.contains("s3cr3t"), "{shown}");
}

#[tokio::test]
async fn further_parameters_and_headers_go_with_the_call() {
    let recorder = Recorder::start("200 OK").await;
    let plain = Introspection::new(secret());
    recorder.ask(plain.clone(), "plain").await.assert_ok("plain");
    let usual = recorder.last();
    assert!(!usual.contains("tenant"), "{usual}");
    let settings = plain.form_parameter("tenant", "a&b=c é").header("X-Tenant", "inner");
    recorder.ask(settings.clone(), "more").await.assert_ok("more");
    let call = recorder.last();
    let (head, body) = call.split_once("\r\n\r\n").unwrap();
    assert!(body.contains("token=more") && body.ends_with("&tenant=a%26b%3Dc+%C3%A9"), "{body}");
    assert!(head.contains("\r\nx-tenant: inner"), "{head}");
    assert!(head.contains("\r\nauthorization: Basic "), "{head}");
    let shown = format!("{settings:?}");
    assert!(shown.contains("tenant") && !shown.contains("a&b") && !shown.contains("inner"));
    let set = || Introspection::new(secret());
    for (name, introspection, good) in [
        ("a parameter", set().form_parameter("realm", ""), true),
        ("two", set().form_parameter("a", "1").form_parameter("b", "1"), true),
        ("one twice", set().form_parameter("a", "1").form_parameter("a", "2"), false),
        ("the token", set().form_parameter("token", "x"), false),
        ("the hint", set().form_parameter("token_type_hint", "x"), false),
        ("the client", set().form_parameter("client_id", "x"), false),
        ("its secret", set().form_parameter("client_secret", "x"), false),
        ("its assertion", set().form_parameter("client_assertion", "x"), false),
        ("no name", set().form_parameter("", "x"), false),
        ("a header", set().header("x-api-key", "k"), true),
        ("a header twice", set().header("x-a", "k").header("X-A", "k"), false),
        ("credentials", set().header("Authorization", "Bearer x"), false),
        ("a host", set().header("host", "x"), false),
        ("a length", set().header("content-length", "1"), false),
        ("a type", set().header("Content-Type", "text/plain"), false),
        ("what is accepted", set().header("accept", "*/*"), false),
        ("no header's name", set().header("x tenant", "k"), false),
        ("two lines", set().header("x-a", "k\r\nx-b: c"), false),
    ] {
        let problem = problem(introspection);
        assert_eq!(problem.is_empty(), good, "{name}: {problem}");
    }
}

#[tokio::test]
async fn a_bearer_token_is_renewed_from_a_file() {
    let recorder = Recorder::start("200 OK").await;
    let path = std::env::temp_dir().join(format!("introspection-token-{}", std::process::id()));
    std::fs::write(&path, "first-token\n").unwrap();
    let ttl = Duration::ZERO;
    let settings = Introspection::new(ClientAuth::bearer_token_file(&path)).cache_ttl(ttl);
    recorder.ask(settings.clone(), "a").await.assert_ok("the first");
    assert!(recorder.last().contains("authorization: Bearer first-token\r\n"));
    std::fs::write(&path, "second-token").unwrap();
    recorder.ask(settings.clone(), "b").await.assert_ok("the second");
    assert!(recorder.last().contains("authorization: Bearer second-token\r\n"));
    for (name, content) in [("nothing", ""), ("two-lines", "a\nb"), ("a-field", "x\r\nHost: y")] {
        std::fs::write(&path, content).unwrap();
        recorder.ask(settings.clone(), name).await.assert_unavailable(name);
    }
    std::fs::remove_file(&path).unwrap();
    recorder.ask(settings, "c").await.assert_unavailable("no file");
    assert_eq!(recorder.count(), 2, "nothing is asked without a token");
    assert!(problem(Introspection::new(ClientAuth::bearer_token_file(""))).contains("file"));
}

#[tokio::test]
async fn a_bearer_token_is_renewed_by_its_source() {
    struct Renewing(AtomicUsize);

    impl TokenSource for Renewing {
        async fn token(&self) -> Result<String, SourceError> {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            match number {
                // As a file ends.
                0 | 1 => Ok(format!("token-{number}\n")),
                2 => Ok("two words".to_owned()),
                3 => Err(SourceError::new("the server of tokens is down")),
                4 => panic!("of the test"),
                5 => std::future::pending().await,
                _ => Ok("back".to_owned()),
            }
        }
    }

    let recorder = Recorder::start("200 OK").await;
    let auth = ClientAuth::bearer_token_from(Renewing(AtomicUsize::new(0)));
    assert!(!format!("{auth:?}").contains("token-"));
    let settings = || {
        let own = Introspection::new(auth.clone()).cache_ttl(Duration::ZERO);
        own.deadline(Duration::from_secs(1))
    };
    for number in 0..2 {
        recorder.ask(settings(), "a").await.assert_ok("renewed");
        let header = format!("authorization: Bearer token-{number}\r\n");
        assert!(recorder.last().contains(&header), "{number}");
    }
    for name in ["no-token", "down", "panics", "hangs"] {
        let reply = recorder.ask(settings(), name).await;
        reply.assert_unavailable(name);
        let logged = reply.error.unwrap().to_string();
        assert!(!logged.contains("two words"), "{logged}");
        assert_eq!(logged.contains("the server of tokens is down"), name == "down", "{logged}");
    }
    assert_eq!(recorder.count(), 2, "nothing is asked without a token");
    recorder.ask(settings(), "a").await.assert_ok("it is back");
}

/// What another's code says stays one line, and a short one.
#[tokio::test]
async fn the_words_of_a_token_source_are_escaped_and_cut() {
    struct Talking(String);

    impl TokenSource for Talking {
        async fn token(&self) -> Result<String, SourceError> {
            Err(SourceError::new(&self.0))
        }
    }

    let recorder = Recorder::start("200 OK").await;
    for (words, shown) in [
        ("plain".to_owned(), "bearer token source: plain"),
        ("a\r\n WARN b".to_owned(), "bearer token source: a\\r\\n WARN b"),
        ("x".repeat(100_000), "xxx…"),
    ] {
        let auth = ClientAuth::bearer_token_from(Talking(words));
        let reply = recorder.ask(Introspection::new(auth), "token").await;
        reply.assert_unavailable(shown);
        let logged = reply.error.unwrap().to_string();
        assert!(logged.contains(shown), "{logged}");
        assert!(!logged.contains(char::is_control) && logged.len() < 1_000, "{logged}");
    }
}

#[tokio::test]
async fn status_201_is_an_answer() {
    for (status, good) in [("201 Created", true), ("200 OK", true), ("202 Accepted", false)] {
        let recorder = Recorder::start(status).await;
        let reply = recorder.ask(Introspection::new(secret()), "token").await;
        if good { reply.assert_ok(status) } else { reply.assert_unavailable(status) }
    }
}

#[tokio::test]
async fn a_server_that_takes_longer_than_usual_is_reached_by_a_deadline() {
    const SLOW: Duration = Duration::from_millis(5_500);
    let (clock, issuer) = start().await;
    issuer.set_fault(Endpoint::Introspection, Fault::Slow(SLOW));
    let with = |introspection: Introspection| {
        let trusted = Issuer::new(issuer.url()).introspection(introspection);
        api(serve(trusted, &clock).layer())
    };
    let (usual, longer) = (
        with(Introspection::new(secret())),
        with(Introspection::new(secret()).deadline(Duration::from_secs(9))),
    );
    let (one, other) = (issuer.token().opaque(), issuer.token().opaque());
    let (usual, longer) = tokio::join!(usual.bearer(&one), longer.bearer(&other));
    usual.assert_unavailable("5 s, unless set");
    longer.assert_ok("9 s");
    for (seconds, good) in [(0, false), (1, true), (30, true), (31, false)] {
        let set = Introspection::new(secret()).deadline(Duration::from_secs(seconds));
        assert_eq!(problem(set).is_empty(), good, "{seconds} s");
    }
}

#[tokio::test]
async fn a_key_server_that_takes_longer_than_usual_is_reached_by_a_deadline() {
    const SLOW: Duration = Duration::from_millis(5_500);
    let (clock, issuer) = start().await;
    issuer.set_fault(Endpoint::Jwks, Fault::Slow(SLOW));
    let with = |seconds: Option<u64>| {
        let trusted = Issuer::new(issuer.url());
        serve(
            match seconds {
                Some(seconds) => trusted.fetch_deadline(Duration::from_secs(seconds)),
                None => trusted,
            },
            &clock,
        )
    };
    let (usual, longer) = (with(None), with(Some(9)));
    let limit = Duration::from_secs(8);
    let ready =
        async |server: &tower_resource_server::ResourceServer| server.ready(limit).await.is_ok();
    let (usual_is, longer_is) = tokio::join!(ready(&usual), ready(&longer));
    assert!(!usual_is, "5 s, unless set");
    assert!(longer_is, "9 s");
    api(longer.layer()).bearer(&issuer.token().sign()).await.assert_ok("with its keys");
    for (seconds, good) in [(0, false), (1, true), (30, true), (31, false)] {
        let trusted = Issuer::new(ISSUER).fetch_deadline(Duration::from_secs(seconds));
        assert_eq!(builder(trusted).build().is_ok(), good, "{seconds} s");
    }
}
