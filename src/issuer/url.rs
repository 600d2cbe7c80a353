//! Which URLs may be configured: https, and http to this very machine where that is switched on.

use std::net::IpAddr;

use http::Uri;

/// Checks the URL of an issuer or an endpoint (RFC 8414 §2, RFC 6749 §10.3).
///
/// # Errors
/// In fixed words, to be put behind the setting's name and value.
pub(crate) fn check_url(url: &str, allow_http_loopback: bool) -> Result<Uri, &'static str> {
    if url.contains('#') {
        return Err("must have no fragment");
    }
    let uri: Uri = url.parse().map_err(|_| "is no URL")?;
    let Some(authority) = uri.authority() else {
        return Err("is no absolute URL");
    };
    if authority.as_str().contains('@') {
        return Err("must have no user name");
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if !is_loopback(authority.host()) => Err("must be https"),
        Some("http") if allow_http_loopback => Ok(uri),
        Some("http") => Err("must be https; for tests on this machine, see `allow_http_loopback`"),
        _ => Err("must be https"),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, https_only, with_loopback) in [
            ("https://as.example.com", true, true),
            ("https://as.example.com:8443/t1/", true, true),
            ("http://as.example.com", false, false),
            ("http://127.0.0.1:80", false, true),
            ("http://[::1]:80/x", false, true),
            ("http://localhost:8080", false, true),
            ("http://localhost.example.com", false, false),
            ("http://127.0.0.1.example.com", false, false),
            ("https://user@as.example.com", false, false),
            ("https://as.example.com/#f", false, false),
            // Where two readers of URLs could see two hosts.
            (r"https://evil.example\.as.example.com", false, false),
            ("https://evil.example%2f.as.example.com", false, false),
            ("https://evil.example\t.as.example.com", false, false),
            ("https://evil.example\u{ff0f}.as.example.com", false, false),
            ("https:evil.example", false, false),
            ("https:///evil.example", false, false),
            ("http://2130706433", false, false),
            ("ftp://as.example.com", false, false),
            ("as.example.com", false, false),
            ("/path", false, false),
            ("", false, false),
        ] {
            assert_eq!(check_url(url, false).is_ok(), https_only, "{url}");
            assert_eq!(check_url(url, true).is_ok(), with_loopback, "{url}");
        }
    }
}
