//! The layers beside those of Tower and tower-http, in several orders, and the server without a layer.

#[path = "support/log.rs"]
mod log;
#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::time::Duration;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::util::{BoxCloneSyncService, MapErrLayer};
use tower::{BoxError, Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultMakeSpan, DefaultOnRequest, DefaultOnResponse, TraceLayer};
use tower_resource_server::{AccessToken, Claims, ResourceServer, scope};
use tracing::Level;

use log::Log;
use support::*;

const LONG: Duration = Duration::from_secs(60);
/// For a service that must be ready without waiting: the test fails, and does not hang.
const READY: Duration = Duration::from_secs(10);

fn with(token: Option<&str>) -> Request<Body> {
    let request = get().header("origin", "https://app.example.com");
    match token {
        Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    }
    .body(Body::default())
    .unwrap()
}

async fn hello(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let token = AccessToken::<Claims>::from_extensions(request.extensions());
    let subject = token.as_ref().and_then(|token| token.subject()).unwrap_or("nobody");
    Ok(Response::new(Body::from(subject.to_owned())))
}

type Stack = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// A service whose requests and responses have the types of the tests.
macro_rules! stack {
    ($($layer:expr),+ $(,)?) => {{
        let stack = ServiceBuilder::new().layer(MapErrLayer::new(BoxError::from));
        $(let stack = stack.layer($layer);)+
        Stack::new(stack.service(service_fn(hello)))
    }};
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(HeaderValue::from_static("https://app.example.com"))
        .allow_headers([AUTHORIZATION])
        .expose_headers([WWW_AUTHENTICATE])
}

fn patience() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONG)
}

/// Each layer outside of this crate's layers, inside, and all of them together.
fn orders(api: &ResourceServer) -> Vec<(&'static str, bool, Stack)> {
    let require = || api.require(scope("read"));
    vec![
        ("timeout outside", false, stack!(patience(), api.layer(), require())),
        ("timeout inside", false, stack!(api.layer(), require(), patience())),
        ("cors outside", true, stack!(cors(), api.layer(), require())),
        ("cors inside", false, stack!(api.layer(), require(), cors())),
        ("buffer outside", false, stack!(BufferLayer::new(4), api.layer(), require())),
        ("buffer inside", false, stack!(api.layer(), require(), BufferLayer::new(4))),
        ("buffer between", false, stack!(api.layer(), BufferLayer::new(4), require())),
        ("load shed outside", false, stack!(LoadShedLayer::new(), api.layer(), require())),
        ("load shed inside", false, stack!(api.layer(), require(), LoadShedLayer::new())),
        (
            "a usual order",
            true,
            stack!(
                cors(),
                patience(),
                LoadShedLayer::new(),
                BufferLayer::new(4),
                api.layer(),
                require(),
                ConcurrencyLimitLayer::new(4),
            ),
        ),
        (
            "the reverse order",
            false,
            stack!(
                api.layer(),
                require(),
                ConcurrencyLimitLayer::new(4),
                BufferLayer::new(4),
                LoadShedLayer::new(),
                patience(),
                cors(),
            ),
        ),
    ]
}

#[tokio::test]
async fn passes_and_refusals_are_the_same_in_each_order() {
    let issuer = issuer();
    let api = server(&issuer);
    let reader = issuer.token().subject("alice").scope("read").sign();
    let other = issuer.token().scope("other").sign();
    for (name, cors_is_outside, stack) in orders(&api) {
        // More requests than there are slots, so that a refusal that keeps its slot is noticed.
        for _ in 0..6 {
            for (token, status) in [(None, 401), (Some(&*other), 403), (Some("x y"), 400)] {
                let response = stack.clone().oneshot(with(token)).await.unwrap();
                let headers = response.headers();
                let has_cors = headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN);
                assert_eq!(has_cors, cors_is_outside, "{name}");
                let reply = Reply::read(response, false).await;
                assert_eq!(reply.status, status, "{name}");
                assert_eq!(reply.challenges.len(), 1, "{name}");
            }
            let response = stack.clone().oneshot(with(Some(&reader))).await.unwrap();
            let reply = Reply::read(response, true).await;
            assert_eq!((reply.status, &*reply.body), (StatusCode::OK, &b"alice"[..]), "{name}");
        }
        // A preflight request carries no credentials: `CorsLayer` belongs outside.
        let mut preflight = with(None);
        *preflight.method_mut() = http::Method::OPTIONS;
        let headers = preflight.headers_mut();
        headers.insert("access-control-request-method", HeaderValue::from_static("GET"));
        let status = stack.clone().oneshot(preflight).await.unwrap().status();
        assert_eq!(status, if cors_is_outside { 200 } else { 401 }, "{name}");
    }
}

