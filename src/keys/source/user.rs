//! User-supplied sources of keys.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::source_error::{Boxed, SourceError};

/// Fetches the key set of one issuer, for servers that need custom access.
///
/// The engine that keeps the keys fresh calls it: one call at a time, with a deadline of 10 s, and
/// within a budget that no request can exceed. The source decides neither when it is called nor how
/// its answer is used. At most 512 KiB of the answer are read. A panic counts as a failed fetch.
///
/// ```
/// use tower_resource_server::issuer::SourceError;
/// use tower_resource_server::keys::{FetchedKeys, KeySource};
///
/// struct Vault;
///
/// impl KeySource for Vault {
///     fn fetch(&self) -> impl Future<Output = Result<FetchedKeys, SourceError>> + Send {
///         Box::pin(async { Ok(FetchedKeys::new(r#"{"keys":[]}"#)) })
///     }
/// }
/// # let _ = Vault;
/// ```
pub trait KeySource: Send + Sync + 'static {
    /// Fetches the present key set.
    ///
    /// # Errors
    /// Why it could not; the last good set stays.
    fn fetch(&self) -> impl Future<Output = Result<FetchedKeys, SourceError>> + Send;
}

/// The same for any source.
pub(crate) trait AnyKeySource: Send + Sync {
    fn fetch(&self) -> Boxed<'_, FetchedKeys>;
}

impl<S: KeySource> AnyKeySource for S {
    fn fetch(&self) -> Boxed<'_, FetchedKeys> {
        Box::pin(KeySource::fetch(self))
    }
}

/// A fetched key set.
#[derive(Clone, PartialEq)]
pub struct FetchedKeys {
    pub(crate) document: Vec<u8>,
    pub(crate) max_age: Option<Duration>,
}

impl FetchedKeys {
    /// A JWK set (RFC 7517 §5) as JSON text.
    pub fn new(document: impl Into<Vec<u8>>) -> Self {
        Self { document: document.into(), max_age: None }
    }

    /// Sets how long the set is fresh. The value is limited to between 60 s and 1 h.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }
}

impl fmt::Debug for FetchedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedKeys")
            .field("bytes", &self.document.len())
            .field("max_age", &self.max_age)
            .finish()
    }
}
