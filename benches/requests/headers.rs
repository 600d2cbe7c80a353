//! Tokens under 1, 8, 9 and 50 keys in rotation: what it costs to read a header, or to remember it, on
//! one thread and on two at once.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use http::Request;
use tower::Layer as _;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Algorithm, Issuer, ResourceServer};

use crate::cases::introspected::Protected;
use crate::cases::{AUDIENCE, Body, ISSUER, bearer, describe, service};

/// How many keys take turns.
pub const KEYS: [usize; 4] = [1, 8, 9, 50];

const REQUESTS: usize = 2_000;
const TURNS: usize = 41;

/// The median times of a request in nanoseconds, for each number of keys: on one thread, and on each
/// of two.
pub fn times() -> Vec<(f64, f64)> {
    // A secret has no kid, so it fits any; and its signature is the cheapest, so that the rest shows.
    let issuer = TestIssuer::builder().algorithm(Algorithm::HS256).in_process(ISSUER);
    let trusted = Issuer::new(ISSUER).secret(issuer.secret().unwrap(), Algorithm::HS256);
    let server = ResourceServer::builder().issuer(trusted).audience(AUDIENCE).build().unwrap();
    let service = server.layer().layer(service());
    let tokens: Vec<String> = (0..KEYS[KEYS.len() - 1])
        .map(|key| describe(&issuer).header("kid", format!("2026-11-a-key-{key:02}")).sign())
        .collect();
    let mut turns = vec![(Vec::new(), Vec::new()); KEYS.len()];
    for _ in 0..TURNS {
        for (keys, (one, two)) in KEYS.iter().zip(&mut turns) {
            let tokens = &tokens[..*keys];
            // The memo as these tokens leave it.
            on(1, &service, tokens);
            one.push(on(1, &service, tokens));
            two.push(on(2, &service, tokens));
        }
    }
    turns.into_iter().map(|(one, two)| (median(one), median(two))).collect()
}

fn on(threads: usize, service: &(impl Protected + Send + Sync), tokens: &[String]) -> f64 {
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

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
