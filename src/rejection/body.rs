//! The bodies of refusals.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::rejection::Refusal;

/// Makes the body of a refusal. It can't change the status or the challenge.
///
/// Functions that take a refusal and return a content type and a body implement this trait:
///
/// ```
/// use http::HeaderValue;
/// use tower_resource_server::ResourceServer;
/// use tower_resource_server::refusal::Refusal;
///
/// let builder = ResourceServer::builder()
///     .issuer("https://as.example.com")
///     .audience("https://api.example.com")
///     .refusal_body(|refusal: &Refusal| {
///         let text = format!("refused with {}", refusal.status().as_u16());
///         (Some(HeaderValue::from_static("text/plain")), text)
///     });
/// # let _ = builder;
/// ```
///
/// `B` is the response body of the protected service. A layer inside may wrap the body: tower-http's `TraceLayer` and
/// `CompressionLayer` do this, and so does tonic. Most wrapped bodies implement neither `From<Bytes>` nor `Default`. So
/// put such layers outside of the layer of this crate. Or convert the wrapped body, for example with
/// `MapResponseBodyLayer::new(axum::body::Body::new)` of tower-http. axum's `Router::layer` converts it by itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't make a refusal's body of type `{B}`",
    label = "refusals of this server can't have the body of the service inside",
    note = "`EmptyBody` needs a body that is `Default`, `ProblemJson` one that is `From<Bytes>`, and \
            a function returns the body itself: `Fn(&Refusal) -> (Option<HeaderValue>, {B})`",
    note = "layers that wrap the body (`TraceLayer`, `CompressionLayer`, tonic's) belong outside of \
            this one; or map the body back between the two, by `MapResponseBodyLayer` of tower-http \
            with axum's `Body::new`, say"
)]
pub trait RefusalBody<B>: Send + Sync + 'static {
    /// The body, and its content type if there is content.
    fn body(&self, refusal: &Refusal) -> (Option<HeaderValue>, B);
}

/// An empty body. This is the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyBody;

// With this, the compiler shows the message above, and not the bounds of this impl.
#[diagnostic::do_not_recommend]
impl<B: Default> RefusalBody<B> for EmptyBody {
    fn body(&self, _: &Refusal) -> (Option<HeaderValue>, B) {
        (None, B::default())
    }
}

/// Problem details for HTTP APIs (RFC 9457), with `status` and a fixed `title`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemJson;

// With this, the compiler shows the message above, and not the bounds of this impl.
#[diagnostic::do_not_recommend]
impl<B: From<Bytes>> RefusalBody<B> for ProblemJson {
    fn body(&self, refusal: &Refusal) -> (Option<HeaderValue>, B) {
        // Without a `type`, the problem means the same as the status (RFC 9457 §4.2.1).
        let body: &[u8] = match refusal.status() {
            StatusCode::BAD_REQUEST => br#"{"title":"Bad Request","status":400}"#,
            StatusCode::UNAUTHORIZED => br#"{"title":"Unauthorized","status":401}"#,
            StatusCode::FORBIDDEN => br#"{"title":"Forbidden","status":403}"#,
            StatusCode::NOT_FOUND => br#"{"title":"Not Found","status":404}"#,
            StatusCode::REQUEST_TIMEOUT => br#"{"title":"Request Timeout","status":408}"#,
            StatusCode::PAYLOAD_TOO_LARGE => br#"{"title":"Content Too Large","status":413}"#,
            StatusCode::SERVICE_UNAVAILABLE => br#"{"title":"Service Unavailable","status":503}"#,
            _ => br#"{"title":"Internal Server Error","status":500}"#,
        };
        let content_type = HeaderValue::from_static("application/problem+json");
        (Some(content_type), Bytes::from_static(body).into())
    }
}

// With this, the compiler shows the message above, and not the bounds of this impl.
#[diagnostic::do_not_recommend]
impl<B, F> RefusalBody<B> for F
where
    F: Fn(&Refusal) -> (Option<HeaderValue>, B) + Send + Sync + 'static,
{
    fn body(&self, refusal: &Refusal) -> (Option<HeaderValue>, B) {
        self(refusal)
    }
}
