//! One attempt to fetch, as a task that no request can cancel and that reports back however it
//! ends.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::keys::freshness::{DEADLINE, Ticket};
use crate::keys::remote::RemoteKeys;
use crate::keys::snapshot::Snapshot;
use crate::keys::source::{Failure, Fetched, Source};
use crate::runtime;

/// An attempt under way. It reports to the engine even when its task panics or is dropped.
pub(crate) struct Flight {
    keys: Weak<RemoteKeys>,
    ticket: Option<Ticket>,
    /// The set at hand when it began, to which "not modified" refers.
    known: Option<Arc<Snapshot>>,
}

impl Flight {
    pub(crate) fn new(
        keys: &Arc<RemoteKeys>,
        ticket: Ticket,
        known: Option<Arc<Snapshot>>,
    ) -> Self {
        Self { keys: Arc::downgrade(keys), ticket: Some(ticket), known }
    }

    fn land(&mut self, fetched: Result<Fetched, Failure>) {
        if let Some(ticket) = self.ticket.take()
            && let Some(keys) = self.keys.upgrade()
        {
            keys.land(ticket, fetched, self.known.as_deref());
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A source of the API's own panicked: that is its answer.
            self.land(Err("the fetch was aborted".into()));
        } else if let Some(ticket) = self.ticket.take()
            && let Some(keys) = self.keys.upgrade()
        {
            keys.dropped(ticket);
        }
    }
}

pub(crate) async fn fetch(mut flight: Flight, source: Arc<Source>, now: Duration) {
    let validator = flight.known.as_ref().and_then(|known| known.validator.clone());
    let fetched = runtime::within(DEADLINE, source.fetch(validator.as_ref(), now)).await;
    flight.land(fetched.unwrap_or_else(|| Err("no answer in time".into())));
}
