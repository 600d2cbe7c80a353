//! The Tower contract, and what two layers make of one request.

#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt as _};
use tower_resource_server::issuer::SourceError;
use tower_resource_server::keys::{FetchedKeys, KeySource};
use tower_resource_server::{AccessToken, Claims, Error, Issuer, ResourceServer, scope};

use support::*;

fn with(token: &str) -> Request<Body> {
    get().header(AUTHORIZATION, format!("Bearer {token}")).body(Body::default()).unwrap()
}

fn without() -> Request<Body> {
    get().body(Body::default()).unwrap()
}

/// A service that may be called only on the very instance that was polled ready.
#[derive(Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called an instance that was not polled ready");
        std::future::ready(Ok(Response::new(Body::default())))
    }
}

/// Keys that come after the request has begun to wait.
struct LateKeys(String);

impl KeySource for LateKeys {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(FetchedKeys::new(self.0.clone()))
    }
}

#[tokio::test]
async fn the_instance_that_was_polled_ready_is_the_one_that_is_called() {
    let issuer = issuer();
    let late = Issuer::new(ISSUER).key_source(LateKeys(issuer.jwks()));
    for (name, server) in [("at once", server(&issuer)), ("late", builder(late).build().unwrap())] {
        let layer = ServiceBuilder::new()
            .layer(server.form_token_layer(100))
            .layer(server.layer())
            .layer(server.require(scope("a")));
        let mut service = layer.service(Strict::default());
        for _ in 0..3 {
            let token = issuer.token().scope("a").sign();
            let response = service.ready().await.unwrap().call(with(&token)).await.unwrap();
            assert_eq!(response.status(), 200, "{name}");
            let response = service.ready().await.unwrap().call(without()).await.unwrap();
            assert_eq!(response.status(), 401, "{name}");
            let token = issuer.token().sign();
            let response = service.ready().await.unwrap().call(with(&token)).await.unwrap();
            assert_eq!(response.status(), 403, "{name}");
        }
    }
}

#[tokio::test]
async fn a_refusal_keeps_no_permit() {
    let issuer = issuer();
    let server = server(&issuer);
    let inner =
        ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(tower::service_fn(
            async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::default())),
        ));
    let protect = ServiceBuilder::new().layer(server.layer()).layer(server.require(scope("a")));
    let mut service = protect.service(inner);
    for _ in 0..3 {
        let response = service.ready().await.unwrap().call(without()).await.unwrap();
        assert_eq!(response.status(), 401);
        let response =
            service.ready().await.unwrap().call(with(&issuer.token().sign())).await.unwrap();
        assert_eq!(response.status(), 403);
        // A clone gets the one permit, although the refusing service is still there.
        let other = service.clone();
        let token = issuer.token().scope("a").sign();
        let answer = tokio::time::timeout(Duration::from_secs(5), other.oneshot(with(&token)));
        assert_eq!(answer.await.expect("the permit is free").unwrap().status(), 200);
    }
}

