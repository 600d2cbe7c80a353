//! Why a connection failed, in fixed words. The errors of the libraries contain names and addresses
//! in their own wording. The operator needs to know what to change.
//!
//! | cause | how it is known |
//! |---|---|
//! | the name is unknown or can't be looked up | our own resolver reports it ([`names`](super::names)) |
//! | the server refuses the connection, or no route leads to it | the kind of an [`io::Error`] |
//! | the certificate or the handshake | an error of rustls |
//! | the proxy | the text of an error begins with `tunnel error: ` |

use std::error::Error;
use std::fmt;
use std::io;

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

use crate::fetch::names::NoAddress;

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectFault {
    /// Nothing listens on the port.
    Refused,
    UnknownName,
    /// The name could not be looked up at all.
    NoLookup,
    NoRoute,
    TookTooLong,
    /// No trusted authority issued the certificate.
    UntrustedCertificate,
    ExpiredCertificate,
    CertificateAhead,
    CertificateOfAnotherHost,
    /// The certificate has another fault.
    BadCertificate,
    /// The server requires a client certificate, or did not accept ours.
    ClientCertificate,
    /// The peer does not speak TLS.
    NoTls,
    Handshake,
    /// The proxy did not connect, for a reason other than credentials.
    Proxy,
    ProxyCredentials,
    /// The connection was closed before it could be used.
    Closed,
    Other,
}

impl ConnectFault {
    /// Finds the cause of an error that the HTTP client returned.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let mut seen = Seen { fault: Self::Other, timed_out: error.is_timeout() };
        if let Some(cause) = error.source() {
            seen.look(cause);
        }
        match seen.fault {
            Self::Other if seen.timed_out => Self::TookTooLong,
            fault => fault,
        }
    }

    fn of_cause(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(NoAddress(found)) = error.downcast_ref::<NoAddress>() {
            return Some(if *found { Self::UnknownName } else { Self::NoLookup });
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(Self::of_tls(error));
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Self::of_kind(error.kind());
        }
        // The error of a proxy has a private type, so only its text identifies it. If a new version
        // changes this text, the result is `Other`.
        match error.to_string().strip_prefix("tunnel error: ")? {
            "proxy authorization required" => Some(Self::ProxyCredentials),
            _ => Some(Self::Proxy),
        }
    }

    fn of_kind(kind: io::ErrorKind) -> Option<Self> {
        match kind {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => Some(Self::NoRoute),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Some(Self::Closed),
            _ => None,
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(fault) => match fault {
                CertificateError::UnknownIssuer => Self::UntrustedCertificate,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::ExpiredCertificate
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::CertificateAhead
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::CertificateOfAnotherHost,
                _ => Self::BadCertificate,
            },
            rustls::Error::NoCertificatesPresented => Self::BadCertificate,
            rustls::Error::InvalidMessage(_) => Self::NoTls,
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::AccessDenied,
            ) => Self::ClientCertificate,
            _ => Self::Handshake,
        }
    }
}

/// The result of the search from the outermost to the innermost error.
struct Seen {
    fault: ConnectFault,
    timed_out: bool,
}

impl Seen {
    fn look(&mut self, error: &(dyn Error + 'static)) {
        if let Some(fault) = ConnectFault::of_cause(error) {
            // The innermost error is the most exact one, unless it only says that the connection
            // was closed or that the proxy failed.
            let is_exact = !matches!(fault, ConnectFault::Closed | ConnectFault::Proxy);
            if is_exact || self.fault == ConnectFault::Other {
                self.fault = fault;
            }
        }
        let io = error.downcast_ref::<io::Error>();
        self.timed_out |= io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
        // `source()` of an `io::Error` skips the wrapped error and returns the source of the
        // wrapped error.
        match io.and_then(io::Error::get_ref) {
            Some(inner) => self.look(inner),
            None => error.source().into_iter().for_each(|cause| self.look(cause)),
        }
    }
}

impl fmt::Display for ConnectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused: nothing listens on this port",
            Self::UnknownName => "the system's resolver does not know the host name",
            Self::NoLookup => {
                "too many host names are being looked up; does the name server answer?"
            }
            Self::NoRoute => "no route to the host; if a proxy is needed, see Builder::proxy",
            Self::TookTooLong => {
                "no connection in time; if a firewall drops it and a proxy is needed, see \
                 Builder::proxy"
            }
            Self::UntrustedCertificate => {
                "its certificate is of no trusted authority; see Builder::root_certificates and \
                 Issuer::only_root_certificates"
            }
            Self::ExpiredCertificate => "its certificate has expired, by the clock of this machine",
            Self::CertificateAhead => {
                "its certificate is not valid yet, by the clock of this machine"
            }
            Self::CertificateOfAnotherHost => {
                "its certificate is for another host name than that of the URL"
            }
            Self::BadCertificate => "its certificate is not one that can be accepted",
            Self::ClientCertificate => {
                "the server did not accept the TLS client certificate, or asks for one; see \
                 ClientAuth::mutual_tls"
            }
            Self::NoTls => "what answers on this port does not speak TLS",
            Self::Handshake => "the TLS handshake failed; TLS 1.2 or 1.3 is needed",
            Self::Proxy => "the proxy made no connection; see Builder::proxy and Issuer::no_proxy",
            Self::ProxyCredentials => "the proxy asks for other credentials; see Builder::proxy",
            Self::Closed => "the server closed the connection before it was set up",
            Self::Other => "for a reason that the HTTP client does not name",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_apart() {
        use rustls::Error as Tls;
        let certificate = |fault| Tls::InvalidCertificate(fault);
        for (name, error, expected) in [
            ("untrusted", certificate(CertificateError::UnknownIssuer), "no trusted authority"),
            ("expired", certificate(CertificateError::Expired), "has expired"),
            ("ahead", certificate(CertificateError::NotValidYet), "not valid yet"),
            ("another host", certificate(CertificateError::NotValidForName), "another host name"),
            ("broken", certificate(CertificateError::BadEncoding), "can be accepted"),
            ("none", Tls::NoCertificatesPresented, "can be accepted"),
            (
                "a client certificate",
                Tls::AlertReceived(AlertDescription::CertificateRequired),
                "ClientAuth::mutual_tls",
            ),
            ("an alert", Tls::AlertReceived(AlertDescription::ProtocolVersion), "TLS 1.2 or 1.3"),
            (
                "no TLS",
                Tls::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
                "not speak",
            ),
            ("something else", Tls::General("secret".to_owned()), "handshake failed"),
        ] {
            let text = ConnectFault::of_tls(&error).to_string();
            assert!(text.contains(expected) && !text.contains("secret"), "{name}: {text}");
        }
        for (kind, expected) in [
            (io::ErrorKind::ConnectionRefused, Some(ConnectFault::Refused)),
            (io::ErrorKind::NetworkUnreachable, Some(ConnectFault::NoRoute)),
            (io::ErrorKind::HostUnreachable, Some(ConnectFault::NoRoute)),
            (io::ErrorKind::ConnectionReset, Some(ConnectFault::Closed)),
            (io::ErrorKind::Other, None),
        ] {
            assert_eq!(ConnectFault::of_kind(kind), expected, "{kind}");
        }
    }
}
