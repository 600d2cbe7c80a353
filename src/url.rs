//! Decides which URLs may be used: https URLs, and if enabled, http URLs of this machine or of
//! named hosts.
//!
//! `url::Url` is the only parser, because the HTTP client fetches the URL as `url::Url` parses it.
//! Other readers of the same text (an allow rule, another server, a person) must not see another
//! host or path. So a URL that the parser would rewrite is refused:
//!
//! - The name of an issuer in a token ([`is_normal`]) must be exactly in normal form.
//! - A URL from the configuration or from metadata ([`check_url`], [`check_issuer`]) may differ
//!   from the normal form in the ASCII case of scheme and host, and by an explicit default port.
//! - The identifier of a resource ([`check_resource`]) must be in normal form. It may have a query.
//!
//! Names that are not used to fetch anything are compared as bytes and are not checked here.

use std::fmt;
use std::net::IpAddr;

use url::{Position, Url};

/// The maximum length of a host name (253 octets as text, RFC 1035 §3.1) and a port. Longer text is
/// not parsed, because the time to check an internationalized name grows with the square of its
/// length.
const MAX_AUTHORITY: usize = 253 + ":65535".len();

/// Why a URL is refused. The text follows the name and value of the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UrlFault {
    /// Fixed text for the log.
    pub(crate) problem: &'static str,
    /// The URL to write instead. It contains no user name, query or fragment, because they may be
    /// secret.
    normal: Option<String>,
}

/// Where http is allowed in addition to https.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlainHttp<'a> {
    /// On this machine.
    pub(crate) loopback: bool,
    /// On these hosts, compared exactly.
    pub(crate) hosts: &'a [String],
}

impl From<bool> for PlainHttp<'_> {
    fn from(loopback: bool) -> Self {
        Self { loopback, hosts: &[] }
    }
}

/// Checks the URL of an endpoint (RFC 8414 §2, RFC 6749 §10.3). Returns the URL that is fetched.
///
/// # Errors
/// Fails if the URL is not https, or if two readers could understand it differently.
pub(crate) fn check_url<'a>(
    text: &str,
    plain_http: impl Into<PlainHttp<'a>>,
) -> Result<Url, UrlFault> {
    let plain_http = plain_http.into();
    read(text, plain_http).map_err(|problem| {
        let is_good = |normal: &String| normal != text && read(normal, plain_http).is_ok();
        UrlFault { problem, normal: normal_form(text).filter(is_good) }
    })
}

/// Whether the text is exactly one host name or address, as in a URL in normal form. A port is not
/// allowed. A `*` is not allowed either, because it would match only itself.
#[cfg(feature = "http-client")]
pub(crate) fn is_exact_host(text: &str) -> bool {
    let url = format!("http://{text}");
    let plain_http = PlainHttp { loopback: false, hosts: &[text.to_owned()] };
    !text.contains('*')
        && read(&url, plain_http).is_ok_and(|url| url.host_str() == Some(text))
        && Text::divide(&url).is_some_and(|url| url.authority == text && url.host() == text)
}

/// Checks the URL of an issuer whose metadata is fetched. The URL must not have a query. All other
/// rules are those of [`check_url`].
///
/// # Errors
/// Fails as [`check_url`] does, or if the URL has a query.
pub(crate) fn check_issuer<'a>(
    text: &str,
    plain_http: impl Into<PlainHttp<'a>>,
) -> Result<Url, UrlFault> {
    let url = check_url(text, plain_http)?;
    match url.query() {
        None => Ok(url),
        Some(_) => {
            Err(UrlFault { problem: "must have no query (RFC 8414 section 2)", normal: None })
        }
    }
}

/// Checks the URL of an issuer. Names of issuers in tokens are compared with this URL, so it must be
/// exactly in normal form.
///
/// # Errors
/// Fails as [`check_issuer`] does, or if the URL is not in normal form.
pub(crate) fn check_normal<'a>(
    text: &str,
    plain_http: impl Into<PlainHttp<'a>>,
) -> Result<(), UrlFault> {
    let plain_http = plain_http.into();
    check_issuer(text, plain_http)?;
    if is_normal(text, plain_http) {
        return Ok(());
    }
    let normal = normal_form(text).filter(|normal| normal != text);
    Err(UrlFault { problem: NOT_NORMAL, normal })
}

