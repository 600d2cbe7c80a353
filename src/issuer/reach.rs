//! Transport settings of an issuer: the URL of its metadata, its root certificates, the bearer token for its
//! key server, the deadline of a request, and no proxy.

use std::path::PathBuf;
use std::time::Duration;

use crate::issuer::Issuer;

impl Issuer {
    /// Fetches the metadata only from this URL. Use this setting if the server has one name inside a network
    /// and another name in its tokens, or if its metadata is not at a well-known URL.
    ///
    /// The document's `issuer` must still be exactly the issuer's name. The `iss` of tokens is compared with
    /// the same name. The name is not used as a URL, so it may be any text.
    ///
    /// The URLs in the document are used as they are. If these URLs work only from outside the network,
    /// also set [`jwks_uri`](Self::jwks_uri) and
    /// [`Introspection::endpoint`](crate::introspection::Introspection::endpoint), which override the metadata.
    /// For http inside a network, see
    /// [`danger::allow_http_hosts`](crate::danger::allow_http_hosts).
    ///
    /// ```
    /// use tower_resource_server::{Issuer, danger};
    ///
    /// let inside = "http://keycloak:8080/realms/demo/.well-known/openid-configuration";
    /// let issuer = Issuer::new("https://auth.example.com/realms/demo").metadata_url(inside);
    /// let issuer = danger::allow_http_hosts(issuer, ["keycloak"]);
    /// # let _ = issuer;
    /// ```
    pub fn metadata_url(mut self, url: impl Into<String>) -> Self {
        self.transport.metadata_url = Some(url.into());
        self
    }

    /// Trusts only these root certificates for all requests to this issuer: metadata, keys and
    /// introspection. The PEM text may contain several certificates. If you call this method twice, the
    /// certificates of both calls are trusted.
    ///
    /// The roots of the system and of
    /// [`Builder::root_certificates`](crate::builder::Builder::root_certificates) are not trusted for this
    /// issuer. So no public certificate authority can vouch for a server that pretends to be a
    /// private issuer.
    pub fn only_root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.transport.roots.push(pem.into());
        self
    }

    /// Sends the token in this file (`Authorization: Bearer`, RFC 6750 §2.1) when the key set is fetched. The
    /// file is read at each fetch, so a replaced token needs no reload. The file may have at most 16 KiB. White
    /// space around the token is removed. If the file can't be read, the fetch fails and the cached keys stay
    /// in use.
    ///
    /// The token is sent only to the [`jwks_uri`](Self::jwks_uri) or the [`jwks_uris`](Self::jwks_uris) of this
    /// issuer, never to a URL from metadata or from a redirect. Without one of these two settings,
    /// [`build`](crate::builder::Builder::build) fails.
    pub fn bearer_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.transport.bearer_token_file = Some(path.into());
        self
    }

    /// Sets the deadline of one HTTP request to this issuer for metadata or keys. The default is 5 s, the
    /// maximum is 30 s. A longer deadline does not make clients wait longer: a client's request waits at most 3
    /// s for keys, and later requests use the keys from the cache. For introspection calls, use
    /// [`Introspection::deadline`](crate::introspection::Introspection::deadline).
    pub fn fetch_deadline(mut self, deadline: Duration) -> Self {
        self.transport.deadline = Some(deadline);
        self
    }

    /// Connects to this issuer directly, even if [`Builder::proxy`](crate::builder::Builder::proxy) sets a
    /// proxy for the other issuers. Use this setting for an authorization server in the same network.
    /// The setting applies to metadata, keys and introspection.
    ///
    /// ```
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// let inside = Issuer::new("https://as.internal.example.com").no_proxy();
    /// let server = ResourceServer::builder()
    ///     .issuer("https://as.example.com")
    ///     .issuer(inside)
    ///     .audience("https://api.example.com")
    ///     .proxy("http://proxy.example.com:3128");
    /// # let _ = server;
    /// ```
    pub fn no_proxy(mut self) -> Self {
        self.transport.no_proxy = true;
        self
    }
}
