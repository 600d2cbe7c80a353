//! What one request costs beside the signature itself.
//!
//! ```text
//! cargo bench --bench requests            # ratios and, with valgrind, instructions
//! cargo bench --bench requests -- ES256   # the lines whose name has this word
//! ```
//!
//! Times drift by a third on a shared machine, ratios within one run do not. So the cases take
//! turns in short batches, each is compared with its own base in the same run, and what is printed
//! is the median. No bench library at hand interleaves, so the twenty lines that do are here.
//! Instructions repeat exactly. `allocations` counts the rest.

mod cases;
mod headers;
mod measure;
mod threads;

use cases::{Base, Case};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut cases = cases::all();
    if let [flag, name] = arguments.as_slice()
        && flag == "--count"
    {
        return measure::run_once(&mut cases, name);
    }
    // cargo passes `--bench`; a word is a filter.
    let word = arguments.iter().find(|argument| !argument.starts_with("--"));
    let wanted = |name: &str| word.is_none_or(|word| name.contains(word.as_str()));
    cases.retain(|case| matches!(case.base, Base::None) || wanted(case.name));

    let times = measure::times(&mut cases);
    let instructions: Vec<_> = cases.iter().map(|case| instructions(case, &cases)).collect();
    let position = |name| cases.iter().position(|case| case.name == name);
    println!("{:<44} {:>9} {:>8} {:>9} {:>13}", "case", "ns", "ratio", "net ns", "instructions");
    for (index, case) in cases.iter().enumerate() {
        let (mut ratio, mut net, mut count) = ("-".to_owned(), "-".to_owned(), "-".to_owned());
        match case.base {
            Base::None => {}
            Base::Signature(base) => {
                if let Some(base) = position(base) {
                    ratio = format!("{:.3}", times[index] / times[base]);
                }
            }
            Base::Service(base) => {
                if let Some(base) = position(base) {
                    net = format!("{:.0}", times[index] - times[base]);
                    if let (Some(own), Some(base)) = (instructions[index], instructions[base]) {
                        count = own.saturating_sub(base).to_string();
                    }
                }
            }
        }
        println!("{:<44} {:>9.0} {ratio:>8} {net:>9} {count:>13}", case.name, times[index]);
    }
    println!(
        "\nratio: to bare aws-lc-rs verification of the same signature with a prepared key.\n\
         net ns, instructions: less those of the bare service, which drops the request, too."
    );
    if wanted("headers in rotation") {
        println!();
        for (keys, (one, two)) in headers::KEYS.iter().zip(headers::times()) {
            println!(
                "headers in rotation, HS256, {keys:>2} keys: {one:.0} ns a request on one thread, \
                 {two:.0} ns on each of two: {:.2} times",
                two / one
            );
        }
    }
    if wanted("introspected, cached") {
        let (one, two) = threads::times();
        println!(
            "\nintrospected, cached, the same token: {one:.0} ns a request on one thread, {two:.0} ns \
             on each of two: {:.2} times",
            two / one
        );
    }
}

/// Of the cases that are compared by them. Those of a signature are the library's, and of no interest.
fn instructions(case: &Case, cases: &[Case]) -> Option<u64> {
    let is_base = |other: &Case| matches!(other.base, Base::Service(name) if name == case.name);
    let counts = matches!(case.base, Base::Service(_)) || cases.iter().any(is_base);
    counts.then(|| measure::instructions(case.name)).flatten()
}
