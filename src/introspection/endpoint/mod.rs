//! The introspection endpoint of one authorization server: the call, our client credentials, and
//! signed answers.

pub(super) mod client;
pub(super) mod client_auth;
pub(super) mod credentials;
pub(super) mod signed;
pub(super) mod token_source;

pub use client_auth::ClientAuth;
pub use token_source::TokenSource;
