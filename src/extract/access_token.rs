//! The axum extractors `AccessToken<C>` and `Option<AccessToken<C>>`. The documentation of
//! [`AccessToken`] says what they return.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::authentication::Authentication;
use crate::error::Error;
use crate::observe::Stream;
use crate::policy::wrong_claims_type;
use crate::rejection::{HandedOn, Refusal};
use crate::scheme::Scheme;
use crate::token::AccessToken;

/// Converts the refusal to a response without a body. If a layer of this crate is around the handler,
/// that layer adds the body of the server's [`RefusalBody`](crate::refusal::RefusalBody).
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let handed_on = HandedOn::new(&self);
        let mut response = Refusal::into_response(self);
        response.extensions_mut().insert(handed_on);
        response
    }
}

impl<S, C> FromRequestParts<S> for AccessToken<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let outcome = outcome(parts)?;
        match find(outcome)? {
            Some(token) => Ok(token),
            None => Err(refusal(Error::MissingCredentials, outcome)),
        }
    }
}

impl<S, C> OptionalFromRequestParts<S> for AccessToken<C>
where
    S: Send + Sync,
    C: Send + Sync + 'static,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Refusal> {
        find(outcome(parts)?)
    }
}

pub(super) fn refusal(error: Error, outcome: &Authentication) -> Refusal {
    let scheme = outcome.token.as_ref().map_or(Scheme::Bearer, |token| token.facts().scheme());
    Refusal::new(error, &outcome.server.challenges, scheme).told(&outcome.server.stream)
}

pub(super) fn outcome(parts: &Parts) -> Result<&Authentication, Refusal> {
    parts.extensions.get::<Authentication>().ok_or_else(|| {
        Refusal::wiring(
            "a handler asks for `AccessToken` on a route that no layer protects: put \
             `.layer(api.layer())` after the route (`.route` calls that follow a `.layer` are not \
             covered by it), or `.layer(api.optional_layer())` where the token is optional",
        )
        .told(&Stream::default())
    })
}

pub(super) fn find<C: Send + Sync + 'static>(
    outcome: &Authentication,
) -> Result<Option<AccessToken<C>>, Refusal> {
    let Some(token) = &outcome.token else {
        return Ok(None);
    };
    match token.downcast() {
        Some(token) => Ok(Some(token)),
        None => Err(refusal(wrong_claims_type::<C>(token), outcome)),
    }
}