/// A refused request gives back what the ready service inside holds: a slot, a permit. The service that
/// refused is kept, as a connection of hyper keeps it.
#[tokio::test]
async fn a_refusal_keeps_no_slot_of_a_buffer_and_no_permit() {
    let issuer = issuer();
    let api = server(&issuer);
    let reader = issuer.token().scope("read").sign();
    let other = issuer.token().scope("other").sign();
    for (name, stack) in [
        ("buffer", stack!(api.layer(), api.require(scope("read")), BufferLayer::new(1))),
        (
            "load shed, and one permit",
            stack!(
                api.layer(),
                api.require(scope("read")),
                LoadShedLayer::new(),
                ConcurrencyLimitLayer::new(1),
            ),
        ),
        ("buffer between", stack!(api.layer(), BufferLayer::new(1), api.require(scope("read")))),
    ] {
        let mut kept = Vec::new();
        for (token, status) in [(None, 401), (Some(&*other), 403), (None, 401)] {
            let mut refusing = stack.clone();
            let ready = tokio::time::timeout(READY, refusing.ready()).await.expect(name);
            let response = ready.unwrap().call(with(token)).await.unwrap();
            assert_eq!(response.status(), status, "{name}");
            kept.push(refusing);
            let answer = tokio::time::timeout(READY, stack.clone().oneshot(with(Some(&reader))));
            assert_eq!(answer.await.expect(name).unwrap().status(), 200, "{name}");
        }
    }
}

/// What is logged at TRACE, by this crate and by `TraceLayer`.
fn logged(run: impl AsyncFnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(run()));
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn no_token_is_in_the_output_of_trace_layer() {
    let issuer = issuer();
    let quiet = || {
        TraceLayer::new_for_http()
            .make_span_with(DefaultMakeSpan::new().level(Level::TRACE))
            .on_request(DefaultOnRequest::new().level(Level::TRACE))
            .on_response(DefaultOnResponse::new().level(Level::TRACE))
    };
    let with_headers = || {
        let span = DefaultMakeSpan::new().level(Level::TRACE).include_headers(true);
        quiet().make_span_with(span)
    };
    let server = builder(trusting(&issuer))
        .websocket_token("api")
        .query_token()
        .strip_authorization()
        .build()
        .unwrap();
    let body_back = || {
        tower::util::MapResponseLayer::new(|response: Response<_>| {
            response.map(|_: tower_http::trace::ResponseBody<Body, _, _, _, _>| Body::default())
        })
    };
    // Outside with the default span, which has no headers. Inside even with all headers: the layer has
    // removed the token.
    let outside =
        ServiceBuilder::new().layer(quiet()).layer(server.layer()).service(service_fn(hello));
    let inside = ServiceBuilder::new()
        .layer(server.layer())
        .layer(body_back())
        .layer(with_headers())
        .service(service_fn(hello));
    let good = issuer.token().sign();
    let bad = issuer.token().expires_in(-600).sign();
    let encoded = |token: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token)
    };
    let requests = || {
        let mut requests = vec![with(None), with(Some("a b"))];
        for token in [&good, &bad] {
            requests.push(with(Some(token)));
            let websocket = get()
                .header("upgrade", "websocket")
                .header(
                    "sec-websocket-protocol",
                    format!("chat, base64url.bearer.authorization.api.{}", encoded(token)),
                )
                .body(Body::default());
            requests.push(websocket.unwrap());
        }
        requests
    };
    let mut statuses = Vec::new();
    let log = logged(async || {
        for request in requests() {
            statuses.push(outside.clone().oneshot(request).await.unwrap().status().as_u16());
        }
        let mut requests = requests();
        let mut query = get().body(Body::default()).unwrap();
        *query.uri_mut() = format!("/notes?access_token={good}").parse().unwrap();
        requests.push(query);
        for request in requests {
            statuses.push(inside.clone().oneshot(request).await.unwrap().status().as_u16());
        }
    });
    let each = [401, 400, 200, 200, 401, 401];
    assert_eq!(statuses, [&each[..], &each[..], &[200]].concat());
    assert!(
        log.contains("finished processing request") && log.contains("sec-websocket-protocol"),
        "{log}"
    );
    for token in [&good, &bad] {
        for text in token.split('.').map(str::to_owned).chain([encoded(token)]) {
            assert!(!log.contains(&text), "{log}");
        }
    }
}

