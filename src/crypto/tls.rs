//! TLS as a client: for HTTPS and for Redis.
//!
//! The provider of cryptography is named, so that none of the process is asked for. The system's root
//! certificates are read once for each configuration, which takes many milliseconds; connections and
//! clients share it.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::Verifier;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A configuration of TLS 1.2 or 1.3.
pub(crate) type TlsConfig = ClientConfig;

/// Which root certificates are trusted.
pub(crate) enum Roots {
    /// Those of the system and these.
    SystemAnd(Vec<CertificateDer<'static>>),
    /// These and no others; there may be none.
    Only(Vec<CertificateDer<'static>>),
}

/// The certificates in PEM text, each fit to be trusted as a root.
pub(crate) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    let are_usable = found.iter().all(|root| webpki::anchor_from_trusted_cert(root).is_ok());
    (are_usable && !found.is_empty()).then_some(found)
}

/// How a client connects; `identity` is PEM text of its certificate, chain and private key.
///
/// # Errors
/// What is wrong, fit for a `ConfigError`.
pub(crate) fn tls_config(roots: Roots, identity: Option<&[u8]>) -> Result<TlsConfig, String> {
    let provider = Arc::new(default_provider());
    let failed = |error| format!("TLS can't be set up: {error}");
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let config = match roots {
        Roots::SystemAnd(further) => {
            let verifier = Verifier::new_with_extra_roots(further, provider).map_err(failed)?;
            // rustls' name for a verifier from elsewhere; this one is the system's.
            config.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Roots::Only(only) => {
            let mut store = RootCertStore::empty();
            for root in only {
                store.add(root).map_err(failed)?;
            }
            config.with_root_certificates(store)
        }
    };
    let Some(pem) = identity else { return Ok(config.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match (chain, PrivateKeyDer::from_pem_slice(pem)) {
        (Ok(chain), Ok(key)) if !chain.is_empty() => config
            .with_client_auth_cert(chain, key)
            .map_err(|_| "mutual_tls: the private key is not that of the certificate".to_owned()),
        _ => Err("mutual_tls: no PEM certificate with its private key".to_owned()),
    }
}

/// Connects to servers that the system's root certificates vouch for, or those of the PEM text
/// `roots`, if any.
///
/// # Errors
/// What is wrong with the certificates, fit for a `ConfigError`.
#[cfg(feature = "redis")]
pub(crate) fn tls_client(roots: &[u8]) -> Result<tokio_rustls::TlsConnector, String> {
    let further = if roots.is_empty() { Some(Vec::new()) } else { certificates(roots) };
    let further = further.ok_or_else(|| "root certificates: no PEM certificates".to_owned())?;
    let config = tls_config(Roots::SystemAnd(further), None)?;
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}
