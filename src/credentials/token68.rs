//! The text of a token.

use std::borrow::Cow;

/// The text of a token: a `token68` (RFC 9110 §11.2), which RFC 6750 calls `b64token`. All its
/// characters are ASCII.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token68<'a>(pub(super) Cow<'a, [u8]>);

impl<'a> Token68<'a> {
    /// Returns `None` if the text is not a token68.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        is_token68(text).then_some(Self(Cow::Borrowed(text)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The token as a `str`. This checks the text again, so call it only where a `str` is needed.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The same value without borrows, for storage.
    pub(crate) fn into_owned(self) -> Token68<'static> {
        Token68(Cow::Owned(self.0.into_owned()))
    }
}
fn is_token68(bytes: &[u8]) -> bool {
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let (body, _) = bytes.split_at(bytes.len() - padding);
    // Works in blocks, so that the compiler checks many octets at once. The last block is the last
    // 16 octets, some of which may be checked twice.
    let (blocks, short) = body.as_chunks::<BLOCK>();
    let good = blocks.iter().all(is_of_token68)
        && match body.last_chunk::<BLOCK>() {
            Some(last) => is_of_token68(last),
            None => short.iter().copied().all(is_token68_char),
        };
    good && !body.is_empty()
}

/// The number of octets of a token that are checked together.
const BLOCK: usize = 16;

/// Does not end early within the block.
#[inline(always)]
fn is_of_token68(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(true, |good, byte| good & is_token68_char(*byte))
}

/// Without branches (conditional jumps).
#[inline(always)]
fn is_token68_char(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.`, `/` and the digits are adjacent in ASCII.
    let digit = byte.wrapping_sub(b'-') < 13;
    letter | digit | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_of_a_token68() {
        const ALPHABET: &[u8] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
        for byte in 0..=u8::MAX {
            // Lengths with no whole block, exactly one block, a little less and a little more, and
            // several blocks.
            for length in [1, 15, 16, 17, 31, 43, 64] {
                for at in [0, 14, 15, 16, 30, 40, 63].into_iter().filter(|at| *at < length) {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let padding_at_the_end = byte == b'=' && at == length - 1 && length > 1;
                    let good = ALPHABET.contains(&byte) || padding_at_the_end;
                    assert_eq!(is_token68(&text), good, "{byte:#x} at {at} of {length}");
                }
            }
        }
    }
}
