//! Without the feature `dpop`, nothing checks proofs. These types have no values.

use std::time::Duration;

use http::HeaderValue;

use crate::credentials::Presentation;
use crate::error::Error;
use crate::observe::ReplayHealth;
use crate::token::Thumbprint;

#[derive(Debug)]
pub(crate) enum Checker {}

#[derive(Debug)]
pub(crate) enum Proven {}

impl Checker {
    pub(crate) fn is_required(&self) -> bool {
        match *self {}
    }

    pub(crate) fn health(&self, _: Duration) -> ReplayHealth {
        match *self {}
    }

    pub(crate) fn make_nonce(&self, _: Duration) -> Option<HeaderValue> {
        match *self {}
    }

    pub(crate) fn confirm(
        &self,
        _: &Thumbprint,
        _: &Presentation<'_>,
        _: Duration,
    ) -> Result<Option<Proven>, Error> {
        match *self {}
    }
}

impl Proven {
    pub(crate) fn key(&self) -> &Thumbprint {
        match *self {}
    }

    pub(crate) fn wants_nonce(&self) -> bool {
        match *self {}
    }
}
