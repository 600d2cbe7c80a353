//! Redis or Valkey as a store: of shared answers.

mod answers;
mod connection;

pub use answers::RedisStore;
