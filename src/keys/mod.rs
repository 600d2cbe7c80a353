//! Step 4: finds the key that signed a token, and keeps the keys of an issuer up to date.
//!
//! `set/select.rs` selects a key with a pure function. Keys that do not change are a `KeySet`. For
//! keys that are fetched, each issuer has one engine, `RemoteKeys`, which keeps the keys fresh. A
//! pure state machine in `freshness/` makes the engine's decisions.

mod engine;
mod found;
mod freshness;
mod set;
mod source;

use std::sync::Arc;

use crate::observe::shown::redacted;
use crate::observe::{IssuerHealth, KeyStage};
use crate::token::Excerpt;
use crate::token::header::KeyHint;

pub use crate::crypto::Algorithm;
pub use engine::{InvalidSeed, KeySeed};
pub(crate) use engine::{KeySettings, KeyWait, KeysWaited, RemoteKeys};
pub(crate) use found::{Found, KeyLookup};
pub(crate) use freshness::{FreshnessSettings, STALE_IF_ERROR};
pub use set::jwk_thumbprint;
pub(crate) use set::{KeySet, KeySetFault, der, pem};
pub(crate) use source::AnyKeySource;
pub(crate) use source::Source;
#[cfg(feature = "http-client")]
pub(crate) use source::{BearerFile, JwksPlaces, MAX_SETS, bearer, read_file};
pub use source::{FetchedKeys, KeySource};

/// The keys of one issuer.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    /// Configured in code.
    Static(Arc<KeySet>),
    /// Fetched, for example from a server or a file, and kept fresh.
    Remote(Arc<RemoteKeys>),
}

impl Keys {
    /// Looks for the key that a header names. A request that has already waited for these keys does
    /// not wait for them a second time.
    pub(crate) fn find(
        &self,
        key: KeyHint<'_>,
        algorithm: Algorithm,
        iss: &str,
        waited: Option<&KeysWaited>,
    ) -> KeyLookup<'_> {
        match self {
            Self::Remote(keys) => keys.find(key, algorithm, iss, waited),
            Self::Static(keys) => {
                let candidates = keys.find(key, algorithm, iss);
                if candidates.is_empty() {
                    KeyLookup::Unknown
                } else {
                    KeyLookup::Found(Found::Static(keys, candidates))
                }
            }
        }
    }

    /// Whether the budget for unknown kids is spent and `kid` is an unknown kid. See
    /// [`Freshness::is_flooded`](freshness::Freshness::is_flooded).
    pub(crate) fn is_flooded_with(&self, kid: &str) -> bool {
        match self {
            Self::Static(_) => false,
            Self::Remote(keys) => keys.is_flooded_with(kid),
        }
    }

    /// Returns the state of the keys of `issuer`.
    pub(crate) fn health(&self, issuer: &str) -> IssuerHealth {
        match self {
            Self::Remote(keys) => keys.health(),
            Self::Static(keys) => IssuerHealth {
                issuer: redacted(issuer).into_owned(),
                keys: KeyStage::Fixed,
                key_ids: keys.kids(),
                skipped: keys.skipped().len(),
                age: None,
                next_refresh: None,
                last_error: None,
                failures: 0,
                introspection: None,
            },
        }
    }

    /// Waits until there are usable keys. See [`RemoteKeys::ready`].
    pub(crate) async fn ready(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => keys.ready().await,
        }
    }

    /// The reason why the last fetch, or a part of it, failed. `None` if it succeeded.
    pub(crate) fn last_error(&self) -> Option<Excerpt> {
        match self {
            Self::Static(_) => None,
            Self::Remote(keys) => keys.last_error.load().as_deref().cloned(),
        }
    }

    /// Starts a fetch if one is due. Does not wait.
    pub(crate) fn wake(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => drop(keys.wake()),
        }
    }

    /// Takes over the keys of another engine that fetches from the same place.
    pub(crate) fn take_over(&self, other: &Self) {
        if let (Self::Remote(own), Self::Remote(other)) = (self, other) {
            own.take_over(other);
        }
    }

    /// Takes over the report that the seed of another engine is not used: this engine reports it.
    pub(crate) fn note_seed_of(&self, other: &Self) {
        if let (Self::Remote(own), Self::Remote(other)) = (self, other) {
            own.note_seed_of(other);
        }
    }

    /// Whether there are keys to verify with.
    pub(crate) fn is_usable(&self) -> bool {
        match self {
            Self::Static(_) => true,
            Self::Remote(keys) => keys.is_usable(),
        }
    }

    /// Reports that the seed is not used, if that is so and was not reported yet.
    pub(crate) fn tell_of_seed(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => keys.tell_of_seed(),
        }
    }

    /// From now on, a timer fetches the keys whenever a fetch is due, even if no request arrives.
    pub(crate) fn keep_warm(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => keys.keep_warm(),
        }
    }

    /// The current key set as a seed for the next process.
    pub(crate) fn export(&self) -> Option<KeySeed> {
        match self {
            Self::Static(_) => None,
            Self::Remote(keys) => keys.export(),
        }
    }

    /// The metadata that names the URL of the keys.
    #[cfg(feature = "http-client")]
    pub(crate) fn discovery(&self) -> Option<&Arc<crate::fetch::Discovery>> {
        match self {
            Self::Static(_) => None,
            Self::Remote(keys) => keys.source().discovery(),
        }
    }

    /// Called when a signature did not verify. The key may have been replaced by one with the same
    /// kid.
    pub(crate) fn signature_failed(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => keys.signature_failed(),
        }
    }
}
