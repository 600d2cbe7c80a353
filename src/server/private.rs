//! The headers for the response to a request that passed.
//!
//! If the token is bound to a client certificate that came in a header, the response gets `Vary` with the
//! name of that header (RFC 9440 §2.4). The header itself, `Client-Cert` and `Client-Cert-Chain` are removed
//! from that response (§2.2, §2.3).
//!
//! If the proof of the request has an old nonce, the response gets a fresh nonce in `DPoP-Nonce`, and no cache
//! may store the response (RFC 9449 §8.2).
//!
//! If the token came in the query (RFC 6750 §2.3) or in a WebSocket subprotocol, a successful response is made
//! private.
//!
//! The reason: a shared cache stores no response to a request with `Authorization`, unless the response allows
//! it (RFC 9111 §3.5). This rule does not cover tokens in other places. A query token is a part of the URL, and
//! the URL is the key of a cache. So `Cache-Control` is set to `private`, unless it is already at least as
//! strict:
//!
//! - `private` is strict enough only without an argument: `private="set-cookie"` excludes only that
//!   field from shared caches (RFC 9111 §5.2.2.7);
//! - `no-store` is strict enough only without `must-understand`. With `must-understand`, some caches
//!   ignore `no-store` (§5.2.2.3);
//! - `public` and `s-maxage` are for shared caches, so they are removed. Other directives are kept;
//! - fields that caches obey instead of `Cache-Control` are removed: those of RFC 9213 and older ones;
//! - if a quoted string is malformed, caches may read the field differently. Then the whole field is
//!   replaced.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue, VARY};

use crate::credentials::{Certificate, Placement, Presentation};
use crate::rejection::DPOP_NONCE;
use crate::token::Facts;

/// Fields that some caches obey instead of `Cache-Control`, in addition to those of RFC 9213.
const OTHER_FIELDS: [&str; 3] = ["surrogate-control", "edge-control", "x-accel-expires"];

/// How the name of a field for one kind of cache ends (RFC 9213 §2).
const TARGETED: &str = "-cache-control";

/// The headers for the response to a request that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResponseHeaders {
    /// A fresh nonce for the client's next proof (RFC 9449 §8.2).
    nonce: Option<HeaderValue>,
    /// Whether the response must be private.
    private: bool,
    /// The name of the request's header with the client's certificate, if the response depends on it.
    certificate: Option<HeaderName>,
}

impl ResponseHeaders {
    pub(crate) const NONE: Self = Self { nonce: None, private: false, certificate: None };

    /// The headers that the presentation of the token requires.
    pub(crate) fn of(presentation: &Presentation<'_>) -> Self {
        let private = match presentation.placement {
            Placement::Query | Placement::WebSocket => true,
            Placement::Header | Placement::Form | Placement::Alone => false,
        };
        let certificate = match &presentation.certificate {
            Certificate::Present(_, header) => header.clone(),
            Certificate::Absent | Certificate::Ignored(_) => None,
        };
        Self { nonce: None, private, certificate }
    }

    /// The headers for a request with this token. Only a token that is bound to a certificate makes the
    /// response depend on the certificate.
    pub(crate) fn about(mut self, facts: &Facts) -> Self {
        if facts.cnf.is_none_or(|cnf| cnf.certificate.is_none()) {
            self.certificate = None;
        }
        self
    }

    /// Adds a nonce for the client.
    pub(crate) fn with_nonce(mut self, nonce: Option<HeaderValue>) -> Self {
        self.nonce = nonce;
        self
    }

    /// Whether the response needs any headers.
    pub(crate) fn are_needed(&self) -> bool {
        self.private || self.certificate.is_some() || self.nonce.is_some()
    }

    /// Adds the headers to a response. Only a successful response is made private.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap, is_success: bool) {
        if self.private && is_success {
            add_private(headers);
        }
        if let Some(nonce) = &self.nonce {
            // `insert` replaces a nonce of the inner service: a response has at most one (RFC 9449 §8.2).
            headers.insert(DPOP_NONCE, nonce.clone());
            remove_other_fields(headers);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Some(name) = &self.certificate {
            for own in CERTIFICATES.iter().chain([name]) {
                headers.remove(own);
            }
            add_vary(name, headers);
        }
    }
}

/// The fields of RFC 9440. No response may have them (§2.2, §2.3).
const CERTIFICATES: [HeaderName; 2] =
    [HeaderName::from_static("client-cert"), HeaderName::from_static("client-cert-chain")];

