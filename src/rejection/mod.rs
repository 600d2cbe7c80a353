//! The one place that maps an [`Error`] to a status and a challenge. The table is on [`Refusal`].

mod body;
mod grpc;
mod handed_on;
mod response;
mod unmet;

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};

use crate::challenge::{BranchChallenges, Challenges, Code, Prepared};
use crate::error::Error;
use crate::observe::{Occurrence, Stream};
use crate::scheme::Scheme;

pub use body::{EmptyBody, ProblemJson, RefusalBody};
pub(crate) use grpc::to_trailers_only;
pub(crate) use handed_on::HandedOn;
pub(crate) use unmet::challenges_of;

/// The header field with a nonce for the client's next proof (RFC 9449 §8).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A refused request: the error, and the response to the client.
///
/// | cause | status | challenge |
/// |---|---|---|
/// | no credentials, or credentials of another scheme | 401 | no error code |
/// | malformed or repeated credentials, an incomplete form | 400 | `invalid_request` |
/// | the header with the client's certificate is malformed, and a trusted proxy sent it | 400 | `invalid_request` |
/// | the token fails a check | 401 | `invalid_token` |
/// | the proof of a key is missing, fails a check, or was used before | 401 | `invalid_dpop_proof` |
/// | the proof of a key needs a nonce | 401, `DPoP-Nonce` | `use_dpop_nonce` |
/// | the scope does not cover the route | 403 | `insufficient_scope`, all scopes of one branch of the policy |
/// | the login does not suffice for the route | 401 | `insufficient_user_authentication`, `acr_values`, `max_age`, the scopes |
/// | the route asks for another audience, a more recent token, a bound token | 401 | `invalid_token` |
/// | the token lacks anything else, or a check of the route refuses it | 403 | no error code |
/// | the token does not meet a [`hidden`](crate::policy::Requirement::hidden) requirement, and a new login would not be enough | 404 | none |
/// | the form or the MCP message is larger than the limit | 413 | none |
/// | the MCP message is malformed, or disagrees with its headers | 400 | `invalid_request` |
/// | the request to an MCP server comes from a web page of another origin | 403 | no error code |
/// | the client takes too long to send the MCP message | 408 | none |
/// | a dependency is unavailable: keys, a tenant's issuer, introspection, the store of used proofs, a lookup of the API | 503, `Retry-After` | none |
/// | the client has used its share of the store of used proofs | 503, `Retry-After` | none |
/// | a mistake in the API's code: a missing layer, another type of claims | 500 | none |
///
/// If the server accepts DPoP, a refusal for missing credentials or with `invalid_token` has a challenge for each
/// accepted scheme. Other refusals have only the challenge of the scheme that the request used. The error code is only
/// in that challenge (RFC 9449 §7.2).
///
/// If the server has a [`resource`](crate::builder::Builder::resource), each challenge of these schemes also has
/// `resource_metadata` (RFC 9728 §5.1).
///
/// Every refusal except a hidden one has `Cache-Control: no-store`. The client can't distinguish the causes of
/// `invalid_token`; the log names the cause. The extensions of the response contain the [`Error`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::{Error, Issuer, ResourceServer};
/// use tower_resource_server::refusal::Refusal;
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
///     .audience("https://api.example.com")
///     .build()?;
///
/// let (request, ()) = http::Request::get("/").body(())?.into_parts();
/// let refusal: Refusal = api.authenticate(&request).await.unwrap_err();
/// assert_eq!(refusal.status(), 401);
/// assert_eq!(refusal.error(), &Error::MissingCredentials);
/// assert!(refusal.challenges()[0].to_str()?.starts_with("Bearer "));
///
/// let response: http::Response<String> = refusal.into_response();
/// assert_eq!(response.headers()["cache-control"], "no-store");
/// assert_eq!(response.extensions().get::<Error>(), Some(&Error::MissingCredentials));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Refusal {
    error: Error,
    status: StatusCode,
    challenges: Option<Arc<Prepared>>,
    /// Other headers, such as `Retry-After`.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// Chooses the status and the headers. `challenges` are those of the server or of the route. `scheme` is the scheme
    /// that the request used.
    pub(crate) fn new(error: Error, challenges: &Challenges, scheme: Scheme) -> Self {
        Self::of_branch(error, challenges, scheme, None)
    }

    /// The same for a token that does not meet a policy. `branch` has the challenges for a missing scope or login.
    pub(crate) fn of_branch(
        error: Error,
        challenges: &Challenges,
        scheme: Scheme,
        branch: Option<&BranchChallenges>,
    ) -> Self {
        let (status, code) = answer(&error);
        let headers = match &error {
            Error::KeysUnavailable { retry_after, .. }
            | Error::ReplayStoreUnavailable { retry_after, .. }
            | Error::TooManyProofs { retry_after }
            | Error::IssuerUnavailable { retry_after, .. }
            | Error::LookupUnavailable { retry_after, .. }
            | Error::IntrospectionUnavailable { retry_after, .. } => {
                let seconds = retry_after.as_secs_f64().ceil().max(1.0) as u64;
                vec![(RETRY_AFTER, seconds.into())]
            }
            _ => Vec::new(),
        };
        let challenges = code.map(|code| Arc::clone(challenges.of(code, scheme, branch)));
        Self { error, status, challenges, headers }
    }

    /// Adds a fresh nonce (RFC 9449 §9) to a refusal that demands one.
    pub(crate) fn with_nonce(mut self, make: impl FnOnce() -> Option<HeaderValue>) -> Self {
        if let Error::NonceRequired { .. } = self.error {
            self.headers.extend(make().map(|nonce| (DPOP_NONCE, nonce)));
        }
        self
    }

    /// Changes a 401 or 403 to 404, as if there were no such resource (RFC 9110 §15.5.4). Other statuses stay, for
    /// example those of an outage or of a mistake in the API's code.
    pub(crate) fn hidden(mut self) -> Self {
        if [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED].contains(&self.status) {
            self.status = StatusCode::NOT_FOUND;
            self.challenges = None;
        }
        self
    }

    /// A refusal for a mistake in the API's code. It has no challenge, because challenges belong to a server.
    pub(crate) fn wiring(fix: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        let error = Error::Wiring { fix: fix.into() };
        let (status, _) = answer(&error);
        Self { error, status, challenges: None, headers: Vec::new() }
    }

    /// Reports the refusal to the log.
    pub(crate) fn told(self, stream: &Stream) -> Self {
        stream.tell(&Occurrence::Refused(&self.error, self.status.as_u16()));
        self
    }

    /// The cause.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The response's status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The values of `WWW-Authenticate`, one for each challenge. Empty if the status is not 400, 401 or 403.
    pub fn challenges(&self) -> &[HeaderValue] {
        self.challenges.as_ref().map_or(&[], |prepared| &prepared.challenges)
    }
}

