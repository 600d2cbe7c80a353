//! The axum extractors `LoadedUser<U>` and `Option<LoadedUser<U>>`. The documentation of [`LoadedUser`]
//! says what they return.

use std::any::type_name;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::authentication::Authentication;
use crate::error::Error;
use crate::extract::access_token::refusal;
use crate::observe::Stream;
use crate::rejection::Refusal;
use crate::users::LoadedUser;

impl<S, U> FromRequestParts<S> for LoadedUser<U>
where
    S: Send + Sync,
    U: Send + Sync + 'static,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let outcome = outcome(parts)?;
        match find(outcome, parts)? {
            Some(user) => Ok(user),
            None => Err(refusal(Error::MissingCredentials, outcome)),
        }
    }
}

impl<S, U> OptionalFromRequestParts<S> for LoadedUser<U>
where
    S: Send + Sync,
    U: Send + Sync + 'static,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Refusal> {
        find(outcome(parts)?, parts)
    }
}

fn outcome(parts: &Parts) -> Result<&Authentication, Refusal> {
    parts.extensions.get::<Authentication>().ok_or_else(|| {
        Refusal::wiring(
            "a handler asks for `LoadedUser` on a route that no layer protects: put \
             `.layer(api.load_user(..))` and then `.layer(api.layer())` after the route",
        )
        .told(&Stream::default())
    })
}

/// `None` for an anonymous request.
fn find<U: Send + Sync + 'static>(
    outcome: &Authentication,
    parts: &Parts,
) -> Result<Option<LoadedUser<U>>, Refusal> {
    if outcome.token.is_none() {
        return Ok(None);
    }
    match LoadedUser::from_extensions(&parts.extensions) {
        Some(user) => Ok(Some(user)),
        None => {
            let user = type_name::<U>();
            let fix = format!(
                "a handler asks for `LoadedUser<{user}>`, and no `load_user` loads this type: put \
                 `.layer(api.load_user(..))` with a loader of `{user}` inside the layer of the server"
            );
            Err(Refusal::wiring(fix).told(&outcome.server.stream))
        }
    }
}
