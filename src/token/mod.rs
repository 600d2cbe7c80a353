//! Tokens: their parts, and the types for what is known about them after each step.

pub(crate) mod access;
pub(crate) mod claims;
mod cnf;
mod date;
mod facts;
pub(crate) mod header;
mod hierarchy;
pub(crate) mod json;
pub(crate) mod jwt;
pub(crate) mod memo;
mod payload;
mod principal;
mod raw;
mod scope;
mod text;
mod words;

pub(crate) use access::AccessToken;
pub(crate) use access::AnyToken;
pub(crate) use claims::Claims;
pub(crate) use cnf::{Cnf, Thumbprint};
pub use date::NumericDate;
pub(crate) use facts::{Actor, Facts, Names, OtherScope, RoleList};
pub(crate) use hierarchy::ScopeHierarchy;
pub(crate) use payload::Payload;
pub use principal::Principal;
pub use raw::RawToken;
pub(crate) use scope::ScopeTokens;
pub use scope::{InvalidScope, ScopeSet, ScopeToken};
pub use text::Excerpt;
