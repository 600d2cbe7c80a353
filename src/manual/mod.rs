//! The manual, for topics that concern more than one item:
//!
//! - [the defaults](defaults) and their reasons;
//! - [attacks], and the defence of this crate against each attack;
//! - [how keys are kept fresh](keys);
//! - [opaque and revoked tokens](introspection), which the authorization server validates;
//! - [gRPC services](grpc): statuses, challenges in metadata, methods, tonic;
//! - [policies]: requirements for scopes, roles and claims, requirements that depend on the request, and users;
//! - [metadata]: how clients find the authorization server (RFC 9728);
//! - [MCP servers](mcp);
//! - [DPoP](dpop): tokens that are bound to a key of the client, and nonces;
//! - [client certificates](mtls): tokens that are bound to a client certificate (mutual TLS), and proxies;
//! - [streams and WebSockets](streams): tokens in a subprotocol or a message, and responses that end when the token
//!   expires;
//! - [what the crate does not do](non_features);
//! - [what the tokens of each vendor look like](providers);
//! - [a complete axum program](axum#a-complete-program), and the order of layers in axum;
//! - [the upgrade](upgrade) from before version 0.1.0.

#[doc = include_str!("attacks.md")]
pub mod attacks {}

#[doc = include_str!("axum.md")]
pub mod axum {}

#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[doc = include_str!("dpop.md")]
pub mod dpop {}

#[doc = include_str!("grpc.md")]
pub mod grpc {}

#[doc = include_str!("introspection.md")]
pub mod introspection {}

#[doc = include_str!("keys.md")]
pub mod keys {}

#[doc = include_str!("mcp.md")]
pub mod mcp {}

#[doc = include_str!("metadata.md")]
pub mod metadata {}

#[doc = include_str!("mtls.md")]
pub mod mtls {}

#[doc = include_str!("non_features.md")]
pub mod non_features {}

#[doc = include_str!("policies.md")]
pub mod policies {}

#[doc = include_str!("providers.md")]
pub mod providers {}

#[doc = include_str!("streams.md")]
pub mod streams {}

#[doc = include_str!("upgrade.md")]
pub mod upgrade {}
