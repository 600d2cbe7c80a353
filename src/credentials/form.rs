//! The token in a form body (RFC 6750 §2.2), which the form layer has read.

use crate::credentials::presentation::{Credentials, Placement};
use crate::credentials::token68::Token68;
use crate::error::Error;
use crate::scheme::Scheme;

/// The token that the form layer found in a body, for the server of that layer.
#[derive(Clone)]
pub(crate) enum FormToken {
    One(String),
    Repeated,
}

pub(super) fn from_form(form: &FormToken) -> Result<Credentials<'_>, Error> {
    match form {
        FormToken::Repeated => Err(Error::RepeatedCredentials),
        FormToken::One(token) => {
            let token = Token68::parse(token.as_bytes()).ok_or(Error::MalformedCredentials)?;
            Ok(Credentials { token, scheme: Scheme::Bearer, placement: Placement::Form })
        }
    }
}
