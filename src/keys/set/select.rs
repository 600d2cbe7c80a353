//! Step 4 of the walk: which keys of a set may have signed this token? Pure.
//!
//! A `kid` is a hint into the trusted set and nothing else (RFC 7515 §4.1.4). In this order:
//!
//! - a token with a `kid`: the keys of that very kid that serve its algorithm, all of them, since
//!   two keys may share a kid (RFC 7517 §4.5);
//! - else the one key without a kid that serves the algorithm;
//! - a token with a certificate's thumbprint and no `kid`: the keys of that certificate (RFC 7515
//!   §4.1.7), else those of which the set names no certificate;
//! - a token with neither: the keys that serve its algorithm, since a server that names none has two in
//!   each rotation.
//!
//! At most four keys are tried, so that a forged token can't make work of a whole set. Where a `kid`
//! was given and "the one" key without one would be several, there is none.

use crate::crypto::Algorithm;
use crate::issuer::tenant_of;
use crate::keys::set::jwk::Key;
use crate::token::header::{KeyHint, Thumbprint};

/// Keys that are tried for one token. Two of one kid happen in rotations; more is a mistake that
/// must not multiply the cost of a forged token.
pub(crate) const MAX_CANDIDATES: usize = 4;

/// Positions of keys in their set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidates {
    indices: [usize; MAX_CANDIDATES],
    len: usize,
}

impl Candidates {
    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        self.indices.into_iter().take(self.len)
    }

    fn push(&mut self, index: usize) {
        if let Some(place) = self.indices.get_mut(self.len) {
            *place = index;
            self.len += 1;
        }
    }
}

pub(crate) fn candidates(
    keys: &[Key],
    key: KeyHint<'_>,
    algorithm: Algorithm,
    iss: &str,
) -> Candidates {
    // Up to four of those that are meant and fit.
    fn all(
        keys: &[Key],
        (algorithm, iss): (Algorithm, &str),
        is_meant: impl Fn(&Key) -> bool,
    ) -> Candidates {
        let mut found = Candidates::default();
        for (index, key) in keys.iter().enumerate() {
            if is_meant(key)
                && key.prepared.fits(algorithm)
                && key.issuer.as_deref().is_none_or(|issuer| serves(issuer, iss))
            {
                found.push(index);
            }
        }
        found
    }
    let token = (algorithm, iss);
    match key {
        KeyHint::Kid(kid) => {
            let named = all(keys, token, |key| key.kid.as_deref() == Some(kid));
            if !named.is_empty() {
                return named;
            }
            let nameless = all(keys, token, |key| key.kid.is_none());
            if nameless.len == 1 { nameless } else { Candidates::default() }
        }
        KeyHint::Certificate(of_token) => {
            fn thumbprints(key: &Key) -> impl Iterator<Item = &Thumbprint> {
                key.thumbprints.iter().flatten()
            }
            let any = |key: &Key, is: fn(&Thumbprint, &Thumbprint) -> bool| {
                let named = || of_token.iter().flatten();
                thumbprints(key).any(|own| named().any(|named| is(own, named)))
            };
            let named = all(keys, token, |key| any(key, Thumbprint::eq));
            if !named.is_empty() {
                return named;
            }
            all(keys, token, |key| !any(key, Thumbprint::is_like))
        }
        KeyHint::Nothing => all(keys, token, |_| true),
    }
}

/// Whether a key published for `issuer`, perhaps with a place for the tenant, serves `iss`.
fn serves(issuer: &str, iss: &str) -> bool {
    issuer == iss || tenant_of(issuer, iss).is_some()
}
