//! Decides about one request. The decision uses the request's method, URI, header fields and
//! extensions. Calling the inner service is not part of this module.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::authentication::{Authentication, Presented};
use crate::authenticator::Verdict;
use crate::credentials::{self, Head, Placement, Presentation, WebSocketTokens};
use crate::error::Error;
use crate::layer::guard::{Applied, Guard};
use crate::layer::head::RequestHead;
use crate::layer::waiting::{BoxedFuture, Done, Sent, Waiting};
use crate::lookup;
use crate::policy::{Lookups, Unmet};
use crate::rejection::Refusal;
use crate::server::{ResourceServer, ResponseHeaders};
use crate::token::AnyToken;
use crate::trust::{Pending, Waited};
#[cfg(feature = "http-client")]
use crate::users::FindUser;

/// The data for the decisions of one layer: the server; the guard, if the layer requires more than a
/// valid token; and the role of the layer.
pub(crate) struct Gate<C, R> {
    server: ResourceServer<C, R>,
    guard: Option<Arc<Guard<C>>>,
    role: Role,
}

/// What a layer does with a request, if no outer layer of the same server has authenticated it.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Authenticates the request.
    Authenticate,
    /// Authenticates the request if it has credentials.
    AuthenticateIfPresent,
    /// Answers 500, because the server's own layer is missing around this layer.
    Require,
    /// Loads the API's user of the token. Like `Require`, it needs the server's own layer around it.
    #[cfg(feature = "http-client")]
    LoadUser(Arc<dyn FindUser>),
}

/// The decision about a request.
pub(crate) enum Judgement<C> {
    /// The request passes. These headers are added to the response of the inner service.
    Pass(ResponseHeaders),
    Refuse(Refusal),
    /// The decision needs something that is not known yet.
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

    /// Whether the decision needs the head of the request apart from its body.
    pub(crate) fn reads_request(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.reads_request())
    }

    /// What applies to the request, in addition to a valid token.
    #[inline]
    fn applied(&self, request: &impl RequestHead) -> Applied<'_, C> {
        self.guard.as_ref().map_or(Applied::Nothing, |guard| guard.of(request))
    }

    fn refuse(&self, error: Error, applied: &Applied<'_, C>) -> Refusal {
        self.server.refusal(error, applied.challenges().unwrap_or(self.server.challenges()))
    }
}

