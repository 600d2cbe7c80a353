//! The token in the query of a URI (RFC 6750 §2.3).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::uri::{PathAndQuery, Uri};

use crate::credentials::presentation::{Credentials, Placement};
use crate::credentials::token68::Token68;
use crate::error::Error;
use crate::scheme::Scheme;

/// The name of the parameter in a query or a form (RFC 6750 §2.2, §2.3).
pub(crate) const ACCESS_TOKEN: &str = "access_token";
/// The query token of a request. A layer removes the token from the URI and stores it in the
/// request's extensions. The token belongs to the request and not to one server: every server that
/// accepts query tokens must see it. Otherwise, a request with a token would pass an optional layer
/// as anonymous.
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

pub(super) fn from_query(query: Query<'_>) -> Option<Result<Credentials<'_>, Error>> {
    let (uri, kept) = (query.uri.and_then(from_uri), query.kept.map(|QueryToken(token)| &**token));
    match (uri, kept) {
        (None, None) => None,
        (None, Some(kept)) => {
            let token = Token68(Cow::Borrowed(kept));
            Some(Ok(Credentials { token, scheme: Scheme::Bearer, placement: Placement::Query }))
        }
        // A middleware restored the URI. If the URI has a different token, this is a second token.
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
            let token = token.into_owned();
            Ok(Credentials { token, scheme: Scheme::Bearer, placement: Placement::Query })
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

#[cfg(test)]
mod tests {
    use super::*;

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
