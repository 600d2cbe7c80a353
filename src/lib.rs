//! OAuth 2.0 resource server as a Tower layer.

#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports, reason = "the walk is wired in the next steps")]

mod challenge;
mod clock;
mod credentials;
mod crypto;
mod error;
mod keys;
mod profile;
mod token;

pub use clock::{Clock, TestClock};
pub use crypto::Algorithm;
pub use error::Error;
pub use profile::Profile;
pub use token::{
    AccessToken, Claims, Excerpt, InvalidScope, NumericDate, Principal, ScopeSet, ScopeToken,
};
