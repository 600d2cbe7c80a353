//! A body that ends when a token expires.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::expiry::end::{End, Ended, Last};
use crate::expiry::expired::Expired;

pin_project! {
    /// A body that ends when an access token expires.
    /// [`AccessToken::body_until_expiry`](crate::AccessToken::body_until_expiry) creates it. At the end, the
    /// inner body is dropped.
    #[must_use = "a body does nothing unless a response has it"]
    pub struct BodyUntilExpiry<B: Body> {
        #[pin]
        body: Option<B>,
        end: End,
        last: Option<Last<Frame<B::Data>>>,
    }
}

impl<B: Body> BodyUntilExpiry<B> {
    pub(super) fn new(body: B, expired: Expired) -> Self {
        Self { body: Some(body), end: End::new(expired), last: None }
    }

    /// Also ends the body when the future `stop` is ready, for example when the API learns that the user has logged
    /// out. A second call adds another future.
    pub fn or_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.end.or_when(stop);
        self
    }

    /// Sends one more frame at the end: data, such as a last event, or trailers, such as the `grpc-status` of a gRPC
    /// stream. If the inner body ends by itself, the frame is not sent. Over HTTP/1.1, a client gets trailers only if
    /// it has asked for them (`TE: trailers`, RFC 9110 §6.5.1).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// # use tower_resource_server::clock::TestClock;
    /// # use tower_resource_server::test_issuer::TestIssuer;
    /// # use tower_resource_server::{Issuer, ResourceServer};
    /// # let clock = TestClock::starting_now();
    /// # let issuer = TestIssuer::in_process("https://as.example.com");
    /// # let api = ResourceServer::builder()
    /// #     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    /// #     .audience("https://api.example.com")
    /// #     .clock(clock.clone())
    /// #     .build()?;
    /// # let token = api.authenticate_token(&issuer.token().sign()).await.unwrap();
    /// use futures::stream;
    /// use http::{HeaderMap, HeaderValue};
    /// use http_body_util::{BodyExt as _, StreamBody};
    /// use http_body::Frame;
    ///
    /// let body = StreamBody::new(stream::pending::<Result<Frame<bytes::Bytes>, std::io::Error>>());
    /// let body = token.body_until_expiry(body).last_frame(|_| {
    ///     let unauthenticated = (
    ///         http::header::HeaderName::from_static("grpc-status"),
    ///         HeaderValue::from_static("16"),
    ///     );
    ///     Frame::trailers(HeaderMap::from_iter([unauthenticated]))
    /// });
    /// # clock.advance(Duration::from_secs(3600));
    /// // After the token has expired:
    /// let collected = body.collect().await?;
    /// assert_eq!(collected.trailers().unwrap()["grpc-status"], "16");
    /// # Ok(())
    /// # }
    /// ```
    pub fn last_frame(
        mut self,
        last: impl FnOnce(Ended) -> Frame<B::Data> + Send + 'static,
    ) -> Self {
        self.last = Some(Box::new(last));
        self
    }
}

impl<B: Body> Body for BodyUntilExpiry<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        // Check the end first, so that no frame is sent after it, however fast the inner body is.
        if let Poll::Ready(ended) = this.end.poll(cx) {
            this.body.set(None);
            return Poll::Ready(this.last.take().map(|last| Ok(last(ended))));
        }
        let frame = ready!(body.poll_frame(cx));
        if frame.is_none() {
            this.body.set(None);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    /// The end may come at any time, so the size is not known: no `Content-Length` is derived from it.
    fn size_hint(&self) -> SizeHint {
        match self.is_end_stream() {
            true => SizeHint::with_exact(0),
            false => SizeHint::default(),
        }
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for BodyUntilExpiry<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyUntilExpiry")
            .field("body", &self.body)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
