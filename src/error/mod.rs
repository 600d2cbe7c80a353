//! Why a request was refused: facts for the operator, never a token, a key or a proof.
//!
//! An [`Error`] says what was found and what was expected. It does not say what the client gets:
//! that is one match in `rejection.rs`. Text of the other side is escaped and cut (see
//! [`Excerpt`]); `sub`, `jti`, `client_id` and other claims about people are never part of it.

mod code;
mod display;

use std::borrow::Cow;
use std::time::Duration;

use crate::crypto::Algorithm;
use crate::token::{Excerpt, NumericDate, ScopeSet};

/// Why a request was refused. It rides in the extensions of the refusal's response, for a layer
/// outside to log or count.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The request carries no credentials (RFC 6750 §3.1).
    MissingCredentials,
    /// The request carries credentials of a scheme that is not ours (RFC 6750 §3.1).
    UnsupportedScheme,
    /// The `Authorization` field is not `Bearer` and one token68 (RFC 6750 §2.1).
    MalformedCredentials,
    /// The request has several `Authorization` lines or several `access_token` parameters.
    RepeatedCredentials,
    /// The request carries a token by more than one method (RFC 6750 §2).
    SeveralMethods,

    /// The token is longer than the limit, in bytes.
    TokenTooLarge {
        /// The token's length.
        size: usize,
        /// The length allowed.
        limit: usize,
    },
    /// The token is not a compact JWS of three parts, and no introspection is configured for it.
    NotAJwt,
    /// The token has five parts: it is encrypted (RFC 7516), which is not supported.
    EncryptedToken,
    /// The JWS is malformed (RFC 7515 §5.2).
    MalformedToken {
        /// What is wrong with it, in fixed words.
        problem: &'static str,
    },
    /// The header's `typ` is not that of an access token (RFC 9068 §4, RFC 8725 §3.11).
    UnexpectedType {
        /// The `typ` found, if any.
        found: Option<Excerpt>,
        /// The setting that would accept it, where there is one.
        hint: Option<&'static str>,
    },
    /// The header's `alg` is not on the issuer's list (RFC 8725 §3.1).
    UnacceptedAlgorithm {
        /// The `alg` found.
        found: Excerpt,
        /// Whether this crate knows the name, so that listing it would help.
        known: bool,
    },
    /// The token's `iss` is none of the trusted issuers (RFC 9068 §4).
    UntrustedIssuer {
        /// The `iss` found.
        found: Excerpt,
        /// The issuers that are trusted, from the configuration.
        trusted: Excerpt,
    },
    /// The issuer's key set has no key that fits the token's `kid` and `alg`.
    UnknownKey {
        /// The `kid` found, if any.
        kid: Option<Excerpt>,
        /// The token's algorithm.
        algorithm: Algorithm,
    },
    /// The signature does not verify with the key that the token names.
    BadSignature {
        /// The token's algorithm.
        algorithm: Algorithm,
    },

    /// A required claim is missing.
    MissingClaim {
        /// The claim's name.
        claim: Cow<'static, str>,
    },
    /// A claim has a type or a form that its definition does not allow.
    MalformedClaim {
        /// The claim's name.
        claim: Cow<'static, str>,
    },
    /// A claim has none of the values that the issuer's profile requires, or the one that stands for
    /// the audience is none of ours.
    UnacceptedValue {
        /// The claim's name.
        claim: Cow<'static, str>,
    },
    /// The token is past its `exp` (RFC 7519 §4.1.4).
    Expired {
        /// The token's `exp`.
        exp: NumericDate,
        /// Our time.
        now: NumericDate,
        /// The leeway, in seconds.
        leeway: u64,
    },
    /// The token is before its `nbf` (RFC 7519 §4.1.5).
    NotYetValid {
        /// The token's `nbf`.
        nbf: NumericDate,
        /// Our time.
        now: NumericDate,
        /// The leeway, in seconds.
        leeway: u64,
    },
    /// The token's `iat` lies further ahead than clocks differ (RFC 7519 §4.1.6).
    IssuedAhead {
        /// The token's `iat`.
        iat: NumericDate,
        /// Our time.
        now: NumericDate,
        /// The leeway, in seconds.
        leeway: u64,
    },
    /// A time lies beyond the year 5000: it is written in milliseconds (RFC 7519 §2 has seconds).
    TimeInMilliseconds {
        /// The claim's name.
        claim: &'static str,
    },
    /// None of the token's audiences is this resource server (RFC 9068 §4).
    ForeignAudience {
        /// The audiences found.
        found: Excerpt,
        /// The audiences accepted.
        expected: Excerpt,
    },
    /// The token is of another kind than an access token: an ID token, say.
    AnotherKind {
        /// The sign by which it was told.
        sign: &'static str,
    },
    /// The verified claims do not fit the type that the API asked for.
    UnfitClaims {
        /// Which claim does not fit. Neither its value nor a name inside it is told.
        problem: Excerpt,
    },
    /// The token is bound to a key or a certificate (`cnf`, RFC 7800), which this server cannot
    /// confirm.
    UnconfirmedSender,
    /// A validator of the API refused the token.
    Refused {
        /// The validator's words.
        reason: Cow<'static, str>,
    },

    /// The authorization server says that the token is not active (RFC 7662 §2.2).
    Inactive,
    /// Introspection says something else about the token than the token itself does.
    ContradictedByIntrospection {
        /// The claim that differs.
        claim: &'static str,
    },

    /// The token's scope does not cover what the route asks for (RFC 6750 §3.1).
    InsufficientScope {
        /// All scopes that the route names, as in the challenge.
        required: ScopeSet,
        /// The token's scope.
        found: ScopeSet,
        /// What may be wrong with the configuration: the token has another claim for its scope than
        /// the profile reads.
        hint: Option<&'static str>,
    },
    /// A check of the route refused the token for another reason than scope.
    AccessDenied,
    /// The route asks for a user, and nothing in the token tells a user from a client.
    UnknownPrincipal {
        /// A claim of the token that seems to name the client, and that the issuer's profile does
        /// not read.
        claim: Option<&'static str>,
    },

    /// No usable keys of the issuer are at hand, and the issuer does not answer.
    KeysUnavailable {
        /// The issuer's name, from the configuration.
        issuer: Excerpt,
        /// Why the last fetch brought none, where one was made.
        problem: Option<Excerpt>,
        /// When to try again.
        retry_after: Duration,
    },
    /// The issuer of a tenant could not be resolved.
    IssuerUnavailable {
        /// The `iss` found.
        issuer: Excerpt,
        /// When to try again.
        retry_after: Duration,
    },
    /// Introspection did not answer, or not in a way that can be trusted.
    IntrospectionUnavailable {
        /// The issuer's name, from the configuration.
        issuer: Excerpt,
        /// What went wrong.
        problem: Excerpt,
        /// When to try again.
        retry_after: Duration,
    },

    /// The body of a form request is longer than the form method buffers, in bytes.
    FormTooLarge {
        /// The length allowed.
        limit: usize,
    },
    /// The body of a form request ended early.
    FormUnreadable,

    /// The layers of the API are put together wrongly; the text names the fix.
    Wiring {
        /// What to change in the API's code.
        fix: Cow<'static, str>,
    },
}

impl std::error::Error for Error {}
