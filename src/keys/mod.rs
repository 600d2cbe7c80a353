//! Step 4 of the walk: keys. Which key signed, and where keys come from.

mod jwk;
mod select;
mod set;

pub(crate) use select::Candidates;
pub(crate) use set::{KeySet, KeySetFault};
