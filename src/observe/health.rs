//! The state of a server's issuers, for a readiness check or a status page.

use std::time::Duration;

use crate::token::Excerpt;

/// The state of a server. [`ResourceServer::health`](crate::ResourceServer::health) returns it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// How many times the trusted issuers were [replaced](crate::ResourceServer::reload).
    pub generation: u64,
    /// The configured issuers, in the order of the configuration.
    pub issuers: Vec<IssuerHealth>,
    /// The known tenants of the [resolver](crate::issuer::IssuerResolver).
    pub tenants: Vec<IssuerHealth>,
    /// The store of used proofs (DPoP). `None` if the server accepts no proofs.
    pub replay: Option<ReplayHealth>,
}

/// The state of the store of used proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayHealth {
    /// The number of proofs in the store. `None` if this is not known, as for a shared store.
    pub entries: Option<usize>,
    /// The maximum number of proofs in the store. `None` if this is not known.
    pub capacity: Option<usize>,
    /// Why the store can't be relied on. Requests with proofs may be refused.
    pub problem: Option<Excerpt>,
}

impl Health {
    /// Whether the tokens of every configured issuer can be validated: see
    /// [`IssuerHealth::is_usable`]. Tenants do not count, so that one tenant that is down does not stop
    /// the API for the others. The store of used proofs does not count either: tokens that are not bound to a key
    /// do not need it.
    pub fn is_ready(&self) -> bool {
        self.issuers.iter().all(IssuerHealth::is_usable)
    }
}

/// The state of one issuer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IssuerHealth {
    /// The issuer's name, from the configuration.
    pub issuer: String,
    /// The freshness of the issuer's keys.
    pub keys: KeyStage,
    /// The key IDs of the available keys. Keys without an ID are omitted.
    pub key_ids: Vec<Excerpt>,
    /// The number of unusable entries in the set.
    pub skipped: usize,
    /// The time since the set was fetched. `None` for fixed keys, and if there is no set.
    pub age: Option<Duration>,
    /// The time until the next fetch. Zero if the fetch is due with the next request. `None` for fixed
    /// keys.
    pub next_refresh: Option<Duration>,
    /// The reason why the last fetch failed. `None` if it succeeded.
    pub last_error: Option<Excerpt>,
    /// The number of fetches in a row that failed, in whole or in part.
    pub failures: u32,
    /// The state of the issuer's introspection, if it is configured.
    pub introspection: Option<IntrospectionHealth>,
}

/// The state of the introspection of one issuer. The counts are of this process, since its start or the
/// last reload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntrospectionHealth {
    /// Whether the circuit breaker is open, because the endpoint failed for several tokens in a row or refused this
    /// API's own credentials. Then requests without a cached answer get 503.
    pub open: bool,
    /// Calls in progress.
    pub in_flight: usize,
    /// Calls that wait in the queue.
    pub queued: usize,
    /// Requests that wait for an answer.
    pub waiting: usize,
    /// Cache hits in this process.
    pub hits: u64,
    /// Cache hits in the shared cache.
    pub shared_hits: u64,
    /// Calls made.
    pub calls: u64,
    /// How many times a call was needed but not made, for example because the circuit breaker was open. Requests that
    /// wait for the same answer count once.
    pub held_back: u64,
}

impl IssuerHealth {
    /// Whether tokens of this issuer can be validated. If it needs keys, they must be usable. If it has
    /// introspection, the circuit breaker must be closed.
    pub fn is_usable(&self) -> bool {
        // The rule does not depend on the setting: even if only some tokens need introspection, it must be available.
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

/// The freshness of an issuer's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyStage {
    /// The keys are given in code. They do not change.
    Fixed,
    /// No keys are needed, because every token is introspected.
    Unused,
    /// No set has been fetched yet. Requests wait for the first fetch.
    Missing,
    /// Fresh.
    Fresh,
    /// Fresh. The next request starts a refresh ahead of time, in the background.
    Ahead,
    /// Stale, and used until a fetch succeeds or the time of
    /// [`stale_if_error`](crate::builder::Builder::stale_if_error) is over.
    Stale,
    /// Too old: the time of `stale_if_error` is over. Requests get 503 until a fetch succeeds.
    Expired,
}

impl KeyStage {
    /// The name of the stage: one word in lower case.
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
