//! A small authorization server for tests, in process and over HTTP.
//!
//! The issuer mints any access token that a test needs, serves its metadata and keys, rotates keys,
//! counts requests, and simulates faults. It gives a token to every caller, so never use it in
//! production.
//!
//! To test only handlers, use [`inject`]: it puts an access token into a request without
//! authentication.
//!
//! [`TestIssuer::token_for`] starts a token for one server, with the server's audience and the
//! claims of its provider. [`TestIssuer::token`] starts a token with the claims of RFC 9068 and the
//! audience `https://api.example.com`. A server with another audience refuses such a token.
//!
//! A test has two kinds of time:
//!
//! - Ages and the times in tokens come from the [`Clock`](crate::clock::Clock). To control the
//!   clock, give the same [`TestClock`](crate::clock::TestClock) to the builders of the server and
//!   the issuer.
//! - Deadlines use tokio's timers. With `#[tokio::test(start_paused = true)]`, tokio jumps to the
//!   next timer when all tasks are idle. A task that waits for a socket counts as idle. So a fetch
//!   over HTTP reaches its deadline at once, and the answer is 503.
//!
//! So use `start_paused` only with an issuer [in process](TestIssuer::in_process) or a
//! [`KeySource`](crate::keys::KeySource). A test that uses a port must run in real time.
//!
//! ```
//! use tower_resource_server::test_issuer::TestIssuer;
//! use tower_resource_server::{Issuer, ResourceServer};
//!
//! let issuer = TestIssuer::in_process("https://as.example.com");
//! let api = ResourceServer::builder()
//!     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
//!     .audience("https://api.example.com")
//!     .build()?;
//!
//! # tokio_test(async move {
//! let request = |token: String| {
//!     let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
//!     request.body(()).unwrap().into_parts().0
//! };
//! let good = api.authenticate(&request(issuer.token().scope("notes:read").sign())).await;
//! assert!(good.unwrap().token.scope().contains("notes:read"));
//!
//! let expired = api.authenticate(&request(issuer.token().expires_in(-600).sign())).await;
//! assert_eq!(expired.unwrap_err().status(), 401);
//! # });
//! # fn tokio_test(future: impl Future<Output = ()>) {
//! #     tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
//! # }
//! # Ok::<(), tower_resource_server::ConfigError>(())
//! ```

mod answer;
mod builder;
mod certificate;
mod clients;
mod dress;
mod fault;
mod handles;
mod inject;
mod introspect;
mod issuer;
mod keys;
mod mint;
mod prover;
mod server;
mod state;
mod token_for;

pub use builder::TestIssuerBuilder;
pub use certificate::TestCertificate;
pub use clients::TestClient;
pub use fault::{Endpoint, Fault};
pub use inject::{InjectLayer, InjectService, inject};
pub use issuer::TestIssuer;
pub use mint::TokenBuilder;
pub use prover::{ProofBuilder, TestProver};
pub use state::{Counts, Documents, IntrospectionCall};
