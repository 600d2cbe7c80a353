//! The key that a token is bound to.

use crate::token::json::Object;

/// The confirmation claim (`cnf`, RFC 7800 §3.1). The sender must prove possession of the key that
/// it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cnf {
    /// The claim has a confirmation method that is not supported.
    Unsupported,
}

impl Cnf {
    /// Reads the claim. Any value binds the token, even null.
    pub(crate) fn read(claims: &Object<'_>) -> Option<Self> {
        claims.contains("cnf").then_some(Self::Unsupported)
    }
}
