//! One attempt to fetch, as a task that no request can cancel and that reports back however it
//! ends.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::keys::freshness::Ticket;
use crate::keys::remote::RemoteKeys;
use crate::keys::source::{Failure, Fetched, Source, Validator};
use crate::runtime;

/// How long a whole attempt may take: the metadata and the keys, each of which has 5 s. No request
/// waits that long; the attempt is for those that come later.
const DEADLINE: Duration = Duration::from_secs(10);

/// An attempt under way. It reports to the engine even when its task panics or is aborted.
pub(crate) struct Flight {
    keys: Weak<RemoteKeys>,
    ticket: Option<Ticket>,
}

impl Flight {
    pub(crate) fn new(keys: &Arc<RemoteKeys>, ticket: Ticket) -> Self {
        Self { keys: Arc::downgrade(keys), ticket: Some(ticket) }
    }

    fn land(&mut self, fetched: Result<Fetched, Failure>) {
        if let Some(ticket) = self.ticket.take()
            && let Some(keys) = self.keys.upgrade()
        {
            keys.land(ticket, fetched);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.land(Err("the fetch was aborted".into()));
    }
}

pub(crate) async fn fetch(
    mut flight: Flight,
    source: Arc<Source>,
    validator: Option<Validator>,
    now: Duration,
) {
    let fetched = runtime::within(DEADLINE, source.fetch(validator.as_ref(), now)).await;
    flight.land(fetched.unwrap_or_else(|| Err("no answer in time".into())));
}
