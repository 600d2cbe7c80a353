//! The client's certificate: from the TLS connection, or from a header of a trusted proxy. The
//! [manual](crate::manual::mtls) has complete programs.
//!
//! A token can be bound to the client's certificate (RFC 8705 §3). Such a token is accepted only with that
//! certificate. So a stolen token is useless without the private key of the certificate.

// Step 7 of a request: confirms that the client has the key or certificate that the token is bound to.
// Pure.
//
// Every token passes this one place: a validated JWT, an introspected JWT, and an opaque token. A token
// with a cached result passes it too, since a proof belongs to one request.

#[cfg(feature = "mtls")]
mod certificate;
#[cfg(feature = "mtls")]
mod cidr;
#[cfg(feature = "mtls")]
mod decode;
#[cfg(feature = "mtls")]
mod header;
#[cfg(feature = "mtls")]
mod peers;
#[cfg(feature = "mtls")]
mod xfcc;

#[cfg(feature = "mtls")]
pub use certificate::ClientCertificate;
#[cfg(feature = "mtls")]
pub(crate) use header::CertificateHeader;
#[cfg(feature = "mtls")]
pub use header::ProxyHeader;
#[cfg(feature = "mtls")]
pub use peers::{PeerAddress, TrustedPeers};

use crate::credentials::{Certificate, Presentation, Scheme};
use crate::error::Error;
use crate::token::{Excerpt, Facts};

/// Confirms the sender of a token (RFC 7800 §3.1, RFC 8705 §3).
///
/// # Errors
/// If the token is bound, and the request does not prove everything that the token is bound to.
pub(crate) fn confirm(facts: &Facts, presentation: &Presentation<'_>) -> Result<(), Error> {
    let Some(cnf) = &facts.cnf else {
        return match presentation.scheme {
            Scheme::Bearer => Ok(()),
        };
    };
    // A certificate does not replace the proof of a key: both must hold (RFC 9449 §7.2).
    let bound = cnf.only_certificate().ok_or(Error::UnconfirmedSender)?;
    match (&presentation.certificate, presentation.scheme) {
        (Certificate::Absent, Scheme::Bearer) => Err(Error::MissingCertificate),
        (Certificate::Ignored(header), Scheme::Bearer) => {
            Err(Error::UntrustedProxy { header: Excerpt::of(header.as_str()) })
        }
        (Certificate::Present(own, _), Scheme::Bearer) if own == bound => Ok(()),
        (Certificate::Present(..), Scheme::Bearer) => Err(Error::ForeignCertificate),
    }
}
