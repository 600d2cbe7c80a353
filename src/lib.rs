//! A Tower layer that protects an HTTP API with OAuth 2.0 access tokens. The layer validates the access
//! token of each request, and passes the token's claims to the handlers.
//!
//! For each request, the layer checks the following, in this order:
//!
//! 1. the credentials: one `Authorization` line with the scheme Bearer (RFC 6750 §2.1), or DPoP if you turn it on. You
//!    can also turn on tokens in forms, in the query, and in WebSocket handshakes;
//! 2. the form of the token: a well-formed JWT (RFC 7515, RFC 7519, RFC 8725), or an opaque token if you
//!    turn on introspection (RFC 7662). Only the authorization server can read an opaque token. So the
//!    crate calls the introspection endpoint of that server. This call replaces steps 3 to 5;
//! 3. the issuer: `iss` is the exact name of a trusted issuer;
//! 4. the key: the issuer's key set contains the key that the token's header names or describes
//!    (RFC 7517). The crate fetches, caches and refreshes key sets;
//! 5. the signature: the key verifies the token's signature;
//! 6. the claims: the token is an access token, for this API, and valid now (RFC 9068 §4);
//! 7. the sender: the claim `cnf` can bind a token to a key or to a client certificate. The request then needs a proof
//!    of that key (DPoP, RFC 9449), or must come with that certificate (RFC 8705 §3). A bound token is refused if you have
//!    not set up the check of its binding (RFC 7800 §3.1);
//! 8. the requirement of the route: scopes, roles, claims, the login (RFC 6749 §3.3, RFC 9470).
//!
//! Most refused clients get 400, 401 or 403 with a challenge (RFC 6750 §3). The log contains the exact cause
//! of the refusal. The response contains only what the client needs, such as an error code and the required
//! scopes. If a check needs the authorization server, and this server is down, the client gets 503, never
//! 401. The documentation of [`Refusal`](refusal::Refusal) lists all responses, also those without a
//! challenge (404, 408, 413, 500 and 503).
//!
//! # A first program
//!
//! ```
//! # #[cfg(not(all(feature = "axum", feature = "http-client")))]
//! # fn main() {}
//! # #[cfg(all(feature = "axum", feature = "http-client"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use tower_resource_server::test_issuer::TestIssuer;
//! use tower_resource_server::{AccessToken, ResourceServer, scope};
//!
//! let issuer = TestIssuer::start().await?; // in production: https://as.example.com
//!
//! let api = ResourceServer::builder()
//!     .issuer(issuer.url()) // its metadata and keys are fetched when they are needed
//!     .audience("https://api.example.com") // the name of this API
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
//! // A token with the scope passes. A token without the scope is refused. A request without a token
//! // is refused.
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
//! # Next steps
//!
//! - [`ResourceServer`]: the handle that creates the layers. [`Builder`](builder::Builder) has every setting.
//! - [`Issuer`] and [`Profile`]: the settings for an authorization server, such as the place of its keys and
//!   the format of its tokens.
//! - [DPoP](manual::dpop): how to accept tokens that are bound to a key of the client (feature `dpop`).
//! - [client certificates](manual::mtls): how to accept tokens that are bound to a client certificate
//!   (feature `mtls`).
//! - `Introspection` and `ClientAuth`: the settings for introspection (feature `http-client`).
//! - [`scope`], [`role`](policy::role), [`all_of`](policy::all_of), [`any_of`](policy::any_of): what a
//!   route requires. See the [policies](manual::policies) in the manual.
//! - [`ResourceServer::metadata`]: the document that tells clients which authorization server to use (RFC 9728).
//!   See [metadata](manual::metadata) in the manual.
//! - `test_issuer`: an issuer for your own tests (feature `test-issuer`).
//! - [`expiry`]: event streams, gRPC streams and WebSockets that end when the token expires.
//! - [`manual`]: pages on the defaults and their reasons, attacks and the defences against them, the limits of
//!   this crate, and the order of layers in axum.
//!
//! # Reading the source
//!
//! To follow a request, read three files: first `layer/service.rs`, then `layer/gate.rs` (steps 1 and 8), then
//! `authenticator.rs` (steps 2 to 7). The modules form five levels. From top to bottom, the levels are:
//!
//! - *face*: the API for Tower and axum;
//! - *walk*: steps 2 to 7 of a request, in their order;
//! - *outside*: code that waits for the network or for a timer;
//! - *judgement*: rules that only compute a result;
//! - *words*: shared types.
//!
//! A module imports from its own level and from lower levels. There are two exceptions: *words* imports some types
//! of `crypto` and `sender`, and `sender` exports a type of `redis` (in *outside*). One module of *judgement* waits:
//! `replay` waits for the store of used proofs.
//!
//! # Features
//!
//! Each row of the table is a Cargo feature:
//!
//! | feature | adds | on by default |
//! |---|---|---|
//! | `http-client` | an HTTPS client that fetches keys and metadata and calls introspection endpoints; also `load_user` | yes |
//! | `axum` | types that a handler can take as arguments (extractors), such as `AccessToken` | yes |
//! | `dpop` | tokens that are bound to a key of the client (DPoP): proofs, nonces, and a store of used proofs | no |
//! | `mtls` | tokens that are bound to a client certificate: the certificate of the connection, or of a proxy's header | no |
//! | `redis` | a cache of introspection answers in Redis or Valkey, shared by all instances of the API; with `dpop`, a store of used proofs | no |
//! | `jsonwebtoken` | conversions from the types of the crate `jsonwebtoken` | no |
//! | `test-issuer` | an issuer for your own tests | no |
//!
//! A feature only adds types and functions to this crate. Turning on a feature does not change any response: only
//! the settings in your code do. There is one exception: in nested axum routers, the URL in a DPoP proof can be
//! compared with the whole path only with the feature `axum` (or with the setting `mounted_at`).

