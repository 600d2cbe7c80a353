//! The access token of a request, after every check. Handlers and policies see this type.

use std::any::{Any, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::observe::shown::Shown;
use crate::token::{Claims, Facts, NumericDate, Principal, ScopeSet};

/// A validated access token with claims of type `C`.
///
/// An access token only exists after its signature, issuer, audience, times and profile were
/// checked. Cloning is cheap. It dereferences to its claims. It does not contain the token's text,
/// so the text cannot be logged or sent on.
pub struct AccessToken<C = Claims>(Arc<Inner<C>>);

struct Inner<C> {
    facts: Facts,
    claims: C,
}

impl<C> AccessToken<C> {
    pub(crate) fn new(facts: Facts, claims: C) -> Self {
        Self(Arc::new(Inner { facts, claims }))
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The claims.
    pub fn claims(&self) -> &C {
        &self.0.claims
    }

    /// The configured name of the trusted issuer.
    pub fn issuer(&self) -> &str {
        &self.0.facts.issuer
    }

    /// The subject. It is unique only within the issuer: see [`principal`](Self::principal).
    pub fn subject(&self) -> Option<&str> {
        self.0.facts.subject()
    }

    /// The client that requested the token.
    pub fn client_id(&self) -> Option<&str> {
        self.0.facts.client_id()
    }

    /// The scope. Empty if the token has no scope claim.
    pub fn scope(&self) -> &ScopeSet {
        &self.0.facts.scope
    }

    /// When the token expires. Long responses, such as event streams, should end then. `None` only
    /// for an opaque token whose issuer does not send an expiry.
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.0.facts.expires_at
    }

    /// Who acts with the token.
    pub fn principal(&self) -> Principal<'_> {
        self.0.facts.principal()
    }
}

impl<C> Clone for AccessToken<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Deref for AccessToken<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0.claims
    }
}

impl<C> fmt::Debug for AccessToken<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("issuer", &Shown(&self.0.facts.issuer))
            .field("expires_at", &self.0.facts.expires_at)
            .finish_non_exhaustive()
    }
}

/// An access token without the type of its claims, so that a policy needs no type parameter.
#[derive(Clone)]
pub(crate) struct AnyToken(Arc<dyn Erased>);

trait Erased: Any + Send + Sync {
    fn facts(&self) -> &Facts;
    fn claims_type(&self) -> &'static str;
}

impl<C: Send + Sync + 'static> Erased for Inner<C> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn claims_type(&self) -> &'static str {
        type_name::<C>()
    }
}

impl AnyToken {
    pub(crate) fn facts(&self) -> &Facts {
        self.0.facts()
    }

    /// The name of the claims' type, for a log line that explains a mismatch.
    pub(crate) fn claims_type(&self) -> &'static str {
        self.0.claims_type()
    }

    pub(crate) fn downcast<C: Send + Sync + 'static>(&self) -> Option<AccessToken<C>> {
        let any: Arc<dyn Any + Send + Sync> = self.0.clone();
        any.downcast::<Inner<C>>().ok().map(AccessToken)
    }
}

impl<C: Send + Sync + 'static> From<AccessToken<C>> for AnyToken {
    fn from(token: AccessToken<C>) -> Self {
        Self(token.0)
    }
}
