//! What the layers of this crate leave in the extensions of a request, each under its own server.

use std::sync::Arc;

use http::Extensions;

use crate::challenge::Challenges;
use crate::credentials::{FormToken, Presentation};
use crate::observe::Stream;
use crate::token::{AccessToken, AnyToken};

/// What a layer concluded about a request. It overwrites the conclusion of any layer before it, so
/// that a request never carries two.
#[derive(Clone)]
pub(crate) struct Authentication {
    /// Which server concluded: [`Server`](ServerId) identity is that of the allocation.
    pub(crate) server: ServerId,
    /// The configuration under which it did.
    pub(crate) generation: u64,
    /// The token, or `None` for an anonymous request behind an optional layer.
    pub(crate) token: Option<AnyToken>,
    /// The token as it was presented, for a route that asks about it anew.
    pub(crate) presented: Presented,
    /// Whether the authorization server was asked about the token since the request came.
    pub(crate) asked_now: bool,
}

/// What a conclusion keeps of the token's text.
#[derive(Clone)]
pub(crate) enum Presented {
    /// Nothing, since no route of the server asks for it.
    Unkept,
    Kept(Arc<Presentation<'static>>),
    /// There is none: the token was put here by a test, and passes for asked about.
    #[cfg(feature = "test-issuer")]
    Injected,
}

/// The identity of one server: equal to its clones only.
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

    /// The server's own challenges, for an extractor that has to refuse an anonymous request.
    pub(crate) fn challenges(&self) -> &Challenges {
        &self.0.challenges
    }

    /// Who is told of what happens at the server.
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
    /// The token that a layer of this crate put into a request's extensions. `None` without a
    /// layer, for an anonymous request behind an optional layer, and for another type of claims.
    pub fn from_extensions(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Authentication>()?.token.as_ref().and_then(AnyToken::downcast)
    }
}

/// What the form layers around a request found, each for its own server (RFC 6750 §2: a token that
/// is there must not be overlooked because another server's layer read the body, too).
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