#![forbid(unsafe_code)]
// docs.rs shows the feature that an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Input from the network must never cause a panic. Code that needs an exception from one of these lints
// gives the reason.
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

// The face: the API for Tower and axum.
pub mod extract;
pub mod layer;
mod rejection;
pub mod server;

// The walk: steps 2 to 7 of a request, the trusted issuers, and the results that layers store in a request.
mod authentication;
mod authenticator;
mod trust;

// Outside: code that waits for the network, or for a timer.
pub mod expiry;
mod fetch;
#[allow(dead_code, reason = "with some features off, parts of this module are not used")]
mod flight;
#[cfg(feature = "jsonwebtoken")]
mod interop_jsonwebtoken;
#[cfg(feature = "http-client")]
pub mod introspection;
pub mod issuer;
pub mod keys;
mod lookup;
#[cfg(feature = "redis")]
mod redis;
mod runtime;
#[cfg(feature = "http-client")]
mod users;

// Judgement: pure functions, with the current time as an argument. Only `replay` waits: for the store of used proofs.
mod credentials;
mod crypto;
pub mod policy;
mod profile;
#[cfg(feature = "dpop")]
mod replay;
#[cfg(not(any(feature = "dpop", feature = "mtls")))]
mod sender;
#[cfg(any(feature = "dpop", feature = "mtls"))]
pub mod sender;

// Words: the shared types of all other levels.
mod budget;
mod challenge;
pub mod clock;
mod config_error;
mod error;
mod lookup_error;
pub mod observe;
mod scheme;
mod server_id;
mod source_error;
mod tenant;
pub mod token;
mod url;

pub mod danger;
pub mod manual;
pub mod providers;
#[cfg(feature = "test-issuer")]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that uses an impossible setting must fail, so the issuer panics"
)]
pub mod test_issuer;

/// Setting up a [`ResourceServer`].
pub mod builder {
    pub use crate::authenticator::Invalid;
    pub use crate::server::builder::options::Revocation;
    pub use crate::server::builder::{Builder, Complete, NeedsAudience, NeedsIssuer, Ready};
}

/// The response to a refused request.
pub mod refusal {
    pub use crate::rejection::{EmptyBody, ProblemJson, Refusal, RefusalBody};
}

pub use config_error::ConfigError;
pub use error::Error;
pub use issuer::settings::Issuer;
pub use policy::expression::scope;
pub use profile::Profile;
pub use server::handle::ResourceServer;
pub use token::access::AccessToken;
pub use token::claims::Claims;

/// Compiles the example of the README.
#[cfg(all(doctest, feature = "http-client", feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
