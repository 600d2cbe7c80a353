//! The load of a fleet on its issuer's key set, by simulation: `cargo run --release --example fleet`
//! takes a minute or two, nearly all of it for the 100,000; other sizes go behind `--`.
//!
//! Each instance is the crate's own state machine of freshness, on virtual time; what surrounds it
//! here, the set and the fetch, does as the key engine does. Each scenario runs twice: as the crate
//! is, and with a constant where the crate draws a random number. The seed is fixed, so that each
//! run gives the same numbers. The manual's page on keys draws the conclusions.

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
