//! What a token is bound to.

use crate::token::json::Object;

/// The confirmation claim (`cnf`, RFC 7800 §3.1): the token belongs to whoever can prove what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cnf {
    /// It says something that can't be checked here.
    Unsupported,
}

impl Cnf {
    /// Reads it. Whatever it holds, null too, binds the token.
    pub(crate) fn read(claims: &Object<'_>) -> Option<Self> {
        claims.contains("cnf").then_some(Self::Unsupported)
    }
}
