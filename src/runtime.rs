//! The caller's tokio runtime: tasks run on it, and its timer ends waits.
//!
//! A runtime that is built by hand may have no timer. tokio reports this only by a panic. The panic
//! is caught here, so that requests on such a runtime are refused and the connection does not
//! break. The panic's message, which is on stderr, names the fix. (A program with `panic = "abort"`
//! aborts.)

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
    /// For the log.
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
/// When there is no runtime, or when it has no timer for deadlines.
pub(crate) fn current() -> Result<Handle, Unfit> {
    let runtime = Handle::try_current().map_err(|_| Unfit::Absent)?;
    // Creating a `Sleep` already needs the timer; it is never polled.
    match catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))) {
        Ok(()) => Ok(runtime),
        Err(_) => Err(Unfit::WithoutTimer),
    }
}

/// Which runtime is the caller's. `None` if there is none.
pub(crate) fn id() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// Waits for `future` for at most `limit`. Returns `None` if it takes longer. This is real time,
/// also under a test's clock, so that every wait ends. Without a timer it returns `None` at once.
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
        // Only its deadline is used; it is never polled.
        Self(current().ok().map(|_| tokio::time::sleep(limit).deadline()))
    }

    /// Waits for `future` for at most `limit`, and not beyond the deadline.
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
