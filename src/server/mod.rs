//! The handle [`ResourceServer`]: its builder, reload, health, readiness and metadata.

pub(crate) mod builder;
mod certificates;
pub(crate) mod handle;
mod metadata;
mod openapi;
mod operate;
mod original_uri;
mod private;
mod readiness;
mod reload;
mod settings;

pub use handle::Authenticated;
pub(crate) use handle::ResourceServer;
pub use metadata::{MetadataBody, MetadataService, ResourceMetadata};
pub use openapi::SecurityScheme;
pub use operate::NotReady;
pub(crate) use original_uri::original_uri;
pub(crate) use private::ResponseHeaders;
pub use readiness::ReadinessService;
