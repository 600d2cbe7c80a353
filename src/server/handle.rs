//! The handle.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use http::{Extensions, HeaderMap};

use crate::authentication::{ConfirmedKeys, FormTokens};
use crate::authenticator::{Authenticator, Verdict};
use crate::challenge::Challenges;
use crate::credentials::{
    self, Certificate, Head, Methods, Presentation, Query, Token68, TokenProtocol, WebSocket,
};
use crate::error::Error;
use crate::rejection::{EmptyBody, Refusal};
use crate::scheme::Scheme;
use crate::sender::Proven;
use crate::server::certificates::Certificates;
use crate::server::metadata::Resource;
use crate::server::original_uri::original_uri;
use crate::server::private::ResponseHeaders;
use crate::server_id::ServerId;
use crate::token::{AccessToken, Claims, ScopeToken};
use crate::trust::TrustSettings;

/// An OAuth 2.0 resource server: a handle to its configuration, keys and caches.
///
/// Handlers get claims of type `C`. `R` makes the bodies of refusals. Cloning is cheap, and a clone is a
/// handle to the same server. Two servers that are built separately share nothing.
pub struct ResourceServer<C = Claims, R = EmptyBody> {
    pub(super) shared: Arc<Shared<C, R>>,
}

pub(crate) struct Shared<C, R> {
    pub(crate) authenticator: Arc<Authenticator<C>>,
    pub(crate) id: ServerId,
    pub(crate) body: R,
    /// The settings for the issuers of a reload.
    pub(crate) trust: Arc<TrustSettings>,
    /// The resource that this server protects, if it has an identifier.
    pub(crate) resource: Option<Arc<Resource>>,
    pub(crate) query_token: bool,
    /// Whether tokens count only in the field `Authorization`.
    pub(crate) header_only: bool,
    pub(crate) websocket: Option<TokenProtocol>,
    pub(crate) certificates: Certificates,
    pub(crate) strips_authorization: bool,
    pub(crate) keeps_tokens: AtomicBool,
}

/// An authenticated request: its token, and the headers for the response.
#[derive(Debug)]
pub struct Authenticated<C = Claims> {
    /// The access token.
    pub token: AccessToken<C>,
    /// The headers to add to the response. In most cases, there are none.
    ///
    /// - If the token came in the query (RFC 6750 §2.3) or in a WebSocket subprotocol: `Cache-Control: private`.
    /// - If the client's nonce is old (RFC 9449 §8.2): `DPoP-Nonce` and `Cache-Control: no-store`.
    /// - If the token is bound to a certificate that came in a header (RFC 9440 §2.4): `Vary`.
    pub response_headers: HeaderMap,
}

impl<C, R> ResourceServer<C, R> {
    pub(crate) fn new(shared: Shared<C, R>) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// From now on, the text of each request's token is kept, because a layer needs the text
    /// (`introspected_now`, `load_user`).
    pub(crate) fn keep_tokens(&self) {
        self.shared.keeps_tokens.store(true, Ordering::Relaxed);
    }

    /// Whether a token in `Authorization` is hidden from the inner service.
    pub(crate) fn strips_authorization(&self) -> bool {
        self.shared.strips_authorization
    }

    /// The subprotocol that contains the token of a WebSocket handshake, if such tokens are accepted.
    pub(crate) fn websocket_protocol(&self) -> Option<&TokenProtocol> {
        self.shared.websocket.as_ref()
    }

    /// Whether the text of each request's token is kept.
    pub(crate) fn keeps_tokens(&self) -> bool {
        self.shared.keeps_tokens.load(Ordering::Relaxed)
    }

    pub(crate) fn challenges(&self) -> &Challenges {
        &self.shared.id.challenges
    }

    /// The resource identifier of this server.
    pub(crate) fn resource(&self) -> Option<&str> {
        self.shared.resource.as_ref().map(|resource| resource.identifier.as_str())
    }

    /// The challenges for a refusal that no scope would prevent.
    pub(crate) fn without_scope(&self) -> &Challenges {
        &self.shared.id.without_scope
    }

    /// The challenges of a route that requires `scopes`. Without scopes, they are the server's own.
    pub(crate) fn challenges_for(&self, scopes: &[ScopeToken]) -> Challenges {
        if scopes.is_empty() {
            return self.challenges().clone();
        }
        // This cannot fail: `build` has checked the configuration, and the type has checked the scopes.
        // If it failed, the server's own challenges would still be valid.
        Challenges::build(&self.shared.id.challenge, scopes)
            .unwrap_or_else(|_| self.challenges().clone())
    }

    /// Refuses a request that used this scheme, and logs the refusal.
    pub(crate) fn refusal(&self, error: Error, challenges: &Challenges, scheme: Scheme) -> Refusal {
        let server = self.id();
        let refusal = Refusal::new(error, challenges, scheme);
        refusal.with_nonce(|| server.make_nonce()).told(&server.stream)
    }

    /// The scheme that a request seems to use, for its challenge.
    pub(crate) fn used_scheme(&self, headers: &HeaderMap) -> Scheme {
        credentials::used_scheme(headers, self.accepts_dpop())
    }

    fn accepts_dpop(&self) -> bool {
        self.id().dpop.is_some()
    }

    /// Refuses a request because of a mistake in the API's code, and logs the refusal.
    pub(crate) fn miswired(&self, fix: &'static str) -> Refusal {
        Refusal::wiring(fix).told(&self.shared.id.stream)
    }

    pub(crate) fn id(&self) -> &ServerId {
        &self.shared.id
    }

