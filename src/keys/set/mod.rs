//! A key set. It is parsed and prepared once. After that, it is only read.
//!
//! The document must be valid JSON. An entry that cannot be used is skipped, so that it does not
//! remove the other keys (RFC 7517 §5). For example, its type is unknown, or one of its members
//! occurs twice.

pub(super) mod entries;
pub(super) mod jwk;
pub(super) mod pem;
pub(super) mod select;
pub(super) mod thumbprint;
#[cfg(test)]
mod wycheproof;

use std::fmt;
use std::fmt::Write as _;

use crate::crypto::{Algorithm, AlgorithmSet, KeyFault, VerificationKey};
use crate::fetch::without_mark;
use crate::keys::set::jwk::Key;
use crate::token::Excerpt;
use crate::token::header::KeyHint;
use crate::token::json::{self, Object, Value};
use entries::entries;

pub(crate) use entries::KeySetFault;
pub(crate) use pem::{der, pem};
pub(crate) use select::Candidates;
pub use thumbprint::jwk_thumbprint;

/// The maximum number of entries that the error lists with a reason if no entry can be used.
const MAX_TOLD: usize = 5;

/// The prepared keys of one issuer.
pub(crate) struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// An entry that cannot be used, for the operator's log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Skipped {
    pub(crate) kid: Option<Excerpt>,
    pub(crate) reason: &'static str,
}

impl KeySet {
    /// A set without keys. No signature verifies with it.
    pub(crate) fn empty() -> Self {
        Self { keys: Vec::new(), skipped: Vec::new() }
    }

    /// Parses a JWK set.
    ///
    /// # Errors
    /// Fails if the document is not a JSON object with exactly one array `keys`. Also fails if no
    /// entry that is read can be used: such a document must not replace a good set.
    pub(crate) fn parse(document: &[u8], accepted: AlgorithmSet) -> Result<Self, KeySetFault> {
        let mut set = Self::empty();
        let entries = entries(document)?;
        for entry in entries.texts {
            // An entry is parsed as strictly as a token, with the same limits.
            let read = json::parse(entry.as_bytes());
            let read = read.map_err(|_| KeyFault("not one strict JSON object"));
            let kid = read.as_ref().ok().and_then(kid_of);
            match read.and_then(|jwk| Key::parse(&jwk, accepted)) {
                Ok(key) => set.keys.push(key),
                Err(KeyFault(reason)) => set.skipped.push(Skipped { kid, reason }),
            }
        }
        if entries.has_more {
            let reason = "the set has more than 250 entries, and the first 250 are read";
            set.skipped.push(Skipped { kid: None, reason });
        }
        if set.keys.is_empty() {
            return Err(set.no_usable_key());
        }
        Ok(set)
    }

    /// Parses a file: a JWK set, or one public key or certificate as PEM or DER. The content
    /// decides which of these formats it is.
    ///
    /// # Errors
    /// Fails as [`parse`](Self::parse) does, and if the file has none of these formats.
    pub(crate) fn parse_file(content: &[u8], accepted: AlgorithmSet) -> Result<Self, KeySetFault> {
        const BEGIN: &[u8] = b"-----BEGIN ";
        let key = match without_mark(content).trim_ascii_start() {
            [b'{', ..] => return Self::parse(content, accepted),
            // RFC 7468 §2: text before the first boundary is allowed.
            text if memchr::memmem::find(text, BEGIN).is_some() => pem::pem(text, accepted),
            // DER begins with a SEQUENCE.
            [0x30, ..] => pem::der(content, accepted),
            _ => Err(KeyFault("neither a JWK set nor a public key or certificate as PEM or DER")),
        };
        key.map(Self::single).map_err(|KeyFault(reason)| KeySetFault(reason.into()))
    }

    /// Explains why the first entries cannot be used.
    fn no_usable_key(&self) -> KeySetFault {
        if self.skipped.is_empty() {
            return KeySetFault("no usable key: the set is empty".into());
        }
        let mut text = String::from("no usable key: ");
        for (at, Skipped { kid, reason }) in self.skipped.iter().take(MAX_TOLD).enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            let _ = match kid {
                Some(kid) => write!(text, "{separator}kid {kid}: {reason}"),
                None => write!(text, "{separator}without kid: {reason}"),
            };
        }
        if let Some(more @ 1..) = self.skipped.len().checked_sub(MAX_TOLD) {
            let _ = write!(text, "; and {more} more");
        }
        KeySetFault(text.into())
    }

    /// A set of one key without a kid.
    pub(crate) fn single(prepared: VerificationKey) -> Self {
        Self { keys: vec![Key::nameless(prepared)], skipped: Vec::new() }
    }

    /// The keys that may have signed a token with this header. Empty if the set has no such key.
    pub(crate) fn find(&self, key: KeyHint<'_>, algorithm: Algorithm, iss: &str) -> Candidates {
        select::candidates(&self.keys, key, algorithm, iss)
    }

    /// Whether a key of this set may fit a token with this kid: the key has this kid, or it has no
    /// kid.
    pub(crate) fn may_have(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref().is_none_or(|own| own == kid))
    }

    /// Whether `signature` verifies with one of the candidates.
    pub(crate) fn verify(
        &self,
        candidates: Candidates,
        algorithm: Algorithm,
        input: &[u8],
        signature: &[u8],
    ) -> bool {
        candidates
            .iter()
            .filter_map(|index| self.keys.get(index))
            .any(|key| key.prepared.verify(algorithm, input, signature))
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The kids of the keys that have one.
    pub(crate) fn kids(&self) -> Vec<Excerpt> {
        self.keys.iter().filter_map(|key| key.kid.as_deref()).map(Excerpt::of).collect()
    }

    /// The kids of this set that `other` does not have.
    pub(crate) fn kids_beyond(&self, other: &Self) -> Vec<Excerpt> {
        let kids = self.keys.iter().filter_map(|key| key.kid.as_deref());
        let has = |kid| other.keys.iter().any(|key| key.kid.as_deref() == Some(kid));
        kids.filter(|kid| !has(*kid)).map(Excerpt::of).collect()
    }

    pub(crate) fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}

fn kid_of(jwk: &Object<'_>) -> Option<Excerpt> {
    jwk.get("kid").and_then(Value::as_str).map(Excerpt::of)
}
