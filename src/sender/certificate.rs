//! The certificate of a TLS connection.

use std::fmt;

use crate::crypto::sha256;
use crate::token::Thumbprint;

/// The client's certificate of a TLS connection. The code that accepts connections creates this value for each
/// connection, and puts it into the extensions of each request. Then the layers of this crate accept tokens
/// that are bound to this certificate (RFC 8705 §3).
///
/// The TLS library must have checked the signature of the handshake, which proves that the client has the
/// private key. The verifiers of rustls check the signature. Your own verifier must check it, too. The
/// certificate may be self-signed: the chain need not be valid (RFC 8705 §6.2).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_resource_server::sender::ClientCertificate;
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::{Issuer, ResourceServer};
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
///     .audience("https://api.example.com")
///     .build()?;
///
/// // In production: the first certificate of `peer_certificates()` of a rustls connection.
/// let (own, other) = (b"certificate of the client", b"another certificate");
/// let token = issuer.token().bound_to_certificate(own).sign();
/// let head = |certificate: Option<ClientCertificate>| {
///     let mut request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
///     if let Some(certificate) = certificate {
///         request = request.extension(certificate);
///     }
///     request.body(()).unwrap().into_parts().0
/// };
///
/// let passed = api.authenticate(&head(Some(ClientCertificate::from_der(own)))).await.unwrap();
/// assert!(passed.token.is_sender_constrained());
///
/// let refusal = api.authenticate(&head(Some(ClientCertificate::from_der(other)))).await.unwrap_err();
/// assert_eq!((refusal.status().as_u16(), refusal.error().code()), (401, "foreign_certificate"));
/// let refusal = api.authenticate(&head(None)).await.unwrap_err();
/// assert_eq!((refusal.status().as_u16(), refusal.error().code()), (401, "missing_certificate"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientCertificate(Thumbprint);

impl ClientCertificate {
    /// The certificate whose DER encoding is `der`: the certificate of the client itself, not that of an
    /// issuer. Only the SHA-256 hash is kept. The octets are not parsed here, because the TLS library has
    /// parsed them.
    pub fn from_der(der: impl AsRef<[u8]>) -> Self {
        Self(Thumbprint::new(sha256(der.as_ref())))
    }

    /// The SHA-256 hash of the certificate: the value of `x5t#S256` before its base64url encoding (RFC 8705
    /// §3.1).
    pub fn thumbprint(&self) -> &[u8; 32] {
        self.0.octets()
    }

    pub(crate) fn hash(&self) -> Thumbprint {
        self.0
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}
