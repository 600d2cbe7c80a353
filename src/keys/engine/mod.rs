//! The engine that keeps the key set of one issuer up to date. It fetches the set when a request
//! needs keys, and refreshes the set before it is stale. If the issuer does not answer, the engine
//! uses the stale set for some time (stale-if-error).

pub(super) mod combine;
pub(super) mod ended;
#[cfg(test)]
mod model;
pub(super) mod ready;
pub(super) mod remote;
pub(super) mod report;
pub(super) mod reuse;
pub(super) mod seed;
pub(super) mod snapshot;
#[cfg(test)]
mod tests;
pub(super) mod timer;
pub(super) mod wait;

pub(crate) use remote::{KeySettings, RemoteKeys};
pub use seed::{InvalidSeed, KeySeed};
pub(crate) use wait::{KeyWait, KeysWaited};
