//! The API's own users: `load_user`, its cache and its single flight.

#![cfg(feature = "http-client")]

#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_resource_server::clock::TestClock;
use tower_resource_server::extract::LoadedUser;
use tower_resource_server::layer::LoadUserLayer;
use tower_resource_server::policy::LookupError;
use tower_resource_server::test_issuer::{TestIssuer, inject};
use tower_resource_server::{AccessToken, Claims, ResourceServer, scope};

use support::*;

/// A user of the API of these tests. The name is made from the subject.
#[derive(Debug, PartialEq)]
struct User(String);

/// Another type of user.
struct Tenant(&'static str);

type Loaded = Result<User, LookupError>;

/// Counts the calls of a loader.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns the number of earlier calls.
    fn one_more(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

fn user_of(token: &AccessToken) -> User {
    User(format!("user {}", token.subject().unwrap_or_default()))
}

/// A layer with a loader that counts its calls. It always finds a user.
fn counting(server: &ResourceServer) -> (LoadUserLayer<User>, Calls) {
    let calls = Calls::default();
    let counted = calls.clone();
    let layer = server.load_user(move |token: AccessToken| {
        counted.one_more();
        async move { Ok(user_of(&token)) }
    });
    (layer, calls)
}

/// A layer whose loader waits until the gate opens.
fn gated(server: &ResourceServer) -> (LoadUserLayer<User>, Calls, watch::Sender<bool>) {
    let (open, gate) = watch::channel(false);
    let calls = Calls::default();
    let counted = calls.clone();
    let layer = server.load_user(move |token: AccessToken| {
        counted.one_more();
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            Ok(user_of(&token))
        }
    });
    (layer, calls, open)
}

/// Shows the loaded user in a header of the response.
#[derive(Clone, Copy)]
struct Show;

#[derive(Clone)]
struct Shows<S>(S);

impl<S> Layer<S> for Show {
    type Service = Shows<S>;

    fn layer(&self, inner: S) -> Shows<S> {
        Shows(inner)
    }
}

impl<S> Service<Request<Body>> for Shows<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let user = LoadedUser::<User>::from_extensions(request.extensions());
        let tenant = LoadedUser::<Tenant>::from_extensions(request.extensions());
        let response = self.0.call(request);
        async move {
            let mut response = response.await?;
            if let Some(user) = user {
                response.headers_mut().insert("x-user", user.0.parse().unwrap());
            }
            if let Some(tenant) = tenant {
                response.headers_mut().insert("x-tenant", tenant.0.parse().unwrap());
            }
            Ok(response)
        }
        .boxed()
    }
}

fn shown<'a>(reply: &'a Reply, header: &str) -> Option<&'a str> {
    reply.headers.get(header).map(|name| name.to_str().unwrap())
}

/// `200`, with this user.
#[track_caller]
fn assert_user(reply: &Reply, user: &str, name: &str) {
    reply.assert_ok(name);
    assert_eq!(shown(reply, "x-user"), Some(user), "{name}");
}

/// `200`, without a user.
#[track_caller]
fn assert_nobody(reply: &Reply, name: &str) {
    reply.assert_ok(name);
    assert_eq!(shown(reply, "x-user"), None, "{name}");
}

/// `500`, and the log names the fix.
#[track_caller]
fn assert_miswired(reply: &Reply, fix: &str, name: &str) {
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{name}");
    let error = reply.error.as_ref().expect("an error").to_string();
    assert!(error.contains(fix), "{name}: {error}");
    assert!(!reply.ran, "{name}");
}

/// The refusal of a loader: 403 without an error code and a scope.
#[track_caller]
fn assert_denied(reply: &Reply, name: &str) {
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{name}");
    assert_eq!(reply.error.as_ref().unwrap().code(), "access_denied", "{name}");
    let [challenge] = reply.challenges.as_slice() else { panic!("{name}: {reply:?}") };
    assert_eq!(challenge.param("error"), None, "{name}");
    assert_eq!(challenge.param("scope"), None, "{name}");
    assert!(!reply.ran, "{name}");
}

