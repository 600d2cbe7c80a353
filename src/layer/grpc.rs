//! Converts refusals to gRPC answers: [`GrpcLayer`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::layer::layers::{OptionalResourceServerLayer, RequireLayer, ResourceServerLayer};
#[cfg(feature = "http-client")]
use crate::layer::user::LoadUserLayer;
use crate::rejection::to_trailers_only;

/// Converts refusals of gRPC calls to gRPC statuses. Four methods create this layer:
/// [`ResourceServerLayer::grpc`], [`OptionalResourceServerLayer::grpc`], [`RequireLayer::grpc`] and
/// `LoadUserLayer::grpc`.
///
/// A refused gRPC call gets a trailers-only answer: the headers contain the status, and there is no body.
///
/// ```text
/// HTTP/2 200
/// content-type: application/grpc
/// grpc-status: 16
/// grpc-message: The access token is not valid for this resource
/// www-authenticate: Bearer realm="https://api.example.com", error="invalid_token", ...
/// cache-control: no-store
/// ```
///
/// [`Refusal::grpc_status`](crate::refusal::Refusal::grpc_status) has the table of statuses, and
/// [`Refusal::grpc_headers`](crate::refusal::Refusal::grpc_headers) lists the header fields of the answer (gRPC
/// calls them metadata).
///
/// A request is a gRPC call if it has exactly one `Content-Type` field, and the media type in this field is
/// `application/grpc` or begins with `application/grpc+`. Parameters of the media type are ignored. Any other
/// refused request gets the HTTP refusal, also a call of gRPC-Web (`application/grpc-web`). If gRPC-Web calls
/// need gRPC statuses, put a layer that translates gRPC-Web, such as `tonic_web::GrpcWebLayer`, around this
/// layer.
///
/// For a gRPC call, this layer converts every refusal of this crate that comes from inside: from the
/// layer whose method `grpc` was called, from inner layers, and from handlers that return a [`Refusal`](crate::refusal::Refusal). So `.grpc()`
/// on the outermost layer of this crate is enough. Other responses pass unchanged, for example a gRPC status of
/// the inner service.
///
/// The answer has no body. So the type of the response body must implement `Default`, and the default value
/// must be an empty body. The `Body` types of tonic and axum meet this condition.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use tower::{Layer as _, ServiceExt as _, service_fn};
/// use tower_resource_server::policy::Routes;
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::{Issuer, ResourceServer, scope};
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
///     .audience("https://api.example.com")
///     .build()?;
///
/// // In production: the routes of `tonic::transport::Server`.
/// let notes = service_fn(|_: Request<()>| async {
///     Ok::<_, Infallible>(Response::new("a message".to_owned()))
/// });
/// let methods = Routes::for_raw_paths()
///     .post("/notes.v1.Notes/Get", scope("notes:read"))
///     .post("/notes.v1.Notes/Import", scope("notes:write"));
/// let service = api.protect_routes(methods).grpc().layer(notes);
///
/// let call = |method: &str, content_type: &str| {
///     let token = issuer.token().scope("notes:read").sign();
///     Request::post(format!("/notes.v1.Notes/{method}"))
///         .header("content-type", content_type)
///         .header("authorization", format!("Bearer {token}"))
///         .body(())
/// };
/// let passed = service.clone().oneshot(call("Get", "application/grpc")?).await?;
/// assert_eq!(passed.body(), "a message");
///
/// let refused = service.clone().oneshot(call("Import", "application/grpc")?).await?;
/// assert_eq!((refused.status().as_u16(), refused.body().as_str()), (200, ""));
/// assert_eq!(refused.headers()["grpc-status"], "7"); // PERMISSION_DENIED
/// let challenge = refused.headers()["www-authenticate"].to_str()?;
/// assert!(challenge.contains(r#"scope="notes:write""#), "{challenge}");
///
/// // Not a gRPC call.
/// assert_eq!(service.oneshot(call("Import", "application/json")?).await?.status(), 403);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct GrpcLayer<L> {
    layer: L,
}

/// A service that converts refusals of gRPC calls to gRPC answers. [`GrpcLayer`] creates this service.
#[derive(Clone, Debug)]
pub struct GrpcService<S> {
    inner: S,
}

macro_rules! grpc {
    ($($layer:ident<$($parameter:ident),*>),*) => {$(
        impl<$($parameter),*> $layer<$($parameter),*> {
            /// Gives a refused gRPC call a gRPC status instead of an HTTP status. See [`GrpcLayer`].
            pub fn grpc(self) -> GrpcLayer<Self> {
                GrpcLayer { layer: self }
            }
        }
    )*};
}

grpc!(ResourceServerLayer<C, R>, OptionalResourceServerLayer<C, R>, RequireLayer<C, R>);
#[cfg(feature = "http-client")]
grpc!(LoadUserLayer<U, C, R>);

impl<S, L: Layer<S>> Layer<S> for GrpcLayer<L> {
    type Service = GrpcService<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcService { inner: self.layer.layer(inner) }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for GrpcService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = GrpcFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let is_grpc = is_grpc(request.headers());
        GrpcFuture { future: self.inner.call(request), is_grpc }
    }
}

pin_project! {
    /// The future of a [`GrpcService`].
    #[derive(Debug)]
    pub struct GrpcFuture<F> {
        #[pin]
        future: F,
        is_grpc: bool,
    }
}

impl<F, ResBody, E> Future for GrpcFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        if *this.is_grpc {
            to_trailers_only(&mut response);
        }
        Poll::Ready(Ok(response))
    }
}

/// Whether the request is a gRPC call: see "Content-Type" in the specification "gRPC over HTTP/2". gRPC-Web is
/// another protocol.
fn is_grpc(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii();
    let Some((name, rest)) = essence.split_at_checked("application/grpc".len()) else {
        return false;
    };
    name.eq_ignore_ascii_case(b"application/grpc") && matches!(rest, [] | [b'+', _, ..])
}
