//! What the claims of a token are held against.

use std::sync::Arc;

use crate::token::NumericDate;

/// What the claims are compared with.
pub(crate) struct Expected<'a> {
    /// The issuer's own name.
    pub(crate) issuer: Arc<str>,
    pub(crate) audiences: &'a [Box<str>],
    /// Seconds.
    pub(crate) leeway: u64,
    pub(crate) now: NumericDate,
}
