//! Policies where they are used: layers, rules about the request, handlers; and what of a token stays in
//! the request.

#![cfg(all(feature = "axum", feature = "http-client"))]

#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::util::MapRequestLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::policy::{
    LookupError, Policy, Requirement, acr, all_of, any_of, audience, authorization_details, claim,
    client, client_id, dpop_bound, issuer as issued_by, max_age, not, role, sender_constrained,
    subject, token_age, user,
};
use tower_resource_server::refusal::{EmptyBody, ProblemJson, RefusalBody};
use tower_resource_server::test_issuer::{TestIssuer, TokenBuilder};
use tower_resource_server::token::RawToken;
use tower_resource_server::{AccessToken, Claims, Error, Issuer, ResourceServer, scope};

use support::*;

const NOW: u64 = 1_790_000_000;

/// Everything a client sees of a response.
#[derive(Debug, PartialEq)]
struct Seen {
    status: StatusCode,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

async fn seen<B>(response: Response<B>) -> Seen
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let mut headers: Vec<_> = parts.headers.iter().map(line).collect();
    headers.sort();
    Seen { status: parts.status, headers, body: body.collect().await.unwrap().to_bytes() }
}

fn request(token: &str) -> Request<Body> {
    get().header(AUTHORIZATION, format!("Bearer {token}")).body(Body::default()).unwrap()
}

async fn plain<S>(service: S, token: &str) -> Seen
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let Ok(response) = service.oneshot(request(token)).await;
    seen(response).await
}

async fn in_axum(app: Router, token: &str) -> Seen {
    let request = request(token).map(|_| axum::body::Body::empty());
    let Ok(response) = app.oneshot(request).await;
    seen(response).await
}

type Make = fn() -> Requirement;
type Mint = for<'a> fn(TokenBuilder<'a>) -> TokenBuilder<'a>;

/// What is required, a token that lacks it, a token that has it, the status, and a part of the challenge.
type Lack = (&'static str, Make, Mint, Option<Mint>, u16, &'static str);

