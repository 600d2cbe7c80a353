//! Why a request was refused: facts for the operator, never a token, a key or a proof.
//!
//! An [`Error`] says what was found and what was expected. It does not say what the client gets:
//! that is one match in `rejection.rs`. Text of the other side is escaped and cut (see
//! [`Excerpt`]); `sub`, `jti`, `client_id` and other claims about people are never part of it.

use std::borrow::Cow;
use std::fmt;
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingCredentials => f.write_str("no credentials"),
            Self::UnsupportedScheme => f.write_str("credentials of another scheme than Bearer"),
            Self::MalformedCredentials => {
                f.write_str("the Authorization field is not `Bearer` followed by one token68")
            }
            Self::RepeatedCredentials => f.write_str("credentials given more than once"),
            Self::SeveralMethods => f.write_str("a token given by more than one method"),
            Self::TokenTooLarge { size, limit } => {
                write!(f, "the token has {size} bytes, more than the {limit} allowed")
            }
            Self::NotAJwt => f.write_str(
                "the token is no JWT, and no issuer is configured for opaque tokens; see \
                 `Issuer::introspection`",
            ),
            Self::EncryptedToken => f.write_str(
                "the token is encrypted (JWE), which is not supported: have the authorization \
                 server issue signed tokens for this audience",
            ),
            Self::MalformedToken { problem } => write!(f, "malformed JWT: {problem}"),
            Self::UnexpectedType { found, hint } => {
                match found {
                    Some(found) => write!(f, "typ is {found}, not `at+jwt`")?,
                    None => f.write_str("typ is absent, not `at+jwt`")?,
                }
                match hint {
                    Some(hint) => write!(f, ": {hint}"),
                    None => Ok(()),
                }
            }
            Self::UnacceptedAlgorithm { found, known: true } => {
                write!(f, "alg {found} is not accepted from this issuer; see `Issuer::algorithms`")
            }
            Self::UnacceptedAlgorithm { found, known: false } => {
                write!(f, "alg {found} is no algorithm this crate verifies")
            }
            Self::UntrustedIssuer { found, trusted } => write!(
                f,
                "iss {found} is no trusted issuer, trusted are {trusted}: issuers are compared byte \
                 by byte, a final slash counts"
            ),
            Self::UnknownKey { kid: Some(kid), algorithm } => {
                write!(f, "the issuer has no {algorithm} key with kid {kid}")
            }
            Self::UnknownKey { kid: None, algorithm } => {
                write!(f, "the token names no kid, and the issuer has no {algorithm} key that fits")
            }
            Self::BadSignature { algorithm } => write!(f, "the {algorithm} signature is wrong"),
            Self::MissingClaim { claim } => {
                write!(f, "claim `{claim}` is missing")?;
                f.write_str(if_missing(claim))
            }
            Self::MalformedClaim { claim } => {
                write!(f, "claim `{claim}` is malformed")?;
                f.write_str(if_malformed(claim))
            }
            Self::UnacceptedValue { claim } => {
                write!(
                    f,
                    "claim `{claim}` has none of the values that the issuer's profile requires"
                )
            }
            Self::Expired { exp, now, leeway } => {
                write!(f, "expired: exp {exp}, now {now}, leeway {leeway}")
            }
            Self::NotYetValid { nbf, now, leeway } => {
                write!(f, "not yet valid: nbf {nbf}, now {now}, leeway {leeway}")
            }
            Self::IssuedAhead { iat, now, leeway } => write!(
                f,
                "issued in the future: iat {iat}, now {now}, leeway {leeway}; compare the clocks"
            ),
            Self::TimeInMilliseconds { claim } => write!(
                f,
                "claim `{claim}` is beyond the year 5000: it seems to be in milliseconds, and has to \
                 be in seconds (RFC 7519 section 2)"
            ),
            Self::ForeignAudience { found, expected } => {
                write!(f, "aud is {found}, accepted are {expected}")
            }
            Self::AnotherKind { sign } => write!(f, "not an access token: {sign}"),
            Self::UnfitClaims { problem } => {
                write!(f, "the claims do not fit the type of the API: {problem}")
            }
            Self::UnconfirmedSender => f.write_str(
                "the token is sender-constrained (claim `cnf`), and nothing is configured that \
                 could confirm its sender",
            ),
            Self::Refused { reason } => write!(f, "refused by a validator: {reason}"),
            Self::Inactive => f.write_str(
                "introspection says that the token is not active, or refused it as one that it can't \
                 read: it has expired, was revoked, is of another authorization server or not an \
                 access token, or this API's client may not ask about it",
            ),
            Self::ContradictedByIntrospection { claim } => {
                write!(f, "introspection contradicts the token's `{claim}`")
            }
            Self::InsufficientScope { required, found, hint } => {
                let (required, found) = (Excerpt::of(&required.to_string()), shown_scope(found));
                write!(f, "the scope does not cover the route, which asks for {required}, ")?;
                match found {
                    Some(found) => write!(f, "and the token has {found}")?,
                    None => f.write_str("and the token has none")?,
                }
                match hint {
                    Some(hint) => write!(f, "; {hint}"),
                    None => Ok(()),
                }
            }
            Self::AccessDenied => f.write_str("a check of the route refused the token"),
            Self::UnknownPrincipal { claim } => {
                f.write_str(
                    "the route asks for a user, and nothing in the token tells one from a client",
                )?;
                if let Some(claim) = claim {
                    write!(f, " (its claim `{claim}` is not read)")?;
                }
                f.write_str(
                    ": name the client's claim by `Profile::client_claim`, a sign of a client's own \
                     token by `Profile::client_if_value` and the like, or a claim that only users have \
                     by `Profile::user_if_present`; for introspection answers, see `Profile::answers`",
                )
            }
            Self::KeysUnavailable { issuer, problem, retry_after } => {
                write!(f, "no key for the token could be fetched from issuer {issuer}")?;
                if let Some(problem) = problem {
                    write!(f, ": {}", problem.as_str())?;
                }
                write!(f, "; next try in {:.0} s", retry_after.as_secs_f64().ceil())
            }
            Self::IssuerUnavailable { issuer, .. } => {
                write!(f, "iss {issuer} is allowed, and could not be resolved")
            }
            Self::IntrospectionUnavailable { issuer, problem, .. } => {
                write!(f, "introspection at issuer {issuer} failed: {}", problem.as_str())
            }
            Self::FormTooLarge { limit } => write!(f, "the form has more than {limit} bytes"),
            Self::FormUnreadable => f.write_str("the form could not be read to its end"),
            Self::Wiring { fix } => f.write_str(fix),
        }
    }
}

