//! How long an answer is fresh according to its headers (RFC 9111).

use std::time::Duration;

/// How long an answer is fresh according to its headers (RFC 9111 §5.2.2): `max-age` minus `Age`.
/// With `no-store` or `no-cache`, the time is zero. Returns `None` if the headers don't say.
pub(crate) fn max_age(cache_control: &str, age: Option<&str>) -> Option<Duration> {
    let mut max_age = None;
    for directive in cache_control.split(',').map(str::trim) {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache")
        {
            return Some(Duration::ZERO);
        }
        if let Some((name, seconds)) = directive.split_once('=')
            && name.trim().eq_ignore_ascii_case("max-age")
        {
            max_age = max_age.or(seconds.trim().trim_matches('"').parse().ok());
        }
    }
    let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    max_age.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control() {
        for (text, age, expected) in [
            ("", None, None),
            ("public", None, None),
            ("max-age=600", None, Some(600)),
            ("public, Max-Age=600, must-revalidate", None, Some(600)),
            ("max-age=\"600\"", None, Some(600)),
            ("max-age=600", Some("100"), Some(500)),
            ("max-age=600", Some("1000"), Some(0)),
            ("max-age=600, max-age=1", None, Some(600)),
            ("max-age=600, no-store", None, Some(0)),
            ("no-cache", None, Some(0)),
            ("max-age=-1", None, None),
            ("max-age=99999999999999999999999", None, None),
            ("s-maxage=5", None, None),
        ] {
            assert_eq!(max_age(text, age), expected.map(Duration::from_secs), "{text}");
        }
    }
}
