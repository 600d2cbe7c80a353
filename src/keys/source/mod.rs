//! Where a key set is fetched from.

#[cfg(feature = "remote")]
pub(super) mod bearer;
pub(super) mod file;
#[cfg(feature = "remote")]
pub(super) mod places;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::crypto::AlgorithmSet;
#[cfg(feature = "remote")]
use crate::fetch::Discovery;
#[cfg(feature = "remote")]
use crate::fetch::{Client, FetchError};
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::set::{KeySet, KeySetFault};
use crate::keys::source::file::Reader;
#[cfg(feature = "remote")]
use crate::runtime;
use crate::token::Excerpt;

#[cfg(feature = "remote")]
pub(crate) use bearer::{BearerFile, bearer};
#[cfg(feature = "remote")]
pub(crate) use file::read_now as read_file;
#[cfg(feature = "remote")]
pub(crate) use places::{JwksPlaces, MAX_PLACES};

/// Bytes of a key set, wherever it comes from, or of metadata. Real ones have 1 to 20 KiB; a set of 250
/// keys with their certificates has 400.
pub(crate) const MAX_DOCUMENT: usize = 512 * 1024;

/// How long a file is fresh: to look at one costs next to nothing, so this is the least that the
/// schedule allows.
const FILE_FRESHNESS: Duration = Duration::from_secs(60);

/// How long metadata and keys may take, once the keys where they were are of no help: an attempt has
/// 10 s in all, and the one request for which this is done waits no longer than 2 s.
#[cfg(feature = "remote")]
const SECOND_LOOK: Duration = Duration::from_secs(4);

/// What a key set is asked for as (RFC 7517 §8.5).
#[cfg(feature = "remote")]
const ACCEPT: &str = "application/jwk-set+json, application/json";

/// A place that the engine fetches from.
pub(crate) enum Source {
    /// The `jwks_uri` of the issuer's metadata.
    #[cfg(feature = "remote")]
    Discovery(Client, Arc<Discovery>),
    /// A configured URL, and the token that is shown there.
    #[cfg(feature = "remote")]
    JwksUri { client: Client, uri: String, bearer: Option<BearerFile> },
    /// Several of them, whose keys count together.
    #[cfg(feature = "remote")]
    JwksUris { client: Client, places: JwksPlaces, bearer: Option<BearerFile> },
    /// A file of this machine.
    File(Reader),
    /// Code of the API's own.
    User(Arc<dyn KeySource>),
}

/// What a source brought.
pub(crate) struct Fetched {
    /// The document; none when the one at hand is still the present one.
    pub(crate) document: Option<Bytes>,
    pub(crate) validator: Option<Validator>,
    pub(crate) max_age: Option<Duration>,
    /// What is missing, where there are several places and not all have answered.
    pub(crate) partial: Option<Partial>,
}

/// A part of the set could not be fetched.
#[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "a server has parts"))]
pub(crate) struct Partial {
    /// In words fit for a log.
    pub(crate) problem: String,
    /// How long what stands in for it may be used, if there is anything.
    pub(crate) usable_until: Option<Duration>,
}

/// What a source is asked for.
#[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "a server is asked by it"))]
pub(crate) struct Asking<'a> {
    pub(crate) now: Duration,
    /// The set in use.
    pub(crate) known: Option<&'a Snapshot>,
    /// Whether a `kid` is looked for that the set in use does not have.
    pub(crate) seeks_kid: bool,
    pub(crate) accepted: AlgorithmSet,
}

/// What to ask by whether a set has changed (RFC 9110 §8.8). It belongs to the URL it came from:
/// another server's ETag of the same text stands for another document.
#[derive(Clone, PartialEq)]
pub(crate) struct Validator {
    uri: String,
    etag: HeaderValue,
}

/// Why a source brought nothing.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// For a log: our own words, and what is not ours escaped and cut.
    pub(crate) problem: String,
    /// How long the server asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl<T: Into<String>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self { problem: problem.into(), retry_after: None }
    }
}

/// A URL that something was asked of, for a log.
#[cfg(feature = "remote")]
pub(crate) fn fetched_url(url: &str) -> String {
    Excerpt::of_url(url).as_str().to_owned()
}

/// The words of code that is not ours.
fn foreign(problem: &str) -> String {
    Excerpt::of(problem).as_str().to_owned()
}

#[cfg(feature = "remote")]
impl FetchError {
    /// The failure to fetch this document from this URL.
    pub(crate) fn of(self, document: &str, url: &str) -> Failure {
        let retry_after = match self {
            Self::Busy { retry_after, .. } => Some(retry_after),
            _ => None,
        };
        Failure { problem: format!("{document}: {self} ({})", fetched_url(url)), retry_after }
    }
}

impl Source {
    /// A file of this machine.
    pub(crate) fn file(path: &Path) -> Self {
        Self::File(Reader::new(path, MAX_DOCUMENT))
    }

    /// The metadata of the issuer, where the set is found by it.
    #[cfg(feature = "remote")]
    pub(crate) fn discovery(&self) -> Option<&Arc<Discovery>> {
        match self {
            Self::Discovery(_, discovery) => Some(discovery),
            Self::JwksUri { .. } | Self::JwksUris { .. } | Self::File(_) | Self::User(_) => None,
        }
    }

    /// Reads what was fetched. A server has a media type and one form to answer in; a file has neither.
    pub(crate) fn parse(
        &self,
        document: &[u8],
        accepted: AlgorithmSet,
    ) -> Result<KeySet, KeySetFault> {
        match self {
            Self::File(_) => KeySet::parse_file(document, accepted),
            #[cfg(feature = "remote")]
            Self::Discovery(..) | Self::JwksUri { .. } | Self::JwksUris { .. } => {
                KeySet::parse(document, accepted)
            }
            Self::User(_) => KeySet::parse(document, accepted),
        }
    }

