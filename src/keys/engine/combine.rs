//! Makes a snapshot of the last good sets of several places, without a fetch.

use std::sync::Mutex;
use std::time::Duration;

use crate::crypto::AlgorithmSet;
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::freshness::{Freshness, freshness};
use crate::keys::set::KeySet;
use crate::keys::source::fetched::Part;
use crate::keys::source::merge::merged;

/// A snapshot of all parts that have not expired at the time `now`. It is stale, so that a fetch starts, and
/// it expires as soon as one of its parts does. `None` if no part has a usable key.
pub(crate) fn combined(
    parts: Vec<Part>,
    accepted: AlgorithmSet,
    rules: &Freshness,
    now: Duration,
    seed: bool,
) -> Option<Snapshot> {
    let is_usable =
        |part: &Part| now < part.usable_until && KeySet::parse(&part.document, accepted).is_ok();
    let parts: Vec<_> = parts.into_iter().filter(is_usable).collect();
    let first = parts.iter().min_by_key(|part| part.usable_until)?;
    let age = rules.settings().age(first.usable_until, first.max_age, now);
    let life = rules.seeded(now, age, freshness(first.max_age))?;
    let document = merged(&parts);
    let keys = KeySet::parse(&document, accepted).ok()?.into();
    Some(Snapshot {
        keys,
        life,
        document,
        validator: None,
        seed,
        replacement_tried: Mutex::default(),
    })
}
