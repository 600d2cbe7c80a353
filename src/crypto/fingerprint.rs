//! Fingerprints of tokens, for places where the token's text must not be kept.
//!
//! A fingerprint is a 128-bit SipHash-1-3 with a random key of this process. An attacker cannot
//! make a token with the fingerprint of another token, so a token that was never verified cannot
//! find the cached answer of another token. The function is pseudorandom for everybody without the
//! key, and neither the key nor a fingerprint ever leaves the process. So an attacker can only
//! guess. With 10,000 remembered tokens, the probability of a hit for one guess is 10^4 / 2^128,
//! which is below 2^-114. At 10^9 guesses a second, a hit would take longer than the age of the
//! universe.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::crypto::random_octets;

/// The fingerprint of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64, u64);

/// Computes fingerprints. All fingerprints use the same key and the same context.
pub(crate) struct Fingerprints(SipHasher13);

/// A hasher for maps with fingerprints as keys. It does not hash again, because fingerprints are
/// already as good as random.
pub(crate) type BuildFingerprintHasher = BuildHasherDefault<TakeFirst>;

impl Fingerprints {
    /// Creates a random key for tokens within a context of several parts. Each part is hashed with
    /// its length, so that no two contexts produce the same input. Returns `None` if the system has
    /// no randomness, because a fingerprint without a secret key is not safe.
    pub(crate) fn new(context: &[&[u8]]) -> Option<Self> {
        let mut hasher = SipHasher13::new_with_key(&random_octets()?);
        for part in context {
            absorb(&mut hasher, part);
        }
        Some(Self(hasher))
    }

    /// The fingerprint of a token.
    pub(crate) fn of(&self, token: &[u8]) -> Fingerprint {
        self.within(&[], token)
    }

    /// The fingerprint of a token within a further context, for a cache whose context changes.
    /// Compare only fingerprints whose contexts have the same number of parts.
    pub(crate) fn within(&self, context: &[&[u8]], token: &[u8]) -> Fingerprint {
        let mut hasher = self.0;
        for part in context {
            absorb(&mut hasher, part);
        }
        // The last part needs no length because nothing follows it.
        hasher.write(token);
        let hash = hasher.finish128();
        Fingerprint(hash.h1, hash.h2)
    }
}

fn absorb(hasher: &mut SipHasher13, part: &[u8]) {
    hasher.write_u64(part.len() as u64);
    hasher.write(part);
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Uses the first half of a fingerprint as its hash.
#[derive(Default)]
pub(crate) struct TakeFirst(u64);

impl Hasher for TakeFirst {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used: a fingerprint writes one `u64`. Other values would also work, but would be
        // distributed less evenly.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_fingerprint_under_one_key_and_context() {
        let key = [7; 16];
        let of = |context: &[&[u8]], token: &[u8]| {
            let mut hasher = SipHasher13::new_with_key(&key);
            let within = Fingerprints(hasher).within(context, token);
            for part in context {
                absorb(&mut hasher, part);
            }
            let own = Fingerprints(hasher).of(token);
            assert!(own == within, "the context can be given with the key or with the token");
            own
        };
        let own = of(&[b"https://as", b"1"], b"token");
        for (name, other, same) in [
            ("the same", of(&[b"https://as", b"1"], b"token"), true),
            ("another token", of(&[b"https://as", b"1"], b"token2"), false),
            ("a prefix", of(&[b"https://as", b"1"], b"toke"), false),
            ("another case", of(&[b"https://as", b"1"], b"Token"), false),
            ("another generation", of(&[b"https://as", b"2"], b"token"), false),
            ("another issuer", of(&[b"https://at", b"1"], b"token"), false),
            ("parts cut elsewhere", of(&[b"https://as1", b""], b"token"), false),
            ("a part in the token", of(&[b"https://as"], b"1token"), false),
        ] {
            assert_eq!(own == other, same, "{name}");
        }
    }

    #[test]
    fn keys_differ() {
        let (one, other) = (Fingerprints::new(&[]).unwrap(), Fingerprints::new(&[]).unwrap());
        assert!(one.of(b"token") != other.of(b"token"));
        assert!(one.of(b"token") == one.of(b"token"));
    }
}
