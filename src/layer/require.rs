//! Authorization for a route, by what the layer outside concluded.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::Error;
use crate::layer::gate::Guard;
use crate::rejection::{EmptyBody, Refusal, RefusalBody};
use crate::server::ResourceServer;
use crate::token::{Claims, Outcome};

/// Guards a route; from [`ResourceServer::require`](crate::ResourceServer::require).
pub struct RequireLayer<C = Claims, R = EmptyBody> {
    server: ResourceServer<C, R>,
    guard: Arc<Guard>,
}

/// A guarded route.
pub struct RequireService<S, C = Claims, R = EmptyBody> {
    inner: S,
    server: ResourceServer<C, R>,
    guard: Arc<Guard>,
}

impl<C, R> RequireLayer<C, R> {
    pub(crate) fn new(server: ResourceServer<C, R>, guard: Arc<Guard>) -> Self {
        Self { server, guard }
    }
}

impl<S, C, R> RequireService<S, C, R> {
    fn judge(&self, extensions: &Extensions) -> Result<(), Refusal> {
        let Some(outcome) = extensions.get::<Outcome>() else {
            return Err(Refusal::wiring(
                "`require` without its server's layer around it: put `.layer(api.layer())` after \
                 the routes, or use `api.protect(..)`",
            ));
        };
        if outcome.server != *self.server.id() {
            return Err(Refusal::wiring(
                "`require` behind the layer of another server: use the server whose layer is \
                 around this route",
            ));
        }
        let judged = match &outcome.token {
            None => Err(Error::MissingCredentials),
            Some(token) => self.guard.requirement.evaluate(token),
        };
        judged.map_err(|error| Refusal::new(error, &self.guard.challenges))
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for RequireService<S, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    R: RefusalBody<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = RequireFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match self.judge(request.extensions()) {
            Ok(()) => RequireFuture { state: State::Inner { future: self.inner.call(request) } },
            Err(refusal) => {
                // As in `ResourceServerService`: the ready one may hold a permit.
                let clone = self.inner.clone();
                drop(mem::replace(&mut self.inner, clone));
                let response = refusal.into_response_with(self.server.body());
                RequireFuture { state: State::Refused { response: Some(response) } }
            }
        }
    }
}

pin_project! {
    /// The future of a [`RequireService`].
    pub struct RequireFuture<F, ResBody> {
        #[pin]
        state: State<F, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, ResBody> {
        Inner { #[pin] future: F },
        Refused { response: Option<Response<ResBody>> },
    }
}

impl<F, ResBody, E> Future for RequireFuture<F, ResBody>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = F::Output;

    #[allow(clippy::expect_used, reason = "a future is not polled after it was ready")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().state.project() {
            StateProj::Inner { future } => future.poll(cx),
            StateProj::Refused { response } => {
                Poll::Ready(Ok(response.take().expect("polled after completion")))
            }
        }
    }
}

impl<S, C, R> Layer<S> for RequireLayer<C, R> {
    type Service = RequireService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService { inner, server: self.server.clone(), guard: Arc::clone(&self.guard) }
    }
}

impl<C, R> Clone for RequireLayer<C, R> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), guard: Arc::clone(&self.guard) }
    }
}

impl<S: Clone, C, R> Clone for RequireService<S, C, R> {
    fn clone(&self) -> Self {
        let (server, guard) = (self.server.clone(), Arc::clone(&self.guard));
        Self { inner: self.inner.clone(), server, guard }
    }
}

impl<C, R> fmt::Debug for RequireLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireLayer").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for RequireService<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireService")
            .field("inner", &self.inner)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
