//! Redis or Valkey as a store: of shared answers, and of used proofs.

mod answers;
mod connection;
#[cfg(feature = "dpop")]
mod evictions;
#[cfg(feature = "dpop")]
#[allow(dead_code, reason = "the setting of the server will use it")]
mod replay;

pub use answers::RedisStore;
#[cfg(feature = "dpop")]
#[allow(unused_imports, reason = "the setting of the server will use it")]
pub use replay::RedisReplay;
