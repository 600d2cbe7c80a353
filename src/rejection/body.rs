//! The bodies of refusals.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::rejection::Refusal;

/// Makes the body of a refusal. It can shape the body, never the status or the challenge.
///
/// A function from a refusal to a content type and a body is one, too:
///
/// ```
/// use http::HeaderValue;
/// use tower_resource_server::{Refusal, ResourceServer};
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
/// `B` is the body of the response of the service that is protected, which a layer inside may have
/// changed: `TraceLayer` and `CompressionLayer` of tower-http wrap it, and so does tonic. A wrapped
/// body can seldom be made from bytes or by `Default`. So put such layers outside of this one, or map
/// the body back, as `MapResponseBodyLayer::new(axum::body::Body::new)` of tower-http does; axum's
/// `Router::layer` does so by itself.
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
    /// The content type, if there is content, and the body.
    fn body(&self, refusal: &Refusal) -> (Option<HeaderValue>, B);
}

/// No body: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyBody;

// So that the error is the one above, and not a bound of this.
#[diagnostic::do_not_recommend]
impl<B: Default> RefusalBody<B> for EmptyBody {
    fn body(&self, _: &Refusal) -> (Option<HeaderValue>, B) {
        (None, B::default())
    }
}

/// Problem details for HTTP APIs (RFC 9457): `status` and `title`, in fixed words.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemJson;

// So that the error is the one above, and not a bound of this.
#[diagnostic::do_not_recommend]
impl<B: From<Bytes>> RefusalBody<B> for ProblemJson {
    fn body(&self, refusal: &Refusal) -> (Option<HeaderValue>, B) {
        // Without a `type`, the problem is that of the status (RFC 9457 §4.2.1).
        let body: &[u8] = match refusal.status() {
            StatusCode::BAD_REQUEST => br#"{"title":"Bad Request","status":400}"#,
            StatusCode::UNAUTHORIZED => br#"{"title":"Unauthorized","status":401}"#,
            StatusCode::FORBIDDEN => br#"{"title":"Forbidden","status":403}"#,
            StatusCode::PAYLOAD_TOO_LARGE => br#"{"title":"Content Too Large","status":413}"#,
            StatusCode::SERVICE_UNAVAILABLE => br#"{"title":"Service Unavailable","status":503}"#,
            _ => br#"{"title":"Internal Server Error","status":500}"#,
        };
        let content_type = HeaderValue::from_static("application/problem+json");
        (Some(content_type), Bytes::from_static(body).into())
    }
}

// So that the error is the one above, and not a bound of this.
#[diagnostic::do_not_recommend]
impl<B, F> RefusalBody<B> for F
where
    F: Fn(&Refusal) -> (Option<HeaderValue>, B) + Send + Sync + 'static,
{
    fn body(&self, refusal: &Refusal) -> (Option<HeaderValue>, B) {
        self(refusal)
    }
}
