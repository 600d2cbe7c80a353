//! OAuth 2.0 resource server as a Tower layer.

#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports, reason = "the walk is wired in the next steps")]

mod clock;
mod crypto;
mod error;
mod token;

pub use clock::{Clock, TestClock};
pub use crypto::Algorithm;
pub use error::Error;
pub use token::{Excerpt, InvalidScope, NumericDate, ScopeSet, ScopeToken};
