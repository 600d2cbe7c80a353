//! Step 3: the trusted issuers. Each issuer is separate from the other issuers.
//!
//! Decides which issuer validates a token. The token's unverified `iss` only selects the issuer.
//! Keys, audiences, algorithms, profile and leeway are then only those of that issuer (RFC 8725
//! §3.8). Issuers share no keys, and there is no fallback to another issuer.

#[cfg(feature = "http-client")]
mod reach;
mod resolver;
pub(crate) mod settings;
mod template;
#[cfg(feature = "http-client")]
mod transport;

pub(crate) use resolver::AnyIssuerResolver;
pub use resolver::IssuerResolver;
pub(crate) use settings::{Issuer, KeyConfig};
pub(crate) use template::TenantRule;
#[cfg(feature = "http-client")]
pub(crate) use transport::Transport;

pub use crate::profile::AnswerProfile;
pub use crate::source_error::SourceError;
