//! How the keys of an issuer stand, for a readiness check or a page of the operator's.

use std::time::Duration;

use crate::token::Excerpt;

/// How the keys of one issuer stand.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IssuerHealth {
    /// The issuer's name, from the configuration.
    pub issuer: String,
    /// How fresh its keys are.
    pub keys: KeyStage,
    /// The ids of the keys at hand, of those that have one.
    pub key_ids: Vec<Excerpt>,
    /// How many entries of the set can't be used.
    pub skipped: usize,
    /// How long ago the set was fetched; none for fixed keys and where there is no set.
    pub age: Option<Duration>,
    /// How long until it is fetched again: nothing when that is due with the next request; none for
    /// fixed keys.
    pub next_refresh: Option<Duration>,
    /// Why the last fetch failed; none when it succeeded.
    pub last_error: Option<Excerpt>,
    /// How many fetches have failed since the last that succeeded.
    pub failures: u32,
}

impl IssuerHealth {
    /// Whether requests with tokens of this issuer can be answered.
    pub fn is_usable(&self) -> bool {
        match self.keys {
            KeyStage::Fixed | KeyStage::Fresh | KeyStage::Ahead | KeyStage::Stale => true,
            KeyStage::Missing | KeyStage::Expired => false,
        }
    }
}

/// How fresh the keys of an issuer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStage {
    /// Given in code: they do not change.
    Fixed,
    /// No set was fetched yet. Requests wait for the first one.
    Missing,
    /// Fresh.
    Fresh,
    /// Fresh, and to be fetched again with the next request.
    Ahead,
    /// Past their freshness, and used until a fetch succeeds or the cap is reached.
    Stale,
    /// Past the cap: requests are answered 503 until a fetch succeeds.
    Expired,
}
