//! A small authorization server for tests, in process and over HTTP.
//!
//! It mints any access token a test can ask for, serves its metadata and keys, rotates, counts what
//! it is asked, and misbehaves on command. It gives a token to whoever asks: never let it near
//! production. For tests of handlers alone, [`inject`] puts an access token into a request without
//! any token.
//!
//! [`TestIssuer::token_for`] signs a token as one server takes it: its audience, and the claims of its
//! provider. [`TestIssuer::token`] has the claims of RFC 9068 and the audience `https://api.example.com`,
//! so a server with another audience refuses it.
//!
//! Two kinds of time are in a test, and tokio's `start_paused` stops one of them. Ages and the times of
//! tokens go by the [`Clock`](crate::Clock): give a [`TestClock`](crate::TestClock) to the builders of
//! the server and of the issuer, and move it. Deadlines go by tokio's timers. With
//! `#[tokio::test(start_paused = true)]` tokio skips ahead to the next timer whenever nothing else is to
//! be done, and it does not count a socket as something: a fetch over HTTP then runs into its deadline
//! at once, and the answer is 503. So use `start_paused` with an issuer [in
//! process](TestIssuer::in_process) or a [`KeySource`](crate::KeySource), and let a test that talks to a
//! port run in real time.
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
mod clients;
mod dress;
mod fault;
mod handles;
mod inject;
mod introspect;
mod issuer;
mod keys;
mod mint;
mod server;
mod state;
mod token_for;

pub use builder::TestIssuerBuilder;
pub use clients::TestClient;
pub use fault::{Endpoint, Fault};
pub use inject::{InjectLayer, InjectService, inject};
pub use issuer::TestIssuer;
pub use mint::TokenBuilder;
pub use state::{Counts, Documents, IntrospectionCall};
