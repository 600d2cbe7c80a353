//! Keyed hashes (HMAC with SHA-256, RFC 2104) over several parts.

use std::fmt;

use aws_lc_rs::hmac;

use crate::crypto::are_equal;

/// A key for keyed hashes.
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The first `N` octets of the hash of all parts. Each part is hashed with its length, so that no two
    /// lists of parts produce the same input.
    pub(crate) fn tag<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let whole = context.sign();
        let mut tag = [0; N];
        for (to, from) in tag.iter_mut().zip(whole.as_ref()) {
            *to = *from;
        }
        tag
    }

    /// Whether `tag` is the start of the hash of all parts. The run time does not depend on which octets
    /// differ.
    pub(crate) fn is_tag<const N: usize>(&self, parts: &[&[u8]], tag: &[u8; N]) -> bool {
        are_equal(&self.tag::<N>(parts), tag)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}
