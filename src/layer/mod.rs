//! The Tower layers: they decide which requests reach the inner service.
//!
//! For each request:
//!
//! - if the token is missing or not valid, or does not meet the requirement of the route, the response is a
//!   [`Refusal`](crate::refusal::Refusal). The layer does not call the inner service. An
//!   [`optional_layer`](crate::ResourceServer::optional_layer) lets a request without a token pass;
//! - if the token is valid and meets the requirement, the layer calls the inner service. The request's
//!   extensions then contain the token.
//!
//! Only [`FormTokenLayer`] and [`McpLayer`] read the body of a request. The other layers read only the head.
//!
//! The layers return the responses and errors of the inner service unchanged, with these exceptions:
//!
//! - a refusal from a handler or an extractor gets the body that
//!   [`refusal_body`](crate::builder::Builder::refusal_body) sets;
//! - a refusal of a gRPC call becomes a gRPC answer, if the layer has [`grpc`](ResourceServerLayer::grpc);
//! - if the client sent the token in the query of the URI or as a WebSocket subprotocol, the layer removes the token
//!   from the extensions of the response. (The layer has moved the token to the request's extensions, and a handler may
//!   copy these extensions into the response.) A successful response (2xx) also gets `Cache-Control: private`, unless its
//!   `Cache-Control` is stricter, so that shared caches do not store the response;
//! - if the nonce of the client's DPoP proof is old, the response gets a fresh nonce in `DPoP-Nonce`, and
//!   `Cache-Control: no-store`;
//! - if the token is bound to a client certificate that came in a header, the response gets `Vary` with the name of
//!   this header. If the response of the inner service has this header, `Client-Cert` or `Client-Cert-Chain`, the layer
//!   removes it;
//! - an [`McpLayer`] ends an event stream when the token expires, and a tool can replace the response
//!   ([`respond_instead`](crate::refusal::Refusal::respond_instead)).
//!
//! If everything that the decision needs is cached, the layer decides synchronously. A boxed future is needed
//! only if the request must wait (for keys, introspection, the store of used proofs, or user-supplied code), if
//! an inner layer validates the token again, or if the layer is an [`McpLayer`].

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
