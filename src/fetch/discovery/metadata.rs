//! The metadata document. The parser is as lenient as it can be without accepting anything wrong.

use std::fmt;

use crate::fetch::document::raw_members;
use crate::token::Excerpt;

/// Why a document is not usable as the metadata of the issuer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MetadataFault {
    NotJson,
    /// A member that is read occurs more than once, so two readers could use different values.
    Repeated,
    /// The `issuer` of the document, if it has one.
    AnotherIssuer(Option<Excerpt>),
    /// The document is the issuer's, but it has no URL that this crate uses.
    NoUrls,
}

/// The metadata that a resource server needs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) jwks_uri: Option<String>,
    /// RFC 8414 §2.
    pub(crate) introspection_endpoint: Option<String>,
    /// The introspection endpoint for a client with a certificate (RFC 8705 §5).
    pub(crate) mtls_introspection_endpoint: Option<String>,
}

/// Reads the metadata of `issuer`.
///
/// # Errors
/// Fails if the document is not the metadata of `issuer`.
pub(super) fn parse(document: &[u8], issuer: &str) -> Result<Metadata, MetadataFault> {
    let text = std::str::from_utf8(document).map_err(|_| MetadataFault::NotJson)?;
    let document = raw_members(text, &MEMBERS).ok_or(MetadataFault::NotJson)?;
    let [named, jwks_uri, endpoint, aliases] = document.texts;
    let aliases = aliases.and_then(|text| raw_members(text, &MEMBERS));
    if document.repeated || aliases.as_ref().is_some_and(|aliases| aliases.repeated) {
        return Err(MetadataFault::Repeated);
    }
    // RFC 8414 §3.3 and §4: identical, code point by code point.
    let found = named.and_then(string);
    if found.as_deref() != Some(issuer) {
        return Err(MetadataFault::AnotherIssuer(found.as_deref().map(Excerpt::of_url)));
    }
    let [.., mtls_endpoint, _] = aliases.map(|aliases| aliases.texts).unwrap_or_default();
    let metadata = Metadata {
        jwks_uri: jwks_uri.and_then(string),
        introspection_endpoint: endpoint.and_then(string),
        mtls_introspection_endpoint: mtls_endpoint.and_then(string),
    };
    // A document without a usable URL is an error, so that it is fetched again soon and not cached
    // for an hour.
    if metadata.jwks_uri.is_none() && metadata.introspection_endpoint.is_none() {
        return Err(MetadataFault::NoUrls);
    }
    Ok(metadata)
}

/// The members that are read. The last of them is an object, in which the same members are read.
const MEMBERS: [&str; 4] =
    ["issuer", "jwks_uri", "introspection_endpoint", "mtls_endpoint_aliases"];

/// The text of a JSON string. Any other value, including null, counts as an absent member.
fn string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

impl fmt::Display for MetadataFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("not a JSON object"),
            Self::Repeated => f.write_str("a member twice"),
            Self::AnotherIssuer(Some(found)) => {
                write!(f, "another `issuer`, {found}: compare it with the configured one")
            }
            Self::AnotherIssuer(None) => f.write_str("no `issuer`"),
            Self::NoUrls => f.write_str("no `jwks_uri`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        const ISSUER: &str = "https://as/t1";
        for (name, document, good) in [
            ("good", r#"{"issuer":"https://as/t1","jwks_uri":"https://keys/"}"#, true),
            ("escaped", r#"{"issuer":"https:\/\/as\/t1","jwks_uri":"https://keys/"}"#, true),
            ("slash more", r#"{"issuer":"https://as/t1/","jwks_uri":"https://keys/"}"#, false),
            ("case", r#"{"issuer":"https://AS/t1","jwks_uri":"https://keys/"}"#, false),
            ("no issuer", r#"{"jwks_uri":"https://keys/"}"#, false),
            (
                "issuer as array",
                r#"{"issuer":["https://as/t1"],"jwks_uri":"https://keys/"}"#,
                false,
            ),
            ("neither URL", r#"{"issuer":"https://as/t1"}"#, false),
            (
                "introspection alone",
                r#"{"issuer":"https://as/t1","introspection_endpoint":"https://as/i"}"#,
                true,
            ),
            (
                "two issuers",
                r#"{"issuer":"https://as/t1","issuer":"https://as/t1","jwks_uri":"https://keys/"}"#,
                false,
            ),
            ("array", "[]", false),
            (
                "two key URLs",
                r#"{"issuer":"https://as/t1","jwks_uri":"https://a/","jwks_uri":"https://a/"}"#,
                false,
            ),
            (
                "two key URLs, one by an escape",
                r#"{"issuer":"https://as/t1","jwks_uri":"https://a/","jwks\u005furi":"https://a/"}"#,
                false,
            ),
            (
                "two endpoints",
                r#"{"issuer":"https://as/t1","introspection_endpoint":"https://a/","introspection_endpoint":"https://b/"}"#,
                false,
            ),
            (
                "two endpoints for mutual TLS",
                r#"{"issuer":"https://as/t1","jwks_uri":"https://a/","mtls_endpoint_aliases":{"introspection_endpoint":"https://a/","introspection_endpoint":"https://b/"}}"#,
                false,
            ),
            (
                "a member that is not read, twice",
                r#"{"x":1,"issuer":"https://as/t1","x":{"y":1,"y":2},"jwks_uri":"https://a/"}"#,
                true,
            ),
            (
                "the same in the aliases",
                r#"{"issuer":"https://as/t1","jwks_uri":"https://a/","mtls_endpoint_aliases":{"x":1,"x":1}}"#,
                true,
            ),
            (
                "a number out of range, half a surrogate pair",
                r#"{"issuer":"https://as/t1","a":1e400,"b":"\ud800","jwks_uri":"https://a/"}"#,
                true,
            ),
            (
                "half a surrogate pair in a URL that is read",
                r#"{"issuer":"https://as/t1","jwks_uri":"https://a/\ud800"}"#,
                false,
            ),
            ("null for the URL", r#"{"issuer":"https://as/t1","jwks_uri":null}"#, false),
            (
                "null beside a URL",
                r#"{"issuer":"https://as/t1","jwks_uri":"https://a/","introspection_endpoint":null,"mtls_endpoint_aliases":null}"#,
                true,
            ),
            ("issuer null", r#"{"issuer":null,"jwks_uri":"https://a/"}"#, false),
            ("more behind it", r#"{"issuer":"https://as/t1","jwks_uri":"https://a/"} {}"#, false),
        ] {
            assert_eq!(parse(document.as_bytes(), ISSUER).is_ok(), good, "{name}");
        }
        let scopes = |count: usize| {
            let scopes = vec!["\"a:b\""; count].join(",");
            let start = r#"{"issuer":"https://as/t1","jwks_uri":"https://a/","scopes_supported":["#;
            format!("{start}{scopes}]}}")
        };
        assert!(parse(scopes(20_000).as_bytes(), ISSUER).is_ok(), "20,000 scopes");
        let nested = format!(
            r#"{{"x":{}{},"issuer":"https://as/t1","jwks_uri":"https://a/"}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(parse(nested.as_bytes(), ISSUER).is_ok(), "nested, without recursion");
        // NFC and NFD of one name are two different names.
        let nfd = "{\"issuer\":\"https://as/e\u{301}\",\"jwks_uri\":\"https://keys/\"}";
        assert!(parse(nfd.as_bytes(), "https://as/\u{e9}").is_err());
        assert!(parse(nfd.as_bytes(), "https://as/e\u{301}").is_ok());
    }
}