/// An outage of a lookup: 503, which says when to try again.
#[track_caller]
fn assert_outage(reply: &Reply, name: &str) {
    reply.assert_unavailable(name);
    assert_eq!(reply.error.as_ref().unwrap().code(), "lookup_unavailable", "{name}");
    assert!(!reply.ran, "{name}");
}

macro_rules! users_api {
    ($outer:expr, $load:expr) => {
        api(ServiceBuilder::new().layer($outer).layer($load).layer(Show))
    };
}

/// Issue 13, "done when" 6: all requests are in progress before the loader answers.
#[tokio::test]
async fn a_thousand_requests_of_one_token_call_the_loader_once() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls, open) = gated(&server);
    let api = users_api!(server.layer(), load);
    let token = issuer.token().sign();
    let mut requests = join_all((0..1_000).map(|_| api.bearer(&token)));
    assert!(futures::poll!(&mut requests).is_pending());
    tokio::task::yield_now().await;
    assert!(futures::poll!(&mut requests).is_pending(), "the loader waits");
    open.send_replace(true);
    for reply in requests.await {
        assert_user(&reply, "user alice", "one of many");
    }
    assert_eq!((calls.count(), api.runs()), (1, 1_000));
    assert_user(&api.bearer(&token).await, "user alice", "later");
    assert_eq!(calls.count(), 1, "from the cache");
}

/// On several threads, a request may look into the cache just before the user is cached.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_on_several_threads_call_the_loader_once() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls) = counting(&server);
    let api = Arc::new(users_api!(server.layer(), load));
    for round in 1..=20 {
        let token = issuer.token().sign();
        let start = Arc::new(Semaphore::new(0));
        let requests = (0..50).map(|_| {
            let (api, token, start) = (Arc::clone(&api), token.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                let _started = start.acquire().await.unwrap();
                tokio::task::yield_now().await;
                api.bearer(&token).await
            })
        });
        let requests: Vec<_> = requests.collect();
        start.add_permits(50);
        for reply in join_all(requests).await {
            assert_user(&reply.unwrap(), "user alice", "one of many");
        }
        assert_eq!(calls.count(), round);
    }
}

/// Issue 13, "done when" 6.
#[tokio::test]
async fn a_loader_that_fails_hangs_or_panics_caches_nothing() {
    type Failure = fn() -> BoxFuture<'static, Loaded>;
    type Check = fn(&Reply, &str);
    let rows: [(&str, Failure, Check); 5] = [
        ("fails", || async { Err(LookupError::unavailable("down")) }.boxed(), assert_outage),
        ("hangs", || pending().boxed(), assert_outage),
        ("panics", || async { panic!("of the test") }.boxed(), assert_outage),
        ("panics before its future", || panic!("of the test"), assert_outage),
        ("refuses", || async { Err(LookupError::refused("suspended")) }.boxed(), assert_denied),
    ];
    for (name, failure, check) in rows {
        let issuer = issuer();
        let server = server(&issuer);
        let calls = Calls::default();
        let counted = calls.clone();
        let load = server
            .load_user(move |token: AccessToken| -> BoxFuture<'static, Loaded> {
                match counted.one_more() {
                    0 => failure(),
                    _ => async move { Ok(user_of(&token)) }.boxed(),
                }
            })
            .deadline(Duration::from_millis(50));
        let api = users_api!(server.layer(), load);
        let token = issuer.token().sign();
        // All requests that wait get the same answer from one call.
        for reply in join_all((0..20).map(|_| api.bearer(&token))).await {
            check(&reply, name);
        }
        assert_eq!((calls.count(), api.runs()), (1, 0), "{name}");
        assert_user(&api.bearer(&token).await, "user alice", name);
        assert_eq!(calls.count(), 2, "{name}: nothing was cached");
        assert_user(&api.bearer(&token).await, "user alice", name);
        assert_eq!(calls.count(), 2, "{name}: the user was cached");
    }
}

