//! Which peers may send a client's certificate in a header.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName};
use http::{Extensions, HeaderMap, HeaderValue};

use crate::crypto::are_equal;
use crate::observe::shown::shown;
use crate::sender::cidr::{Cidr, cover_everything};

/// The address of the peer that opened the connection, usually a proxy. Put this value into the extensions of
/// each request.
///
/// Use the address of the TCP connection itself. An address from a header or from the PROXY protocol is wrong
/// here, because it is the client's address.
///
/// With the feature `axum`, axum's `ConnectInfo<SocketAddr>` is read if a request has no `PeerAddress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerAddress {
    /// An IP address. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) counts as the IPv4 address.
    Ip(IpAddr),
    /// The connection came through a Unix socket.
    UnixSocket,
}

impl From<IpAddr> for PeerAddress {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address.ip())
    }
}

/// The peers that may send a client's certificate in a header, for
/// [`Builder::client_certificate_header`](crate::builder::Builder::client_certificate_header).
///
/// If a request has no [`PeerAddress`], its peer is trusted only by [`shared_secret`](Self::shared_secret). If
/// a peer is not trusted, its certificate header is removed and ignored. `Debug` shows no secret.
#[derive(Clone)]
pub struct TrustedPeers {
    kind: Kind,
    problems: Vec<String>,
}

#[derive(Clone)]
enum Kind {
    Cidrs(Vec<Cidr>),
    UnixSocket,
    Secret(Option<HopSecret>),
}

#[derive(Clone)]
struct HopSecret {
    header: HeaderName,
    secret: Box<[u8]>,
}

/// The header lines with secrets that layers have removed from the request. Inner layers of this crate still
/// check these lines.
#[derive(Clone, Default)]
struct RemovedSecrets(HeaderMap);

/// The minimum length of a shared secret, in bytes.
const MIN_SECRET: usize = 32;

impl TrustedPeers {
    /// Peers whose IP address is in one of these ranges: `10.1.0.0/16`, `2001:db8::/32`, or one address.
    ///
    /// [`build`](crate::builder::Builder::build) refuses a malformed range, a list without ranges, and ranges
    /// that together cover all IPv4 or all IPv6 addresses. A program that connects from one of the addresses
    /// can claim to be any client, so name only the addresses of proxies.
    pub fn cidrs<T: AsRef<str>>(ranges: impl IntoIterator<Item = T>) -> Self {
        let (mut parsed, mut problems) = (Vec::new(), Vec::new());
        for text in ranges {
            match Cidr::parse(text.as_ref()) {
                Ok(range) => parsed.push(range),
                Err(problem) => problems.push(format!("`{}` {problem}", shown(text.as_ref()))),
            }
        }
        if cover_everything(&parsed) {
            problems.push("trusts every address: name only the addresses of proxies".to_owned());
        }
        if parsed.is_empty() && problems.is_empty() {
            problems.push("has no address".to_owned());
        }
        Self { kind: Kind::Cidrs(parsed), problems }
    }

    /// Peers that connect through a Unix socket. The code that accepts connections must put
    /// [`PeerAddress::UnixSocket`] into the extensions of each request.
    pub fn unix_socket() -> Self {
        Self { kind: Kind::UnixSocket, problems: Vec::new() }
    }

    /// Peers that send `secret` in the header `header`. Use this rule if the address of the proxy is not known.
    ///
    /// `secret` has at least 32 printable ASCII characters, without a space at its start or end. It is compared
    /// in constant time. The layers remove the header from each request. The proxy must set the header on each
    /// request, so that a value from the client is replaced. A request with two lines of the header is not
    /// trusted.
    pub fn shared_secret(header: &str, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        let mut problems = Vec::new();
        let header = HeaderName::try_from(header).ok();
        if header.as_ref().is_none_or(|name| [AUTHORIZATION, COOKIE, HOST].contains(name)) {
            problems.push("the header of the secret has no valid name".to_owned());
        }
        let is_printable = secret.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if secret.len() < MIN_SECRET || !is_printable || secret.trim_ascii() != secret {
            problems.push(format!(
                "the secret is not {MIN_SECRET} or more printable ASCII characters without a space at its \
                 ends"
            ));
        }
        let secret = header.map(|header| HopSecret { header, secret: secret.into() });
        Self { kind: Kind::Secret(secret), problems }
    }

    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The name of the header with the secret, if peers are trusted by a secret.
    pub(super) fn secret_header(&self) -> Option<&HeaderName> {
        match &self.kind {
            Kind::Secret(secret) => secret.as_ref().map(|secret| &secret.header),
            Kind::Cidrs(_) | Kind::UnixSocket => None,
        }
    }

    /// Whether the peer that sent this request is trusted.
    pub(super) fn include(
        &self,
        peer: Option<PeerAddress>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> bool {
        match (&self.kind, peer) {
            (Kind::Cidrs(ranges), Some(PeerAddress::Ip(address))) => {
                ranges.iter().any(|range| range.contains(address))
            }
            (Kind::UnixSocket, Some(PeerAddress::UnixSocket)) => true,
            (Kind::Secret(Some(own)), _) => own.stands_once(headers, extensions),
            (Kind::Cidrs(_) | Kind::UnixSocket | Kind::Secret(None), _) => false,
        }
    }

    /// Moves the secret from the headers to the extensions, where inner layers of this crate can check it.
    pub(super) fn hide_secret(&self, headers: &mut HeaderMap, extensions: &mut Extensions) {
        let Some(name) = self.secret_header() else { return };
        let lines: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
        if lines.is_empty() {
            return;
        }
        headers.remove(name);
        let mut removed = extensions.remove::<RemovedSecrets>().unwrap_or_default();
        for line in lines {
            removed.0.append(name.clone(), line);
        }
        extensions.insert(removed);
    }
}

impl HopSecret {
    fn stands_once(&self, headers: &HeaderMap, extensions: &Extensions) -> bool {
        let removed = extensions.get::<RemovedSecrets>();
        let removed = removed.into_iter().flat_map(|removed| removed.0.get_all(&self.header));
        let mut lines = headers.get_all(&self.header).into_iter().chain(removed);
        match (lines.next(), lines.next()) {
            (Some(line), None) => are_equal(line.as_bytes(), &self.secret),
            _ => false,
        }
    }
}

impl fmt::Debug for TrustedPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Cidrs(ranges) => f.debug_tuple("Cidrs").field(&ranges.len()).finish(),
            Kind::UnixSocket => f.write_str("UnixSocket"),
            Kind::Secret(_) => f.debug_struct("SharedSecret").finish_non_exhaustive(),
        }
    }
}
