//! The places that a key set is fetched from.

#[cfg(feature = "http-client")]
pub(super) mod bearer;
pub(super) mod fetched;
pub(super) mod file;
pub(super) mod merge;
#[cfg(feature = "http-client")]
pub(super) mod places;
mod user;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::AlgorithmSet;
#[cfg(feature = "http-client")]
use crate::fetch::{Client, Discovery, FetchError};
use crate::fetch::{Failure, MAX_DOCUMENT};
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::set::{KeySet, KeySetFault};
use crate::keys::source::fetched::Part;
#[cfg(feature = "http-client")]
use crate::keys::source::fetched::{Validator, get, place_name};
use crate::keys::source::file::Reader;
#[cfg(feature = "http-client")]
use crate::runtime;
use crate::token::Excerpt;

#[cfg(feature = "http-client")]
pub(crate) use bearer::{BearerFile, bearer};
pub(crate) use fetched::Fetched;
#[cfg(feature = "http-client")]
pub(crate) use file::read_now as read_file;
#[cfg(feature = "http-client")]
pub(crate) use merge::MAX_SETS;
#[cfg(feature = "http-client")]
pub(crate) use places::JwksPlaces;
pub(crate) use user::AnyKeySource;
pub use user::{FetchedKeys, KeySource};

/// How long a file is fresh. Reading a file is cheap, so this is the minimum that the schedule
/// allows.
const FILE_FRESHNESS: Duration = Duration::from_secs(60);

/// The maximum time for a second fetch of the metadata and the keys in the same attempt, if the
/// keys at the known URL did not help. By default, an attempt has 10 s in total. The request that
/// causes the attempt waits at most 2 s.
#[cfg(feature = "http-client")]
const SECOND_LOOK: Duration = Duration::from_secs(4);

/// The place that the engine fetches a key set from.
pub(crate) enum Source {
    /// The `jwks_uri` of the issuer's metadata.
    #[cfg(feature = "http-client")]
    Discovery(Client, Arc<Discovery>),
    /// A configured URL, and the token that is sent to it.
    #[cfg(feature = "http-client")]
    JwksUri { client: Client, uri: String, bearer: Option<BearerFile> },
    /// Several configured URLs, whose keys are merged into one set.
    #[cfg(feature = "http-client")]
    JwksUris { client: Client, places: JwksPlaces, bearer: Option<BearerFile> },
    /// A local file.
    File(Reader),
    /// User-supplied code.
    User(Arc<dyn AnyKeySource>),
}

/// The input for a fetch.
#[cfg_attr(
    not(feature = "http-client"),
    allow(dead_code, reason = "only used to fetch from a server")
)]
pub(crate) struct FetchContext<'a> {
    pub(crate) now: Duration,
    /// The set in use.
    pub(crate) known: Option<&'a Snapshot>,
    /// Whether the fetch is for a `kid` that the set in use does not have.
    pub(crate) for_unknown_kid: bool,
    pub(crate) accepted: AlgorithmSet,
}

/// The text of an error from user-supplied code. It is untrusted, so it is escaped and shortened.
fn foreign(problem: &str) -> String {
    Excerpt::of(problem).as_str().to_owned()
}

impl Source {
    /// A local file.
    pub(crate) fn file(path: &Path) -> Self {
        Self::File(Reader::new(path, MAX_DOCUMENT))
    }

    /// The metadata of the issuer, if the URL of the set comes from the metadata.
    #[cfg(feature = "http-client")]
    pub(crate) fn discovery(&self) -> Option<&Arc<Discovery>> {
        match self {
            Self::Discovery(_, discovery) => Some(discovery),
            Self::JwksUri { .. } | Self::JwksUris { .. } | Self::File(_) | Self::User(_) => None,
        }
    }

    /// Parses a fetched document. A server or user-supplied code returns a JWK set. A file may have
    /// one of several formats.
    pub(crate) fn parse(
        &self,
        document: &[u8],
        accepted: AlgorithmSet,
    ) -> Result<KeySet, KeySetFault> {
        match self {
            Self::File(_) => KeySet::parse_file(document, accepted),
            #[cfg(feature = "http-client")]
            Self::Discovery(..) | Self::JwksUri { .. } | Self::JwksUris { .. } => {
                KeySet::parse(document, accepted)
            }
            Self::User(_) => KeySet::parse(document, accepted),
        }
    }

