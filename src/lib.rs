//! OAuth 2.0 resource server as a Tower layer.

#![forbid(unsafe_code)]

#[allow(dead_code, reason = "wired by the authenticator")]
mod clock;
#[allow(dead_code, unused_imports, reason = "wired by the authenticator")]
mod crypto;
#[allow(dead_code, reason = "wired by the authenticator")]
mod token;

pub use clock::{Clock, TestClock};
pub use crypto::Algorithm;
