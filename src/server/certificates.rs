//! Finds the certificate of the client that sent a request.
//!
//! If a proxy's header is configured, and the peer that sent the request is trusted, only that header is
//! read, because the TLS connection is the proxy's. Otherwise, the certificate of the TLS connection is used.

use http::{Extensions, HeaderMap};

use crate::credentials::Certificate;
use crate::error::Error;
#[cfg(feature = "mtls")]
use crate::sender::{CertificateHeader, ClientCertificate, PeerAddress};

/// Where certificates come from. Without the feature `mtls`, there are none.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    #[cfg(feature = "mtls")]
    pub(crate) header: Option<CertificateHeader>,
}

#[cfg(feature = "mtls")]
impl Certificates {
    /// Finds the client's certificate. Call this method before [`hide`](Self::hide).
    ///
    /// # Errors
    /// Fails if the header of a trusted peer is malformed or repeated.
    #[inline]
    pub(crate) fn find(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Certificate, Error> {
        if let Some(header) = self.trusted_header(headers, extensions) {
            return Ok(match header.read(headers)? {
                Some(own) => Certificate::Present(own, Some(header.name().clone())),
                None => Certificate::Absent,
            });
        }
        if let Some(own) = extensions.get::<ClientCertificate>() {
            return Ok(Certificate::Present(own.hash(), None));
        }
        let ignored = self.header.as_ref().map(CertificateHeader::name);
        let ignored = ignored.filter(|name| headers.contains_key(*name));
        Ok(ignored.map_or(Certificate::Absent, |name| Certificate::Ignored(name.clone())))
    }

    /// The configured header, if the peer that sent this request may send it.
    fn trusted_header(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Option<&CertificateHeader> {
        let header = self.header.as_ref()?;
        header.is_from_trusted(peer(extensions), headers, extensions).then_some(header)
    }

    /// Whether certificates are read from a header.
    pub(crate) fn have_header(&self) -> bool {
        self.header.is_some()
    }

    /// Whether [`hide`](Self::hide) may change a request.
    pub(crate) fn hides(&self) -> bool {
        self.header.is_some()
    }

    /// Removes the headers that the inner service must not see.
    pub(crate) fn hide(&self, headers: &mut HeaderMap, extensions: &mut Extensions) {
        if let Some(header) = &self.header {
            let is_trusted = self.trusted_header(headers, extensions).is_some();
            header.hide(is_trusted, headers, extensions);
        }
    }
}

#[cfg(not(feature = "mtls"))]
impl Certificates {
    #[inline]
    pub(crate) fn find(&self, _: &HeaderMap, _: &Extensions) -> Result<Certificate, Error> {
        Ok(Certificate::Absent)
    }

    pub(crate) fn have_header(&self) -> bool {
        false
    }

    pub(crate) fn hides(&self) -> bool {
        false
    }

    pub(crate) fn hide(&self, _: &mut HeaderMap, _: &mut Extensions) {}
}

/// The address of the peer that sent the request.
#[cfg(feature = "mtls")]
fn peer(extensions: &Extensions) -> Option<PeerAddress> {
    let own = extensions.get::<PeerAddress>().copied();
    #[cfg(feature = "axum")]
    let own = own.or_else(|| {
        let info = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        info.map(|info| info.0.into())
    });
    own
}
