//! Tokens that are bound to a key of the client (DPoP, RFC 9449).
//!
//! Decides whether the proof that comes with a token shows that the client has the key. The checks of RFC 9449
//! §4.3 are made in this order: exactly one `DPoP` field, one well-formed JWT with all required members, `typ`,
//! `alg`, a public key, the signature, the method, the URL, the token's hash, the token's key, and the nonce or
//! the time. Last, the proof is stored as used.

mod checker;
mod header;
mod jwk;
mod nonce;
mod proof;
mod settings;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use checker::{Checker, Proven};
pub use settings::{Dpop, DpopUse, Nonces};
