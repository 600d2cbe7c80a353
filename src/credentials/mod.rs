//! Step 1 of a request: finds the token that the request presents.
//!
//! Decides, in this order:
//!
//! - Several `Authorization` lines: 400. Neither the first nor the last line may be preferred (RFC
//!   9110 §11.6.2).
//! - No line, or a scheme other than `Bearer` (case-insensitive): no credentials for this server
//!   (RFC 6750 §3.1). `DPoP` (RFC 9449 §7.1) is read only if it is enabled.
//! - The scheme, one or more spaces, and one token68: this is the token (RFC 6750 §2.1). Anything else
//!   after the scheme is malformed: 400.
//! - The scheme in another place where another reader could find it, such as after white space or a
//!   comma: malformed, 400.
//! - A token by two methods, such as header and query: 400, even if both tokens are equal (RFC 6750 §2).
//!
//! Tokens in the query, the form or a WebSocket subprotocol are ignored unless this method is enabled
//! (OAuth 2.1 §5.1). An accepted query token is removed from the URI and stored with the request for the
//! inner layers. The same holds for the token in a subprotocol of a WebSocket handshake. The content of
//! the token is not read here.
mod authorization;
mod form;
mod presentation;
mod query;
mod token68;
mod websocket;

use http::HeaderMap;

use crate::error::Error;
use crate::scheme::Scheme;

pub(crate) use form::FormToken;
#[cfg(feature = "dpop")]
pub(crate) use presentation::ProofField;
pub(crate) use presentation::{Certificate, Head, PROOF_FIELD, Placement, Presentation};
pub(crate) use query::{ACCESS_TOKEN, Query, QueryToken, query_token, without_query_token};
pub(crate) use token68::Token68;
pub(crate) use websocket::{TokenProtocol, WebSocket, WebSocketTokens};

use authorization::{from_header, scheme_of};
use form::from_form;
use presentation::Credentials;
use query::from_query;
use websocket::from_websocket;

/// The methods that are enabled in addition to the scheme `Bearer`, and where their tokens are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Methods<'a> {
    pub(crate) dpop: bool,
    pub(crate) form: Option<&'a FormToken>,
    /// Empty if the method is disabled.
    pub(crate) query: Query<'a>,
    pub(crate) websocket: Option<WebSocket<'a>>,
}

/// The scheme for the challenge, if the credentials of a request are malformed.
pub(crate) fn used_scheme(headers: &HeaderMap, accepts_dpop: bool) -> Scheme {
    scheme_of(headers, accepts_dpop)
}

/// Extracts the credentials of a request.
#[inline]
pub(crate) fn extract<'a>(
    head: Head<'a>,
    methods: Methods<'a>,
    certificate: Certificate,
) -> Result<Presentation<'a>, Error> {
    let websocket = methods.websocket.and_then(|websocket| from_websocket(head, websocket));
    let found = find(head.headers, methods, websocket)?;
    Ok(Presentation::new(found, head, certificate))
}

fn find<'a>(
    headers: &'a HeaderMap,
    Methods { dpop, form, query, .. }: Methods<'a>,
    websocket: Option<Result<Credentials<'a>, Error>>,
) -> Result<Credentials<'a>, Error> {
    let header = from_header(headers, dpop);
    let mut others = [form.map(from_form), from_query(query), websocket].into_iter().flatten();
    match (header, others.next(), others.next()) {
        (header, None, _) => header,
        // Credentials with another scheme present no token to this server, so they do not count as a
        // method.
        (Err(Error::MissingCredentials | Error::UnsupportedScheme), Some(other), None) => other,
        (Err(error @ Error::RepeatedCredentials), ..) => Err(error),
        _ => Err(Error::SeveralMethods),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::Uri;
    use http::header::AUTHORIZATION;

    use super::*;

    fn text_of(token: &Token68<'_>) -> String {
        String::from_utf8(token.as_bytes().to_vec()).unwrap()
    }

    fn header(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (AUTHORIZATION, HeaderValue::from_bytes(line).unwrap())).collect()
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
            let methods = Methods { form, query, ..Methods::default() };
            let found = find(headers, methods, None).map(|found| found.placement);
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
            let methods = Methods { form, query, ..Methods::default() };
            let found = find(headers, methods, None).map(|found| text_of(&found.token));
            assert_eq!(found, expected.map(str::to_owned), "{name}");
        }
        for uri in ["/", "/?a=1", "/?access_token=", "/?access_token=a&access_token=a"] {
            assert!(query_token(&Uri::from_static(uri)).is_none(), "{uri}");
        }
    }
}
