//! The bodies of requests and responses of an MCP server.

use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::expiry::Expired;

pin_project! {
    /// The body of a request or a response. It is the original body of the client or of the inner service, or a body
    /// that the layer has read or created.
    ///
    /// The inner service gets the same bytes and trailers that the client has sent.
    pub struct McpBody<B> {
        #[pin]
        body: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Own { #[pin] body: B, expired: Option<Expired>, is_over: bool },
        Read { data: Option<Bytes>, trailers: Option<HeaderMap> },
    }
}

impl<B> McpBody<B> {
    pub(super) fn own(body: B) -> Self {
        Self { body: Kind::Own { body, expired: None, is_over: false } }
    }

    /// Creates a body that ends when the token expires, or earlier if `body` ends earlier.
    pub(super) fn until(body: B, expired: Expired) -> Self {
        Self { body: Kind::Own { body, expired: Some(expired), is_over: false } }
    }

    pub(super) fn read(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        let data = (!data.is_empty()).then_some(data);
        Self { body: Kind::Read { data, trailers } }
    }
}

impl<B: Body<Data = Bytes>> Body for McpBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().body.project() {
            KindProj::Own { is_over: true, .. } => Poll::Ready(None),
            KindProj::Own { body, expired, is_over } => {
                // Check the expiry before the body, so that no event is sent after the token has expired.
                if expired.as_mut().is_some_and(|expired| Pin::new(expired).poll(cx).is_ready()) {
                    *is_over = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(ready!(body.poll_frame(cx)))
            }
            KindProj::Read { data, trailers } => {
                let frame = data.take().map(Frame::data);
                Poll::Ready(frame.or_else(|| trailers.take().map(Frame::trailers)).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Kind::Own { body, is_over, .. } => *is_over || body.is_end_stream(),
            Kind::Read { data, trailers } => data.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Kind::Own { body, expired: None, .. } => body.size_hint(),
            Kind::Own { .. } => SizeHint::default(),
            Kind::Read { data, .. } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
        }
    }
}

impl<B> Default for McpBody<B> {
    fn default() -> Self {
        Self::read(Bytes::new(), None)
    }
}

impl<B> From<Bytes> for McpBody<B> {
    fn from(data: Bytes) -> Self {
        Self::read(data, None)
    }
}

impl<B> fmt::Debug for McpBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpBody").finish_non_exhaustive()
    }
}
