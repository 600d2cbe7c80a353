//! The tokio runtime around the caller: tasks run on it, and waits end by its timer.
//!
//! A runtime built by hand may lack the timer, and tokio says so by a panic alone. It is caught here,
//! so that such a runtime costs refusals and not requests that break; the panic's message names the
//! fix to whoever reads stderr. (A program that aborts on panics aborts.)

use std::panic::catch_unwind;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

/// Why nothing can be started here.
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
/// When there is none, or when deadlines can't be kept on it.
pub(crate) fn current() -> Result<Handle, Unfit> {
    let runtime = Handle::try_current().map_err(|_| Unfit::Absent)?;
    // Made and never polled, which is when tokio asks for its timer.
    match catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))) {
        Ok(()) => Ok(runtime),
        Err(_) => Err(Unfit::WithoutTimer),
    }
}

/// Waits for `future`, at most so long; none where it takes longer. In real time, also under a test's
/// clock, so that a wait always ends; without a timer it is over at once.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    current().ok()?;
    tokio::time::timeout(limit, future).await.ok()
}

/// When all waits of one request are over, however many there are. In real time, as
/// [`within`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        // Made for its deadline and never polled.
        Self(current().ok().map(|_| tokio::time::sleep(limit).deadline()))
    }

    /// Waits for `future`, at most so long, and not beyond the deadline.
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
