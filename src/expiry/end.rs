//! What ends a response.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::expiry::expired::Expired;

/// Why a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The token expired.
    Expired,
    /// A future that the API passed to `or_when` became ready.
    Stopped,
}

/// What ends a response: the expiry of the token, or a future that the API passed to `or_when`.
pub(super) struct End {
    expired: Expired,
    stops: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Makes the last frame or item of a response.
pub(super) type Last<T> = Box<dyn FnOnce(Ended) -> T + Send>;

impl End {
    pub(super) fn new(expired: Expired) -> Self {
        Self { expired, stops: Vec::new() }
    }

    pub(super) fn or_when(&mut self, stop: impl Future<Output = ()> + Send + 'static) {
        self.stops.push(Box::pin(stop));
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        if Pin::new(&mut self.expired).poll(cx).is_ready() {
            return Poll::Ready(Ended::Expired);
        }
        match self.stops.iter_mut().any(|stop| stop.as_mut().poll(cx).is_ready()) {
            true => Poll::Ready(Ended::Stopped),
            false => Poll::Pending,
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End")
            .field("expired", &self.expired)
            .field("stops", &self.stops.len())
            .finish()
    }
}
