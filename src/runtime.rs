//! The caller's tokio runtime. Tasks run on this runtime, and its timer ends waits.
//!
//! A runtime from `tokio::runtime::Builder` may have no timer. tokio reports this only with a
//! panic. This module catches the panic, so that requests on such a runtime are refused and their
//! connections do not break. The message of the panic is on stderr and names the fix. A program
//! with `panic = "abort"` aborts.

use std::panic::catch_unwind;
use std::time::Duration;

use tokio::runtime::Handle;
pub(crate) use tokio::runtime::Id;
use tokio::time::{Instant, Sleep};

/// Why no task can be started here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    Absent,
    WithoutTimer,
}

impl Unfit {
    /// The problem, for the log.
    pub(crate) fn problem(self) -> &'static str {
        match self {
            Self::Absent => "there is no tokio runtime",
            Self::WithoutTimer => {
                "this tokio runtime has no timer; see `enable_time` of its builder"
            }
        }
    }
}

/// The runtime of the caller.
///
/// # Errors
/// Fails if there is no runtime, or if the runtime has no timer for deadlines.
pub(crate) fn current() -> Result<Handle, Unfit> {
    let runtime = Handle::try_current().map_err(|_| Unfit::Absent)?;
    // Creating a `Sleep` already needs the timer. This `Sleep` is never polled.
    match catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))) {
        Ok(()) => Ok(runtime),
        Err(_) => Err(Unfit::WithoutTimer),
    }
}

/// The ID of the caller's runtime. `None` if there is no runtime.
pub(crate) fn id() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// Waits for `future` for at most `limit`. Returns `None` if the future takes longer. The limit is
/// real time, even if a test has its own clock, so that every wait ends. Without a runtime or
/// timer, returns `None` at once.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    current().ok()?;
    tokio::time::timeout(limit, future).await.ok()
}

/// A timer. `None` if there is no runtime, or if the runtime has no timer.
pub(crate) fn sleep(limit: Duration) -> Option<Sleep> {
    current().ok().map(|_| tokio::time::sleep(limit))
}

/// The deadline that all waits of one request share. It is real time, as in [`within`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        // Only the deadline of this `Sleep` is used. The `Sleep` is never polled.
        Self(current().ok().map(|_| tokio::time::sleep(limit).deadline()))
    }

    /// Waits for `future` for at most `limit`, and not beyond the deadline. Returns `None` if the
    /// future takes longer.
    pub(crate) async fn within<F: Future>(self, limit: Duration, future: F) -> Option<F::Output> {
        let future = tokio::time::timeout_at(self.0?, future);
        within(limit, future).await?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes() {
        assert_eq!(current().unwrap_err(), Unfit::Absent);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let bare = builder.build().unwrap();
        bare.block_on(async {
            assert_eq!(current().unwrap_err(), Unfit::WithoutTimer);
            assert_eq!(within(Duration::from_secs(60), async { 1 }).await, None);
        });
        let whole = builder.enable_time().build().unwrap();
        whole.block_on(async {
            assert!(current().is_ok());
            assert_eq!(within(Duration::from_secs(60), async { 1 }).await, Some(1));
            let never = std::future::pending::<()>();
            assert_eq!(within(Duration::from_millis(1), never).await, None);
        });
    }
}
