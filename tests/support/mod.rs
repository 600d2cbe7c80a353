//! A protected service, and what a client sees of it.
//!
//! Every answer that passes through here is held against the rules that no refusal may break, so
//! that each test asserts them all: RFC 6750 §3, RFC 9110 §11.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::{Layer, Service, ServiceExt as _, service_fn};
use tower_resource_server::builder::{Builder, NeedsIssuer, Ready};
use tower_resource_server::issuer::SourceError;
use tower_resource_server::keys::{FetchedKeys, KeySource};
use tower_resource_server::refusal::EmptyBody;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, Claims, Error, Issuer, ResourceServer};

pub const ISSUER: &str = "https://as.example.com";
pub const AUDIENCE: &str = "https://api.example.com";

/// The thumbprint of some key, well-formed (RFC 9449 §6.1).
pub const KEY: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

pub type Body = Full<Bytes>;

/// An issuer in process, and a builder that trusts it with its present keys.
pub fn issuer() -> TestIssuer {
    TestIssuer::in_process(ISSUER)
}

pub fn trusting(issuer: &TestIssuer) -> Issuer {
    Issuer::new(issuer.url()).jwks(issuer.jwks())
}

pub fn builder(issuer: impl Into<Issuer>) -> Builder<Ready> {
    ResourceServer::builder().issuer(issuer).audience(AUDIENCE)
}

pub fn server(issuer: &TestIssuer) -> ResourceServer {
    builder(trusting(issuer)).build().unwrap()
}

/// A service behind layers, whose handler counts how often it ran.
#[derive(Clone)]
pub struct Api<S> {
    service: S,
    runs: Arc<AtomicUsize>,
}

/// Whether the handler saw the request that carries it.
#[derive(Clone, Default)]
struct Mark(Arc<AtomicBool>);

/// What a client sees, and whether the handler ran.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub challenges: Vec<Challenge>,
    pub body: Bytes,
    pub ran: bool,
    pub error: Option<Error>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Challenge {
    pub scheme: String,
    pub params: Vec<(String, String)>,
}

impl Challenge {
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut found = self.params.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        found.next().map(|(_, text)| text.as_str())
    }
}

/// Puts `layer` around a handler that echoes what it knows of the token.
pub fn api<L>(layer: L) -> Api<L::Service>
where
    L: Layer<EchoService>,
{
    let runs = Arc::new(AtomicUsize::new(0));
    let service = layer.layer(echo(Arc::clone(&runs)));
    Api { service, runs }
}

pub type EchoService = tower::util::BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn echo(runs: Arc<AtomicUsize>) -> EchoService {
    EchoService::new(service_fn(move |request: Request<Body>| {
        runs.fetch_add(1, Ordering::SeqCst);
        if let Some(Mark(ran)) = request.extensions().get() {
            ran.store(true, Ordering::SeqCst);
        }
        async move {
            let token = AccessToken::<Claims>::from_extensions(request.extensions());
            let uri = request.uri().to_string();
            let request_body = request.into_body().collect().await.unwrap().to_bytes();
            let echo = serde_json::json!({
                "uri": uri,
                "body": String::from_utf8_lossy(&request_body),
                "anonymous": token.is_none(),
                "iss": token.as_ref().map(|token| token.issuer().to_owned()),
                "sub": token.as_ref().and_then(|token| token.subject().map(str::to_owned)),
                "client_id": token.as_ref().and_then(|token| token.client_id().map(str::to_owned)),
                "scope": token.as_ref().map(|token| token.scope().to_string()),
                "principal": token.as_ref().map(|token| format!("{:?}", token.principal())),
                "claims": token.as_ref().map(|token| serde_json::to_value(token.claims()).unwrap()),
            });
            Ok(Response::new(Full::new(Bytes::from(echo.to_string()))))
        }
    }))
}

