//! Tokens.

pub(crate) mod json;
