//! The certificates of the server and of two clients, and the configuration of TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::Problem;

pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate authority for the server and its clients.
pub fn authority() -> Result<Authority, Problem> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority of the example");
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// The TLS configuration. It requests a certificate from each client, and also accepts clients
/// without one.
pub fn tls(authority: &Authority) -> Result<Arc<ServerConfig>, Problem> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone())?;
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()?;
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, authority)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![own.der().clone()], key)?;
    Ok(Arc::new(config))
}

/// The files that curl needs.
pub struct Files {
    pub ca: PathBuf,
    pub own: PathBuf,
    pub other: PathBuf,
    /// The certificate in `own`.
    pub certificate: CertificateDer<'static>,
}

/// Writes the certificate of the authority, and the certificates and private keys of two clients, to a new
/// folder.
pub fn files(authority: &Authority) -> Result<Files, Problem> {
    let folder = std::env::temp_dir().join(format!("mtls-example-{}", std::process::id()));
    // The folder contains private keys, so only this user may open it.
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder)?;
    let [ca, own, other] = ["ca.pem", "client.pem", "other.pem"].map(|name| folder.join(name));
    fs::write(&ca, authority.pem())?;
    let certificate = client(authority, &own)?;
    client(authority, &other)?;
    Ok(Files { ca, own, other, certificate })
}

/// Writes a client's certificate and its private key to a file for curl. Returns the certificate.
fn client(authority: &Authority, file: &Path) -> Result<CertificateDer<'static>, Problem> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(vec!["client".to_owned()])?;
    let certificate = params.signed_by(&key, authority)?;
    fs::write(file, certificate.pem() + &key.serialize_pem())?;
    Ok(certificate.der().clone())
}
