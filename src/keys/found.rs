//! The keys that were found for a token, and the other results of a key lookup.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;

use crate::crypto::Algorithm;
use crate::keys::engine::remote::{Look, RemoteKeys};
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::engine::wait::{KeyWait, KeysWaited};
use crate::keys::set::{Candidates, KeySet};
use crate::token::header::KeyHint;

/// The result of a key lookup.
pub(crate) enum KeyLookup<'a> {
    Found(Found<'a>),
    /// There is no such key. The token is at fault.
    Unknown,
    /// It is not known whether there is such a key, for example because the issuer does not answer.
    /// The token is not at fault.
    Unavailable {
        retry_after: Duration,
    },
    /// A fetch may return the key.
    Wait(KeyWait),
}

/// The keys that a token's header names, and the set that holds them.
pub(crate) enum Found<'a> {
    Static(&'a KeySet, Candidates),
    /// Use the guard at once and do not store it: a guard borrows the snapshot, which is cheaper
    /// than cloning the `Arc`.
    Remote(Guard<Option<Arc<Snapshot>>>, Candidates),
}

impl Found<'_> {
    /// Whether `signature` verifies with one of the keys.
    pub(crate) fn verify(&self, algorithm: Algorithm, input: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Static(keys, candidates) => keys.verify(*candidates, algorithm, input, signature),
            Self::Remote(snapshot, candidates) => snapshot.as_ref().is_some_and(|snapshot| {
                snapshot.keys.verify(*candidates, algorithm, input, signature)
            }),
        }
    }
}

impl RemoteKeys {
    /// Looks for a key, without blocking. If the request has already waited for this engine, the
    /// result is never [`KeyLookup::Wait`].
    pub(crate) fn find(
        self: &Arc<Self>,
        key: KeyHint<'_>,
        algorithm: Algorithm,
        iss: &str,
        waited: Option<&KeysWaited>,
    ) -> KeyLookup<'static> {
        let since = waited.and_then(|waited| waited.since(self));
        let query = (key, algorithm, iss);
        match self.look(query, since, since.is_none()) {
            Look::Found(snapshot, candidates) => {
                KeyLookup::Found(Found::Remote(snapshot, candidates))
            }
            Look::Unknown => KeyLookup::Unknown,
            Look::Unavailable { retry_after } => KeyLookup::Unavailable { retry_after },
            Look::Wait(wait) => KeyLookup::Wait(KeyWait::new(Arc::clone(self), wait, query)),
        }
    }
}
