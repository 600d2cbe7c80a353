//! A token as a request presents it.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName};
use http::{Method, Uri};

use crate::credentials::token68::Token68;
use crate::scheme::Scheme;
use crate::token::Thumbprint;

/// Where the request carried its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Header,
    Form,
    Query,
    /// In a subprotocol of a WebSocket handshake.
    WebSocket,
    /// Nowhere: the caller passed only the text of the token, without a request.
    Alone,
}

/// The field with the proof of a key (RFC 9449 §4.1). It is read only beside a token with the scheme `DPoP`.
#[derive(Clone)]
#[cfg_attr(not(feature = "dpop"), allow(dead_code))]
pub(crate) enum ProofField<'a> {
    Absent,
    One(Cow<'a, [u8]>),
    /// There are several lines. None of them may be preferred.
    Several,
    /// An outer layer of the same server has already confirmed the proof: the client has this key.
    Confirmed(Thumbprint),
}

/// The field with a proof.
pub(crate) const PROOF_FIELD: HeaderName = HeaderName::from_static("dpop");

impl<'a> ProofField<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut lines = headers.get_all(PROOF_FIELD).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Self::Absent,
            (Some(line), None) => Self::One(line.as_bytes().into()),
            (Some(_), Some(_)) => Self::Several,
        }
    }

    fn into_owned(self) -> ProofField<'static> {
        match self {
            Self::Absent => ProofField::Absent,
            Self::One(line) => ProofField::One(line.into_owned().into()),
            Self::Several => ProofField::Several,
            Self::Confirmed(key) => ProofField::Confirmed(key),
        }
    }
}

/// The parts of a request's head that may be used to validate a token.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    /// The URI before routers removed parts of its path, if that URI is known.
    pub(crate) original_uri: Option<&'a Uri>,
    pub(crate) headers: &'a HeaderMap,
}

/// The certificate of the client that sent the request.
#[derive(Clone)]
#[cfg_attr(not(feature = "mtls"), allow(dead_code))]
pub(crate) enum Certificate {
    /// There is none.
    Absent,
    /// There is none. A peer that is not trusted sent this header, so the header is not read.
    Ignored(HeaderName),
    /// The second field is the header in which a proxy sent the certificate. `None` if the certificate comes from the
    /// TLS connection.
    Present(Thumbprint, Option<HeaderName>),
}

/// A token as presented, with the parts of the request that may be checked against it. These values are borrowed. They
/// are cloned only if the request must wait, or if the server keeps the text of tokens.
#[derive(Clone)]
pub(crate) struct Presentation<'a> {
    pub(crate) token: Token68<'a>,
    pub(crate) scheme: Scheme,
    pub(crate) placement: Placement,
    /// The client's certificate.
    pub(crate) certificate: Certificate,
    pub(crate) proof: ProofField<'a>,
    target: Target<'a>,
}

/// The method and the URI of a request.
#[derive(Clone)]
#[cfg_attr(not(feature = "dpop"), allow(dead_code))]
enum Target<'a> {
    /// The last field is the URI before routers removed parts of its path, if that URI is known.
    Borrowed(&'a Method, &'a Uri, Option<&'a Uri>),
    Owned(Arc<(Method, Uri, Option<Uri>)>),
    /// The token came without a request, so no proof can name one.
    Absent,
}

impl<'a> Presentation<'a> {
    #[inline]
    pub(super) fn new(token: Credentials<'a>, head: Head<'a>, certificate: Certificate) -> Self {
        let Credentials { token, scheme, placement } = token;
        let target = Target::Borrowed(head.method, head.uri, head.original_uri);
        let proof = match scheme {
            Scheme::Bearer => ProofField::Absent,
            Scheme::Dpop => ProofField::of(head.headers),
        };
        Self { token, scheme, placement, certificate, proof, target }
    }

    /// A token that came without a request, and so without a certificate.
    pub(crate) fn alone(token: Token68<'a>) -> Self {
        Self {
            token,
            scheme: Scheme::Bearer,
            placement: Placement::Alone,
            certificate: Certificate::Absent,
            proof: ProofField::Absent,
            target: Target::Absent,
        }
    }

    /// The same, with the key of a proof that was already confirmed for this request. `None` changes nothing.
    pub(crate) fn confirmed_by(mut self, key: Option<Thumbprint>) -> Self {
        if let Some(key) = key
            && self.scheme == Scheme::Dpop
        {
            self.proof = ProofField::Confirmed(key);
        }
        self
    }

    /// The method of the request, its URI, and, if known, its URI before routers removed parts of the path.
    #[cfg(feature = "dpop")]
    pub(crate) fn target(&self) -> Option<(&Method, &Uri, Option<&Uri>)> {
        match &self.target {
            Target::Borrowed(method, uri, original) => Some((method, uri, *original)),
            Target::Owned(owned) => Some((&owned.0, &owned.1, owned.2.as_ref())),
            Target::Absent => None,
        }
    }

    /// The same value without borrows, for storage.
    pub(crate) fn into_owned(self) -> Presentation<'static> {
        Presentation {
            token: self.token.into_owned(),
            scheme: self.scheme,
            placement: self.placement,
            certificate: self.certificate,
            proof: self.proof.into_owned(),
            target: match self.target {
                Target::Borrowed(method, uri, original) => {
                    Target::Owned(Arc::new((method.clone(), uri.clone(), original.cloned())))
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
    pub(super) scheme: Scheme,
    pub(super) placement: Placement,
}
