//! What a request knows, and what is decided for it.

use std::time::Duration;

use super::attempts::{Attempt, Ticket};

/// What a request knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Whether the set at hand has a key for it.
    pub(crate) known: bool,
    /// The first attempt that began after it came; none where it has just come.
    pub(crate) since: Option<Attempt>,
    /// Whether it may wait.
    pub(crate) patient: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It goes on with its key.
    Serve,
    /// There is no such key: the token's fault.
    Unknown,
    /// There may be such a key, but the issuer does not answer: not the token's fault.
    Unavailable {
        retry_after: Duration,
    },
    Wait(Wait),
}

/// A wait for the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) attempt: Attempt,
    pub(crate) limit: Duration,
    /// The first attempt that began after the request came. One that was under way already may have
    /// been answered before the request's key was published.
    pub(crate) since: Attempt,
    /// Whether it is one of the bounded number: the end of the wait is then to be
    /// [told](super::Freshness::left).
    pub(crate) counted: bool,
}

/// An answer, with what is to be done first.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) answer: Answer,
    /// An attempt to start.
    pub(crate) start: Option<Ticket>,
    /// Something to tell the operator.
    pub(crate) note: Option<Note>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// An unknown kid starts a fetch. As rare as the budget is small.
    UnknownKid,
    /// The budget for unknown kids is spent: once, until it was full again.
    BudgetSpent,
}

/// The view is out of date: another thread started or ended an attempt. Look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outrun;

/// What a failed attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setback {
    /// Failures in a row.
    pub(crate) failures: u32,
    /// How long the last good set will still be used; none when requests are answered 503.
    pub(crate) usable_for: Option<Duration>,
    /// Whether the set is past its freshness by now and nobody was told so.
    pub(crate) turned_stale: bool,
}
