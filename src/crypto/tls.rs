//! TLS as a client, where it is not HTTPS.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

/// What is said of text without certificates.
const NO_CERTIFICATES: &str = "root certificates: no PEM certificates";

/// Connects over TLS 1.2 or 1.3 to servers that the system's root certificates vouch for, or those
/// of the PEM text `roots`, if any. The provider is named, so that none of the process is asked for.
///
/// # Errors
/// What is wrong with the certificates, fit for a `ConfigError`.
pub(crate) fn tls_client(roots: &[u8]) -> Result<TlsConnector, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(roots)
        .collect::<Result<_, _>>()
        .map_err(|_| NO_CERTIFICATES.to_owned())?;
    if certificates.is_empty() && !roots.is_empty() {
        return Err(NO_CERTIFICATES.to_owned());
    }
    let provider = Arc::new(default_provider());
    let failed = |error| format!("TLS can't be set up: {error}");
    let verifier =
        Verifier::new_with_extra_roots(certificates, Arc::clone(&provider)).map_err(failed)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous() // Its name for a verifier of one's own; this one is the system's.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
