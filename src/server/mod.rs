//! The handle: one value from which the layers, the policies and the answers of one resource
//! server come.

mod builder;
mod operate;
mod readiness;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use http::{Extensions, HeaderMap, Uri};

use crate::authentication::FormTokens;
use crate::authentication::ServerId;
use crate::authenticator::{Authenticator, Verdict};
use crate::challenge::{ChallengeConfig, Challenges};
use crate::config_error::ConfigError;
use crate::credentials::{self, Credentials, Query};
use crate::error::Error;
use crate::issuer::Issuer;
use crate::layer::{
    FormTokenLayer, Gate, Guard, OptionalResourceServerLayer, RequireLayer, ResourceServerLayer,
    Role,
};
use crate::policy::Requirement;
use crate::rejection::{EmptyBody, Refusal};
use crate::token::{AccessToken, Claims};

pub use builder::{Builder, Complete, NeedsAudience, NeedsIssuer, Ready};
pub use operate::NotReady;
pub use readiness::ReadinessService;
pub(crate) use settings::Settings;

/// An OAuth 2.0 resource server: configuration, keys and caches behind one cheap handle.
///
/// `C` is the type of claims that handlers get, `R` makes the bodies of refusals. Clones are the
/// same server; two servers share nothing.
pub struct ResourceServer<C = Claims, R = EmptyBody> {
    shared: Arc<Shared<C, R>>,
}

pub(crate) struct Shared<C, R> {
    pub(crate) authenticator: Arc<Authenticator<C>>,
    pub(crate) id: ServerId,
    pub(crate) challenge: ChallengeConfig,
    pub(crate) body: R,
    pub(crate) settings: Arc<Settings>,
    pub(crate) keeps_tokens: AtomicBool,
}

/// A request that passed: its token, and the headers that belong to the response.
#[derive(Debug)]
pub struct Authenticated<C = Claims> {
    /// The access token.
    pub token: AccessToken<C>,
    /// Headers to add to the response: `Cache-Control: private` for a token from the query (RFC
    /// 6750 §2.3), else none.
    pub response_headers: HeaderMap,
}

impl ResourceServer {
    /// Starts with the default [`Claims`] and empty bodies; the builder can change both.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<C, R> ResourceServer<C, R> {
    pub(crate) fn new(shared: Shared<C, R>) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Authentication: only requests with a valid access token reach the inner service; others are
    /// answered 400, 401 or 503.
    pub fn layer(&self) -> ResourceServerLayer<C, R> {
        ResourceServerLayer::new(Gate::new(self.clone(), None, Role::Authenticate))
    }

    /// Authentication where there are credentials: requests without any, or with those of another
    /// scheme, pass as anonymous. A bad token is refused as by [`layer`](Self::layer).
    pub fn optional_layer(&self) -> OptionalResourceServerLayer<C, R> {
        OptionalResourceServerLayer::new(Gate::new(self.clone(), None, Role::AuthenticateIfPresent))
    }

    /// Authorization for a route inside the layer: 403 unless the token meets the requirement.
    ///
    /// It looks only at what this server's layer concluded; without that layer it answers 500 and
    /// logs the fix.
    pub fn require(&self, requirement: impl Into<Requirement<C>>) -> RequireLayer<C, R> {
        let guard = self.guard(requirement.into());
        RequireLayer::new(Gate::new(self.clone(), Some(guard), Role::Require))
    }

    /// Authentication and authorization in one, so that a 401, too, names the route's scopes.
    pub fn protect(&self, requirement: impl Into<Requirement<C>>) -> ResourceServerLayer<C, R> {
        let guard = self.guard(requirement.into());
        ResourceServerLayer::new(Gate::new(self.clone(), Some(guard), Role::Authenticate))
    }

    /// Accepts tokens in form bodies, too (RFC 6750 §2.2): a layer to put outside this server's
    /// own, which buffers the bodies of form requests up to `limit` bytes and replays them.
    ///
    /// While a body is read, the request holds what the service inside it gave out on becoming ready,
    /// a permit of a `ConcurrencyLimit` say, and nobody has authenticated yet: put limits and timeouts
    /// outside this layer. The bodies inside are of a type that can be made from `Bytes`; hyper's
    /// `Incoming` becomes one by a layer that maps the body, axum's `Body` is one. Trailers of a body
    /// that is read here (RFC 9110 §6.5) are dropped; those of other bodies stay.
    pub fn form_token_layer(&self, limit: usize) -> FormTokenLayer<C, R> {
        FormTokenLayer::new(self.clone(), limit)
    }

