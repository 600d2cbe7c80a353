//! Combines the last good sets of several places, without a fetch.

use std::sync::Mutex;
use std::time::Duration;

use crate::crypto::AlgorithmSet;
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::freshness::{Freshness, freshness};
use crate::keys::set::KeySet;
use crate::keys::source::fetched::Part;
use crate::keys::source::merge::merged;

/// The set of the parts that may be used at the time `now`. It is stale, and it ends with the part that
/// ends first. `None` if no part has a usable key.
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
        is_combined_anew: Mutex::default(),
    })
}
