//! The one place where an [`Error`] becomes a status (the response matrix).
//!
//! What the client sees:
//!
//! | the cause | status | challenge |
//! |---|---|---|
//! | no credentials, or of another scheme | 401 | no error code |
//! | malformed or repeated credentials | 400 | `invalid_request` |
//! | the token fails a check | 401 | `invalid_token` |
//! | the scope does not cover the route | 403 | `insufficient_scope`, all scopes of the route |
//! | a check of the route refuses | 403 | no error code |
//! | our outage: keys, introspection | 503, `Retry-After` | none |
//! | layers put together wrongly | 500 | none |
//!
//! Every refusal has `Cache-Control: no-store`. All causes of `invalid_token` look the same to the
//! client; the operator's log tells them apart.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Response, StatusCode};

use crate::challenge::{Challenges, Code};
use crate::error::Error;

/// Fields of an answer: `Cache-Control`, `Content-Type`, and one of challenge and `Retry-After`.
const MOST_FIELDS: usize = 3;

/// A refusal: the error and what the client gets for it.
///
/// The response carries the [`Error`] in its extensions.
#[derive(Clone, Debug)]
pub struct Refusal {
    error: Error,
    status: StatusCode,
    challenge: Option<HeaderValue>,
    retry_after: Option<u64>,
}

impl Refusal {
    /// Chooses the answer and tells the operator. `challenges` are those of the server or the route.
    pub(crate) fn new(error: Error, challenges: &Challenges) -> Self {
        let (status, code) = answer(&error);
        crate::observe::log::refused(&error, status);
        let retry_after = match &error {
            Error::KeysUnavailable { retry_after, .. }
            | Error::IssuerUnavailable { retry_after, .. }
            | Error::IntrospectionUnavailable { retry_after, .. } => {
                Some(retry_after.as_secs_f64().ceil().max(1.0) as u64)
            }
            _ => None,
        };
        let challenge = code.map(|code| challenges.value(code).clone());
        Self { error, status, challenge, retry_after }
    }

    /// A mistake of wiring, which belongs to no server and has no challenge.
    pub(crate) fn wiring(fix: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        let error = Error::Wiring { fix: fix.into() };
        let (status, _) = answer(&error);
        crate::observe::log::refused(&error, status);
        Self { error, status, challenge: None, retry_after: None }
    }

    /// Why.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The response's status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response's `WWW-Authenticate`, on a 400, 401 or 403.
    pub fn challenge(&self) -> Option<&HeaderValue> {
        self.challenge.as_ref()
    }

    /// The refusal as a response without a body.
    pub fn into_response<B: Default>(self) -> Response<B> {
        self.into_response_with(&EmptyBody)
    }

    /// The refusal as a response with a body of `body`'s making.
    pub fn into_response_with<B>(self, body: &impl RefusalBody<B>) -> Response<B> {
        let (content_type, body) = body.body(&self);
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // Room for all of them, in one go.
        *headers = HeaderMap::with_capacity(MOST_FIELDS);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        response.extensions_mut().insert(self.error);
        response
    }
}

/// A refusal that a handler or an extractor answered with, for the layer around it: which body the
/// server's refusals have is known there alone.
#[derive(Clone)]
pub(crate) struct HandedOn(Refusal);

impl HandedOn {
    #[cfg(feature = "axum")]
    pub(crate) fn new(refusal: &Refusal) -> Self {
        Self(refusal.clone())
    }

    /// Gives a refusal from inside its body, once. Status and headers stay, and what other layers have
    /// added to them.
    pub(crate) fn shape<B>(response: &mut Response<B>, body: &impl RefusalBody<B>) {
        let Some(Self(refusal)) = response.extensions_mut().remove::<Self>() else {
            return;
        };
        // Something in between made it another answer, or gave it a body.
        if response.status() != refusal.status || response.headers().contains_key(CONTENT_TYPE) {
            return;
        }
        let (content_type, body) = body.body(&refusal);
        *response.body_mut() = body;
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
    }
}

/// The one match. `Some` code: the answer has a challenge.
fn answer(error: &Error) -> (StatusCode, Option<Code>) {
    match error {
        Error::MissingCredentials | Error::UnsupportedScheme => {
            (StatusCode::UNAUTHORIZED, Some(Code::None))
        }
        Error::MalformedCredentials
        | Error::RepeatedCredentials
        | Error::SeveralMethods
        | Error::FormUnreadable => (StatusCode::BAD_REQUEST, Some(Code::InvalidRequest)),
        Error::TokenTooLarge { .. }
        | Error::NotAJwt
        | Error::EncryptedToken
        | Error::MalformedToken { .. }
        | Error::UnexpectedType { .. }
        | Error::UnacceptedAlgorithm { .. }
        | Error::UntrustedIssuer { .. }
        | Error::UnknownKey { .. }
        | Error::BadSignature { .. }
        | Error::MissingClaim { .. }
        | Error::MalformedClaim { .. }
        | Error::UnacceptedValue { .. }
        | Error::Expired { .. }
        | Error::NotYetValid { .. }
        | Error::IssuedAhead { .. }
        | Error::TimeInMilliseconds { .. }
        | Error::ForeignAudience { .. }
        | Error::AnotherKind { .. }
        | Error::UnfitClaims { .. }
        | Error::UnconfirmedSender
        | Error::Refused { .. }
        | Error::Inactive
        | Error::ContradictedByIntrospection { .. } => {
            (StatusCode::UNAUTHORIZED, Some(Code::InvalidToken))
        }
        Error::InsufficientScope { .. } => (StatusCode::FORBIDDEN, Some(Code::InsufficientScope)),
        Error::AccessDenied | Error::UnknownPrincipal { .. } => {
            (StatusCode::FORBIDDEN, Some(Code::None))
        }
        Error::KeysUnavailable { .. }
        | Error::IssuerUnavailable { .. }
        | Error::IntrospectionUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
        Error::FormTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, None),
        Error::Wiring { .. } => (StatusCode::INTERNAL_SERVER_ERROR, None),
    }
}

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
        let body: &[u8] = match refusal.status {
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
