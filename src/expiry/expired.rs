//! The future that is ready when a token expires.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use crate::runtime;
use crate::server_id::ServerId;
use crate::token::Facts;

/// The longest time between two readings of the clock. A tokio timer notices neither a change of the wall clock nor the
/// time for which the machine is suspended.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A future that becomes ready when an access token expires, and then stays ready.
/// [`AccessToken::expired`](crate::AccessToken::expired) creates it.
#[must_use = "futures do nothing unless polled"]
pub struct Expired {
    /// `exp` plus the leeway, in seconds since the epoch. `None` if the token never expires.
    at: Option<f64>,
    server: ServerId,
    /// The timer, and the id of its runtime. A timer panics if it is polled after its runtime has ended.
    timer: Option<(Option<runtime::Id>, Pin<Box<Sleep>>)>,
    is_over: bool,
}

impl Expired {
    pub(super) fn new(facts: &Facts, server: ServerId) -> Self {
        let at = facts.expires_at.map(|exp| exp.as_secs_f64() + facts.leeway as f64);
        Self { at, server, timer: None, is_over: false }
    }

    /// How long to wait before the clock is read again. `None` if the token has expired.
    fn wait(&self, at: f64) -> Option<Duration> {
        let left = at - self.server.now().as_secs_f64();
        // `exp` is far from the limits of a double. Otherwise `left` might be NaN, which counts as expired.
        (left > 0.0)
            .then(|| Duration::try_from_secs_f64(left).unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN))
    }
}

impl Future for Expired {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(());
        }
        let Some(at) = this.at else { return Poll::Pending };
        // The clock may have changed while the timer runs, so it is read first.
        while let Some(wait) = this.wait(at) {
            let own = runtime::id();
            if this.timer.as_ref().is_none_or(|(of, _)| *of != own) {
                this.timer = runtime::sleep(wait).map(|timer| (own, Box::pin(timer)));
            }
            // Without a timer, nothing would wake this task at the end, so the response ends now.
            let Some((_, timer)) = &mut this.timer else { break };
            ready!(timer.as_mut().poll(cx));
            this.timer = None;
        }
        this.timer = None;
        this.is_over = true;
        Poll::Ready(())
    }
}

impl fmt::Debug for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expired")
            .field("at", &self.at)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::TestClock;
    use crate::token::{NumericDate, ScopeHierarchy};

    /// Only an opaque token can be without `exp`.
    #[tokio::test(start_paused = true)]
    async fn a_token_without_exp_never_expires() {
        let clock = TestClock::at(1_800_000_000);
        let server = ServerId::of_test(ScopeHierarchy::default(), Arc::new(clock.clone()));
        for (name, exp, expected) in [
            ("no exp", None, false),
            ("exp", Some(1_800_000_100.0), true),
            ("a fraction", Some(1_800_000_100.5), true),
            ("long ago", Some(-1.0), true),
            ("at once", Some(1_800_000_000.0), true),
        ] {
            let expires_at = exp.map(NumericDate::from_secs_f64);
            let facts = Facts { expires_at, ..Facts::of_test("") };
            let expired = Expired::new(&facts, server.clone());
            clock.set_wall(1_800_000_000 + 86_400 * 365);
            let found = tokio::time::timeout(Duration::from_secs(3600), expired).await.is_ok();
            assert_eq!(found, expected, "{name}");
            clock.set_wall(1_800_000_000);
        }
    }

    /// A body may be polled on another runtime than before, for example in tests and in programs with a runtime for
    /// each core.
    #[test]
    fn a_runtime_that_has_ended_does_not_matter() {
        let clock = TestClock::at(1_800_000_000);
        let server = ServerId::of_test(ScopeHierarchy::default(), Arc::new(clock.clone()));
        let expires_at = Some(NumericDate::from_secs_f64(1_800_000_100.0));
        let mut expired = Expired::new(&Facts { expires_at, ..Facts::of_test("") }, server);
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let soon = Duration::from_millis(1);
        let first = runtime();
        assert!(first.block_on(async { tokio::time::timeout(soon, &mut expired).await }).is_err());
        drop(first);
        let second = runtime();
        assert!(second.block_on(async { tokio::time::timeout(soon, &mut expired).await }).is_err());
        clock.advance(Duration::from_secs(101));
        second.block_on(&mut expired);
    }
}
