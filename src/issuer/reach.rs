//! The settings of how an issuer is reached: a URL of its metadata, its own roots, a token for its key
//! server, http inside a network.

use std::path::PathBuf;
use std::time::Duration;

use crate::issuer::Issuer;

impl Issuer {
    /// Fetches the metadata from this URL, and looks for it nowhere else: for a server that has another
    /// name inside a network than in its tokens, or metadata under a name of its own.
    ///
    /// The document's `issuer` still has to be exactly the issuer's name, which is what `iss` of tokens
    /// is compared with; nothing is fetched from the name then, and it may be any text. The URLs that the
    /// document names are used as they are: where they are names for the outside too, set
    /// [`jwks_uri`](Self::jwks_uri) and [`Introspection::endpoint`](crate::Introspection::endpoint)
    /// beside it, which come before what metadata says. For http inside a network, see
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

    /// Trusts these root certificates, and no others, when anything is asked of this issuer: its
    /// metadata, its keys, its introspection endpoint. PEM text of one or more; given twice, all of
    /// them count.
    ///
    /// Neither the roots of the system nor those of
    /// [`Builder::root_certificates`](crate::Builder::root_certificates) are trusted then: whoever
    /// runs one of the many public authorities can't stand in for a private issuer.
    pub fn only_root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.transport.roots.push(pem.into());
        self
    }

    /// Shows the token in this file (`Authorization: Bearer`, RFC 6750 §2.1) when the key set is
    /// fetched. The file is read at each fetch, so a token that is replaced in time needs no reload;
    /// it has at most 16 KiB, and white space around the token is dropped. Where it can't be read,
    /// nothing is fetched, and the keys at hand stay.
    ///
    /// The token goes to the [`jwks_uri`](Self::jwks_uri) of this issuer and nowhere else: to no URL
    /// that metadata names, and to none that a redirect leads to. Without a `jwks_uri`,
    /// [`build`](crate::Builder::build) refuses the setting.
    pub fn bearer_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.transport.bearer_token_file = Some(path.into());
        self
    }

    /// How long one request for this issuer's metadata or keys may take: 5 s unless set, at most 30 s.
    /// No client waits longer for that: a request waits for keys for 3 s at most, and those that come
    /// later find them. For calls of the introspection endpoint there is
    /// [`Introspection::deadline`](crate::Introspection::deadline).
    pub fn fetch_deadline(mut self, deadline: Duration) -> Self {
        self.transport.deadline = Some(deadline);
        self
    }

    /// Connects to this issuer directly, for its metadata, its keys and its introspection endpoint,
    /// where [`Builder::proxy`](crate::Builder::proxy) sets a proxy for the others: for an
    /// authorization server in the same network.
    ///
    /// ```
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// let inside = Issuer::discover("https://as.internal.example.com").no_proxy();
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
