//! The service that the MCP layer creates. It checks the origin, then the token, then the messages.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::layer::future::ResponseFuture;
use crate::layer::gate::{Gate, Role};
use crate::layer::mcp::body::McpBody;
use crate::layer::mcp::messages::McpMessages;
use crate::layer::mcp::prepared::Prepared;
use crate::layer::service::ResourceServerService;
use crate::rejection::{EmptyBody, RefusalBody};
use crate::server::ResourceServer;
use crate::token::Claims;

/// A protected MCP server. [`McpLayer`](crate::layer::McpLayer) creates it.
pub struct McpService<S, C = Claims, R = EmptyBody> {
    authenticated: ResourceServerService<McpMessages<S, C, R>, C, R>,
    server: ResourceServer<C, R>,
    prepared: Arc<Prepared<C>>,
}

impl<S, C, R> McpService<S, C, R> {
    pub(super) fn new(inner: S, server: ResourceServer<C, R>, prepared: Arc<Prepared<C>>) -> Self {
        let messages = McpMessages::new(inner, server.clone(), Arc::clone(&prepared));
        let guard = Some(Arc::clone(&prepared.authenticated));
        let gate = Gate::new(server.clone(), guard, Role::Authenticate);
        Self { authenticated: ResourceServerService::new(messages, gate), server, prepared }
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for McpService<S, C, R>
where
    S: Service<Request<McpBody<ReqBody>>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    C: Send + Sync + 'static,
    R: RefusalBody<McpBody<ResBody>>,
    ReqBody: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<McpBody<ResBody>>;
    type Error = S::Error;
    type Future = McpFuture<S, C, R, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.authenticated.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let scheme = self.server.used_scheme(request.headers());
        let state = match self.prepared.origins.check(request.headers()) {
            Ok(()) => State::Authenticated { future: self.authenticated.call(request) },
            Err(error) => {
                self.authenticated.give_back();
                let refusal = self.server.refusal(error, self.server.without_scope(), scheme);
                State::Refused { response: Some(refusal.into_response_with(self.server.body())) }
            }
        };
        McpFuture { state }
    }
}

pin_project! {
    /// The future of an [`McpService`].
    pub struct McpFuture<S, C, R, ReqBody, ResBody>
    where
        S: Service<Request<McpBody<ReqBody>>, Response = Response<ResBody>>,
        McpMessages<S, C, R>: Service<Request<ReqBody>, Response = Response<McpBody<ResBody>>>,
    {
        #[pin]
        state: State<S, C, R, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, C, R, ReqBody, ResBody>
    where
        S: Service<Request<McpBody<ReqBody>>, Response = Response<ResBody>>,
        McpMessages<S, C, R>: Service<Request<ReqBody>, Response = Response<McpBody<ResBody>>>,
    {
        Authenticated {
            #[pin]
            future: ResponseFuture<McpMessages<S, C, R>, C, R, ReqBody>,
        },
        Refused {
            response: Option<Response<McpBody<ResBody>>>,
        },
    }
}

impl<S, C, R, ReqBody, ResBody> Future for McpFuture<S, C, R, ReqBody, ResBody>
where
    S: Service<Request<McpBody<ReqBody>>, Response = Response<ResBody>>,
    McpMessages<S, C, R>:
        Service<Request<ReqBody>, Response = Response<McpBody<ResBody>>, Error = S::Error>,
    C: Send + Sync + 'static,
    R: RefusalBody<McpBody<ResBody>>,
{
    type Output = Result<Response<McpBody<ResBody>>, S::Error>;

    #[allow(clippy::expect_used, reason = "a future is not polled after it was ready")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Authenticated { future } => future.poll(cx),
            StateProj::Refused { response } => {
                Poll::Ready(Ok(response.take().expect("polled after completion")))
            }
        }
    }
}

impl<S: Clone, C, R> Clone for McpService<S, C, R> {
    fn clone(&self) -> Self {
        let (server, prepared) = (self.server.clone(), Arc::clone(&self.prepared));
        Self { authenticated: self.authenticated.clone(), server, prepared }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for McpService<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpService")
            .field("authenticated", &self.authenticated)
            .finish_non_exhaustive()
    }
}
