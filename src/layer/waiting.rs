//! What a request waits for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::authentication::Presented;
use crate::authenticator::Verdict;
use crate::credentials::Placement;
use crate::error::Error;
use crate::scheme::Scheme;
use crate::server::ResponseHeaders;
#[cfg(feature = "http-client")]
use crate::users::{AnyUser, UserWait};

/// A wait of a request, with the data that is needed after the wait.
pub(crate) enum Waiting<C> {
    /// The request waits for the validation of its token. The validation may need the network, the store of
    /// used proofs, or user-supplied code.
    Verdict { verdict: BoxedFuture<VerdictResult<C>>, sent: Sent },
    /// The token is valid, and the request waits for the asynchronous checks of the requirement
    /// (lookups). If all lookups succeed, the request passes, and `headers` are added to the response. If a
    /// lookup refuses the request, the response is 404 if `hidden` is `true`, and 403 otherwise. If a lookup
    /// is unavailable, the response is 503.
    Lookups { lookups: BoxedFuture<Result<(), Error>>, headers: ResponseHeaders, hidden: bool },
    /// The token is valid, and the request waits for its user record, which the API's own loader returns.
    #[cfg(feature = "http-client")]
    User(UserWait),
}

/// The result of a wait.
pub(crate) enum Done<C> {
    Verdict(VerdictResult<C>, Sent),
    Lookups {
        result: Result<(), Error>,
        headers: ResponseHeaders,
        hidden: bool,
    },
    #[cfg(feature = "http-client")]
    User(Result<AnyUser, Error>),
}

/// How the client sent the token.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) presented: Presented,
    pub(crate) scheme: Scheme,
    /// The place of the token in the request. `None` if an outer layer has already decided whether to remove
    /// the token from its place.
    pub(crate) placement: Option<Placement>,
    /// The response headers that depend on how the client sent the token.
    pub(crate) headers: ResponseHeaders,
}

pub(crate) type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type VerdictResult<C> = Result<Verdict<C>, Error>;

impl<C> Waiting<C> {
    pub(crate) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<Done<C>> {
        match self {
            Self::Verdict { verdict, sent } => {
                verdict.as_mut().poll(cx).map(|verdict| Done::Verdict(verdict, sent.clone()))
            }
            Self::Lookups { lookups, headers, hidden } => {
                let hidden = *hidden;
                let done = lookups.as_mut().poll(cx);
                done.map(|result| Done::Lookups { result, headers: headers.clone(), hidden })
            }
            #[cfg(feature = "http-client")]
            Self::User(user) => user.as_mut().poll(cx).map(Done::User),
        }
    }
}
