//! Connections that their server closes while they are idle, which a client learns too late.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

use super::ask;
use super::support::*;

/// When a server gives a connection up.
#[derive(Clone, Copy, Debug)]
enum Closes {
    /// When it was idle so long: now and then as the next request leaves.
    AfterIdle(Duration),
    /// As the next request comes, which is the moment that costs an answer each time.
    AsTheNextComes,
    /// Before the first answer.
    Always,
    /// After the head of an answer and a part of its body.
    InTheBody,
}

/// An HTTP/1.1 server that says of every token that it is active, and serves keys at `/jwks`.
struct Server {
    url: String,
    issuer: TestIssuer,
    /// Requests that came whole, by their body.
    bodies: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(closes: Closes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = TestIssuer::in_process(ISSUER);
        let (bodies, connections): (Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>) = Default::default();
        let (log, count, jwks) = (Arc::clone(&bodies), Arc::clone(&connections), issuer.jwks());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, closes, Arc::clone(&log), jwks.clone()));
            }
        });
        Self { url, issuer, bodies, connections }
    }

    fn introspecting(&self, auth: ClientAuth) -> ResourceServer {
        let introspection = Introspection::new(auth).endpoint(format!("{}/introspect", self.url));
        let issuer = Issuer::new(ISSUER).jwks(self.issuer.jwks()).introspection(introspection);
        let clock = TestClock::starting_now();
        builder(issuer).allow_http_loopback().clock(clock).build().unwrap()
    }

    fn asked(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }
}

async fn serve(
    mut stream: TcpStream,
    closes: Closes,
    log: Arc<Mutex<Vec<String>>>,
    jwks: String,
) -> Option<()> {
    for number in 0.. {
        let request = match closes {
            Closes::AfterIdle(idle) => timeout(idle, read(&mut stream)).await.ok()??,
            _ => read(&mut stream).await?,
        };
        log.lock().unwrap().push(request.1);
        let text = match request.0.starts_with("GET /jwks") {
            true => jwks.clone(),
            false => format!(r#"{{"active":true,"aud":"{AUDIENCE}"}}"#),
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        match closes {
            Closes::AsTheNextComes if number > 0 => return None,
            Closes::Always => return None,
            Closes::InTheBody => {
                let part = &answer.as_bytes()[..answer.len() - 10];
                stream.write_all(part).await.ok()?;
                return None;
            }
            Closes::AfterIdle(_) | Closes::AsTheNextComes => {
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
        }
    }
    None
}

/// A request's head and body.
async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}

fn secret() -> ClientAuth {
    ClientAuth::client_secret_basic("api", "a secret")
}

#[tokio::test]
async fn a_server_that_closes_idle_connections_costs_no_good_token_a_503() {
    let idle = Duration::from_millis(20);
    for (name, closes, pause) in [
        ("as the next request leaves", Closes::AfterIdle(idle), idle),
        ("long before it", Closes::AfterIdle(idle), idle * 2),
        ("as it comes", Closes::AsTheNextComes, Duration::ZERO),
    ] {
        let server = Server::start(closes).await;
        let api = server.introspecting(secret());
        let count = if pause.is_zero() { 600 } else { 200 };
        for number in 0..count {
            ask(&api, &format!("token-{number}")).await.assert_ok(&format!("{name}, {number}"));
            sleep(pause).await;
        }
        let health = api.health();
        let introspection = health.issuers[0].introspection.as_ref().unwrap();
        assert_eq!(introspection.calls, count, "{name}: a call that is repeated counts once");
    }
}

#[tokio::test]
async fn keys_are_fetched_again_where_the_connection_broke() {
    let server = Server::start(Closes::AsTheNextComes).await;
    let clock = TestClock::starting_now();
    let issuer = Issuer::new(ISSUER).jwks_uri(format!("{}/jwks", server.url));
    let api = builder(issuer).allow_http_loopback().clock(clock.clone()).build().unwrap();
    let token = server.issuer.token().expires_in(1_000_000).sign();
    for round in 0..10 {
        ask(&api, &token).await.assert_ok(&format!("round {round}"));
        clock.advance(Duration::from_secs(10_000));
    }
    assert!(server.connections.load(Ordering::SeqCst) >= 5, "the test breaks connections");
}

/// RFC 7523 §3: an assertion's `jti` is used once, and the server may have read the first request.
#[tokio::test]
async fn a_repeated_call_has_an_assertion_of_its_own() {
    let server = Server::start(Closes::AsTheNextComes).await;
    let auth = ClientAuth::client_secret_jwt("api", "a secret of at least thirty-two octets");
    let api = server.introspecting(auth);
    for number in 0..40 {
        ask(&api, &format!("token-{number}")).await.assert_ok("with an assertion");
    }
    let bodies = server.bodies.lock().unwrap();
    assert!(bodies.len() > 40, "the test breaks connections");
    let fields = bodies.iter().flat_map(|body| body.split('&'));
    let assertions: Vec<_> = fields.filter(|pair| pair.starts_with("client_assertion=")).collect();
    assert_eq!(assertions.len(), bodies.len());
    assert_eq!(assertions.iter().collect::<HashSet<_>>().len(), bodies.len(), "each is new");
}

#[tokio::test]
async fn a_call_is_repeated_once_and_not_after_its_answer_began() {
    for (name, closes, requests) in
        [("before any answer", Closes::Always, 2), ("in the body", Closes::InTheBody, 1)]
    {
        let server = Server::start(closes).await;
        let api = server.introspecting(secret());
        ask(&api, "token").await.assert_unavailable(name);
        assert_eq!(server.asked(), requests, "{name}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut server = Server::start(Closes::Always).await;
    server.url = format!("http://{nobody}");
    ask(&server.introspecting(secret()), "token").await.assert_unavailable("no connection");
}
