//! Step 4: selects the keys of a set that may have signed a token. Pure functions.
//!
//! A `kid` only selects keys of the trusted set (RFC 7515 §4.1.4). The rules, in this order:
//!
//! - If the token has a `kid`: all keys with this `kid`. Two keys may share a `kid` (RFC 7517
//!   §4.5).
//! - If there is no key with this `kid`: the key without a `kid`, if there is exactly one.
//! - If the token has a certificate's thumbprint and no `kid`: the keys with this thumbprint (RFC
//!   7515 §4.1.7). If there are none: the keys for which the set lists no thumbprint of the same
//!   hash algorithm.
//! - If the token has neither: all keys. A server that gives its keys no names has two keys during
//!   each rotation.
//!
//! Only keys that support the token's algorithm count. If the set names an issuer for a key, the
//! key is used only for tokens of this issuer.
//!
//! At most four keys are tried, so that a forged token does not cost one signature check for each
//! key of the set.

use crate::crypto::Algorithm;
use crate::keys::set::jwk::Key;
use crate::tenant::tenant_of;
use crate::token::header::{KeyHint, Thumbprint};

/// The maximum number of keys that are tried for one token. During a rotation, a set may have two
/// keys with the same kid. More such keys are a mistake, which must not multiply the cost of a
/// forged token.
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
    // Up to four keys for which `is_meant` is true and that may be used for the algorithm and the
    // issuer.
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

/// Whether a key that is published for `issuer` may be used for tokens of `iss`. `issuer` may
/// contain a placeholder for the tenant.
fn serves(issuer: &str, iss: &str) -> bool {
    issuer == iss || tenant_of(issuer, iss).is_some()
}
