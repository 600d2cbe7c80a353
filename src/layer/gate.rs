//! Decides about one request. The decision uses the request's method, URI, header fields and
//! extensions. Calling the inner service is not part of this module.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::Request;

use crate::authentication::{Authentication, Presented};
use crate::authenticator::Verdict;
use crate::challenge::Challenges;
use crate::credentials::{self, Head, Placement, Presentation};
use crate::error::Error;
use crate::policy::Requirement;
use crate::rejection::Refusal;
use crate::server::{ResourceServer, ResponseHeaders};
use crate::token::AnyToken;
use crate::trust::{Pending, Waited};

/// The data for the decisions of one layer: the server, the requirement in addition to a valid token
/// (the guard), and the role of the layer.
pub(crate) struct Gate<C, R> {
    server: ResourceServer<C, R>,
    guard: Option<Arc<Guard<C>>>,
    role: Role,
}

/// What a layer does with a request, if no outer layer of the same server has authenticated it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Authenticates the request.
    Authenticate,
    /// Authenticates the request if it has credentials.
    AuthenticateIfPresent,
    /// Answers 500, because the server's own layer is missing around this layer.
    Require,
}

/// The requirement of a route, with the challenges that name the required scopes.
pub(crate) struct Guard<C> {
    pub(crate) requirement: Requirement<C>,
    pub(crate) challenges: Challenges,
}

/// The decision about a request.
pub(crate) enum Judgement<C> {
    /// The request passes. These headers are added to the response of the inner service.
    Pass(ResponseHeaders),
    Refuse(Refusal),
    /// The decision needs an answer from the network.
    Wait(Waiting<C>),
}

/// The result of an outer layer of this server.
struct PriorResult {
    token: AnyToken,
    presented: Presented,
    /// `true` if the authorization server was asked about the token after the request arrived, and the
    /// configuration has not changed since.
    asked_now: bool,
}

/// A request whose verdict needs the network.
pub(crate) struct Waiting<C> {
    pub(crate) verdict: Pin<Box<dyn Future<Output = Result<Verdict<C>, Error>> + Send>>,
    pub(crate) presented: Presented,
    pub(crate) placement: Placement,
}

impl<C, R> Gate<C, R> {
    pub(crate) fn new(
        server: ResourceServer<C, R>,
        guard: Option<Arc<Guard<C>>>,
        role: Role,
    ) -> Self {
        Self { server, guard, role }
    }

    pub(crate) fn server(&self) -> &ResourceServer<C, R> {
        &self.server
    }

    fn challenges(&self) -> &Challenges {
        self.guard.as_ref().map_or(self.server.challenges(), |guard| &guard.challenges)
    }

    fn refuse<T>(&self, error: Error) -> Result<T, Refusal> {
        Err(self.server.refusal(error, self.challenges()))
    }
}

