//! The values that the claims of a token are compared with.

use std::sync::Arc;

use crate::token::NumericDate;

/// The values that the claims are compared with.
pub(crate) struct Expected<'a> {
    /// The configured name of the issuer.
    pub(crate) issuer: Arc<str>,
    pub(crate) audiences: &'a Arc<[Box<str>]>,
    /// In seconds.
    pub(crate) leeway: u64,
    pub(crate) now: NumericDate,
}