/// Adds the name of a request header to `Vary`, unless `Vary` names it already (RFC 9110 §12.5.5).
fn add_vary(name: &HeaderName, headers: &mut HeaderMap) {
    let is_named = headers.get_all(VARY).iter().any(|line| {
        line.as_bytes().split(|byte| *byte == b',').any(|own| {
            let own = own.trim_ascii();
            own == b"*" || own.eq_ignore_ascii_case(name.as_str().as_bytes())
        })
    });
    if !is_named {
        headers.append(VARY, HeaderValue::from(name.clone()));
    }
}

/// Makes the response private, unless its headers are already at least as strict.
fn add_private(headers: &mut HeaderMap) {
    remove_other_fields(headers);
    if let Some(value) = private(headers) {
        headers.insert(CACHE_CONTROL, value);
    }
}

fn remove_other_fields(headers: &mut HeaderMap) {
    let is_other = |name: &&HeaderName| {
        name.as_str().ends_with(TARGETED) || OTHER_FIELDS.contains(&name.as_str())
    };
    let others: Vec<_> = headers.keys().filter(is_other).cloned().collect();
    for name in others {
        headers.remove(name);
    }
}

/// The new value of `Cache-Control`. `None` if the field can stay unchanged.
fn private(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut directives = Vec::new();
    for line in headers.get_all(CACHE_CONTROL) {
        match split(line.as_bytes()) {
            Some(of_line) => directives.extend(of_line),
            None => return Some(nothing_of(headers)),
        }
    }
    let has = |name: &str| directives.iter().any(|directive| directive.is(name));
    let no_store = has("no-store") && !directives.iter().any(|one| one.named("must-understand"));
    let for_shared_caches = |directive: &&Directive<'_>| {
        directive.named("public") || directive.named("s-maxage") || directive.named("private")
    };
    let only_for_private =
        !directives.iter().any(|one| one.named("public") || one.named("s-maxage"));
    if no_store || has("private") && only_for_private {
        return None;
    }
    let rest = directives.iter().filter(|one| !for_shared_caches(one)).map(|one| one.text);
    let all: Vec<&[u8]> = std::iter::once(&b"private"[..]).chain(rest).collect();
    // The parts come from valid field values, so the new value is valid. If it were not, `private` alone
    // would be enough.
    Some(
        HeaderValue::from_bytes(&all.join(&b", "[..]))
            .unwrap_or(HeaderValue::from_static("private")),
    )
}

/// Replaces a malformed field. If it contains the text `no-store`, the new value keeps it.
fn nothing_of(headers: &HeaderMap) -> HeaderValue {
    let mut lines = headers.get_all(CACHE_CONTROL).iter();
    let word = b"no-store";
    let says = |line: &HeaderValue| {
        line.as_bytes().windows(word.len()).any(|text| text.eq_ignore_ascii_case(word))
    };
    match lines.any(says) {
        true => HeaderValue::from_static("private, no-store"),
        false => HeaderValue::from_static("private"),
    }
}

/// One directive, with its argument.
struct Directive<'a> {
    text: &'a [u8],
    name: &'a [u8],
}

impl Directive<'_> {
    /// Whether it has this name, with any argument or none.
    fn named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether it is exactly this word, without an argument.
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word.as_bytes())
    }
}

/// The directives of one line (RFC 9111 §5.2). Commas separate them, except inside a quoted string
/// (RFC 9110 §5.6.4). `None` if a quoted string is at the wrong place or has no end.
fn split(line: &[u8]) -> Option<Vec<Directive<'_>>> {
    let mut directives = Vec::new();
    let mut rest = line;
    loop {
        let end = end_of_directive(rest)?;
        let (text, behind) = rest.split_at(end);
        let text = text.trim_ascii();
        if !text.is_empty() {
            let name = text.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii_end();
            directives.push(Directive { text, name });
        }
        match behind {
            [_comma, behind @ ..] => rest = behind,
            [] => return Some(directives),
        }
    }
}

/// The end of a directive: a comma, or the end of the line.
fn end_of_directive(text: &[u8]) -> Option<usize> {
    let mut state = State::Name;
    for (at, byte) in text.iter().enumerate() {
        state = match (state, byte) {
            (State::Quoted, b'"') => State::Behind,
            (State::Quoted, b'\\') => State::Escaped,
            (State::Quoted | State::Escaped, _) => State::Quoted,
            (_, b',') => return Some(at),
            (State::Name, b'=') => State::Equals,
            (State::Equals, b'"') => State::Quoted,
            (State::Name | State::Word, b'"') => return None,
            (state, b' ' | b'\t') => state,
            (State::Behind, _) => return None,
            (State::Equals, _) => State::Word,
            (state, _) => state,
        };
    }
    match state {
        State::Quoted | State::Escaped => None,
        State::Name | State::Equals | State::Word | State::Behind => Some(text.len()),
    }
}

