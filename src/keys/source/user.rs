//! User-supplied sources of keys.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::source_error::{Boxed, SourceError};

/// Fetches the key set of one issuer with your own code. Use a key source if the keys are not at a
/// URL that the crate can fetch.
///
/// The crate caches the keys and decides when to call the source: one call at a time, with a
/// deadline (10 s by default, otherwise twice the `fetch_deadline` of the issuer), and with a rate
/// limit that requests cannot exceed. A panic or a document of more than 512 KiB counts as a failed
/// fetch.
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
    /// Fetches the current key set.
    ///
    /// # Errors
    /// An error means that the fetch failed. The last good set stays in use.
    fn fetch(&self) -> impl Future<Output = Result<FetchedKeys, SourceError>> + Send;
}

/// A [`KeySource`] as a trait object.
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
    /// Takes a JWK set (RFC 7517 §5) as JSON text.
    pub fn new(document: impl Into<Vec<u8>>) -> Self {
        Self { document: document.into(), max_age: None }
    }

    /// Sets how long the set is fresh. A value below 60 s counts as 60 s, and a value above 1 h as
    /// 1 h. The default is 5 min.
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
