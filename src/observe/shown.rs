//! The redaction of URLs: for logs, errors, `Debug` and observers.
//!
//! A URL can have a password before its `@`, and a secret in its query or fragment. These parts are left out. The
//! scheme, host, port and path remain. If a text is ambiguous, the result shows only the parts that contain no secret
//! in any reading.
//!
//! | text | shown |
//! |---|---|
//! | `https://as.example.com/t1` | as it is |
//! | `https://user:password@as.example.com/t1` | `https://..@as.example.com/t1` |
//! | `https://as.example.com/t1?key=secret#part` | `https://as.example.com/t1?..` |
//! | `https://user:pass?word@as.example.com` | `https://..` |
//! | `https://user/password@as.example.com` | `https://..` |

use std::borrow::Cow;
use std::fmt;

/// Displays a URL without its secret parts, and escapes the rest. `Debug` adds quotes.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        redacted(self.0).escape_debug().fmt(f)
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*redacted(self.0), f)
    }
}

/// Displays several URLs, for `Debug`.
pub(crate) struct AllShown<'a, T>(pub(crate) &'a [T]);

impl<T: AsRef<str>> fmt::Debug for AllShown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|text| Shown(text.as_ref()))).finish()
    }
}

/// The text of a URL for a `ConfigError`.
pub(crate) fn shown(url: &str) -> String {
    Shown(url).to_string()
}

/// A text, possibly a URL, without its secret parts. The result is not escaped.
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
    if !text.contains(['@', '?', '#']) {
        return Cow::Borrowed(text);
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (text.get(..scheme.len() + 3), rest),
        _ => (None, text),
    };
    let scheme = scheme.unwrap_or_default();
    // The authority of the URL. But if a password contains an unescaped `/` or `?`, this text contains the start of the
    // password.
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let (before, host) = match authority.rsplit_once('@') {
        Some((_, host)) => ("..@", host),
        None => ("", authority),
    };
    let (path, rest) = match behind.find(['?', '#']) {
        Some(at) => behind.split_at(at),
        None => (behind, ""),
    };
    // In a path, `/@name` is usual. The text before any other `@` may be the rest of a password.
    let is_usual = path.match_indices('@').all(|(at, _)| path[..at].ends_with('/'));
    let is_clear = !behind.contains('@')
        || before.is_empty() && !scheme.is_empty() && is_host(host) && is_usual;
    if !is_clear {
        return Cow::Owned(format!("{scheme}.."));
    }
    let rest = match rest.as_bytes().first() {
        Some(b'?') => "?..",
        Some(_) => "#..",
        None => "",
    };
    Cow::Owned(format!("{scheme}{before}{host}{path}{rest}"))
}

/// A scheme (RFC 3986 §3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether the text is a host with an optional port, and not a user name with the start of a password.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((_, port)) => ("[", port.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    !host.is_empty() && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        for (url, expected) in [
            ("https://as.example.com", "https://as.example.com"),
            ("https://as.example.com:8443/t1/", "https://as.example.com:8443/t1/"),
            ("https://as.example.com/@t1/x", "https://as.example.com/@t1/x"),
            ("https://[::1]:80/@t1", "https://[::1]:80/@t1"),
            ("urn:example:api", "urn:example:api"),
            ("", ""),
            ("a\nb", "a\\nb"),
            // A password.
            ("https://user:hunter2@as.example.com", "https://..@as.example.com"),
            ("https://user:hunter2@as.example.com:8443/t1", "https://..@as.example.com:8443/t1"),
            ("https://hunter2@as.example.com", "https://..@as.example.com"),
            ("https://:hunter2@[::1]:8080/t1", "https://..@[::1]:8080/t1"),
            ("https://user:hun@ter2@as.example.com/t1", "https://..@as.example.com/t1"),
            ("HTTPS://user:hunter2@AS.example.com", "HTTPS://..@AS.example.com"),
            (
                "rediss://user:hunter2@redis.example.com:6379/0",
                "rediss://..@redis.example.com:6379/0",
            ),
            ("user:hunter2@as.example.com/t1", "..@as.example.com/t1"),
            ("//user:hunter2@as.example.com", ".."),
            ("https:/user:hunter2@as.example.com", ".."),
            ("https:user:hunter2@as.example.com", "..@as.example.com"),
            (" https://user:hunter2@as.example.com", ".."),
            ("https:\\\\user:hunter2@as.example.com", ".."),
            // A password with unescaped characters.
            ("https://user:hunter2/x@as.example.com/t1", "https://.."),
            ("https://user:hunter2?x@as.example.com", "https://.."),
            ("https://user:hunter2#x@as.example.com", "https://.."),
            ("https://user:hunter2\\x@as.example.com", "https://.."),
            ("https://user:a@hunter2/x@as.example.com", "https://.."),
            ("https://user:12/hunter2@as.example.com/t1", "https://.."),
            ("https://user/hunter2@as.example.com", "https://.."),
            ("https://user/@hunter2@as.example.com", "https://.."),
            // A query or a fragment.
            ("https://as.example.com/t1?key=hunter2", "https://as.example.com/t1?.."),
            ("https://as.example.com?hunter2", "https://as.example.com?.."),
            ("https://as.example.com/t1#hunter2", "https://as.example.com/t1#.."),
            ("https://as.example.com/t1?a=1#hunter2", "https://as.example.com/t1?.."),
            ("https://as.example.com/t1#hunter2?a", "https://as.example.com/t1#.."),
            ("https://as.example.com/t1?to=a@hunter2", "https://as.example.com/t1?.."),
            ("https://as.example.com:8443?to=hunter2@b", "https://as.example.com:8443?.."),
            ("https://user:hunter2@as.example.com?key=hunter2", "https://..@as.example.com?.."),
            ("/t1?key=hunter2", "/t1?.."),
            ("t1?to=https://user:hunter2@as.example.com", ".."),
        ] {
            let found = shown(url);
            assert_eq!(found, expected, "{url}");
            assert_eq!(format!("{:?}", Shown(url)), format!("\"{expected}\""), "{url}");
            assert!(!found.contains("hunter2"));
        }
    }
}
