//! The results that the layers of this crate store in the extensions of a request: the last layer's
//! authentication, and the form tokens of each server.

use std::sync::Arc;

use http::Extensions;

use crate::challenge::Challenges;
use crate::credentials::{FormToken, Presentation};
use crate::observe::Stream;
use crate::token::{AccessToken, AnyToken};

/// The result of a layer for a request. It replaces the result of an outer layer, so that a request
/// carries at most one result.
#[derive(Clone)]
pub(crate) struct Authentication {
    /// The server of the layer that stored this result.
    pub(crate) server: ServerId,
    /// The generation of the configuration that was used: a number that each reload increases.
    pub(crate) generation: u64,
    /// The token, or `None` for an anonymous request behind an optional layer.
    pub(crate) token: Option<AnyToken>,
    /// The token as the client sent it. A route with `introspected_now` needs it, to ask the
    /// authorization server about it.
    pub(crate) presented: Presented,
    /// Whether the authorization server was asked about the token after the request arrived.
    pub(crate) asked_now: bool,
}

/// The token as the client presented it, with the method and the URI of the request.
#[derive(Clone)]
pub(crate) enum Presented {
    /// The presented token is not kept, because no route of the server needs it.
    Unkept,
    Kept(Arc<Presentation<'static>>),
    /// A test injected claims, so there is no token's text. The authorization server counts as asked.
    #[cfg(feature = "test-issuer")]
    Injected,
}

/// The identity of one server. Two identities are equal only if one is a clone of the other, because
/// the comparison is by address.
#[derive(Clone)]
pub(crate) struct ServerId(Arc<Identity>);

struct Identity {
    challenges: Challenges,
    stream: Stream,
}

impl ServerId {
    pub(crate) fn new(challenges: Challenges, stream: Stream) -> Self {
        Self(Arc::new(Identity { challenges, stream }))
    }

    /// The server's own challenges. An extractor uses them to refuse an anonymous request.
    pub(crate) fn challenges(&self) -> &Challenges {
        &self.0.challenges
    }

    /// The stream that reports events of the server.
    pub(crate) fn stream(&self) -> &Stream {
        &self.0.stream
    }
}

impl PartialEq for ServerId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<C: Send + Sync + 'static> AccessToken<C> {
    /// The token that a layer of this crate stored in the request's extensions. Returns `None` if there
    /// is no layer, if the request is anonymous (behind an optional layer), or if the token has another
    /// type of claims.
    pub fn from_extensions(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Authentication>()?.token.as_ref().and_then(AnyToken::downcast)
    }
}

/// The tokens that the form layers around a request found, one for each server. If two servers read
/// the body, each of them must see the token (RFC 6750 §2).
#[derive(Clone, Default)]
pub(crate) struct FormTokens(Vec<(ServerId, FormToken)>);

impl FormTokens {
    pub(crate) fn note(&mut self, server: ServerId, token: FormToken) {
        self.0.push((server, token));
    }

    pub(crate) fn of(&self, server: &ServerId) -> Option<&FormToken> {
        self.0.iter().find(|(own, _)| own == server).map(|(_, token)| token)
    }
}
