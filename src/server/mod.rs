//! The handle [`ResourceServer`]: its builder, reload, health and readiness.

pub(crate) mod builder;
pub(crate) mod handle;
mod openapi;
mod operate;
mod private;
mod readiness;
mod reload;
mod settings;

pub use handle::Authenticated;
pub(crate) use handle::ResourceServer;
pub use openapi::SecurityScheme;
pub use operate::NotReady;
pub(crate) use private::ResponseHeaders;
pub use readiness::ReadinessService;
