//! Finds words in a text without allocation and without function calls. Policies search for scopes and
//! roles in each request.

/// The octets that are compared at once.
const BLOCK: usize = size_of::<u64>();

/// A block in which each octet is `octet`.
const fn all(octet: u8) -> u64 {
    u64::from_le_bytes([octet; BLOCK])
}

/// Calls `is_last` with each word of a text until `is_last` returns `true`. Returns `false` if it never
/// does. Each word ends with the octet `end`, except that the last word may also end with the text.
#[inline]
pub(super) fn any_word(text: &[u8], end: u8, mut is_last: impl FnMut(&[u8]) -> bool) -> bool {
    let mut rest = text;
    loop {
        let Some((word, after)) = rest.split_at_checked(length_of_word(rest, end)) else {
            return false;
        };
        if is_last(word) {
            return true;
        }
        let Some((_, next)) = after.split_first() else { return false };
        rest = next;
    }
}

/// The number of octets before the first `end`, or of the whole text if there is none.
#[inline(always)]
fn length_of_word(text: &[u8], end: u8) -> usize {
    let mut rest = text;
    while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
        let different = u64::from_le_bytes(*block) ^ all(end);
        // The lowest bit that is set is the top bit of the first octet that equals `end`. Higher bits
        // may be wrong.
        let found = different.wrapping_sub(all(1)) & !different & all(0x80);
        if found != 0 {
            return text.len() - rest.len() + found.trailing_zeros() as usize / BLOCK;
        }
        rest = after;
    }
    let in_rest = rest.iter().position(|octet| *octet == end).unwrap_or(rest.len());
    text.len() - rest.len() + in_rest
}

/// Whether `text` has the word `word`.
#[inline]
pub(super) fn has_word(text: &[u8], word: &[u8], end: u8) -> bool {
    !word.is_empty() && any_word(text, end, |own| is_same(own, word))
}

/// Whether two words are equal. Most words are short, and most of them have different lengths.
#[inline(always)]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && match one.len() {
            4..=8 => has_same_ends::<4>(one, other),
            9..=16 => has_same_ends::<8>(one, other),
            _ => one == other,
        }
}

/// Compares two words of at most `2 * N` octets: the first `N` octets and the last `N` octets.
#[inline(always)]
fn has_same_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<N>() == other.first_chunk::<N>()
        && one.last_chunk::<N>() == other.last_chunk::<N>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_as_the_standard_library_splits_it() {
        // Texts of two octets that could be confused within a block.
        for end in [b' ', 0, 0x7f, 0x80, 0xff] {
            for length in 0..=17 {
                for pattern in 0..1_u32 << length.min(10) {
                    let octets = [end, end.wrapping_add(1)];
                    let text: Vec<u8> =
                        (0..length).map(|at| octets[(pattern >> (at % 10) & 1) as usize]).collect();
                    let mut own = Vec::new();
                    any_word(&text, end, |word| {
                        own.push(word.to_vec());
                        false
                    });
                    let std = text.split(|octet| *octet == end).map(<[u8]>::to_vec);
                    let std: Vec<_> = std.collect();
                    assert_eq!(own, std, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn words_are_compared_as_slices_are() {
        for length in 0..=40 {
            let word: Vec<u8> = (0..length).map(|octet| octet as u8).collect();
            assert!(is_same(&word, &word.clone()), "{length}");
            assert!(!is_same(&word, &[word.as_slice(), b"x"].concat()), "{length}");
            for at in 0..length {
                let mut other = word.clone();
                other[at] ^= 0x80;
                assert!(!is_same(&word, &other), "{length}, {at}");
            }
        }
    }

    #[test]
    fn words() {
        for (name, text, word, found) in [
            ("alone", "a", "a", true),
            ("first", "a b", "a", true),
            ("last", "b a", "a", true),
            ("in the middle", "b a c", "a", true),
            ("after an empty word", "b  a", "a", true),
            ("before the end", "a ", "a", true),
            ("after the start", " a", "a", true),
            ("a prefix", "ab", "a", false),
            ("a suffix", "ba", "a", false),
            ("a longer word", "a", "ab", false),
            ("a prefix first, then the word", "ab a", "a", true),
            ("nothing asked", "a  b", "", false),
            ("an empty text", "", "a", false),
            ("only ends", "   ", "a", false),
            ("two words", "a b", "a b", false),
        ] {
            assert_eq!(has_word(text.as_bytes(), word.as_bytes(), b' '), found, "{name}");
        }
    }
}
