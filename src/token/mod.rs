//! Tokens: their parts, and for each step a type that shows what is known about the token after the
//! step.

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
