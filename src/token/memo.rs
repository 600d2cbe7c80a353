//! A cache of parsed headers: an issuer and a client send the same header again and again.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// Number of slots. An issuer has one header for each of its keys, and a server with a hundred tenants has a few
/// hundred. A slot is one pointer.
const SLOTS: usize = 1024;

/// If both slots of a verified header are taken, the header replaces one of them with a probability
/// of 1 in this number. So the headers of old keys are replaced over time, and headers that share a
/// slot do not replace each other at each request. Every thread reads the slots, and a write slows
/// them all down.
const REPLACE_ONE_IN: u64 = 1024;

/// A cache of the headers of verified JWTs, by their text in the JWT. `T` is a parsed header.
///
/// The same text always has the same meaning, so the cache changes no decision. Only headers of
/// verified JWTs are stored, so an attacker without a token cannot fill the cache. A header has two adjacent
/// slots, chosen by a hash of its text. The size is fixed, so it does not grow with the number of
/// keys.
pub(crate) struct Memo<T> {
    slots: Box<[ArcSwap<Remembered<T>>]>,
    random: RandomState,
}

/// A header's base64url text and its parsed content.
pub(crate) struct Remembered<T> {
    text: Box<[u8]>,
    header: T,
}

/// The text of an empty slot. No header has this text.
const NO_HEADER: &[u8] = b".";

impl<T> Memo<T> {
    /// An empty cache. `nothing` is the content of the empty slots, which is never found.
    pub(crate) fn new(nothing: T) -> Self {
        let nothing = Arc::new(Remembered { text: NO_HEADER.into(), header: nothing });
        let slots = (0..SLOTS).map(|_| ArcSwap::new(Arc::clone(&nothing))).collect();
        Self { slots, random: RandomState::new() }
    }

    /// The cached header with this text, if there is one.
    pub(crate) fn find(&self, text: &[u8]) -> Option<Seen<T>> {
        let first = slot_of(text);
        let remembered = self.slots.get(first)?.load();
        if *remembered.text == *text {
            return Some(Seen::Known(remembered));
        }
        // The second slot is only used after the first, and slots are never emptied.
        if remembered.is_empty() {
            return None;
        }
        let remembered = self.slots.get(first ^ 1)?.load();
        (*remembered.text == *text).then_some(Seen::Known(remembered))
    }

    /// Stores the parsed header of a JWT with this signature.
    pub(crate) fn remember(&self, text: &[u8], header: Seen<T>, signature: &[u8]) {
        // The sender of a proof can choose its signature, but cannot know what it hashes to here. So nobody
        // decides whose header is replaced.
        self.store(text, header, || self.random.hash_one(signature));
    }

    /// `chance` must be as good as random.
    fn store(&self, text: &[u8], header: Seen<T>, chance: impl FnOnce() -> u64) {
        let Seen::Read(header) = header else { return };
        let first = slot_of(text);
        let slots = [first, first ^ 1].map(|slot| self.slots.get(slot));
        let free = slots.into_iter().flatten().find(|slot| slot.load().is_empty());
        let slot = match (free, slots) {
            (Some(free), _) => free,
            (None, [Some(first), Some(second)]) => {
                let chance = chance();
                if !chance.is_multiple_of(REPLACE_ONE_IN) {
                    return;
                }
                // The slot to replace is random too.
                if (chance / REPLACE_ONE_IN).is_multiple_of(2) { first } else { second }
            }
            (None, _) => return,
        };
        // If two requests write at the same time, one header is lost. It is stored again later.
        slot.store(Arc::new(Remembered { text: text.into(), header }));
    }
}

/// The texts are not shown: they are parts of tokens and proofs.
impl<T> fmt::Debug for Memo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

impl<T> Remembered<T> {
    fn is_empty(&self) -> bool {
        *self.text == *NO_HEADER
    }
}

/// The first slot of a header. An attacker who finds texts with the same slot only slows down their
/// own tokens, because only headers of verified tokens are stored.
fn slot_of(text: &[u8]) -> usize {
    /// An odd number whose bits look random: 2^64 divided by the golden ratio.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, _) = text.as_chunks::<8>();
    let hash =
        words.iter().fold(text.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    // The last octets. Some of them may already be hashed.
    let last = text.last_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
    (mix(hash, last) >> (64 - SLOTS.ilog2())) as usize
}

/// A header that was parsed, or found in the cache.
pub(crate) enum Seen<T> {
    Read(T),
    Known(Guard<Arc<Remembered<T>>>),
}

impl<T> Deref for Seen<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Read(header) => header,
            Self::Known(remembered) => &remembered.header,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_known(memo: &Memo<()>, text: &[u8]) -> bool {
        matches!(memo.find(text), Some(Seen::Known(_)))
    }

    fn store(memo: &Memo<()>, text: &[u8], chance: u64) {
        memo.store(text, Seen::Read(()), || chance);
    }

    #[test]
    fn headers_are_found_by_their_whole_text() {
        let memo = Memo::new(());
        for text in [&b""[..], b"a", b"abcdefgh", b"abcdefghi"] {
            assert!(!is_known(&memo, text), "{text:?} in an empty memo");
        }
        store(&memo, b"abcdefghi", 1);
        assert!(is_known(&memo, b"abcdefghi"));
        for text in [&b""[..], b"abcdefgh", b"abcdefghj", b"Abcdefghi", b"abcdefghia"] {
            assert!(!is_known(&memo, text), "{text:?}");
        }
    }

    #[test]
    fn the_headers_of_many_keys_are_remembered_at_once() {
        let memo = Memo::new(());
        let texts = |keys: usize| (0..keys).map(|key| format!("a header with the kid {key:03}"));
        for (keys, known) in [(1, 1), (8, 8), (9, 9), (50, 50), (300, 270)] {
            for text in texts(keys) {
                store(&memo, text.as_bytes(), 1);
            }
            let found = texts(keys).filter(|text| is_known(&memo, text.as_bytes())).count();
            assert!(found >= known, "{found} of {keys}");
        }
    }

    #[test]
    fn a_header_whose_places_are_taken_pushes_others_out_seldom() {
        let [one, two, three] = three_of_one_slot();
        let full = || {
            let memo = Memo::new(());
            store(&memo, &one, 1);
            store(&memo, &two, 1);
            memo
        };
        for chance in [0, 1, 2, 512, 1023, 1024, 1025, 2047, 2048, 2049, 0xfbff, 0xfc00, u64::MAX] {
            let memo = full();
            store(&memo, &three, chance);
            let replaces = chance.is_multiple_of(REPLACE_ONE_IN);
            assert_eq!(is_known(&memo, &three), replaces, "{chance}");
            assert_eq!(is_known(&memo, &one) && is_known(&memo, &two), !replaces, "{chance}");
        }
        let memo = full();
        let known = memo.find(&one).unwrap();
        memo.store(&one, known, || 0);
        assert!(is_known(&memo, &one) && is_known(&memo, &two), "what is known is not written");
    }

    /// A sender who knows which signature replaces a header here does not know it of another server.
    #[test]
    fn each_cache_has_its_own_chances() {
        let signature = [7; 64];
        let chances = || Memo::new(()).random.hash_one(signature);
        assert_ne!(chances(), chances());
    }

    fn three_of_one_slot() -> [Vec<u8>; 3] {
        let first = slot_of(b"0");
        let mut texts = (0..).map(|number: u32| number.to_string().into_bytes());
        let mut alike = texts.by_ref().filter(|text| slot_of(text) | 1 == first | 1);
        std::array::from_fn(|_| alike.next().unwrap())
    }
}
