//! OAuth 2.0 resource server as a Tower layer.

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

mod authenticator;
mod challenge;
mod clock;
mod config;
mod config_error;
mod credentials;
mod crypto;
mod error;
#[cfg(feature = "axum")]
mod extract;
#[cfg(feature = "remote")]
mod fetch;
mod issuer;
mod keys;
mod layer;
mod policy;
mod profile;
mod rejection;
mod server;
mod telemetry;
#[cfg(feature = "test-issuer")]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that asks for what cannot be should fail where it asks"
)]
pub mod test_issuer;
mod token;

pub use authenticator::Invalid;
pub use clock::{Clock, TestClock};
pub use config::{Builder, NeedsAudience, NeedsIssuer, Ready};
pub use config_error::ConfigError;
pub use crypto::Algorithm;
pub use error::Error;
pub use issuer::Issuer;
pub use keys::{FetchedKeys, KeyFuture, KeySource, KeySourceError, jwk_thumbprint};
pub use layer::{
    FormTokenFuture, FormTokenLayer, FormTokenService, OptionalResourceServerLayer, RequireFuture,
    RequireLayer, RequireService, ResourceServerLayer, ResourceServerService, ResponseFuture,
};
pub use policy::{Policy, Requirement, all_of, any_of, authenticated, scope, user};
pub use profile::Profile;
pub use rejection::{EmptyBody, ProblemJson, Refusal, RefusalBody};
pub use server::{Authenticated, ResourceServer};
pub use token::{
    AccessToken, Claims, Excerpt, InvalidScope, NumericDate, Principal, ScopeSet, ScopeToken,
};
