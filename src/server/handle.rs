//! The handle, and nothing else.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use http::{Extensions, HeaderMap};

use crate::authentication::FormTokens;
use crate::authentication::ServerId;
use crate::authenticator::{Authenticator, Verdict};
use crate::challenge::{ChallengeConfig, Challenges};
use crate::credentials::{self, Head, Presentation, Query};
use crate::error::Error;
use crate::rejection::{EmptyBody, Refusal};
use crate::server::private::ResponseHeaders;
use crate::token::{AccessToken, Claims, ScopeToken};
use crate::trust::TrustSettings;

/// An OAuth 2.0 resource server: configuration, keys and caches behind one cheap handle.
///
/// `C` is the type of claims that handlers get, `R` makes the bodies of refusals. Clones are the
/// same server; two servers share nothing.
pub struct ResourceServer<C = Claims, R = EmptyBody> {
    pub(super) shared: Arc<Shared<C, R>>,
}

pub(crate) struct Shared<C, R> {
    pub(crate) authenticator: Arc<Authenticator<C>>,
    pub(crate) id: ServerId,
    pub(crate) challenge: ChallengeConfig,
    pub(crate) body: R,
    /// What issuers are made ready with at a reload.
    pub(crate) trust: Arc<TrustSettings>,
    pub(crate) query_token: bool,
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

impl<C, R> ResourceServer<C, R> {
    pub(crate) fn new(shared: Shared<C, R>) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// From now on the text of tokens is kept with requests, since a route asks about them anew.
    pub(crate) fn keep_tokens(&self) {
        self.shared.keeps_tokens.store(true, Ordering::Relaxed);
    }

    /// Whether a route asks about tokens anew, for which their text is kept with the request.
    pub(crate) fn keeps_tokens(&self) -> bool {
        self.shared.keeps_tokens.load(Ordering::Relaxed)
    }

    pub(crate) fn challenges(&self) -> &Challenges {
        self.shared.id.challenges()
    }

    /// The challenges of a route that asks for `scopes`. One that names none asks for what the server
    /// asks for.
    pub(crate) fn challenges_for(&self, scopes: &[ScopeToken]) -> Challenges {
        if scopes.is_empty() {
            return self.challenges().clone();
        }
        // The configuration was checked by `build` and scopes are checked by their type, so this
        // cannot fail; if it did, the server's own challenges are as valid.
        Challenges::build(&self.shared.challenge, scopes)
            .unwrap_or_else(|_| self.challenges().clone())
    }

    /// Refuses a request, and tells the operator.
    pub(crate) fn refusal(&self, error: Error, challenges: &Challenges) -> Refusal {
        Refusal::new(error, challenges).told(self.shared.id.stream())
    }

    /// The same for a mistake of wiring.
    pub(crate) fn miswired(&self, fix: &'static str) -> Refusal {
        Refusal::wiring(fix).told(self.shared.id.stream())
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
        head: Head<'a>,
        extensions: &'a Extensions,
    ) -> Result<Presentation<'a>, Error> {
        let form = extensions.get::<FormTokens>().and_then(|tokens| tokens.of(self.id()));
        let query = match self.shared.query_token {
            true => Query { uri: head.uri.query(), kept: extensions.get() },
            false => Query::default(),
        };
        credentials::extract(head, form, query)
    }
}

impl<C: Send + Sync + 'static, R> ResourceServer<C, R> {
    /// Authenticates the head of a request, for callers outside Tower. The head stays as it is: a
    /// token that came in the query is still in the URI.
    ///
    /// # Errors
    /// The refusal, which is a response in the making.
    pub async fn authenticate(&self, parts: &Parts) -> Result<Authenticated<C>, Refusal> {
        let refuse = |error| self.refusal(error, self.challenges());
        let head = Head { method: &parts.method, uri: &parts.uri, headers: &parts.headers };
        let presentation = self.credentials(head, &parts.extensions).map_err(refuse)?.into_owned();
        let placement = presentation.placement;
        let authenticator = Arc::clone(self.authenticator());
        let verdict = authenticator.authenticate(presentation).await;
        let Verdict { token, .. } = verdict.map_err(refuse)?;
        let mut response_headers = HeaderMap::new();
        ResponseHeaders::of(placement).add_to(&mut response_headers);
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
