//! Decides whether a request passes. The decision uses the request's method, URI, header fields and
//! extensions. This module stores the result of the decision in the extensions. If the settings require it, this
//! module also removes the token from the request. It does not call the inner service.
//!
//! A lookup is asynchronous user-supplied code: an async check of a requirement, or the loader of user
//! records.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::authentication::{Authentication, ConfirmedKeys, Presented};
use crate::authenticator::{Settled, Verdict};
use crate::credentials::{
    self, Certificate, Head, PROOF_FIELD, Placement, Presentation, WebSocketTokens,
};
use crate::error::Error;
use crate::layer::guard::{Applied, Guard};
use crate::layer::head::RequestHead;
use crate::layer::waiting::{BoxedFuture, Done, Sent, Waiting};
use crate::lookup;
use crate::policy::{Lookups, Unmet};
use crate::rejection::Refusal;
use crate::scheme::Scheme;
use crate::server::{ResourceServer, ResponseHeaders, original_uri};
use crate::token::{AnyToken, Thumbprint};
use crate::trust::{Pending, Waited};
#[cfg(feature = "http-client")]
use crate::users::FindUser;

/// The data that one layer needs for its decisions. `guard` is `None` if the layer has no requirement in
/// addition to a valid token.
pub(crate) struct Gate<C, R> {
    server: ResourceServer<C, R>,
    guard: Option<Arc<Guard<C>>>,
    role: Role,
}

/// The kind of a layer.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Authenticates the request. If an outer layer of the same server has already authenticated the request with
    /// the same configuration, the result of the outer layer is used.
    Authenticate,
    /// Does the same as `Authenticate` for a request with a token. A request without credentials, or with
    /// credentials of a scheme that the server does not accept, passes as anonymous.
    AuthenticateIfPresent,
    /// Uses the result of an outer layer of the same server. Without this outer layer, the response is
    /// 500.
    Require,
    /// Loads the user record that the API's own loader returns for the token. Uses the result of an outer
    /// layer of the same server. Without this outer layer, the response is 500.
    #[cfg(feature = "http-client")]
    LoadUser(Arc<dyn FindUser>),
}

impl Role {
    /// Whether the layer itself reads the credentials and the client's certificate. The other layers use the
    /// result of such a layer.
    fn authenticates(&self) -> bool {
        matches!(self, Self::Authenticate | Self::AuthenticateIfPresent)
    }
}

/// The decision about a request.
pub(crate) enum Judgement<C> {
    /// The request passes. These headers are added to the response of the inner service.
    Pass(ResponseHeaders),
    /// The request is refused. The inner service is not called.
    Refuse(Refusal),
    /// The request must wait, because a result that the decision needs is not available yet.
    Wait(Waiting<C>),
}

/// The result of an outer layer of this server.
struct PriorResult {
    token: AnyToken,
    presented: Presented,
    confirmed_key: Option<Thumbprint>,
    /// `true` if both conditions are true: the crate introspected the token after the request arrived,
    /// and the configuration has not changed since then.
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

    /// Whether user-supplied code reads the head of the request. If so, the caller must separate the head
    /// from the body before the decision.
    pub(crate) fn reads_request(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.reads_request())
    }

    /// The requirement that applies to the request, in addition to a valid token.
    #[inline]
    fn applied(&self, request: &impl RequestHead) -> Applied<'_, C> {
        self.guard.as_ref().map_or(Applied::Nothing, |guard| guard.of(request))
    }

    /// Refuses a request whose token was not accepted, or that has no token. `scheme` is the scheme that the
    /// request used.
    fn refuse(&self, error: Error, applied: &Applied<'_, C>, scheme: Scheme) -> Refusal {
        let challenges = applied.challenges().unwrap_or(self.server.challenges());
        self.server.refusal(error, challenges, scheme)
    }
}

