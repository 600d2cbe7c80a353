//! Scope tokens, and the set of scope tokens in an access token (RFC 6749 §3.3).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::token::words::{any_word, has_word, is_same};

/// One scope token: one or more of `%x21 / %x23-5B / %x5D-7E`, compared case-sensitively.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeToken(Box<str>);

impl ScopeToken {
    /// Parses one scope token.
    ///
    /// # Errors
    /// Fails if `text` is empty or contains a character that RFC 6749 §3.3 does not allow, such as
    /// a space.
    ///
    /// ```
    /// use tower_resource_server::token::ScopeToken;
    ///
    /// assert!(ScopeToken::parse("notes:read").is_ok());
    /// assert!(ScopeToken::parse("notes read").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if is_scope_token(text) { Ok(Self(text.into())) } else { Err(InvalidScope) }
    }

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ScopeToken {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a scope token (RFC 6749 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidScope;

impl fmt::Display for InvalidScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a scope token is one or more visible ASCII characters, without space, `\"` and `\\` (RFC \
             6749 section 3.3); several scopes are `all_of([..])` or `any_of([..])`",
        )
    }
}

impl std::error::Error for InvalidScope {}

fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

/// The scope of an access token: a set of scope tokens. The order has no meaning.
///
/// The set is stored as the text of the token, and clones share that text. Words that are not valid
/// scope tokens stay in the text but match nothing, because every required scope is a valid scope
/// token.
///
/// ```
/// use tower_resource_server::token::ScopeSet;
///
/// let scope = ScopeSet::new("notes:write notes:read");
/// assert!(scope.contains("notes:read"));
/// assert!(!scope.contains("notes"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeSet(Arc<str>);

impl ScopeSet {
    /// Parses a `scope` string: scope tokens that are separated by single spaces (0x20 only).
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Builds the set from the words of an array, for servers that do not follow RFC 9068 §2.2.3.
    /// Returns `None` if a word contains a space, because the word would become two scope tokens.
    pub(crate) fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut text = String::new();
        for word in words {
            if word.contains(' ') {
                return None;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        Some(Self(text.into()))
    }

    /// Whether the set contains exactly this scope token.
    pub fn contains(&self, token: &str) -> bool {
        has_word(self.0.as_bytes(), token.as_bytes(), b' ')
    }

    /// Whether the set contains all of these scope tokens.
    #[inline]
    pub(crate) fn contains_all(&self, wanted: &ScopeTokens) -> bool {
        let mut missing = wanted.bits;
        missing == 0
            || any_word(self.0.as_bytes(), b' ', |word| {
                if wanted.lengths & length_bit(word.len()) != 0 {
                    for (bit, token) in &wanted.tokens {
                        if is_same(token.0.as_bytes(), word) {
                            missing &= !bit;
                        }
                    }
                }
                missing == 0
            })
    }

    /// The scope tokens in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|word| !word.is_empty())
    }

    /// Whether the set has no scope token.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The original text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Scope tokens that are searched for together.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeTokens {
    /// Each token has its own bit.
    tokens: Vec<(u64, ScopeToken)>,
    bits: u64,
    /// The lengths of the tokens, as a set of bits. Most words of a scope have another length than
    /// the wanted tokens, so they need no comparison.
    lengths: u64,
}

/// The bit for a length. Lengths that differ by a multiple of 64 share a bit.
#[inline(always)]
const fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}

impl ScopeTokens {
    /// Returns `None` for more than 64 tokens.
    pub(crate) fn of<'a>(tokens: impl IntoIterator<Item = &'a ScopeToken>) -> Option<Self> {
        let mut own = Self::default();
        for (index, token) in tokens.into_iter().enumerate() {
            let bit = 1_u64.checked_shl(index.try_into().ok()?)?;
            own.bits |= bit;
            own.lengths |= length_bit(token.0.len());
            own.tokens.push((bit, token.clone()));
        }
        Some(own)
    }
}

