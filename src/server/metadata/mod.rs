//! The metadata of a protected resource (RFC 9728): a document that tells clients which authorization
//! servers and scopes the API accepts.
//!
//! The document and its URL come from the configuration only, never from a request. The service that
//! serves the document requires no credentials.

mod body;
mod language;
mod members;
mod resource;
#[cfg(feature = "axum")]
mod router;
mod service;
mod settings;
mod signed;

pub use body::MetadataBody;
pub(crate) use resource::Resource;
pub use service::MetadataService;
pub use settings::ResourceMetadata;
