//! HTTP/2 connections that are accepted, alive, and never answer.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

use super::ask;
use super::support::*;
use super::tls::Authority;

/// How a connection is hung.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hung {
    /// It is alive, and its requests are not answered.
    ButForPing,
    /// Nothing comes from it, nothing is read.
    Altogether,
}

/// What was made of one connection.
#[derive(Default)]
struct Connection {
    is_mute: AtomicBool,
    is_frozen: AtomicBool,
}

/// An authorization server that speaks HTTP/2 over TLS.
struct Server {
    url: String,
    authority: Authority,
    issuer: TestIssuer,
    connections: Arc<Mutex<Vec<Arc<Connection>>>>,
}

impl Server {
    async fn start() -> Self {
        let authority = Authority::new();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        let (certificate, key) = authority.certify("localhost");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let issuer = TestIssuer::in_process(ISSUER);
        let connections: Arc<Mutex<Vec<Arc<Connection>>>> = Arc::default();
        let (jwks, list) = (issuer.jwks(), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, list, jwks) = (acceptor.clone(), Arc::clone(&list), jwks.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let own = Arc::new(Connection::default());
                    list.lock().unwrap().push(Arc::clone(&own));
                    let stream = Freezing { stream, own: Arc::clone(&own) };
                    let service =
                        service_fn(move |request| answer(request, jwks.clone(), own.clone()));
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, authority, issuer, connections }
    }

    fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// Hangs the connections that there are.
    fn hang(&self, how: Hung) {
        for connection in &*self.connections.lock().unwrap() {
            match how {
                Hung::ButForPing => &connection.is_mute,
                Hung::Altogether => &connection.is_frozen,
            }
            .store(true, Ordering::SeqCst);
        }
    }

    fn trusting(&self, issuer: Issuer, clock: &TestClock) -> ResourceServer {
        let issuer = issuer.only_root_certificates(self.authority.pem());
        builder(issuer).clock(clock.clone()).build().unwrap()
    }

    fn introspecting(&self, clock: &TestClock) -> ResourceServer {
        let introspection = Introspection::new(ClientAuth::client_secret_basic("api", "a secret"))
            .endpoint(format!("{}/introspect", self.url));
        let issuer = Issuer::new(ISSUER).jwks(self.issuer.jwks());
        self.trusting(issuer.introspection(introspection), clock)
    }
}

