//! How the keys of an issuer stand, for a readiness check or a page of the operator's.

use std::time::Duration;

use crate::token::Excerpt;

/// How a server stands; from [`ResourceServer::health`](crate::ResourceServer::health).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// How often the trusted issuers were [replaced](crate::ResourceServer::reload).
    pub generation: u64,
    /// The configured issuers, in their order.
    pub issuers: Vec<IssuerHealth>,
    /// The tenants at hand that a [resolver](crate::IssuerResolver) found.
    pub tenants: Vec<IssuerHealth>,
}

impl Health {
    /// Whether requests with tokens of every configured issuer can be answered: it has usable keys, where
    /// it needs any, and its introspection, where it has one, is not held back. Tenants don't count:
    /// one that is down is no reason to take the API away from the others.
    pub fn is_ready(&self) -> bool {
        self.issuers.iter().all(IssuerHealth::is_usable)
    }
}

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
    /// How its introspection stands, where it is asked about tokens.
    pub introspection: Option<IntrospectionHealth>,
}

/// How the introspection of one issuer stands. Counts are of this process, since it started or since
/// the last reload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntrospectionHealth {
    /// Whether calls are held back, since the server failed for several tokens in a row, or refused our
    /// own credentials: requests are answered 503.
    pub open: bool,
    /// Calls under way.
    pub in_flight: usize,
    /// Tokens that wait for their turn to be asked about.
    pub queued: usize,
    /// Requests that wait for an answer.
    pub waiting: usize,
    /// Tokens that a remembered answer was at hand for.
    pub hits: u64,
    /// Tokens that a shared cache had an answer for.
    pub shared_hits: u64,
    /// Calls made.
    pub calls: u64,
    /// Requests that were answered 503 without a call.
    pub held_back: u64,
}

impl IssuerHealth {
    /// Whether requests with tokens of this issuer can be answered: its keys are usable, where it
    /// needs any, and its introspection, where it has one, is not held back.
    pub fn is_usable(&self) -> bool {
        // One rule for all ways to introspect: what is needed for some of the tokens has to answer.
        let answers = !self.introspection.as_ref().is_some_and(|health| health.open);
        match self.keys {
            KeyStage::Fixed
            | KeyStage::Unused
            | KeyStage::Fresh
            | KeyStage::Ahead
            | KeyStage::Stale => answers,
            KeyStage::Missing | KeyStage::Expired => false,
        }
    }
}

/// How fresh the keys of an issuer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStage {
    /// Given in code: they do not change.
    Fixed,
    /// Not needed: the issuer is asked about every token.
    Unused,
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

impl KeyStage {
    /// The stage in one word, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Unused => "unused",
            Self::Missing => "missing",
            Self::Fresh => "fresh",
            Self::Ahead => "ahead",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }
}
