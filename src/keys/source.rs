//! Where a key set is fetched from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

#[cfg(feature = "remote")]
use crate::fetch::Client;
#[cfg(feature = "remote")]
use crate::issuer::Discovery;
use crate::keys::Fetched;

/// What a key set is asked for as (RFC 7517 §8.5).
#[cfg(feature = "remote")]
const ACCEPT: &str = "application/jwk-set+json, application/json";

/// A place that the engine fetches from.
pub(crate) enum Source {
    /// The `jwks_uri` of the issuer's metadata.
    #[cfg(feature = "remote")]
    Discovery(Client, Arc<Discovery>),
    /// A configured URL.
    #[cfg(feature = "remote")]
    JwksUri(Client, String),
    /// Code of the API's own.
    User(Arc<dyn KeySource>),
}

impl Source {
    /// The metadata of the issuer, where the set is found by it.
    #[cfg(feature = "remote")]
    pub(crate) fn discovery(&self) -> Option<&Arc<Discovery>> {
        match self {
            Self::Discovery(_, discovery) => Some(discovery),
            Self::JwksUri(..) | Self::User(_) => None,
        }
    }

    /// Fetches the set; with `etag`, the answer may be that it has not changed.
    pub(crate) async fn fetch(
        &self,
        etag: Option<&HeaderValue>,
        now: Duration,
    ) -> Result<Fetched, String> {
        match self {
            #[cfg(feature = "remote")]
            Self::Discovery(client, discovery) => {
                let metadata = discovery.metadata(now).await?;
                let uri = metadata.jwks_uri.ok_or("metadata: no `jwks_uri`")?;
                get(client, &uri, etag).await
            }
            #[cfg(feature = "remote")]
            Self::JwksUri(client, uri) => get(client, uri, etag).await,
            Self::User(source) => {
                let _ = (etag, now);
                let keys = source.fetch().await.map_err(|KeySourceError(problem)| problem)?;
                Ok(Fetched { document: Some(keys.document), etag: None, max_age: keys.max_age })
            }
        }
    }
}

#[cfg(feature = "remote")]
async fn get(client: &Client, uri: &str, etag: Option<&HeaderValue>) -> Result<Fetched, String> {
    let answer =
        client.get(uri, ACCEPT, etag).await.map_err(|error| format!("key set: {error}"))?;
    Ok(Fetched {
        etag: answer.etag(),
        max_age: answer.max_age(),
        document: (!answer.not_modified).then(|| answer.body.to_vec()),
    })
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "remote")]
            Self::Discovery(..) => "Discovery",
            #[cfg(feature = "remote")]
            Self::JwksUri(..) => "JwksUri",
            Self::User(_) => "User",
        })
    }
}

/// A future that a [`KeySource`] answers with.
pub type KeyFuture<'a> =
    Pin<Box<dyn Future<Output = Result<FetchedKeys, KeySourceError>> + Send + 'a>>;

/// Fetches the key set of one issuer, for servers that are reached in a way of their own.
///
/// It is asked by the engine that keeps the keys fresh: one call at a time, under a deadline, and
/// with a budget that no request can exceed. It decides neither when it is asked nor what becomes
/// of its answer.
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
    /// Fetches the present key set.
    fn fetch(&self) -> KeyFuture<'_>;
}

/// A key set as fetched.
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

    /// How long the source calls the set fresh; it is kept within 60 s and 1 h.
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

/// Why a key set could not be fetched, in words fit for a log.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySourceError(pub(crate) String);

impl KeySourceError {
    /// An error with an explanation, which must hold no secret.
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
