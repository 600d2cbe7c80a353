//! Signatures: the only place that names a cryptography crate.

mod algorithm;

pub use algorithm::Algorithm;
pub(crate) use algorithm::{AlgorithmSet, EDDSA};