/// The time of tokio is paused, so it is exact.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_two_seconds_or_as_set() {
    for (set, expected) in [
        (None, Duration::from_secs(2)),
        (Some(Duration::from_millis(300)), Duration::from_millis(300)),
        (Some(Duration::MAX), Duration::from_secs(30)),
    ] {
        let issuer = issuer();
        let server = server(&issuer);
        let mut load = server.load_user(|_: AccessToken| pending::<Loaded>());
        if let Some(set) = set {
            load = load.deadline(set);
        }
        let api = users_api!(server.layer(), load);
        let start = tokio::time::Instant::now();
        assert_outage(&api.bearer(&issuer.token().sign()).await, "hangs");
        let waited = start.elapsed();
        assert!(waited >= expected && waited < expected + Duration::from_millis(10), "{waited:?}");
    }
}

/// 100 tokens at a time, on several threads, each with a user of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_user_of_one_token_is_never_given_to_another() {
    let issuer = issuer();
    let server = server(&issuer);
    let calls = Calls::default();
    let counted = calls.clone();
    let load = server.load_user(move |token: AccessToken| {
        let turns = counted.one_more() % 7;
        async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            Ok(user_of(&token))
        }
    });
    let api = Arc::new(users_api!(server.layer(), load));
    let tokens = (0..100).map(|n| {
        let subject = format!("subject-{n}");
        let token = issuer.token().subject(&subject).sign();
        (format!("user {subject}"), token)
    });
    let tokens: Arc<[_]> = tokens.collect();
    let tasks = (0..4).map(|round| {
        let (api, tokens) = (Arc::clone(&api), Arc::clone(&tokens));
        tokio::spawn(async move {
            join_all((0..100).map(|n| {
                let (user, token) = &tokens[(n * 7 + round) % 100];
                let api = &api;
                async move { (user, api.bearer(token).await) }
            }))
            .await
            .iter()
            .for_each(|(user, reply)| assert_user(reply, user, "its own user"));
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(calls.count(), 100, "another token is another call");
}

#[tokio::test]
async fn a_cached_user_ends() {
    type Change = fn(&TestClock, &ResourceServer, &TestIssuer);
    let seconds = Duration::from_secs;
    let default = seconds(60);
    let advance_29: Change = |clock, _, _| clock.advance(Duration::from_secs(29));
    let advance_30: Change = |clock, _, _| clock.advance(Duration::from_secs(30));
    let advance_59: Change = |clock, _, _| clock.advance(Duration::from_secs(59));
    let advance_60: Change = |clock, _, _| clock.advance(Duration::from_secs(60));
    let back: Change = |clock, _, _| {
        let now = tower_resource_server::clock::Clock::wall(clock).as_secs();
        clock.advance(Duration::from_secs(30));
        clock.set_wall(now);
    };
    let nothing: Change = |_, _, _| {};
    let reload: Change = |_, server, issuer| {
        server.reload([trusting(issuer)], [AUDIENCE]).unwrap();
    };
    // The token is accepted until 60 s after its `exp`.
    for (name, cache_for, expires_in, change, calls_then) in [
        ("before the default time", None, 3_600, advance_59, 1),
        ("at the default time", None, 3_600, advance_60, 2),
        ("before the set time", Some(seconds(30)), 3_600, advance_29, 1),
        ("at the set time", Some(seconds(30)), 3_600, advance_30, 2),
        ("before `exp`", Some(default), 31, advance_29, 1),
        ("after `exp`", Some(default), 29, advance_30, 2),
        ("after `exp`, and the wall clock goes back", Some(default), 29, back, 2),
        ("a long time", Some(Duration::MAX), 3_600, advance_60, 1),
        ("a long time, at `exp`", Some(Duration::MAX), 29, advance_30, 2),
        ("a time of zero", Some(Duration::ZERO), 3_600, nothing, 2),
        ("without a reload", None, 3_600, nothing, 1),
        ("at a reload", None, 3_600, reload, 2),
    ] {
        let issuer = issuer();
        let clock = TestClock::starting_now();
        let server = builder(trusting(&issuer)).clock(clock.clone()).build().unwrap();
        let (mut load, calls) = counting(&server);
        if let Some(time) = cache_for {
            load = load.cache_for(time);
        }
        let api = users_api!(server.layer(), load);
        let token = issuer.token().expires_in(expires_in).sign();
        assert_user(&api.bearer(&token).await, "user alice", name);
        change(&clock, &server, &issuer);
        assert_user(&api.bearer(&token).await, "user alice", name);
        assert_eq!(calls.count(), calls_then, "{name}");
    }
}

/// The token of the earlier load was validated under the old configuration.
#[tokio::test]
async fn a_load_that_began_before_a_reload_is_not_joined_after_it() {
    for (name, reloads, calls_then) in [("a reload", true, 2), ("no reload", false, 1)] {
        let issuer = issuer();
        let server = server(&issuer);
        let (load, calls, open) = gated(&server);
        let api = users_api!(server.layer(), load);
        let token = issuer.token().sign();
        let mut first = Box::pin(api.bearer(&token));
        assert!(futures::poll!(first.as_mut()).is_pending(), "{name}");
        if reloads {
            server.reload([trusting(&issuer)], [AUDIENCE]).unwrap();
        }
        let mut second = Box::pin(api.bearer(&token));
        assert!(futures::poll!(second.as_mut()).is_pending(), "{name}");
        open.send_replace(true);
        assert_user(&first.await, "user alice", name);
        assert_user(&second.await, "user alice", name);
        assert_eq!(calls.count(), calls_then, "{name}");
        assert_user(&api.bearer(&token).await, "user alice", name);
        assert_eq!(calls.count(), calls_then, "{name}: cached");
    }
}

/// The token is past its `exp`, and the leeway still accepts it.
#[tokio::test]
async fn within_the_leeway_after_exp_nothing_is_cached() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls) = counting(&server);
    let api = users_api!(server.layer(), load);
    for (seconds, calls_then) in [(-20, [1, 2]), (3_600, [3, 3])] {
        let token = issuer.token().expires_in(seconds).sign();
        for calls_then in calls_then {
            assert_user(&api.bearer(&token).await, "user alice", "within the leeway");
            assert_eq!(calls.count(), calls_then, "{seconds}");
        }
    }
}

/// A unit test shows the exact bound.
#[tokio::test]
async fn the_number_of_cached_users_can_be_set() {
    for (entries, calls_then) in [(0, 2), (1, 1)] {
        let issuer = issuer();
        let server = server(&issuer);
        let (load, calls) = counting(&server);
        let api = users_api!(server.layer(), load.max_entries(entries));
        let token = issuer.token().sign();
        for _ in 0..2 {
            assert_user(&api.bearer(&token).await, "user alice", "each time");
        }
        assert_eq!(calls.count(), calls_then, "{entries} entries");
    }
}

/// axum calls `Layer::layer` once for each route.
#[tokio::test]
async fn all_services_of_one_layer_share_its_users() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls) = counting(&server);
    let (first, second) = (load.clone(), load.clone());
    let token = issuer.token().sign();
    for load in [first, second] {
        let api = users_api!(server.layer(), load);
        assert_user(&api.bearer(&token).await, "user alice", "each service");
    }
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn a_client_that_disconnects_does_not_cancel_the_load() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls, open) = gated(&server);
    let api = users_api!(server.layer(), load);
    for (name, another_waits) in [("another waits", true), ("nobody waits", false)] {
        open.send_replace(false);
        let before = calls.count();
        let token = issuer.token().sign();
        let mut first = Box::pin(api.bearer(&token));
        assert!(futures::poll!(first.as_mut()).is_pending(), "{name}");
        tokio::task::yield_now().await;
        assert_eq!(calls.count(), before + 1, "{name}: the load has begun");
        let mut second = pin!(api.bearer(&token));
        if another_waits {
            assert!(futures::poll!(second.as_mut()).is_pending(), "{name}");
        }
        drop(first);
        open.send_replace(true);
        assert_user(&second.await, "user alice", name);
        assert_eq!(calls.count(), before + 1, "{name}");
    }
}