/// Each kind of lack.
const LACKS: &[Lack] = &[
    (
        "a scope",
        || scope("a").into(),
        |token| token.scope("b"),
        Some(|token| token.scope("a")),
        403,
        r#"error="insufficient_scope""#,
    ),
    (
        "the scopes of one branch",
        || any_of([all_of(["a", "b", "c"]), all_of(["d", "e"])]).into(),
        |token| token.scope("d"),
        Some(|token| token.scope("d e")),
        403,
        r#"scope="d e""#,
    ),
    (
        "acr",
        || acr(["high", "mid"]).into(),
        |token| token.claim("acr", "low"),
        Some(|token| token.claim("acr", "mid")),
        401,
        r#"acr_values="high mid""#,
    ),
    (
        "a recent login",
        || max_age(Duration::from_secs(60)).into(),
        |token| token.claim("auth_time", NOW - 61),
        Some(|token| token.claim("auth_time", NOW - 60)),
        401,
        r#"max_age="60""#,
    ),
    (
        "a recent login by a factor",
        || all_of([acr(["high"]), max_age(Duration::from_secs(60))]).into(),
        |token| token,
        Some(|token| token.claim("auth_time", NOW).claim("acr", "high")),
        401,
        r#"acr_values="high", max_age="60""#,
    ),
    (
        "acr and a scope",
        || all_of([scope("a"), acr(["high"])]).into(),
        |token| token.scope("b"),
        Some(|token| token.scope("a").claim("acr", "high")),
        401,
        r#"scope="a", acr_values="high""#,
    ),
    (
        "a role",
        || role("editor").into(),
        |token| token.claim("roles", json!(["reader"])),
        Some(|token| token.claim("roles", json!(["editor"]))),
        403,
        "Bearer realm=\"https://api.example.com\"",
    ),
    (
        "not a role",
        || not(role("guest")).into(),
        |token| token.claim("roles", json!(["guest"])),
        Some(|token| token.claim("roles", json!([]))),
        403,
        "Bearer realm=\"https://api.example.com\"",
    ),
    (
        "a claim",
        || claim("tenant").equals("acme").into(),
        |token| token.claim("tenant", "globex"),
        Some(|token| token.claim("tenant", "acme")),
        403,
        "",
    ),
    (
        "a role and a scope",
        || all_of([scope("a"), role("editor")]).into(),
        |token| token.scope("b"),
        Some(|token| token.scope("a").claim("roles", json!(["editor"]))),
        403,
        "Bearer realm=\"https://api.example.com\"",
    ),
    (
        "details",
        || Policy::from(authorization_details("pay").with("actions", ["x"])).into(),
        |token| token.claim("authorization_details", json!([{ "type": "pay", "actions": ["y"] }])),
        Some(|token| {
            token.claim("authorization_details", json!([{ "type": "pay", "actions": ["x"] }]))
        }),
        403,
        "",
    ),
    (
        "another client",
        || client_id(ISSUER, "reports").into(),
        |token| token,
        Some(|token| token.claim("client_id", "reports")),
        403,
        "",
    ),
    (
        "another user",
        || subject(ISSUER, "bob").into(),
        |token| token,
        Some(|token| token.subject("bob")),
        403,
        "",
    ),
    (
        "another issuer",
        || issued_by("https://other.example.com").into(),
        |token| token,
        None,
        403,
        "",
    ),
    (
        "another audience",
        || audience("https://api.example.com/acme").into(),
        |token| token,
        Some(|token| token.claim("aud", json!([AUDIENCE, "https://api.example.com/acme"]))),
        401,
        r#"error="invalid_token""#,
    ),
    (
        "a recent token",
        || token_age(Duration::from_secs(60)).into(),
        |token| token.claim("iat", NOW - 61),
        Some(|token| token.claim("iat", NOW - 60)),
        401,
        r#"error="invalid_token""#,
    ),
    ("a bound token", || sender_constrained().into(), |token| token, None, 401, "invalid_token"),
    ("a token bound to a key", || dpop_bound().into(), |token| token, None, 401, "invalid_token"),
    (
        "a user",
        || user().into(),
        |token| token.subject("app"),
        Some(|token| token.subject("alice")),
        403,
        "",
    ),
    ("a client", || client().into(), |token| token, Some(|token| token.subject("app")), 403, ""),
    (
        "a check",
        || scope("a").and_check(|token: &AccessToken| token.has("groups", "x")),
        |token| token.scope("a"),
        Some(|token| token.scope("a").claim("groups", json!(["x"]))),
        403,
        "",
    ),
    (
        "a hidden role",
        || Requirement::from(role("editor")).hidden(),
        |token| token,
        Some(|token| token.claim("roles", json!(["editor"]))),
        404,
        "",
    ),
    (
        "a hidden scope",
        || Requirement::from(scope("a")).hidden(),
        |token| token,
        Some(|token| token.scope("a")),
        404,
        "",
    ),
    (
        "a hidden login",
        || Requirement::from(acr(["high"])).hidden(),
        |token| token,
        Some(|token| token.claim("acr", "high")),
        401,
        r#"acr_values="high""#,
    ),
    (
        "a hidden check",
        || scope("a").and_check(|token: &AccessToken| token.has("groups", "x")).hidden(),
        |token| token.scope("a"),
        Some(|token| token.scope("a").claim("groups", json!(["x"]))),
        404,
        "",
    ),
];

fn world() -> (TestIssuer, TestClock) {
    let clock = TestClock::at(NOW);
    (TestIssuer::builder().clock(clock.clone()).in_process(ISSUER), clock)
}

/// The answers to one token, by each way to ask for the same.
async fn answers<R>(
    server: &ResourceServer<Claims, R>,
    body: R,
    make: Make,
    token: &str,
) -> Vec<(&'static str, Seen)>
where
    R: RefusalBody<Body> + RefusalBody<axum::body::Body> + Clone,
{
    let hello = || {
        service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::from("hello")))
        })
    };
    let by_handler = service_fn(move |request: Request<Body>| {
        let body = body.clone();
        async move {
            let token: AccessToken = AccessToken::from_extensions(request.extensions()).unwrap();
            Ok::<_, Infallible>(match token.require(&make()) {
                Ok(()) => Response::new(Body::from("hello")),
                Err(refusal) => refusal.into_response_with(&body),
            })
        }
    });
    let by_axum = async move |token: AccessToken| {
        token.require(&make())?;
        Ok::<_, tower_resource_server::refusal::Refusal>("hello")
    };
    let by_request = move |_: &Parts, _: &AccessToken| Ok(make());
    let required = server.layer().layer(server.require(make()).layer(hello()));
    let ruled = server.layer().layer(server.require_with(move |_, _| Ok(make())).layer(hello()));
    let app = || Router::new().route("/notes", route(async || "hello"));
    let axum_required = app().layer(server.require(make())).layer(server.layer());
    let axum_ruled = app().layer(server.require_with(by_request)).layer(server.layer());
    let handled = Router::new().route("/notes", route(by_axum)).layer(server.layer());
    vec![
        ("require", plain(required, token).await),
        ("protect", plain(server.protect(make()).layer(hello()), token).await),
        ("require_with", plain(ruled, token).await),
        ("a handler", plain(server.layer().layer(by_handler), token).await),
        ("require in axum", in_axum(axum_required, token).await),
        ("protect in axum", in_axum(app().layer(server.protect(make())), token).await),
        ("require_with in axum", in_axum(axum_ruled, token).await),
        ("a handler in axum", in_axum(handled, token).await),
    ]
}

