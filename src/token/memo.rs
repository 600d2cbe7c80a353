//! A cache of parsed headers. All tokens of one key usually have the same header, and so do all DPoP proofs of one
//! client.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// Number of slots. An issuer has one header for each of its keys, and a server with a hundred tenants has a few
/// hundred. An API with bound tokens can have more clients than slots. Then only the headers of some clients are
/// cached.
const SLOTS: usize = 1024;
const _: () = assert!(SLOTS.is_power_of_two(), "a hash and `^ 1` choose slots");

/// A cache of the headers of verified JWTs. The key is the text of the header in the JWT. `T` is a parsed header.
///
/// The same text always has the same meaning, so the cache changes no decision. Only the headers of tokens with a valid
/// signature, and of valid proofs for such tokens, are stored. So a client without a token cannot fill the cache. A
/// client with a token that is bound to a key can fill the cache for proofs, because the client chooses the headers of
/// its proofs. The server must then parse the headers of other clients again.
///
/// A header has two adjacent slots, chosen by a hash of its text. The number of slots is fixed, so the cache does not
/// grow with the number of keys.
pub(crate) struct Memo<T> {
    slots: Box<[ArcSwap<Remembered<T>>]>,
    replace_one_in: u64,
    seed: u64,
}

/// A header's base64url text and its parsed content.
pub(crate) struct Remembered<T> {
    text: Box<[u8]>,
    header: T,
}

/// The text of an empty slot. No header has this text.
const NO_HEADER: &[u8] = b".";

impl<T> Memo<T> {
    /// An empty cache. `nothing` is the content of empty slots. It is never returned.
    ///
    /// If both slots of a verified header are taken, the header replaces one of them with a probability of 1 in
    /// `replace_one_in`. So the headers of old keys are replaced over time, but headers that share a slot do not
    /// replace each other all the time. Writes should be rare, because all threads read the slots, and a write slows
    /// down all of them.
    pub(crate) fn new(replace_one_in: u64, nothing: T) -> Self {
        let nothing = Arc::new(Remembered { text: NO_HEADER.into(), header: nothing });
        let slots = (0..SLOTS).map(|_| ArcSwap::new(Arc::clone(&nothing))).collect();
        Self { slots, replace_one_in, seed: RandomState::new().hash_one(0) }
    }

    /// The cached header with this text, if there is one.
    pub(crate) fn find(&self, text: &[u8]) -> Option<Seen<T>> {
        let first = self.slot_of(text);
        let remembered = self.slots.get(first)?.load();
        if *remembered.text == *text {
            return Some(Seen::Known(remembered));
        }
        // The second slot is filled only after the first, and slots are never emptied.
        if *remembered.text == *NO_HEADER {
            return None;
        }
        let remembered = self.slots.get(first ^ 1)?.load();
        (*remembered.text == *text).then_some(Seen::Known(remembered))
    }

    /// Stores the parsed header of a JWT with this signature.
    pub(crate) fn remember(&self, text: &[u8], header: Seen<T>, signature: &[u8]) {
        let Seen::Read(header) = header else { return };
        let first = self.slot_of(text);
        let [Some(first), Some(second)] = [first, first ^ 1].map(|slot| self.slots.get(slot))
        else {
            return;
        };
        // Each slot is loaded once. So two requests that store the same header at the same time usually choose the same
        // slot.
        let (in_first, in_second) = (first.load(), second.load());
        if *in_first.text == *text || *in_second.text == *text {
            return;
        }
        let slot = if *in_first.text == *NO_HEADER {
            first
        } else if *in_second.text == *NO_HEADER {
            second
        } else {
            // The seed makes the hash of a new signature as good as random. If the same JWT is sent again, the result
            // is the same. The higher bits are used because they depend on all octets.
            let chance = self.hash(signature) >> 32;
            if !chance.is_multiple_of(self.replace_one_in) {
                return;
            }
            if (chance / self.replace_one_in).is_multiple_of(2) { first } else { second }
        };
        // If two requests write different headers at the same time, one header is lost. It is stored again later.
        slot.store(Arc::new(Remembered { text: text.into(), header }));
    }

    /// The first slot of a header. A sender does not know the seed, so it cannot choose the slot of another client. It
    /// can choose headers that share a slot with each other, but this slows down only itself.
    fn slot_of(&self, text: &[u8]) -> usize {
        (self.hash(text) >> (64 - SLOTS.ilog2())) as usize
    }

    fn hash(&self, octets: &[u8]) -> u64 {
        /// An odd number whose bits look random: 2^64 divided by the golden ratio.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
        let (words, _) = octets.as_chunks::<8>();
        let start = self.seed ^ octets.len() as u64;
        let hash = words.iter().fold(start, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        // The last eight octets, some of which may already be hashed. A shorter text has no such block: its octets are
        // not hashed, and only its length is.
        let last = octets.last_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        mix(hash, last)
    }
}

/// The texts are not shown: they are parts of tokens and proofs.
impl<T> fmt::Debug for Memo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
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