/// `authenticate` in a service of hyper, without Tower.
#[tokio::test]
async fn a_service_of_hyper_authenticates_without_tower() {
    use hyper::body::Incoming;
    use hyper_util::rt::TokioIo;

    let issuer = issuer();
    let api = server(&issuer);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let api = api.clone();
        async move {
            let (parts, _) = request.into_parts();
            let response = match api.authenticate(&parts).await {
                Ok(authenticated) => {
                    let subject = authenticated.token.subject().unwrap_or("nobody").to_owned();
                    let mut response = Response::new(Body::from(subject));
                    response.headers_mut().extend(authenticated.response_headers);
                    response
                }
                Err(refusal) => refusal.into_response(),
            };
            Ok::<_, Infallible>(response)
        }
    });
    let (client, served) = tokio::io::duplex(64 * 1024);
    let http1 = hyper::server::conn::http1::Builder::new();
    tokio::spawn(http1.serve_connection(TokioIo::new(served), service));
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    for (token, status, challenges) in [
        (Some(issuer.token().subject("alice").sign()), 200, 0),
        (Some(issuer.token().expires_in(-600).sign()), 401, 1),
        (None, 401, 1),
    ] {
        let mut request = with(token.as_deref());
        *request.uri_mut() = "/notes".parse().unwrap();
        client.ready().await.unwrap();
        let response = client.send_request(request).await.unwrap();
        let count = response.headers().get_all(WWW_AUTHENTICATE).iter().count();
        assert_eq!((response.status().as_u16(), count), (status, challenges));
    }
}

/// A middleware function of axum that calls `authenticate`.
#[cfg(feature = "axum")]
#[tokio::test]
async fn a_middleware_function_of_axum_authenticates() {
    use axum::extract::{Extension, Request as AxumRequest, State};
    use axum::middleware::{Next, from_fn_with_state};
    use axum::response::Response as AxumResponse;
    use axum::{Router, routing::get};

    async fn authenticate(
        State(api): State<ResourceServer>,
        request: AxumRequest,
        next: Next,
    ) -> Result<AxumResponse, AxumResponse> {
        let (mut parts, body) = request.into_parts();
        let authenticated =
            api.authenticate(&parts).await.map_err(|refusal| refusal.into_response())?;
        parts.extensions.insert(authenticated.token);
        let mut response = next.run(AxumRequest::from_parts(parts, body)).await;
        response.headers_mut().extend(authenticated.response_headers);
        Ok(response)
    }

    let issuer = issuer();
    let api = builder(trusting(&issuer)).query_token().build().unwrap();
    let handler = async |Extension(token): Extension<AccessToken>| {
        token.subject().unwrap_or("nobody").to_owned()
    };
    let app = Router::new()
        .route("/notes", get(handler))
        .layer(from_fn_with_state(api.clone(), authenticate));
    let send = async |uri: String, token: Option<String>| {
        let (mut parts, _) = with(token.as_deref()).into_parts();
        parts.uri = uri.parse().unwrap();
        let request = AxumRequest::from_parts(parts, axum::body::Body::empty());
        app.clone().oneshot(request).await.unwrap()
    };
    let good = || issuer.token().subject("alice").sign();
    let response = send("/notes".into(), Some(good())).await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("cache-control"));
    let response = send(format!("/notes?access_token={}", good()), None).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["cache-control"]),
        (200, &HeaderValue::from_static("private"))
    );
    for token in [None, Some(issuer.token().expires_in(-600).sign())] {
        let response = send("/notes".into(), token).await;
        assert_eq!(response.status(), 401);
        assert!(response.headers().contains_key(WWW_AUTHENTICATE));
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}
