//! User-supplied checks. A check can refuse a request, but cannot accept a refused one.

use std::any::type_name;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use http::request::Parts;

use crate::error::Error;
use crate::lookup_error::LookupError;
use crate::token::{AccessToken, AnyToken, Claims};

/// A check in progress.
pub(crate) type Lookup = Pin<Box<dyn Future<Output = Result<(), LookupError>> + Send>>;

type TokenCheck = dyn Fn(&AnyToken) -> Result<bool, Error> + Send + Sync;
type RequestCheck<T> = dyn Fn(&Parts, &AnyToken) -> Result<T, Error> + Send + Sync;

/// The checks of one request that are in progress.
pub(crate) struct Lookups {
    pub(crate) lookups: Vec<Lookup>,
    /// Whether a refusal gets 404 instead of 403.
    pub(crate) hidden: bool,
}

/// One check, without its type of claims.
#[derive(Clone)]
pub(super) enum Check {
    Token(Arc<TokenCheck>),
    Request(Arc<RequestCheck<bool>>),
    Lookup(Arc<RequestCheck<Lookup>>),
}

impl Check {
    pub(super) fn reads_request(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Lookup(_))
    }

    pub(super) fn of_token<C: Send + Sync + 'static>(
        check: impl Fn(&AccessToken<C>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::Token(Arc::new(move |token| Ok(check(&typed(token)?))))
    }

    pub(super) fn of_request<C: Send + Sync + 'static>(
        check: impl Fn(&Parts, &AccessToken<C>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::Request(Arc::new(move |parts, token| Ok(check(parts, &typed(token)?))))
    }

    pub(super) fn of_lookup<C, F>(
        check: impl Fn(&Parts, &AccessToken<C>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        C: Send + Sync + 'static,
        F: Future<Output = Result<(), LookupError>> + Send + 'static,
    {
        Self::Lookup(Arc::new(move |parts, token| {
            let token = typed(token)?;
            // The call itself may panic, before there is a future.
            let started = catch_unwind(AssertUnwindSafe(|| check(parts, &token)));
            let lookup: Lookup = match started {
                Ok(lookup) => Box::pin(lookup),
                Err(_) => refused_at_once(),
            };
            Ok(lookup)
        }))
    }
}

/// The result of a check that panicked before it returned its future.
fn refused_at_once() -> Lookup {
    Box::pin(std::future::ready(Err(LookupError::unavailable("a check panicked"))))
}

/// The token with its type of claims. The server that validated the token usually has the same type. The
/// error means a bug in this crate, or a requirement that was used with a token of another server.
pub(crate) fn typed<C: Send + Sync + 'static>(token: &AnyToken) -> Result<AccessToken<C>, Error> {
    token.downcast().ok_or_else(|| wrong_claims_type::<C>(token))
}

/// The error for a handler or a check whose type of claims differs from the server's type.
pub(crate) fn wrong_claims_type<C>(token: &AnyToken) -> Error {
    let (server, asked) = (public_name(token.claims_type()), public_name(type_name::<C>()));
    Error::Wiring {
        fix: format!(
            "the server reads claims of type `{server}`, and this handler or check asks for \
             `{asked}`: write `AccessToken<{server}>` there, or `.claims::<{asked}>()` on the builder"
        )
        .into(),
    }
}

/// The name under which the API's code can use a type of claims. The public path of [`Claims`] differs
/// from its path in this crate.
fn public_name(name: &'static str) -> &'static str {
    if name == type_name::<Claims>() { "tower_resource_server::Claims" } else { name }
}