    const ONE_IN: u64 = 1024;

    fn memo() -> Memo<()> {
        Memo::new(ONE_IN, ())
    }

    fn is_known(memo: &Memo<()>, text: &[u8]) -> bool {
        matches!(memo.find(text), Some(Seen::Known(_)))
    }

    fn remember(memo: &Memo<()>, text: &[u8], signature: u32) {
        memo.remember(text, Seen::Read(()), &signature.to_le_bytes().repeat(16));
    }

    fn header(key: usize) -> Vec<u8> {
        format!("a header with the kid {key:05}").into_bytes()
    }

    #[test]
    fn headers_are_found_by_their_whole_text() {
        let memo = memo();
        for text in [&b""[..], b"abcdefgh", b"abcdefghi"] {
            assert!(!is_known(&memo, text), "{text:?} in an empty memo");
        }
        remember(&memo, b"abcdefghi", 1);
        assert!(is_known(&memo, b"abcdefghi"));
        for text in [&b""[..], b"abcdefgh", b"abcdefghj", b"Abcdefghi", b"abcdefghia"] {
            assert!(!is_known(&memo, text), "{text:?}");
        }
    }

    #[test]
    fn the_headers_of_many_keys_are_remembered_at_once() {
        for (keys, known) in [(1, 1), (8, 8), (9, 9), (50, 46), (300, 250)] {
            let memo = memo();
            (0..keys).for_each(|key| remember(&memo, &header(key), 1));
            let found = (0..keys).filter(|key| is_known(&memo, &header(*key))).count();
            assert!(found >= known, "{found} of {keys}");
        }
    }

    /// Sends many requests with three headers that have the same two slots. Returns the requests that replaced a header,
    /// each with the slot.
    fn replacements(memo: &Memo<()>, requests: u32) -> Vec<(u32, usize)> {
        let first = memo.slot_of(&header(0));
        let mut texts = (0..).map(header);
        let mut alike = texts.by_ref().filter(|text| memo.slot_of(text) | 1 == first | 1);
        let three: [Vec<u8>; 3] = std::array::from_fn(|_| alike.next().unwrap());
        three[..2].iter().for_each(|text| remember(memo, text, 0));
        assert!(is_known(memo, &three[0]) && is_known(memo, &three[1]));
        let replaced = |request: u32| {
            let unknown = three.iter().find(|text| !is_known(memo, text)).unwrap();
            remember(memo, unknown, request);
            let slot = [first & !1, first | 1]
                .into_iter()
                .find(|slot| *memo.slots[*slot].load().text == **unknown);
            slot.map(|slot| (request, slot))
        };
        (0..requests).filter_map(replaced).collect()
    }

    #[test]
    fn a_header_whose_slots_are_taken_replaces_another_seldom() {
        let requests = 64 * ONE_IN as u32;
        let (one, other) = (replacements(&memo(), requests), replacements(&memo(), requests));
        for replacements in [&one, &other] {
            let count = replacements.len();
            assert!((16..=256).contains(&count), "{count} of {requests}, not about 64");
            let even = replacements.iter().filter(|(_, slot)| slot % 2 == 0).count();
            assert!(even > 0 && even < count, "{even} of {count} in the first slot");
        }
        let requests =
            |of: &[(u32, usize)]| of.iter().map(|(request, _)| *request).collect::<Vec<_>>();
        assert_ne!(requests(&one), requests(&other), "the same signatures in each cache");
    }

    #[test]
    fn a_known_header_is_not_stored_twice() {
        let memo = memo();
        let stored = |memo: &Memo<()>| {
            memo.slots.iter().filter(|slot| *slot.load().text != *NO_HEADER).count()
        };
        for request in 0..100 {
            remember(&memo, b"one", request);
        }
        assert_eq!(stored(&memo), 1);
        let known = memo.find(b"one").unwrap();
        memo.remember(b"one", known, b"");
        assert_eq!(stored(&memo), 1);
        // In the second slot, too, and where each request would replace a header.
        let memo = Memo::new(1, ());
        let first = memo.slot_of(b"two");
        let mut texts = (0..).map(header);
        let other = texts.find(|text| memo.slot_of(text) == first).unwrap();
        remember(&memo, &other, 0);
        (0..100).for_each(|request| remember(&memo, b"two", request));
        assert!(is_known(&memo, &other) && is_known(&memo, b"two"));
    }

    #[test]
    fn each_cache_chooses_slots_of_its_own() {
        let (one, other) = (memo(), memo());
        assert!((0..20).any(|key| one.slot_of(&header(key)) != other.slot_of(&header(key))));
    }
}
