//! What an operator sees: events, health, log lines, and how foreign text is shown in them.

mod event;
mod health;
pub(crate) mod log;
pub(crate) mod shown;

pub use event::Event;
pub(crate) use event::{ALG_ENCRYPTS, FOR_ENCRYPTION, NO_VERIFY, Observer, USE_IS_NOT_SIG};
pub use health::{Health, IntrospectionHealth, IssuerHealth, KeyStage};
