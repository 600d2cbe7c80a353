//! The replay store: the proofs that were used and must not be used again (RFC 9449 §11.1).
//!
//! Decides:
//!
//! - whether a proof is new, known, or possibly forgotten ([`Insertion`]). Looking up and inserting
//!   are one atomic step, so that at most one of several requests with the same proof passes;
//! - where the used proofs are: in this process (`memory.rs`), or in a store that several servers
//!   share ([`ReplayStore`]). There is no default, because only the operator knows whether there is
//!   one server or several ([`Replay`]);
//! - how long a request waits for a store (`replays.rs`).
//!
//! If the store is full, fails, or takes too long, the answer is an error: the request is refused
//! with 503. A store that lost its data returns [`Insertion::Forgotten`] for each proof that may
//! have been used before the loss.
//!
//! What it does not do: it does not check proofs, and does not read the wall clock. [`UsedProof`]
//! contains the times that a store needs.

mod dropped;
mod memory;
mod proof;
mod replays;
mod setting;
mod store;
#[cfg(test)]
pub(crate) mod tests;

pub use proof::UsedProof;
pub(crate) use replays::{Inserted, Replays};
pub use setting::Replay;
pub use store::{Insertion, ReplayStore};