/// The inner service panics when it is called without having been polled ready.
#[tokio::test]
async fn a_request_that_waits_for_its_user_holds_no_permit() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls, open) = gated(&server);
    let hello =
        service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::default())));
    let inner = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(hello);
    let service = ServiceBuilder::new().layer(server.layer()).layer(load).service(inner.clone());
    let request = |token: &str| {
        get().header(AUTHORIZATION, format!("Bearer {token}")).body(Body::default()).unwrap()
    };
    let token = issuer.token().sign();
    let mut service = service;
    let mut waits = Box::pin(service.ready().await.unwrap().call(request(&token)));
    assert!(futures::poll!(waits.as_mut()).is_pending(), "the loader waits");
    let other = inner.clone().oneshot(Request::new(Body::default()));
    let other = tokio::time::timeout(Duration::from_secs(5), other).await;
    assert_eq!(other.expect("the permit is free").unwrap().status(), 200);
    open.send_replace(true);
    assert_eq!(waits.await.unwrap().status(), 200);
    // A cached user needs no wait: the very instance that was polled ready is called.
    let answer = at_once(service.ready().await.unwrap().call(request(&token)));
    assert_eq!(answer.expect("without a wait").unwrap().status(), 200);
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn an_anonymous_request_has_no_user() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls) = counting(&server);
    let api = users_api!(server.optional_layer(), load);
    assert_nobody(&api.anonymous().await, "anonymous");
    api.bearer(&issuer.token().expires_in(-600).sign()).await.assert_invalid_token("expired");
    assert_eq!(calls.count(), 0);
    assert_user(&api.bearer(&issuer.token().sign()).await, "user alice", "with a token");
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn a_refused_request_loads_no_user() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls) = counting(&server);
    let api = users_api!(server.protect(scope("notes:read")), load);
    api.anonymous().await.assert_invited("anonymous");
    api.bearer(&issuer.token().audience("other").sign()).await.assert_invalid_token("audience");
    api.bearer(&issuer.token().sign()).await.assert_insufficient_scope("scope", "notes:read");
    assert_eq!(calls.count(), 0);
    let token = issuer.token().scope("notes:read").sign();
    assert_user(&api.bearer(&token).await, "user alice", "with the scope");
}

