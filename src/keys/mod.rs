//! Step 4 of the walk: keys. Which key signed, and where keys come from.
//!
//! Choosing a key is pure ([`select`]). Keys that do not change are a [`KeySet`]; those of a server
//! are kept fresh by one engine per issuer ([`remote`]), which does what a pure state machine on
//! time decides ([`freshness`]).

mod engine;
mod found;
mod freshness;
mod set;
mod source;

use std::sync::Arc;

use crate::crypto::Algorithm;
use crate::observe::shown::redacted;
use crate::observe::{IssuerHealth, KeyStage};
use crate::token::Excerpt;
use crate::token::header::KeyHint;

pub use engine::{InvalidSeed, KeySeed};
pub(crate) use engine::{KeySettings, KeyWait, KeysWaited, RemoteKeys};
pub(crate) use found::{Found, KeyLookup};
pub(crate) use freshness::{FreshnessSettings, STALE_IF_ERROR};
pub use set::jwk_thumbprint;
pub(crate) use set::{KeySet, KeySetFault, der, pem};
pub(crate) use source::AnyKeySource;
pub(crate) use source::Source;
#[cfg(feature = "remote")]
pub(crate) use source::{BearerFile, JwksPlaces, MAX_PLACES, bearer, read_file};
pub use source::{FetchedKeys, KeySource};

/// The keys of one issuer.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    /// Given in code.
    Static(Arc<KeySet>),
    /// Fetched, and kept fresh.
    Remote(Arc<RemoteKeys>),
}

impl Keys {
    /// Looks for the key that a header names. It never asks to wait for the same keys again.
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

    /// Whether a flood of unknown kids is on and this is one of them: see
    /// [`Freshness::is_flooded`](freshness::Freshness::is_flooded).
    pub(crate) fn is_flooded_with(&self, kid: &str) -> bool {
        match self {
            Self::Static(_) => false,
            Self::Remote(keys) => keys.is_flooded_with(kid),
        }
    }

    /// How the keys of `issuer` stand.
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

    /// Returns when there are usable keys; see [`RemoteKeys::ready`].
    pub(crate) async fn ready(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => keys.ready().await,
        }
    }

    /// Why the last fetch failed.
    pub(crate) fn last_error(&self) -> Option<Excerpt> {
        match self {
            Self::Static(_) => None,
            Self::Remote(keys) => keys.last_error.load().as_deref().cloned(),
        }
    }

    /// Has the keys fetched if that is due, and waits for nothing.
    pub(crate) fn wake(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => drop(keys.wake()),
        }
    }

    /// Goes on with the keys of another engine that fetches from the same place.
    pub(crate) fn take_over(&self, other: &Self) {
        if let (Self::Remote(own), Self::Remote(other)) = (self, other) {
            own.take_over(other);
        }
    }

    /// Reports the seed of another engine, which can't be used, as if it were its own.
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

    /// Tells of a seed that is not used, once.
    pub(crate) fn tell_of_seed(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => keys.tell_of_seed(),
        }
    }

    /// Has the keys fetched when that is due from now on, without waiting for a request.
    pub(crate) fn keep_warm(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => keys.keep_warm(),
        }
    }

    /// The set at hand, for the next process.
    pub(crate) fn export(&self) -> Option<KeySeed> {
        match self {
            Self::Static(_) => None,
            Self::Remote(keys) => keys.export(),
        }
    }

    /// The metadata by which the keys are found.
    #[cfg(feature = "remote")]
    pub(crate) fn discovery(&self) -> Option<&Arc<crate::fetch::Discovery>> {
        match self {
            Self::Static(_) => None,
            Self::Remote(keys) => keys.source().discovery(),
        }
    }

    /// A signature did not verify: perhaps the key was replaced under its old kid.
    pub(crate) fn signature_failed(&self) {
        match self {
            Self::Static(_) => {}
            Self::Remote(keys) => keys.signature_failed(),
        }
    }
}
