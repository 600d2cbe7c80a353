//! How one issuer is reached, where that differs from the others.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::observe::shown::{AllShown, Shown};

/// What an issuer's requests need beyond the settings of the server.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Transport {
    /// Where its metadata is, if not under the well-known names.
    pub(crate) metadata_url: Option<String>,
    /// Hosts that may be asked by http.
    pub(crate) http_hosts: Vec<String>,
    /// PEM. Where there are any, no others are trusted.
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) bearer_token_file: Option<PathBuf>,
    /// Whether it is asked directly where others are asked through the server's proxy.
    pub(crate) no_proxy: bool,
    /// Of one request for metadata or keys.
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
