//! The access token of a request, after all checks of the token. Handlers and policies use this type.

use std::any::{Any, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::observe::shown::Shown;
use crate::server_id::ServerId;
use crate::token::{Claims, Facts, NumericDate, Payload, Principal, ScopeSet, Thumbprint};

/// A validated access token with claims of type `C`.
///
/// A value exists only if signature, issuer, audience, times and profile were checked, by this crate or, for
/// introspection, by the authorization server. A value dereferences to its claims. Cloning is cheap. The value does not
/// contain the token's text, so the text cannot be logged or forwarded.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::{AccessToken, Issuer, ResourceServer};
/// use tower_resource_server::token::Principal;
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
///     .audience("https://api.example.com")
///     .build()?;
///
/// let text = issuer.token().subject("alice").scope("notes:read").sign();
/// let request = http::Request::get("/").header("authorization", format!("Bearer {text}"));
/// let (request, ()) = request.body(())?.into_parts();
/// let token: AccessToken = api.authenticate(&request).await.unwrap().token;
/// assert_eq!(token.issuer(), "https://as.example.com");
/// assert_eq!(token.subject(), Some("alice"));
/// assert!(token.scope().contains("notes:read"));
/// assert!(matches!(token.principal(), Principal::User { .. }));
/// # Ok(())
/// # }
/// ```
///
/// # As an argument of an axum handler
///
/// With the feature `axum`, `AccessToken<C>` and `Option<AccessToken<C>>` are extractors:
///
/// | the route is | `AccessToken<C>` | `Option<AccessToken<C>>` |
/// |---|---|---|
/// | behind [`layer`](crate::ResourceServer::layer) or [`protect`](crate::ResourceServer::protect) | the token | `Some` |
/// | behind [`optional_layer`](crate::ResourceServer::optional_layer), with a token | the token | `Some` |
/// | behind `optional_layer`, anonymous | 401 with the server's challenge and body | `None` |
/// | without a layer | 500 | 500 |
/// | behind a layer whose claims are of another type | 500 | 500 |
///
/// A 500 means a mistake in the API's code, not in the request. The log names the fix.
///
/// ```
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// # #[cfg(feature = "axum")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use tower::ServiceExt as _;
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::{AccessToken, Issuer, ResourceServer};
///
/// # let issuer = TestIssuer::in_process("https://as.example.com");
/// # let api = ResourceServer::builder()
/// #     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
/// #     .audience("https://api.example.com")
/// #     .build()?;
/// async fn notes(token: AccessToken) -> String {
///     format!("notes of {}", token.subject().unwrap_or("nobody"))
/// }
///
/// let routes = Router::new().route("/notes", get(notes));
/// let app = routes.clone().layer(api.optional_layer());
///
/// let authorization = format!("Bearer {}", issuer.token().sign());
/// let request = Request::get("/notes").header("authorization", authorization);
/// assert_eq!(app.clone().oneshot(request.body(Body::empty())?).await?.status(), 200);
///
/// let anonymous = || Request::get("/notes").body(Body::empty());
/// assert_eq!(app.oneshot(anonymous()?).await?.status(), 401);
/// assert_eq!(routes.oneshot(anonymous()?).await?.status(), 500); // no layer
/// # Ok(())
/// # }
/// ```
pub struct AccessToken<C = Claims>(Arc<Inner<C>>);

struct Inner<C> {
    facts: Facts,
    payload: Payload,
    server: ServerId,
    claims: C,
}

impl<C> AccessToken<C> {
    pub(crate) fn new(facts: Facts, payload: Payload, server: ServerId, claims: C) -> Self {
        Self(Arc::new(Inner { facts, payload, server, claims }))
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.0.facts
    }

    pub(crate) fn server(&self) -> &ServerId {
        &self.0.server
    }

    /// The claims.
    pub fn claims(&self) -> &C {
        &self.0.claims
    }

    /// The configured name of the trusted issuer.
    pub fn issuer(&self) -> &str {
        &self.0.facts.issuer
    }

    /// The subject. It is unique only within its issuer; see [`principal`](Self::principal).
    pub fn subject(&self) -> Option<&str> {
        self.0.facts.subject()
    }

    /// The client that requested the token.
    pub fn client_id(&self) -> Option<&str> {
        self.0.facts.client_id()
    }

    /// The scope. It is empty if the token has no scope claim.
    pub fn scope(&self) -> &ScopeSet {
        &self.0.facts.scope
    }

    /// When the token expires. A long response, such as an event stream, should end when the token expires: see
    /// [`expiry`](crate::expiry). `None` only for an opaque token whose introspection answer has no `exp`.
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.0.facts.expires_at
    }

    /// Whether the token is bound to a key (DPoP, RFC 9449) or to a client certificate (RFC 8705 §3). If so, the client
    /// has proven that it has the private key. The policy [`sender_constrained`](crate::policy::sender_constrained)
    /// requires such a token.
    pub fn is_sender_constrained(&self) -> bool {
        self.0.facts.cnf.is_some()
    }

    /// The SHA-256 hash of the client certificate that the token is bound to (`x5t#S256`, RFC 8705 §3.1). The
    /// client has proven that it has the certificate. `None` if the token is not bound to a certificate.
    pub fn certificate_thumbprint(&self) -> Option<&[u8; 32]> {
        self.0.facts.cnf.as_ref()?.certificate.as_ref().map(Thumbprint::octets)
    }

    /// The SHA-256 thumbprint of the key that the token is bound to (`jkt`, RFC 9449 §6.1, RFC 7638). The client
    /// has proven that it has the private key. `None` if the token is not bound to a key.
    pub fn key_thumbprint(&self) -> Option<&[u8; 32]> {
        self.0.facts.cnf.as_ref()?.key.as_ref().map(Thumbprint::octets)
    }

    /// Who acts with the token: a user, a client, or unknown.
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

/// An access token without its type of claims, so that a policy needs no type parameter.
#[derive(Clone)]
pub(crate) struct AnyToken(Arc<dyn Erased>);

trait Erased: Any + Send + Sync {
    fn facts(&self) -> &Facts;
    fn payload(&self) -> &Payload;
    fn server(&self) -> &ServerId;
    fn claims_type(&self) -> &'static str;
}

impl<C: Send + Sync + 'static> Erased for Inner<C> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn payload(&self) -> &Payload {
        &self.payload
    }

    fn server(&self) -> &ServerId {
        &self.server
    }

    fn claims_type(&self) -> &'static str {
        type_name::<C>()
    }
}

impl AnyToken {
    pub(crate) fn facts(&self) -> &Facts {
        self.0.facts()
    }

    /// All claims, as JSON text.
    pub(crate) fn payload(&self) -> &Payload {
        self.0.payload()
    }

    /// The server that validated the token.
    pub(crate) fn server(&self) -> &ServerId {
        self.0.server()
    }

    /// The name of the type of claims, for a log line about a mismatch.
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
