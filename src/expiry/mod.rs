//! Ends a long response when the access token of its request expires.
//!
//! A layer checks the token once, when the request arrives. An event stream, a gRPC stream or a WebSocket
//! may last longer than the token. So wrap the response:
//!
//! - [`AccessToken::body_until_expiry`] for any [`Body`];
//! - [`AccessToken::stream_until_expiry`] for any [`Stream`], for example the events of axum's `Sse`;
//! - [`AccessToken::expired`], a future, for a loop with `tokio::select!`, for example over a WebSocket.
//!
//! # When a response ends
//!
//! A response ends at `exp` plus the [leeway](crate::builder::Builder::leeway) of the issuer, by the clock of this
//! server. From this moment on, a new request with the token is refused, too. An end at `exp` itself would be too
//! early: a client such as `EventSource` connects again at once with the same token, is accepted within the leeway, and
//! would loop until the leeway is over. With a leeway of zero, a response ends exactly at `exp`. A token without `exp`
//! never ends a response. Only an opaque token can be without `exp`.
//!
//! The clock is read before each frame or item, and at least every 30 s. So if the clock is changed or the machine was
//! suspended, an idle response ends at most 30 s late, and no data is sent after the end. On a tokio runtime without a
//! timer (`enable_time`), or outside of a runtime, nothing could end an idle response. So there the response ends at
//! once.
//!
//! A revocation does not end a response: this crate does not ask the authorization server about the token while the
//! response lasts. If the API learns of a revocation or a logout, it can end the response with `or_when`.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use futures::{StreamExt as _, stream};
//! use tower_resource_server::clock::TestClock;
//! use tower_resource_server::test_issuer::TestIssuer;
//! use tower_resource_server::{Issuer, ResourceServer};
//!
//! let clock = TestClock::starting_now();
//! let issuer = TestIssuer::in_process("https://as.example.com");
//! let api = ResourceServer::builder()
//!     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
//!     .audience("https://api.example.com")
//!     .leeway(Duration::ZERO)
//!     .clock(clock.clone())
//!     .build()?;
//! let token = api.authenticate_token(&issuer.token().expires_in(300).sign()).await.unwrap();
//!
//! let events = stream::iter(["one"]).chain(stream::pending());
//! let mut events = token.stream_until_expiry(events).last_item(|_| "expired");
//! assert_eq!(events.next().await, Some("one"));
//!
//! clock.advance(Duration::from_secs(600));
//! assert_eq!(events.next().await, Some("expired"));
//! assert_eq!(events.next().await, None);
//! # Ok(())
//! # }
//! ```

mod body;
mod end;
mod expired;
mod stream;

use futures_core::Stream;
use http_body::Body;

use crate::token::AccessToken;

pub use body::BodyUntilExpiry;
pub use end::Ended;
pub use expired::Expired;
pub use stream::StreamUntilExpiry;

impl<C> AccessToken<C> {
    /// Returns a future that becomes ready when the token expires. See [`expiry`](crate::expiry) for the exact moment.
    /// The future holds neither the token nor its claims.
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
    /// # let (send, mut messages) = tokio::sync::mpsc::channel(1);
    /// # send.send("hello").await?;
    /// let mut expired = token.expired();
    /// let mut seen = Vec::new();
    /// loop {
    ///     tokio::select! {
    ///         biased;
    ///         () = &mut expired => break,
    ///         Some(message) = messages.recv() => seen.push(message),
    ///     }
    /// #   clock.advance(Duration::from_secs(3600));
    /// }
    /// assert_eq!(seen, ["hello"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn expired(&self) -> Expired {
        Expired::new(self.facts(), self.server().clone())
    }

    /// Ends a response body when the token expires. See [`expiry`](crate::expiry).
    ///
    /// The response must not have a `Content-Length`: if it has one and the body ends early, the connection
    /// breaks.
    pub fn body_until_expiry<B: Body>(&self, body: B) -> BodyUntilExpiry<B> {
        BodyUntilExpiry::new(body, self.expired())
    }

    /// Ends a stream when the token expires. See [`expiry`](crate::expiry).
    pub fn stream_until_expiry<S: Stream>(&self, stream: S) -> StreamUntilExpiry<S> {
        StreamUntilExpiry::new(stream, self.expired())
    }
}
