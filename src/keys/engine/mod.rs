//! Keeps the key set of one issuer: fetched when it is needed, refreshed before it is stale, and used
//! for a while longer where the issuer does not answer.

pub(super) mod landing;
#[cfg(test)]
mod model;
pub(super) mod ready;
pub(super) mod remote;
pub(super) mod report;
pub(super) mod seed;
pub(super) mod snapshot;
#[cfg(test)]
mod tests;
pub(super) mod timer;
pub(super) mod wait;

pub(crate) use remote::{KeySettings, RemoteKeys};
pub use seed::{InvalidSeed, KeySeed};
pub(crate) use wait::{KeyWait, KeysWaited};
