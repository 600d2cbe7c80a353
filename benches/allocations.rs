//! How often one request allocates.
//!
//! ```text
//! cargo bench --bench allocations
//! ```
//!
//! A binary of its own, because the allocator that counts would cost the times of `requests`.

#[path = "requests/cases.rs"]
mod cases;

use cases::{Base, Case};

/// Calls that are counted together.
const CALLS: usize = 64;

fn main() {
    let mut cases = cases::all();
    let counts: Vec<_> = cases.iter_mut().map(count).collect();
    println!("{:<44} {:>12}", "case", "allocations");
    for (case, own) in cases.iter().zip(&counts) {
        let base = match case.base {
            Base::None => None,
            Base::Signature(name) | Base::Service(name) => Some(name),
        };
        let at = base.and_then(|name| cases.iter().position(|case| case.name == name));
        let net = own - at.map_or(0, |at| counts[at]);
        println!("{:<44} {net:>12}", case.name);
    }
}

fn count(case: &mut Case) -> u64 {
    drop((case.prepare)(CALLS)());
    let calls = (case.prepare)(CALLS);
    allocation_counter::measure(|| drop(calls())).count_total / CALLS as u64
}
