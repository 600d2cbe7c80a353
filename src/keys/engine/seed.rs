//! A seed: the last good key set, for the next process.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::crypto::AlgorithmSet;
use crate::fetch::MAX_DOCUMENT;
use crate::keys::engine::combine::combined;
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::freshness::{Freshness, FreshnessSettings, freshness};
use crate::keys::set::KeySet;
use crate::keys::source::Source;
use crate::keys::source::fetched::Part;
use crate::keys::source::merge::MAX_SETS;
use crate::observe::shown::Shown;

/// How far in the future the time in a seed may be. The seed may come from another machine, whose
/// clock may differ as much as an issuer's clock (RFC 9068 §4).
const MAX_SKEW: Duration = Duration::from_secs(60);

/// The version of the JSON format. A seed with another version is ignored.
const VERSION: u8 = 1;

/// The last good key set of an issuer. A new process can start with it while the issuer is down.
///
/// A seed is used until the first fetch succeeds, but only as long as a set of its age may be used:
/// the seed does not make the keys newer. If the issuer publishes several key sets, the seed has a copy
/// of each. A copy is used until its set has been fetched, and it is ignored if the URL of its set has
/// been removed from the configuration. Store the seed safely: anyone who can change the stored seed
/// can add keys. A seed of several key sets also contains a hash of each URL.
///
/// ```
/// use tower_resource_server::keys::KeySeed;
///
/// assert!(KeySeed::from_json(b"{}").is_err());
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct KeySeed {
    version: u8,
    issuer: String,
    /// Seconds since the Unix epoch.
    fetched_at: u64,
    /// The length of the freshness period, in seconds.
    freshness: u64,
    /// Empty if there are parts.
    document: String,
    /// The sets, if the issuer publishes several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<SeedPart>,
}

/// One of several key sets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct SeedPart {
    /// The hash of the URL. See [`Part::place`].
    place: String,
    /// Seconds since the Unix epoch.
    fetched_at: u64,
    /// The length of the freshness period, in seconds.
    freshness: u64,
    document: String,
}

/// The error of [`KeySeed::from_json`]: the text is not a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSeed(());

impl KeySeed {
    /// `wall` and `now` are the current times of the wall clock and the monotonic clock. The wall
    /// clock may have been changed since the set was fetched, so the age of the set is measured
    /// with the monotonic clock.
    pub(crate) fn of(
        issuer: &str,
        snapshot: &Snapshot,
        parts: &[Part],
        settings: &FreshnessSettings,
        (wall, now): (Duration, Duration),
    ) -> Option<Self> {
        let text = |document: &Bytes| String::from_utf8(document.to_vec()).ok();
        let mut seed = Self {
            version: VERSION,
            issuer: issuer.to_owned(),
            fetched_at: wall.saturating_sub(snapshot.life.age(now)).as_secs(),
            freshness: snapshot.life.freshness().as_secs(),
            document: String::new(),
            parts: Vec::new(),
        };
        if parts.is_empty() {
            seed.document = text(&snapshot.document)?;
            return Some(seed);
        }
        for part in parts.iter().filter(|part| now < part.usable_until) {
            let age = settings.age(part.usable_until, part.max_age, now);
            let fetched_at = wall.saturating_sub(age);
            seed.fetched_at = seed.fetched_at.min(fetched_at.as_secs());
            seed.parts.push(SeedPart {
                place: part.place.clone(),
                fetched_at: fetched_at.as_secs(),
                freshness: freshness(part.max_age).as_secs(),
                document: text(&part.document)?,
            });
        }
        (!seed.parts.is_empty()).then_some(seed)
    }

    /// Returns the seed as JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        // The seed has only numbers and strings, so serialization cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Parses the JSON text that [`to_json`](Self::to_json) returned.
    ///
    /// # Errors
    /// Fails if the text is not a seed. The version, issuer, age and keys of the seed are checked
    /// later, when the seed is used.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidSeed> {
        serde_json::from_slice(text).map_err(|_| InvalidSeed(()))
    }

    /// The issuer of these keys.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When the set was fetched, as time since the Unix epoch. If the issuer publishes several key sets, this is
    /// the time of the oldest.
    pub fn fetched_at(&self) -> Duration {
        Duration::from_secs(self.fetched_at)
    }

    /// Parses the seed's key set. Returns an error with the reason if the seed cannot be used.
    /// `wall` and `now` are the current times of the wall clock and the monotonic clock.
    pub(crate) fn adopt(
        &self,
        issuer: &str,
        accepted: AlgorithmSet,
        source: &Source,
        rules: &Freshness,
        (wall, now): (Duration, Duration),
    ) -> Result<Snapshot, &'static str> {
        if self.version != VERSION {
            return Err("of another version");
        }
        if self.issuer != issuer {
            return Err("of another issuer");
        }
        if self.parts.len() > MAX_SETS {
            return Err("more key sets than an issuer may have");
        }
        let documents = self.parts.iter().map(|part| &part.document).chain([&self.document]);
        if documents.map(String::len).max() > Some(MAX_DOCUMENT) {
            return Err("larger than a key set may be");
        }
        let latest = self.parts.iter().map(|part| part.fetched_at).fold(self.fetched_at, u64::max);
        if Duration::from_secs(latest) > wall.saturating_add(MAX_SKEW) {
            return Err("fetched in the future; compare the clocks");
        }
        let life = |fetched_at, period| {
            let age = wall.saturating_sub(Duration::from_secs(fetched_at));
            rules.seeded(now, age, Duration::from_secs(period))
        };
        // Neither the snapshot nor a part has an ETag. With one, a "not modified" answer could
        // confirm a manipulated seed.
        let validator = None;
        if self.parts.is_empty() {
            let life = life(self.fetched_at, self.freshness).ok_or("too old to be used")?;
            let document: Bytes = self.document.clone().into();
            let keys = KeySet::parse(&document, accepted).map_err(|_| "no key set")?.into();
            let replacement_tried = Mutex::default();
            return Ok(Snapshot { keys, life, document, validator, seed: true, replacement_tried });
        }
        let mut own = self.parts.iter().filter(|part| source.has_place(&part.place)).peekable();
        own.peek().ok_or("of other URLs")?;
        let part = |part: &SeedPart| {
            let life = life(part.fetched_at, part.freshness)?;
            Some(Part {
                place: part.place.clone(),
                document: part.document.clone().into(),
                validator: None,
                max_age: Some(life.freshness()),
                usable_until: now.saturating_add(life.usable_for(now)?),
            })
        };
        let parts: Vec<_> = own.filter_map(part).collect();
        if parts.is_empty() {
            return Err("too old to be used");
        }
        let set = combined(parts.clone(), accepted, rules, now, true).ok_or("no key set")?;
        source.take_over(parts);
        Ok(set)
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
