//! The transport settings of one issuer.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::observe::shown::{AllShown, Shown};

/// The settings for requests to one issuer. They take precedence over the settings of the server.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Transport {
    /// The URL of the metadata, if the metadata is not at a well-known URL.
    pub(crate) metadata_url: Option<String>,
    /// Hosts that may be reached by http.
    pub(crate) http_hosts: Vec<String>,
    /// Root certificates in PEM. If the list is not empty, only these certificates are trusted.
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) bearer_token_file: Option<PathBuf>,
    /// Whether requests bypass the server's proxy.
    pub(crate) no_proxy: bool,
    /// The deadline of one request for metadata or keys.
    pub(crate) deadline: Option<Duration>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("metadata_url", &self.metadata_url.as_deref().map(Shown))
            .field("http_hosts", &AllShown(&self.http_hosts))
            .field("roots", &self.roots.len())
            .field("bearer_token_file", &self.bearer_token_file)
            .field("no_proxy", &self.no_proxy)
            .field("deadline", &self.deadline)
            .finish()
    }
}
