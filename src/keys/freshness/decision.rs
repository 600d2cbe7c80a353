//! The decision about a request, and the input for this decision.

use std::time::Duration;

use super::attempts::{Attempt, Ticket};

/// The input for a decision about a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestState {
    /// Whether the current set has a key for the request.
    pub(crate) known: bool,
    /// The first attempt that began after the request arrived. `None` if the request has just
    /// arrived.
    pub(crate) since: Option<Attempt>,
    /// Whether the request may wait.
    pub(crate) may_wait: bool,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The request continues with its key.
    Serve,
    /// There is no such key. The token is at fault.
    Unknown,
    /// It is not known whether there is such a key, for example because the issuer does not answer.
    /// The token is not at fault.
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
    /// The first attempt that began after the request arrived. An attempt that was already in
    /// progress may have been answered before the request's key was published.
    pub(crate) since: Attempt,
    /// Whether this wait counts toward the limit of waiting requests. If so, report its end with
    /// [`wait_ended`](super::Freshness::wait_ended).
    pub(crate) counted: bool,
}

/// An outcome, and what to do before the outcome is returned.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) outcome: Outcome,
    /// An attempt to start.
    pub(crate) start: Option<Ticket>,
    /// Something to report to the operator.
    pub(crate) note: Option<Note>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// An unknown kid starts a fetch. The small budget makes this rare.
    UnknownKid,
    /// The budget for unknown kids is spent. This is reported once until the budget is full again.
    BudgetSpent,
}

/// The view is out of date because another thread started or ended an attempt. Load the state again
/// and retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewOutdated;

/// The consequences of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setback {
    /// The number of failures in a row.
    pub(crate) failures: u32,
    /// How long the last good set will still be used. `None` if requests are answered 503.
    pub(crate) usable_for: Option<Duration>,
    /// Whether the set is stale and this was not reported yet.
    pub(crate) turned_stale: bool,
}
