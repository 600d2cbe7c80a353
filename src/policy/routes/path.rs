//! Raw paths that every program reads in the same way.

use std::borrow::Cow;

/// Whether all programs split the path into the same segments, and decode each segment to the same text.
pub(in crate::policy) fn has_one_reading(path: &str) -> bool {
    let Some(segments) = path.strip_prefix('/') else { return false };
    if !path.bytes().all(|byte| is_plain(byte) || matches!(byte, b'/' | b'%')) {
        return false;
    }
    let mut segments = segments.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if matches!(segment, "." | "..") || segment.is_empty() && !last {
            return false;
        }
    }
    !path.contains('%') || decoded(path).is_some()
}

/// An octet that may stand for itself in a segment: `pchar` of RFC 3986 §3.3 without the semicolon. Some
/// servers cut off a segment at a semicolon.
pub(super) fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The text that a segment has for a program that decodes it, and that ignores letter case, blanks, and
/// dots at the end (as Windows does for the names of files).
pub(super) fn folded(segment: &str) -> Cow<'_, str> {
    let is_ignored = |character: char| character == '.' || character.is_whitespace();
    if !segment.bytes().any(|byte| byte == b'%' || byte.is_ascii_uppercase()) {
        return Cow::Borrowed(segment.trim_end_matches(is_ignored));
    }
    let decoded = decoded(segment).unwrap_or_else(|| segment.to_owned());
    // To upper case and then to lower case, because some non-ASCII letters become an ASCII letter in only one
    // of the two conversions.
    let folded = decoded.to_uppercase().to_lowercase();
    Cow::Owned(folded.trim_start().trim_end_matches(is_ignored).to_owned())
}

/// Decodes percent-encoding. `None` if another program could decode the text to another result.
fn decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => encoded(bytes.next()?, bytes.next()?)?,
            byte => byte,
        });
    }
    let decoded = String::from_utf8(decoded).ok()?;
    (!decoded.chars().any(char::is_control)).then_some(decoded)
}

/// The octet that two hexadecimal digits after `%` stand for. `None` for an octet that must not be encoded. RFC
/// 3986 §6.2.2.2: programs may decode unreserved characters at any time. A program that decodes before it
/// splits would read the other refused octets as delimiters, or as a second encoding.
fn encoded(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let octet = u8::try_from(digit(high)? << 4 | digit(low)?).ok()?;
    (!is_unreserved(octet) && !b"/\\%;?#".contains(&octet)).then_some(octet)
}
