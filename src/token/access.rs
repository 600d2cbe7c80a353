//! The access token of a request, after every check: what a handler and a policy see.

use std::any::{Any, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use http::Extensions;

use crate::observe::shown::Shown;
use crate::token::{Claims, Facts, NumericDate, ScopeSet};

/// A validated access token with claims of type `C`.
///
/// It exists only after signature, issuer, audience, time and profile were checked. Cloning is
/// cheap. It dereferences to its claims. The token's text is not in it, so it can be neither
/// logged nor sent on.
pub struct AccessToken<C = Claims>(Arc<Inner<C>>);

struct Inner<C> {
    facts: Facts,
    claims: C,
}

/// Who acts with a token.
///
/// A client that acts for itself is never taken for a user, although RFC 9068 §2.2 lets `sub`
/// carry its `client_id` (§5). A user is a pair, since two issuers can use one `sub`. Where nothing
/// shows which of the two acts, the answer is [`Unknown`](Self::Unknown). The rules are in
/// [`manual::providers`](crate::manual::providers).
///
/// `Debug` shows the issuer alone: `sub` and `client_id` must not be logged (RFC 9068 §6).
///
/// ```
/// use tower_resource_server::{AccessToken, Principal};
///
/// fn may_see(owner: &str, token: &AccessToken) -> bool {
///     match token.principal() {
///         Principal::User { sub, .. } => sub == owner,
///         Principal::Client { client_id, .. } => client_id == Some("reports"),
///         _ => false,
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Principal<'a> {
    /// A resource owner.
    User {
        /// The issuer.
        iss: &'a str,
        /// The subject within that issuer.
        sub: &'a str,
    },
    /// A client on its own behalf: the token has no `sub`, its `sub` is the client, or another sign
    /// shows it.
    Client {
        /// The issuer.
        iss: &'a str,
        /// The client, where the token names it.
        client_id: Option<&'a str>,
    },
    /// A user or a client: nothing in the token shows which. [`user`](crate::user()) refuses it.
    Unknown {
        /// The issuer.
        iss: &'a str,
        /// The subject within that issuer, of either kind.
        sub: Option<&'a str>,
        /// The client that asked for the token, where the token names it.
        client_id: Option<&'a str>,
    },
}

impl fmt::Debug for Principal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, iss) = match self {
            Self::User { iss, .. } => ("User", iss),
            Self::Client { iss, .. } => ("Client", iss),
            Self::Unknown { iss, .. } => ("Unknown", iss),
        };
        f.debug_struct(kind).field("iss", &Shown(iss)).finish_non_exhaustive()
    }
}

impl<C> AccessToken<C> {
    pub(crate) fn new(facts: Facts, claims: C) -> Self {
        Self(Arc::new(Inner { facts, claims }))
    }

    /// The claims.
    pub fn claims(&self) -> &C {
        &self.0.claims
    }

    /// The trusted issuer, by its configured name.
    pub fn issuer(&self) -> &str {
        &self.0.facts.issuer
    }

    /// The subject, unique within the issuer only: see [`principal`](Self::principal).
    pub fn subject(&self) -> Option<&str> {
        self.0.facts.subject()
    }

    /// The client that asked for the token.
    pub fn client_id(&self) -> Option<&str> {
        self.0.facts.client_id()
    }

    /// The scope; a token without a scope claim has none.
    pub fn scope(&self) -> &ScopeSet {
        &self.0.facts.scope
    }

    /// When the token expires. Long answers, such as event streams, should end then. `None` only
    /// for an opaque token whose issuer does not tell.
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.0.facts.expires_at
    }

    /// Who acts with the token.
    pub fn principal(&self) -> Principal<'_> {
        self.0.facts.principal()
    }
}

impl<C: Send + Sync + 'static> AccessToken<C> {
    /// The token that a layer of this crate put into a request's extensions. `None` without a
    /// layer, for an anonymous request behind an optional layer, and for another type of claims.
    pub fn from_extensions(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Outcome>()?.token.as_ref().and_then(AnyToken::downcast)
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

/// An access token whose type of claims is forgotten, so that a policy can be of no type.
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

    /// The name of the type of claims, for a log line that explains a mismatch.
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

/// What a layer concluded about a request. It overwrites the conclusion of any layer before it, so
/// that a request never carries two.
#[derive(Clone)]
pub(crate) struct Outcome {
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
    Kept(Arc<str>),
    /// There is none: the token was put here by a test, and passes for asked about.
    #[cfg(feature = "test-issuer")]
    Injected,
}

/// The identity of one server: equal to its clones only.
#[derive(Clone)]
pub(crate) struct ServerId(Arc<crate::challenge::Challenges>);

impl ServerId {
    pub(crate) fn new(challenges: crate::challenge::Challenges) -> Self {
        Self(Arc::new(challenges))
    }

    /// The server's own challenges, for an extractor that has to refuse an anonymous request.
    pub(crate) fn challenges(&self) -> &crate::challenge::Challenges {
        &self.0
    }
}

impl PartialEq for ServerId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
