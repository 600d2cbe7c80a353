//! A stream that ends when a token expires.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::expiry::end::{End, Ended, Last};
use crate::expiry::expired::Expired;

pin_project! {
    /// A stream that ends when an access token expires.
    /// [`AccessToken::stream_until_expiry`](crate::AccessToken::stream_until_expiry) creates it. At the end,
    /// the inner stream is dropped.
    #[must_use = "streams do nothing unless polled"]
    pub struct StreamUntilExpiry<S: Stream> {
        #[pin]
        stream: Option<S>,
        end: End,
        last: Option<Last<S::Item>>,
    }
}

impl<S: Stream> StreamUntilExpiry<S> {
    pub(super) fn new(stream: S, expired: Expired) -> Self {
        Self { stream: Some(stream), end: End::new(expired), last: None }
    }

    /// Also ends the stream when the future `stop` is ready, for example when the API learns that the user has logged
    /// out. A second call adds another future.
    pub fn or_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.end.or_when(stop);
        self
    }

    /// Sends one more item at the end, such as a last event that tells the client to get a new token. If the
    /// inner stream ends by itself, the item is not sent.
    pub fn last_item(mut self, last: impl FnOnce(Ended) -> S::Item + Send + 'static) -> Self {
        self.last = Some(Box::new(last));
        self
    }
}

impl<S: Stream> Stream for StreamUntilExpiry<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        // Check the end first, so that no item is sent after it, however fast the inner stream is.
        if let Poll::Ready(ended) = this.end.poll(cx) {
            this.stream.set(None);
            return Poll::Ready(this.last.take().map(|last| last(ended)));
        }
        let item = ready!(stream.poll_next(cx));
        if item.is_none() {
            this.stream.set(None);
        }
        Poll::Ready(item)
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for StreamUntilExpiry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamUntilExpiry")
            .field("stream", &self.stream)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
