//! Step 1 of the walk: finds the token that the request presents.
//!
//! Decides, in this order:
//!
//! - Several `Authorization` lines: 400. Neither the first nor the last line may be preferred (RFC
//!   9110 §11.6.2).
//! - No line, or a scheme other than `Bearer` (case-insensitive): no credentials for this server
//!   (RFC 6750 §3.1).
//! - `Bearer`, one or more spaces, one token68: the token (RFC 6750 §2.1). Anything else after
//!   `Bearer` is malformed: 400.
//! - `Bearer` at a place where another reader could find it, after white space or a comma:
//!   malformed, 400.
//! - A token by two methods: 400, even if both tokens are equal (RFC 6750 §2).
//!
//! Tokens in the query or the form are ignored unless enabled (OAuth 2.1 §5.1). An accepted query
//! token is removed from the URI and stored with the request for the inner layers. The content of
//! the token is not read here.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http::header::AUTHORIZATION;
use http::uri::{PathAndQuery, Uri};

use crate::challenge::is_tchar;
use crate::error::Error;

/// The name of the parameter in a query or a form (RFC 6750 §2.2, §2.3).
pub(crate) const ACCESS_TOKEN: &str = "access_token";

/// The scheme (RFC 6750 §2.1), case-insensitive.
const BEARER: &[u8] = b"Bearer";

/// Where the request carried its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Header,
    Form,
    Query,
}

/// The scheme with which a token was presented (RFC 9110 §11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
}

/// The parts of a request's head that may be used to validate a token.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// A token as presented, with the parts of the request that may be checked against it. It is
/// borrowed. It is cloned only if the request has to wait, or
/// if the server keeps the text of tokens.
#[derive(Clone)]
pub(crate) struct Presentation<'a> {
    pub(crate) token: Token68<'a>,
    pub(crate) scheme: Scheme,
    pub(crate) placement: Placement,
    target: Target<'a>,
}

/// The method and the URI of a request.
#[derive(Clone)]
#[allow(dead_code, reason = "the proof of a sender names them (RFC 9449 §4.2)")]
enum Target<'a> {
    Borrowed(&'a Method, &'a Uri),
    Owned(Arc<(Method, Uri)>),
}

impl<'a> Presentation<'a> {
    #[inline]
    fn new(token: Credentials<'a>, head: Head<'a>) -> Self {
        let Credentials { token, placement } = token;
        let target = Target::Borrowed(head.method, head.uri);
        Self { token, scheme: Scheme::Bearer, placement, target }
    }

    /// The same value without borrows, for storage.
    pub(crate) fn into_owned(self) -> Presentation<'static> {
        Presentation {
            token: self.token.into_owned(),
            scheme: self.scheme,
            placement: self.placement,
            target: Target::Owned(match self.target {
                Target::Borrowed(method, uri) => Arc::new((method.clone(), uri.clone())),
                Target::Owned(owned) => owned,
            }),
        }
    }
}

/// The text of a token: a `token68` (RFC 9110 §11.2), which RFC 6750 calls `b64token`. All its
/// characters are ASCII.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token68<'a>(Cow<'a, [u8]>);

impl<'a> Token68<'a> {
    /// Returns `None` if the text is not a token68.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        is_token68(text).then_some(Self(Cow::Borrowed(text)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The token as a `str`. This checks the text again, so call it only where a `str` is needed.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The same value without borrows, for storage.
    pub(crate) fn into_owned(self) -> Token68<'static> {
        Token68(Cow::Owned(self.0.into_owned()))
    }
}

/// A token, and the method with which it was presented.
#[derive(PartialEq, Eq)]
struct Credentials<'a> {
    token: Token68<'a>,
    placement: Placement,
}

/// The token that the form layer found in a body, for the server of that layer.
#[derive(Clone)]
pub(crate) enum FormToken {
    One(String),
    Repeated,
}

/// The query token of a request. It is stored in the request's extensions after it was removed from
/// the URI. It belongs to the request and not to one server: every server that accepts query tokens
/// must see it. Otherwise, a request with a token would pass an optional layer as anonymous.
#[derive(Clone)]
pub(crate) struct QueryToken(Arc<[u8]>);

impl fmt::Debug for QueryToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueryToken(..)")
    }
}

