//! The faults that the issuer can simulate.

use std::time::Duration;

/// An endpoint that can have a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The metadata documents.
    Metadata,
    /// The key set.
    Jwks,
    /// The token endpoint.
    Token,
    /// The introspection endpoint (RFC 7662).
    Introspection,
    /// The revocation endpoint (RFC 7009).
    Revocation,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No fault.
    None,
    /// The good response, after a delay.
    Slow(Duration),
    /// No response at all.
    Hang,
    /// This status, with the good body. A number that is not from 100 to 999 counts as 500.
    Status(u16),
    /// Status 503 with `Retry-After` in seconds.
    Busy(u32),
    /// A redirect to this URL.
    Redirect(String),
    /// Status 200 and an HTML page.
    Html,
    /// Status 200 and a body that is not JSON.
    Garbage,
    /// The first half of the good body.
    Truncated,
    /// The header fields, and then one space per second without an end.
    Trickle,
    /// Status 200 and a JSON text that is longer than this number of octets.
    Oversize(usize),
    /// Status 200 and this body.
    Body(String),
    /// Status 200, this content type and this body.
    Typed(String, String),
    /// This status and this error code (RFC 6749 §5.2). A number that is not from 100 to 999 counts as 500.
    Error(u16, String),
    /// The good body with this content type. An empty text means no content type.
    ContentType(String),
}