async fn the_same_everywhere<R>(body: R)
where
    R: RefusalBody<Body> + RefusalBody<axum::body::Body> + Clone,
{
    let (issuer, clock) = world();
    let server =
        builder(trusting(&issuer)).clock(clock).refusal_body(body.clone()).build().unwrap();
    for (name, make, lacking, having, status, says) in LACKS {
        let token = lacking(issuer.token()).sign();
        let answers = answers(&server, body.clone(), *make, &token).await;
        let (plain, in_axum) = answers.split_at(4);
        for (first, others) in [plain, in_axum].iter().filter_map(|answers| answers.split_first()) {
            assert_eq!(first.1.status, *status, "{name}, {}: {:?}", first.0, first.1);
            let challenge = first.1.headers.iter().find(|(name, _)| name == "www-authenticate");
            let challenge = challenge.map_or("", |(_, text)| std::str::from_utf8(text).unwrap());
            assert!(challenge.contains(says), "{name}: {challenge}");
            for (way, answer) in others {
                assert_eq!(*answer, first.1, "{name}: {way} and {}", first.0);
            }
        }
        if let Some(having) = having {
            let token = having(issuer.token()).sign();
            for (way, answer) in self::answers(&server, body.clone(), *make, &token).await {
                assert_eq!(
                    (answer.status, &*answer.body),
                    (StatusCode::OK, &b"hello"[..]),
                    "{name}: {way}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_way_to_ask_for_the_same_refuses_by_the_same_octets() {
    the_same_everywhere(EmptyBody).await;
}

#[tokio::test]
async fn every_way_to_ask_for_the_same_refuses_by_the_same_problem() {
    the_same_everywhere(ProblemJson).await;
}

#[tokio::test]
async fn a_refusal_that_no_scope_heals_names_no_scope() {
    let (issuer, clock) = world();
    let server =
        builder(trusting(&issuer)).clock(clock).challenge_scope(["a", "b"]).build().unwrap();
    for (name, requirement, status) in [
        ("a role", all_of([scope("a"), role("x")]), 403),
        ("an audience", all_of([scope("a"), audience("x")]), 401),
    ] {
        let layers = ServiceBuilder::new().layer(server.layer()).layer(server.require(requirement));
        let reply = api(layers).bearer(&issuer.token().sign()).await;
        assert_eq!(reply.status, status, "{name}");
        assert_eq!(reply.challenges[0].param("scope"), None, "{name}");
    }
}

#[tokio::test]
async fn a_hidden_resource_is_answered_as_one_that_does_not_exist() {
    let issuer = issuer();
    let server = server(&issuer);
    let hidden = Requirement::from(role("auditor")).hidden();
    let refuses = |_: &Parts, _: &AccessToken| async { Err(LookupError::refused("secret")) };
    let by_lookup = role("reader").and_check_async(refuses).hidden();
    let rule = {
        let by_lookup = by_lookup.clone();
        move |_: &Parts, _: &AccessToken| Ok(by_lookup.clone())
    };
    let asked = hidden.clone();
    let handler = async move |token: AccessToken| {
        token.require(&asked)?;
        Ok::<_, tower_resource_server::refusal::Refusal>("secret")
    };
    let secret = async || "secret";
    let app = Router::new()
        .route("/required", route(secret).layer(server.require(hidden.clone())))
        .route("/lookup", route(secret).layer(server.require(by_lookup.clone())))
        .route("/ruled", route(secret).layer(server.require_with(rule)))
        .route("/handler", route(handler))
        .route("/missing", route(async || StatusCode::NOT_FOUND))
        .layer(server.layer())
        .route("/protected", route(secret).layer(server.protect(hidden.clone())))
        .route("/protected-lookup", route(secret).layer(server.protect(by_lookup)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    // All octets of the response: nobody sees more than that.
    let ask = async |path: &str, roles: Value| {
        let token = issuer.token().claim("roles", roles).sign();
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).await.unwrap();
        let lines = response.split_inclusive("\r\n").filter(|line| !line.starts_with("date: "));
        lines.collect::<String>()
    };
    let nothing = ask("/nothing", json!(["reader"])).await;
    assert!(nothing.starts_with("HTTP/1.1 404 "), "{nothing}");
    assert_eq!(ask("/missing", json!(["reader"])).await, nothing, "a handler's own");
    let paths = ["/required", "/lookup", "/ruled", "/handler", "/protected", "/protected-lookup"];
    for path in paths {
        assert_eq!(ask(path, json!(["reader"])).await, nothing, "{path}");
    }
    for path in ["/required", "/handler", "/protected"] {
        let response = ask(path, json!(["auditor"])).await;
        assert!(response.ends_with("secret"), "{path}: {response}");
    }
    serving.abort();
    // An outage and a request without a token are not hidden.
    let down = |_: &Parts, _: &AccessToken| async { Err(LookupError::unavailable("down")) };
    let down = server.protect(scope("a").and_check_async(down).hidden());
    let down = api(down);
    down.bearer(&issuer.token().scope("a").sign()).await.assert_unavailable("an outage");
    down.anonymous().await.assert_invited("anonymous");
}

/// Different services in one table.
fn boxed<L>(layers: L) -> Api<EchoService>
where
    L: Layer<EchoService>,
    L::Service: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send + 'static,
{
    let service = tower::layer::layer_fn(|inner| EchoService::new(layers.layer(inner)));
    api(service)
}

/// A check that ends in one way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Passes,
    Refuses,
    IsDown,
    Hangs,
    Panics,
    PanicsAtOnce,
}

fn checked(policy: Policy, end: End, calls: &Arc<AtomicUsize>) -> Requirement {
    let calls = Arc::clone(calls);
    policy.and_check_async(move |_: &Parts, _: &AccessToken| {
        calls.fetch_add(1, Ordering::SeqCst);
        assert!(end != End::PanicsAtOnce, "a check of a test");
        async move {
            match end {
                End::Passes => Ok(()),
                End::Refuses => Err(LookupError::refused("suspended")),
                End::IsDown => Err(LookupError::unavailable("down")),
                End::Hangs => std::future::pending().await,
                End::Panics | End::PanicsAtOnce => panic!("a check of a test"),
            }
        }
    })
}

const ENDS: [(End, u16); 6] = [
    (End::Passes, 200),
    (End::Refuses, 403),
    (End::IsDown, 503),
    (End::Hangs, 503),
    (End::Panics, 503),
    (End::PanicsAtOnce, 503),
];

#[track_caller]
fn assert_end(reply: &Reply, end: End, status: u16, way: &str) {
    assert_eq!(reply.status, status, "{way}, {end:?}: {:?}", reply.error);
    assert_eq!(reply.ran, status == 200, "{way}, {end:?}");
    assert_eq!(reply.headers.contains_key(RETRY_AFTER), status == 503, "{way}, {end:?}");
    if status == 403 {
        assert_eq!(reply.challenges[0].param("error"), None, "{way}");
        assert_eq!(reply.challenges[0].param("scope"), None, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_async_check_refuses_or_is_unavailable_and_never_admits() {
    let issuer = issuer();
    let token = issuer.token().scope("a").sign();
    let poor = issuer.token().scope("b").sign();
    for (end, status) in ENDS {
        let calls = Arc::default();
        let make = || checked(scope("a"), end, &calls);
        let server = server(&issuer);
        let ruled = make();
        let waits = Counted { document: issuer.jwks(), fetches: Arc::default() };
        let waits = builder(Issuer::new(ISSUER).key_source(waits)).build().unwrap();
        for (way, service) in [
            ("protect", boxed(server.protect(make()))),
            (
                "require",
                boxed(ServiceBuilder::new().layer(server.layer()).layer(server.require(make()))),
            ),
            (
                "require_with",
                boxed(
                    ServiceBuilder::new()
                        .layer(server.layer())
                        .layer(server.require_with(move |_, _| Ok(ruled.clone()))),
                ),
            ),
            ("protect, behind a wait for keys", boxed(waits.protect(make()))),
        ] {
            calls.store(0, Ordering::SeqCst);
            let reply = service.bearer(&token).await;
            assert_end(&reply, end, status, way);
            assert_eq!(calls.load(Ordering::SeqCst), 1, "{way}, {end:?}");
            let reply = service.bearer(&poor).await;
            reply.assert_insufficient_scope(way, "a");
            service.anonymous().await.assert_invited(way);
            assert_eq!(calls.load(Ordering::SeqCst), 1, "{way}, {end:?}: called for nothing");
        }
    }
}

#[tokio::test]
async fn an_async_check_comes_after_every_other_check_and_ends_at_the_first_refusal() {
    let issuer = issuer();
    let server = server(&issuer);
    let token = issuer.token().scope("a").sign();
    for (name, passes, status, expected) in [("refused", false, 403, 0), ("allowed", true, 200, 1)]
    {
        let calls = Arc::default();
        // The async check is written first.
        let requirement = checked(scope("a"), End::Passes, &calls)
            .and_check_request(move |_: &Parts, _: &AccessToken| passes);
        let reply = api(server.protect(requirement)).bearer(&token).await;
        assert_eq!(
            (reply.status.as_u16(), calls.load(Ordering::SeqCst)),
            (status, expected),
            "{name}"
        );
    }
    let polled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&polled);
    let requirement = checked(scope("a"), End::Refuses, &Arc::default()).and_check_async(
        move |_: &Parts, _: &AccessToken| {
            let count = Arc::clone(&count);
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        },
    );
    assert_eq!(api(server.protect(requirement)).bearer(&token).await.status, 403);
    assert_eq!(polled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_async_check_follows_an_introspection() {
    let issuer = TestIssuer::start().await.unwrap();
    let introspection = Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"));
    let trusted = Issuer::new(issuer.url()).introspection(introspection);
    let server = builder(trusted).allow_http_loopback().build().unwrap();
    for (end, status) in [(End::Passes, 200), (End::Refuses, 403), (End::IsDown, 503)] {
        let calls = Arc::default();
        let service = api(server.protect(checked(scope("a"), end, &calls)));
        let reply = service.bearer(&issuer.token().scope("a").opaque()).await;
        assert_end(&reply, end, status, "introspected");
        let reply = service.bearer(&issuer.token().scope("b").opaque()).await;
        reply.assert_insufficient_scope("introspected", "a");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_check_of_the_request_sees_what_the_handler_sees() {
    let issuer = issuer();
    let server = builder(trusting(&issuer)).query_token().strip_authorization().build().unwrap();
    let check = || {
        scope("a").and_check_request(|parts: &Parts, token: &AccessToken| {
            parts.method == Method::PUT
                && parts.uri.path().strip_prefix("/notes/") == token.subject()
                && parts.headers.get("x-tool").is_some_and(|tool| tool == "edit")
                && !parts.headers.contains_key(AUTHORIZATION)
                && !parts.uri.query().is_some_and(|query| query.contains("access_token"))
        })
    };
    let layered = ServiceBuilder::new().layer(server.layer()).layer(server.require(check()));
    for (way, service) in [("protect", boxed(server.protect(check()))), ("require", boxed(layered))]
    {
        let token = issuer.token().scope("a").sign();
        for (name, method, path, tool, good) in [
            ("as asked", "PUT", "/notes/alice", "edit", true),
            ("another method", "POST", "/notes/alice", "edit", false),
            ("another path", "PUT", "/notes/bob", "edit", false),
            ("another header", "PUT", "/notes/alice", "read", false),
        ] {
            let request = Request::builder().method(method).header("x-tool", tool);
            let request = request.uri(format!("https://api.example.com{path}"));
            let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            let reply = service.send(request.body(Body::default()).unwrap()).await;
            assert_eq!(reply.status.as_u16(), if good { 200 } else { 403 }, "{way}: {name}");
        }
        let uri = format!("https://api.example.com/notes/alice?access_token={token}&x=1");
        let request = Request::put(uri).header("x-tool", "edit").body(Body::default()).unwrap();
        service.send(request).await.assert_ok(way);
    }
}

/// The value of a hexadecimal escape and so on, as a router would decode a path, without a check of UTF-8.
fn decoded(path: &str) -> String {
    let (mut octets, mut rest) = (Vec::new(), path.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                octets.push(u8::from_str_radix(digits, 16).unwrap());
                rest = after;
            }
            (octet, _) => octets.push(*octet),
        }
    }
    octets.into_iter().map(char::from).collect()
}

#[tokio::test]
async fn an_id_that_makes_no_policy_is_refused_without_a_panic() {
    let issuer = issuer();
    let server = server(&issuer);
    let by_scope = server.require_with(|parts: &Parts, _: &AccessToken| {
        let id = decoded(parts.uri.path().trim_start_matches('/'));
        Ok(Policy::try_from(id)?.into())
    });
    let by_role = server.require_with(|parts: &Parts, _: &AccessToken| {
        let id = decoded(parts.uri.path().trim_start_matches('/'));
        Ok(Policy::try_role(&id)?.into())
    });
    let many = server.require_with(|parts: &Parts, _: &AccessToken| {
        let ids = decoded(parts.uri.path().trim_start_matches('/'));
        let ids = ids.split(',').filter(|id| !id.is_empty()).map(Policy::try_scope);
        Ok(Policy::try_any_of(ids.collect::<Result<Vec<_>, _>>()?)?.into())
    });
    let more = (0..65).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    for (name, layer, path, status) in [
        ("a good id", by_scope.clone(), "/a", 200),
        ("another id", by_scope.clone(), "/b", 403),
        ("a space", by_scope.clone(), "/a%20b", 403),
        ("a quote", by_scope.clone(), "/%22", 403),
        ("empty", by_scope.clone(), "/", 403),
        ("an octet that is no text", by_scope.clone(), "/%80", 403),
        ("a line", by_scope, "/a%0D%0Ab", 403),
        ("a good role", by_role.clone(), "/editor", 200),
        ("an empty role", by_role.clone(), "/", 403),
        ("a role with U+0000", by_role, "/a%00b", 403),
        ("a list", many.clone(), "/x,a", 200),
        ("an empty list", many.clone(), "/", 403),
        ("a list that is too long", many, &format!("/{more}"), 403),
    ] {
        let service = api(ServiceBuilder::new().layer(server.layer()).layer(layer));
        let token = issuer.token().scope("a").claim("roles", json!(["editor"])).sign();
        let request = Request::get(format!("https://api.example.com{path}"));
        let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        let reply = service.send(request.body(Body::default()).unwrap()).await;
        assert_eq!(reply.status, status, "{name}: {:?}", reply.error);
        assert_eq!(reply.ran, status == 200, "{name}");
        if status == 403 && name != "another id" {
            assert!(matches!(reply.error, Some(Error::AccessDenied { .. })), "{name}");
            assert_eq!(reply.challenges[0].param("scope"), None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_broader_scope_is_enough_in_every_policy() {
    let (issuer, clock) = world();
    let server = builder(trusting(&issuer))
        .clock(clock)
        .scope_implies("files", ["files:read", "files:write"])
        .scope_implies("all", ["files"])
        .build()
        .unwrap();
    for (name, scope, required, good) in [
        ("itself", "files:read", "files:read", true),
        ("the broader one", "files", "files:read", true),
        ("over two rules", "all", "files:write", true),
        ("the narrower one", "files:read", "files", false),
        ("beside it", "files:read", "files:write", false),
        ("a prefix is no rule", "files", "files:delete", false),
    ] {
        let token = issuer.token().scope(scope).sign();
        let service = api(server.protect(Policy::try_scope(required).unwrap()));
        let reply = service.bearer(&token).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_insufficient_scope(name, required),
        }
        if good {
            assert_eq!(reply.json()["scope"], scope, "{name}: as it was written");
        }
    }
}

#[tokio::test]
async fn what_an_answer_and_a_jwt_have_in_common_follows_the_same_rules() {
    let issuer = TestIssuer::start().await.unwrap();
    let introspection = Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"));
    let trusted = Issuer::new(issuer.url()).introspection(introspection.also_for_jwts());
    let server = builder(trusted)
        .allow_http_loopback()
        .scope_implies("files", ["files:read", "files:write"])
        .build()
        .unwrap();
    for (name, own, said, required, good) in [
        ("the answer is narrower", "files", "files:read", "files:read", true),
        ("the answer is narrower, and more is asked", "files", "files:read", "files:write", false),
        ("the answer is broader", "files:read", "files", "files:read", true),
        ("the answer is broader, and more is asked", "files:read", "files", "files:write", false),
        ("both broad", "files", "files", "files:write", true),
        ("nothing in common", "files:read", "files:write", "files:read", false),
    ] {
        let answer = json!({ "active": true, "aud": AUDIENCE, "sub": "alice", "scope": said });
        issuer.set_fault(
            tower_resource_server::test_issuer::Endpoint::Introspection,
            tower_resource_server::test_issuer::Fault::Body(answer.to_string()),
        );
        let token = issuer.token().scope(own).sign();
        let service = api(server.protect(Policy::try_scope(required).unwrap()));
        let reply = service.bearer(&token).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_insufficient_scope(name, required),
        }
    }
}

/// What a handler finds of the token's text.
async fn peek<L>(layers: L, request: Request<Body>) -> (u16, Value)
where
    L: Layer<EchoService>,
    L::Service: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let handler = service_fn(|request: Request<Body>| async move {
        let raw = RawToken::from_extensions(request.extensions());
        let authorization = request.headers().get(AUTHORIZATION).map(|own| own.to_str().unwrap());
        let token: Option<AccessToken> = AccessToken::from_extensions(request.extensions());
        let found = json!({
            "authorization": authorization,
            "raw": raw.as_ref().map(RawToken::expose),
            "debug": format!("{raw:?}"),
            "uri": request.uri().to_string(),
            "subject": token.as_ref().and_then(|token| token.subject()),
        });
        Ok::<_, Infallible>(Response::new(Body::from(found.to_string())))
    });
    let Ok(response) = layers.layer(EchoService::new(handler)).oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn the_authorization_field_is_gone_behind_a_layer_that_strips_it() {
    let issuer = issuer();
    let token = issuer.token().scope("a").sign();
    let kept = server(&issuer);
    let bearer = format!("Bearer {token}");
    let (status, found) = peek(kept.layer(), request(&token)).await;
    assert_eq!((status, &found["authorization"]), (200, &json!(bearer)), "without the setting");

    let server = builder(trusting(&issuer)).strip_authorization().query_token().build().unwrap();
    let inner = || ServiceBuilder::new();
    for (name, (status, found)) in [
        ("layer", peek(server.layer(), request(&token)).await),
        ("protect", peek(server.protect(scope("a")), request(&token)).await),
        ("optional layer", peek(server.optional_layer(), request(&token)).await),
        (
            "require in a layer",
            peek(inner().layer(server.layer()).layer(server.require(scope("a"))), request(&token))
                .await,
        ),
        (
            "two layers",
            peek(inner().layer(server.layer()).layer(server.layer()), request(&token)).await,
        ),
        (
            "protect in a layer",
            peek(inner().layer(server.layer()).layer(server.protect(scope("a"))), request(&token))
                .await,
        ),
        (
            "an optional layer in a layer",
            peek(inner().layer(server.layer()).layer(server.optional_layer()), request(&token))
                .await,
        ),
    ] {
        assert_eq!(status, 200, "{name}");
        assert_eq!(found["authorization"], Value::Null, "{name}");
        assert_eq!(found["raw"], Value::Null, "{name}: no text without `keep_raw_tokens`");
        assert_eq!(found["subject"], "alice", "{name}");
    }

    // Another server's layer inside sees no token, so it refuses.
    let other = peek(inner().layer(server.layer()).layer(kept.layer()), request(&token)).await;
    assert_eq!(other.0, 401);

    // What is not the token's stays.
    let basic = get().header(AUTHORIZATION, "Basic eA==").body(Body::default()).unwrap();
    let (status, found) = peek(server.optional_layer(), basic).await;
    assert_eq!((status, &found["authorization"]), (200, &json!("Basic eA==")));
    assert_eq!(found["subject"], Value::Null);
    let query = Request::get(format!("https://api.example.com/?access_token={token}"));
    let query = query.header(AUTHORIZATION, "Basic eA==").body(Body::default()).unwrap();
    let (status, found) = peek(server.layer(), query).await;
    assert_eq!((status, &found["authorization"]), (200, &json!("Basic eA==")), "beside a query");
    assert_eq!(found["uri"], "https://api.example.com/");

    // A refused token is not stripped for a handler: there is none.
    let bad = issuer.token().expires_in(-600).sign();
    assert_eq!(peek(server.layer(), request(&bad)).await.0, 401);
}

#[tokio::test]
async fn a_stripped_token_is_judged_again_after_a_reload_between_two_layers() {
    let issuer = issuer();
    let other = TestIssuer::in_process("https://other.example.com");
    let token = issuer.token().scope("a").sign();
    let both = [trusting(&issuer), trusting(&other)];
    for (name, next, status) in
        [("still trusted", both.to_vec(), 200), ("no longer trusted", vec![trusting(&other)], 401)]
    {
        let query = Request::get(format!("https://api.example.com/?access_token={token}"));
        let query = query.header(AUTHORIZATION, "Basic eA==").body(Body::default()).unwrap();
        for (way, request, left) in
            [("header", request(&token), Value::Null), ("query", query, json!("Basic eA=="))]
        {
            let server = builder(trusting(&issuer)).issuer(trusting(&other)).query_token();
            let server = server.strip_authorization().build().unwrap();
            let (reloaded, next) = (server.clone(), next.clone());
            let reload = MapRequestLayer::new(move |request: Request<Body>| {
                reloaded.reload(next.clone(), [AUDIENCE]).unwrap();
                request
            });
            let layers = ServiceBuilder::new()
                .layer(server.layer())
                .layer(reload)
                .layer(server.protect(scope("a")));
            let (found_status, found) = peek(layers, request).await;
            assert_eq!(found_status, status, "{name}, {way}");
            if status == 200 {
                assert_eq!(found["authorization"], left, "{name}, {way}");
                assert_eq!(found["subject"], "alice", "{name}, {way}");
            }
        }
    }
    // A field that a layer between the two has set is not the token's.
    let server = builder(trusting(&issuer)).strip_authorization().build().unwrap();
    let reloaded = server.clone();
    let keys = trusting(&issuer);
    let between = MapRequestLayer::new(move |mut request: Request<Body>| {
        reloaded.reload([keys.clone()], [AUDIENCE]).unwrap();
        request.headers_mut().insert(AUTHORIZATION, "Basic eA==".parse().unwrap());
        request
    });
    let layers = ServiceBuilder::new()
        .layer(server.layer())
        .layer(between)
        .layer(server.protect(scope("a")));
    let (status, found) = peek(layers, request(&token)).await;
    assert_eq!((status, &found["authorization"]), (200, &json!("Basic eA==")));
}

#[tokio::test]
async fn the_text_of_a_token_is_there_only_where_it_was_asked_for() {
    let issuer = issuer();
    let token = issuer.token().scope("a").sign();
    let keeps = || builder(trusting(&issuer)).keep_raw_tokens();
    let query = || {
        let uri = format!("https://api.example.com/?access_token={token}");
        Request::get(uri).body(Body::default()).unwrap()
    };
    let off = server(&issuer);
    let on = keeps().build().unwrap();
    let stripped = keeps().strip_authorization().build().unwrap();
    let by_query = keeps().query_token().build().unwrap();
    let nested = ServiceBuilder::new().layer(on.layer()).layer(on.require(scope("a")));
    for (name, (status, found), kept) in [
        ("off", peek(off.layer(), request(&token)).await, false),
        (
            "off, stripped",
            {
                let off = builder(trusting(&issuer)).strip_authorization().build().unwrap();
                peek(off.layer(), request(&token)).await
            },
            false,
        ),
        ("on", peek(on.layer(), request(&token)).await, true),
        ("on, behind require", peek(nested, request(&token)).await, true),
        ("on, stripped", peek(stripped.layer(), request(&token)).await, true),
        ("on, in a query", peek(by_query.layer(), query()).await, true),
    ] {
        assert_eq!(status, 200, "{name}");
        let expected = if kept { json!(token) } else { Value::Null };
        assert_eq!(found["raw"], expected, "{name}");
        assert!(!found["debug"].as_str().unwrap().contains("ey"), "{name}: {}", found["debug"]);
    }
    let anonymous = get().body(Body::default()).unwrap();
    let (status, found) = peek(on.optional_layer(), anonymous).await;
    assert_eq!((status, &found["raw"]), (200, &Value::Null), "anonymous");
}