#[tokio::test]
async fn wiring_mistakes_are_500_and_name_the_fix() {
    let issuer = issuer();
    let (own, other) = (server(&issuer), server(&issuer));
    let (load, calls) = counting(&own);
    let token = issuer.token().sign();
    let unlayered = api(ServiceBuilder::new().layer(load.clone()).layer(Show));
    let reply = unlayered.bearer(&token).await;
    assert_miswired(&reply, "`.layer(api.layer())` after", "without a layer");
    let foreign = users_api!(other.layer(), load.clone());
    let reply = foreign.bearer(&token).await;
    assert_miswired(&reply, "call `load_user` on the server", "behind another server");
    let inverse = users_api!(load.clone(), own.layer());
    assert_miswired(&inverse.bearer(&token).await, "`.layer(api.layer())` after", "inverse");
    assert_eq!(calls.count(), 0);
    assert_user(&users_api!(own.layer(), load).bearer(&token).await, "user alice", "in order");
}

/// The innermost server's token is the one that handlers see, so it decides whose user they see.
#[tokio::test]
async fn a_user_belongs_to_the_server_of_the_token() {
    let issuer = issuer();
    let (outer, inner) = (server(&issuer), server(&issuer));
    let (load, _) = counting(&outer);
    let token = issuer.token().sign();
    let stack = ServiceBuilder::new().layer(outer.layer()).layer(load.clone());
    let other = api(stack.layer(inner.layer()).layer(Show));
    assert_nobody(&other.bearer(&token).await, "another server inside");
    let stack = ServiceBuilder::new().layer(outer.layer()).layer(load);
    let same = api(stack.layer(outer.layer()).layer(Show));
    assert_user(&same.bearer(&token).await, "user alice", "the same server inside");
    // Both servers load a user: the inner one counts.
    let outer_load = outer.load_user(|_| async { Ok(User("outer".to_owned())) });
    let inner_load = inner.load_user(|_| async { Ok(User("inner".to_owned())) });
    let stack = ServiceBuilder::new().layer(outer.layer()).layer(outer_load);
    let both = api(stack.layer(inner.layer()).layer(inner_load).layer(Show));
    assert_user(&both.bearer(&token).await, "inner", "both");
}

