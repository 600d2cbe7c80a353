//! The identity of a server, and the settings that later checks of a token need.

use std::sync::Arc;

use http::HeaderValue;

use crate::challenge::{ChallengeConfig, Challenges};
use crate::clock::Clock;
use crate::observe::Stream;
use crate::sender::Checker;
use crate::token::{NumericDate, ScopeHierarchy};

/// The identity of one server. It is equal only to its clones, because `==` compares the
/// allocation.
#[derive(Clone)]
pub(crate) struct ServerId(Arc<Identity>);

/// The parts of a server's configuration that a reload does not change.
pub(crate) struct Identity {
    /// The server's own challenges.
    pub(crate) challenges: Challenges,
    /// The server's own challenges without scopes, for a refusal that no scope would prevent.
    pub(crate) without_scope: Challenges,
    /// The settings for the challenges of the server's routes.
    pub(crate) challenge: ChallengeConfig,
    /// The stream that reports events of the server.
    pub(crate) stream: Stream,
    pub(crate) clock: Arc<dyn Clock>,
    /// The API's rules about scopes.
    pub(crate) scopes: ScopeHierarchy,
    /// Whether the API may read the text of a token.
    pub(crate) gives_raw_tokens: bool,
    /// Whether every token must be bound to a key or a certificate.
    pub(crate) requires_bound_tokens: bool,
    /// Checks the proofs of keys, if the server accepts them.
    pub(crate) dpop: Option<Arc<Checker>>,
}

impl ServerId {
    pub(crate) fn new(identity: Identity) -> Self {
        Self(Arc::new(identity))
    }

    /// A fresh nonce for the client's next proof (RFC 9449 §9), if nonces are used.
    pub(crate) fn make_nonce(&self) -> Option<HeaderValue> {
        self.0.dpop.as_ref()?.make_nonce(self.0.clock.wall())
    }

    /// The time of the server's clock.
    pub(crate) fn now(&self) -> NumericDate {
        NumericDate::now(self.0.clock.wall())
    }
}

impl std::ops::Deref for ServerId {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

impl PartialEq for ServerId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
impl ServerId {
    /// A server of its own for a test of rules.
    pub(crate) fn of_test(scopes: ScopeHierarchy, clock: Arc<dyn Clock>) -> Self {
        let challenge = ChallengeConfig { realm: "test".to_owned(), ..ChallengeConfig::default() };
        Self::new(Identity {
            challenges: Challenges::build(&challenge, &[]).unwrap(),
            without_scope: Challenges::build(&challenge, &[]).unwrap(),
            challenge,
            stream: Stream::default(),
            clock,
            scopes,
            gives_raw_tokens: false,
            requires_bound_tokens: false,
            dpop: None,
        })
    }
}