/// The setting that helps where a claim is missing.
fn if_missing(claim: &str) -> &'static str {
    match claim {
        "aud" => {
            ": have the authorization server name this API in it; where another claim plays its part, \
             see `Profile::audience_claim` (`providers::cognito` needs no `aud`), and for \
             introspection answers without one `Introspection::audience_optional`"
        }
        "sub" | "client_id" | "iat" | "jti" => {
            ": RFC 9068 requires it; for a server that does not follow it, see `Profile::jwt` and \
             `providers`"
        }
        "exp" => ": a token without an end is never accepted",
        "iss" => ": the token names nobody by whose rules it could be judged",
        _ => ": the issuer's profile requires it",
    }
}

/// The same where a claim is malformed.
fn if_malformed(claim: &str) -> &'static str {
    match claim {
        "scope" | "scp" | "scopes" => {
            ": `Profile::scope_claim` reads one string, `Profile::scope_array_claim` an array of \
             strings without spaces"
        }
        "aud" => ": it is one string or an array of strings",
        "exp" | "nbf" | "iat" => ": it is a number of seconds",
        _ => "",
    }
}

/// Scopes for the log; none where there are none.
fn shown_scope(scope: &ScopeSet) -> Option<Excerpt> {
    (!scope.is_empty()).then(|| Excerpt::of(&scope.to_string()))
}

impl std::error::Error for Error {}