#[tokio::test]
async fn users_of_several_types_stand_side_by_side() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, _) = counting(&server);
    let tenant = server.load_user(|_| async { Ok(Tenant("acme")) });
    let again = server.load_user(|_| async { Ok(User("the innermost".to_owned())) });
    let token = issuer.token().sign();
    let stack = ServiceBuilder::new().layer(server.layer()).layer(load).layer(tenant);
    let reply = api(stack.clone().layer(Show)).bearer(&token).await;
    assert_user(&reply, "user alice", "two types");
    assert_eq!(shown(&reply, "x-tenant"), Some("acme"));
    let reply = api(stack.layer(again).layer(Show)).bearer(&token).await;
    assert_user(&reply, "the innermost", "one type twice");
    assert_eq!(shown(&reply, "x-tenant"), Some("acme"));
}

/// An injected token has no text, so its user is not cached.
#[tokio::test]
async fn an_injected_token_has_a_user_too() {
    let server = server(&issuer());
    let (load, calls) = counting(&server);
    let bob = inject(&server, json!({ "sub": "bob" }));
    let injected = api((bob.clone(), ServiceBuilder::new().layer(load).layer(Show)));
    for calls_then in 1..=2 {
        assert_user(&injected.anonymous().await, "user bob", "injected");
        assert_eq!(calls.count(), calls_then);
    }
    type Failure = fn() -> BoxFuture<'static, Loaded>;
    type Check = fn(&Reply, &str);
    let rows: [(&str, Failure, Check); 4] = [
        ("fails", || async { Err(LookupError::unavailable("down")) }.boxed(), assert_outage),
        ("hangs", || pending().boxed(), assert_outage),
        ("panics", || panic!("of the test"), assert_outage),
        ("refuses", || async { Err(LookupError::refused("suspended")) }.boxed(), assert_denied),
    ];
    for (name, failure, check) in rows {
        let load = server.load_user(move |_| failure()).deadline(Duration::from_millis(50));
        let injected = api((bob.clone(), ServiceBuilder::new().layer(load).layer(Show)));
        check(&injected.anonymous().await, name);
    }
}

/// The text of the token is known although the header is gone.
#[tokio::test]
async fn users_are_cached_behind_a_layer_that_strips_the_authorization() {
    let issuer = issuer();
    let server = builder(trusting(&issuer)).strip_authorization().build().unwrap();
    let (load, calls) = counting(&server);
    let api = users_api!(server.layer(), load);
    let (alice, bob) = (issuer.token().sign(), issuer.token().subject("bob").sign());
    for (token, user, calls_then) in
        [(&alice, "user alice", 1), (&bob, "user bob", 2), (&alice, "user alice", 2)]
    {
        assert_user(&api.bearer(token).await, user, "stripped");
        assert_eq!(calls.count(), calls_then);
    }
}

#[test]
fn without_a_runtime_the_answer_is_an_outage() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls) = counting(&server);
    let api = users_api!(server.layer(), load);
    let token = issuer.token().sign();
    assert_outage(&at_once(api.bearer(&token)).expect("without a wait"), "no runtime");
    assert_eq!(calls.count(), 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let reply = runtime.block_on(api.bearer(&token));
    assert_user(&reply, "user alice", "with a runtime");
    // A cached user needs no runtime.
    let reply = at_once(api.bearer(&token)).expect("without a wait");
    assert_user(&reply, "user alice", "cached");
}

