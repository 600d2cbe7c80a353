//! Extractors for parts of a token.

use std::fmt;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::error::Error;
use crate::extract::access_token::{find, outcome, refusal};
use crate::observe::shown::Shown;
use crate::rejection::Refusal;
use crate::token::{Excerpt, RawToken, ScopeSet};

/// A copy of the claims of type `C`. [`AccessToken`](crate::AccessToken) gives access without a copy.
///
/// ```
/// use tower_resource_server::extract::Claims;
///
/// #[derive(Clone, serde::Deserialize)]
/// struct MyClaims {
///     tenant: String,
/// }
///
/// async fn handler(Claims(claims): Claims<MyClaims>) -> String {
///     claims.tenant
/// }
/// # let _ = axum::Router::<()>::new().route("/", axum::routing::get(handler));
/// ```
#[derive(Clone, Copy)]
pub struct Claims<C>(pub C);

/// The scope of the token.
///
/// ```
/// use tower_resource_server::extract::Scopes;
///
/// async fn handler(Scopes(scopes): Scopes) -> String {
///     scopes.iter().collect::<Vec<_>>().join(", ")
/// }
/// # let _ = axum::Router::<()>::new().route("/", axum::routing::get(handler));
/// ```
#[derive(Clone, Debug)]
pub struct Scopes(pub ScopeSet);

/// The subject of the token, with its issuer. A subject is unique only within its issuer. The subject
/// may be a client: see [`AccessToken::principal`](crate::AccessToken::principal).
///
/// ```
/// use tower_resource_server::extract::Subject;
///
/// async fn handler(Subject { issuer, subject }: Subject) -> String {
///     format!("{subject} of {issuer}")
/// }
/// # let _ = axum::Router::<()>::new().route("/", axum::routing::get(handler));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The configured name of the issuer.
    pub issuer: String,
    /// The subject.
    pub subject: String,
}

/// Implemented for each type of claims that a handler can take as [`Claims<C>`].
#[diagnostic::on_unimplemented(
    message = "a handler can't take `Claims<{Self}>`",
    label = "claims that are copied for a handler must be `Clone + Send + Sync + 'static`",
    note = "derive `Clone` for the claims, or take `AccessToken<{Self}>`, which copies nothing"
)]
pub trait HandlerClaims: Clone + Send + Sync + 'static {}

// So that the compiler shows the message above.
#[diagnostic::do_not_recommend]
impl<C: Clone + Send + Sync + 'static> HandlerClaims for C {}

impl<S: Send + Sync, C: HandlerClaims> FromRequestParts<S> for Claims<C> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let outcome = outcome(parts)?;
        match find::<C>(outcome)? {
            Some(token) => Ok(Self(token.claims().clone())),
            None => Err(refusal(Error::MissingCredentials, outcome)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Scopes {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let outcome = outcome(parts)?;
        match &outcome.token {
            Some(token) => Ok(Self(token.facts().scope.clone())),
            None => Err(refusal(Error::MissingCredentials, outcome)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Subject {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let outcome = outcome(parts)?;
        let Some(token) = &outcome.token else {
            return Err(refusal(Error::MissingCredentials, outcome));
        };
        let facts = token.facts();
        match facts.subject() {
            Some(subject) => {
                let issuer = facts.issuer.as_ref().to_owned();
                Ok(Self { issuer, subject: subject.to_owned() })
            }
            None => {
                let error = Error::AccessDenied { requires: Excerpt::of("a subject") };
                let refusal = Refusal::new(error, &outcome.server.without_scope, facts.scheme());
                Err(refusal.told(&outcome.server.stream))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RawToken {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let outcome = outcome(parts)?;
        match (&outcome.token, Self::from_extensions(&parts.extensions)) {
            (_, Some(token)) => Ok(token),
            (None, None) => Err(refusal(Error::MissingCredentials, outcome)),
            (Some(_), None) => {
                let fix = "a handler asks for `RawToken`, which is not kept: add \
                           `.keep_raw_tokens()` to the builder";
                Err(refusal(Error::Wiring { fix: fix.into() }, outcome))
            }
        }
    }
}

impl<C> fmt::Debug for Claims<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(..)")
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("issuer", &Shown(&self.issuer)).finish_non_exhaustive()
    }
}
