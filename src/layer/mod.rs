//! The Tower face: who reaches the inner service, and what the others are told.
//!
//! For each request the layer decides, in one synchronous pass where it can:
//!
//! - no valid token: the refusal of [`rejection`](crate::Refusal); the inner service is not called
//!   and the request's body is not read;
//! - a valid token: it goes into the request's extensions, and the request to the inner service.
//!
//! It changes nothing of the answers of the inner service (but that shared caches must not keep them
//! where the token came in the query: `Cache-Control: private`), keeps its errors as they are, and boxes a future only for a request
//! that has to wait for the network.

mod form;
mod future;
mod gate;
mod layers;
mod service;

pub use form::{FormTokenFuture, FormTokenLayer, FormTokenService};
pub use future::ResponseFuture;
pub use layers::{OptionalResourceServerLayer, RequireLayer, ResourceServerLayer};
pub use service::ResourceServerService;
