//! Merges several key sets of one issuer into one set.

use bytes::Bytes;

use crate::keys::set::entries::{MAX_KEYS, entries};
use crate::keys::source::fetched::Part;

/// The maximum number of sets of one issuer. Each fetch requests all of them. A server with many
/// policies has about a dozen.
pub(crate) const MAX_SETS: usize = 16;

/// Merges the entries of all parts into one set. The entries are taken in turn (round-robin), so
/// that a set with many keys does not use up the limit for the keys of another set. A document that
/// is not a key set has no entries.
pub(crate) fn merged(parts: &[Part]) -> Bytes {
    let sets: Vec<_> = parts.iter().filter_map(|part| entries(&part.document).ok()).collect();
    let longest = sets.iter().map(|set| set.texts.len()).max().unwrap_or_default();
    let in_turn = (0..longest).flat_map(|at| sets.iter().filter_map(move |set| set.texts.get(at)));
    // One entry more than the limit, so that the excess is reported.
    let texts: Vec<&str> = in_turn.copied().take(MAX_KEYS + 1).collect();
    format!(r#"{{"keys":[{}]}}"#, texts.join(",")).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn part(entries: &[&str]) -> Part {
        let document = format!(r#"{{"keys":[{}]}}"#, entries.join(",")).into();
        let (place, usable_until) = (String::new(), Duration::MAX);
        Part { place, document, validator: None, max_age: None, usable_until }
    }

    #[test]
    fn entries_are_taken_in_turn() {
        assert_eq!(merged(&[part(&["1", "2", "3"]), part(&["4"])]), r#"{"keys":[1,4,2,3]}"#);
        let many = vec!["1"; 1_000];
        let both = merged(&[part(&many), part(&["2", "3"])]);
        let read = entries(&both).unwrap();
        assert_eq!(read.texts[..4], ["1", "2", "1", "3"]);
        assert!(read.has_more);
    }
}