    pub(crate) fn body(&self) -> &R {
        &self.shared.body
    }

    pub(crate) fn authenticator(&self) -> &Arc<Authenticator<C>> {
        &self.shared.authenticator
    }

    /// Where the certificates of clients come from.
    pub(crate) fn certificates(&self) -> &Certificates {
        &self.shared.certificates
    }

    /// Step 1 of a request: finds the credentials. `certificate` is the client's certificate.
    pub(crate) fn credentials<'a>(
        &'a self,
        head: Head<'a>,
        extensions: &'a Extensions,
        certificate: Certificate,
    ) -> Result<Presentation<'a>, Error> {
        let form = extensions.get::<FormTokens>().filter(|_| !self.shared.header_only);
        let form = form.and_then(|tokens| tokens.of(self.id()));
        let query = match self.shared.query_token {
            true => Query { uri: head.uri.query(), kept: extensions.get() },
            false => Query::default(),
        };
        let websocket = self.websocket_protocol();
        let websocket = websocket.map(|protocol| WebSocket { protocol, kept: extensions.get() });
        let methods = Methods { dpop: self.accepts_dpop(), form, query, websocket };
        credentials::extract(head, methods, certificate)
    }
}

impl<C: Send + Sync + 'static, R> ResourceServer<C, R> {
    /// Authenticates the head of a request, for callers outside Tower. The head is not changed: a token
    /// in the query stays in the URI, and a token in `Sec-WebSocket-Protocol` stays in that field. A header with
    /// a client's certificate stays, too, even if the peer is not trusted, so do not read that header.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    /// let head = |token: String| {
    ///     let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
    ///     request.body(()).map(|request| request.into_parts().0)
    /// };
    ///
    /// let request = head(issuer.token().subject("alice").sign())?;
    /// let authenticated = api.authenticate(&request).await.unwrap();
    /// assert_eq!(authenticated.token.subject(), Some("alice"));
    ///
    /// let request = head(issuer.token().audience("https://other.example.com").sign())?;
    /// let refusal = api.authenticate(&request).await.unwrap_err();
    /// assert_eq!((refusal.status().as_u16(), refusal.error().code()), (401, "foreign_audience"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns the refusal. [`Refusal::into_response`] converts the refusal to a response.
    pub async fn authenticate(&self, parts: &Parts) -> Result<Authenticated<C>, Refusal> {
        let refuse =
            |error| self.refusal(error, self.challenges(), self.used_scheme(&parts.headers));
        let head = Head {
            method: &parts.method,
            uri: &parts.uri,
            original_uri: original_uri(&parts.extensions),
            headers: &parts.headers,
        };
        let certificate = self.certificates().find(&parts.headers, &parts.extensions);
        let certificate = certificate.map_err(refuse)?;
        let presentation =
            self.credentials(head, &parts.extensions, certificate).map_err(refuse)?;
        let confirmed = ConfirmedKeys::of(&parts.extensions, self.id());
        let presentation = presentation.into_owned().confirmed_by(confirmed);
        let own_headers = ResponseHeaders::of(&presentation);
        let authenticator = Arc::clone(self.authenticator());
        let verdict = authenticator.authenticate(presentation).await;
        let Verdict { token, proven, .. } = verdict.map_err(refuse)?;
        let mut response_headers = HeaderMap::new();
        let nonce = proven.filter(Proven::wants_nonce).and_then(|_| self.id().make_nonce());
        let own_headers = own_headers.about(token.facts()).with_nonce(nonce);
        own_headers.add_to(&mut response_headers, true);
        Ok(Authenticated { token, response_headers })
    }

    /// Authenticates a token that did not come in the head of a request: the first message of a WebSocket,
    /// the `connection_init` of GraphQL, an entry of a queue. `token` is the text of the token, without a
    /// scheme.
    ///
    /// All checks of [`authenticate`](Self::authenticate) apply, with the same limits: a token has at most
    /// 16 KiB, and the call waits at most 6 s for the network. A token that is bound to its sender (`cnf`) is
    /// always refused, because a message outside a request contains no proof of the sender (RFC 7800 §3.1).
    /// Limit how long a client may stay connected before its first message.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let message = issuer.token().subject("alice").sign();
    /// let token = api.authenticate_token(&message).await.unwrap();
    /// assert_eq!(token.subject(), Some("alice"));
    ///
    /// let refusal = api.authenticate_token("hello").await.unwrap_err();
    /// assert_eq!((refusal.status().as_u16(), refusal.error().code()), (401, "not_a_jwt"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns the same refusal as for a request with this token. If the text cannot be a token, the refusal
    /// is that of a malformed token: 401 `invalid_token`.
    pub async fn authenticate_token(&self, token: &str) -> Result<AccessToken<C>, Refusal> {
        let refuse = |error| self.refusal(error, self.challenges(), Scheme::Bearer);
        let problem = "the text is not a token68 (RFC 9110 section 11.2)";
        let token = Token68::parse(token.as_bytes())
            .ok_or_else(|| refuse(Error::MalformedToken { problem }))?;
        let presentation = Presentation::alone(token.into_owned());
        let authenticator = Arc::clone(self.authenticator());
        let verdict = authenticator.authenticate(presentation).await;
        verdict.map(|Verdict { token, .. }| token).map_err(refuse)
    }
}

impl<C, R> Clone for ResourceServer<C, R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C, R> fmt::Debug for ResourceServer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceServer")
            .field("authenticator", &self.shared.authenticator)
            .finish_non_exhaustive()
    }
}
