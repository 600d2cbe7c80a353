//! The output for an operator: events, health, log lines, and the redaction of URLs in them.

mod event;
mod health;
mod log;
mod occurrence;
pub(crate) mod shown;
mod stream;

pub use event::Event;
pub(crate) use event::{ALG_ENCRYPTS, NO_VERIFY, USE_IS_NOT_SIG};
pub use health::{Health, IntrospectionHealth, IssuerHealth, KeyStage, ReplayHealth};
#[cfg(feature = "http-client")]
pub(crate) use occurrence::Introspected;
pub(crate) use occurrence::Occurrence;
pub(crate) use stream::Stream;