/// `Buffer` gives out its places in `poll_ready`: a service that keeps one blocks all others.
#[tokio::test]
async fn a_refusal_gives_the_place_in_a_buffer_back() {
    let issuer = issuer();
    let server = server(&issuer);
    let inner = tower::service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let inner = ServiceBuilder::new().layer(tower::buffer::BufferLayer::new(1)).service(inner);
    let protect = ServiceBuilder::new()
        .layer(server.form_token_layer(100))
        .layer(server.layer())
        .layer(server.require(scope("a")));
    let mut service = protect.service(inner);
    let good = issuer.token().scope("a").sign();
    for _ in 0..3 {
        for (request, status) in [(without(), 401), (with(&issuer.token().sign()), 403)] {
            let response = service.ready().await.unwrap().call(request).await.unwrap();
            assert_eq!(response.status(), status);
            // The refusing service is still there, and another takes the only place.
            let other = service.clone().oneshot(with(&good));
            let answer = tokio::time::timeout(Duration::from_secs(5), other);
            assert_eq!(answer.await.expect("the place is free").unwrap().status(), 200);
        }
        let response = service.ready().await.unwrap().call(with(&good)).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

/// A wait may be long, and the place in a buffer is needed by others meanwhile.
#[tokio::test]
async fn a_request_that_waits_keeps_no_place_in_a_buffer() {
    let issuer = issuer();
    let late = Issuer::new(ISSUER).key_source(LateKeys(issuer.jwks()));
    let server = builder(late).build().unwrap();
    let inner = tower::service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let inner = ServiceBuilder::new().layer(tower::buffer::BufferLayer::new(1)).service(inner);
    let mut service = server.layer().layer(inner.clone());
    let waits = service.ready().await.unwrap().call(with(&issuer.token().sign()));
    let mut waits = pin!(waits);
    assert!(futures::poll!(waits.as_mut()).is_pending(), "keys are fetched");
    let other = tokio::time::timeout(Duration::from_millis(10), inner.oneshot(without()));
    assert_eq!(other.await.expect("the place is free").unwrap().status(), 200);
    assert_eq!(waits.await.unwrap().status(), 200);
}

/// The mock panics when it is called without having been polled ready; a clone has to be, too.
#[tokio::test]
async fn a_request_that_has_waited_polls_the_inner_service_ready_again() {
    let issuer = issuer();
    let late = Issuer::new(ISSUER).key_source(LateKeys(issuer.jwks()));
    let layer = builder(late).build().unwrap().layer();
    let (mut service, mut handle) = tower_test::mock::spawn_with(move |mock| layer.layer(mock));
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    handle.allow(0);
    let mut passed = pin!(service.call(with(&issuer.token().sign())));
    let waits = tokio::time::timeout(Duration::from_millis(100), passed.as_mut()).await;
    assert!(waits.is_err(), "the inner service is not ready");
    handle.allow(1);
    assert!(futures::poll!(passed.as_mut()).is_pending());
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_response(Response::new(Body::default()));
    assert_eq!(passed.await.unwrap().status(), 200);
}

/// Its error is the inner service's, as if the request had not waited.
#[tokio::test]
async fn an_inner_service_that_fails_to_become_ready_after_a_wait_says_so() {
    let issuer = issuer();
    let late = Issuer::new(ISSUER).key_source(LateKeys(issuer.jwks()));
    let layer = builder(late).build().unwrap().layer();
    let (mut service, mut handle) = tower_test::mock::spawn_with(move |mock| layer.layer(mock));
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let passed = service.call(with(&issuer.token().sign()));
    handle.send_error("broken");
    let answer: Result<Response<Body>, _> = passed.await;
    assert_eq!(answer.unwrap_err().to_string(), "broken");
}

/// A client takes its time with the body of a form.
#[tokio::test]
async fn a_form_that_is_read_slowly_holds_no_permit() {
    let issuer = issuer();
    let server = server(&issuer);
    let inner =
        ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(tower::service_fn(
            async |_: Request<SlowBody>| Ok::<_, Infallible>(Response::new(Body::default())),
        ));
    let mut service = server.form_token_layer(100).layer(inner.clone());
    let form = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
    let slow = service.ready().await.unwrap().call(form.body(SlowBody(false)).unwrap());
    let mut slow = pin!(slow);
    assert!(futures::poll!(slow.as_mut()).is_pending(), "the body has not ended");
    let other = inner.oneshot(Request::new(SlowBody(true)));
    let other = tokio::time::timeout(Duration::from_secs(5), other).await;
    assert_eq!(other.expect("the permit is free").unwrap().status(), 200);
    assert_eq!(slow.await.unwrap().status(), 200);
}

/// A body that ends at the second poll.
struct SlowBody(bool);

impl From<bytes::Bytes> for SlowBody {
    fn from(_: bytes::Bytes) -> Self {
        Self(true)
    }
}

impl http_body::Body for SlowBody {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(None);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// `tower_test`'s mock panics when it is called without having been polled ready, and counts what
/// it is asked.
#[tokio::test]
async fn a_refusal_asks_nothing_of_the_inner_service() {
    let issuer = issuer();
    let layer = server(&issuer).layer();
    let (mut service, mut handle) = tower_test::mock::spawn_with(move |mock| layer.layer(mock));
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let refused: Response<Body> = service.call(without()).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(futures::poll!(std::pin::pin!(handle.next_request())).is_pending(), "not called");
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let passed = service.call(with(&issuer.token().sign()));
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_response(Response::new(Body::default()));
    assert_eq!(passed.await.unwrap().status(), 200);
}

/// A body that must not be read.
struct Untouched;

impl http_body::Body for Untouched {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        panic!("the body was read");
    }
}

impl From<bytes::Bytes> for Untouched {
    fn from(_: bytes::Bytes) -> Self {
        panic!("the body was replaced");
    }
}

#[tokio::test]
async fn the_body_of_a_request_is_not_read() {
    let issuer = issuer();
    let server = server(&issuer);
    let inner = tower::service_fn(async |_: Request<Untouched>| {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    // The form layer, too, reads nothing but forms.
    let layers = ServiceBuilder::new().layer(server.form_token_layer(100)).layer(server.layer());
    let service = layers.service(inner);
    for (name, authorization, status) in [
        ("good", format!("Bearer {}", issuer.token().sign()), 200),
        ("bad", "Bearer x".to_owned(), 401),
        ("malformed", "Bearer".to_owned(), 400),
        ("another scheme", "Basic eDp5".to_owned(), 401),
    ] {
        let request = Request::post("/").header(AUTHORIZATION, authorization);
        let request = request.header("content-type", "application/json").body(Untouched).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{name}");
    }
}

#[tokio::test]
async fn a_panic_of_the_inner_service_passes_through() {
    let issuer = issuer();
    let server = server(&issuer);
    let inner = tower::service_fn(async |request: Request<Body>| {
        assert!(request.uri().path() != "/panic", "inner panic");
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let layers = ServiceBuilder::new().layer(server.layer()).layer(server.require(scope("a")));
    let service = layers.service(inner);
    let token = issuer.token().scope("a").sign();
    let mut request = with(&token);
    *request.uri_mut() = "/panic".parse().unwrap();
    let panic = tokio::spawn(service.clone().oneshot(request)).await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"inner panic"));
    assert_eq!(service.oneshot(with(&token)).await.unwrap().status(), 200, "the next request");
}

#[tokio::test]
async fn with_keys_at_hand_the_first_poll_decides() {
    let issuer = issuer();
    let service = server(&issuer).layer().layer(Strict::default());
    let token = issuer.token().sign();
    for (request, status) in [(with(&token), 200), (without(), 401), (with("x"), 401)] {
        let mut service = service.clone();
        service.ready().await.unwrap();
        let mut answer = pin!(service.call(request));
        let Poll::Ready(Ok(response)) =
            answer.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
        else {
            panic!("it waits");
        };
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn errors_of_the_inner_service_pass_through() {
    let issuer = issuer();
    let inner =
        tower::service_fn(async |_: Request<Body>| Err::<Response<Body>, _>("inner trouble"));
    let service = server(&issuer).layer().layer(inner);
    let answer = service.clone().oneshot(with(&issuer.token().sign())).await;
    assert_eq!(answer.unwrap_err(), "inner trouble");
    assert_eq!(service.oneshot(without()).await.unwrap().status(), 401, "a refusal is an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_of_one_request_are_not_seen_by_another() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let requests = (0..64).map(|number| {
        let subject = format!("user-{number}");
        let (api, token) = (api.clone(), issuer.token().subject(&subject).sign());
        tokio::spawn(async move {
            for _ in 0..8 {
                let reply = api.bearer(&token).await;
                assert_eq!(reply.json()["sub"], *subject);
                assert_eq!(reply.json()["claims"]["sub"], *subject);
            }
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
}

#[tokio::test]
async fn the_optional_layer_passes_absent_credentials_and_no_bad_ones() {
    let issuer = issuer();
    let api = api(server(&issuer).optional_layer());
    let reply = api.anonymous().await;
    reply.assert_ok("absent");
    assert_eq!(reply.json()["anonymous"], true);
    api.authorization("Basic eDp5").await.assert_ok("another scheme");
    api.bearer("x").await.assert_invalid_token("no JWT");
    api.bearer(&issuer.token().expires_in(-600).sign()).await.assert_invalid_token("expired");
    api.authorization("Bearer").await.assert_invalid_request("malformed");
    let reply = api.bearer(&issuer.token().sign()).await;
    reply.assert_ok("good");
    assert_eq!(reply.json()["sub"], "alice");
}

/// HTTP/2 hands a field over with the blanks around it, and a proxy may have made one line of two.
/// What another reader could take for a Bearer token must not pass as anonymous.
#[tokio::test]
async fn what_could_be_a_bearer_token_is_never_anonymous() {
    let issuer = issuer();
    let api = api(server(&issuer).optional_layer());
    let token = issuer.token().sign();
    for (name, before, scheme, between, behind) in [
        ("leading blank", " ", "Bearer", " ", ""),
        ("leading tab", "\t", "Bearer", " ", ""),
        ("blanks", " \t  ", "bearer", " ", ""),
        ("trailing blank", "", "Bearer", " ", " "),
        ("trailing tab", "", "Bearer", " ", "\t"),
        ("a tab", "", "Bearer", "\t", ""),
        ("a tab, leading blank", " ", "BEARER", "\t", ""),
        ("a colon", "", "Bearer", ":", ""),
        ("no-break space", "\u{a0}", "Bearer", " ", ""),
        ("no-break space between", "", "Bearer", "\u{a0}", ""),
        ("a quoted string", "\"", "Bearer", " ", "\""),
        ("an empty element", ", ", "Bearer", " ", ""),
        ("behind another", "Basic eA==, ", "Bearer", " ", ""),
        ("before another", "", "Bearer", " ", ", Basic eA=="),
    ] {
        let value = format!("{before}{scheme}{between}{token}{behind}");
        let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let request = get().header(AUTHORIZATION, value).body(Body::default()).unwrap();
        let reply = api.send(request).await;
        reply.assert_invalid_request(name);
        assert!(!reply.ran, "{name}");
    }
    for alone in ["Bearer", " Bearer", "\tbearer\t"] {
        api.authorization(alone).await.assert_invalid_request(alone);
    }
    for other in
        ["", " ", "\t", "Basic eA==", " Basic eA==", "BearerToken t", "Digest a=\"b\", c=d"]
    {
        let reply = api.authorization(other).await;
        reply.assert_ok(other);
        assert_eq!(reply.json()["anonymous"], true, "{other:?}");
    }
    api.bearer(&token).await.assert_ok("neighbour");
}

/// A request with `query`, and what it has to say elsewhere.
fn by_query(query: &str) -> http::request::Builder {
    Request::get(format!("https://api.example.com/notes?{query}"))
}

/// A query token is taken out of the URI by the first layer that lets it pass. Every later layer judges
/// it as well.
#[tokio::test]
async fn a_query_token_is_evidence_for_every_layer_it_passes() {
    let issuer = issuer();
    let query_server = || builder(trusting(&issuer)).query_token().build().unwrap();
    let (one, two, without) = (query_server(), query_server(), server(&issuer));
    let reload = {
        let (one, trusted) = (one.clone(), trusting(&issuer));
        tower::util::MapRequestLayer::new(move |request: Request<Body>| {
            one.reload([trusted.clone()], [AUDIENCE]).unwrap();
            request
        })
    };
    let request = || {
        by_query(&format!("a=1&access_token={}", issuer.token().subject("alice").sign()))
            .body(Body::default())
            .unwrap()
    };
    let assert_alice = |reply: &Reply, name: &str| {
        reply.assert_ok(name);
        let seen = reply.json();
        assert_eq!(seen["sub"], "alice", "{name}: {seen}");
        assert_eq!(seen["uri"], "https://api.example.com/notes?a=1", "{name}");
        assert_eq!(reply.headers["cache-control"], "private", "{name}");
    };
    let layers = ServiceBuilder::new().layer(one.layer()).layer(one.optional_layer());
    assert_alice(&api(layers).send(request()).await, "the same server");
    let layers =
        ServiceBuilder::new().layer(one.layer()).layer(reload.clone()).layer(one.optional_layer());
    assert_alice(&api(layers).send(request()).await, "a reload in between");
    let layers = ServiceBuilder::new().layer(one.optional_layer()).layer(reload).layer(one.layer());
    assert_alice(&api(layers).send(request()).await, "optional first");
    let layers = ServiceBuilder::new().layer(one.layer()).layer(two.layer());
    assert_alice(&api(layers).send(request()).await, "two servers");
    let layers = ServiceBuilder::new()
        .layer(one.optional_layer())
        .layer(two.optional_layer())
        .layer(one.layer())
        .layer(two.protect(tower_resource_server::policy::authenticated()));
    assert_alice(&api(layers).send(request()).await, "two servers in turns");
    let layers = ServiceBuilder::new().layer(without.optional_layer()).layer(one.layer());
    assert_alice(&api(layers).send(request()).await, "a server without the method around");

    // A server without the method sees none, as it saw none before.
    let layers = ServiceBuilder::new().layer(one.layer()).layer(without.layer());
    api(layers).send(request()).await.assert_invited("a server without the method");
    let layers = ServiceBuilder::new().layer(one.layer()).layer(without.optional_layer());
    let reply = api(layers).send(request()).await;
    assert_eq!(reply.json()["anonymous"], true);

    // Whatever the request says, what is bad for one of them is refused.
    let elsewhere = builder(trusting(&issuer).audience("https://other.example.com"));
    let elsewhere = elsewhere.query_token().build().unwrap();
    let layers = ServiceBuilder::new().layer(one.layer()).layer(elsewhere.optional_layer());
    let reply = api(layers).send(request()).await;
    reply.assert_invalid_token("for another audience");
    assert!(!reply.ran);
}

/// What lies between two layers may write the head anew; the query token counts as if it still were
/// where it was.
#[tokio::test]
async fn a_query_token_that_was_taken_out_excludes_other_methods() {
    let issuer = issuer();
    let query_server = || builder(trusting(&issuer)).query_token().build().unwrap();
    let (one, two) = (query_server(), query_server());
    let token = issuer.token().subject("alice").sign();
    let second = issuer.token().subject("bob").sign();
    let (same, other) = (format!("access_token={token}"), format!("access_token={second}"));
    let doubled = format!("{same}&{same}");
    for (name, query, header, ok) in [
        ("as it is", None, None, true),
        ("another path and query", Some("b=2"), None, true),
        ("the token put back", Some(same.as_str()), None, true),
        ("another scheme", None, Some("Basic eA==".to_owned()), true),
        ("another token", Some(other.as_str()), None, false),
        ("the token twice", Some(doubled.as_str()), None, false),
        ("the token in the header", None, Some(format!("Bearer {token}")), false),
        ("another token in the header", None, Some(format!("Bearer {second}")), false),
    ] {
        let query = query.map(str::to_owned);
        let between = tower::util::MapRequestLayer::new(move |mut request: Request<Body>| {
            if let Some(query) = &query {
                *request.uri_mut() = format!("/elsewhere?{query}").parse().unwrap();
            }
            if let Some(header) = &header {
                request.headers_mut().insert(AUTHORIZATION, header.parse().unwrap());
            }
            request
        });
        let layers =
            ServiceBuilder::new().layer(one.layer()).layer(between).layer(two.optional_layer());
        let request = by_query(&same).body(Body::default()).unwrap();
        let reply = api(layers).send(request).await;
        if ok {
            reply.assert_ok(name);
            let seen = reply.json();
            assert_eq!(seen["sub"], "alice", "{name}");
            assert!(!seen["uri"].as_str().unwrap().contains(&token), "{name}: {seen}");
        } else {
            reply.assert_invalid_request(name);
            assert!(!reply.ran, "{name}");
        }
    }
    let both = by_query(&same).header(AUTHORIZATION, format!("Bearer {token}"));
    let layers = ServiceBuilder::new().layer(one.layer()).layer(two.layer());
    api(layers).send(both.body(Body::default()).unwrap()).await.assert_invalid_request("at once");
}

/// A handler that hands all of a request's extensions on does not hand the token on.
#[tokio::test]
async fn a_query_token_stays_in_the_request_and_private() {
    let issuer = issuer();
    let one = builder(trusting(&issuer)).query_token().build().unwrap();
    let (parts, ()) =
        by_query(&format!("access_token={}", issuer.token().sign())).body(()).unwrap().into_parts();
    let head = one.authenticate(&parts).await.unwrap();
    assert_eq!(head.response_headers["cache-control"], "private");
    let inner = tower::service_fn(|request: Request<Body>| async move {
        assert!(!format!("{:?}", request.extensions()).contains("access_token"));
        let mut response = Response::new(Body::default());
        *response.extensions_mut() = request.extensions().clone();
        Ok::<_, Infallible>(response)
    });
    let service = one.layer().layer(inner);
    let request = by_query(&format!("access_token={}", issuer.token().sign()));
    let response = service.oneshot(request.body(Body::default()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    // With what is left of it in another request, nobody is authenticated.
    let other = builder(trusting(&issuer)).query_token().build().unwrap();
    let mut request = without();
    *request.extensions_mut() = response.extensions().clone();
    api(other.layer()).send(request).await.assert_invited("nothing was handed on");
}

#[tokio::test]
async fn anonymous_behind_require_is_invited() {
    let issuer = issuer();
    let server = server(&issuer);
    let layers =
        ServiceBuilder::new().layer(server.optional_layer()).layer(server.require(scope("a")));
    let api = api(layers);
    let reply = api.anonymous().await;
    reply.assert_invited("anonymous");
    assert_eq!(reply.challenges[0].param("scope"), Some("a"));
    api.bearer(&issuer.token().sign()).await.assert_insufficient_scope("no scope", "a");
    api.bearer(&issuer.token().scope("a").sign()).await.assert_ok("scope");
}

#[tokio::test]
async fn require_without_its_layer_is_a_mistake_of_ours() {
    let issuer = issuer();
    let (server, other) = (server(&issuer), server(&issuer));
    let token = issuer.token().scope("a").sign();
    let alone = api(server.require(scope("a"))).bearer(&token).await;
    assert_eq!(alone.status, 500);
    assert!(alone.error.unwrap().to_string().contains(".layer(api.layer())"));
    let mixed = ServiceBuilder::new().layer(other.layer()).layer(server.require(scope("a")));
    let mixed = api(mixed).bearer(&token).await;
    assert_eq!(mixed.status, 500);
    assert!(mixed.error.unwrap().to_string().contains("another server"));
    let same = ServiceBuilder::new().layer(server.layer()).layer(server.require(scope("a")));
    api(same).bearer(&token).await.assert_ok("its own layer");
    let clone =
        ServiceBuilder::new().layer(server.clone().layer()).layer(server.require(scope("a")));
    api(clone).bearer(&token).await.assert_ok("the layer of a clone");
}

#[tokio::test]
async fn the_same_server_twice_authenticates_once() {
    let issuer = issuer();
    let validated = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&validated);
    let server = builder(trusting(&issuer))
        .validator(move |_: &AccessToken<Claims>| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .build()
        .unwrap();
    let twice =
        ServiceBuilder::new().layer(server.optional_layer()).layer(server.protect(scope("a")));
    let api = api(twice);
    api.bearer(&issuer.token().scope("a").sign()).await.assert_ok("once");
    assert_eq!(validated.load(Ordering::SeqCst), 1);
    api.bearer(&issuer.token().sign())
        .await
        .assert_insufficient_scope("evaluated all the same", "a");
    api.anonymous().await.assert_invited("anonymous outside, required inside");
}

#[tokio::test]
async fn a_second_server_overwrites_what_the_first_concluded() {
    let a = tower_resource_server::test_issuer::TestIssuer::in_process("https://a.example.com");
    let b = tower_resource_server::test_issuer::TestIssuer::in_process("https://b.example.com");
    let (server_a, server_b) =
        (builder(trusting(&a)).build().unwrap(), builder(trusting(&b)).build().unwrap());
    let layers =
        ServiceBuilder::new().layer(server_a.optional_layer()).layer(server_b.optional_layer());
    let api = api(layers);
    api.bearer(&a.token().sign()).await.assert_invalid_token("b does not trust a");
    api.anonymous().await.assert_ok("anonymous for both");
    let only_b = ServiceBuilder::new().layer(server_b.layer()).layer(server_a.require(scope("x")));
    let reply = crate::support::api(only_b).bearer(&b.token().scope("x").sign()).await;
    assert_eq!(reply.status, 500, "what b concluded says nothing to a");
}

#[tokio::test]
async fn a_token_planted_in_the_extensions_is_not_believed() {
    let issuer = issuer();
    let server = server(&issuer);
    let (mut parts, ()) = get().body(()).unwrap().into_parts();
    let token = issuer.token().sign();
    parts.headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    let passed = server.authenticate(&parts).await.unwrap();
    let mut request = without();
    request.extensions_mut().insert(passed.token.clone());
    request.extensions_mut().insert(passed.token);
    api(server.layer()).send(request).await.assert_invited("planted");
    api(server.layer()).bearer(&token).await.assert_ok("presented");
}

#[tokio::test]
async fn claims_that_do_not_fit_are_refused_and_the_log_names_the_claim() {
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Mine {
        tenant: Tenant,
    }
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Tenant {
        id: u32,
        #[serde(default)]
        owners: std::collections::HashMap<String, u32>,
    }
    let issuer = issuer();
    let server = builder(trusting(&issuer)).claims::<Mine>().build().unwrap();
    let api = api(server.layer());
    for (name, tenant, told) in [
        ("missing", None, "tenant is missing"),
        ("wrong type", Some(serde_json::json!({ "id": "secret-value" })), "`tenant has a wrong"),
        (
            "wrong type under a name that is a value",
            Some(serde_json::json!({ "id": 7, "owners": { "secret-value": "7" } })),
            "`tenant has a wrong",
        ),
    ] {
        let token = issuer.token();
        let token = match tenant {
            Some(tenant) => token.claim("tenant", tenant),
            None => token,
        };
        let reply = api.bearer(&token.sign()).await;
        reply.assert_invalid_token(name);
        let error = reply.error.unwrap();
        assert!(matches!(error, Error::UnfitClaims { .. }), "{name}");
        assert!(error.to_string().contains(told), "{name}: {error}");
        assert!(!error.to_string().contains("secret-value"));
    }
    let good = issuer.token().claim("tenant", serde_json::json!({ "id": 7 })).sign();
    api.bearer(&good).await.assert_ok("fits");
}

#[tokio::test]
async fn the_log_names_the_claim_whatever_shape_the_type_has() {
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Inner {
        level: Option<u8>,
        tenant: u32,
    }
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Flat {
        sub: String,
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code, reason = "only read")]
    enum Untagged {
        Level { level: u8 },
        Tenant { tenant: u32 },
    }
    #[derive(serde::Deserialize)]
    #[serde(tag = "kind")]
    #[allow(dead_code, reason = "only read")]
    enum Tagged {
        Person { level: Option<u8> },
        Machine,
    }
    #[derive(serde::Deserialize)]
    #[serde(try_from = "Inner")]
    struct Tried;
    impl TryFrom<Inner> for Tried {
        type Error = String;

        fn try_from(inner: Inner) -> Result<Self, String> {
            match inner.level {
                Some(0) => Err("secret-value".to_owned()),
                _ => Ok(Self),
            }
        }
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Closed {
        iss: String,
        sub: String,
        aud: String,
        client_id: String,
        jti: String,
        iat: u64,
        exp: u64,
        scope: Option<String>,
        tenant: Option<u32>,
        own: Option<Box<Closed>>,
    }
    async fn told<T>(claims: serde_json::Value) -> Option<String>
    where
        T: serde::de::DeserializeOwned + Send + Sync + 'static,
    {
        let issuer = issuer();
        let api = api(builder(trusting(&issuer)).claims::<T>().build().unwrap().layer());
        let mut token = issuer.token();
        for (name, value) in claims.as_object().unwrap() {
            token = token.claim(name, value.clone());
        }
        let reply = api.bearer(&token.sign()).await;
        let told = reply.error.as_ref().map(ToString::to_string);
        assert!(!told.as_deref().is_some_and(|told| told.contains("secret-value")), "{told:?}");
        let text = "the claims do not fit the type of the API: ";
        told.map(|told| told.strip_prefix(text).unwrap_or(&told).replace('`', ""))
    }
    let form = |claim: &str| Some(format!("{claim} has a wrong type or format"));
    let json = |value: &str| serde_json::from_str::<serde_json::Value>(value).unwrap();

    let flat = told::<Flat>;
    assert_eq!(flat(json(r#"{"tenant":1,"level":"secret-value"}"#)).await, form("level"));
    assert_eq!(
        flat(json(r#"{"tenant":"secret-value"}"#)).await,
        form("one of sub, tenant"),
        "without either, one is missed"
    );
    assert_eq!(flat(json("{}")).await.as_deref(), Some("tenant is missing"));
    assert_eq!(flat(json(r#"{"tenant":1}"#)).await, None);

    let untagged = told::<Untagged>;
    let all = Some("no single claim causes the error".to_owned());
    assert_eq!(untagged(json(r#"{"level":"secret-value"}"#)).await, all);
    assert_eq!(untagged(json(r#"{"level":1}"#)).await, None);

    let tagged = told::<Tagged>;
    assert_eq!(tagged(json(r#"{"kind":"secret-value"}"#)).await, form("kind"));
    assert_eq!(tagged(json(r#"{"kind":0}"#)).await, form("kind"));
    assert_eq!(tagged(json(r#"{"kind":"Person","level":"secret-value"}"#)).await, form("level"));
    assert_eq!(tagged(json("{}")).await.as_deref(), Some("kind is missing"));
    assert_eq!(tagged(json(r#"{"kind":"Machine"}"#)).await, None);

    let tried = told::<Tried>;
    assert_eq!(tried(json(r#"{"tenant":1,"level":0}"#)).await, form("level"));
    assert_eq!(tried(json(r#"{"tenant":"secret-value","level":1}"#)).await, form("tenant"));
    assert_eq!(tried(json(r#"{"tenant":1,"level":1}"#)).await, None);

    let closed = told::<Closed>;
    assert_eq!(
        closed(json(r#"{"mail":"x"}"#)).await.as_deref(),
        Some("the type has no field mail")
    );
    assert_eq!(closed(json(r#"{"own":{"secret-value":1}}"#)).await, form("own"));
    assert_eq!(closed(json(r#"{"tenant":"secret-value"}"#)).await, form("tenant"));
    assert_eq!(closed(json(r#"{"tenant":1}"#)).await, None);
}

/// Sends payloads to an API with claims of type `T`: good ones, then bad ones.
async fn judge_typed<T>(good: &[&str], bad: &[&str])
where
    T: serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let issuer = issuer();
    let api = api(builder(trusting(&issuer)).claims::<T>().build().unwrap().layer());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = |member: &str| {
        let payload = format!(
            r#"{{"iss":"{ISSUER}","sub":"alice","aud":"{AUDIENCE}","client_id":"app","jti":"1",
                "iat":{now},"exp":{}{member}}}"#,
            now + 300
        );
        issuer.token().raw_payload(payload).sign()
    };
    for member in good {
        api.bearer(&token(member)).await.assert_ok(member);
    }
    for member in bad {
        api.bearer(&token(member)).await.assert_invalid_token(member);
    }
}

#[tokio::test]
async fn the_variant_of_an_own_type_is_named_by_text() {
    #[derive(serde::Deserialize)]
    #[serde(tag = "level")]
    enum Level {
        Admin,
        Reader,
    }
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Inside {
        role: Level,
    }
    // These two keep members in a buffer first.
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Flat {
        #[serde(flatten)]
        role: Level,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code, reason = "only read")]
    enum Untagged {
        Inside { role: Level },
    }
    judge_typed::<Flat>(&[r#","level":"Admin""#], &[r#","level":0"#, r#","level":1"#, ""]).await;
    judge_typed::<Untagged>(
        &[r#","role":{"level":"Reader"}"#],
        &[r#","role":{"level":0}"#, r#","role":{"level":1}"#],
    )
    .await;
    judge_typed::<Level>(
        &[r#","level":"Admin""#, r#","level":"Reader""#],
        &[r#","level":0"#, r#","level":1"#, r#","level":0.0"#, r#","level":"0""#, ""],
    )
    .await;
    judge_typed::<Inside>(
        &[r#","role":{"level":"Reader"}"#],
        &[r#","role":{"level":0}"#, r#","role":{"level":1}"#, r#","role":0"#, r#","role":[0]"#],
    )
    .await;
}

#[tokio::test]
async fn a_key_of_an_own_map_has_one_spelling() {
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Limits {
        limits: std::collections::HashMap<u32, u64>,
    }
    judge_typed::<Limits>(
        &[r#","limits":{"1":5,"2":1000}"#],
        &[
            r#","limits":{"1":5,"+1":1000}"#,
            r#","limits":{"+1":5}"#,
            r#","limits":{"1":5,"01":1000}"#,
            r#","limits":{"0":5,"-0":1000}"#,
            r#","limits":{"1":5,"1":1000}"#,
            r#","limits":{"1":5,"\u0031":1000}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn claims_of_a_type_without_content_fit() {
    #[derive(serde::Deserialize)]
    struct Nothing;
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Member {
        nothing: Nothing,
    }
    judge_typed::<()>(&["", r#","x":1"#], &[r#","x":1,"x":1"#]).await;
    judge_typed::<Nothing>(&["", r#","x":1"#], &[r#","exp":1"#]).await;
    judge_typed::<std::marker::PhantomData<u8>>(&[""], &[r#","exp":1"#]).await;
    // As a member it is null, as elsewhere.
    judge_typed::<Member>(&[r#","nothing":null"#], &[r#","nothing":{}"#, ""]).await;
}

/// Whatever features of `serde_json` are on.
#[tokio::test]
async fn names_of_serde_json_are_no_members() {
    let bad = [
        r#","x":{"$serde_json::private::Number":"1"}"#,
        r#","x":{"\u0024serde_json::private::Number":"1"}"#,
        r#","x":{"$serde_json::private::Number":"+1795000000"}"#,
        r#","nbf":{"$serde_json::private::Number":"1"}"#,
        r#","x":{"$serde_json::private::Number":"1","y":2}"#,
        r#","x":{"y":2,"$serde_json::private::Number":"1"}"#,
        r#","x":{"$serde_json::private::RawValue":"1"}"#,
    ];
    let good = [r#","x":{"$serde_json::private::number":"1"}"#, r#","nbf":1.5"#, r#","nbf":-0"#];
    judge_typed::<serde_json::Value>(&good, &bad).await;
    judge_typed::<()>(&good, &bad).await;
    let fractions = format!(r#","x":[{}0.5]"#, "0.5,".repeat(599));
    let deep = format!(r#","x":{}0.5{}"#, "[".repeat(31), "]".repeat(31));
    let too_deep = format!(r#","x":{}0.5{}"#, "[".repeat(32), "]".repeat(32));
    judge_typed::<serde_json::Value>(&[&fractions, &deep], &[&too_deep]).await;
}

#[test]
fn every_problem_of_a_configuration_is_reported_at_once() {
    let error = ResourceServer::builder()
        .issuer(Issuer::new("http://as.example.com/?x"))
        .issuer(Issuer::new(ISSUER).jwks("{}"))
        .issuer(Issuer::new(ISSUER).secret("short", tower_resource_server::keys::Algorithm::HS256))
        .audience("")
        .leeway(Duration::from_secs(301))
        .realm("é")
        .error_uri("/relative")
        .challenge_scope(["a b"])
        .validator(|_| Ok(()))
        .claims::<serde_json::Value>()
        .build()
        .unwrap_err();
    let told = error.to_string();
    for expected in [
        "issuer `http://as.example.com/?..`: must be https",
        "issuer `https://as.example.com`: jwks: no array `keys`",
        "is trusted twice",
        "secret: secret is shorter",
        "audience ``",
        "leeway 301s",
        "`realm` is not printable ASCII",
        "error_uri `/relative`",
        "challenge_scope `a b`",
        "claims: comes before `validator`",
    ] {
        assert!(told.contains(expected), "{expected} in {told}");
    }
    assert!(!told.contains("short\""), "no secret");
}

#[test]
fn layers_and_services_are_what_axum_and_hyper_ask_for() {
    fn is<T: Clone + Send + Sync + 'static>(_: &T) {}
    let server = server(&issuer());
    is(&server);
    is(&server.layer());
    is(&server.optional_layer());
    is(&server.require(scope("a")));
    is(&server.form_token_layer(1));
    is(&server.layer().layer(Strict::default()));
    is(&server.require(scope("a")).layer(Strict::default()));
    fn sends<T: Send>(_: &T) {}
    let mut service = server.layer().layer(Strict::default());
    sends(&service.call(without()));
}

#[tokio::test]
async fn a_dropped_request_does_not_stop_the_fetch_it_waited_for() {
    let issuer = issuer();
    let late = Issuer::new(ISSUER).key_source(LateKeys(issuer.jwks()));
    let service = builder(late).build().unwrap().layer().layer(Strict::default());
    let token = issuer.token().sign();
    let mut leader = Box::pin(service.clone().oneshot(with(&token)));
    assert!(futures::poll!(leader.as_mut()).is_pending(), "it waits for keys");
    let follower = tokio::spawn(service.clone().oneshot(with(&token)));
    tokio::task::yield_now().await;
    drop(leader);
    assert_eq!(follower.await.unwrap().unwrap().status(), 200);
}

/// A future may be dropped wherever it waits: for keys as the first or as a later one, and for the
/// inner service. The next request is answered.
#[tokio::test]
async fn a_request_can_be_dropped_wherever_it_waits() {
    let issuer = issuer();
    let token = issuer.token().sign();
    let late = || builder(Issuer::new(ISSUER).key_source(LateKeys(issuer.jwks()))).build().unwrap();
    for dropped in ["leader", "follower", "both"] {
        let service = late().layer().layer(Strict::default());
        let mut leader = Box::pin(service.clone().oneshot(with(&token)));
        let mut follower = Box::pin(service.clone().oneshot(with(&token)));
        assert!(futures::poll!(leader.as_mut()).is_pending());
        assert!(futures::poll!(follower.as_mut()).is_pending());
        match dropped {
            "leader" => drop(leader),
            "follower" => drop(follower),
            _ => drop((leader, follower)),
        }
        assert_eq!(service.oneshot(with(&token)).await.unwrap().status(), 200, "{dropped}");
    }
    let inner = tower::service_fn(async |request: Request<Body>| {
        if request.uri().path() == "/hang" {
            std::future::pending::<()>().await;
        }
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let service = late().layer().layer(inner);
    let mut request = with(&token);
    *request.uri_mut() = "/hang".parse().unwrap();
    let hanging = service.clone().oneshot(request);
    assert!(tokio::time::timeout(Duration::from_millis(100), hanging).await.is_err(), "it hangs");
    assert_eq!(service.oneshot(with(&token)).await.unwrap().status(), 200, "after a hanging one");
}

/// `exp` follows the wall clock wherever it is set; the age of keys does not.
#[tokio::test]
async fn a_step_of_the_wall_clock_moves_expiry_and_no_key() {
    const START: u64 = 1_700_000_000;
    const HOUR: u64 = 3_600;
    let clock = tower_resource_server::clock::TestClock::at(START);
    let issuer = tower_resource_server::test_issuer::TestIssuer::builder()
        .clock(clock.clone())
        .in_process(ISSUER);
    let keys = Counted { document: issuer.jwks(), fetches: Arc::default() };
    let fetches = Arc::clone(&keys.fetches);
    let trusted = Issuer::new(ISSUER).key_source(keys);
    let api = api(builder(trusted).clock(clock.clone()).build().unwrap().layer());
    let at_start = issuer.token().sign();
    api.bearer(&at_start).await.assert_ok("at the start");
    for (name, wall, good) in [
        ("an hour ahead", START + HOUR, false),
        ("an hour back", START - HOUR, false),
        ("a year ahead", START + 365 * 24 * HOUR, false),
        ("set right again", START, true),
    ] {
        clock.set_wall(wall);
        let reply = api.bearer(&at_start).await;
        if good {
            reply.assert_ok(name)
        } else {
            reply.assert_invalid_token(name)
        }
        api.bearer(&issuer.token().sign()).await.assert_ok(&format!("{name}, a token of then"));
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1, "no step made the keys older");
    // What does make them older is time.
    clock.advance(Duration::from_secs(290));
    let late = issuer.token().sign();
    for _ in 0..1_000 {
        api.bearer(&late).await.assert_ok("late");
        if fetches.load(Ordering::SeqCst) == 2 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the keys were not refreshed");
}

/// While sets are fetched and swapped, every request has keys, and a bad one is never let in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_during_swaps_of_the_key_set_are_judged_as_ever() {
    let clock = tower_resource_server::clock::TestClock::starting_now();
    let issuer = issuer();
    let stranger = crate::support::issuer();
    let keys = Counted { document: issuer.jwks(), fetches: Arc::default() };
    let fetches = Arc::clone(&keys.fetches);
    let trusted = Issuer::new(ISSUER).key_source(keys);
    let api = api(builder(trusted).clock(clock.clone()).build().unwrap().layer());
    let good = issuer.token().expires_in(1_000_000).sign();
    let bad = stranger.token().expires_in(1_000_000).sign();
    api.bearer(&good).await.assert_ok("warm");
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let running = (0..4).map(|_| {
        let (api, good, bad, over) = (api.clone(), good.clone(), bad.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            while !over.load(Ordering::SeqCst) {
                api.bearer(&good).await.assert_ok("during swaps");
                api.bearer(&bad).await.assert_invalid_token("during swaps");
                tokio::task::yield_now().await;
            }
        })
    });
    let running: Vec<_> = running.collect();
    for swapped in 1..=20 {
        clock.advance(Duration::from_secs(290));
        while fetches.load(Ordering::SeqCst) <= swapped {
            assert!(running.iter().all(|task| !task.is_finished()), "a task failed");
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::SeqCst);
    for task in running {
        task.await.unwrap();
    }
}

/// Streams of one connection are requests of their own.
#[tokio::test]
async fn streams_of_one_connection_are_judged_each_by_itself() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let issuer = issuer();
    let server = server(&issuer);
    let hello = tower::service_fn(async |request: Request<hyper::body::Incoming>| {
        let token = AccessToken::<Claims>::from_extensions(request.extensions()).unwrap();
        let subject = token.subject().unwrap_or_default().to_owned();
        Ok::<_, Infallible>(Response::new(Body::from(subject)))
    });
    let service = hyper_util::service::TowerToHyperService::new(server.layer().layer(hello));
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = http2.serve_connection(TokioIo::new(ours), service).await;
    });
    let (sender, connection) = hyper::client::conn::http2::handshake::<_, _, Body>(
        TokioExecutor::new(),
        TokioIo::new(theirs),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let requests = (0..60).map(|number| {
        let subject = format!("user-{number}");
        let token = issuer.token().subject(&subject);
        let (token, status) = match number % 3 {
            0 => (token.expires_in(-600).sign(), 401),
            1 => (String::new(), 400),
            _ => (token.sign(), 200),
        };
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let response = sender.send_request(with(&token)).await.unwrap();
            assert_eq!(response.status(), status, "{number}");
            if status == 200 {
                use http_body_util::BodyExt as _;
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, subject);
            }
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
}

/// A switch of protocols is an answer as any other, and the handle to it reaches the handler.
#[tokio::test]
async fn an_upgrade_passes_with_a_token_and_not_without() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let issuer = issuer();
    let inner = tower::service_fn(async |mut request: Request<hyper::body::Incoming>| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
            stream.write_all(b"upgraded").await.unwrap();
        });
        let response = Response::builder().status(101).header("connection", "upgrade");
        Ok::<_, Infallible>(response.header("upgrade", "echo").body(Body::default()).unwrap())
    });
    let service = server(&issuer).layer().layer(inner);
    for (authorization, status) in
        [(format!("Bearer {}", issuer.token().sign()), "101"), ("Bearer x".to_owned(), "401")]
    {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let service = hyper_util::service::TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let mut http1 = hyper::server::conn::http1::Builder::new();
            let io = hyper_util::rt::TokioIo::new(ours);
            let _ = http1.half_close(true).serve_connection(io, service).with_upgrades().await;
        });
        let request = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\
             authorization: {authorization}\r\n\r\n"
        );
        theirs.write_all(request.as_bytes()).await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.ends_with("upgraded"), status == "101", "{answer}");
    }
}

#[test]
fn without_a_runtime_keys_can_not_be_fetched_and_nothing_panics() {
    let issuer = issuer();
    let late = Issuer::new(ISSUER).key_source(LateKeys(issuer.jwks()));
    let service = builder(late).build().unwrap().layer().layer(Strict::default());
    let answer = futures::executor::block_on(service.oneshot(with(&issuer.token().sign())));
    assert_eq!(answer.unwrap().status(), 503);
}
