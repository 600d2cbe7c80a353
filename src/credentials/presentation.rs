//! A token as a request presents it.

use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http::header::HeaderName;
use http::uri::Uri;

use crate::credentials::token68::Token68;
use crate::token::Thumbprint;

/// Where the request carried its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Header,
    Form,
    Query,
    /// In a subprotocol of a WebSocket handshake.
    WebSocket,
    /// The token's text came alone, without a request.
    Alone,
}

/// The scheme with which a token was presented (RFC 9110 §11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
}

/// The parts of a request's head that may be used to validate a token.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// The certificate of the client that sent the request.
#[derive(Clone)]
#[cfg_attr(not(feature = "mtls"), allow(dead_code))]
pub(crate) enum Certificate {
    /// There is none.
    Absent,
    /// There is none. A peer that is not trusted sent this header, which is not read.
    Ignored(HeaderName),
    /// The second field is the header in which a proxy sent it. `None` if the TLS connection has it.
    Present(Thumbprint, Option<HeaderName>),
}

/// A token as presented, with the parts of the request that may be checked against it. It is
/// borrowed. It is cloned only if the request has to wait, or
/// if the server keeps the text of tokens.
#[derive(Clone)]
pub(crate) struct Presentation<'a> {
    pub(crate) token: Token68<'a>,
    pub(crate) scheme: Scheme,
    pub(crate) placement: Placement,
    /// The client's certificate.
    pub(crate) certificate: Certificate,
    target: Target<'a>,
}

/// The method and the URI of a request.
#[derive(Clone)]
#[allow(dead_code, reason = "the proof of a sender names them (RFC 9449 §4.2)")]
enum Target<'a> {
    Borrowed(&'a Method, &'a Uri),
    Owned(Arc<(Method, Uri)>),
    /// The token came without a request, so no proof can name one.
    Absent,
}

impl<'a> Presentation<'a> {
    #[inline]
    pub(super) fn new(token: Credentials<'a>, head: Head<'a>, certificate: Certificate) -> Self {
        let Credentials { token, placement } = token;
        let target = Target::Borrowed(head.method, head.uri);
        Self { token, scheme: Scheme::Bearer, placement, certificate, target }
    }

    /// A token that came without a request, and so without a certificate.
    pub(crate) fn alone(token: Token68<'a>) -> Self {
        Self {
            token,
            scheme: Scheme::Bearer,
            placement: Placement::Alone,
            certificate: Certificate::Absent,
            target: Target::Absent,
        }
    }

    /// The same value without borrows, for storage.
    pub(crate) fn into_owned(self) -> Presentation<'static> {
        Presentation {
            token: self.token.into_owned(),
            scheme: self.scheme,
            placement: self.placement,
            certificate: self.certificate,
            target: match self.target {
                Target::Borrowed(method, uri) => {
                    Target::Owned(Arc::new((method.clone(), uri.clone())))
                }
                Target::Owned(owned) => Target::Owned(owned),
                Target::Absent => Target::Absent,
            },
        }
    }
}
/// A token, and the method with which it was presented.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials<'a> {
    pub(super) token: Token68<'a>,
    pub(super) placement: Placement,
}