impl<C: Send + Sync + 'static, R> Gate<C, R> {
    /// Decides about a request without waiting.
    pub(crate) fn judge(&self, request: &mut impl RequestHead) -> Judgement<C> {
        let certificates = self.server.certificates();
        let certificate = match self.role.authenticates() {
            true => certificates.find(request.headers(), request.extensions()),
            false => Ok(Certificate::Absent),
        };
        if certificates.hides() {
            request.hide_with(|headers, extensions| certificates.hide(headers, extensions));
        }
        if self.guard.as_ref().is_some_and(|guard| guard.lets_preflight_pass(request)) {
            if self.server.strips_authorization() {
                request.headers_mut().remove(AUTHORIZATION);
                request.headers_mut().remove(PROOF_FIELD);
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
        // If an outer layer of the same server has already authenticated the request, use the result of
        // the outer layer.
        if let Some(prior) = self.prior(request) {
            return self.finish(prior, request.parts(), applied);
        }
        if let Some(stripped) = self.stripped(request) {
            return self.repeat(stripped, applied);
        }
        let refuse = |error| {
            let scheme = self.server.used_scheme(request.headers());
            Judgement::Refuse(self.refuse(error, applied, scheme))
        };
        let certificate = match certificate {
            Ok(certificate) => certificate,
            Err(error) => return refuse(error),
        };
        let head = Head {
            method: request.method(),
            uri: request.uri(),
            original_uri: original_uri(request.extensions()),
            headers: request.headers(),
        };
        let presentation = match self.server.credentials(head, request.extensions(), certificate) {
            Ok(presentation) => presentation,
            Err(Error::MissingCredentials | Error::UnsupportedScheme)
                if matches!(self.role, Role::AuthenticateIfPresent) =>
            {
                return self.pass_anonymous(request);
            }
            Err(error) => return refuse(error),
        };
        let presentation = presentation.confirmed_by(self.confirmed_key(request));
        let (placement, scheme) = (Some(presentation.placement), presentation.scheme);
        let headers = ResponseHeaders::of(&presentation);
        let presented = match self.server.keeps_tokens() {
            true => Presented::Kept(Arc::new(presentation.clone().into_owned())),
            false => Presented::Unkept,
        };
        let authenticator = self.server.authenticator();
        let waited = Waited { asks_now: applied.asks_now(), ..Waited::default() };
        match authenticator.judge(&presentation, &waited) {
            Ok(verdict) => {
                let sent = Sent { presented, scheme, placement, headers };
                match authenticator.use_up(verdict) {
                    Settled::Now(Ok(verdict)) => self.let_pass(request, verdict, sent, applied),
                    Settled::Now(Err(error)) => {
                        Judgement::Refuse(self.refuse(error, applied, scheme))
                    }
                    #[cfg(feature = "dpop")]
                    Settled::Later(verdict) => Judgement::Wait(Waiting::Verdict { verdict, sent }),
                }
            }
            Err(Pending::Refused(error)) => Judgement::Refuse(self.refuse(error, applied, scheme)),
            Err(pending) => {
                let presentation = presentation.into_owned();
                let verdict = Arc::clone(authenticator).resume(presentation, pending, waited);
                let sent = Sent { presented, scheme, placement, headers };
                Judgement::Wait(Waiting::Verdict { verdict: Box::pin(verdict), sent })
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
            Done::Verdict(Err(error), sent) => {
                Judgement::Refuse(self.refuse(error, applied, sent.scheme))
            }
            Done::Lookups { result: Ok(()), headers, .. } => Judgement::Pass(headers),
            Done::Lookups { result: Err(error), hidden, .. } => {
                self.refuse_after_lookup(error, hidden, request)
            }
            #[cfg(feature = "http-client")]
            Done::User(Ok(user)) => self.pass_with(user, request),
            #[cfg(feature = "http-client")]
            Done::User(Err(error)) => self.refuse_after_lookup(error, false, request),
        }
    }

    /// Refuses a request because a lookup refused it, or because a lookup failed.
    pub(super) fn refuse_after_lookup(
        &self,
        error: Error,
        hidden: bool,
        request: &impl RequestHead,
    ) -> Judgement<C> {
        let server = self.server.id();
        let scheme = scheme_of_token(request);
        let refusal = Refusal::unmet(Unmet::of(error), server, scheme, None, hidden);
        Judgement::Refuse(refusal.told(&server.stream))
    }

    /// Evaluates the requirement for a validated token. If the token meets the requirement, stores the
    /// token in the request.
    #[inline]
    fn let_pass(
        &self,
        request: &mut impl RequestHead,
        verdict: Verdict<C>,
        sent: Sent,
        applied: &Applied<'_, C>,
    ) -> Judgement<C> {
        let Verdict { token, generation, proven } = verdict;
        let token = AnyToken::from(token);
        let Sent { presented, placement, headers, .. } = sent;
        let mut headers = headers.about(token.facts());
        if let Some(proven) = proven {
            let keys = request.extensions_mut().get_or_insert_default::<ConfirmedKeys>();
            keys.note(self.server.id(), *proven.key());
            let fresh = proven.wants_nonce().then(|| self.server.id().make_nonce());
            headers = headers.with_nonce(fresh.flatten());
        }
        // Remove the token before user-supplied checks read the request, so that the checks see the same
        // request as the handler.
        match placement {
            Some(Placement::Query) => hide_query_token(request),
            Some(Placement::Header) if self.server.strips_authorization() => {
                request.headers_mut().remove(AUTHORIZATION);
                request.headers_mut().remove(PROOF_FIELD);
            }
            Some(Placement::WebSocket) => self.hide_websocket_token(request),
            Some(Placement::Header | Placement::Form | Placement::Alone) | None => {}
        }
        let lookups = match self.evaluate(&token, request.parts(), applied) {
            Ok(lookups) => lookups,
            Err(refusal) => return Judgement::Refuse(refusal),
        };
        let server = self.server.id().clone();
        let asked_now = applied.asks_now();
        let token = Some(token);
        let outcome = Authentication { server, generation, token, presented, asked_now };
        request.extensions_mut().insert(outcome);
        pass_after(lookups, headers)
    }

    /// Moves the token from `Sec-WebSocket-Protocol` to the request's extensions. This field is a list of subprotocols,
    /// and the token is one of its entries. A handler chooses one entry for its response. After the move, a handler
    /// cannot choose the token by mistake. Inner layers of this crate can still use the token.
    fn hide_websocket_token(&self, request: &mut impl RequestHead) {
        let Some(protocol) = self.server.websocket_protocol() else { return };
        let mut tokens = request.extensions_mut().remove::<WebSocketTokens>().unwrap_or_default();
        tokens.take_from(request.headers_mut(), protocol);
        request.extensions_mut().insert(tokens);
    }

    /// Evaluates the requirement. Returns the lookups that the request must wait for.
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

    /// Decides about a request that an outer layer has authenticated.
    fn finish(
        &self,
        prior: PriorResult,
        parts: Option<&Parts>,
        applied: &Applied<'_, C>,
    ) -> Judgement<C> {
        let PriorResult { token, presented, asked_now, confirmed_key } = prior;
        let lookups = match self.evaluate(&token, parts, applied) {
            Ok(lookups) => lookups,
            Err(refusal) => return Judgement::Refuse(refusal),
        };
        // One introspection answer per request is enough, if the introspection call began after the request arrived.
        if asked_now || !applied.asks_now() {
            return pass_after(lookups, ResponseHeaders::NONE);
        }
        match &presented {
            #[cfg(feature = "test-issuer")]
            Presented::Injected => pass_after(lookups, ResponseHeaders::NONE),
            // The new result replaces the result of the outer layer.
            Presented::Kept(presentation) => {
                let presentation = Presentation::clone(presentation).confirmed_by(confirmed_key);
                self.repeat(presentation, applied)
            }
            Presented::Unkept => Judgement::Refuse(self.server.miswired(
                "`introspected_now` was added while a request was in progress: build the routes before \
                 they are served",
            )),
        }
    }

    /// Lets the request pass without a token. Stores the result "anonymous" in the request. This result replaces
    /// the result of an outer layer, if there is one.
    fn pass_anonymous(&self, request: &mut impl RequestHead) -> Judgement<C> {
        let (server, generation) = (self.server.id().clone(), self.generation());
        let presented = Presented::Unkept;
        let (token, asked_now) = (None, false);
        let outcome = Authentication { server, generation, token, presented, asked_now };
        request.extensions_mut().insert(outcome);
        Judgement::Pass(ResponseHeaders::NONE)
    }

    /// Returns the result of the nearest outer layer. Returns `None` if there is no outer layer, if the outer layer
    /// belongs to another server, if the request is anonymous, or if the configuration was reloaded after the outer
    /// layer ran.
    fn prior(&self, request: &impl RequestHead) -> Option<PriorResult> {
        let outcome = request.extensions().get::<Authentication>()?;
        if outcome.server != *self.server.id() || outcome.generation != self.generation() {
            return None;
        }
        Some(PriorResult {
            token: outcome.token.clone()?,
            presented: outcome.presented.clone(),
            asked_now: outcome.asked_now,
            confirmed_key: self.confirmed_key(request),
        })
    }

    /// An outer layer of the same server may already have accepted the proof of this request. Returns the key of that
    /// proof. The proof is already stored as used, so a second check would refuse it.
    fn confirmed_key(&self, request: &impl RequestHead) -> Option<Thumbprint> {
        ConfirmedKeys::of(request.extensions(), self.server.id())
    }

    /// Returns the token that the nearest outer layer has removed from the request (`strip_authorization`). If a
    /// reload has changed the configuration after the outer layer ran, this layer must validate the token again.
    fn stripped(&self, request: &impl RequestHead) -> Option<Presentation<'static>> {
        let outcome = request.extensions().get::<Authentication>()?;
        match &outcome.presented {
            Presented::Kept(presentation)
                if outcome.server == *self.server.id() && self.server.strips_authorization() =>
            {
                Some(Presentation::clone(presentation).confirmed_by(self.confirmed_key(request)))
            }
            _ => None,
        }
    }

    /// Validates the token again, under the current configuration. If the requirement has `introspected_now`, no
    /// cached introspection answer is used.
    fn repeat(
        &self,
        presentation: Presentation<'static>,
        applied: &Applied<'_, C>,
    ) -> Judgement<C> {
        let scheme = presentation.scheme;
        let presented = Presented::Kept(Arc::new(presentation.clone()));
        let authenticator = Arc::clone(self.server.authenticator());
        let verdict = match applied.asks_now() {
            true => Box::pin(authenticator.authenticate_now(presentation)) as BoxedFuture<_>,
            false => Box::pin(authenticator.authenticate(presentation)),
        };
        // If the token must be removed from the request, the outer layer has already removed it. So this
        // layer removes nothing (`placement: None`).
        let headers = ResponseHeaders::NONE;
        let sent = Sent { presented, scheme, placement: None, headers };
        Judgement::Wait(Waiting::Verdict { verdict, sent })
    }

    /// Returns the result of the outer layer that has authenticated the request. `require` needs such a layer of
    /// the same server around it.
    ///
    /// # Errors
    /// Returns the refusal if there is no such layer, or if the request is anonymous.
    fn required(
        &self,
        request: &impl RequestHead,
        applied: &Applied<'_, C>,
    ) -> Result<PriorResult, Refusal> {
        let Some(outcome) = request.extensions().get::<Authentication>() else {
            return Err(self.server.miswired(
                "`require` has no layer of its server around it: put `.layer(api.layer())` after \
                 the routes, or use `api.protect(..)`",
            ));
        };
        if outcome.server != *self.server.id() {
            return Err(self.server.miswired(
                "`require` is inside the layer of another server: call `require` on the server whose \
                 layer is around this route",
            ));
        }
        match &outcome.token {
            Some(token) => Ok(PriorResult {
                token: token.clone(),
                presented: outcome.presented.clone(),
                asked_now: outcome.asked_now && outcome.generation == self.generation(),
                confirmed_key: self.confirmed_key(request),
            }),
            None => Err(self.refuse(Error::MissingCredentials, applied, Scheme::Bearer)),
        }
    }

    fn generation(&self) -> u64 {
        self.server.authenticator().trust.load().generation
    }
}

/// Without lookups, the request passes at once. Otherwise, the request waits for the lookups, and passes if all
/// lookups succeed.
#[inline]
fn pass_after<C>(lookups: Option<Box<Lookups>>, headers: ResponseHeaders) -> Judgement<C> {
    let Some(lookups) = lookups else { return Judgement::Pass(headers) };
    let Lookups { lookups, hidden } = *lookups;
    let lookups = Box::pin(lookup::all(lookups));
    Judgement::Wait(Waiting::Lookups { lookups, headers, hidden })
}

/// The scheme of the token that a layer has accepted for this request. Without such a token, it is `Bearer`.
pub(super) fn scheme_of_token(request: &impl RequestHead) -> Scheme {
    let outcome = request.extensions().get::<Authentication>();
    let token = outcome.and_then(|outcome| outcome.token.as_ref());
    token.map_or(Scheme::Bearer, |token| token.facts().scheme())
}

/// Moves the token from the URI to the request's extensions. Handlers and the logs of inner layers then do not
/// show the token, but inner layers of this crate can use it.
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
