//! Everything that is reported to the log and to the API's callback.

use crate::error::Error;
use crate::observe::event::Event;

/// Something to report. It contains only facts, never a token or a secret.
pub(crate) enum Occurrence<'a> {
    /// An event. The API's callback receives it, too.
    Event(&'a Event),
    /// A request was refused.
    Refused(&'a Error, u16),
    /// The API's resolver failed, or returned an invalid issuer.
    Unresolved { iss: &'a str, problem: &'a str },
    /// The configuration allows requests to this host over http.
    #[cfg(feature = "http-client")]
    HttpIsAllowed { issuer: &'a str, host: &'a str },
    /// A request over http contains a secret, or may contain one.
    #[cfg(feature = "http-client")]
    SecretByHttp { issuer: &'a str, secret: &'static str },
    /// Something happened in the introspection for an issuer.
    #[cfg(feature = "http-client")]
    Introspection { issuer: &'a str, what: Introspected<'a> },
}

/// What happened in the introspection for an issuer.
#[cfg(feature = "http-client")]
pub(crate) enum Introspected<'a> {
    /// A call failed. The line about the refused request has the details.
    Failed(&'a Error),
    /// Several calls in a row failed, or a probe failed, and the circuit breaker opens.
    Down(&'a Error),
    /// The endpoint answers again.
    Back,
    /// The endpoint failed, and a cached answer is used. No request is refused, so no other line reports
    /// the failure.
    StandsIn(&'a Error),
    /// The endpoint answered 400 for a token, with this error code.
    RefusedToken(&'static str),
    /// None of the first answers was "active". The value is their number.
    NeverActive(u32),
    /// A call was due outside a tokio runtime, so it could not run.
    NoRuntime,
    /// The shared cache fails. Not reported again until the cache has worked again.
    SharedCacheFailed { does: &'static str, problem: &'a str },
    /// The shared cache works again.
    SharedCacheBack { does: &'static str },
    /// A value in the shared cache is not usable.
    SharedAnswerUnusable(&'static str),
}
