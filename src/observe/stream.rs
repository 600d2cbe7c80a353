//! The one stream of what happens, of which the log and the API's own observer are listeners.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::observe::event::Event;
use crate::observe::log;
#[cfg(feature = "remote")]
use crate::observe::occurrence::Introspected;
use crate::observe::occurrence::Occurrence;

/// Who is told of events. It must not block: it runs where the event happened.
pub(crate) type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Tells what happens. It is never called while a lock is held, since a listener may call back.
#[derive(Clone, Default)]
pub(crate) struct Stream {
    observer: Option<Observer>,
}

impl Stream {
    pub(crate) fn new(observer: Observer) -> Self {
        Self { observer: Some(observer) }
    }

    /// Whether the API listens.
    #[cfg(test)]
    pub(crate) fn has_observer(&self) -> bool {
        self.observer.is_some()
    }

    pub(crate) fn tell(&self, occurrence: &Occurrence<'_>) {
        let Occurrence::Keys(event) = occurrence else { return log::write(occurrence) };
        // It may come while a task unwinds, where a second panic would end the process: of the API's
        // own observer, or of a subscriber.
        let _ = catch_unwind(AssertUnwindSafe(|| log::write(occurrence)));
        if let Some(observer) = &self.observer {
            let _ = catch_unwind(AssertUnwindSafe(|| observer(event)));
        }
    }

    #[cfg(feature = "remote")]
    pub(crate) fn tell_of_introspection(&self, issuer: &str, what: Introspected<'_>) {
        self.tell(&Occurrence::Introspection { issuer, what });
    }
}