impl<C: Send + Sync + 'static, R> Gate<C, R> {
    /// Decides about a request without waiting.
    pub(crate) fn judge(&self, request: &mut impl RequestHead) -> Judgement<C> {
        if self.guard.as_ref().is_some_and(|guard| guard.lets_preflight_pass(request)) {
            if self.server.strips_authorization() {
                request.headers_mut().remove(AUTHORIZATION);
            }
            return self.pass_anonymous(request);
        }
        let applied = &self.applied(request);
        match &self.role {
            Role::Require => {
                return match self.required(request, applied) {
                    Ok(prior) => self.finish(prior, request.parts(), applied),
                    Err(refusal) => Judgement::Refuse(refusal),
                };
            }
            #[cfg(feature = "http-client")]
            Role::LoadUser(users) => return self.load_user(users, request),
            Role::Authenticate | Role::AuthenticateIfPresent => {}
        }
        // An outer layer of the same server has already authenticated the request.
        if let Some(prior) = self.prior(request) {
            return self.finish(prior, request.parts(), applied);
        }
        if let Some(stripped) = self.stripped(request) {
            return self.repeat(stripped, applied);
        }
        let head =
            Head { method: request.method(), uri: request.uri(), headers: request.headers() };
        let presentation = match self.server.credentials(head, request.extensions()) {
            Ok(presentation) => presentation,
            Err(Error::MissingCredentials | Error::UnsupportedScheme)
                if matches!(self.role, Role::AuthenticateIfPresent) =>
            {
                return self.pass_anonymous(request);
            }
            Err(error) => return Judgement::Refuse(self.refuse(error, applied)),
        };
        let placement = Some(presentation.placement);
        let presented = match self.server.keeps_tokens() {
            true => Presented::Kept(Arc::new(presentation.clone().into_owned())),
            false => Presented::Unkept,
        };
        let authenticator = self.server.authenticator();
        let waited = Waited { asks_now: applied.asks_now(), ..Waited::default() };
        match authenticator.judge(&presentation, &waited) {
            Ok(verdict) => self.let_pass(request, verdict, Sent { presented, placement }, applied),
            Err(Pending::Refused(error)) => Judgement::Refuse(self.refuse(error, applied)),
            Err(pending) => {
                let presentation = presentation.into_owned();
                let verdict = Arc::clone(authenticator).resume(presentation, pending, waited);
                let (verdict, sent) = (Box::pin(verdict), Sent { presented, placement });
                Judgement::Wait(Waiting::Verdict { verdict, sent })
            }
        }
    }

    /// Continues the decision after a wait.
    pub(crate) fn continue_with(
        &self,
        done: Done<C>,
        request: &mut impl RequestHead,
    ) -> Judgement<C> {
        let applied = &self.applied(request);
        match done {
            Done::Verdict(Ok(verdict), sent) => self.let_pass(request, verdict, sent, applied),
            Done::Verdict(Err(error), _) => Judgement::Refuse(self.refuse(error, applied)),
            Done::Lookups { result: Ok(()), headers, .. } => Judgement::Pass(headers),
            Done::Lookups { result: Err(error), hidden, .. } => {
                self.refuse_after_lookup(error, hidden)
            }
            #[cfg(feature = "http-client")]
            Done::User(Ok(user)) => self.pass_with(user, request),
            #[cfg(feature = "http-client")]
            Done::User(Err(error)) => self.refuse_after_lookup(error, applied.is_hidden()),
        }
    }

    /// Refuses a request because of a lookup of the API.
    pub(super) fn refuse_after_lookup(&self, error: Error, hidden: bool) -> Judgement<C> {
        let server = self.server.id();
        let refusal = Refusal::unmet(Unmet::of(error), server, None, hidden);
        Judgement::Refuse(refusal.told(&server.stream))
    }

    /// Evaluates the requirement, and stores the result in the request.
    #[inline]
    fn let_pass(
        &self,
        request: &mut impl RequestHead,
        verdict: Verdict<C>,
        sent: Sent,
        applied: &Applied<'_, C>,
    ) -> Judgement<C> {
        let token = AnyToken::from(verdict.token);
        let Sent { presented, placement } = sent;
        // Before the checks of the API read the request: they see what the handler sees.
        match placement {
            Some(Placement::Query) => hide_query_token(request),
            Some(Placement::Header) if self.server.strips_authorization() => {
                request.headers_mut().remove(AUTHORIZATION);
            }
            Some(Placement::WebSocket) => self.hide_websocket_token(request),
            Some(Placement::Header | Placement::Form | Placement::Alone) | None => {}
        }
        let lookups = match self.evaluate(&token, request.parts(), applied) {
            Ok(lookups) => lookups,
            Err(refusal) => return Judgement::Refuse(refusal),
        };
        let (server, generation) = (self.server.id().clone(), verdict.generation);
        let asked_now = applied.asks_now();
        let outcome =
            Authentication { server, generation, token: Some(token), presented, asked_now };
        request.extensions_mut().insert(outcome);
        pass_after(lookups, placement.map_or(ResponseHeaders::NONE, ResponseHeaders::of))
    }

    /// Moves the token from `Sec-WebSocket-Protocol` to the request's extensions. Handlers then cannot answer
    /// with it, but inner layers of this crate can use it.
    fn hide_websocket_token(&self, request: &mut impl RequestHead) {
        let Some(protocol) = self.server.websocket_protocol() else { return };
        let mut tokens = request.extensions_mut().remove::<WebSocketTokens>().unwrap_or_default();
        tokens.take_from(request.headers_mut(), protocol);
        request.extensions_mut().insert(tokens);
    }

    /// Evaluates the requirement. Returns the lookups to wait for.
    #[inline]
    fn evaluate(
        &self,
        token: &AnyToken,
        parts: Option<&Parts>,
        applied: &Applied<'_, C>,
    ) -> Result<Option<Box<Lookups>>, Refusal> {
        let server = self.server.id();
        applied.evaluate(token, parts, server).map_err(|refusal| refusal.told(&server.stream))
    }

    /// Decides with the result of an outer layer.
    fn finish(
        &self,
        prior: PriorResult,
        parts: Option<&Parts>,
        applied: &Applied<'_, C>,
    ) -> Judgement<C> {
        let PriorResult { token, presented, asked_now } = prior;
        let lookups = match self.evaluate(&token, parts, applied) {
            Ok(lookups) => lookups,
            Err(refusal) => return Judgement::Refuse(refusal),
        };
        // One introspection answer per request is enough, if the call began after the request arrived.
        if asked_now || !applied.asks_now() {
            return pass_after(lookups, ResponseHeaders::NONE);
        }
        match &presented {
            #[cfg(feature = "test-issuer")]
            Presented::Injected => pass_after(lookups, ResponseHeaders::NONE),
            // The new result replaces the prior one.
            Presented::Kept(presentation) => {
                self.repeat(Presentation::clone(presentation), applied)
            }
            Presented::Unkept => Judgement::Refuse(self.server.miswired(
                "`introspected_now` was added while a request was in progress: build the routes before \
                 they are served",
            )),
        }
    }

    /// The request passes without a token. The new result replaces that of an outer layer.
    fn pass_anonymous(&self, request: &mut impl RequestHead) -> Judgement<C> {
        let (server, generation) = (self.server.id().clone(), self.generation());
        let presented = Presented::Unkept;
        let outcome =
            Authentication { server, generation, token: None, presented, asked_now: false };
        request.extensions_mut().insert(outcome);
        Judgement::Pass(ResponseHeaders::NONE)
    }

    /// The result of an outer layer of the same server, if the configuration has not changed since.
    fn prior(&self, request: &impl RequestHead) -> Option<PriorResult> {
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

    /// The token of a request that an outer layer of the same server has authenticated, if the
    /// configuration has changed since and the outer layer has removed the token from the request.
    fn stripped(&self, request: &impl RequestHead) -> Option<Presentation<'static>> {
        let outcome = request.extensions().get::<Authentication>()?;
        match &outcome.presented {
            Presented::Kept(presentation)
                if outcome.server == *self.server.id() && self.server.strips_authorization() =>
            {
                Some(Presentation::clone(presentation))
            }
            _ => None,
        }
    }

    /// Repeats all steps under the current configuration.
    fn repeat(
        &self,
        presentation: Presentation<'static>,
        applied: &Applied<'_, C>,
    ) -> Judgement<C> {
        let presented = Presented::Kept(Arc::new(presentation.clone()));
        let authenticator = Arc::clone(self.server.authenticator());
        let verdict = match applied.asks_now() {
            true => Box::pin(authenticator.authenticate_now(presentation)) as BoxedFuture<_>,
            false => Box::pin(authenticator.authenticate(presentation)),
        };
        // The outer layer has removed the token from the request. An `Authorization` that is there now
        // is not the token's.
        let sent = Sent { presented, placement: None };
        Judgement::Wait(Waiting::Verdict { verdict, sent })
    }

    /// The result of the server's own layer, which must be around `require`.
    fn required(
        &self,
        request: &impl RequestHead,
        applied: &Applied<'_, C>,
    ) -> Result<PriorResult, Refusal> {
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
            None => Err(self.refuse(Error::MissingCredentials, applied)),
        }
    }

    fn generation(&self) -> u64 {
        self.server.authenticator().trust.load().generation
    }
}

/// The request passes if the lookups succeed.
#[inline]
fn pass_after<C>(lookups: Option<Box<Lookups>>, headers: ResponseHeaders) -> Judgement<C> {
    let Some(lookups) = lookups else { return Judgement::Pass(headers) };
    let Lookups { lookups, hidden } = *lookups;
    let lookups = Box::pin(lookup::all(lookups));
    Judgement::Wait(Waiting::Lookups { lookups, headers, hidden })
}

/// Moves the token from the URI to the request's extensions. Handlers and logs then do not see the
/// token, but inner layers of this crate can use it.
fn hide_query_token(request: &mut impl RequestHead) {
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
        Self { server: self.server.clone(), guard: self.guard.clone(), role: self.role.clone() }
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
