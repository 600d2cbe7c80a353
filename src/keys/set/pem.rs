//! Public keys that come as PEM or DER: bare (RFC 5280 SubjectPublicKeyInfo), or in a certificate.

use rustls_pki_types::pem::{PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use webpki::EndEntityCert;

use crate::crypto::{AlgorithmSet, KeyFault, VerificationKey};

/// Reads the one `PUBLIC KEY` or `CERTIFICATE` of a PEM text (RFC 7468 §13, §5).
pub(crate) fn pem(pem: &[u8], accepted: AlgorithmSet) -> Result<VerificationKey, KeyFault> {
    let mut keys = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).filter_map(|section| {
        Some(match section {
            Ok((SectionKind::PublicKey, der)) => VerificationKey::spki(&der, accepted),
            Ok((SectionKind::Certificate, der)) => certificate(&der, accepted),
            Ok(_) => return None,
            Err(_) => Err(KeyFault("the PEM text is malformed")),
        })
    });
    let key =
        keys.next().ok_or(KeyFault("no PEM text with the label PUBLIC KEY or CERTIFICATE"))?;
    if keys.next().is_some() {
        // Without a kid, nothing would tell which of them a token names.
        return Err(KeyFault("more than one key; several are a JWK set, each with its kid"));
    }
    key
}

/// Reads a DER SubjectPublicKeyInfo or certificate.
pub(crate) fn der(der: &[u8], accepted: AlgorithmSet) -> Result<VerificationKey, KeyFault> {
    VerificationKey::spki(der, accepted).or_else(|fault| {
        // A certificate has another shape, so at most one of the two readings succeeds.
        certificate(der, accepted).map_err(|other| match other {
            NO_CERTIFICATE => fault,
            other => other,
        })
    })
}

const NO_CERTIFICATE: KeyFault = KeyFault("no X.509 certificate of version 3");

/// The key in a certificate. It is configured, or in a key set, hence trusted as it is: who issued the
/// certificate and for how long is not asked.
pub(crate) fn certificate(der: &[u8], accepted: AlgorithmSet) -> Result<VerificationKey, KeyFault> {
    let der = CertificateDer::from(der);
    let certificate = EndEntityCert::try_from(&der).map_err(|_| NO_CERTIFICATE)?;
    let spki: SubjectPublicKeyInfoDer<'_> = certificate.subject_public_key_info();
    VerificationKey::spki(&spki, accepted)
}
