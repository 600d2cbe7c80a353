//! The handle: one value from which the layers, the policies and the answers of one resource
//! server come.

pub(crate) mod builder;
pub(crate) mod handle;
mod operate;
mod private;
mod readiness;
mod reload;
mod settings;

pub use handle::Authenticated;
pub(crate) use handle::ResourceServer;
pub use operate::NotReady;
pub(crate) use private::ResponseHeaders;
pub use readiness::ReadinessService;