    /// Replaces all trusted issuers and audiences at once, while requests go on; the other settings
    /// stay as they were built.
    ///
    /// A request is judged by the old ones or by the new, never by a mixture; one that waits is judged
    /// by the new, and waits again for what the new ones lack, within its one deadline. An issuer that
    /// is no longer among them is refused from the next request on. One whose keys come from the same
    /// place as before keeps its keys, also where its algorithms are others now; where there
    /// are no keys, a new [seed](Issuer::seed) is used.
    ///
    /// ```
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// # let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let issuer = Issuer::new("https://as.example.com").jwks(jwks);
    /// let api = ResourceServer::builder()
    ///     .issuer(issuer.clone())
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let other = Issuer::new("https://as2.example.com").jwks(jwks);
    /// api.reload([issuer.clone(), other], ["https://api.example.com"])?;
    ///
    /// // What can't be is refused as by `build`, and changes nothing.
    /// assert!(api.reload([issuer], [""; 0]).is_err());
    /// # Ok::<(), tower_resource_server::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Builder::build`]; what was trusted before stays.
    pub fn reload<I: Into<Issuer>, A: Into<String>>(
        &self,
        issuers: impl IntoIterator<Item = I>,
        audiences: impl IntoIterator<Item = A>,
    ) -> Result<(), ConfigError> {
        let issuers: Vec<Issuer> = issuers.into_iter().map(Into::into).collect();
        let audiences: Vec<String> = audiences.into_iter().map(Into::into).collect();
        let trust = &self.shared.authenticator.trust;
        let settings = &self.shared.settings;
        loop {
            let mut problems = Vec::new();
            let before = trust.load_full();
            let next = settings.trust(&issuers, &audiences, Some(&before), &mut problems);
            if !problems.is_empty() {
                return Err(ConfigError { problems });
            }
            let next = Arc::new(next);
            // Rules of the API's own were asked, so no lock may be held: two replacements come one
            // after the other because the second starts again from what the first has put there.
            if Arc::ptr_eq(&trust.compare_and_swap(&before, Arc::clone(&next)), &before) {
                next.tell_of_seeds();
                return Ok(());
            }
        }
    }

    fn guard(&self, requirement: Requirement<C>) -> Arc<Guard<C>> {
        if requirement.asks_now() {
            self.shared.keeps_tokens.store(true, Ordering::Relaxed);
        }
        // The configuration was checked by `build` and scopes are checked by their type, so this
        // cannot fail; if it did, the server's own challenges are as valid.
        // A route that names no scope asks for what the server asks for.
        let challenges = match requirement.scopes().as_slice() {
            [] => self.challenges().clone(),
            scopes => Challenges::build(&self.shared.challenge, scopes)
                .unwrap_or_else(|_| self.challenges().clone()),
        };
        Arc::new(Guard { requirement, challenges })
    }

    /// Whether a route asks about tokens anew, for which their text is kept with the request.
    pub(crate) fn keeps_tokens(&self) -> bool {
        self.shared.keeps_tokens.load(Ordering::Relaxed)
    }

    pub(crate) fn challenges(&self) -> &Challenges {
        self.shared.id.challenges()
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

    /// Step 1 of the walk.
    pub(crate) fn credentials<'a>(
        &self,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        extensions: &'a Extensions,
    ) -> Result<Credentials<'a>, Error> {
        let form = extensions.get::<FormTokens>().and_then(|tokens| tokens.of(self.id()));
        let query = match self.shared.settings.query_token {
            true => Query { uri: uri.query(), kept: extensions.get() },
            false => Query::default(),
        };
        credentials::extract(headers, form, query)
    }
}

impl<C: Send + Sync + 'static, R> ResourceServer<C, R> {
    /// Authenticates the head of a request, for callers outside Tower. The head stays as it is: a
    /// token that came in the query is still in the URI.
    ///
    /// # Errors
    /// The refusal, which is a response in the making.
    pub async fn authenticate(&self, parts: &Parts) -> Result<Authenticated<C>, Refusal> {
        let refuse = |error| Refusal::new(error, self.challenges());
        let (token, method) = {
            let credentials =
                self.credentials(&parts.uri, &parts.headers, &parts.extensions).map_err(refuse)?;
            (credentials.token.into_owned(), credentials.method)
        };
        let authenticator = Arc::clone(self.authenticator());
        let Verdict { token, .. } = authenticator.authenticate(token).await.map_err(refuse)?;
        let mut response_headers = HeaderMap::new();
        if method == credentials::Method::Query {
            crate::layer::add_private(&mut response_headers);
        }
        Ok(Authenticated { token, response_headers })
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
