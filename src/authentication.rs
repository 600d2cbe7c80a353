//! The results that the layers of this crate store in the extensions of a request: the last layer's
//! authentication, and the form tokens of each server.

use std::sync::Arc;

use http::Extensions;

use crate::challenge::Challenges;
use crate::credentials::{FormToken, Presentation};
use crate::observe::Stream;
use crate::token::{AccessToken, AnyToken};

/// The result of a layer for a request. It overwrites the result of any outer layer, so that a
/// request never carries two.
#[derive(Clone)]
pub(crate) struct Authentication {
    /// The server of that layer.
    pub(crate) server: ServerId,
    /// The generation of the configuration that was used.
    pub(crate) generation: u64,
    /// The token, or `None` for an anonymous request behind an optional layer.
    pub(crate) token: Option<AnyToken>,
    /// The token as the client sent it, for a route that asks the authorization server once more.
    pub(crate) presented: Presented,
    /// Whether the authorization server was asked about the token after the request arrived.
    pub(crate) asked_now: bool,
}

/// The presented token, with method and URI, as the result keeps it.
#[derive(Clone)]
pub(crate) enum Presented {
    /// Not kept: no route of the server needs it.
    Unkept,
    Kept(Arc<Presentation<'static>>),
    /// A test injected the token without a text. The authorization server counts as asked.
    #[cfg(feature = "test-issuer")]
    Injected,
}

/// The identity of one server. It is equal only to its clones: it compares the allocation.
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
    /// The token that a layer of this crate stored in the request's extensions. It is `None` without a
    /// layer, for an anonymous request behind an optional layer, and for another type of claims.
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