/// The runtime of the first request ends. A request on another runtime waits for the same load.
#[test]
fn a_load_whose_runtime_ends_is_an_outage() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls, open) = gated(&server);
    let api = users_api!(server.layer(), load);
    let token = issuer.token().sign();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let mut asks = Box::pin(api.bearer(&token));
    first.block_on(async { assert!(futures::poll!(asks.as_mut()).is_pending()) });
    let mut waits = Box::pin(api.bearer(&token));
    second.block_on(async { assert!(futures::poll!(waits.as_mut()).is_pending()) });
    drop(first);
    assert_outage(&second.block_on(waits), "its runtime has ended");
    open.send_replace(true);
    assert_user(&second.block_on(api.bearer(&token)), "user alice", "the next request");
    assert_eq!(calls.count(), 1, "the first load was never polled");
}

type Waits<'a> = Pin<Box<dyn Future<Output = Reply> + 'a>>;

/// Polls a request for the first time: it waits, or it is refused.
async fn begins(mut request: Waits<'_>) -> Result<Waits<'_>, Reply> {
    match futures::poll!(request.as_mut()) {
        Poll::Ready(reply) => Err(reply),
        Poll::Pending => Ok(request),
    }
}

#[tokio::test]
async fn the_requests_that_wait_for_users_are_limited() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls, open) = gated(&server);
    let api = users_api!(server.layer(), load.deadline(Duration::from_secs(30)));
    let (token, other) = (issuer.token().sign(), issuer.token().subject("bob").sign());
    let third = issuer.token().subject("carol").sign();
    let mut waiting = Vec::new();
    for _ in 0..4_096 {
        waiting.push(begins(Box::pin(api.bearer(&token))).await.expect("there is room"));
    }
    let refused = begins(Box::pin(api.bearer(&token))).await;
    assert_outage(&refused.err().expect("there is no room"), "one too many");
    // Requests for another token have room, up to the limit for all.
    for _ in 0..4_096 {
        waiting.push(begins(Box::pin(api.bearer(&other))).await.expect("there is room"));
    }
    let refused = begins(Box::pin(api.bearer(&third))).await;
    assert_outage(&refused.err().expect("there is no room"), "one too many for all");
    // A request that disconnects makes room.
    drop(waiting.swap_remove(0));
    waiting.push(begins(Box::pin(api.bearer(&token))).await.expect("there is room again"));
    open.send_replace(true);
    for reply in join_all(waiting).await {
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert_eq!(calls.count(), 2);
}

#[tokio::test]
async fn the_loads_in_progress_are_limited() {
    let issuer = issuer();
    let server = server(&issuer);
    let (load, calls, open) = gated(&server);
    let api = users_api!(server.layer(), load.deadline(Duration::from_secs(30)));
    let tokens: Vec<_> = (0..=1_024).map(|_| issuer.token().sign()).collect();
    let (last, tokens) = tokens.split_last().unwrap();
    // Clients that disconnect do not make room: their loads go on.
    for token in tokens {
        assert!(begins(Box::pin(api.bearer(token))).await.is_ok(), "there is room");
    }
    let refused = begins(Box::pin(api.bearer(last))).await;
    assert_outage(&refused.err().expect("there is no room"), "one too many");
    open.send_replace(true);
    // The loads in progress end, and then there is room.
    for token in tokens {
        assert_eq!(api.bearer(token).await.status, StatusCode::OK);
    }
    assert_user(&api.bearer(last).await, "user alice", "there is room again");
    assert_eq!(calls.count(), 1_025);
}

/// A loader that reads the claims of the API's own type.
#[tokio::test]
async fn the_loader_gets_the_validated_token() {
    let issuer = issuer();
    let server = server(&issuer);
    let load = server.load_user(async |token: AccessToken<Claims>| {
        match token.scope().contains("admin") {
            true => Ok(User("an admin".to_owned())),
            false => Err(LookupError::refused("not an admin")),
        }
    });
    let api = users_api!(server.layer(), load);
    let token = issuer.token().scope("admin").sign();
    assert_user(&api.bearer(&token).await, "an admin", "an admin");
    assert_denied(&api.bearer(&issuer.token().sign()).await, "not an admin");
}

#[cfg(feature = "axum")]
mod extractor {
    use axum::Router;
    use axum::routing::get;
    use http::Request;
    use tower::ServiceExt as _;
    use tower_resource_server::Error;
    use tower_resource_server::extract::LoadedUser;
    use tower_resource_server::refusal::ProblemJson;

