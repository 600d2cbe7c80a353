//! Text from outside, prepared for the log.

use std::fmt;
use std::sync::Arc;

use crate::observe::shown::redacted;

/// Maximum length of text from outside in a log line, in bytes.
const MAX_EXCERPT: usize = 128;

/// Text from a token or a server, escaped and cut at 128 bytes. So a log line that contains the
/// text stays one line of printable characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(Arc<str>);

impl Excerpt {
    pub(crate) fn of(text: &str) -> Self {
        // Most texts need no escape. This avoids work when many requests are refused.
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

    /// Text that this crate wrote. If it contains text from outside, that part must already be
    /// escaped. The text is stored unchanged, so that nothing is escaped twice. Use this only for
    /// text with a bounded length.
    pub(crate) fn of_own(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// As [`of`](Self::of), for a text that may be a URL. Secrets in the URL are removed.
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