/// Checks a resource identifier (RFC 8707 §2, RFC 9728 §1.2). It must be in normal form, because clients
/// compare it code point by code point with the URL that they use. An empty path is allowed.
///
/// # Errors
/// Fails as [`check_url`] does, or if the URL is not in normal form.
pub(crate) fn check_resource<'a>(
    text: &str,
    plain_http: impl Into<PlainHttp<'a>>,
) -> Result<(), UrlFault> {
    let url = check_url(text, plain_http)?;
    let without_path =
        || [&url[..Position::BeforePath], &url[Position::AfterPath..]].concat() == text;
    if is_rfc3986(text) && (url.as_str() == text || url.path() == "/" && without_path()) {
        return Ok(());
    }
    Err(UrlFault { problem: NOT_NORMAL, normal: normal_form(text).filter(|normal| normal != text) })
}

/// Whether the name of an issuer in a token is in normal form, so that the rule for trusted issuers
/// checks exactly the URL that would be fetched.
pub(crate) fn is_normal<'a>(text: &str, plain_http: impl Into<PlainHttp<'a>>) -> bool {
    // Check the characters first. This is cheap, and refuses most texts that are made to confuse
    // the parser.
    is_rfc3986(text)
        && read(text, plain_http.into()).is_ok_and(|url| {
            let root = url.path() == "/" && url.as_str().strip_suffix('/') == Some(text);
            url.query().is_none() && (root || url.as_str() == text)
        })
}

/// Whether the text is an http URL of this machine.
pub(crate) fn is_http_loopback(text: &str) -> bool {
    read(text, true.into()).is_ok_and(|url| url.scheme() == "http")
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem)?;
        match &self.normal {
            Some(normal) => write!(f, "; the normal form is `{normal}`"),
            None => Ok(()),
        }
    }
}

const NOT_NORMAL: &str = "is not in normal form";

/// The text of a URL with an authority, split as in RFC 3986 appendix B.
struct Text<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Text<'a> {
    fn divide(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Some(Self { scheme, authority, path, query })
    }

    fn host(&self) -> &'a str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => self.authority,
        }
    }
}

fn read(text: &str, plain_http: PlainHttp<'_>) -> Result<Url, &'static str> {
    let parts = Text::divide(text).ok_or("is not an absolute URL")?;
    if !["https", "http"].iter().any(|scheme| parts.scheme.eq_ignore_ascii_case(scheme)) {
        return Err("must be https");
    }
    if parts.authority.is_empty() {
        return Err("must have a host");
    }
    if parts.authority.len() > MAX_AUTHORITY {
        return Err("has a host that is too long");
    }
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if parts.authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user name");
    }
    // Check the text of the host, not the parsed host: the parser reads `2130706433` as 127.0.0.1,
    // but most people do not.
    if url.scheme() == "http" && !plain_http.hosts.iter().any(|own| own == parts.host()) {
        if !is_loopback(parts.host()) {
            return Err("must be https");
        }
        if !plain_http.loopback {
            return Err("must be https; for tests on this machine, see `allow_http_loopback`");
        }
    }
    if url.fragment().is_some() {
        return Err("must have no fragment");
    }
    if url.port() == Some(0) {
        return Err("must have another port than 0");
    }
    let default_port = if url.scheme() == "http" { ":80" } else { ":443" };
    let authority = parts.authority.strip_suffix(default_port).unwrap_or(parts.authority);
    let same = parts.scheme.eq_ignore_ascii_case(url.scheme())
        && authority.eq_ignore_ascii_case(url.authority())
        && (parts.path == url.path() || (parts.path.is_empty() && url.path() == "/"));
    // The parser silently removes control characters and encodes spaces.
    let plain_query = !parts.query.contains(|c: char| c.is_control() || c == ' ');
    if !same || !plain_query {
        return Err(NOT_NORMAL);
    }
    check_path(url.path())?;
    Ok(url)
}

