//! The Tower layers: they decide which requests reach the inner service.
//!
//! For each request:
//!
//! - without a valid token, the layer answers with a [`Refusal`](crate::refusal::Refusal). The layer does
//!   not call the inner service. It does not read the request's body, unless tokens in forms are turned on;
//! - with a valid token, the layer stores the token in the request's extensions and calls the inner
//!   service.
//!
//! The layer returns the responses and errors of the inner service unchanged, with these exceptions:
//!
//! - a refusal from a handler or an extractor gets the body that
//!   [`refusal_body`](crate::builder::Builder::refusal_body) sets;
//! - a refusal of a gRPC call becomes a gRPC answer, if the layer has [`grpc`](ResourceServerLayer::grpc);
//! - if the client sent the token in the query of the URI or as a WebSocket subprotocol, the layer removes the token
//!   from the extensions of the response. (The layer has moved the token to the request's extensions, and a handler may
//!   copy these extensions into the response.) If the token was in the query, a successful response also gets
//!   `Cache-Control: private`, so that shared caches do not store the response;
//! - if nonces for DPoP are turned on, a response can get a fresh nonce in `DPoP-Nonce`.
//!
//! If everything that the decision needs is cached, the layer decides synchronously. Only a request that
//! waits for the network needs a boxed future.

mod by_route;
mod cors;
mod demand;
mod fixed;
mod form;
mod future;
mod gate;
mod grpc;
mod guard;
mod head;
mod layers;
mod mcp;
mod routes;
mod service;
#[cfg(feature = "http-client")]
mod user;
mod waiting;

pub use cors::exposed_headers;
pub use form::{FormTokenFuture, FormTokenLayer, FormTokenService};
pub use future::ResponseFuture;
pub use grpc::{GrpcFuture, GrpcLayer, GrpcService};
pub use layers::{OptionalResourceServerLayer, RequireLayer, ResourceServerLayer};
pub use mcp::{McpBody, McpFuture, McpLayer, McpMessages, McpService};
pub use service::ResourceServerService;
#[cfg(feature = "http-client")]
pub use user::LoadUserLayer;
