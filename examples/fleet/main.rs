//! Simulates how many requests a fleet of API instances sends to its issuer for the key set.
//! `cargo run --release --example fleet` takes one or two minutes, mostly for the fleet of 100,000
//! instances. To simulate fleets of other sizes, write the sizes after `--`.
//!
//! Each instance runs the crate's own state machine of freshness, in virtual time. The key set and
//! the fetches are simulated, and behave as in the key engine. Each scenario runs twice: with the
//! random numbers of the crate (jitter), and with a constant instead. The seed is fixed, so each
//! run gives the same numbers. The conclusions are in the manual's page on keys.

mod load;
mod scenarios;
mod simulation;

#[path = "../../src/budget.rs"]
#[allow(dead_code, reason = "the crate uses the rest")]
mod budget;
#[path = "../../src/keys/freshness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the crate uses the rest")]
mod freshness;

use scenarios::SCENARIOS;
use simulation::Fleet;

const SIZES: [u32; 3] = [10, 1_000, 100_000];

fn main() -> Result<(), std::num::ParseIntError> {
    let mut sizes =
        std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<Vec<_>, _>>()?;
    if sizes.is_empty() {
        sizes = SIZES.to_vec();
    }
    for size in sizes {
        println!("{:<40}{:>31}{:>33}", format!("{size} instances"), "with jitter", "without");
        let columns = format!("{:>9}{:>9}{:>9}{:>6}", "mean/s", "in 1 s", "in 10 s", "304");
        println!("{:<40}{columns}  {columns}", "fetches: mean, and the most");
        for scenario in SCENARIOS {
            let play = |jitter| move || scenario(&mut Fleet::new(size, jitter));
            let (with, without) = std::thread::scope(|scope| {
                let without = scope.spawn(play(false));
                (play(true)(), without.join().expect("the simulation does not panic"))
            });
            for (with, without) in with.iter().zip(&without) {
                println!("{:<40}{}  {}", with.name, with.found, without.found);
            }
        }
        println!();
    }
    Ok(())
}
