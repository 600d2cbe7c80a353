//! What happens to the keys of an issuer, told to whoever runs the API.

use std::sync::Arc;
use std::time::Duration;

use crate::token::Excerpt;

pub(crate) const USE_IS_NOT_SIG: &str = "use is not sig";
pub(crate) const NO_VERIFY: &str = "key_ops has no verify";
pub(crate) const ALG_ENCRYPTS: &str = "alg is one for encryption";

/// The reasons to skip a key that is for something else than signatures.
pub(crate) const FOR_ENCRYPTION: [&str; 3] = [USE_IS_NOT_SIG, NO_VERIFY, ALG_ENCRYPTS];

/// Something that happened to the keys of a trusted issuer: facts for the operator, with no token
/// and no claim in them. The same facts go to the log.
///
/// A flood is not a flood of events: those that tokens can cause come once a flood, or as seldom as
/// the budget of fetches allows.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A fetch succeeded.
    Refreshed {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// How many keys of the set can be used.
        keys: usize,
        /// Whether there was no set of this issuer's before.
        first: bool,
        /// Whether it is another document than before.
        changed: bool,
    },
    /// A fetch brought other keys than before. Keys without a kid are not told.
    Rotated {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// Kids that were not in the set before.
        added: Vec<Excerpt>,
        /// Kids that are no longer in the set, and whose tokens are refused from now on.
        removed: Vec<Excerpt>,
    },
    /// An entry of a fetched set can't be used; told when the document is another than before.
    KeySkipped {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// The entry's kid, if it has one.
        kid: Option<Excerpt>,
        /// Why, in fixed words.
        reason: &'static str,
    },
    /// A fetch failed. The last good set, if there is one, stays. Of several
    /// [`jwks_uris`](crate::Issuer::jwks_uris), it is about those that failed where others answered.
    RefreshFailed {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// What went wrong.
        problem: Excerpt,
        /// Failures in a row.
        failures: u32,
        /// How long the last good set will still be used; none when requests are answered 503.
        usable_for: Option<Duration>,
    },
    /// The issuer has not answered for so long that the set is past its freshness: once an outage.
    Stale {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// How long the set will still be used.
        usable_for: Duration,
    },
    /// A fetch succeeded after failures.
    Recovered {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// How many attempts had failed.
        failures: u32,
    },
    /// A token with an unknown kid made the set be fetched.
    UnknownKid {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// The kid, which anyone may have made up.
        kid: Option<Excerpt>,
    },
    /// Unknown kids have spent their budget of fetches: tokens with forged kids are coming in, or a
    /// server signs with keys that it does not publish. Told again only when the budget was full
    /// in between.
    BudgetSpent {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
    },
    /// A seed was not used.
    SeedIgnored {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
        /// Why, in fixed words.
        reason: &'static str,
    },
    /// A fetch was due outside a tokio runtime, where it can't run.
    NoRuntime {
        /// The issuer's name, from the configuration.
        issuer: Arc<str>,
    },
}

impl Event {
    /// The name of the issuer whose keys it is about, from the configuration.
    pub fn issuer(&self) -> &str {
        match self {
            Self::Refreshed { issuer, .. }
            | Self::Rotated { issuer, .. }
            | Self::KeySkipped { issuer, .. }
            | Self::RefreshFailed { issuer, .. }
            | Self::Stale { issuer, .. }
            | Self::Recovered { issuer, .. }
            | Self::UnknownKid { issuer, .. }
            | Self::BudgetSpent { issuer }
            | Self::SeedIgnored { issuer, .. }
            | Self::NoRuntime { issuer } => issuer,
        }
    }
}
