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

mod body;
mod handed_on;
mod response;

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};

use crate::challenge::{Challenges, Code};
use crate::error::Error;
use crate::observe::{Occurrence, Stream};

pub use body::{EmptyBody, ProblemJson, RefusalBody};
pub(crate) use handed_on::HandedOn;

/// A refusal: the error and what the client gets for it.
///
/// The response carries the [`Error`] in its extensions.
#[derive(Clone, Debug)]
pub struct Refusal {
    error: Error,
    status: StatusCode,
    challenges: Option<Arc<[HeaderValue]>>,
    /// Further headers.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// Chooses the answer. `challenges` are those of the server or the route.
    pub(crate) fn new(error: Error, challenges: &Challenges) -> Self {
        let (status, code) = answer(&error);
        let headers = match &error {
            Error::KeysUnavailable { retry_after, .. }
            | Error::IssuerUnavailable { retry_after, .. }
            | Error::IntrospectionUnavailable { retry_after, .. } => {
                let seconds = retry_after.as_secs_f64().ceil().max(1.0) as u64;
                vec![(RETRY_AFTER, seconds.into())]
            }
            _ => Vec::new(),
        };
        let challenges = code.map(|code| Arc::clone(challenges.of(code)));
        Self { error, status, challenges, headers }
    }

    /// A mistake of wiring, which belongs to no server and has no challenge.
    pub(crate) fn wiring(fix: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        let error = Error::Wiring { fix: fix.into() };
        let (status, _) = answer(&error);
        Self { error, status, challenges: None, headers: Vec::new() }
    }

    /// Tells the operator.
    pub(crate) fn told(self, stream: &Stream) -> Self {
        stream.tell(&Occurrence::Refused(&self.error, self.status));
        self
    }

    /// Why.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The response's status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response's `WWW-Authenticate`, on a 400, 401 or 403: one for each scheme that is accepted.
    pub fn challenges(&self) -> &[HeaderValue] {
        self.challenges.as_deref().unwrap_or_default()
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
