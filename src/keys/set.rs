//! A key set: parsed once, prepared once, then only read.
//!
//! Strict on the document, lenient on its entries (RFC 7517 §5): one key of an unknown kind must
//! not take the others with it.

use std::fmt;

use crate::crypto::{Algorithm, AlgorithmSet, KeyFault, VerificationKey};
use crate::keys::jwk::Key;
use crate::keys::select::{self, Candidates};
use crate::token::Excerpt;
use crate::token::json::{self, Value};

/// Entries of one set. Real sets have 1 to 20, Entra ID's common one about 30.
pub(crate) const MAX_KEYS: usize = 100;

/// JSON members of a set, so that 100 keys with certificates fit.
const MAX_MEMBERS: u32 = 4_000;

/// The prepared keys of one issuer.
pub(crate) struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// An entry that can't be used, for the operator's log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Skipped {
    pub(crate) kid: Option<Excerpt>,
    pub(crate) reason: &'static str,
}

/// Why a document is no usable key set, in fixed words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeySetFault(pub(crate) &'static str);

impl KeySet {
    /// Reads a JWK set.
    ///
    /// # Errors
    /// When the document is no strict JSON object with an array `keys` of at most 100 entries, or
    /// when no entry can be used: such an answer must not replace a good set.
    pub(crate) fn parse(document: &[u8], accepted: AlgorithmSet) -> Result<Self, KeySetFault> {
        let document = json::parse_up_to(document, MAX_MEMBERS)
            .map_err(|_| KeySetFault("not one strict JSON object"))?;
        let Some(Value::Array(entries)) = document.get("keys") else {
            return Err(KeySetFault("no array `keys`"));
        };
        if entries.len() > MAX_KEYS {
            return Err(KeySetFault("more than 100 keys"));
        }
        let mut set = Self { keys: Vec::with_capacity(entries.len()), skipped: Vec::new() };
        for entry in entries {
            match Key::parse(entry, accepted) {
                Ok(key) => set.keys.push(key),
                Err(KeyFault(reason)) => set.skipped.push(Skipped { kid: kid_of(entry), reason }),
            }
        }
        if set.keys.is_empty() {
            return Err(KeySetFault("no usable key"));
        }
        Ok(set)
    }

    /// A set of one key without a kid.
    pub(crate) fn single(prepared: VerificationKey) -> Self {
        Self { keys: vec![Key { kid: None, issuer: None, prepared }], skipped: Vec::new() }
    }

    /// The keys that a token's header names; none when it names none of this set.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm, iss: &str) -> Candidates {
        select::candidates(&self.keys, kid, algorithm, iss)
    }

    /// Whether some key may be meant by this kid: one that has it, or one that has none.
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

    /// The key ids, of the keys that have one.
    pub(crate) fn kids(&self) -> Vec<Excerpt> {
        self.keys.iter().filter_map(|key| key.kid.as_deref()).map(Excerpt::of).collect()
    }

    /// The key ids that `other` does not have.
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

fn kid_of(entry: &Value<'_>) -> Option<Excerpt> {
    match entry {
        Value::Object(jwk) => jwk.get("kid").and_then(Value::as_str).map(Excerpt::of),
        _ => None,
    }
}