/// The query tokens of a request, if that method is enabled.
#[derive(Clone, Copy, Default)]
pub(crate) struct Query<'a> {
    /// The current query of the URI.
    pub(crate) uri: Option<&'a str>,
    /// The token that an outer layer removed from the URI.
    pub(crate) kept: Option<&'a QueryToken>,
}

/// Extracts the credentials of a request. `query` is empty if that method is disabled.
#[inline]
pub(crate) fn extract<'a>(
    head: Head<'a>,
    form: Option<&'a FormToken>,
    query: Query<'a>,
) -> Result<Presentation<'a>, Error> {
    let found = find(head.headers, form, query)?;
    Ok(Presentation::new(found, head))
}

fn find<'a>(
    headers: &'a HeaderMap,
    form: Option<&'a FormToken>,
    query: Query<'a>,
) -> Result<Credentials<'a>, Error> {
    let header = from_header(headers);
    let form = form.map(from_form);
    let query = from_query(query);
    match (header, form, query) {
        // Credentials with another scheme do not count as a method of presenting a token.
        (Err(Error::MissingCredentials | Error::UnsupportedScheme), Some(form), None) => form,
        (Err(Error::MissingCredentials | Error::UnsupportedScheme), None, Some(query)) => query,
        (header, None, None) => header,
        (Err(error @ Error::RepeatedCredentials), ..) => Err(error),
        _ => Err(Error::SeveralMethods),
    }
}

fn from_header(headers: &HeaderMap) -> Result<Credentials<'_>, Error> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        return Err(Error::MissingCredentials);
    };
    if lines.next().is_some() {
        return Err(Error::RepeatedCredentials);
    }
    let line = line.as_bytes();
    // A scheme is an HTTP token (RFC 9110 §11.1). It ends at the first character that is not
    // allowed in such a token.
    let bearer = line.split_at_checked(BEARER.len());
    let Some((_, rest)) = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BEARER)) else {
        return Err(another_scheme(line));
    };
    let token = rest.trim_ascii_start_spaces();
    if token.len() == rest.len() {
        let goes_on = rest.first().copied().is_some_and(is_tchar);
        return Err(if goes_on { another_scheme(line) } else { Error::MalformedCredentials });
    }
    let token = Token68::parse(token).ok_or(Error::MalformedCredentials)?;
    Ok(Credentials { token, placement: Placement::Header })
}

/// Classifies a line that does not begin with the scheme `Bearer`. Over HTTP/2, the line may have
/// white space around it, although the sender must not send it (RFC 9113 §8.2.1). A proxy may have
/// joined two lines with a comma (RFC 9110 §5.3). Another reader could find a token in such a line,
/// so it must not pass as anonymous.
#[inline]
fn another_scheme(line: &[u8]) -> Error {
    let begins_with_a_scheme = line.first().is_some_and(u8::is_ascii_alphabetic);
    let hides_bearer = (!begins_with_a_scheme || has_comma(line)) && hides_bearer(line);
    if hides_bearer { Error::MalformedCredentials } else { Error::UnsupportedScheme }
}

/// Works in blocks, as for a token68.
#[inline]
fn has_comma(line: &[u8]) -> bool {
    let any = |block: &[u8]| block.iter().fold(false, |any, byte| any | (*byte == b','));
    let (blocks, short) = line.as_chunks::<8>();
    let last = line.last_chunk::<8>().map_or(short, |last| last);
    blocks.iter().fold(false, |found, block| found | any(block)) | any(last)
}

/// Whether any element of the list may be a Bearer token, after leading characters that cannot be
/// part of a scheme are skipped.
#[cold]
fn hides_bearer(line: &[u8]) -> bool {
    line.split(|byte| *byte == b',').any(|element| {
        let begins_at = element.iter().position(|byte| is_tchar(*byte)).unwrap_or(element.len());
        let (_, element) = element.split_at(begins_at);
        element.split_at_checked(BEARER.len()).is_some_and(|(scheme, rest)| {
            let goes_on = rest.first().copied().is_some_and(is_tchar);
            scheme.eq_ignore_ascii_case(BEARER) && !goes_on
        })
    })
}

