//! Times in turns, and instructions.

use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use crate::cases::{Batch, Case};

/// Calls in one batch, whose requests are built before it is timed.
const BATCH: usize = 64;

/// Calls that are counted, each alone, so that the allocator is as a server finds it.
const COUNTED: u64 = 64;

/// Turns that each case gets.
const TURNS: usize = 41;

/// The median time of one call in nanoseconds, for each case.
pub fn times(cases: &mut [Case]) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(TURNS); cases.len()];
    for turn in 0..=TURNS {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let mut batches = 0_u32;
            let mut spent = 0.0;
            // A turn of 20 ms at least: the processor learns each case anew after the others.
            while spent < 2e7 {
                let batch = (case.prepare)(BATCH);
                let start = Instant::now();
                let last = batch();
                spent += start.elapsed().as_nanos() as f64;
                drop(last);
                batches += 1;
            }
            // The first turn warms caches.
            if turn > 0 {
                times.push(spent / f64::from(batches) / BATCH as f64);
            }
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    times.into_iter().map(median).collect()
}

/// Instructions from a request to its answer, whose own end is not counted; by valgrind, in a
/// process of its own.
pub fn instructions(case: &str) -> Option<u64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*measure::counted*",
        ])
        .arg(std::env::current_exe().ok()?)
        .args(["--count", case])
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = report.lines().find_map(|line| line.split("Collected :").nth(1))?;
    collected.trim().parse::<u64>().ok().map(|all| all / COUNTED)
}

/// Makes the calls that valgrind watches.
pub fn run_once(cases: &mut [Case], name: &str) {
    for case in cases.iter_mut().filter(|case| case.name == name) {
        (case.prepare)(BATCH)();
        for _ in 0..COUNTED {
            drop(counted((case.prepare)(1)));
        }
    }
}

#[inline(never)]
fn counted(call: Batch) -> Option<Response<Full<Bytes>>> {
    std::hint::black_box(call())
}
