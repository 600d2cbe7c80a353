//! Tokens in form bodies (RFC 6750 §2.2). The form layer finds the token. `ResourceServer::layer`
//! validates the token. Put the form layer outside `ResourceServer::layer`.
//!
//! The form layer reads a body only if both conditions are true:
//!
//! - the method is POST, PUT or PATCH: for these methods, HTTP defines what a body means;
//! - there is exactly one `Content-Type` field, and its media type is
//!   `application/x-www-form-urlencoded`.
//!
//! The form layer buffers the body, up to a limit. A larger body is refused with 413, and a body that
//! cannot be read to its end is refused with 400. If the body is ASCII and has a parameter
//! `access_token`, the form layer stores the token in the request's extensions. If the parameter is
//! repeated, `ResourceServer::layer` refuses the request. The inner service gets a body with the same
//! bytes.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::authentication::FormTokens;
use crate::credentials::{ACCESS_TOKEN, FormToken};
use crate::error::Error;
use crate::rejection::{EmptyBody, RefusalBody};
use crate::server::ResourceServer;
use crate::token::Claims;

/// Finds tokens in form bodies.
/// [`ResourceServer::form_token_layer`](crate::ResourceServer::form_token_layer) creates this layer.
pub struct FormTokenLayer<C = Claims, R = EmptyBody> {
    server: ResourceServer<C, R>,
    limit: usize,
}

/// A service that finds tokens in form bodies.
pub struct FormTokenService<S, C = Claims, R = EmptyBody> {
    inner: S,
    server: ResourceServer<C, R>,
    limit: usize,
}

impl<C, R> ResourceServer<C, R> {
    /// Creates a layer that finds tokens in form bodies (RFC 6750 §2.2), so that they are accepted, too. Put
    /// this layer outside [`layer`](Self::layer), which validates the token. This layer buffers the body of a
    /// form request (POST, PUT or PATCH), up to `limit` bytes, and passes the same bytes to the inner service.
    /// A larger body gets 413. A body that cannot be read to its end gets 400. If
    /// [`fapi2`](crate::builder::Builder::fapi2) is set, a token in a form is ignored.
    ///
    /// The body is read before the client is authenticated, so any client can make this layer wait. Put
    /// timeouts, and limits such as a `ConcurrencyLimit`, outside this layer.
    ///
    /// The body type must implement `From<Bytes>`, as axum's `Body` does. For hyper's `Incoming`, add a layer
    /// that converts the body. If this layer reads a body, the trailers of that body (RFC 9110 §6.5) are
    /// dropped. If this layer does not read a body, the trailers are kept.
    pub fn form_token_layer(&self, limit: usize) -> FormTokenLayer<C, R> {
        FormTokenLayer::new(self.clone(), limit)
    }
}

impl<C, R> FormTokenLayer<C, R> {
    pub(crate) fn new(server: ResourceServer<C, R>, limit: usize) -> Self {
        Self { server, limit }
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for FormTokenService<S, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Body + From<Bytes>,
    R: RefusalBody<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = FormTokenFuture<S, C, R, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        if !has_form(request.method(), request.headers()) {
            return FormTokenFuture { state: State::Inner { future: self.inner.call(request) } };
        }
        // Drop the ready service: it may hold a concurrency permit, and other requests need the permit
        // while a slow client sends its body. Keep two unpolled clones: one for later requests, and one for
        // this request.
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
        let service = self.inner.clone();
        let (parts, body) = request.into_parts();
        let held = Some(Held { service, parts, server: self.server.clone() });
        let limit = self.limit;
        FormTokenFuture { state: State::Reading { body, read: BytesMut::new(), limit, held } }
    }
}

