//! Where several servers keep the answers that they share.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::config_error::ConfigError;
use crate::crypto::SEALING_SECRET;
use crate::source_error::{Boxed, SourceError};

/// A store that several servers reach, such as Redis (`RedisStore`, feature `redis`).
///
/// It sees nothing that it could use: a key is a keyed hash, a value is sealed, and what does not
/// open is as good as not there. It decides nothing either: how long an answer holds is judged by
/// the server that reads it. Each call has 250 ms, and a store that fails is left alone for a while;
/// requests then do without it.
///
/// One thing is asked of it: a write that is late must not undo a newer one. An "active" that was
/// asked for before a token was revoked may be written after the "inactive" that was asked for
/// later. So each value comes with a version, and comparing and writing are one step.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use tower_resource_server::{AnswerStore, SourceError};
///
/// /// For the servers of one process.
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
///             // One lock for both: nothing can be written between the look and the write.
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
/// # async fn main() -> Result<(), tower_resource_server::SourceError> {
/// let (shelf, minute) = (Shelf::default(), Duration::from_secs(60));
/// shelf.put_if_newer("key", 2, b"newer".to_vec(), minute).await?;
/// shelf.put_if_newer("key", 1, b"older".to_vec(), minute).await?;
/// assert_eq!(shelf.get("key").await?.as_deref(), Some(&b"newer"[..]));
/// # Ok(())
/// # }
/// ```
pub trait AnswerStore: Send + Sync + 'static {
    /// The value last put under `key`, if there is one still.
    ///
    /// # Errors
    /// When the store can't be used.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, SourceError>> + Send;

    /// Puts `value` under `key`, unless there is a value already whose version is the same or
    /// higher; then it does nothing and returns `Ok`. The two must be one atomic step, also
    /// against other servers. After `ttl` the value is of no use and should go, with its version. A
    /// store may drop values earlier, as caches do; an older one may then be written again, and holds
    /// for what is left of its own time.
    ///
    /// The version tells when the authorization server was asked: milliseconds since the epoch,
    /// times two, and one more for a token that is not active, so that "inactive" wins a tie. It is
    /// sealed in the value as well, and a server that reads judges by that one. The time is that of
    /// the wall clock of the server that asked. Where the clocks of two servers differ, an answer
    /// can count as newer than it is by that much, so keep them in step: a revocation that was seen
    /// by a server whose clock is behind may then not reach the others before the ttl ends.
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

/// The same for any store.
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

/// A second tier for the answers of an introspection endpoint, shared by all servers that have the
/// same secret; for [`Introspection::shared_cache`](crate::Introspection::shared_cache).
///
/// Servers with the same secret trust each other: an answer that one of them was given is used by
/// all whose issuer, endpoint and client are the same. `Debug` shows no secret.
#[derive(Clone)]
#[must_use = "give it to `Introspection::shared_cache`"]
pub struct SharedCache {
    pub(crate) store: Arc<dyn AnyAnswerStore>,
    pub(crate) secret: [u8; SEALING_SECRET],
}

impl SharedCache {
    /// Keeps answers in `store`, sealed under keys that come from `secret`: 32 random octets, the
    /// same for all servers that are to share and known to nobody else.
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
