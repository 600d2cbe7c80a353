//! The reason for a refused request: facts for the operator, never a token, a key or a proof.
//!
//! An [`Error`] tells what was found and what was expected. `rejection/mod.rs` maps it to a response, in one match.
//! Text from the token or the network is escaped and truncated (see [`Excerpt`]). An error never contains `sub`, `jti`,
//! `client_id` or other claims about people.

mod code;
mod display;

use std::borrow::Cow;
use std::time::Duration;

use crate::crypto::Algorithm;
use crate::token::{Excerpt, NumericDate, ScopeSet};

/// The reason for a refused request. The extensions of the response contain it, so that a layer
/// outside can log or count it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use tower::{Layer as _, ServiceExt as _, service_fn};
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::{Error, Issuer, ResourceServer};
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
///     .audience("https://api.example.com")
///     .build()?;
/// let hello = service_fn(|_: Request<()>| async {
///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// });
/// let service = api.layer().layer(hello);
///
/// let token = issuer.token().expires_in(-600).sign();
/// let request = Request::get("/").header("authorization", format!("Bearer {token}"));
/// let response = service.clone().oneshot(request.body(())?).await?;
/// let error = response.extensions().get::<Error>().ok_or("not refused")?;
/// assert!(matches!(error, Error::Expired { leeway: 60, .. }), "{error}");
/// assert_eq!(error.code(), "expired");
///
/// // The response to a valid token has no error.
/// let token = issuer.token().sign();
/// let request = Request::get("/").header("authorization", format!("Bearer {token}"));
/// let response = service.oneshot(request.body(())?).await?;
/// assert!(response.extensions().get::<Error>().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The request has no credentials (RFC 6750 §3.1).
    MissingCredentials,
    /// The scheme of the credentials is not one that this server accepts (RFC 6750 §3.1).
    UnsupportedScheme,
    /// The `Authorization` field is not a scheme followed by one token68 (RFC 6750 §2.1, RFC 9449 §7.1).
    MalformedCredentials,
    /// The request has several `Authorization` lines, several `access_token` parameters, or several
    /// WebSocket subprotocols with a token.
    RepeatedCredentials,
    /// The request sends a token by more than one method (RFC 6750 §2).
    SeveralMethods,
    /// The subprotocol with the token of a WebSocket handshake is malformed, or is the only one. See
    /// [`Builder::websocket_token`](crate::builder::Builder::websocket_token).
    MalformedWebSocketToken {
        /// The problem, as a fixed text.
        problem: &'static str,
    },

    /// The token has more bytes than the limit allows.
    TokenTooLarge {
        /// The token's length, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The token is not a compact JWS of three parts, and introspection is not configured for it.
    NotAJwt,
    /// The token has five parts: it is encrypted (RFC 7516), which is not supported.
    EncryptedToken,
    /// The JWS is malformed (RFC 7515 §5.2).
    MalformedToken {
        /// The problem, as a fixed text.
        problem: &'static str,
    },
    /// The header's `typ` is not that of an access token (RFC 9068 §4, RFC 8725 §3.11).
    UnexpectedType {
        /// The `typ` found, if any.
        found: Option<Excerpt>,
        /// The setting that would accept it, if there is one.
        hint: Option<&'static str>,
    },
    /// The header's `alg` is not on the issuer's list (RFC 8725 §3.1).
    UnacceptedAlgorithm {
        /// The `alg` found.
        found: Excerpt,
        /// Whether this crate supports the algorithm. If so, `Issuer::algorithms` can list it.
        known: bool,
    },
    /// The token's `iss` is not a trusted issuer (RFC 9068 §4).
    UntrustedIssuer {
        /// The `iss` found.
        found: Excerpt,
        /// The trusted issuers, from the configuration.
        trusted: Excerpt,
    },
    /// The issuer's key set has no key for the token's `kid` and `alg`.
    UnknownKey {
        /// The `kid` found, if any.
        kid: Option<Excerpt>,
        /// The token's algorithm.
        algorithm: Algorithm,
    },
    /// The signature is not valid for any key that fits the token's `kid` and `alg`.
    BadSignature {
        /// The token's algorithm.
        algorithm: Algorithm,
    },

    /// A required claim is missing.
    MissingClaim {
        /// The claim's name.
        claim: Cow<'static, str>,
    },
    /// A claim has a type or a format that its definition does not allow.
    MalformedClaim {
        /// The claim's name.
        claim: Cow<'static, str>,
    },
    /// A claim has none of the values that the issuer's profile requires. Or the profile reads the audience from this
    /// claim instead of `aud`, and the claim does not name this API.
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
    /// The token's `iat` is in the future by more than the leeway (RFC 7519 §4.1.6).
    IssuedAhead {
        /// The token's `iat`.
        iat: NumericDate,
        /// Our time.
        now: NumericDate,
        /// The leeway, in seconds.
        leeway: u64,
    },
    /// A time is after the year 5000, so it is probably in milliseconds. RFC 7519 §2 requires seconds.
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
    /// The token is not an access token but, for example, an ID token.
    AnotherKind {
        /// The property that shows it.
        sign: &'static str,
    },
    /// The verified claims do not fit the API's type of claims.
    UnfitClaims {
        /// The claim that does not fit. The text contains neither its value nor a name inside it.
        problem: Excerpt,
    },
    /// The token is bound to a key (`cnf`, RFC 7800), and this server can't confirm that the client has this key. Or
    /// this crate knows nothing of what is in `cnf`.
    UnconfirmedSender,
    /// The token is bound to a client certificate (`x5t#S256`, RFC 8705 §3.1), and no certificate of the
    /// client is known.
    MissingCertificate,
    /// The token is bound to a client certificate, and a peer that is not trusted sent the configured header. The
    /// header is not read.
    UntrustedProxy {
        /// The name of the header.
        header: Excerpt,
    },
    /// The token is bound to a client certificate, and the client has another one (RFC 8705 §3).
    ForeignCertificate,
    /// A trusted proxy sent a header with the client's certificate that is malformed or repeated.
    MalformedCertificate {
        /// The name of the header.
        header: Excerpt,
        /// The problem, as a fixed text.
        problem: &'static str,
    },
    /// The token is bound to a key (`jkt`, RFC 9449 §6.1), but was sent with the scheme `Bearer`, as by a thief who
    /// does not have the key (§7.2).
    BoundTokenAsBearer,
    /// The token was sent with the scheme `DPoP`, but is not bound to a key (RFC 9449 §7.1).
    UnboundToken,
    /// The token was sent with the scheme `DPoP`, without a proof (RFC 9449 §7.1).
    MissingProof,
    /// The proof does not pass a check of RFC 9449 §4.3.
    InvalidProof {
        /// The problem, as a fixed text.
        problem: &'static str,
    },
    /// The proof is for another URL (`htu`, RFC 9449 §4.3).
    ForeignProofUrl {
        /// The URL in the proof.
        found: Excerpt,
        /// The URL of the request, from the configured public URL and the path.
        expected: Excerpt,
    },
    /// The proof is too old, or too far in the future, by its `iat` (RFC 9449 §11.1).
    ProofOutOfTime {
        /// The `iat` of the proof.
        iat: NumericDate,
        /// Our time.
        now: NumericDate,
        /// How old a proof may be, in seconds.
        past: u64,
        /// How far in the future a proof may be, in seconds.
        ahead: u64,
    },
    /// The proof needs a fresh nonce of this server (RFC 9449 §9).
    NonceRequired {
        /// The problem, as a fixed text.
        problem: &'static str,
    },
    /// The proof was used before (RFC 9449 §11.1).
    ReplayedProof,
    /// The proof is valid, but the token is bound to another key (RFC 9449 §4.3).
    ForeignProofKey,
    /// A validator of the API refused the token.
    Refused {
        /// The validator's reason.
        reason: Cow<'static, str>,
    },

    /// The authorization server says that the token is not active (RFC 7662 §2.2).
    Inactive,
    /// The introspection answer contradicts the token.
    ContradictedByIntrospection {
        /// The claim that differs.
        claim: &'static str,
    },

    /// The token's scope does not cover the route (RFC 6750 §3.1).
    InsufficientScope {
        /// The scopes that the challenge names: all scopes of one branch of the policy.
        required: ScopeSet,
        /// The token's scope.
        found: ScopeSet,
        /// A possible mistake in the configuration: the token has its scope in a claim that the profile does not read.
        hint: Option<&'static str>,
    },
    /// The token does not meet a condition of the route, for a reason other than scope or login.
    AccessDenied {
        /// The condition. It contains no value of a claim.
        requires: Excerpt,
    },
    /// The route requires another or a more recent login of the user (RFC 9470 §3).
    InsufficientUserAuthentication {
        /// The accepted values of `acr`, separated by spaces, in the order of preference.
        acr_values: Option<Box<str>>,
        /// The accepted age of the login, in seconds.
        max_age: Option<u64>,
        /// When the user logged in, if the token shows it.
        auth_time: Option<NumericDate>,
    },
    /// The route requires a more recent token.
    TokenTooOld {
        /// The token's `iat`, if it has one.
        iat: Option<NumericDate>,
        /// Our time.
        now: NumericDate,
        /// The accepted age, in seconds.
        limit: u64,
    },
    /// The server or the route requires a token that is bound to a key or a certificate.
    SenderNotConstrained,
    /// The server, the issuer or the route requires a token that is bound to a key (DPoP).
    KeyNotBound,
    /// The route requires a user, but the token does not show whether it was issued to a user or to a client.
    UnknownPrincipal {
        /// A claim that seems to name the client, but that the issuer's profile does not read.
        claim: Option<&'static str>,
    },

    /// No usable keys of the issuer are available, and none could be fetched.
    KeysUnavailable {
        /// The issuer's name, from the configuration.
        issuer: Excerpt,
        /// Why the last fetch failed, if there was one.
        problem: Option<Excerpt>,
        /// How long the client should wait before it tries again.
        retry_after: Duration,
    },
    /// The resolver could not resolve the issuer of a tenant.
    IssuerUnavailable {
        /// The `iss` found.
        issuer: Excerpt,
        /// How long the client should wait before it tries again.
        retry_after: Duration,
    },
    /// The introspection endpoint did not answer, its answer can't be trusted, or the call was not made, for example
    /// because the circuit breaker is open.
    IntrospectionUnavailable {
        /// The issuer's name, from the configuration.
        issuer: Excerpt,
        /// The problem.
        problem: Excerpt,
        /// How long the client should wait before it tries again.
        retry_after: Duration,
    },

    /// The store of used proofs did not answer, is full, or can't be relied on.
    ReplayStoreUnavailable {
        /// The problem.
        problem: Excerpt,
        /// How long the client should wait before it tries again.
        retry_after: Duration,
    },

    /// The client has used its share of the store of used proofs. Other clients are not affected.
    TooManyProofs {
        /// How long the client should wait before it tries again.
        retry_after: Duration,
    },

    /// A check or a loader of the API could not look up what it needs.
    LookupUnavailable {
        /// The problem, in the API's words.
        problem: Excerpt,
        /// How long the client should wait before it tries again.
        retry_after: Duration,
    },

    /// The body of a form request has more bytes than the form layer buffers.
    FormTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body of a form request could not be read to its end.
    FormUnreadable,

    /// The `Origin` of the request is not an accepted origin (MCP).
    ForeignOrigin {
        /// The origin found. Empty if there are several.
        found: Excerpt,
    },
    /// The body of the request is not a message, or programs could read it in different ways (MCP).
    MalformedMessage {
        /// The problem, as a fixed text.
        problem: &'static str,
    },
    /// A header does not agree with the message in the body (MCP 2026-07-28).
    HeaderMismatch {
        /// The name of the header.
        header: &'static str,
    },
    /// The body of the request has more bytes than the MCP layer reads.
    MessageTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The client took too long to send the body of the request.
    MessageTooSlow,

    /// The API's code combines layers, servers or types of claims wrongly.
    Wiring {
        /// The change that the API's code needs.
        fix: Cow<'static, str>,
    },
}

impl std::error::Error for Error {}
