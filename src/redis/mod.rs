//! Redis or Valkey as a store: of shared answers, and of used proofs.

mod answers;
mod connection;
#[cfg(feature = "dpop")]
mod evictions;
#[cfg(feature = "dpop")]
mod replay;

pub use answers::RedisStore;
#[cfg(feature = "dpop")]
pub use replay::RedisReplay;
