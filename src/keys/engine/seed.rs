//! The last good key set, handed to the next process.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crypto::AlgorithmSet;
use crate::fetch::MAX_DOCUMENT;
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::freshness::Freshness;
use crate::keys::set::KeySet;
use crate::observe::shown::Shown;

/// How far ahead of our clock the time in a seed may be: it may come from another machine, whose
/// clock differs as much as an issuer's may (RFC 9068 §4).
const MAX_SKEW: Duration = Duration::from_secs(60);

/// The form of the JSON. A seed of another one is ignored.
const VERSION: u8 = 1;

/// The last good key set of an issuer, to start from while the issuer is down.
///
/// It is used until the first fetch succeeds, and no longer than the set would have been used by
/// the process that fetched it. It is as good as the place it was kept in: whoever can write there
/// can put keys into it.
///
/// ```
/// use tower_resource_server::KeySeed;
///
/// assert!(KeySeed::from_json(b"{}").is_err());
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct KeySeed {
    version: u8,
    issuer: String,
    /// Seconds since the Unix epoch.
    fetched_at: u64,
    /// Seconds.
    freshness: u64,
    document: String,
}

/// A text is no seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSeed(());

impl KeySeed {
    /// `wall` and `now` are the two clocks' times. The wall clock may have been stepped since the set
    /// was fetched, so its age is taken from the other one.
    pub(crate) fn of(
        issuer: &str,
        snapshot: &Snapshot,
        (wall, now): (Duration, Duration),
    ) -> Option<Self> {
        let fetched_at = wall.saturating_sub(snapshot.life.age(now));
        Some(Self {
            version: VERSION,
            issuer: issuer.to_owned(),
            fetched_at: fetched_at.as_secs(),
            freshness: snapshot.life.freshness().as_secs(),
            document: String::from_utf8(snapshot.document.to_vec()).ok()?,
        })
    }

    /// The seed as JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        // Numbers and texts only: nothing of it can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the JSON text of [`to_json`](Self::to_json).
    ///
    /// # Errors
    /// When it is no such text. Whether the seed is of the right issuer, and not too old, is judged
    /// where it is used.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidSeed> {
        serde_json::from_slice(text).map_err(|_| InvalidSeed(()))
    }

    /// The issuer whose keys they are.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When the set was fetched, as time since the Unix epoch.
    pub fn fetched_at(&self) -> Duration {
        Duration::from_secs(self.fetched_at)
    }

    /// Makes a set of it, or says why not. `wall` and `now` are the two clocks' times.
    pub(crate) fn adopt(
        &self,
        issuer: &str,
        accepted: AlgorithmSet,
        freshness: &Freshness,
        (wall, now): (Duration, Duration),
    ) -> Result<Snapshot, &'static str> {
        if self.version != VERSION {
            return Err("of another version");
        }
        if self.issuer != issuer {
            return Err("of another issuer");
        }
        if self.document.len() > MAX_DOCUMENT {
            return Err("larger than a key set may be");
        }
        let fetched_at = self.fetched_at();
        if fetched_at > wall.saturating_add(MAX_SKEW) {
            return Err("from the future; compare the clocks");
        }
        let age = wall.saturating_sub(fetched_at);
        let life = freshness
            .seeded(now, age, Duration::from_secs(self.freshness))
            .ok_or("older than a set may be used")?;
        let keys = KeySet::parse(self.document.as_bytes(), accepted).map_err(|_| "no key set")?;
        let document = self.document.clone().into();
        // Without an ETag: a seed that was tampered with must not live on by "not modified".
        Ok(Snapshot { keys: keys.into(), life, document, validator: None, seed: true })
    }
}

impl fmt::Debug for KeySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySeed")
            .field("issuer", &Shown(&self.issuer))
            .field("fetched_at", &self.fetched_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the JSON text of a key seed")
    }
}

impl std::error::Error for InvalidSeed {}