impl<S> Api<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    /// Sends a request with this token as Bearer.
    pub async fn bearer(&self, token: &str) -> Reply {
        self.authorization(&format!("Bearer {token}")).await
    }

    /// Sends a request with this `Authorization`.
    pub async fn authorization(&self, value: &str) -> Reply {
        self.send(get().header(AUTHORIZATION, value).body(Body::default()).unwrap()).await
    }

    pub async fn anonymous(&self) -> Reply {
        self.send(get().body(Body::default()).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        // A mark on the very request, so that requests at one time are not taken for one another.
        let mark = Mark::default();
        let mut request = request;
        request.extensions_mut().insert(mark.clone());
        let Ok(response) = self.service.clone().oneshot(request).await;
        Reply::read(response, mark.0.load(Ordering::SeqCst)).await
    }

    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

pub fn get() -> http::request::Builder {
    Request::get("https://api.example.com/notes")
}

impl Reply {
    pub async fn read(response: Response<Body>, ran: bool) -> Self {
        let (parts, body) = response.into_parts();
        let challenges = parts
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .map(|line| parse_challenge(line.to_str().expect("a challenge is ASCII")))
            .collect();
        let body = body.collect().await.unwrap().to_bytes();
        let error = parts.extensions.get::<Error>().cloned();
        let reply =
            Self { status: parts.status, headers: parts.headers, challenges, body, ran, error };
        reply.check();
        reply
    }

    /// The rules for every answer.
    fn check(&self) {
        if self.error.is_none() {
            // Whoever refuses says why, so that these rules are asked of every refusal.
            let refusal = [400, 401, 403, 413, 500, 503].contains(&self.status.as_u16());
            assert!(self.ran || !refusal, "refused without an error: {self:?}");
            return;
        }
        assert!(!self.ran, "the handler ran, and the request was refused: {self:?}");
        if self.status == StatusCode::NOT_FOUND {
            // Hidden: equal to the answer for a resource that does not exist.
            assert!(self.challenges.is_empty() && !self.headers.contains_key(CACHE_CONTROL));
            return;
        }
        assert_eq!(self.headers[CACHE_CONTROL], "no-store");
        let has_challenge = [400, 401, 403].contains(&self.status.as_u16());
        assert_eq!(!self.challenges.is_empty(), has_challenge, "{self:?}");
        for challenge in &self.challenges {
            // Only the tests of a second scheme have another one, and only in a 401.
            let other = challenge.scheme == "ApiKey" && self.status == StatusCode::UNAUTHORIZED;
            let own = ["Bearer", "DPoP"].contains(&challenge.scheme.as_str());
            assert!(own || other, "{self:?}");
            // RFC 9449 §7.1: a client has to know the algorithms of proofs.
            assert_eq!(challenge.param("algs").is_some(), challenge.scheme == "DPoP", "{self:?}");
            assert!(!challenge.params.is_empty(), "a bare challenge: {self:?}");
            for (index, (name, text)) in challenge.params.iter().enumerate() {
                let twice = challenge.params[..index]
                    .iter()
                    .any(|(other, _)| other.eq_ignore_ascii_case(name));
                assert!(!twice, "{name} stands twice: {self:?}");
                let nqschar = |b: u8| matches!(b, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
                if ["error", "error_description", "scope"].contains(&name.as_str()) {
                    assert!(text.bytes().all(nqschar), "{name}={text:?}");
                }
            }
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the handler echoes JSON")
    }

    /// The challenge, or that of the scheme that the request used: the only one with an error.
    fn challenge(&self) -> &Challenge {
        if let [challenge] = self.challenges.as_slice() {
            return challenge;
        }
        let with_error: Vec<_> =
            self.challenges.iter().filter(|one| one.param("error").is_some()).collect();
        match with_error.as_slice() {
            [challenge] => challenge,
            _ => panic!("not one challenge with an error: {self:?}"),
        }
    }

    /// `200`: the handler ran.
    #[track_caller]
    pub fn assert_ok(&self, name: &str) {
        assert_eq!(self.status, StatusCode::OK, "{name}: {:?}", self.error);
        assert!(self.ran, "{name}");
    }

    /// `401-`: 401 whose challenge carries no error.
    #[track_caller]
    pub fn assert_invited(&self, name: &str) {
        assert_eq!(self.status, StatusCode::UNAUTHORIZED, "{name}: {:?}", self.error);
        assert!(!self.challenges.is_empty(), "{name}");
        for challenge in &self.challenges {
            assert_eq!(challenge.param("error"), None, "{name}");
            assert_eq!(challenge.param("error_description"), None, "{name}");
        }
    }

    /// `401 it`: error="invalid_token".
    #[track_caller]
    pub fn assert_invalid_token(&self, name: &str) {
        self.assert_refused(name, StatusCode::UNAUTHORIZED, "invalid_token");
    }

    /// `400 ir`: error="invalid_request".
    #[track_caller]
    pub fn assert_invalid_request(&self, name: &str) {
        self.assert_refused(name, StatusCode::BAD_REQUEST, "invalid_request");
    }

    /// `403 is`: error="insufficient_scope", naming exactly `scope`.
    #[track_caller]
    pub fn assert_insufficient_scope(&self, name: &str, scope: &str) {
        self.assert_refused(name, StatusCode::FORBIDDEN, "insufficient_scope");
        assert_eq!(self.challenge().param("scope"), Some(scope), "{name}");
    }

    /// `401` with this error in the challenge of the scheme `DPoP`, and in no other (RFC 9449 §7.2).
    #[track_caller]
    pub fn assert_dpop(&self, name: &str, error: &str) {
        assert_eq!(self.status, StatusCode::UNAUTHORIZED, "{name}: {:?}", self.error);
        assert!(!self.ran, "{name}");
        let errors =
            self.challenges.iter().filter_map(|one| Some((&*one.scheme, one.param("error")?)));
        assert_eq!(errors.collect::<Vec<_>>(), [("DPoP", error)], "{name}: {:?}", self.error);
        let has_nonce = self.headers.get_all("dpop-nonce").iter().count();
        assert_eq!(has_nonce, usize::from(error == "use_dpop_nonce"), "{name}: DPoP-Nonce");
    }

    /// `503`: an outage, and no word about the token.
    #[track_caller]
    pub fn assert_unavailable(&self, name: &str) {
        assert_eq!(self.status, StatusCode::SERVICE_UNAVAILABLE, "{name}: {:?}", self.error);
        assert!(self.headers.contains_key(http::header::RETRY_AFTER), "{name}");
    }

    #[track_caller]
    fn assert_refused(&self, name: &str, status: StatusCode, error: &str) {
        assert_eq!(self.status, status, "{name}: {:?}", self.error);
        assert_eq!(self.challenge().param("error"), Some(error), "{name}: {:?}", self.error);
        assert!(!self.ran, "{name}");
    }
}

/// Reads one challenge by the grammar of RFC 9110 §11.2, strictly, all values quoted.
pub fn parse_challenge(line: &str) -> Challenge {
    let (scheme, mut rest) = line.split_once(' ').expect("a scheme and its parameters");
    let mut params = Vec::new();
    loop {
        let (name, value) = rest.split_once("=\"").expect("name=\"value\"");
        assert!(
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
            "{line}"
        );
        let mut text = String::new();
        let mut characters = value.char_indices();
        let end = loop {
            match characters.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => text.push(characters.next().expect("an escaped character").1),
                (_, character) => text.push(character),
            }
        };
        params.push((name.to_owned(), text));
        match value[end + 1..].strip_prefix(", ") {
            Some(next) => rest = next,
            None => {
                assert!(value[end + 1..].is_empty(), "{line}");
                return Challenge { scheme: scheme.to_owned(), params };
            }
        }
    }
}

/// Polls a future once: what does not wait is ready.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Tokens with kids that nobody signed under: a good token with another header.
pub struct Forger {
    rest: String,
}

impl Forger {
    pub fn new(good: &str) -> Self {
        Self { rest: good[good.find('.').unwrap()..].to_owned() }
    }

    pub fn token(&self, kid: &str) -> String {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#);
        URL_SAFE_NO_PAD.encode(header) + &self.rest
    }
}

/// Keys fetched by code, and how often.
pub struct Counted {
    pub document: String,
    pub fetches: Arc<AtomicUsize>,
}

impl KeySource for Counted {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        Ok(FetchedKeys::new(self.document.clone()))
    }
}

/// A layer around a handler that says hello, over HTTP/1.1 on a port of this machine.
pub struct Served {
    pub url: String,
    connections: Arc<AtomicUsize>,
    task: tokio::task::AbortHandle,
}

impl Served {
    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub async fn serve<L>(layer: L) -> Served
where
    L: Layer<HelloService>,
    L::Service: Service<
            Request<hyper::body::Incoming>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    let hello = service_fn(async |_: Request<hyper::body::Incoming>| {
        Ok::<_, Infallible>(Response::new(Body::from("hello")))
    });
    let service = TowerToHyperService::new(layer.layer(HelloService::new(hello)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let http1 = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http1.serve_connection(TokioIo::new(stream), service.clone()));
        }
    });
    Served { url, connections, task: task.abort_handle() }
}

pub type HelloService =
    tower::util::BoxCloneSyncService<Request<hyper::body::Incoming>, Response<Body>, Infallible>;

/// The type of a builder before anything was said, for tests that build by hand.
pub type Fresh = Builder<NeedsIssuer, Claims, EmptyBody>;
