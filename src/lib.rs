//! A Tower layer that makes an HTTP API an OAuth 2.0 resource server: it takes the access token of
//! a request, validates it, and puts its claims where handlers find them.
//!
//! For each request it decides, in this order:
//!
//! 1. which credentials there are: one `Authorization` line, scheme Bearer (RFC 6750 §2.1);
//! 2. whether they are a well-formed JWT (RFC 7515, RFC 7519, RFC 8725), or a token that only its
//!    authorization server can read (RFC 7662), which then plays the part of 4 and 5;
//! 3. which trusted issuer it claims to be from, as exact text;
//! 4. which of that issuer's keys signed it (RFC 7517), fetched, cached and refreshed here;
//! 5. whether the signature verifies;
//! 6. whether the claims are those of an access token, for this API, now (RFC 9068 §4);
//! 7. whether its scope covers the route (RFC 6749 §3.3).
//!
//! What the client sees when the answer is no: 400, 401 or 403 with a challenge by RFC 6750 §3, and
//! nothing about the cause beyond it. An outage of the authorization server is 503, never 401. The
//! operator's log has the cause. [`Refusal`] has the whole table.
//!
//! # A first program
//!
//! ```
//! # #[cfg(not(all(feature = "axum", feature = "remote")))]
//! # fn main() {}
//! # #[cfg(all(feature = "axum", feature = "remote"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use tower_resource_server::test_issuer::TestIssuer;
//! use tower_resource_server::{AccessToken, ResourceServer, scope};
//!
//! let issuer = TestIssuer::start().await?; // stands for https://as.example.com
//!
//! let api = ResourceServer::builder()
//!     .issuer(issuer.url()) // found by its metadata, keys cached
//!     .audience("https://api.example.com") // who this API is
//!     .allow_http_loopback() // only for the issuer of this example
//!     .build()?;
//!
//! async fn notes(token: AccessToken) -> String {
//!     format!("notes of {}", token.subject().unwrap_or("nobody"))
//! }
//!
//! let app = Router::new()
//!     .route("/notes", get(notes).route_layer(api.require(scope("notes:read"))))
//!     .layer(api.layer());
//!
//! // A token with the scope passes; the same without it is refused, and so is a request without one.
//! let request = |token: Option<String>| {
//!     let request = http::Request::get("/notes");
//!     match token {
//!         Some(token) => request.header("authorization", format!("Bearer {token}")),
//!         None => request,
//!     }
//!     .body(axum::body::Body::empty())
//! };
//! # use tower::ServiceExt as _;
//! # async fn status(app: &Router, request: http::Request<axum::body::Body>) -> u16 {
//! #     app.clone().oneshot(request).await.unwrap().status().as_u16()
//! # }
//! assert_eq!(status(&app, request(Some(issuer.token().scope("notes:read").sign()))?).await, 200);
//! assert_eq!(status(&app, request(Some(issuer.token().sign()))?).await, 403);
//! assert_eq!(status(&app, request(None)?).await, 401);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to go on
//!
//! - [`ResourceServer`]: the handle, from which the layers come; [`Builder`]: every setting.
//! - [`Issuer`] and [`Profile`]: an authorization server, where its keys are, how it writes tokens.
//! - `Introspection` and `ClientAuth`: tokens that their server is asked about (feature `remote`).
//! - [`scope`], [`all_of`], [`any_of`]: what a route asks for.
//! - `test_issuer`: an issuer for your own tests (feature `test-issuer`).
//! - [`manual`]: defaults and their reasons, attacks and what stops them, what this crate does not
//!   do, and axum's order traps.
//!
//! # Reading the source
//!
//! Read it as a request goes: `layer/service.rs`, then `authenticator.rs`, whose steps are one call
//! each. Imports point down only: face, walk, outside, judgement, words.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `remote` | keys and metadata over HTTPS, introspection | yes |
//! | `axum` | `AccessToken` as a handler's argument | yes |
//! | `redis` | introspection answers shared through Redis or Valkey | |
//! | `jsonwebtoken` | conversions from that crate's types | |
//! | `test-issuer` | the issuer for tests | |
//!
//! A feature adds API and changes no answer.

#![forbid(unsafe_code)]
// No panic that the network could reach: whatever is written with one of these says why it can't.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

// The face: what Tower and axum see.
#[cfg(feature = "axum")]
mod extract;
mod layer;
mod rejection;
mod server;

// The walk: steps 2 to 7 of a request, and what its tokens are judged by.
mod authentication;
mod authenticator;
mod trust;

// Outside: what waits for the network.
mod fetch;
#[allow(dead_code, reason = "not every build has all its users")]
mod flight;
#[cfg(feature = "jsonwebtoken")]
mod interop_jsonwebtoken;
#[cfg(feature = "remote")]
mod introspection;
mod issuer;
mod keys;
mod runtime;

// Judgement: pure rules on values and `now`.
mod credentials;
mod crypto;
mod policy;
mod profile;
mod sender;

// Words: what the other floors speak in.
mod budget;
mod challenge;
mod clock;
mod config_error;
mod error;
mod observe;
mod source_error;
mod token;
mod url;

pub mod danger;
pub mod manual;
#[cfg(feature = "test-issuer")]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that asks for what cannot be should fail where it asks"
)]
pub mod test_issuer;

pub use authenticator::Invalid;
pub use clock::{Clock, TestClock};
pub use config_error::ConfigError;
pub use crypto::Algorithm;
pub use error::Error;
#[cfg(feature = "redis")]
pub use introspection::RedisStore;
#[cfg(feature = "remote")]
pub use introspection::{AnswerStore, ClientAuth, Introspection, SharedCache, TokenSource};
pub use issuer::{Issuer, IssuerResolver, providers};
pub use keys::{FetchedKeys, InvalidSeed, KeySeed, KeySource, jwk_thumbprint};
pub use layer::{
    FormTokenFuture, FormTokenLayer, FormTokenService, OptionalResourceServerLayer, RequireLayer,
    ResourceServerLayer, ResourceServerService, ResponseFuture,
};
pub use observe::{Event, Health, IntrospectionHealth, IssuerHealth, KeyStage};
pub use policy::expression::scope;
#[cfg(feature = "remote")]
pub use policy::introspected_now;
pub use policy::{Policy, Requirement, all_of, any_of, authenticated, user};
pub use profile::{AnswerProfile, Profile};
pub use rejection::{EmptyBody, ProblemJson, Refusal, RefusalBody};
pub use server::builder::{Builder, Complete, NeedsAudience, NeedsIssuer, Ready};
pub use server::handle::ResourceServer;
pub use server::{Authenticated, NotReady, ReadinessService};
pub use source_error::SourceError;
pub use token::{
    AccessToken, Claims, Excerpt, InvalidScope, NumericDate, Principal, ScopeSet, ScopeToken,
};

/// The README's example, compiled.
#[cfg(all(doctest, feature = "remote", feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