    /// Fetches the set; where one is in use, the answer may be that it has not changed.
    pub(crate) async fn fetch(&self, asking: Asking<'_>) -> Result<Fetched, Failure> {
        #[cfg(feature = "remote")]
        let (now, validator) = (asking.now, asking.validator());
        #[cfg(not(feature = "remote"))]
        let _ = asking;
        match self {
            #[cfg(feature = "remote")]
            Self::Discovery(client, discovery) => {
                let metadata = discovery.metadata(now).await?;
                let uri = metadata.jwks_uri.ok_or("metadata: no `jwks_uri`")?;
                let fetched = get(client, &uri, validator, None).await;
                // The keys have moved, perhaps.
                match &fetched {
                    Err(FetchError::Status(404 | 410)) => discovery.doubt(&uri),
                    Ok(fetched)
                        if asking.finds_nothing_in(fetched) && discovery.may_doubt(&uri, now) =>
                    {
                        let moved = moved(client, discovery, &uri, now);
                        if let Some(Some(moved)) = runtime::within(SECOND_LOOK, moved).await {
                            return Ok(moved);
                        }
                    }
                    Ok(_) | Err(_) => {}
                }
                fetched.map_err(|error| error.of("key set", &uri))
            }
            #[cfg(feature = "remote")]
            Self::JwksUri { client, uri, bearer } => {
                let authorization = match bearer {
                    Some(bearer) => Some(bearer.authorization().await?),
                    None => None,
                };
                let fetched = get(client, uri, validator, authorization).await;
                fetched.map_err(|error| error.of("key set", uri))
            }
            #[cfg(feature = "remote")]
            Self::JwksUris { client, places, bearer } => {
                let authorization = match bearer {
                    Some(bearer) => Some(bearer.authorization().await?),
                    None => None,
                };
                places.fetch(client, authorization.as_ref(), now).await
            }
            Self::File(file) => {
                let content = file.read().await;
                let content = content.map_err(|problem| format!("key file: {problem}"))?;
                let (document, max_age) = (Some(content.into()), Some(FILE_FRESHNESS));
                Ok(Fetched { document, validator: None, max_age, partial: None })
            }
            Self::User(source) => {
                let keys =
                    source.fetch().await.map_err(|KeySourceError(problem)| foreign(&problem))?;
                if keys.document.len() > MAX_DOCUMENT {
                    return Err(format!("key set: more than {MAX_DOCUMENT} bytes").into());
                }
                let document = Some(keys.document.into());
                let max_age = keys.max_age;
                Ok(Fetched { document, validator: None, max_age, partial: None })
            }
        }
    }
}

#[cfg(feature = "remote")]
impl Asking<'_> {
    fn validator(&self) -> Option<&Validator> {
        self.known.and_then(|known| known.validator.as_ref())
    }

    /// Whether an answer is of no help: it is no key set, or has no `kid` beyond those of the set in use
    /// where another is looked for. An old place of the keys goes on like that.
    fn finds_nothing_in(&self, fetched: &Fetched) -> bool {
        let Some(document) = &fetched.document else { return self.seeks_kid };
        match self.known {
            Some(known) if known.document == *document => self.seeks_kid,
            known => match KeySet::parse(document, self.accepted) {
                Err(_) => true,
                Ok(set) => {
                    let is_old = |known: &Snapshot| set.kids_beyond(&known.keys).is_empty();
                    self.seeks_kid && known.is_some_and(is_old)
                }
            },
        }
    }
}

/// The set at another place, where the metadata names one by now.
#[cfg(feature = "remote")]
async fn moved(
    client: &Client,
    discovery: &Discovery,
    old: &str,
    now: Duration,
) -> Option<Fetched> {
    let uri = discovery.metadata(now).await.ok()?.jwks_uri.filter(|uri| uri != old)?;
    get(client, &uri, None, None).await.ok()
}

#[cfg(feature = "remote")]
pub(crate) async fn get(
    client: &Client,
    uri: &str,
    validator: Option<&Validator>,
    authorization: Option<HeaderValue>,
) -> Result<Fetched, FetchError> {
    let validator = validator.filter(|validator| validator.uri == uri);
    let etag = validator.map(|validator| &validator.etag);
    let answer = client.get(uri, ACCEPT, etag, authorization).await?;
    let etag = answer.etag().or_else(|| etag.filter(|_| answer.not_modified).cloned());
    Ok(Fetched {
        validator: etag.map(|etag| Validator { uri: uri.to_owned(), etag }),
        max_age: answer.max_age(),
        document: (!answer.not_modified).then_some(answer.body),
        partial: None,
    })
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "remote")]
            Self::Discovery(..) => "Discovery",
            #[cfg(feature = "remote")]
            Self::JwksUri { .. } => "JwksUri",
            #[cfg(feature = "remote")]
            Self::JwksUris { .. } => "JwksUris",
            Self::File(_) => "File",
            Self::User(_) => "User",
        })
    }
}

/// A future that a [`KeySource`] answers with.
pub type KeyFuture<'a> =
    Pin<Box<dyn Future<Output = Result<FetchedKeys, KeySourceError>> + Send + 'a>>;

/// Fetches the key set of one issuer, for servers that are reached in a way of their own.
///
/// It is asked by the engine that keeps the keys fresh: one call at a time, under a deadline of 10 s,
/// and with a budget that no request can exceed. It decides neither when it is asked nor what becomes
/// of its answer, of which 512 KiB are read at most. Should it panic, that is a failed fetch.
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
