//! Responses that end when their token expires.
//!
//! The clock of the server follows tokio's paused time, so that the tests do not wait.

#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::{Stream, StreamExt as _, stream};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use tokio::time::Instant;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_resource_server::clock::{Clock, TestClock};
use tower_resource_server::expiry::Ended;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, Claims, ResourceServer};

use support::{builder, issuer, trusting};

const START: u64 = 1_800_000_000;
const LEEWAY: u64 = 60;

/// The time of tokio, which a test pauses.
struct Paused(Instant);

impl Clock for Paused {
    fn wall(&self) -> Duration {
        Duration::from_secs(START) + self.0.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn server(issuer: &TestIssuer) -> ResourceServer {
    builder(trusting(issuer)).clock(Paused(Instant::now())).build().unwrap()
}

/// A token that expires so many seconds after the start.
fn token(issuer: &TestIssuer, after: u64) -> String {
    issuer.token().claim("iat", START).claim("exp", START + after).sign()
}

async fn accepted(issuer: &TestIssuer, clock: impl Clock, after: u64) -> AccessToken {
    let server = builder(trusting(issuer)).clock(clock).build().unwrap();
    server.authenticate_token(&token(issuer, after)).await.unwrap()
}

type Events = UnsyncBoxBody<Bytes, Infallible>;

/// An event each second, for ever.
fn ticks() -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    stream::unfold(0, |count| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok(Frame::data(Bytes::from(format!("data: {count}\n\n")))), count + 1))
    })
}

async fn events(request: Request<()>) -> Result<Response<Events>, Infallible> {
    let token = AccessToken::<Claims>::from_extensions(request.extensions()).unwrap();
    let body = token
        .body_until_expiry(StreamBody::new(ticks()))
        .last_frame(|_| Frame::data(Bytes::from("event: expired\ndata:\n\n")));
    Ok(Response::new(body.boxed_unsync()))
}

