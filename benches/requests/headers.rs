//! Tokens under 1, 8, 9 and 50 keys in rotation: what it costs to read a header, or to remember it, on
//! one thread and on two at once.

use tower::Layer as _;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

use crate::cases::{AUDIENCE, ISSUER, describe, service};
use crate::threads::{TURNS, median, on};

/// How many keys take turns.
pub const KEYS: [usize; 4] = [1, 8, 9, 50];

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
