//! The store in which several servers share answers.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::config_error::ConfigError;
use crate::crypto::SEALING_SECRET;
use crate::source_error::{Boxed, SourceError};

/// A store that several servers use, such as Redis (`RedisStore`, feature `redis`).
///
/// The store learns nothing about tokens: a key is a keyed hash, and a value is sealed. A value
/// that can't be opened counts as absent. The store also decides nothing: the server that reads an
/// answer decides whether it is still valid. Each call has a deadline of 250 ms. After 5 failures
/// in a row, the store is not called for a while, and requests continue without it.
///
/// A store has one duty: an older value must not replace a newer one. An "active" answer from
/// before the token was revoked may be written after the "inactive" answer to a later question. So
/// each value has a version, and the store must compare versions and write in one atomic step.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use tower_resource_server::introspection::AnswerStore;
/// use tower_resource_server::issuer::SourceError;
///
/// /// A store for the servers of one process.
/// #[derive(Default)]
/// struct Shelf(Mutex<HashMap<String, (u64, Vec<u8>)>>);
///
/// impl AnswerStore for Shelf {
///     fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, SourceError>> + Send {
///         Box::pin(async move {
///             Ok(self.0.lock().unwrap().get(key).map(|(_, value)| value.clone()))
///         })
///     }
///
///     fn put_if_newer(
///         &self,
///         key: &str,
///         version: u64,
///         value: Vec<u8>,
///         _ttl: Duration,
///     ) -> impl Future<Output = Result<(), SourceError>> + Send {
///         Box::pin(async move {
///             // One lock for both steps, so that no other write happens in between.
///             let mut values = self.0.lock().unwrap();
///             if values.get(key).is_none_or(|(known, _)| *known < version) {
///                 values.insert(key.to_owned(), (version, value));
///             }
///             Ok(())
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_resource_server::issuer::SourceError> {
/// let (shelf, minute) = (Shelf::default(), Duration::from_secs(60));
/// shelf.put_if_newer("key", 2, b"newer".to_vec(), minute).await?;
/// shelf.put_if_newer("key", 1, b"older".to_vec(), minute).await?;
/// assert_eq!(shelf.get("key").await?.as_deref(), Some(&b"newer"[..]));
/// # Ok(())
/// # }
/// ```
pub trait AnswerStore: Send + Sync + 'static {
    /// Returns the value that is stored under `key`, if there is one.
    ///
    /// # Errors
    /// When the store can't be used.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, SourceError>> + Send;

    /// Stores `value` under `key`. If there is already a value with the same or a higher version,
    /// does nothing and returns `Ok`. Comparing and writing must be one atomic step, also with
    /// respect to other servers. After `ttl` the value is useless and should be dropped together
    /// with its version. A store may drop values earlier, as caches do. Then an older value may be
    /// written again; it is valid for the rest of its own lifetime.
    ///
    /// The version is the time at which the authorization server was asked: milliseconds since the
    /// epoch, times two, plus one for a token that is not active, so that "inactive" wins a tie.
    /// The version is also sealed in the value, and a server that reads the value uses only the
    /// sealed version. The time comes from the wall clock of the server that asked. If the clocks
    /// of two servers differ, an answer can count as newer than it is by that difference. So keep
    /// the clocks synchronized: if the clock of a server is behind, a revocation that this server
    /// saw may not reach the other servers before the ttl ends.
    ///
    /// # Errors
    /// When the store can't be used.
    fn put_if_newer(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// The object-safe form of [`AnswerStore`].
pub(crate) trait AnyAnswerStore: Send + Sync {
    fn get<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<Vec<u8>>>;
    fn put_if_newer<'a>(
        &'a self,
        key: &'a str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Boxed<'a, ()>;
}

impl<S: AnswerStore> AnyAnswerStore for S {
    fn get<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<Vec<u8>>> {
        Box::pin(AnswerStore::get(self, key))
    }

    fn put_if_newer<'a>(
        &'a self,
        key: &'a str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Boxed<'a, ()> {
        Box::pin(AnswerStore::put_if_newer(self, key, version, value, ttl))
    }
}

/// A second cache tier for the answers of an introspection endpoint. All servers with the same
/// secret share it. For [`Introspection::shared_cache`](crate::introspection::Introspection::shared_cache).
///
/// Servers with the same secret trust each other: if one of them got an answer, all servers with
/// the same issuer, endpoint and client use it. `Debug` shows no secret.
#[derive(Clone)]
#[must_use = "give it to `Introspection::shared_cache`"]
pub struct SharedCache {
    pub(crate) store: Arc<dyn AnyAnswerStore>,
    pub(crate) secret: [u8; SEALING_SECRET],
}

impl SharedCache {
    /// Keeps answers in `store`, sealed with keys that are derived from `secret`. The secret is 32
    /// random octets. All servers that share answers must have the same secret, and nobody else may
    /// know it.
    ///
    /// # Errors
    /// When `secret` has another length.
    pub fn new(store: impl AnswerStore, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let secret = secret.as_ref();
        match secret.try_into() {
            Ok(secret) => Ok(Self { store: Arc::new(store), secret }),
            Err(_) => Err(ConfigError::one(format!(
                "shared_cache: the secret has {} octets, not {SEALING_SECRET}",
                secret.len()
            ))),
        }
    }
}

impl fmt::Debug for SharedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedCache(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl AnswerStore for Nowhere {
        async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, SourceError> {
            Ok(None)
        }

        async fn put_if_newer(
            &self,
            _: &str,
            _: u64,
            _: Vec<u8>,
            _: Duration,
        ) -> Result<(), SourceError> {
            Ok(())
        }
    }

    #[test]
    fn the_secret_has_32_octets_and_is_not_shown() {
        for (length, good) in [(0, false), (31, false), (32, true), (33, false), (64, false)] {
            let built = SharedCache::new(Nowhere, vec![b'S'; length]);
            assert_eq!(built.is_ok(), good, "{length}");
            let shown = format!("{built:?}");
            assert!(!shown.contains("SS") && !shown.contains("83"), "{shown}");
        }
    }
}
