//! The URL that a proof names (`htu`, RFC 9449 §4.2), and the URL that the client used.
//!
//! Both are normalized (RFC 3986 §6.2.2, §6.2.3) before they are compared (RFC 9449 §4.3):
//!
//! - scheme and host in lower case, no default port, `/` for an empty path;
//! - percent escapes in upper case, and none for a letter, a digit, `-`, `.`, `_` or `~`;
//! - no dot segments;
//! - query and fragment are ignored.
//!
//! Nothing else is normalized: two paths differ if they differ in case, in a final slash, or in `%2F` instead of
//! `/`.
//!
//! The client's URL comes from the configuration, never from `Host` or `X-Forwarded-Host`. Only its path
//! comes from the request.

use std::borrow::Cow;

use crate::url::check_resource;

/// The public URL of an API, as clients write it. The path of each request is appended to this URL.
#[derive(Clone, Debug)]
pub(crate) struct PublicUrl {
    /// In normal form, without a slash at the end.
    text: Box<str>,
}

impl PublicUrl {
    /// Reads the URL from the configuration.
    ///
    /// # Errors
    /// If it is not an absolute https URL in normal form, or has a query or a fragment.
    pub(super) fn new(text: &str, allow_http_loopback: bool) -> Result<Self, String> {
        check_resource(text, allow_http_loopback).map_err(|fault| fault.to_string())?;
        if text.contains(['?', '#']) {
            return Err("must have neither a query nor a fragment".to_owned());
        }
        let normal = normal(text).ok_or("is not in normal form")?;
        Ok(Self { text: normal.trim_end_matches('/').into() })
    }

    /// The URL that the client used for a request with this path, in normal form. `mounted_at` is the prefix
    /// between the public URL and this path. Returns `None` if the path is not absolute (`OPTIONS *`), or if
    /// programs could read it differently.
    pub(super) fn target(&self, mounted_at: &str, path: &str) -> Option<String> {
        let is_good = (path.is_empty() || path.starts_with('/')) && is_readable(path);
        // Normalize only the path of the request: its dot segments must not remove a part of the prefix.
        is_good.then(|| [&*self.text, mounted_at, &normal_path(path)].concat())
    }

    /// The URL in normal form.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Whether `htu` is the URL `target`, which is in normal form.
///
/// If the client requests only the path of the public URL, a proxy that removes this path sends `/`, whether
/// the client wrote a final slash or not. So at the root of the API, both spellings are accepted.
pub(super) fn is_target(htu: &str, target: &str, is_root: bool) -> bool {
    let is = |htu: &str| htu == target || is_root && target.strip_suffix('/') == Some(htu);
    is(htu) || normal(htu).is_some_and(|htu| is(&htu))
}

/// A URL in normal form, without query and fragment. Returns `None` if the text is not an absolute http or
/// https URL that every program reads in the same way.
fn normal(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let (scheme, default_port) = match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => ("https", 443),
        _ if scheme.eq_ignore_ascii_case("http") => ("http", 80),
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !is_readable(path) {
        return None;
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[:]".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    let mut normal = format!("{scheme}://{}", host.to_ascii_lowercase());
    if !port.is_empty() {
        // `parse` would accept a sign.
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port: u16 = port.parse().ok().filter(|_| digits)?;
        if port != default_port {
            normal.push_str(&format!(":{port}"));
        }
    }
    normal.push_str(&normal_path(path));
    Some(normal)
}

/// Whether all programs read the same segments in a path. Some programs read a backslash as a slash, and some
/// remove control characters.
fn is_readable(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// Whether a path is certainly in normal form.
fn is_plain(path: &str) -> bool {
    !path.contains('%') && !path.contains("/.")
}

fn normal_path(path: &str) -> Cow<'_, str> {
    match path {
        "" => "/".into(),
        _ if is_plain(path) => path.into(),
        _ => without_dot_segments(&normal_escapes(path)).into(),
    }
}

/// Normalizes percent escapes (RFC 3986 §6.2.2.1, §6.2.2.2). A `%` without two hexadecimal digits stays.
fn normal_escapes(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        normal.push_str(before);
        let digits = after.get(..2).filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(octet) = digits.and_then(|two| u8::from_str_radix(two, 16).ok()) else {
            normal.push('%');
            rest = after;
            continue;
        };
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            normal.push(char::from(octet));
        } else {
            normal.push_str(&format!("%{octet:02X}"));
        }
        rest = after.get(2..).unwrap_or_default();
    }
    normal.push_str(rest);
    normal
}

