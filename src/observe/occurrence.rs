//! What can happen, as it is told to those who listen.

use http::StatusCode;

use crate::error::Error;
use crate::observe::event::Event;

/// Something to tell, which is facts alone: no token and no secret.
pub(crate) enum Occurrence<'a> {
    /// To the keys of an issuer.
    Keys(&'a Event),
    /// A request is refused.
    Refused(&'a Error, StatusCode),
    /// The API's resolver failed, or named an issuer that can't be.
    Unresolved { iss: &'a str, problem: &'a str },
    /// What is asked of an issuer may go to a host by http, as it was configured.
    #[cfg(feature = "remote")]
    HttpIsAllowed { issuer: &'a str, host: &'a str },
    /// And something secret goes with it, or may.
    #[cfg(feature = "remote")]
    SecretByHttp { issuer: &'a str, secret: &'static str },
    /// To the introspection of an issuer's tokens.
    #[cfg(feature = "remote")]
    Introspection { issuer: &'a str, what: Introspected<'a> },
}

/// What happened to the introspection of an issuer's tokens.
#[cfg(feature = "remote")]
pub(crate) enum Introspected<'a> {
    /// A call failed. What else failed is in the line of the request that is refused for it, once.
    Failed(&'a Error),
    /// A call failed, as several before it, and the endpoint is left alone for a while.
    Down(&'a Error),
    /// The endpoint answers again.
    Back,
    /// The endpoint failed, and what it said before stands in: no request is refused that would tell
    /// of it.
    StandsIn(&'a Error),
    /// The endpoint answered 400 to a token, with this code.
    RefusedToken(&'static str),
    /// The endpoint has called no token active in so many answers.
    NeverActive(u32),
    /// A call was due and there is no runtime to run it on.
    NoRuntime,
    /// The store of shared answers fails; said once until it is back.
    SharedCacheFailed { does: &'static str, problem: &'a str },
    /// The store of shared answers can be used again.
    SharedCacheBack { does: &'static str },
    /// A value in the store of shared answers is not used.
    SharedAnswerUnusable(&'static str),
}