fn ask(token: &str) -> Request<()> {
    Request::get("/events").header(AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn id_mcp_21_an_event_stream_ends_when_its_token_expires() {
    let issuer = issuer();
    let service = server(&issuer).layer().layer(service_fn(events));
    let start = Instant::now();
    let text = token(&issuer, 100);
    let response = service.clone().oneshot(ask(&text)).await.unwrap();
    let other = service.clone().oneshot(ask(&token(&issuer, 1000))).await.unwrap();
    assert_eq!((response.status().as_u16(), other.status().as_u16()), (200, 200));

    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let ended_at = start.elapsed();
    assert!(body.ends_with("\n\nevent: expired\ndata:\n\n"), "{body}");
    // By the leeway later than `exp`, when a new request is refused too.
    assert_eq!(ended_at.as_secs(), 100 + LEEWAY);
    assert_eq!(body.matches("data: ").count() as u64, 100 + LEEWAY - 1);
    let again = service.clone().oneshot(ask(&text)).await.unwrap();
    assert_eq!(again.status(), 401);

    // The neighbour, whose token is valid longer, goes on.
    let mut other = other.into_body();
    for _ in 0..500 {
        other.frame().await.unwrap().unwrap();
    }
    assert!(start.elapsed() > ended_at + Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_exactly_when_a_request_is_refused() {
    let issuer = issuer();
    for leeway in [0, 60, 300] {
        let builder = builder(trusting(&issuer)).clock(Paused(Instant::now()));
        let server = builder.leeway(Duration::from_secs(leeway)).build().unwrap();
        let text = token(&issuer, 100);
        let accepted = server.authenticate_token(&text).await.unwrap();
        let mut expired = accepted.expired();
        let just_before = Duration::from_secs(100 + leeway) - Duration::from_millis(50);
        assert!(tokio::time::timeout(just_before, &mut expired).await.is_err(), "{leeway}");
        assert!(server.authenticate_token(&text).await.is_ok(), "{leeway}");
        expired.await;
        let refusal = server.authenticate_token(&text).await.unwrap_err();
        assert_eq!(refusal.error().code(), "expired", "{leeway}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_end_however_fast_the_body_is() {
    let issuer = issuer();
    let clock = TestClock::at(START);
    let accepted = accepted(&issuer, clock.clone(), 100).await;
    let mut items = accepted.stream_until_expiry(stream::repeat("item"));
    assert_eq!(items.next().await, Some("item"));
    clock.advance(Duration::from_secs(100 + LEEWAY - 1));
    assert_eq!(items.next().await, Some("item"));
    clock.advance(Duration::from_secs(1));
    assert_eq!(items.next().await, None);
    // The clock that goes back opens nothing again.
    clock.set_wall(START);
    assert_eq!(items.next().await, None);

    let endless =
        stream::repeat("x").map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(text))));
    let mut body = accepted.body_until_expiry(StreamBody::new(endless));
    assert!(body.frame().await.is_some() && !body.is_end_stream());
    clock.advance(Duration::from_secs(100 + LEEWAY));
    assert!(body.frame().await.is_none() && body.is_end_stream());
}

/// The timer of tokio does not see that the wall clock changed, or that the machine was suspended.
#[tokio::test(start_paused = true)]
async fn a_change_of_the_clock_is_noticed_by_an_idle_stream() {
    let issuer = issuer();
    let clock = TestClock::at(START);
    let accepted = accepted(&issuer, clock.clone(), 3600).await;
    let mut idle = accepted.stream_until_expiry(stream::pending::<()>());
    let wait = Duration::from_secs(31);
    assert!(tokio::time::timeout(wait, idle.next()).await.is_err());
    clock.advance(Duration::from_secs(3600 + LEEWAY));
    assert_eq!(tokio::time::timeout(wait, idle.next()).await, Ok(None));

    // Set back: the token is valid for longer.
    clock.set_wall(START);
    let mut expired = accepted.expired();
    clock.set_wall(START + 3600 + LEEWAY - 10);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut expired).await.is_err());
    clock.set_wall(START);
    assert!(tokio::time::timeout(Duration::from_secs(1000), &mut expired).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_api_can_end_a_response_earlier() {
    let issuer = issuer();
    let accepted = accepted(&issuer, Paused(Instant::now()), 100).await;
    let start = Instant::now();
    for (name, stop_after, expected, at) in [
        ("stopped", 10, Ended::Stopped, 10),
        ("not stopped in time", 1000, Ended::Expired, 100 + LEEWAY),
    ] {
        let items = stream::pending();
        let stop = async move { tokio::time::sleep(Duration::from_secs(stop_after)).await };
        let mut items = accepted
            .stream_until_expiry(items)
            .or_when(std::future::pending())
            .or_when(stop)
            .last_item(|ended| ended);
        assert_eq!(items.next().await, Some(expected), "{name}");
        assert_eq!(items.next().await, None, "{name}");
        assert_eq!(start.elapsed().as_secs(), at, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_end_the_inner_body_is_dropped() {
    let issuer = issuer();
    let accepted = accepted(&issuer, Paused(Instant::now()), 100).await;
    let (held, dropped) = oneshot::channel::<()>();
    let inner = stream::pending::<()>().map(move |()| {
        let _ = &held;
    });
    let mut items = accepted.stream_until_expiry(inner);
    assert_eq!(items.next().await, None);
    assert!(dropped.await.is_err(), "its sender is gone, and `items` is still there");
    drop(items);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_by_itself_is_unchanged() {
    let issuer = issuer();
    let accepted = accepted(&issuer, Paused(Instant::now()), 100).await;
    let last = |_| Frame::data(Bytes::from("last"));
    let trailers = HeaderMap::from_iter([(
        http::header::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(Bytes::from("whole")).with_trailers(async { Some(Ok(trailers)) });
    let body = accepted.body_until_expiry(body).last_frame(last);
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), "whole");

    // No length is promised for a body that may end early.
    let body = accepted.body_until_expiry(Full::new(Bytes::from("whole")));
    assert_eq!(body.size_hint().exact(), None);
    let empty = accepted.body_until_expiry(Empty::<Bytes>::new());
    assert!(empty.is_end_stream());
    assert_eq!(empty.size_hint().exact(), Some(0));

    let failing = stream::iter([Err::<Frame<Bytes>, _>("broken")]);
    let mut failing = accepted.body_until_expiry(StreamBody::new(failing)).last_frame(last);
    assert_eq!(failing.frame().await.unwrap().unwrap_err(), "broken");
    assert!(failing.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_can_end_with_its_status() {
    let issuer = issuer();
    let accepted = accepted(&issuer, Paused(Instant::now()), 100).await;
    let body = accepted.body_until_expiry(StreamBody::new(ticks())).last_frame(|_| {
        let status = http::header::HeaderName::from_static("grpc-status");
        Frame::trailers(HeaderMap::from_iter([(status, HeaderValue::from_static("16"))]))
    });
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "16");
}

/// Nothing could end an idle stream there.
#[test]
fn without_a_timer_a_stream_ends_at_once() {
    let issuer = issuer();
    for with_timer in [false, true] {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        if with_timer {
            runtime.enable_time();
        }
        runtime.build().unwrap().block_on(async {
            let accepted = accepted(&issuer, TestClock::at(START), 100).await;
            let items = accepted.stream_until_expiry(stream::iter([1, 2]).chain(stream::pending()));
            let mut items = items.last_item(|_| 0);
            let polled = futures::poll!(items.next());
            assert_eq!(polled, Poll::Ready(Some(if with_timer { 1 } else { 0 })));
        });
    }
    // Outside of a runtime.
    let accepted = futures::executor::block_on(accepted(&issuer, TestClock::at(START), 100));
    let mut expired = accepted.expired();
    assert!(support::at_once(Pin::new(&mut expired)).is_some());
}

#[test]
fn what_ends_a_response_is_sent_to_other_threads_and_shows_no_claims() {
    fn is_send<T: Send + 'static>(_: &T) {}
    let issuer = issuer();
    let text = token(&issuer, 100);
    let server = builder(trusting(&issuer)).clock(TestClock::at(START)).build().unwrap();
    let accepted = futures::executor::block_on(server.authenticate_token(&text)).unwrap();
    let expired = accepted.expired();
    let items = accepted.stream_until_expiry(stream::empty::<()>());
    let body = accepted.body_until_expiry(Empty::<Bytes>::new());
    is_send(&expired);
    is_send(&items);
    is_send(&body);
    let shown = format!("{expired:?}{items:?}{body:?}");
    assert!(!shown.contains(accepted.subject().unwrap()), "{shown}");
}
