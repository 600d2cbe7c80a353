//! What a request waits for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::authentication::Presented;
use crate::authenticator::Verdict;
use crate::credentials::Placement;
use crate::error::Error;
use crate::server::ResponseHeaders;
#[cfg(feature = "http-client")]
use crate::users::{AnyUser, UserWait};

/// A wait of one request.
pub(crate) enum Waiting<C> {
    /// For the verdict about its token, which needs the network.
    Verdict { verdict: BoxedFuture<VerdictResult<C>>, sent: Sent },
    /// For lookups of the API. If they succeed, the request passes with these response headers.
    /// If they refuse, `hidden` says whether the answer is 404.
    Lookups { lookups: BoxedFuture<Result<(), Error>>, headers: ResponseHeaders, hidden: bool },
    /// For the API's user of its token.
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

/// How the token was sent.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) presented: Presented,
    /// `None` if an outer layer has already handled what depends on it.
    pub(crate) placement: Option<Placement>,
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
                let (headers, hidden) = (*headers, *hidden);
                lookups.as_mut().poll(cx).map(|result| Done::Lookups { result, headers, hidden })
            }
            #[cfg(feature = "http-client")]
            Self::User(user) => user.as_mut().poll(cx).map(Done::User),
        }
    }
}
