//! Public keys as PEM or DER: a bare key (SubjectPublicKeyInfo, RFC 5280) or a certificate.

use rustls_pki_types::pem::{PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use webpki::EndEntityCert;

use crate::crypto::{AlgorithmSet, KeyFault, VerificationKey};

/// Parses the only `PUBLIC KEY` or `CERTIFICATE` in a PEM text (RFC 7468 §13, §5).
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
        keys.next().ok_or(KeyFault("no PEM block with the label PUBLIC KEY or CERTIFICATE"))?;
    if keys.next().is_some() {
        // The keys have no kid, so it would be unclear which of them a token names.
        return Err(KeyFault("more than one key; use a JWK set with a kid for each key"));
    }
    key
}

/// Parses a DER SubjectPublicKeyInfo or certificate.
pub(crate) fn der(der: &[u8], accepted: AlgorithmSet) -> Result<VerificationKey, KeyFault> {
    VerificationKey::spki(der, accepted).or_else(|fault| {
        // The two formats differ, so at most one of the two parsers succeeds. Return the reason of
        // the parser whose format was recognized.
        certificate(der, accepted).map_err(|other| match other {
            NO_CERTIFICATE => fault,
            other => other,
        })
    })
}

const NO_CERTIFICATE: KeyFault = KeyFault("not an X.509 version 3 certificate");

/// The key in a certificate. The certificate is configured or part of a key set, so it is already
/// trusted. Its issuer and its validity period are not checked.
pub(crate) fn certificate(der: &[u8], accepted: AlgorithmSet) -> Result<VerificationKey, KeyFault> {
    let der = CertificateDer::from(der);
    let certificate = EndEntityCert::try_from(&der).map_err(|_| NO_CERTIFICATE)?;
    let spki: SubjectPublicKeyInfoDer<'_> = certificate.subject_public_key_info();
    VerificationKey::spki(&spki, accepted)
}
