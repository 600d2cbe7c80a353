//! The scenarios, and what is measured in each.

use std::fmt;
use std::time::Duration;

use crate::load::Window;
use crate::simulation::Fleet;

const HOUR: u64 = 3_600;

/// A part of a scenario, and its measurement.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) found: Found,
}

pub(crate) enum Found {
    Load(Window),
    Seconds(u64),
}

/// Runs a scenario with a fleet, and returns the rows of the result.
pub(crate) type Scenario = fn(&mut Fleet) -> Vec<Row>;

pub(crate) const SCENARIOS: [Scenario; 10] = [
    steady,
    busy_issuer,
    busy_issuer_that_asks,
    outage,
    outage_beyond_the_cap,
    rotation_without_notice,
    rotation_with_notice,
    flood,
    an_hour_of_freshness,
    cdn,
];

/// Starts a fleet within one second, and runs it for half an hour. Returns the time in seconds.
fn settle(fleet: &mut Fleet) -> u64 {
    fleet.start();
    fleet.run_until(HOUR / 2);
    HOUR / 2
}

fn row(name: &'static str, fleet: &Fleet, from: u64, to: u64) -> Row {
    Row { name, found: Found::Load(fleet.load.window(from, to)) }
}

fn steady(fleet: &mut Fleet) -> Vec<Row> {
    fleet.start();
    fleet.run_until(2 * HOUR);
    vec![
        row("cold start of all within 1 s: 10 s", fleet, 0, 10),
        row("then: 15 min", fleet, 10, 910),
        row("then: the second hour", fleet, HOUR, 2 * HOUR),
    ]
}

/// Each second, the issuer answers fetches of a twentieth of the fleet. Other fetches get 503.
fn busy_issuer(fleet: &mut Fleet) -> Vec<Row> {
    fleet.issuer.capacity = Some((fleet.size() / 20).max(1));
    healing("cold start, an issuer that is small", fleet)
}

/// As [`busy_issuer`], but the 503 has Retry-After.
fn busy_issuer_that_asks(fleet: &mut Fleet) -> Vec<Row> {
    fleet.issuer.retry_after = Some(30);
    fleet.issuer.capacity = Some((fleet.size() / 20).max(1));
    healing("the same with Retry-After: 30", fleet)
}

/// A cold start, until all instances have keys.
fn healing(name: &'static str, fleet: &mut Fleet) -> Vec<Row> {
    fleet.start();
    while !fleet.all_have_keys() && fleet.seconds() < HOUR {
        fleet.run_until(fleet.seconds() + 1);
    }
    let end = fleet.seconds();
    let healed = Row { name: "until all have keys", found: Found::Seconds(end) };
    vec![row(name, fleet, 0, end.max(10)), healed]
}

fn outage(fleet: &mut Fleet) -> Vec<Row> {
    let from = settle(fleet);
    let back = from + 600;
    fleet.issuer.up = false;
    fleet.run_until(back);
    fleet.issuer.up = true;
    fleet.run_until(back + 900);
    vec![
        row("outage of 10 min", fleet, from, back),
        row("its end: 30 s", fleet, back, back + 30),
        row("then: 15 min", fleet, back + 30, back + 900),
    ]
}

/// An outage that is longer than the cap of `stale_if_error`. The cap is 2 minutes here. With the
/// default of one hour, most of the simulated time would be before the cap.
fn outage_beyond_the_cap(fleet: &mut Fleet) -> Vec<Row> {
    fleet.set_cap(Duration::from_secs(120));
    let from = settle(fleet);
    let expired = from + 300 + 120;
    let back = expired + 120;
    fleet.issuer.up = false;
    fleet.run_until(back);
    fleet.issuer.up = true;
    fleet.run_until(back + 30);
    vec![
        row("outage beyond the cap: all without keys", fleet, expired, back),
        row("its end: 30 s", fleet, back, back + 30),
    ]
}

/// The issuer signs with a new key as soon as the key is published.
fn rotation_without_notice(fleet: &mut Fleet) -> Vec<Row> {
    let at = settle(fleet);
    fleet.issuer.publish();
    fleet.sign_with_the_new_key();
    fleet.run_until(at + 900);
    vec![
        row("rotation, key used at once: 10 s", fleet, at, at + 10),
        row("then: 15 min", fleet, at + 10, at + 900),
    ]
}

/// The issuer publishes a new key before it signs with the key, for as long as a key set is fresh.
fn rotation_with_notice(fleet: &mut Fleet) -> Vec<Row> {
    let at = settle(fleet) + 300;
    fleet.issuer.publish();
    fleet.run_until(at);
    fleet.sign_with_the_new_key();
    fleet.run_until(at + 10);
    vec![
        row("rotation, published 5 min ahead: these", fleet, at - 300, at),
        row("its first use: 10 s", fleet, at, at + 10),
    ]
}

/// Each instance gets one forged token per second.
fn flood(fleet: &mut Fleet) -> Vec<Row> {
    let at = settle(fleet);
    fleet.flood();
    fleet.run_until(at + 60);
    vec![row("forged kids, 1/s an instance: 60 s", fleet, at, at + 60)]
}

/// The issuer's `max-age` is one hour, the maximum.
fn an_hour_of_freshness(fleet: &mut Fleet) -> Vec<Row> {
    fleet.issuer.max_age = Some(HOUR);
    fleet.start();
    fleet.run_until(2 * HOUR);
    vec![row("max-age=3600: the second hour", fleet, HOUR, 2 * HOUR)]
}

/// The key set comes from a cache that sends the `Age` of its copy.
fn cdn(fleet: &mut Fleet) -> Vec<Row> {
    fleet.issuer.max_age = Some(300);
    fleet.issuer.cdn = true;
    let at = settle(fleet);
    fleet.run_until(at + HOUR / 2);
    vec![row("a CDN in front, max-age=300: 30 min", fleet, at, at + HOUR / 2)]
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(window) => window.fmt(f),
            Self::Seconds(seconds) => write!(f, "{seconds:>7} s{:24}", ""),
        }
    }
}