    use super::{User, builder, counting, issuer, server, trusting};

    struct Unloaded;

    async fn needs(user: LoadedUser<User>) -> String {
        user.0.clone()
    }

    async fn takes(user: Option<LoadedUser<User>>) -> String {
        user.map_or("nobody".to_owned(), |user| user.0.clone())
    }

    async fn needs_another(_: LoadedUser<Unloaded>) {}

    async fn takes_another(_: Option<LoadedUser<Unloaded>>) {}

    fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
        Router::new()
            .route("/needs", get(needs))
            .route("/takes", get(takes))
            .route("/needs-another", get(needs_another))
            .route("/takes-another", get(takes_another))
    }

    struct Answer {
        status: u16,
        body: String,
        challenges: usize,
        error: String,
    }

    async fn send(app: &Router, path: &str, token: Option<&str>) -> Answer {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            challenges: parts.headers.get_all("www-authenticate").iter().count(),
            error: parts.extensions.get::<Error>().map(Error::to_string).unwrap_or_default(),
        }
    }

    #[tokio::test]
    async fn handlers_get_the_user_or_a_refusal_that_names_the_fix() {
        let issuer = issuer();
        let server = server(&issuer);
        let (load, _) = counting(&server);
        let token = issuer.token().sign();
        let token = Some(token.as_str());
        let loaded = routes().layer(load.clone()).layer(server.layer());
        let optional = routes().layer(load).layer(server.optional_layer());
        let unloaded = routes().layer(server.layer());
        let bare = routes();
        let no_layer = "on a route that no layer protects";
        let no_load = "no `load_user` loads this type";
        for (name, app, path, token, status, body, error) in [
            ("loaded", &loaded, "/needs", token, 200, "user alice", ""),
            ("loaded, optional", &loaded, "/takes", token, 200, "user alice", ""),
            ("another type", &loaded, "/needs-another", token, 500, "", no_load),
            ("another type, optional", &loaded, "/takes-another", token, 500, "", no_load),
            ("behind optional", &optional, "/needs", token, 200, "user alice", ""),
            ("anonymous", &optional, "/needs", None, 401, "", "no credentials"),
            ("anonymous, optional", &optional, "/takes", None, 200, "nobody", ""),
            ("no load_user", &unloaded, "/needs", token, 500, "", no_load),
            ("no load_user, optional", &unloaded, "/takes", token, 500, "", no_load),
            ("no layer", &bare, "/needs", token, 500, "", no_layer),
            ("no layer, optional", &bare, "/takes", token, 500, "", no_layer),
        ] {
            let answer = send(app, path, token).await;
            assert_eq!((answer.status, answer.body.as_str()), (status, body), "{name}");
            assert_eq!(answer.challenges, usize::from(status == 401), "{name}");
            assert!(answer.error.contains(error), "{name}: {}", answer.error);
            assert_eq!(answer.error.is_empty(), status == 200, "{name}: {}", answer.error);
        }
        let answer = send(&unloaded, "/needs", token).await;
        assert!(answer.error.contains("User"), "it names the type: {}", answer.error);
    }

    /// The layer of the server adds the body, as for its own refusals.
    #[tokio::test]
    async fn refusals_of_the_extractor_and_of_the_loader_have_the_servers_body() {
        use tower_resource_server::policy::LookupError;

        let issuer = issuer();
        let server = builder(trusting(&issuer)).refusal_body(ProblemJson).build().unwrap();
        let load = server.load_user(|_| async { Err::<User, _>(LookupError::refused("no")) });
        let app = routes().layer(load).layer(server.optional_layer());
        let answer = send(&app, "/needs", None).await;
        assert_eq!(answer.body, r#"{"title":"Unauthorized","status":401}"#);
        let answer = send(&app, "/takes", Some(&issuer.token().sign())).await;
        assert_eq!(answer.body, r#"{"title":"Forbidden","status":403}"#);
        assert_eq!(send(&app, "/takes", None).await.body, "nobody");
    }
}
