//! The ways in which the issuer misbehaves.

use std::time::Duration;

/// An endpoint that can misbehave.
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

/// A way to misbehave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// None.
    None,
    /// The good answer, late.
    Slow(Duration),
    /// No answer ever.
    Hang,
    /// Another status, with the good body.
    Status(u16),
    /// Status 503, asking to be left alone for so many seconds (`Retry-After`).
    Busy(u32),
    /// A redirect to this URL.
    Redirect(String),
    /// Status 200 and a page of HTML.
    Html,
    /// Status 200 and octets that are no JSON.
    Garbage,
    /// Half of the good body.
    Truncated,
    /// The head of an answer, then one octet a second.
    Trickle,
    /// Status 200 and so many octets of JSON.
    Oversize(usize),
    /// Status 200 and this body.
    Body(String),
    /// Status 200, this content type and this body.
    Typed(String, String),
    /// This status and an error of this code (RFC 6749 §5.2).
    Error(u16, String),
    /// The good body with another content type, or none for an empty text.
    ContentType(String),
}
