//! Client certificates for tests of tokens that are bound to a certificate (RFC 8705).

use std::fmt;

/// A self-signed client certificate with its private key. It needs no chain of issuers, because a resource server
/// need not check the chain (RFC 8705 §6.2).
///
/// ```
/// use tower_resource_server::test_issuer::{TestCertificate, TestIssuer};
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let certificate = TestCertificate::generate("client");
/// let token = issuer.token().bound_to_certificate(&certificate).sign();
/// assert!(certificate.pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// # let _ = token;
/// ```
#[derive(Clone)]
pub struct TestCertificate {
    der: Vec<u8>,
    pem: String,
    private_key_pem: String,
}

impl TestCertificate {
    /// Makes a key and a certificate. `name` is the subject alternative name of the certificate: a host name, such
    /// as `client`.
    ///
    /// # Panics
    /// If `name` is not ASCII.
    pub fn generate(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        Self {
            der: made.cert.der().to_vec(),
            pem: made.cert.pem(),
            private_key_pem: made.signing_key.serialize_pem(),
        }
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate as PEM text.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The private key as PEM text (PKCS#8), for a TLS client.
    pub fn private_key_pem(&self) -> &str {
        &self.private_key_pem
    }
}

impl AsRef<[u8]> for TestCertificate {
    fn as_ref(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for TestCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCertificate").finish_non_exhaustive()
    }
}
