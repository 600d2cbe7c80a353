//! One remembered answer, read by one thread and by two at once.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use http::Request;
use tower::Layer as _;

use crate::cases::introspected::{Protected, World};
use crate::cases::{Body, bearer, describe, service};

/// Requests of one thread in one turn: enough that both are at it nearly all the time.
const REQUESTS: usize = 2_000;

/// Turns, in which one thread and two take part one after the other.
pub const TURNS: usize = 41;

/// The median time of a request on one thread in nanoseconds, and on each of two.
pub fn times() -> (f64, f64) {
    let world = World::new();
    let mut service = world.server(|builder| builder.build().unwrap()).layer().layer(service());
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let token = describe(world.issuer()).opaque();
        world.warm(&mut service, bearer(&token), 200);
        one.push(on(1, &service, std::slice::from_ref(&token)));
        two.push(on(2, &service, std::slice::from_ref(&token)));
    }
    (median(one), median(two))
}

/// The time of a request in nanoseconds, where so many threads send these tokens in turn.
pub fn on(threads: usize, service: &(impl Protected + Send + Sync), tokens: &[String]) -> f64 {
    let start = Barrier::new(threads);
    let run = || {
        let mut builds: Vec<_> = tokens.iter().map(|token| bearer(token)).collect();
        let turns = builds.len();
        let requests: Vec<Request<Body>> =
            (0..REQUESTS).map(|turn| builds[turn % turns]()).collect();
        let (mut service, mut context) = (service.clone(), Context::from_waker(Waker::noop()));
        start.wait();
        let since = Instant::now();
        for request in requests {
            let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
                panic!("it waits");
            };
            assert_eq!(black_box(response).status(), 200);
        }
        since.elapsed().as_nanos() as f64 / REQUESTS as f64
    };
    thread::scope(|scope| {
        let others: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        others.into_iter().map(|other| other.join().unwrap()).sum::<f64>() / threads as f64
    })
}

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
