//! Text of the other side, made fit for the operator's log.

use std::fmt;
use std::sync::Arc;

use crate::observe::shown::redacted;

/// Bytes of foreign text that a log line shows at most.
const MAX_EXCERPT: usize = 128;

/// Text from a token or a server, escaped and cut at 128 bytes, so that a log line stays one line
/// of printable characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(Arc<str>);

impl Excerpt {
    pub(crate) fn of(text: &str) -> Self {
        // Most texts need no escape, and a flood of refusals makes many of them.
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !b"\"'\\".contains(&byte);
        if text.len() <= MAX_EXCERPT && text.bytes().all(plain) {
            return Self(text.into());
        }
        let mut excerpt = String::with_capacity(text.len().min(MAX_EXCERPT));
        for character in text.chars() {
            let escaped = character.escape_debug();
            if excerpt.len() + escaped.clone().map(char::len_utf8).sum::<usize>() > MAX_EXCERPT {
                excerpt.push('…');
                break;
            }
            excerpt.extend(escaped);
        }
        Self(excerpt.into())
    }

    /// Our own words, in which text of the other side is an excerpt already: as they are, so that
    /// nothing is escaped twice. For what is bounded by construction.
    pub(crate) fn of_own(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The same for a text that may be a URL, whose secrets are left out.
    pub(crate) fn of_url(text: &str) -> Self {
        Self::of(&redacted(text))
    }

    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_escaped_and_cut() {
        assert_eq!(Excerpt::of("a\r\nb\u{1b}").as_str(), "a\\r\\nb\\u{1b}");
        assert_eq!(Excerpt::of("a \"b\" 'c' \\").as_str(), "a \\\"b\\\" \\'c\\' \\\\");
        assert_eq!(Excerpt::of("é").as_str(), "é");
        let at_the_limit = "x".repeat(MAX_EXCERPT);
        assert_eq!(Excerpt::of(&at_the_limit).as_str(), at_the_limit);
        assert_eq!(Excerpt::of(&"x".repeat(MAX_EXCERPT + 1)).as_str(), at_the_limit + "…");
    }
}