/// Checks that all readers see the same path segments. Some servers decode a path before they split
/// it, others after. So a segment is refused if its decoded text contains a delimiter, is a dot
/// segment, or could be decoded again. A dot segment with a parameter (`..;x`) is also refused,
/// because some servers remove the parameter first.
fn check_path(path: &str) -> Result<(), &'static str> {
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err("must have no empty segment in its path");
        }
        let decoded = decode(segment).ok_or("has a segment that is not UTF-8 in its path")?;
        if decoded.contains(|c: char| matches!(c, '/' | '\\' | '%') || c.is_control()) {
            return Err("has an encoded delimiter in its path");
        }
        if matches!(decoded.split(';').next(), Some("." | "..")) {
            return Err("has a dot segment in its path");
        }
    }
    Ok(())
}

/// Decodes a segment once. A `%` without two hexadecimal digits is kept.
fn decode(segment: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, after @ ..] if *first == b'%' => {
                hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        let (octet, after) = escaped.unwrap_or((*first, after));
        octets.push(octet);
        rest = after;
    }
    String::from_utf8(octets).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Whether all characters are allowed by RFC 3986 §2, and each `%` is followed by two hexadecimal
/// digits.
fn is_rfc3986(text: &str) -> bool {
    let octets = text.as_bytes();
    octets.iter().enumerate().all(|(at, octet)| match octet {
        b'%' => octets.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
        _ => octet.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(octet),
    })
}

/// The normal form of the text according to the parser, without query and fragment. Returns `None`
/// for a URL with a user name or a password. If the path is only `/`, the slash is kept if the text
/// ends with a slash.
fn normal_form(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    url.set_query(None);
    url.set_fragment(None);
    let bare = url.path() == "/" && !text.ends_with('/');
    let url = url.as_str();
    plain.then(|| bare.then(|| url.strip_suffix('/')).flatten().unwrap_or(url).to_owned())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The path of a URL.
#[cfg(feature = "axum")]
pub(crate) fn path_of(text: &str) -> Option<String> {
    Some(Url::parse(text).ok()?.path().to_owned())
}

/// The origin of an http or https URL, as browsers send it in `Origin`.
pub(crate) fn origin_of(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| ["https", "http"].contains(&url.scheme()))?;
    Some(url.origin().ascii_serialization())
}

