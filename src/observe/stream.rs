//! The stream of occurrences. The log receives all of them. The user-supplied observer receives those
//! that are an [`Event`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::observe::event::Event;
use crate::observe::log;
#[cfg(feature = "http-client")]
use crate::observe::occurrence::Introspected;
use crate::observe::occurrence::Occurrence;

/// A user-supplied callback for events. It must not block, because it runs in the task that reports the event.
pub(crate) type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Reports occurrences. Never call it under a lock, because an observer may call the server.
#[derive(Clone, Default)]
pub(crate) struct Stream {
    observer: Option<Observer>,
}

impl Stream {
    pub(crate) fn new(observer: Observer) -> Self {
        Self { observer: Some(observer) }
    }

    /// Whether there is an observer.
    #[cfg(test)]
    pub(crate) fn has_observer(&self) -> bool {
        self.observer.is_some()
    }

    pub(crate) fn tell(&self, occurrence: &Occurrence<'_>) {
        let Occurrence::Event(event) = occurrence else { return log::write(occurrence) };
        // A key event may be reported while a task unwinds. Then a panic of the observer, or of a
        // `tracing` subscriber, would abort the process.
        let _ = catch_unwind(AssertUnwindSafe(|| log::write(occurrence)));
        if let Some(observer) = &self.observer {
            let _ = catch_unwind(AssertUnwindSafe(|| observer(event)));
        }
    }

    /// Reports an event of a request.
    #[cfg(feature = "dpop")]
    pub(crate) fn tell_of(&self, event: impl FnOnce() -> Event) {
        self.tell(&Occurrence::Event(&event()));
    }

    #[cfg(feature = "http-client")]
    pub(crate) fn tell_of_introspection(&self, issuer: &str, what: Introspected<'_>) {
        self.tell(&Occurrence::Introspection { issuer, what });
    }
}
