//! Tokens: their parts, and the types for what is known about them after each step.

pub(crate) mod access;
pub(crate) mod claims;
mod cnf;
mod date;
mod facts;
pub(crate) mod header;
pub(crate) mod json;
pub(crate) mod jwt;
mod principal;
mod scope;
mod text;

pub(crate) use access::AccessToken;
pub(crate) use access::AnyToken;
pub(crate) use claims::Claims;
pub(crate) use cnf::Cnf;
pub use date::NumericDate;
pub(crate) use facts::{Actor, Facts, Names, OtherScope};
pub use principal::Principal;
pub use scope::{InvalidScope, ScopeSet, ScopeToken};
pub use text::Excerpt;
