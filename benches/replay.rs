//! The capacity and the memory of the store of used proofs in the process.
//!
//! ```text
//! cargo bench --all-features --bench replay
//! ```
//!
//! Presents one million different proofs through the layer, with a clock that stands still, so that no proof
//! becomes too old. One client may use a tenth of the store, so there are 16 of them. It takes some minutes: the
//! proofs have to be signed and verified.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_resource_server::clock::TestClock;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::sender::{Dpop, Replay};
use tower_resource_server::test_issuer::{TestIssuer, TestProver};
use tower_resource_server::{Issuer, ResourceServer};

const CAPACITY: usize = 1_000_000;
const CLIENTS: usize = 16;
const URL: &str = "https://api.example.com/notes";

fn main() {
    let clock = TestClock::starting_now();
    let issuer =
        TestIssuer::builder().algorithm(Algorithm::HS256).in_process("https://as.example.com");
    let secret = issuer.secret().unwrap();
    let server = ResourceServer::builder()
        .issuer(Issuer::new(issuer.url()).secret(secret, Algorithm::HS256))
        .audience("https://api.example.com")
        .clock(clock.clone())
        .dpop(Dpop::optional("https://api.example.com", Replay::in_process()))
        .build()
        .unwrap();
    let service = server.layer().layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let clients: Vec<_> = (0..=CLIENTS)
        .map(|_| {
            let client = TestProver::generate(Algorithm::Ed25519).clock(clock.clone());
            let token = issuer.token().bound_to_key(&client).sign();
            (client, token)
        })
        .collect();
    let send = |at: usize| {
        let (client, token) = &clients[at];
        let request = Request::get(URL)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", client.proof("GET", URL).token(token).sign());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(service.clone().oneshot(request.body(()).unwrap())).unwrap().status()
    };
    let (before, start) = (resident(), Instant::now());
    let passed = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (passed, send) = (Arc::clone(&passed), &send);
            scope.spawn(move || {
                for number in 0..CAPACITY / 2 {
                    let status = send((2 * number + half) % CLIENTS);
                    assert_eq!(status, 200, "proof {number}");
                    passed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (spent, after) = (start.elapsed(), resident());
    println!("proofs accepted: {} of {CAPACITY}", passed.load(Ordering::Relaxed));
    println!("seconds, signing included: {:.0}", spent.as_secs_f64());
    if let (Some(before), Some(after)) = (before, after) {
        let grown = after.saturating_sub(before);
        println!(
            "memory: {:.1} MiB, {} octets a proof",
            grown as f64 / 1048576.0,
            grown / CAPACITY
        );
    }
    println!("one more, of another client: {}", send(CLIENTS));
}

/// The resident memory of this process, in octets.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kib| kib * 1024)
}