impl<C: Send + Sync + 'static, R> Gate<C, R> {
    /// Decides about a request without waiting.
    pub(crate) fn judge<B>(&self, request: &mut Request<B>) -> Judgement<C> {
        if self.role == Role::Require {
            return match self.required(request) {
                Ok(prior) => self.finish(prior),
                Err(refusal) => Judgement::Refuse(refusal),
            };
        }
        // An outer layer of the same server has already authenticated the request.
        if let Some(prior) = self.prior(request) {
            return self.finish(prior);
        }
        let head =
            Head { method: request.method(), uri: request.uri(), headers: request.headers() };
        let presentation = match self.server.credentials(head, request.extensions()) {
            Ok(presentation) => presentation,
            Err(Error::MissingCredentials | Error::UnsupportedScheme)
                if self.role == Role::AuthenticateIfPresent =>
            {
                let server = self.server.id().clone();
                let generation = self.generation();
                let presented = Presented::Unkept;
                let outcome =
                    Authentication { server, generation, token: None, presented, asked_now: false };
                request.extensions_mut().insert(outcome);
                return Judgement::Pass(ResponseHeaders::NONE);
            }
            Err(error) => return Judgement::Refuse(self.server.refusal(error, self.challenges())),
        };
        let placement = presentation.placement;
        let presented = match self.server.keeps_tokens() {
            true => Presented::Kept(Arc::new(presentation.clone().into_owned())),
            false => Presented::Unkept,
        };
        let authenticator = self.server.authenticator();
        let waited = Waited { asks_now: self.asks_now(), ..Waited::default() };
        let judged = match authenticator.judge(&presentation, &waited) {
            Ok(verdict) => self.let_pass(request, verdict, presented, placement),
            Err(Pending::Refused(error)) => self.refuse(error),
            Err(pending) => {
                let presentation = presentation.into_owned();
                let verdict = Arc::clone(authenticator).resume(presentation, pending, waited);
                let verdict = Box::pin(verdict);
                return Judgement::Wait(Waiting { verdict, presented, placement });
            }
        };
        match judged {
            Ok(headers) => Judgement::Pass(headers),
            Err(refusal) => Judgement::Refuse(refusal),
        }
    }

    /// Completes the decision after a wait.
    pub(crate) fn resume<B>(
        &self,
        request: &mut Request<B>,
        verdict: Result<Verdict<C>, Error>,
        presented: Presented,
        placement: Placement,
    ) -> Result<ResponseHeaders, Refusal> {
        match verdict {
            Ok(verdict) => self.let_pass(request, verdict, presented, placement),
            Err(error) => self.refuse(error),
        }
    }

    /// Evaluates the requirement, and stores the result in the request.
    fn let_pass<B>(
        &self,
        request: &mut Request<B>,
        verdict: Verdict<C>,
        presented: Presented,
        placement: Placement,
    ) -> Result<ResponseHeaders, Refusal> {
        let token = AnyToken::from(verdict.token);
        if let Some(guard) = &self.guard
            && let Err(error) = guard.requirement.evaluate(&token)
        {
            return self.refuse(error);
        }
        let (server, generation) = (self.server.id().clone(), verdict.generation);
        let asked_now = self.asks_now();
        let outcome =
            Authentication { server, generation, token: Some(token), presented, asked_now };
        request.extensions_mut().insert(outcome);
        if placement == Placement::Query {
            hide_query_token(request);
        }
        Ok(ResponseHeaders::of(placement))
    }

    /// Decides with the result of an outer layer.
    fn finish(&self, prior: PriorResult) -> Judgement<C> {
        let Some(guard) = &self.guard else {
            return Judgement::Pass(ResponseHeaders::NONE);
        };
        let PriorResult { token, presented, asked_now } = prior;
        if let Err(error) = guard.requirement.evaluate(&token) {
            return Judgement::Refuse(self.server.refusal(error, &guard.challenges));
        }
        // One introspection call per request is enough, if the call began after the request arrived.
        if asked_now || !guard.requirement.asks_now() {
            return Judgement::Pass(ResponseHeaders::NONE);
        }
        match &presented {
            #[cfg(feature = "test-issuer")]
            Presented::Injected => Judgement::Pass(ResponseHeaders::NONE),
            Presented::Kept(presentation) => {
                // Repeat all steps. The new result replaces the prior one.
                let authenticator = Arc::clone(self.server.authenticator());
                let verdict =
                    Box::pin(authenticator.authenticate_now(Presentation::clone(presentation)));
                Judgement::Wait(Waiting { verdict, presented, placement: Placement::Header })
            }
            Presented::Unkept => Judgement::Refuse(self.server.miswired(
                "`introspected_now` was added while a request was in progress: build the routes before \
                 they are served",
            )),
        }
    }

    fn asks_now(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.requirement.asks_now())
    }

    /// The result of an outer layer of the same server, if the configuration has not changed since.
    fn prior<B>(&self, request: &Request<B>) -> Option<PriorResult> {
        let outcome = request.extensions().get::<Authentication>()?;
        if outcome.server != *self.server.id() || outcome.generation != self.generation() {
            return None;
        }
        Some(PriorResult {
            token: outcome.token.clone()?,
            presented: outcome.presented.clone(),
            asked_now: outcome.asked_now,
        })
    }

    /// The result of the server's own layer, which must be around `require`.
    fn required<B>(&self, request: &Request<B>) -> Result<PriorResult, Refusal> {
        let Some(outcome) = request.extensions().get::<Authentication>() else {
            return Err(self.server.miswired(
                "`require` without its server's layer around it: put `.layer(api.layer())` after \
                 the routes, or use `api.protect(..)`",
            ));
        };
        if outcome.server != *self.server.id() {
            return Err(self.server.miswired(
                "`require` behind the layer of another server: use the server whose layer is \
                 around this route",
            ));
        }
        match &outcome.token {
            Some(token) => Ok(PriorResult {
                token: token.clone(),
                presented: outcome.presented.clone(),
                asked_now: outcome.asked_now && outcome.generation == self.generation(),
            }),
            None => self.refuse(Error::MissingCredentials),
        }
    }

    fn generation(&self) -> u64 {
        self.server.authenticator().trust.load().generation
    }
}

/// Moves the token from the URI to the request's extensions. Handlers and logs then do not see the
/// token, but inner layers of this crate can use it.
fn hide_query_token<B>(request: &mut Request<B>) {
    if let Some(token) = credentials::query_token(request.uri()) {
        request.extensions_mut().insert(token);
    }
    *request.uri_mut() = credentials::without_query_token(request.uri());
    #[cfg(feature = "axum")]
    if let Some(original) = request.extensions_mut().get_mut::<axum::extract::OriginalUri>() {
        original.0 = credentials::without_query_token(&original.0);
    }
}

impl<C, R> Clone for Gate<C, R> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), guard: self.guard.clone(), role: self.role }
    }
}

impl<C> fmt::Debug for Guard<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("requirement", &self.requirement)
            .field("challenges", &self.challenges)
            .finish()
    }
}

impl<C, R> fmt::Debug for Gate<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("server", &self.server)
            .field("guard", &self.guard)
            .field("role", &self.role)
            .finish()
    }
}
