//! User-supplied sources of keys.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// The future that a [`KeySource`] returns.
pub type KeyFuture<'a> =
    Pin<Box<dyn Future<Output = Result<FetchedKeys, KeySourceError>> + Send + 'a>>;

/// Fetches the key set of one issuer, for servers that need custom access.
///
/// The engine that keeps the keys fresh calls it: one call at a time, with a deadline of 10 s, and
/// within a budget that no request can exceed. The source decides neither when it is called nor how
/// its answer is used. At most 512 KiB of the answer are read. A panic counts as a failed fetch.
///
/// ```
/// use tower_resource_server::{FetchedKeys, KeyFuture, KeySource};
///
/// struct Vault;
///
/// impl KeySource for Vault {
///     fn fetch(&self) -> KeyFuture<'_> {
///         Box::pin(async { Ok(FetchedKeys::new(r#"{"keys":[]}"#)) })
///     }
/// }
/// # let _ = Vault;
/// ```
pub trait KeySource: Send + Sync + 'static {
    /// Fetches the current key set.
    fn fetch(&self) -> KeyFuture<'_>;
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

/// Why a key set could not be fetched. The text is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySourceError(pub(crate) String);

impl KeySourceError {
    /// An error with an explanation. The text is logged, so it must not contain a secret.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl fmt::Display for KeySourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeySourceError {}
