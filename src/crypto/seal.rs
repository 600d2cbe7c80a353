//! Names and encrypts entries of a store that others can read and write.
//!
//! One secret yields a key for the names and, for each name, a key for its entry (HKDF, RFC 5869).
//! A name is a keyed hash, so without the secret it reveals nothing about its token. An entry can
//! only be decrypted under its own name, so an attacker cannot put it in the place of another
//! entry. Each name has its own key. So the number of random nonces for one key stays far below the
//! number at which a nonce could repeat (NIST SP 800-38D §8.3).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Length of the secret in octets. The keys that are derived from it have the same length.
pub(crate) const SECRET: usize = 32;

/// Number of octets that sealing adds: the nonce and the tag.
pub(crate) const OVERHEAD: usize = NONCE_LEN + 16;

/// The purposes of the keys (RFC 5869 §3.2). They contain a version of the format of names and
/// entries. If the format changes, the version must change too. Then old entries are not found.
const NAMES: &[u8] = b"tower-resource-server introspection answers 1: names";
const ENTRIES: &[u8] = b"tower-resource-server introspection answers 1: entries";

/// Computes names and seals (encrypts) entries, with one secret and one context.
pub(crate) struct Sealer {
    names: hmac::Context,
    entries: hkdf::Prk,
}

impl Sealer {
    /// Creates the keys for tokens within a context of several parts. The number of parts and the
    /// length of each part are hashed too, so that no two contexts produce the same input. Returns
    /// `None` if the library fails.
    pub(crate) fn new(secret: &[u8; SECRET], context: &[&[u8]]) -> Option<Self> {
        // RFC 5869 §3.1: a uniformly random secret needs no salt.
        let entries = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &expand(&entries, &[NAMES])?);
        let mut names = hmac::Context::with_key(&key);
        names.update(&(context.len() as u64).to_be_bytes());
        for part in context {
            names.update(&(part.len() as u64).to_be_bytes());
            names.update(part);
        }
        Some(Self { names, entries })
    }

    /// The name of the entry for a token.
    pub(crate) fn name(&self, token: &[u8]) -> String {
        let mut name = self.names.clone();
        // The last part needs no length because nothing follows it.
        name.update(token);
        URL_SAFE_NO_PAD.encode(name.sign())
    }

    /// Seals an entry. Returns `None` if the system has no randomness.
    pub(crate) fn seal(&self, name: &str, mut entry: Vec<u8>) -> Option<Vec<u8>> {
        let key = self.key(name)?;
        let nonce = key.seal_in_place_append_tag(Aad::from(name), &mut entry).ok()?;
        Some([nonce.as_ref().as_slice(), &entry].concat())
    }

    /// Opens (decrypts) an entry that was sealed under this name. Returns `None` for anything else.
    pub(crate) fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, entry) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut entry = entry.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key(name)?.open_in_place(nonce, Aad::from(name), &mut entry).ok()?;
        let length = opened.len();
        entry.truncate(length);
        Some(entry)
    }

    fn key(&self, name: &str) -> Option<RandomizedNonceKey> {
        let key = expand(&self.entries, &[ENTRIES, name.as_bytes()])?;
        RandomizedNonceKey::new(&AES_256_GCM, &key).ok()
    }
}

fn expand(secret: &hkdf::Prk, info: &[&[u8]]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    secret.expand(info, hkdf::HKDF_SHA256).ok()?.fill(&mut key).ok()?;
    Some(key)
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secret: u8, context: &[&[u8]]) -> Sealer {
        Sealer::new(&[secret; SECRET], context).unwrap()
    }

    #[test]
    fn a_name_is_the_same_for_the_same_secret_context_and_token() {
        let own = sealer(1, &[b"https://as", b"app"]).name(b"token");
        assert_eq!(own.len(), 43, "256 bits");
        for (name, other, same) in [
            ("the same", sealer(1, &[b"https://as", b"app"]).name(b"token"), true),
            ("another secret", sealer(2, &[b"https://as", b"app"]).name(b"token"), false),
            ("another token", sealer(1, &[b"https://as", b"app"]).name(b"Token"), false),
            ("a prefix", sealer(1, &[b"https://as", b"app"]).name(b"toke"), false),
            ("another client", sealer(1, &[b"https://as", b"apq"]).name(b"token"), false),
            ("parts cut elsewhere", sealer(1, &[b"https://asapp", b""]).name(b"token"), false),
            ("a part in the token", sealer(1, &[b"https://as"]).name(b"apptoken"), false),
        ] {
            assert_eq!(own == other, same, "{name}");
        }
    }

    #[test]
    fn an_entry_opens_as_it_was_sealed_and_no_other_way() {
        let own = sealer(1, &[]);
        let (name, other) = (own.name(b"token"), own.name(b"other"));
        let sealed = own.seal(&name, b"an entry".to_vec()).unwrap();
        assert_eq!(sealed.len(), 8 + OVERHEAD);
        assert_eq!(own.open(&name, &sealed).unwrap(), b"an entry");
        assert_eq!(sealer(1, &[b"x"]).open(&name, &sealed).unwrap(), b"an entry");
        assert_ne!(own.seal(&name, b"an entry".to_vec()).unwrap(), sealed, "never the same twice");
        assert!(own.open(&other, &sealed).is_none(), "another's name");
        assert!(sealer(2, &[]).open(&name, &sealed).is_none(), "another secret");
        for length in 0..sealed.len() {
            assert!(own.open(&name, &sealed[..length]).is_none(), "{length} octets of it");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(own.open(&name, &changed).is_none(), "octet {at} changed");
        }
    }
}