fn has_form(method: &Method, headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return false;
    };
    // Parameters such as `charset` are ignored: the body must be ASCII, and ASCII needs no `charset`.
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
        && essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn find_token(body: &[u8]) -> Option<FormToken> {
    if !body.is_ascii() {
        return None;
    }
    let mut tokens = form_urlencoded::parse(body)
        .filter_map(|(name, token)| (name == ACCESS_TOKEN).then_some(token));
    let token = tokens.next()?.into_owned();
    Some(if tokens.next().is_some() { FormToken::Repeated } else { FormToken::One(token) })
}

struct Held<S, C, R> {
    service: S,
    parts: Parts,
    server: ResourceServer<C, R>,
}

pin_project! {
    /// The future of a [`FormTokenService`].
    pub struct FormTokenFuture<S, C, R, ReqBody>
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
        },
        Reading {
            #[pin]
            body: ReqBody,
            read: BytesMut,
            limit: usize,
            held: Option<Held<S, C, R>>,
        },
        // The body has been read. The request waits until the inner service is ready.
        Readying {
            service: S,
            request: Option<Request<ReqBody>>,
        },
    }
}

impl<S, C, R, ReqBody, ResBody> Future for FormTokenFuture<S, C, R, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: Body + From<Bytes>,
    R: RefusalBody<ResBody>,
{
    type Output = Result<S::Response, S::Error>;

    #[allow(clippy::expect_used, reason = "a future is not polled after it was ready")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Inner { future } => return future.poll(cx),
                StateProj::Reading { body, read, limit, held } => {
                    let error = match ready!(read_frame(body, read, *limit, cx)) {
                        Ok(true) => continue,
                        Ok(false) => None,
                        Err(error) => Some(error),
                    };
                    let Held { service, mut parts, server } =
                        held.take().expect("polled after completion");
                    if let Some(error) = error {
                        let scheme = server.used_scheme(&parts.headers);
                        let refusal = server.refusal(error, server.challenges(), scheme);
                        return Poll::Ready(Ok(refusal.into_response_with(server.body())));
                    }
                    let body = mem::take(read).freeze();
                    if let Some(token) = find_token(&body) {
                        let tokens = parts.extensions.get_or_insert_default::<FormTokens>();
                        tokens.note(server.id().clone(), token);
                    }
                    let request = Some(Request::from_parts(parts, ReqBody::from(body)));
                    state.set(State::Readying { service, request });
                }
                StateProj::Readying { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request = request.take().expect("polled after completion");
                    let future = service.call(request);
                    state.set(State::Inner { future });
                }
            }
        }
    }
}

/// Reads one frame. Returns `false` at the end of the body.
fn read_frame<B: Body>(
    body: Pin<&mut B>,
    read: &mut BytesMut,
    limit: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<bool, Error>> {
    if body.size_hint().lower() > limit as u64 {
        return Poll::Ready(Err(Error::FormTooLarge { limit }));
    }
    Poll::Ready(match ready!(body.poll_frame(cx)) {
        None => Ok(false),
        Some(Err(_)) => Err(Error::FormUnreadable),
        Some(Ok(frame)) => {
            if let Ok(data) = frame.into_data() {
                use bytes::Buf as _;
                let mut data = data;
                if data.remaining() > limit.saturating_sub(read.len()) {
                    return Poll::Ready(Err(Error::FormTooLarge { limit }));
                }
                while data.has_remaining() {
                    let chunk = data.chunk();
                    read.extend_from_slice(chunk);
                    let length = chunk.len();
                    data.advance(length);
                }
            }
            Ok(true)
        }
    })
}

impl<S, C, R> Layer<S> for FormTokenLayer<C, R> {
    type Service = FormTokenService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        FormTokenService { inner, server: self.server.clone(), limit: self.limit }
    }
}

impl<C, R> Clone for FormTokenLayer<C, R> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), limit: self.limit }
    }
}

impl<S: Clone, C, R> Clone for FormTokenService<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), server: self.server.clone(), limit: self.limit }
    }
}

impl<C, R> fmt::Debug for FormTokenLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormTokenLayer").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for FormTokenService<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormTokenService")
            .field("inner", &self.inner)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