impl Default for ScopeSet {
    fn default() -> Self {
        Self::new("")
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for ScopeSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Reads a string (RFC 9068 §2.2.3), or an array of words from servers that do not follow the RFC.
impl<'de> serde::Deserialize<'de> for ScopeSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScopeVisitor;
        impl<'de> serde::de::Visitor<'de> for ScopeVisitor {
            type Value = ScopeSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a scope: a string, or an array of strings without spaces")
            }

            fn visit_str<E>(self, text: &str) -> Result<ScopeSet, E> {
                Ok(ScopeSet::new(text))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<ScopeSet, A::Error> {
                let mut words: Vec<String> = Vec::new();
                while let Some(word) = seq.next_element()? {
                    words.push(word);
                }
                ScopeSet::from_words(words.iter().map(String::as_str))
                    .ok_or_else(|| serde::de::Error::custom("a word of a scope has a space"))
            }
        }
        deserializer.deserialize_any(ScopeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_from_both_forms() {
        let read = |text: &str| serde_json::from_str::<ScopeSet>(text).ok();
        for (text, scope) in
            [("\"a b\"", "a b"), ("[\"a\",\"b\"]", "a b"), ("\"\"", ""), ("[]", "")]
        {
            assert_eq!(read(text), Some(ScopeSet::new(scope)), "{text}");
        }
        for text in ["1", "null", "[\"a b\"]", "[1]", "{}", "[[\"a\"]]"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_alphabet_of_a_scope_token() {
        for (name, text, good) in [
            ("plain", "read", true),
            ("colon and slash", "https://api.example.com/read:all", true),
            ("exclamation mark", "!", true),
            ("tilde", "~", true),
            ("hash, left of the gap", "#", true),
            ("empty", "", false),
            ("space", "a b", false),
            ("tab", "a\tb", false),
            ("quote", "a\"", false),
            ("backslash", "a\\", false),
            ("delete", "\u{7f}", false),
            ("no-break space", "a\u{a0}b", false),
            ("not ASCII", "é", false),
        ] {
            assert_eq!(ScopeToken::parse(text).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn only_the_space_splits() {
        for (name, text, word, held) in [
            ("first", "b a", "a", true),
            ("case differs", "A", "a", false),
            ("tab", "a\tb", "a", false),
            ("comma", "a,b", "a", false),
            ("no-break space", "a\u{a0}b", "a", false),
            ("prefix", "read:all", "read", false),
            ("two spaces", "a  b", "b", true),
            ("nothing asked", "a  b", "", false),
            ("empty", "", "a", false),
        ] {
            assert_eq!(ScopeSet::new(text).contains(word), held, "{name}");
        }
    }

    #[test]
    fn scopes_are_looked_for_together() {
        let many = (0..64).map(|index| format!("s{index}")).collect::<Vec<_>>();
        let long = format!("a{}", "x".repeat(64));
        for (name, wanted, held, found) in [
            ("none", vec![], "", true),
            ("one", vec!["a"], "b a", true),
            ("all, in another order", vec!["a", "b", "c"], "c b x a", true),
            ("all but one", vec!["a", "b", "c"], "c b x", false),
            ("one twice", vec!["a", "a"], "a", true),
            ("a word twice", vec!["a", "b"], "a a", false),
            ("the same length modulo 64", vec!["a"], &long, false),
            ("64", many.iter().map(String::as_str).collect(), &many.join(" "), true),
            ("63 of 64", many.iter().map(String::as_str).collect(), &many[1..].join(" "), false),
            ("an empty set", vec!["a"], "", false),
        ] {
            let wanted: Vec<_> =
                wanted.into_iter().map(|text| ScopeToken::parse(text).unwrap()).collect();
            let wanted = ScopeTokens::of(&wanted).unwrap();
            assert_eq!(ScopeSet::new(held).contains_all(&wanted), found, "{name}");
        }
        let more: Vec<_> =
            (0..65).map(|index| ScopeToken::parse(&format!("s{index}")).unwrap()).collect();
        assert!(ScopeTokens::of(&more).is_none());
    }

    #[test]
    fn an_array_word_with_a_space_is_not_two_scopes() {
        assert!(ScopeSet::from_words(["a b"]).is_none());
        assert!(ScopeSet::from_words(["a", "b"]).is_some_and(|set| set.contains("b")));
    }
}
