//! The future of a protected service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::credentials::{QueryToken, WebSocketTokens};
use crate::layer::gate::{Gate, Judgement};
use crate::layer::waiting::{Done, Waiting};
use crate::rejection::{HandedOn, RefusalBody};
use crate::server::{ResourceServer, ResponseHeaders};

pin_project! {
    /// The future of a [`ResourceServerService`](crate::layer::ResourceServerService). Its output is
    /// the response of the inner service, or the response to a refused request.
    pub struct ResponseFuture<S, C, R, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, C, R, ReqBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, C, R, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Inner {
            #[pin]
            future: S::Future,
            headers: ResponseHeaders,
            server: ResourceServer<C, R>,
        },
        Refused {
            response: Option<S::Response>,
        },
        Waiting {
            waiting: Waiting<C>,
            held: Option<Box<Held<S, C, R, ReqBody>>>,
        },
        // The request passed all checks, and waits until the inner service is ready.
        Readying {
            headers: ResponseHeaders,
            held: Option<Box<Held<S, C, R, ReqBody>>>,
        },
    }
}

/// A request that waits, and the inner service that will handle the request.
struct Held<S, C, R, ReqBody> {
    /// A clone. `poll_ready` is called on it only after the wait: a ready service may hold a concurrency
    /// permit, and other requests need the permit while this request waits.
    service: S,
    request: Request<ReqBody>,
    gate: Gate<C, R>,
}

impl<S, C: Send + Sync + 'static, R, ReqBody> Held<S, C, R, ReqBody> {
    /// Continues the decision after a wait.
    fn judge(mut self: Box<Self>, done: Done<C>) -> (Judgement<C>, Box<Self>) {
        if !self.gate.reads_request() {
            let judgement = self.gate.continue_with(done, &mut self.request);
            return (judgement, self);
        }
        let Self { service, request, gate } = *self;
        let (mut head, body) = request.into_parts();
        let judgement = gate.continue_with(done, &mut head);
        let request = Request::from_parts(head, body);
        (judgement, Box::new(Self { service, request, gate }))
    }
}

impl<S, C, R, ReqBody> ResponseFuture<S, C, R, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(crate) fn inner(
        future: S::Future,
        headers: ResponseHeaders,
        server: ResourceServer<C, R>,
    ) -> Self {
        Self { state: State::Inner { future, headers, server } }
    }

    pub(crate) fn refused(response: S::Response) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    pub(crate) fn waiting(
        service: S,
        request: Request<ReqBody>,
        waiting: Waiting<C>,
        gate: Gate<C, R>,
    ) -> Self {
        let held = Some(Box::new(Held { service, request, gate }));
        Self { state: State::Waiting { waiting, held } }
    }
}

impl<S, C, R, ReqBody, ResBody> Future for ResponseFuture<S, C, R, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    C: Send + Sync + 'static,
    R: RefusalBody<ResBody>,
{
    type Output = Result<S::Response, S::Error>;

    #[allow(clippy::expect_used, reason = "a future is not polled after it was ready")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Inner { future, headers, server } => {
                    let mut response = ready!(future.poll(cx))?;
                    HandedOn::shape(&mut response, server.body());
                    if headers.are_needed() {
                        // A handler may have copied all extensions of the request into the response.
                        // Remove the token that came in the query or in a WebSocket subprotocol.
                        response.extensions_mut().remove::<QueryToken>();
                        response.extensions_mut().remove::<WebSocketTokens>();
                        let is_success = response.status().is_success();
                        headers.add_to(response.headers_mut(), is_success);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProj::Refused { response } => {
                    let response = response.take().expect("polled after completion");
                    return Poll::Ready(Ok(response));
                }
                StateProj::Waiting { waiting, held } => {
                    let done = ready!(waiting.poll_done(cx));
                    let held = held.take().expect("polled after completion");
                    let (judgement, held) = held.judge(done);
                    state.set(match judgement {
                        Judgement::Pass(headers) => State::Readying { headers, held: Some(held) },
                        Judgement::Wait(waiting) => State::Waiting { waiting, held: Some(held) },
                        Judgement::Refuse(refusal) => State::Refused {
                            response: Some(refusal.into_response_with(held.gate.server().body())),
                        },
                    });
                }
                StateProj::Readying { headers, held } => {
                    let ready = held.as_mut().expect("polled after completion");
                    // Tower's contract: `poll_ready` must return ready on this instance before `call`.
                    ready!(ready.service.poll_ready(cx))?;
                    let headers = headers.clone();
                    let held = held.take().expect("it was just there");
                    let Held { mut service, request, gate } = *held;
                    let future = service.call(request);
                    let server = gate.server().clone();
                    state.set(State::Inner { future, headers, server });
                }
            }
        }
    }
}

#[cfg(all(test, feature = "test-issuer"))]
mod tests {
    use std::convert::Infallible;

    use tower::{Layer as _, ServiceExt as _, service_fn};

    use super::*;
    use crate::test_issuer::TestIssuer;
    use crate::{Issuer, ResourceServer};

    /// A handler that copies the extensions of its request into the response.
    #[tokio::test]
    async fn no_token_leaves_in_the_extensions_of_a_response() {
        let issuer = TestIssuer::in_process("https://as.example.com");
        let server = ResourceServer::builder()
            .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
            .audience("https://api.example.com")
            .query_token()
            .websocket_token("api")
            .build()
            .unwrap();
        let copies = service_fn(|request: Request<()>| async move {
            let extensions = request.extensions();
            let seen = (
                extensions.get::<QueryToken>().is_some(),
                extensions.get::<WebSocketTokens>().is_some(),
            );
            let mut response = Response::new(String::new());
            *response.extensions_mut() = request.into_parts().0.extensions;
            response.extensions_mut().insert(seen);
            Ok::<_, Infallible>(response)
        });
        let token = issuer.token().sign();
        let encoded =
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &token);
        let query = Request::get(format!("/?access_token={token}")).body(()).unwrap();
        let handshake = Request::get("/")
            .header("upgrade", "websocket")
            .header(
                "sec-websocket-protocol",
                format!("base64url.bearer.authorization.api.{encoded}, chat"),
            )
            .body(())
            .unwrap();
        for (request, expected) in [(query, (true, false)), (handshake, (false, true))] {
            let response = server.layer().layer(copies).oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let extensions = response.extensions();
            assert_eq!(extensions.get(), Some(&expected), "the handler has it");
            assert!(extensions.get::<QueryToken>().is_none());
            assert!(extensions.get::<WebSocketTokens>().is_none());
        }
    }
}
