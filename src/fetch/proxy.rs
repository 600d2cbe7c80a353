//! The proxy for the HTTP requests of the crate.
//!
//! The HTTP client accepts every URL as the URL of a proxy. If the HTTP client can't use the URL,
//! it connects without a proxy. This module refuses such a URL with a `ConfigError`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use reqwest::Url;

/// The URL of a proxy, and the credentials for it.
#[derive(Clone, PartialEq)]
pub(crate) struct Proxy {
    /// The URL without user name and password.
    url: Url,
    /// `Proxy-Authorization` (RFC 9110 §11.7.2), Basic (RFC 7617 §2).
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads a URL with the scheme http or https, and an optional user name and password.
    ///
    /// # Errors
    /// The text is for a `ConfigError`. It is fixed text, because the URL may contain a password.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = ["http://", "https://"].into_iter().find_map(|scheme| {
            let (own, rest) = text.split_at_checked(scheme.len())?;
            own.eq_ignore_ascii_case(scheme).then_some(rest)
        });
        let rest = rest.ok_or("proxy: must begin with http:// or https://")?;
        // A URL parser would drop or rewrite additional slashes, backslashes, blanks, line feeds
        // and non-ASCII characters.
        let odd = |byte: u8| byte == b'\\' || !byte.is_ascii_graphic();
        if rest.starts_with('/') || rest.bytes().any(odd) {
            return Err("proxy: is not a URL");
        }
        let mut url = Url::parse(text).map_err(|_| "proxy: is not a URL")?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("proxy: must have no path, query or fragment");
        }
        if url.port() == Some(0) {
            return Err("proxy: port 0 can't be connected to");
        }
        let authorization = if rest.contains('@') {
            let user = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
            let (Some(name), Some(password)) = user else {
                return Err("proxy: its user name or password is not percent-encoded text");
            };
            if name.is_empty() && password.is_empty() {
                return Err("proxy: its user name is empty");
            }
            // RFC 7617 §2: a colon ends the user name, and neither part may have control
            // characters.
            if name.contains(':') || (name.clone() + &password).contains(char::is_control) {
                return Err(
                    "proxy: its user name or password has a character that Basic does not allow",
                );
            }
            let basic = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
            let mut basic = HeaderValue::from_str(&basic).map_err(|_| "proxy: is not a URL")?;
            basic.set_sensitive(true);
            Some(basic)
        } else {
            None
        };
        let bare = url.set_username("").and_then(|()| url.set_password(None));
        // The HTTP client uses this other parser, and connects without a proxy if parsing fails.
        let by_client = url.as_str().parse::<Uri>();
        let works = by_client.is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        if bare.is_err() || !works {
            return Err("proxy: is not a URL");
        }
        Ok(Self { url, authorization })
    }

    /// The proxy for the HTTP client. Only https requests go through the proxy. http is allowed
    /// only to this machine or to named hosts, and a proxy could read the whole http request.
    pub(super) fn to_client(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        let proxy = reqwest::Proxy::https(self.url.clone())?;
        Ok(match &self.authorization {
            Some(basic) => proxy.custom_http_auth(basic.clone()),
            None => proxy,
        })
    }
}

/// Decodes percent-encoding (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        octets.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(octets).ok()
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_works_or_is_refused() {
        for (text, shows) in [
            ("http://proxy.example.com", Some(None)),
            ("http://proxy.example.com:3128", Some(None)),
            ("http://proxy.example.com:3128/", Some(None)),
            ("HTTPS://proxy.example.com", Some(None)),
            ("http://127.0.0.1:3128", Some(None)),
            ("http://[::1]:3128", Some(None)),
            ("http://user:secret@proxy:3128", Some(Some("user:secret"))),
            ("http://user@proxy:3128", Some(Some("user:"))),
            ("http://:token@proxy:3128", Some(Some(":token"))),
            ("http://us%40er:p%3A%25@proxy:3128", Some(Some("us@er:p:%"))),
            ("http://user:p@ss@proxy:3128", Some(Some("user:p@ss"))),
            ("http://u$er:p!a'ss,(*)@proxy", Some(Some("u$er:p!a'ss,(*)"))),
            ("ftp://proxy:21", None),
            ("socks5://proxy:1080", None),
            ("socks5h://user:secret@proxy:1080", None),
            ("ws://proxy", None),
            ("file:///etc/passwd", None),
            ("htp://proxy", None),
            ("proxy:3128", None),
            ("proxy.example.com", None),
            ("127.0.0.1:3128", None),
            ("//proxy:3128", None),
            ("http:proxy", None),
            ("http:/proxy", None),
            ("http:///proxy", None),
            ("http:\\\\proxy", None),
            ("http://", None),
            ("https://", None),
            ("http://:3128", None),
            ("http://user:secret@", None),
            ("http://user:secret@:3128", None),
            ("http://proxy:0", None),
            ("http://proxy:65536", None),
            ("http://proxy:port", None),
            ("http://proxy:-1", None),
            ("http://@proxy", None),
            ("http://:@proxy", None),
            ("http://us%3Aer:secret@proxy", None),
            ("http://user:%0A@proxy", None),
            ("http://user:%zz@proxy", None),
            ("http://user:%f@proxy", None),
            ("http://user:%ff@proxy", None),
            ("http://proxy/path", None),
            ("http://proxy?query", None),
            ("http://proxy#fragment", None),
            (" http://proxy", None),
            ("http://proxy ", None),
            ("http://pro\txy", None),
            ("http://pro\nxy", None),
            ("http://pro xy", None),
            ("http://pro%2fxy", None),
            ("http://pr\u{f6}xy", None),
            ("", None),
        ] {
            match (Proxy::parse(text), shows) {
                (Ok(proxy), Some(shows)) => {
                    let basic = shows.map(|pair: &str| format!("Basic {}", STANDARD.encode(pair)));
                    let own = proxy.authorization.as_ref().map(|value| value.to_str().unwrap());
                    assert_eq!(own, basic.as_deref(), "{text}");
                    assert!(proxy.to_client().is_ok(), "{text}");
                    let shown = format!("{proxy:?} {:?}", proxy.authorization);
                    assert!(!shown.contains("secret") && !shown.contains("user"), "{shown}");
                }
                (Err(problem), None) => assert!(!problem.contains("secret"), "{text}"),
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        }
    }
}
