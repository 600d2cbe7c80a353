//! Step 5 of a request: verifies the signature. Only this module and the test issuer use a
//! cryptography crate.
//!
//! This module decides whether a signature over a text was made with a certain key. The module does
//! not select the key and does not parse tokens. A key is prepared once, when it is loaded, and not
//! for each request.

mod algorithm;
mod digest;
mod edwards;
#[cfg(feature = "http-client")]
mod fingerprint;
mod key;
#[cfg(feature = "dpop")]
mod mac;
mod random;
mod roca;
#[cfg(feature = "http-client")]
mod seal;
#[cfg(feature = "http-client")]
mod sign;
mod spki;
#[cfg(feature = "http-client")]
mod tls;

pub use algorithm::Algorithm;
pub(crate) use algorithm::{AlgorithmSet, EDDSA};
#[cfg(any(feature = "dpop", feature = "mtls"))]
pub(crate) use digest::are_equal;
pub(crate) use digest::sha256;
#[cfg(feature = "dpop")]
pub(crate) use digest::sha256_of;
#[cfg(feature = "http-client")]
pub(crate) use fingerprint::{BuildFingerprintHasher, Fingerprint, Fingerprints};
pub(crate) use key::{KeyFault, VerificationKey};
#[cfg(feature = "dpop")]
pub(crate) use mac::MacKey;
#[cfg(any(feature = "dpop", feature = "http-client"))]
pub(crate) use random::random_octets;
pub(crate) use random::random_unit;
#[cfg(feature = "http-client")]
pub(crate) use seal::{OVERHEAD as SEALING_OVERHEAD, SECRET as SEALING_SECRET, Sealer};
#[cfg(feature = "http-client")]
pub(crate) use sign::SigningKey;
#[cfg(feature = "redis")]
pub(crate) use tls::tls_client;
#[cfg(feature = "http-client")]
pub(crate) use tls::{Roots, TlsConfig, certificates, tls_config};