fn from_form(form: &FormToken) -> Result<Credentials<'_>, Error> {
    match form {
        FormToken::Repeated => Err(Error::RepeatedCredentials),
        FormToken::One(token) => {
            let token = Token68::parse(token.as_bytes()).ok_or(Error::MalformedCredentials)?;
            Ok(Credentials { token, placement: Placement::Form })
        }
    }
}

fn from_query(query: Query<'_>) -> Option<Result<Credentials<'_>, Error>> {
    let (uri, kept) = (query.uri.and_then(from_uri), query.kept.map(|QueryToken(token)| &**token));
    match (uri, kept) {
        (None, None) => None,
        (None, Some(kept)) => {
            let token = Token68(Cow::Borrowed(kept));
            Some(Ok(Credentials { token, placement: Placement::Query }))
        }
        // A middleware restored the URI. A different token in it counts as a second token.
        (Some(Ok(uri)), Some(kept)) if uri.token.as_bytes() != kept => {
            Some(Err(Error::RepeatedCredentials))
        }
        (Some(uri), _) => Some(uri),
    }
}

fn from_uri<'a>(query: &str) -> Option<Result<Credentials<'a>, Error>> {
    let mut tokens = form_urlencoded::parse(query.as_bytes())
        .filter_map(|(name, token)| (name == ACCESS_TOKEN).then_some(token));
    let token = tokens.next()?;
    Some(match (tokens.next(), Token68::parse(token.as_bytes())) {
        (Some(_), _) => Err(Error::RepeatedCredentials),
        (None, None) => Err(Error::MalformedCredentials),
        (None, Some(token)) => {
            Ok(Credentials { token: token.into_owned(), placement: Placement::Query })
        }
    })
}

/// The token in the query of a URI, to be stored when it is removed from the URI.
pub(crate) fn query_token(uri: &Uri) -> Option<QueryToken> {
    let Credentials { token, .. } = from_uri(uri.query()?)?.ok()?;
    Some(QueryToken(token.as_bytes().into()))
}

/// The URI without its `access_token`, so that inner layers do not log the token (RFC 6750 §2.3).
/// The rest of the query is unchanged, byte for byte.
pub(crate) fn without_query_token(uri: &Uri) -> Uri {
    let Some(query) = uri.query() else {
        return uri.clone();
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            form_urlencoded::parse(pair.as_bytes()).all(|(name, _)| name != ACCESS_TOKEN)
        })
        .collect();
    let path_and_query = if kept.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{}", uri.path(), kept.join("&"))
    };
    let mut parts = uri.clone().into_parts();
    // A query that was valid stays valid without some of its parts. If parsing fails anyway, drop
    // the whole query.
    parts.path_and_query =
        path_and_query.parse().or_else(|_| uri.path().parse::<PathAndQuery>()).ok();
    Uri::from_parts(parts).unwrap_or_default()
}

fn is_token68(bytes: &[u8]) -> bool {
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let (body, _) = bytes.split_at(bytes.len() - padding);
    // Works in blocks, so that the compiler checks many octets at once. The last block is the last
    // 16 octets, some of which may be checked twice.
    let (blocks, short) = body.as_chunks::<BLOCK>();
    let good = blocks.iter().all(is_of_token68)
        && match body.last_chunk::<BLOCK>() {
            Some(last) => is_of_token68(last),
            None => short.iter().copied().all(is_token68_char),
        };
    good && !body.is_empty()
}

/// The number of octets of a token that are checked together.
const BLOCK: usize = 16;

/// No early exit within the block.
#[inline(always)]
fn is_of_token68(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(true, |good, byte| good & is_token68_char(*byte))
}

