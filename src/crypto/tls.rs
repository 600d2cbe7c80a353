//! TLS for clients: HTTPS and Redis.
//!
//! The cryptography provider is set explicitly, so that the default provider of the process is not
//! used. The system's root certificates are read once for each configuration, because this takes
//! many milliseconds. Connections and clients share the configuration.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::Verifier;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A configuration for TLS 1.2 or 1.3.
pub(crate) type TlsConfig = ClientConfig;

/// The trusted root certificates.
pub(crate) enum Roots {
    /// The roots of the system and these certificates.
    SystemAnd(Vec<CertificateDer<'static>>),
    /// Only these certificates. The list may be empty.
    Only(Vec<CertificateDer<'static>>),
}

/// The certificates in a PEM text. `None` if there are none, or if one of them cannot be used as a
/// trusted root.
pub(crate) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    let are_usable = found.iter().all(|root| webpki::anchor_from_trusted_cert(root).is_ok());
    (are_usable && !found.is_empty()).then_some(found)
}

/// The configuration of a client. `identity` is PEM text with its certificate, chain and private
/// key.
///
/// # Errors
/// Describes the problem, for a `ConfigError`.
pub(crate) fn tls_config(roots: Roots, identity: Option<&[u8]>) -> Result<TlsConfig, String> {
    let provider = Arc::new(default_provider());
    let failed = |error| format!("cannot set up TLS: {error}");
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let config = match roots {
        Roots::SystemAnd(further) => {
            let verifier = Verifier::new_with_extra_roots(further, provider).map_err(failed)?;
            // "Dangerous" is rustls' name for any custom verifier. This one is the verifier of the
            // system.
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
            .map_err(|_| "mutual_tls: the private key does not match the certificate".to_owned()),
        _ => Err("mutual_tls: no PEM certificate with its private key".to_owned()),
    }
}

/// A connector that trusts the roots of the system and the certificates in the PEM text `roots`.
/// `roots` may be empty.
///
/// # Errors
/// Describes what is wrong with the certificates, for a `ConfigError`.
#[cfg(feature = "redis")]
pub(crate) fn tls_client(roots: &[u8]) -> Result<tokio_rustls::TlsConnector, String> {
    let further = if roots.is_empty() { Some(Vec::new()) } else { certificates(roots) };
    let further = further.ok_or_else(|| "root certificates: no PEM certificates".to_owned())?;
    let config = tls_config(Roots::SystemAnd(further), None)?;
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}