/// The position inside a directive.
#[derive(Clone, Copy)]
enum State {
    Name,
    /// After the `=`.
    Equals,
    /// In an argument without quotes.
    Word,
    Quoted,
    /// After a backslash in a quoted string.
    Escaped,
    /// After a quoted string.
    Behind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_private_and_keeps_the_rest() {
        for (lines, expected) in [
            (&[][..], "private"),
            (&["public, max-age=60"], "private, max-age=60"),
            (&["no-cache", "must-revalidate"], "private, no-cache, must-revalidate"),
            (&["S-MaxAge = 5, max-age=1"], "private, max-age=1"),
            (&["No-Store"], "No-Store"),
            (&["max-age=5, PRIVATE"], "max-age=5, PRIVATE"),
            (&[" , ,"], "private"),
            // Only for some fields.
            (&["private=\"set-cookie\", max-age=3600"], "private, max-age=3600"),
            (&["max-age=5, Private=\"a, no-store, b\""], "private, max-age=5"),
            (&["private=set-cookie"], "private"),
            (&["private="], "private"),
            (&["private=\"\""], "private"),
            (&["private =\"x\""], "private"),
            (&["private=\"x\", private, max-age=5"], "private=\"x\", private, max-age=5"),
            (
                &["no-cache=\"set-cookie\", max-age=5"],
                "private, no-cache=\"set-cookie\", max-age=5",
            ),
            (&["no-cache"], "private, no-cache"),
            (&["no-store=\"x\""], "private, no-store=\"x\""),
            // Text that only looks like a directive.
            (&["x=\"a, private, b\""], "private, x=\"a, private, b\""),
            (&["x=\"no-store\", max-age=5"], "private, x=\"no-store\", max-age=5"),
            (&["x=\"a\\\", private, \\\"b\""], "private, x=\"a\\\", private, \\\"b\""),
            (&["x=\"a\\\\\", private"], "x=\"a\\\\\", private"),
            (&["x-private, private-x"], "private, x-private, private-x"),
            // A contradiction.
            (&["private, public"], "private"),
            (&["private", "s-maxage=60, max-age=5"], "private, max-age=5"),
            (&["public, no-store"], "public, no-store"),
            (&["must-understand, no-store"], "private, must-understand, no-store"),
            // A broken quoted string.
            (&["x=\"a, private"], "private"),
            (&["max-age=5, x=\"a"], "private"),
            (&["x=\"a\\", "b\", private"], "private"),
            (&["x=\"a", "b\", no-cache"], "private"),
            (&["x=\"a\"b, max-age=5"], "private"),
            (&["x\"a\", max-age=5"], "private"),
            (&["\"private\", max-age=5"], "private"),
            (&["x=a\"b\", max-age=5"], "private"),
            (&["x=a=\"b, private"], "private"),
            (&["x=\"a\" b, private"], "private"),
            (&["No-Store, x=\"a"], "private, no-store"),
        ] {
            let values = lines.iter().map(|line| (CACHE_CONTROL, HeaderValue::from_static(line)));
            let mut headers: HeaderMap = values.collect();
            add_private(&mut headers);
            let found: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(found, [expected], "{lines:?}");
        }
        let mut headers: HeaderMap = ["private", "max-age=5"]
            .map(|line| (CACHE_CONTROL, HeaderValue::from_static(line)))
            .into_iter()
            .collect();
        add_private(&mut headers);
        assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 2, "as the handler wrote it");
    }

    #[test]
    fn no_other_field_lets_a_cache_keep_it() {
        for (name, stays) in [
            ("cdn-cache-control", false),
            ("cloudflare-cdn-cache-control", false),
            ("surrogate-control", false),
            ("edge-control", false),
            ("x-accel-expires", false),
            ("expires", true),
            ("etag", true),
            ("x-cache-controls", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("max-age=60"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
            add_private(&mut headers);
            assert_eq!(headers.contains_key(name), stays, "{name}");
            assert_eq!(headers[CACHE_CONTROL], "private");
        }
    }
}
