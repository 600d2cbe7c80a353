//! A key as PEM text (RFC 7468).

use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;

use crate::crypto::{AlgorithmSet, KeyFault, VerificationKey};

/// Reads the first `PUBLIC KEY` of a PEM text.
pub(crate) fn pem(pem: &[u8], accepted: AlgorithmSet) -> Result<VerificationKey, KeyFault> {
    let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem)
        .map_err(|_| KeyFault("no PEM text with the label PUBLIC KEY"))?;
    VerificationKey::spki(&spki, accepted)
}
