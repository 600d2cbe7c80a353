//! Keys that were found for a token, and what else a look for them can come to.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;

use crate::crypto::Algorithm;
use crate::keys::engine::remote::{Look, RemoteKeys};
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::engine::wait::{KeyWait, KeysWaited};
use crate::keys::set::{Candidates, KeySet};
use crate::token::header::KeyHint;

/// What a look for a key came to.
pub(crate) enum KeyLookup<'a> {
    Found(Found<'a>),
    /// There is no such key: the token's fault.
    Unknown,
    /// There may be such a key, but the issuer does not answer: not the token's fault.
    Unavailable {
        retry_after: Duration,
    },
    /// A fetch may bring the key.
    Wait(KeyWait),
}

/// Keys that a token's header names, in the set they were found in.
pub(crate) enum Found<'a> {
    Static(&'a KeySet, Candidates),
    /// Not to be kept: it borrows the snapshot, which costs less than a share in it.
    Remote(Guard<Option<Arc<Snapshot>>>, Candidates),
}

impl Found<'_> {
    /// Whether `signature` verifies with one of them.
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
    /// Looks for a key, without blocking. Where the request has waited for this engine, it never
    /// answers [`KeyLookup::Wait`].
    pub(crate) fn find(
        self: &Arc<Self>,
        key: KeyHint<'_>,
        algorithm: Algorithm,
        iss: &str,
        waited: Option<&KeysWaited>,
    ) -> KeyLookup<'static> {
        let since = waited.and_then(|waited| waited.since(self));
        let sought = (key, algorithm, iss);
        match self.look(sought, since, since.is_none()) {
            Look::Found(snapshot, candidates) => {
                KeyLookup::Found(Found::Remote(snapshot, candidates))
            }
            Look::Unknown => KeyLookup::Unknown,
            Look::Unavailable { retry_after } => KeyLookup::Unavailable { retry_after },
            Look::Wait(wait) => KeyLookup::Wait(KeyWait::new(Arc::clone(self), wait, sought)),
        }
    }
}