/// Maps each error to a status. `Some` means that the response has a challenge.
fn answer(error: &Error) -> (StatusCode, Option<Code>) {
    match error {
        Error::MissingCredentials | Error::UnsupportedScheme => {
            (StatusCode::UNAUTHORIZED, Some(Code::None))
        }
        Error::MalformedCredentials
        | Error::RepeatedCredentials
        | Error::SeveralMethods
        | Error::MalformedWebSocketToken { .. }
        | Error::FormUnreadable
        | Error::MalformedMessage { .. }
        | Error::MalformedCertificate { .. }
        | Error::HeaderMismatch { .. } => (StatusCode::BAD_REQUEST, Some(Code::InvalidRequest)),
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
        | Error::MissingCertificate
        | Error::UntrustedProxy { .. }
        | Error::ForeignCertificate
        | Error::Refused { .. }
        | Error::Inactive
        | Error::ContradictedByIntrospection { .. }
        | Error::TokenTooOld { .. }
        | Error::BoundTokenAsBearer
        | Error::UnboundToken
        | Error::ForeignProofKey
        | Error::SenderNotConstrained
        | Error::KeyNotBound => (StatusCode::UNAUTHORIZED, Some(Code::InvalidToken)),
        Error::MissingProof
        | Error::InvalidProof { .. }
        | Error::ForeignProofUrl { .. }
        | Error::ProofOutOfTime { .. }
        | Error::ReplayedProof => (StatusCode::UNAUTHORIZED, Some(Code::InvalidProof)),
        Error::NonceRequired { .. } => (StatusCode::UNAUTHORIZED, Some(Code::UseNonce)),
        Error::InsufficientScope { .. } => (StatusCode::FORBIDDEN, Some(Code::InsufficientScope)),
        Error::InsufficientUserAuthentication { .. } => {
            (StatusCode::UNAUTHORIZED, Some(Code::InsufficientUserAuthentication))
        }
        Error::AccessDenied { .. }
        | Error::UnknownPrincipal { .. }
        | Error::ForeignOrigin { .. } => (StatusCode::FORBIDDEN, Some(Code::Denied)),
        Error::KeysUnavailable { .. }
        | Error::IssuerUnavailable { .. }
        | Error::IntrospectionUnavailable { .. }
        | Error::ReplayStoreUnavailable { .. }
        | Error::TooManyProofs { .. }
        | Error::LookupUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
        Error::FormTooLarge { .. } | Error::MessageTooLarge { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, None)
        }
        Error::MessageTooSlow => (StatusCode::REQUEST_TIMEOUT, None),
        Error::Wiring { .. } => (StatusCode::INTERNAL_SERVER_ERROR, None),
    }
}