/// Removes the dot segments of an absolute path (RFC 3986 §5.2.4).
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_compared_in_normal_form() {
        // (the public URL, the request's path, the proof's `htu`, whether they are equal)
        let api = "https://api.test";
        for (base, path, htu, expected) in [
            (api, "/v1/~u", "https://api.test/v1/~u", true),
            (api, "/v1/~u", "HTTPS://API.Test:443/v1/%7Eu", true),
            (api, "/v1/%7eu", "https://api.test/v1/~u", true),
            (api, "/", "https://api.test", true),
            (api, "/", "https://api.test/", true),
            (api, "/", "https://api.test:/", true),
            (api, "/", "https://api.test?x=1", true),
            (api, "/a", "https://api.test/a?x=1", true),
            (api, "/a", "https://api.test/a?x=1#f", true),
            (api, "/a", "https://api.test/a#f?", true),
            (api, "/b", "https://api.test/a/../b", true),
            (api, "/a/../b", "https://api.test/b", true),
            (api, "/a/%2e%2E/b", "https://api.test/b", true),
            (api, "/b", "https://api.test/../../b", true),
            (api, "/a/.", "https://api.test/a/", true),
            (api, "/a%2fb", "https://api.test/a%2Fb", true),
            (api, "/a%2fb", "https://api.test/a/b", false),
            (api, "/A", "https://api.test/a", false),
            (api, "/a/", "https://api.test/a", false),
            (api, "/a", "https://api.test/a/", false),
            (api, "//a", "https://api.test/a", false),
            (api, "/a", "https://api.test//a", false),
            (api, "/a", "https://api.test/b", false),
            (api, "/a", "https://api.test/a/b/..", false),
            (api, "/a", "http://api.test/a", false),
            (api, "/a", "https://other.test/a", false),
            (api, "/a", "https://api.test.evil/a", false),
            (api, "/a", "https://api.test:8443/a", false),
            (api, "/a", "https://api.test:+443/a", false),
            (api, "/a", "https://api.test:65979/a", false),
            (api, "/a", "https://user@api.test/a", false),
            (api, "/a", "https://api.test%2e/a", false),
            (api, "/a", "https://api.test\\a", false),
            (api, "/a", "https://api.test/x\\..\\a", false),
            (api, "/a", "https:/api.test/a", false),
            (api, "/a", "//api.test/a", false),
            (api, "/a", "/a", false),
            (api, "/a", " https://api.test/a", false),
            (api, "/a", "https://api.test/a ", false),
            (api, "/a", "https://api.test/a\u{e9}", false),
            (api, "/a", "https://:443/a", false),
            (api, "/a", "", false),
            (api, "*", "https://api.test*", false),
            (api, "*", "https://api.test/*", false),
            ("https://api.test/v1", "/a", "https://api.test/v1/a", true),
            ("https://api.test/v1/", "/a", "https://api.test/v1/a", true),
            ("https://api.test/v1", "/a", "https://api.test/a", false),
            ("https://api.test/v1", "/", "https://api.test/v1", true),
            ("https://api.test/v1", "/", "https://api.test/v1/", true),
            ("https://api.test/v1", "/", "https://api.test/", false),
            ("https://api.test/v1", "/a/", "https://api.test/v1/a", false),
            ("https://api.test/v1", "/../a", "https://api.test/a", false),
            ("https://api.test:8443", "/a", "https://api.test:8443/a", true),
            ("https://api.test:8443", "/a", "https://api.test:08443/a", true),
            ("https://api.test:8443", "/a", "https://api.test/a", false),
            ("http://127.0.0.1:80", "/a", "http://127.0.0.1/a", true),
            ("http://[::1]:3000", "/a", "http://[::1]:3000/a", true),
            ("http://[::1]:3000", "/a", "http://[::1]/a", false),
        ] {
            // The configuration has no default port.
            let base = base.replace("127.0.0.1:80", "127.0.0.1");
            let url = PublicUrl::new(&base, true).unwrap();
            let equal =
                url.target("", path).is_some_and(|target| is_target(htu, &target, path == "/"));
            assert_eq!(equal, expected, "{base} {path}: {htu}");
        }
    }

    #[test]
    fn a_prefix_stays_in_front_of_every_path() {
        let url = PublicUrl::new("https://api.test", true).unwrap();
        for (path, expected) in [
            ("/a", Some("https://api.test/v1/a")),
            ("/", Some("https://api.test/v1/")),
            ("/../a", Some("https://api.test/v1/a")),
            ("/%2e%2e/%61", Some("https://api.test/v1/a")),
            ("*", None),
        ] {
            assert_eq!(url.target("/v1", path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn the_public_url_is_absolute_and_in_normal_form() {
        for (text, good) in [
            ("https://api.test", true),
            ("https://api.test/", true),
            ("https://api.test/v1", true),
            ("https://api.test/v1/", true),
            ("http://127.0.0.1:3000", true),
            ("http://api.test", false),
            ("https://API.test", false),
            ("https://api.test/v1?x", false),
            ("https://api.test/v1#x", false),
            ("https://user@api.test", false),
            ("https://api.test/a/../b", false),
            ("api.test", false),
            ("", false),
        ] {
            assert_eq!(PublicUrl::new(text, true).is_ok(), good, "{text}");
        }
        assert!(PublicUrl::new("http://127.0.0.1:3000", false).is_err());
    }
}
