//! The service that reads the messages in the body, if the policy depends on them, and checks that the token meets the
//! requirements of the policy. The token is already validated when the request reaches this service.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::layer::gate::{Gate, Judgement, Role, scheme_of_token};
use crate::layer::guard::Guard;
use crate::layer::mcp::body::McpBody;
use crate::layer::mcp::fault::{Fault, check_encoding};
use crate::layer::mcp::prepared::Prepared;
use crate::layer::mcp::read::read;
use crate::layer::mcp::step_up::ToolRefusal;
use crate::lookup::{self, LOOKUPS_DEADLINE};
use crate::rejection::{Refusal, RefusalBody};
use crate::runtime;
use crate::scheme::Scheme;
use crate::server::ResourceServer;
use crate::token::AccessToken;

/// Reads the messages in the body, if the policy depends on them, and checks that the token meets the requirements of
/// the policy. This service is inside the layer that validates the token.
pub struct McpMessages<S, C, R> {
    inner: S,
    server: ResourceServer<C, R>,
    prepared: Arc<Prepared<C>>,
}

/// A boxed future, because the type of an `async` block has no name. Every request needs the box, even if no body is
/// read. The box costs little. If a body is read, the box costs much less time than the wait until the client has sent the
/// body.
pub(super) type BoxedResponse<B, E> =
    Pin<Box<dyn Future<Output = Result<Response<McpBody<B>>, E>> + Send>>;

impl<S, C, R> McpMessages<S, C, R> {
    pub(super) fn new(inner: S, server: ResourceServer<C, R>, prepared: Arc<Prepared<C>>) -> Self {
        Self { inner, server, prepared }
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for McpMessages<S, C, R>
where
    S: Service<Request<McpBody<ReqBody>>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    C: Send + Sync + 'static,
    R: RefusalBody<McpBody<ResBody>>,
    ReqBody: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<McpBody<ResBody>>;
    type Error = S::Error;
    type Future = BoxedResponse<ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // Drop the ready service: it may hold a concurrency permit, and other requests need the permit while
        // a slow client sends its body. Keep unpolled clones.
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
        let mut inner = self.inner.clone();
        let (server, prepared) = (self.server.clone(), Arc::clone(&self.prepared));
        let slot = ToolRefusal::default();
        request.extensions_mut().insert(slot.clone());
        let scheme = scheme_of_token(&request);
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let refused = |fault| Ok(refuse(fault, &server, scheme));
            let (guards, body) = if prepared.reads_messages() && !body.is_end_stream() {
                let (data, trailers) = match read(body).await {
                    Ok(read) => read,
                    Err(error) => return refused(Fault::of(error)),
                };
                let guards = match data.is_empty() {
                    true => Ok(vec![Arc::clone(&prepared.base)]),
                    false => check_encoding(&head.headers)
                        .and_then(|()| prepared.guards(&head.headers, &data)),
                };
                match guards {
                    Ok(guards) => (guards, McpBody::read(data, trailers)),
                    Err(fault) => return refused(fault),
                }
            } else {
                (vec![Arc::clone(&prepared.base)], McpBody::own(body))
            };
            let deadline = server.authenticator().longest_wait() + LOOKUPS_DEADLINE;
            let judged = runtime::within(deadline, judge(guards, &mut head, &server)).await;
            match judged {
                Some(Ok(())) => {}
                Some(Err(refusal)) => return Ok(refusal.into_response_with(server.body())),
                None => return refused(Fault::of(lookup::unavailable("the checks took too long"))),
            }
            let token = AccessToken::<C>::from_extensions(&head.extensions);
            let request = Request::from_parts(head, body);
            poll_fn(|cx| inner.poll_ready(cx)).await?;
            Ok(respond(inner.call(request).await?, &slot, &server, token))
        })
    }
}

/// Evaluates the requirements of all guards. The token must meet each of them. The caller sets one deadline for all
/// guards, because each guard may wait for introspection and async checks.
async fn judge<C: Send + Sync + 'static, R>(
    guards: Vec<Arc<Guard<C>>>,
    head: &mut Parts,
    server: &ResourceServer<C, R>,
) -> Result<(), Refusal> {
    for guard in guards {
        let gate = Gate::new(server.clone(), Some(guard), Role::Require);
        let mut judgement = gate.judge(head);
        loop {
            match judgement {
                Judgement::Pass(_) => break,
                Judgement::Refuse(refusal) => return Err(refusal),
                Judgement::Wait(mut waiting) => {
                    let done = poll_fn(|cx| waiting.poll_done(cx)).await;
                    judgement = gate.continue_with(done, head);
                }
            }
        }
    }
    Ok(())
}

/// Returns the response of the inner service, or the refusal that a tool has set with `respond_instead`. If the
/// response is a stream of events, the stream ends when the token expires.
fn respond<C, R, B>(
    response: Response<B>,
    slot: &ToolRefusal,
    server: &ResourceServer<C, R>,
    token: Option<AccessToken<C>>,
) -> Response<McpBody<B>>
where
    R: RefusalBody<McpBody<B>>,
{
    if let Some(refusal) = slot.close() {
        return refusal.into_response_with(server.body());
    }
    match token {
        Some(token) if is_event_stream(response.headers()) => {
            response.map(|body| McpBody::until(body, token.expired()))
        }
        _ => response.map(McpBody::own),
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

fn refuse<C, R, B>(
    fault: Fault,
    server: &ResourceServer<C, R>,
    scheme: Scheme,
) -> Response<McpBody<B>>
where
    R: RefusalBody<McpBody<B>>,
{
    let Fault { error, json_rpc } = fault;
    let refusal = server.refusal(error, server.without_scope(), scheme);
    let Some((code, message, id)) = json_rpc else {
        return refusal.into_response_with(server.body());
    };
    let id = id.as_deref().unwrap_or("null");
    let text =
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#);
    let json = HeaderValue::from_static("application/json");
    refusal.into_response_with(&move |_: &Refusal| {
        (Some(json.clone()), McpBody::from(Bytes::from(text.clone())))
    })
}

impl<S: Clone, C, R> Clone for McpMessages<S, C, R> {
    fn clone(&self) -> Self {
        let (server, prepared) = (self.server.clone(), Arc::clone(&self.prepared));
        Self { inner: self.inner.clone(), server, prepared }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for McpMessages<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpMessages").field("inner", &self.inner).finish_non_exhaustive()
    }
}
