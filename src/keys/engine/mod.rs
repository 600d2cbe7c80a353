//! Keeps the key set of one issuer up to date. It is fetched when it is needed and refreshed before
//! it is stale. It is used for some time longer if the issuer does not answer (stale-if-error).

pub(super) mod ended;
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