/// No branches.
#[inline(always)]
fn is_token68_char(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.`, `/` and the digits are adjacent in ASCII.
    let digit = byte.wrapping_sub(b'-') < 13;
    letter | digit | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

trait TrimSpaces {
    fn trim_ascii_start_spaces(&self) -> &Self;
}

impl TrimSpaces for [u8] {
    /// Removes leading spaces (SP). RFC 9110 §11.4 allows no other separator here, not even a tab.
    fn trim_ascii_start_spaces(&self) -> &Self {
        let spaces = self.iter().take_while(|byte| **byte == b' ').count();
        self.get(spaces..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn text_of(token: &Token68<'_>) -> String {
        String::from_utf8(token.as_bytes().to_vec()).unwrap()
    }

    fn header(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (AUTHORIZATION, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    #[test]
    fn the_authorization_field() {
        type Lines = &'static [&'static [u8]];
        let cases: &[(&str, Lines, Result<&str, Error>)] = &[
            ("plain", &[b"Bearer abc.def-_~+/=="], Ok("abc.def-_~+/==")),
            ("lower case", &[b"bearer t"], Ok("t")),
            ("mixed case", &[b"bEaReR t"], Ok("t")),
            ("several spaces", &[b"Bearer   t"], Ok("t")),
            ("no line", &[], Err(Error::MissingCredentials)),
            ("two equal lines", &[b"Bearer t", b"Bearer t"], Err(Error::RepeatedCredentials)),
            ("two schemes", &[b"Basic eA==", b"Bearer t"], Err(Error::RepeatedCredentials)),
            ("one line, two", &[b"Bearer t, Bearer t"], Err(Error::MalformedCredentials)),
            ("basic", &[b"Basic eA=="], Err(Error::UnsupportedScheme)),
            ("glued", &[b"BearerT"], Err(Error::UnsupportedScheme)),
            ("empty", &[b""], Err(Error::UnsupportedScheme)),
            ("only blanks", &[b" \t "], Err(Error::UnsupportedScheme)),
            ("leading blank", &[b" Bearer t"], Err(Error::MalformedCredentials)),
            ("leading tab", &[b"\tbearer t"], Err(Error::MalformedCredentials)),
            ("blanks around", &[b" \t Bearer t \t"], Err(Error::MalformedCredentials)),
            ("leading blank, no token", &[b" Bearer"], Err(Error::MalformedCredentials)),
            ("leading blank, tab", &[b" Bearer\tt"], Err(Error::MalformedCredentials)),
            ("trailing blank", &[b"Bearer t "], Err(Error::MalformedCredentials)),
            ("trailing tab", &[b"Bearer t\t"], Err(Error::MalformedCredentials)),
            ("leading no-break space", &[b"\xc2\xa0Bearer t"], Err(Error::MalformedCredentials)),
            ("leading obs-text", &[b"\x85Bearer t"], Err(Error::MalformedCredentials)),
            ("obs-text behind", &[b"Bearer\xa0t"], Err(Error::MalformedCredentials)),
            ("leading quote", &[b"\"Bearer t\""], Err(Error::MalformedCredentials)),
            ("leading comma", &[b", Bearer t"], Err(Error::MalformedCredentials)),
            ("one line of two", &[b"Basic eA==, Bearer t"], Err(Error::MalformedCredentials)),
            ("of two, no blank", &[b"Basic eA==,bearer t"], Err(Error::MalformedCredentials)),
            ("leading blank, other", &[b" Basic eA=="], Err(Error::UnsupportedScheme)),
            ("leading blank, longer", &[b" Bearers t"], Err(Error::UnsupportedScheme)),
            ("other of a list", &[b"Digest a=\"b\", c=\"d\""], Err(Error::UnsupportedScheme)),
            ("Bearer inside", &[b"Digest realm=\"Bearer t\""], Err(Error::UnsupportedScheme)),
            ("no token", &[b"Bearer"], Err(Error::MalformedCredentials)),
            ("only spaces", &[b"Bearer   "], Err(Error::MalformedCredentials)),
            ("two words", &[b"Bearer a b"], Err(Error::MalformedCredentials)),
            ("comma", &[b"Bearer a,b"], Err(Error::MalformedCredentials)),
            ("quoted", &[b"Bearer \"a\""], Err(Error::MalformedCredentials)),
            ("tab", &[b"Bearer\ta"], Err(Error::MalformedCredentials)),
            ("tab after space", &[b"Bearer \ta"], Err(Error::MalformedCredentials)),
            ("only padding", &[b"Bearer ="], Err(Error::MalformedCredentials)),
            ("padding inside", &[b"Bearer a=b"], Err(Error::MalformedCredentials)),
            ("not ASCII", &[b"Bearer \xc3\xa9"], Err(Error::MalformedCredentials)),
            ("auth-param", &[b"Bearer token=abc"], Err(Error::MalformedCredentials)),
        ];
        for (name, lines, expected) in cases {
            let headers = header(lines);
            let found = find(&headers, None, Query::default()).map(|found| text_of(&found.token));
            assert_eq!(found, expected.clone().map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn the_alphabet_of_a_token68() {
        const ALPHABET: &[u8] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
        for byte in 0..=u8::MAX {
            // Lengths with no whole block, exactly one block, a little less and a little more, and
            // several blocks.
            for length in [1, 15, 16, 17, 31, 43, 64] {
                for at in [0, 14, 15, 16, 30, 40, 63].into_iter().filter(|at| *at < length) {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let padding_at_the_end = byte == b'=' && at == length - 1 && length > 1;
                    let good = ALPHABET.contains(&byte) || padding_at_the_end;
                    assert_eq!(is_token68(&text), good, "{byte:#x} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn methods_exclude_each_other() {
        let one = FormToken::One("f".into());
        let (none, bearer, basic) = (header(&[]), header(&[b"Bearer h"]), header(&[b"Basic eA=="]));
        let repeated = FormToken::Repeated;
        let several = Err(Error::SeveralMethods);
        let twice = Err(Error::RepeatedCredentials);
        for (name, headers, form, query, expected) in [
            ("form", &none, Some(&one), None, Ok(Placement::Form)),
            ("query", &none, None, Some("a=1&access_token=q"), Ok(Placement::Query)),
            ("query without token", &bearer, None, Some("a=1"), Ok(Placement::Header)),
            ("form beside another scheme", &basic, Some(&one), None, Ok(Placement::Form)),
            ("header and form", &bearer, Some(&one), None, several.clone()),
            ("header and query", &bearer, None, Some("access_token=h"), several.clone()),
            ("form and query", &none, Some(&one), Some("access_token=q"), several),
            ("form twice", &none, Some(&repeated), None, twice.clone()),
            ("query twice", &none, None, Some("access_token=a&access_token=a"), twice.clone()),
            ("escaped", &none, None, Some("access_token=a&%61ccess_token=a"), twice),
            ("query empty", &none, None, Some("access_token="), Err(Error::MalformedCredentials)),
        ] {
            let query = Query { uri: query, kept: None };
            let found = find(headers, form, query).map(|found| found.placement);
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_query_token_that_was_taken_out_counts_as_before() {
        let one = FormToken::One("f".into());
        let (none, bearer, basic) = (header(&[]), header(&[b"Bearer h"]), header(&[b"Basic eA=="]));
        let kept = query_token(&Uri::from_static("/?a=1&access_token=q")).unwrap();
        assert!(!format!("{kept:?}").contains('q'));
        for (name, headers, form, uri, expected) in [
            ("alone", &none, None, None, Ok("q")),
            ("beside another query", &none, None, Some("a=1"), Ok("q")),
            ("beside another scheme", &basic, None, None, Ok("q")),
            ("the URI was put back", &none, None, Some("access_token=q"), Ok("q")),
            ("escaped", &none, None, Some("access_token=%71"), Ok("q")),
            ("another", &none, None, Some("access_token=p"), Err(Error::RepeatedCredentials)),
            ("and one in the header", &bearer, None, None, Err(Error::SeveralMethods)),
            ("and one in a form", &none, Some(&one), None, Err(Error::SeveralMethods)),
        ] {
            let query = Query { uri, kept: Some(&kept) };
            let found = find(headers, form, query).map(|found| text_of(&found.token));
            assert_eq!(found, expected.map(str::to_owned), "{name}");
        }
        for uri in ["/", "/?a=1", "/?access_token=", "/?access_token=a&access_token=a"] {
            assert!(query_token(&Uri::from_static(uri)).is_none(), "{uri}");
        }
    }

    #[test]
    fn the_token_leaves_the_uri() {
        for (uri, expected) in [
            ("/a?access_token=t", "/a"),
            ("/a?x=1&access_token=t&y=%202", "/a?x=1&y=%202"),
            ("/a?%61ccess_token=t&x", "/a?x"),
            ("https://h.example/a?access_token=t", "https://h.example/a"),
            ("/a?x=access_token", "/a?x=access_token"),
            ("/a", "/a"),
        ] {
            assert_eq!(without_query_token(&uri.parse().unwrap()).to_string(), expected);
        }
    }
}
