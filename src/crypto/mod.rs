//! Step 5 of the walk: verifies the signature. Only this module and the test issuer use a
//! cryptography crate.
//!
//! Decides whether a signature was made over a text with a key. It does not select the key, and it
//! does not parse tokens. A key is prepared once, when it is loaded, and not for each request.

mod algorithm;
mod digest;
mod edwards;
#[cfg(feature = "remote")]
mod fingerprint;
mod key;
mod random;
mod roca;
#[cfg(feature = "remote")]
mod seal;
#[cfg(feature = "remote")]
mod sign;
mod spki;
#[cfg(feature = "remote")]
mod tls;

pub use algorithm::Algorithm;
pub(crate) use algorithm::{AlgorithmSet, EDDSA};
pub(crate) use digest::sha256;
#[cfg(feature = "remote")]
pub(crate) use fingerprint::{BuildFingerprintHasher, Fingerprint, Fingerprints};
pub(crate) use key::{KeyFault, VerificationKey};
#[cfg(feature = "remote")]
pub(crate) use random::random_octets;
pub(crate) use random::random_unit;
#[cfg(feature = "remote")]
pub(crate) use seal::{OVERHEAD as SEALING_OVERHEAD, SECRET as SEALING_SECRET, Sealer};
#[cfg(feature = "remote")]
pub(crate) use sign::SigningKey;
#[cfg(feature = "redis")]
pub(crate) use tls::tls_client;
#[cfg(feature = "remote")]
pub(crate) use tls::{Roots, TlsConfig, certificates, tls_config};
