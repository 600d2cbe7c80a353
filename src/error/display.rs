//! The text of each error, for the log.

use std::fmt;

use crate::error::Error;
use crate::token::{Excerpt, ScopeSet};

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingCredentials => f.write_str("no credentials"),
            Self::UnsupportedScheme => f.write_str("credentials of a scheme that is not accepted"),
            Self::MalformedCredentials => {
                f.write_str("the Authorization field is not a scheme followed by one token68")
            }
            Self::RepeatedCredentials => f.write_str("credentials given more than once"),
            Self::SeveralMethods => f.write_str("a token sent by more than one method"),
            Self::MalformedWebSocketToken { problem } => {
                write!(f, "malformed token in Sec-WebSocket-Protocol: {problem}")
            }
            Self::TokenTooLarge { size, limit } => {
                write!(f, "the token has {size} bytes, more than the {limit} allowed")
            }
            Self::NotAJwt => f.write_str(
                "the token is not a JWT, and no issuer is configured for opaque tokens; see \
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
                write!(f, "alg {found} is not supported by this crate")
            }
            Self::UntrustedIssuer { found, trusted } => write!(
                f,
                "iss {found} is not a trusted issuer, trusted are {trusted}: issuers are compared byte \
                 by byte, and a final slash matters"
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
                    "claim `{claim}` has none of the values that are accepted from this issuer: \
                     those of its profile (`Profile::require_value`), or the API's audiences where \
                     `Profile::audience_claim` names this claim"
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
                "the token is sender-constrained (claim `cnf`), and this server cannot confirm its \
                 sender; if it is bound to a key (`jkt`), see `manual::dpop` (feature `dpop`)",
            ),
            Self::BoundTokenAsBearer => {
                f.write_str("the token is bound to a key, and was sent with the scheme Bearer, not DPoP")
            }
            Self::UnboundToken => f.write_str(
                "the token was sent with the scheme DPoP, and is not bound to a key (claim `cnf.jkt`)",
            ),
            Self::MissingProof => f.write_str("the request has no proof (field `DPoP`)"),
            Self::InvalidProof { problem } => write!(f, "invalid proof: {problem}"),
            Self::ForeignProofUrl { found, expected } => write!(
                f,
                "the proof is for the URL {found}, and the request is for {expected}: if clients use \
                 that URL, correct the public URL of `Dpop` or its `mounted_at`"
            ),
            Self::ProofOutOfTime { iat, now, past, ahead } => write!(
                f,
                "the proof is out of time: iat {iat}, now {now}, accepted from {past} s in the past to \
                 {ahead} s in the future; for clients with a wrong clock, see `Nonces::on_clock_skew`"
            ),
            Self::NonceRequired { problem } => write!(f, "the proof needs a fresh nonce: {problem}"),
            Self::ReplayedProof => f.write_str("the proof was used before"),
            Self::ForeignProofKey => {
                f.write_str("the token is bound to another key than that of the proof")
            }
            Self::MissingCertificate => f.write_str(
                "the token is bound to a client certificate, and the request has none: the connection \
                 has no `ClientCertificate`, and no header of a trusted proxy has one; see \
                 `manual::mtls` (feature `mtls`)",
            ),
            Self::UntrustedProxy { header } => write!(
                f,
                "the token is bound to a client certificate, and the header {header} is not read, because \
                 the peer is not one of the `TrustedPeers`, or the request has no `PeerAddress`"
            ),
            Self::ForeignCertificate => f.write_str(
                "the token is bound to a client certificate, and the client has another one",
            ),
            Self::MalformedCertificate { header, problem } => {
                write!(f, "the header {header} with the client's certificate is malformed: {problem}")
            }
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
            Self::AccessDenied { requires } => write!(f, "the route requires {requires}"),
            Self::InsufficientUserAuthentication { acr_values, max_age, auth_time } => {
                f.write_str("the login does not suffice for the route, which asks for")?;
                if let Some(values) = acr_values {
                    write!(f, " acr {}", Excerpt::of(values))?;
                }
                if let Some(seconds) = max_age {
                    write!(f, " max_age {seconds}")?;
                    match auth_time {
                        Some(time) => write!(f, " (auth_time {time})")?,
                        None => f.write_str(" (no auth_time)")?,
                    }
                }
                Ok(())
            }
            Self::TokenTooOld { iat, now, limit } => {
                write!(f, "the route requires a token of at most {limit} s: ")?;
                match iat {
                    Some(iat) => write!(f, "iat {iat}, now {now}"),
                    None => f.write_str("it has no iat"),
                }
            }
            Self::SenderNotConstrained => {
                f.write_str("a sender-constrained token (claim `cnf`) is required")
            }
            Self::KeyNotBound => {
                f.write_str("a token that is bound to a key (DPoP, claim `cnf.jkt`) is required")
            }
            Self::TooManyProofs { .. } => {
                f.write_str("the client has used its share of the store of used proofs")
            }
            Self::ReplayStoreUnavailable { problem, .. } => {
                write!(f, "the store of used proofs can't be used: {}", problem.as_str())
            }
            Self::LookupUnavailable { problem, .. } => {
                write!(f, "a lookup of the API failed: {}", problem.as_str())
            }
            Self::UnknownPrincipal { claim } => {
                f.write_str(
                    "the route requires a user, and the token does not show whether a user or a client acts",
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
                write!(f, "iss {issuer} is allowed, but could not be resolved")
            }
            Self::IntrospectionUnavailable { issuer, problem, .. } => {
                write!(f, "introspection at issuer {issuer} failed: {}", problem.as_str())
            }
            Self::FormTooLarge { limit } => write!(f, "the form has more than {limit} bytes"),
            Self::ForeignOrigin { found } => {
                write!(f, "the request comes from the web page of another origin, {found}: see McpPolicy::allow_origin")
            }
            Self::MalformedMessage { problem } => write!(f, "the message is malformed: {problem}"),
            Self::HeaderMismatch { header } => {
                write!(f, "the header `{header}` does not agree with the message")
            }
            Self::MessageTooLarge { limit } => {
                write!(f, "the message has more than {limit} bytes")
            }
            Self::MessageTooSlow => f.write_str("the client took too long to send the message"),
            Self::FormUnreadable => f.write_str("the form could not be read to its end"),
            Self::Wiring { fix } => f.write_str(fix),
        }
    }
}

/// The setting that helps if a claim is missing.
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
        "exp" => ": a token that never expires is not accepted",
        "iss" => ": without it, no issuer can validate the token",
        _ => ": the issuer's profile requires it",
    }
}

/// The setting that helps if a claim is malformed.
fn if_malformed(claim: &str) -> &'static str {
    match claim {
        "scope" | "scp" | "scopes" => {
            ": `Profile::scope_claim` reads one string, `Profile::scope_array_claim` an array of \
             strings without spaces"
        }
        "aud" => ": it is one string or an array of strings",
        "exp" | "nbf" | "iat" => ": it is a number of seconds",
        "cnf" => {
            ": it is an object with one key, and its `x5t#S256` and `jkt` are base64url of 32 octets"
        }
        _ => "",
    }
}

/// Scopes for the log. `None` if there are none.
fn shown_scope(scope: &ScopeSet) -> Option<Excerpt> {
    (!scope.is_empty()).then(|| Excerpt::of(&scope.to_string()))
}