#[cfg(feature = "http-client")]
/// Whether the scheme is https. A client certificate can be sent only over TLS.
pub(crate) fn is_https(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A URL, and whether it is accepted as the name of an issuer in a token, as a configured
    /// issuer whose metadata is fetched, and as an endpoint. Http to this machine is enabled.
    const URLS: &[(&str, bool, bool, bool)] = &[
        // Plain.
        ("https://as.example.com", true, true, true),
        ("https://as.example.com/", true, true, true),
        ("https://as.example.com/t1", true, true, true),
        ("https://as.example.com/t1/", true, true, true),
        ("https://as.example.com:8443/realms/demo", true, true, true),
        ("https://192.0.2.1/t1", true, true, true),
        ("https://[2001:db8::1]/t1", true, true, true),
        ("https://[2001:db8::1]:8443/t1", true, true, true),
        ("https://xn--bcher-kva.example/t1", true, true, true),
        ("https://as_1.example.com/t1", true, true, true),
        ("https://as.example.com/~user/a,b=c;d:e@f!$&'()*+", true, true, true),
        ("https://as.example.com/a%20b", true, true, true),
        ("https://as.example.com/b%C3%BCcher", true, true, true),
        ("https://as.example.com/%7Euser", true, true, true),
        ("https://as.example.com/a..b/...", true, true, true),
        ("https://as.example.com/.well-known", true, true, true),
        ("https://as.example.com/a;b/t1", true, true, true),
        ("https://as.example.com/a;..", true, true, true),
        // Case and default port: the parser rewrites them, but all readers understand them alike.
        ("HTTPS://as.example.com", false, true, true),
        ("https://AS.Example.COM/t1", false, true, true),
        ("https://as.example.com:443", false, true, true),
        ("https://[2001:DB8::1]:443/t1", false, true, true),
        ("https://as.example.com/T1", true, true, true),
        // Queries and fragments.
        ("https://as.example.com/i?tenant=t1", false, false, true),
        ("https://as.example.com/i?a=../b//c%2f", false, false, true),
        ("https://as.example.com/i?", false, false, true),
        ("https://as.example.com?x", false, false, true),
        ("https://as.example.com/i?a b", false, false, false),
        ("https://as.example.com/i?a\tb", false, false, false),
        ("https://as.example.com/i? ", false, false, false),
        ("https://as.example.com/#f", false, false, false),
        ("https://as.example.com/#", false, false, false),
        ("https://as.example.com#@evil.example", false, false, false),
        // Dot segments.
        ("https://as.example.com/tenants/../evil", false, false, false),
        ("https://as.example.com/tenants/..", false, false, false),
        ("https://as.example.com/tenants/.", false, false, false),
        ("https://as.example.com/tenants/./t1", false, false, false),
        ("https://as.example.com/tenants/%2e%2e/evil", false, false, false),
        ("https://as.example.com/tenants/%2E%2e/evil", false, false, false),
        ("https://as.example.com/tenants/.%2e/evil", false, false, false),
        ("https://as.example.com/tenants/%2e./evil", false, false, false),
        ("https://as.example.com/tenants/%2e/evil", false, false, false),
        ("https://as.example.com/tenants/..;/evil", false, false, false),
        ("https://as.example.com/tenants/..;x=1/evil", false, false, false),
        ("https://as.example.com/tenants/.;x/evil", false, false, false),
        ("https://as.example.com/tenants/%2e%2e;x/evil", false, false, false),
        ("https://as.example.com/tenants/..%3bx/evil", false, false, false),
        ("https://as.example.com/tenants/%252e%252e/evil", false, false, false),
        ("https://as.example.com/tenants/%c0%ae%c0%ae/evil", false, false, false),
        // Delimiters, controls and broken escapes in a segment.
        ("https://as.example.com/tenants/..%2fevil", false, false, false),
        ("https://as.example.com/tenants/a%2Fb", false, false, false),
        ("https://as.example.com/tenants/..%5cevil", false, false, false),
        (r"https://as.example.com/tenants/..\evil", false, false, false),
        (r"https://as.example.com/tenants\t1", false, false, false),
        ("https://as.example.com/tenants/a%00", false, false, false),
        ("https://as.example.com/tenants/a%0d%0ab", false, false, false),
        ("https://as.example.com/tenants/a%7f", false, false, false),
        ("https://as.example.com/tenants/a%c2%85", false, false, false),
        ("https://as.example.com/tenants/a%25b", false, false, false),
        ("https://as.example.com/tenants/a%", false, false, false),
        ("https://as.example.com/tenants/a%2", false, false, false),
        ("https://as.example.com/tenants/a%zz", false, false, false),
        ("https://as.example.com/tenants/a%ff", false, false, false),
        // Empty segments.
        ("https://as.example.com//", false, false, false),
        ("https://as.example.com//t1", false, false, false),
        ("https://as.example.com/t1//", false, false, false),
        ("https://as.example.com/tenants//t1", false, false, false),
        // Characters that the parser drops or encodes.
        (" https://as.example.com", false, false, false),
        ("https://as.example.com ", false, false, false),
        ("https://as.example.com/t1 ", false, false, false),
        ("https://as.example.com/t1\n", false, false, false),
        ("\u{0}https://as.example.com", false, false, false),
        ("https://as.example.com/t\t1", false, false, false),
        ("https://as.example.com/tenants/.\n./evil", false, false, false),
        ("ht\ntps://as.example.com", false, false, false),
        ("https:/\t/as.example.com", false, false, false),
        ("https://as.example.com/a b", false, false, false),
        ("https://as.example.com/b\u{fc}cher", false, false, false),
        ("https://as.example.com/{t1}", false, false, false),
        ("https://as.example.com/\"t1\"", false, false, false),
        // Characters that the parser keeps but RFC 3986 does not allow.
        ("https://as.example.com/a|b", false, true, true),
        // Hosts.
        (r"https://evil.example\.as.example.com", false, false, false),
        (r"https://evil.example\@as.example.com", false, false, false),
        ("https://evil.example%2f.as.example.com", false, false, false),
        ("https://as%2eexample.com", false, false, false),
        ("https://%61s.example.com", false, false, false),
        ("https://evil.example\t.as.example.com", false, false, false),
        ("https://evil.example\u{ff0f}.as.example.com", false, false, false),
        ("https://as\u{ff0e}example.com", false, false, false),
        ("https://as\u{3002}example.com", false, false, false),
        ("https://as.\u{ad}example.com", false, false, false),
        ("https://b\u{fc}cher.example", false, false, false),
        ("https://xn--.example", false, false, false),
        ("https://xn--a-\u{e9}.example", false, false, false),
        ("https://as.example.com<evil", false, false, false),
        ("https://as.example.com^evil", false, false, false),
        ("https://[2001:db8:0::1]", false, false, false),
        ("https://[fe80::1%25eth0]", false, false, false),
        ("https://[::1", false, false, false),
        ("http://[::1]evil.example", false, false, false),
        ("https://[::1]evil.example", false, false, false),
        ("https://3221225985", false, false, false),
        ("https://0xc0.0.2.1", false, false, false),
        ("https://0300.0.2.1", false, false, false),
        ("https://192.0.513", false, false, false),
        ("https://192.0.2.1.", false, false, false),
        ("https://192.0.2.256", false, false, false),
        // A different host name, which no reader confuses with the other.
        ("https://as.example.com./t1", true, true, true),
        ("https://", false, false, false),
        ("https:///evil.example", false, false, false),
        ("https:////evil.example", false, false, false),
        ("https:evil.example", false, false, false),
        ("https:/evil.example", false, false, false),
        (r"https:\\evil.example", false, false, false),
        ("https://?x", false, false, false),
        // User names.
        ("https://user@as.example.com", false, false, false),
        ("https://user:pass@as.example.com", false, false, false),
        ("https://@as.example.com", false, false, false),
        ("https://:@as.example.com", false, false, false),
        ("https://as.example.com@evil.example", false, false, false),
        ("https://as.example.com/@evil.example", true, true, true),
        // Ports.
        ("https://as.example.com:", false, false, false),
        ("https://as.example.com:0", false, false, false),
        ("https://as.example.com:00443", false, false, false),
        ("https://as.example.com:08443", false, false, false),
        ("https://as.example.com:99999", false, false, false),
        ("https://as.example.com:65535", true, true, true),
        ("https://as.example.com:65536", false, false, false),
        ("https://as.example.com:+443", false, false, false),
        ("https://as.example.com:443:443", false, false, false),
        ("https://as.example.com:80", true, true, true),
        ("https://as.example.com:a", false, false, false),
        // Http to this machine, decided by the text.
        ("http://as.example.com", false, false, false),
        ("http://127.0.0.1:8080/t1", true, true, true),
        ("http://127.0.0.1:80", false, true, true),
        ("http://127.0.0.1:443", true, true, true),
        ("http://[::1]:8080/x", true, true, true),
        ("http://localhost:8080", true, true, true),
        ("HTTP://localhost:8080", false, true, true),
        ("http://LOCALHOST:8080", false, false, false),
        ("http://localhost.:8080", false, false, false),
        ("http://localhost.example.com", false, false, false),
        ("http://127.0.0.1.example.com", false, false, false),
        ("http://127.0.0.1@evil.example", false, false, false),
        ("http://2130706433", false, false, false),
        ("http://0x7f.1", false, false, false),
        ("http://127.1", false, false, false),
        ("http://0177.0.0.1", false, false, false),
        ("http://127.0.0.1.", false, false, false),
        ("http://[::ffff:127.0.0.1]", false, false, false),
        ("http://[0:0:0:0:0:0:0:1]", false, false, false),
        ("http://0.0.0.0", false, false, false),
        ("http://169.254.169.254", false, false, false),
        // Something else.
        ("ftp://as.example.com", false, false, false),
        ("wss://as.example.com", false, false, false),
        ("file:///etc/passwd", false, false, false),
        ("data:application/json,{}", false, false, false),
        ("blob:https://as.example.com/x", false, false, false),
        ("urn:example:as", false, false, false),
        ("as.example.com", false, false, false),
        ("//as.example.com", false, false, false),
        ("/path", false, false, false),
        ("", false, false, false),
    ];

    #[test]
    fn urls() {
        for &(url, from_token, configured, endpoint) in URLS {
            assert_eq!(is_normal(url, true), from_token, "from a token: {url:?}");
            assert_eq!(check_normal(url, true).is_ok(), from_token, "as a template: {url:?}");
            assert_eq!(check_issuer(url, true).is_ok(), configured, "configured: {url:?}");
            assert_eq!(check_url(url, true).is_ok(), endpoint, "endpoint: {url:?}");
            let plain = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
            assert_eq!(check_url(url, false).is_ok(), endpoint && !plain, "no switch: {url:?}");
            assert_eq!(is_normal(url, false), from_token && !plain, "no switch: {url:?}");
        }
    }

    #[test]
    fn http_is_for_the_named_hosts_alone() {
        let hosts = ["keycloak".to_owned(), "10.0.0.5".to_owned(), "[fd00::1]".to_owned()];
        let allowed = PlainHttp { loopback: false, hosts: &hosts };
        for (url, good) in [
            ("http://keycloak", true),
            ("http://keycloak:8080/realms/demo", true),
            ("https://keycloak:8080/realms/demo", true),
            ("http://10.0.0.5:8080/x", true),
            ("http://[fd00::1]:8080/x", true),
            ("http://[fd00::1]/x", true),
            ("http://keycloak2:8080/realms/demo", false),
            ("http://keycloak.example.com/x", false),
            ("http://a.keycloak/x", false),
            ("http://keycloak.:8080/x", false),
            ("http://KEYCLOAK:8080/x", false),
            ("http://keycloak@evil.example/x", false),
            ("http://user@keycloak/x", false),
            (r"http://keycloak\@evil.example/x", false),
            ("http://keycloak:8080/a/../b", false),
            ("http://evil.example/keycloak", false),
            ("http://evil.example?keycloak", false),
            ("http://167772165/x", false),
            ("http://10.0.5/x", false),
            ("http://localhost:8080", false),
            ("http://127.0.0.1:8080", false),
            ("ftp://keycloak/x", false),
        ] {
            assert_eq!(check_url(url, allowed).is_ok(), good, "{url}");
            let is_http = url.starts_with("http:");
            assert_eq!(check_url(url, false).is_ok(), good && !is_http, "without the hosts: {url}");
        }
    }

    #[cfg(feature = "http-client")]
    #[test]
    fn exact_hosts() {
        for (text, good) in [
            ("keycloak", true),
            ("keycloak.auth.svc.cluster.local", true),
            ("as_1", true),
            ("10.0.0.5", true),
            ("[fd00::1]", true),
            ("localhost", true),
            ("", false),
            ("*", false),
            ("*.internal", false),
            ("keycloak:8080", false),
            ("keycloak:80", false),
            ("http://keycloak", false),
            ("keycloak/", false),
            ("keycloak/realms", false),
            ("user@keycloak", false),
            ("Keycloak", false),
            ("fd00::1", false),
            ("10.0.5", false),
            ("key cloak", false),
            ("b\u{fc}cher", false),
            ("keycloak?", false),
            ("keycloak#x", false),
        ] {
            assert_eq!(is_exact_host(text), good, "{text:?}");
        }
    }

    /// The client passes the text of the parsed URL to another parser. Both must see the same URL,
    /// and it must be the URL as written.
    #[test]
    fn readers_of_an_accepted_url_see_the_same() {
        for &(text, _, _, endpoint) in URLS {
            let Ok(url) = check_url(text, true) else { continue };
            assert!(endpoint);
            for text in [text, url.as_str()] {
                let other: http::Uri = text.parse().unwrap();
                let host = other.host().unwrap().to_ascii_lowercase();
                assert_eq!(Some(host.as_str()), url.host_str(), "{text}");
                assert_eq!(other.path(), url.path(), "{text}");
                assert_eq!(other.query(), url.query(), "{text}");
                let port = other.port_u16().or(url.port_or_known_default());
                assert_eq!(port, url.port_or_known_default(), "{text}");
            }
        }
    }

    #[test]
    fn the_normal_form_is_shown_where_it_is_one() {
        for (text, expected) in [
            (
                "https://as.example.com/a/../b",
                "is not in normal form; the normal form is `https://as.example.com/b`",
            ),
            (
                "https://b\u{fc}cher.example",
                "is not in normal form; the normal form is `https://xn--bcher-kva.example`",
            ),
            (
                "https:as.example.com/",
                "is not an absolute URL; the normal form is `https://as.example.com/`",
            ),
            ("https://as.example.com/a%2fb", "has an encoded delimiter in its path"),
            ("https://as.example.com/a//b", "must have no empty segment in its path"),
            ("https://as.example.com/x/..//b", "is not in normal form"),
            ("https://as.example.com:99999", "is not a URL"),
            ("http://as.example.com/a/../b", "must be https"),
            ("https://user:secret@as.example.com/a/../b", "must have no user name"),
            (
                "https://as.example.com/a/../b?key=secret",
                "is not in normal form; the normal form is `https://as.example.com/b`",
            ),
        ] {
            assert_eq!(check_url(text, true).unwrap_err().to_string(), expected, "{text}");
        }
        let template = check_normal("https://AS.example.com:443", false).unwrap_err().to_string();
        assert!(template.ends_with("the normal form is `https://as.example.com`"), "{template}");
    }

    #[test]
    fn resources() {
        for &(url, from_token, _, _) in URLS {
            let has_query = url.contains('?');
            assert!(has_query || check_resource(url, true).is_ok() == from_token, "{url:?}");
        }
        for (url, good) in [
            ("https://api.example.com?x=1", true),
            ("https://api.example.com/?x=1", true),
            ("https://api.example.com/v1?", true),
            ("https://api.example.com/v1?x=%22", true),
            ("https://api.example.com/v1?x=\"", false),
            ("https://api.example.com/v1?x=\u{e9}", false),
            ("https://api.example.com/v1?x=|", false),
            ("https://api.example.com/v1?x=1#", false),
            ("https://API.example.com/v1", false),
            ("HTTPS://api.example.com/v1", false),
            ("https://api.example.com:443/v1", false),
            ("https://user@api.example.com/v1", false),
        ] {
            assert_eq!(check_resource(url, false).is_ok(), good, "{url:?}");
        }
        let error = check_resource("https://API.example.com/v1", false).unwrap_err().to_string();
        assert!(error.ends_with("the normal form is `https://api.example.com/v1`"), "{error}");
    }

    #[test]
    fn the_length_of_a_host_is_bounded() {
        for (length, good) in [(MAX_AUTHORITY, true), (MAX_AUTHORITY + 1, false)] {
            let url = format!("https://{}/t1", "a".repeat(length));
            assert_eq!(is_normal(&url, false), good, "{length}");
        }
    }

    #[test]
    fn audiences_by_http_name_this_machine() {
        for (text, expected) in [
            ("http://localhost:3000/api", true),
            ("http://127.0.0.1", true),
            ("https://api.example.com", false),
            ("http://api.example.com", false),
            ("http://localhost@api.example.com", false),
        ] {
            assert_eq!(is_http_loopback(text), expected, "{text}");
        }
    }
}
