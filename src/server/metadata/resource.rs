//! The identifier of a resource, and the URL of its metadata.

use crate::observe::shown::shown;
use crate::url::check_resource;

/// The well-known path of the metadata (RFC 9728 §3).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The identifier of a resource, and the URL of its metadata (RFC 9728 §3.1).
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) identifier: String,
    /// The URL of the metadata.
    pub(crate) metadata_url: String,
    /// The path of `metadata_url`.
    pub(super) path: String,
    /// The query of `metadata_url`.
    pub(super) query: Option<String>,
}

impl Resource {
    /// Checks the identifier.
    ///
    /// # Errors
    /// The problem, as a sentence that names the setting.
    pub(crate) fn new(identifier: String, allow_http_loopback: bool) -> Result<Self, String> {
        let problem =
            |fault: &dyn std::fmt::Display| format!("resource `{}`: {fault}", shown(&identifier));
        check_resource(&identifier, allow_http_loopback).map_err(|fault| problem(&fault))?;
        let (scheme, rest) =
            identifier.split_once("://").ok_or_else(|| problem(&"is not an absolute URL"))?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        // RFC 9728 §3.1: if the path is only a slash, the slash is removed.
        let path = format!("{WELL_KNOWN}{}", if path == "/" { "" } else { path });
        let mut metadata_url = format!("{scheme}://{authority}{path}");
        if let Some(query) = &query {
            metadata_url.push('?');
            metadata_url.push_str(query);
        }
        Ok(Self { metadata_url, path, query, identifier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_name_is_inserted_behind_the_host() {
        for (identifier, url) in [
            ("https://h", "https://h/.well-known/oauth-protected-resource"),
            ("https://h/", "https://h/.well-known/oauth-protected-resource"),
            ("https://h/v1", "https://h/.well-known/oauth-protected-resource/v1"),
            ("https://h/v1/", "https://h/.well-known/oauth-protected-resource/v1/"),
            ("https://h:8443/a/b", "https://h:8443/.well-known/oauth-protected-resource/a/b"),
            (
                "https://[2001:db8::1]/a",
                "https://[2001:db8::1]/.well-known/oauth-protected-resource/a",
            ),
            ("https://h?x=/1", "https://h/.well-known/oauth-protected-resource?x=/1"),
            ("https://h/?x=1", "https://h/.well-known/oauth-protected-resource?x=1"),
            ("https://h/v1?x=1?y", "https://h/.well-known/oauth-protected-resource/v1?x=1?y"),
            ("https://h/v1?", "https://h/.well-known/oauth-protected-resource/v1?"),
        ] {
            let resource = Resource::new(identifier.to_owned(), false).unwrap();
            assert_eq!(resource.metadata_url, url);
            let uri: http::Uri = url.parse().unwrap();
            assert_eq!((uri.path(), uri.query()), (&*resource.path, resource.query.as_deref()));
        }
    }
}
