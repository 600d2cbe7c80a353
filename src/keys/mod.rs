//! Step 4 of the walk: keys. Which key signed, and where keys come from.
//!
//! Choosing a key is pure ([`select`]). Keys that do not change are a [`KeySet`]; those of a server
//! are kept fresh by one engine per issuer ([`remote`]), whose rules are a pure state machine on
//! time ([`cache`]).

mod cache;
mod jwk;
mod pem;
mod remote;
mod select;
mod set;
mod source;
mod thumbprint;
#[cfg(test)]
mod wycheproof;

use std::sync::Arc;
use std::time::Duration;

use crate::crypto::Algorithm;

pub(crate) use cache::Budget;
#[cfg(feature = "remote")]
pub(crate) use cache::{MAX_FRESHNESS, STALE_IF_ERROR, max_age};
pub(crate) use pem::{der, pem};
pub(crate) use remote::{Fetched, KeyWait, RemoteKeys};
pub(crate) use select::Candidates;
pub(crate) use set::{KeySet, KeySetFault};
pub(crate) use source::Source;
pub use source::{FetchedKeys, KeyFuture, KeySource, KeySourceError};
pub use thumbprint::jwk_thumbprint;

/// The keys of one issuer.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    /// Given in code.
    Static(Arc<KeySet>),
    /// Fetched, and kept fresh.
    Remote(Arc<RemoteKeys>),
}

/// What a look for a key came to.
pub(crate) enum Lookup {
    Found(Arc<KeySet>, Candidates),
    /// There is no such key: the token's fault.
    Unknown,
    /// There may be such a key, but the issuer does not answer: not the token's fault.
    Unavailable {
        retry_after: Duration,
    },
    /// A fetch may bring the key.
    Wait(KeyWait),
}

impl Keys {
    /// Looks for the key that a header names. With `waited`, it never asks to wait again.
    pub(crate) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        iss: &str,
        waited: bool,
    ) -> Lookup {
        match self {
            Self::Remote(keys) => keys.find(kid, algorithm, iss, waited),
            Self::Static(keys) => {
                let candidates = keys.find(kid, algorithm, iss);
                if candidates.is_empty() {
                    Lookup::Unknown
                } else {
                    Lookup::Found(Arc::clone(keys), candidates)
                }
            }
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