    /// Fetches the set. If a set is in use, the result may be that this set has not changed.
    pub(crate) async fn fetch(&self, context: FetchContext<'_>) -> Result<Fetched, Failure> {
        #[cfg(feature = "http-client")]
        let (now, validator) = (context.now, context.validator());
        #[cfg(not(feature = "http-client"))]
        let _ = context;
        match self {
            #[cfg(feature = "http-client")]
            Self::Discovery(client, discovery) => {
                let metadata = discovery.metadata(now).await?;
                let uri = metadata.jwks_uri.ok_or("metadata: no `jwks_uri`")?;
                let fetched = get(client, &uri, validator, None).await;
                // The keys may have moved to another URL.
                match &fetched {
                    Err(FetchError::Status(404 | 410)) => discovery.doubt(&uri),
                    Ok(fetched)
                        if context.finds_nothing_in(fetched) && discovery.may_doubt(&uri, now) =>
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
            #[cfg(feature = "http-client")]
            Self::JwksUri { client, uri, bearer } => {
                let authorization = match bearer {
                    Some(bearer) => Some(bearer.authorization().await?),
                    None => None,
                };
                let fetched = get(client, uri, validator, authorization).await;
                fetched.map_err(|error| error.of("key set", uri))
            }
            #[cfg(feature = "http-client")]
            Self::JwksUris { client, places, bearer } => {
                let authorization = match bearer {
                    Some(bearer) => Some(bearer.authorization().await?),
                    None => None,
                };
                places.fetch(client, authorization.as_ref(), context.accepted, now).await
            }
            Self::File(file) => {
                let content = file.read().await;
                let content = content.map_err(|problem| format!("key file: {problem}"))?;
                let (document, max_age) = (Some(content.into()), Some(FILE_FRESHNESS));
                Ok(Fetched { document, validator: None, max_age, partial: None })
            }
            Self::User(source) => {
                let keys = source.fetch().await.map_err(|error| foreign(&error.into_problem()))?;
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

#[cfg(feature = "http-client")]
impl Source {
    fn places(&self) -> Option<&JwksPlaces> {
        match self {
            Self::JwksUris { places, .. } => Some(places),
            Self::Discovery(..) | Self::JwksUri { .. } | Self::File(_) | Self::User(_) => None,
        }
    }

    /// The last good set of each place, if there are several places.
    pub(crate) fn parts(&self) -> Vec<Part> {
        self.places().map(JwksPlaces::parts).unwrap_or_default()
    }

    /// Takes over sets as the last good sets of their places, if there are several places. A newer set
    /// is not replaced.
    pub(crate) fn take_over(&self, parts: Vec<Part>) {
        if let Some(places) = self.places() {
            places.take_over(parts);
        }
    }

    /// Whether a [`Part`] of this name is from a configured URL.
    pub(crate) fn has_place(&self, name: &str) -> bool {
        match self {
            Self::JwksUri { uri, .. } => place_name(uri) == name,
            _ => self.places().is_some_and(|places| places.has(name)),
        }
    }
}

/// Only a server has several places.
#[cfg(not(feature = "http-client"))]
impl Source {
    pub(crate) fn parts(&self) -> Vec<Part> {
        Vec::new()
    }

    pub(crate) fn take_over(&self, _: Vec<Part>) {}

    pub(crate) fn has_place(&self, _: &str) -> bool {
        false
    }
}

#[cfg(feature = "http-client")]
impl FetchContext<'_> {
    fn validator(&self) -> Option<&Validator> {
        self.known.and_then(|known| known.validator.as_ref())
    }

    /// Whether an answer does not help: it is not a usable key set, or the fetch is for an unknown
    /// `kid` and the answer has no new `kid`. After the keys have moved to another URL, a server
    /// may still answer in this way at the old URL.
    fn finds_nothing_in(&self, fetched: &Fetched) -> bool {
        let Some(document) = &fetched.document else { return self.for_unknown_kid };
        match self.known {
            Some(known) if known.document == *document => self.for_unknown_kid,
            known => match KeySet::parse(document, self.accepted) {
                Err(_) => true,
                Ok(set) => {
                    let is_old = |known: &Snapshot| set.kids_beyond(&known.keys).is_empty();
                    self.for_unknown_kid && known.is_some_and(is_old)
                }
            },
        }
    }
}

/// Fetches the set from another URL, if the metadata now names another URL.
#[cfg(feature = "http-client")]
async fn moved(
    client: &Client,
    discovery: &Discovery,
    old: &str,
    now: Duration,
) -> Option<Fetched> {
    let uri = discovery.metadata(now).await.ok()?.jwks_uri.filter(|uri| uri != old)?;
    get(client, &uri, None, None).await.ok()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "http-client")]
            Self::Discovery(..) => "Discovery",
            #[cfg(feature = "http-client")]
            Self::JwksUri { .. } => "JwksUri",
            #[cfg(feature = "http-client")]
            Self::JwksUris { .. } => "JwksUris",
            Self::File(_) => "File",
            Self::User(_) => "User",
        })
    }
}