/// Says that every token is active; one with `slow` in it after 4 s.
async fn answer(
    request: Request<Incoming>,
    jwks: String,
    own: Arc<Connection>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answers_keys = request.uri().path() == "/jwks";
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if String::from_utf8_lossy(&body).contains("slow") {
        sleep(Duration::from_secs(4)).await;
    } else if own.is_mute.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let text = if answers_keys {
        jwks
    } else {
        format!(r#"{{"active":true,"aud":"{AUDIENCE}","sub":"alice"}}"#)
    };
    let answer = Response::builder().header("content-type", "application/json");
    Ok(answer.body(Full::new(text.into())).unwrap())
}

/// A stream that stays open when it is frozen: nothing arrives any more, and all that is written is
/// lost.
struct Freezing<S> {
    stream: S,
    own: Arc<Connection>,
}

impl<S> Freezing<S> {
    fn is_frozen(&self) -> bool {
        self.own.is_frozen.load(Ordering::SeqCst)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Freezing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.is_frozen() {
            buffer.set_filled(before);
            return Poll::Pending;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Freezing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_frozen() {
            return Poll::Ready(Ok(octets.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// A call has 5 s; what a client waits beyond that is slowness of the machine.
const IN_TIME: Duration = Duration::from_secs(8);

#[tokio::test]
async fn keys_are_fetched_by_the_second_attempt_after_a_connection_hung() {
    let rounds = [Hung::ButForPing, Hung::Altogether].map(async |how| {
        let server = Server::start().await;
        let clock = TestClock::starting_now();
        let issuer = Issuer::new(ISSUER).jwks_uri(format!("{}/jwks", server.url));
        let api = server.trusting(issuer, &clock);
        let token = server.issuer.token().expires_in(100_000).sign();
        ask(&api, &token).await.assert_ok("before");
        // The keys lapse, so that a request waits for the next fetch.
        clock.advance(Duration::from_secs(10_000));
        server.hang(how);
        let first = timeout(IN_TIME, ask(&api, &token)).await.expect("in time");
        assert!([200, 503].contains(&first.status.as_u16()), "{how:?}: {first:?}");
        // The request waits 3 s, and the attempt 5 s.
        sleep(Duration::from_secs(3)).await;
        clock.advance(Duration::from_secs(31));
        ask(&api, &token).await.assert_ok(&format!("{how:?}, the second attempt"));
        assert_eq!(server.connections(), 2, "{how:?}: the new one is used");
    });
    futures::future::join_all(rounds).await;
}

/// An attempt that is shorter than the time after which a connection usually counts as hung.
#[tokio::test]
async fn keys_are_fetched_by_the_second_attempt_also_with_a_short_deadline() {
    let server = Server::start().await;
    let clock = TestClock::starting_now();
    let issuer = Issuer::new(ISSUER).jwks_uri(format!("{}/jwks", server.url));
    let issuer = issuer.fetch_deadline(Duration::from_millis(900));
    let api = server.trusting(issuer, &clock);
    let token = server.issuer.token().expires_in(100_000).sign();
    // A slow machine may need more than one attempt.
    let eventually = async |name: &str| {
        for _ in 0..10 {
            if ask(&api, &token).await.status == 200 {
                return;
            }
            sleep(Duration::from_secs(1)).await;
            clock.advance(Duration::from_secs(31));
        }
        panic!("{name}");
    };
    eventually("before").await;
    clock.advance(Duration::from_secs(10_000));
    server.hang(Hung::ButForPing);
    ask(&api, &token).await.assert_unavailable("nobody can know that it hangs");
    eventually("a later attempt").await;
}

#[tokio::test]
async fn tokens_are_introspected_by_the_second_attempt_after_a_connection_hung() {
    let rounds = [Hung::ButForPing, Hung::Altogether].map(async |how| {
        let server = Server::start().await;
        let clock = TestClock::starting_now();
        let api = server.introspecting(&clock);
        ask(&api, "one").await.assert_ok("before");
        server.hang(how);
        let began = Instant::now();
        let first = timeout(IN_TIME, ask(&api, "two")).await.expect("in time");
        match how {
            Hung::ButForPing => first.assert_unavailable("nobody can know that it hangs"),
            // Found by PING, and asked once more on a new connection within the deadline.
            Hung::Altogether => first.assert_ok("within the first attempt"),
        }
        let second = timeout(Duration::from_secs(2), ask(&api, "three")).await.expect("at once");
        second.assert_ok(&format!("{how:?}, the second attempt, {:?}", began.elapsed()));
        ask(&api, "four").await.assert_ok("and after it");
        let most = if how == Hung::Altogether { 3 } else { 2 };
        assert!(server.connections() <= most, "{how:?}: {}", server.connections());
    });
    futures::future::join_all(rounds).await;
}

/// A new pool is made for later calls alone.
#[tokio::test]
async fn calls_under_way_keep_their_connection() {
    let server = Server::start().await;
    let api = server.introspecting(&TestClock::starting_now());
    ask(&api, "one").await.assert_ok("before");
    server.hang(Hung::ButForPing);
    let hung = async { ask(&api, "two").await.assert_unavailable("hung") };
    let slow = async {
        sleep(Duration::from_millis(2_500)).await;
        ask(&api, "slow").await.assert_ok("slow, on the connection that is given up meanwhile");
        assert_eq!(server.connections(), 1);
    };
    tokio::join!(hung, slow);
    ask(&api, "three").await.assert_ok("on a new one");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_answers_is_used_again_and_again() {
    let server = Server::start().await;
    let api = server.introspecting(&TestClock::starting_now());
    for number in 0..20 {
        ask(&api, &format!("token-{number}")).await.assert_ok("one connection");
    }
    // Idle for longer than a PING takes to be missed, it is still the same.
    sleep(Duration::from_secs(4)).await;
    ask(&api, "later").await.assert_ok("the same connection");
    ask(&api, "slow").await.assert_ok("a slow answer is an answer");
    ask(&api, "last").await.assert_ok("the same connection");
    assert_eq!(server.connections(), 1);
}
