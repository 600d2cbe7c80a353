//! The sender of a token: proofs of a key (DPoP), and client certificates.
//!
//! A token can be bound to a key of the client (DPoP, RFC 9449) or to the client's certificate (mutual TLS,
//! RFC 8705 §3). Such a token is accepted only from a client that proves that it has the private key. So a stolen
//! token is useless without that key. The manual has pages about [DPoP](crate::manual::dpop) and about
//! [certificates](crate::manual::mtls).

// Step 7 of a request: confirms that the client has the key or certificate that the token is bound to.
// Pure.
//
// Every token is checked here: a validated JWT, an introspected JWT, and an opaque token. A token with a
// cached result is checked here too, because a proof belongs to one request.

#[cfg(feature = "mtls")]
mod certificate;
#[cfg(feature = "mtls")]
mod cidr;
#[cfg(feature = "mtls")]
mod decode;
#[cfg(feature = "dpop")]
mod dpop;
#[cfg(feature = "mtls")]
mod header;
#[cfg(not(feature = "dpop"))]
mod no_dpop;
#[cfg(feature = "mtls")]
mod peers;
#[cfg(feature = "mtls")]
mod xfcc;

#[cfg(feature = "mtls")]
pub use certificate::ClientCertificate;
#[cfg(feature = "dpop")]
pub(crate) use dpop::{Checker, Proven};
#[cfg(feature = "dpop")]
pub use dpop::{Dpop, DpopUse, Nonces};
#[cfg(feature = "mtls")]
pub(crate) use header::CertificateHeader;
#[cfg(feature = "mtls")]
pub use header::ProxyHeader;
#[cfg(not(feature = "dpop"))]
pub(crate) use no_dpop::{Checker, Proven};
#[cfg(feature = "mtls")]
pub use peers::{PeerAddress, TrustedPeers};

#[cfg(all(feature = "dpop", feature = "redis"))]
pub use crate::redis::RedisReplay;
#[cfg(feature = "dpop")]
pub use crate::replay::{Insertion, Replay, ReplayStore, UsedProof};

use std::time::Duration;

use crate::credentials::{Certificate, Presentation};
use crate::error::Error;
use crate::scheme::Scheme;
use crate::token::{Cnf, Excerpt, Facts, Thumbprint};

/// Confirms the sender of a token (RFC 7800 §3.1, RFC 8705 §3, RFC 9449 §7). `dpop` checks proofs, if this
/// server accepts them from the issuer of the token. `now` is the time of the wall clock. If the request has a
/// new proof, returns it. The caller must still store the proof as used.
///
/// # Errors
/// - If the token is bound, and the request does not prove everything that the token is bound to.
/// - If the token is not bound to a key, and was sent with the scheme `DPoP`.
pub(crate) fn confirm(
    facts: &Facts,
    presentation: &Presentation<'_>,
    dpop: Option<&Checker>,
    now: Duration,
) -> Result<Option<Proven>, Error> {
    let Some(cnf) = &facts.cnf else {
        return match presentation.scheme {
            Scheme::Bearer => Ok(None),
            Scheme::Dpop => Err(Error::UnboundToken),
        };
    };
    let Cnf { certificate, key, is_unknown } = cnf;
    if *is_unknown {
        return Err(Error::UnconfirmedSender);
    }
    if key.is_some() && dpop.is_none() {
        return Err(Error::UnconfirmedSender);
    }
    // A certificate does not replace the proof of a key: both must hold (RFC 9449 §7.2).
    if let Some(bound) = certificate {
        confirm_certificate(bound, &presentation.certificate)?;
    }
    match (key, dpop, presentation.scheme) {
        (None, _, Scheme::Bearer) => Ok(None),
        (None, _, Scheme::Dpop) => Err(Error::UnboundToken),
        (Some(_), None, _) => Err(Error::UnconfirmedSender),
        (Some(_), Some(_), Scheme::Bearer) => Err(Error::BoundTokenAsBearer),
        (Some(key), Some(dpop), Scheme::Dpop) => dpop.confirm(key, presentation, now),
    }
}

/// Confirms the sender of a token again. The proof of the request is already verified. Since then, an
/// introspection answer has bound the token to something more, such as a certificate.
///
/// # Errors
/// If the request does not prove everything that the token is bound to.
#[cfg_attr(not(feature = "http-client"), allow(dead_code))]
pub(crate) fn confirm_again(
    facts: &Facts,
    presentation: &Presentation<'_>,
    proven: &Proven,
) -> Result<(), Error> {
    let Some(Cnf { certificate, key, is_unknown: false }) = &facts.cnf else {
        return Err(Error::UnconfirmedSender);
    };
    if let Some(bound) = certificate {
        confirm_certificate(bound, &presentation.certificate)?;
    }
    match key {
        Some(key) if key == proven.key() => Ok(()),
        _ => Err(Error::ForeignProofKey),
    }
}

fn confirm_certificate(bound: &Thumbprint, certificate: &Certificate) -> Result<(), Error> {
    match certificate {
        Certificate::Present(own, _) if own == bound => Ok(()),
        Certificate::Present(..) => Err(Error::ForeignCertificate),
        Certificate::Absent => Err(Error::MissingCertificate),
        Certificate::Ignored(header) => {
            Err(Error::UntrustedProxy { header: Excerpt::of(header.as_str()) })
        }
    }
}
