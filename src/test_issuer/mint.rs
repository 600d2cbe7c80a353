//! Tokens for tests: good tokens, and any kind of bad token.

use std::fmt;

use serde_json::{Map, Value, json};

use super::dress::Dress;
use super::issuer::TestIssuer;
use super::keys::{self, encode};
use super::prover::TestProver;
use crate::crypto::{Algorithm, sha256};

/// Builds a token; see [`TestIssuer::token`]. The default is a good access token by RFC 9068 for
/// the audience `https://api.example.com`, without a scope.
#[must_use = "a builder mints nothing until `sign`"]
pub struct TokenBuilder<'a> {
    issuer: &'a TestIssuer,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<String>,
    raw_payload: Option<Vec<u8>>,
    key: Option<String>,
    secret: Option<Vec<u8>>,
    dress: Dress,
}

impl TestIssuer {
    /// Starts a token; see [`TokenBuilder`]. If the server has another audience or a provider's
    /// profile, use [`token_for`](TestIssuer::token_for), which sets the claims that the server
    /// requires.
    pub fn token(&self) -> TokenBuilder<'_> {
        TokenBuilder::new(self)
    }
}

impl<'a> TokenBuilder<'a> {
    pub(crate) fn new(issuer: &'a TestIssuer) -> Self {
        let now = issuer.now();
        let claims = json!({
            "iss": issuer.url(),
            "sub": "alice",
            "aud": "https://api.example.com",
            "client_id": "app",
            "iat": now,
            "exp": now + 300,
            "jti": keys::random_text(16),
        });
        Self {
            issuer,
            header: object(json!({ "typ": "at+jwt" })),
            claims: object(claims),
            raw_header: None,
            raw_payload: None,
            key: None,
            secret: None,
            dress: Dress::default(),
        }
    }

    pub(super) fn dressed(mut self, typ: &str, claims: Map<String, Value>, dress: Dress) -> Self {
        self.header.insert("typ".to_owned(), typ.into());
        self.claims = claims;
        self.dress = dress;
        self
    }

    /// Sets `aud`, or the claim that replaces it in a token from
    /// [`token_for`](TestIssuer::token_for).
    pub fn audience(self, audience: &str) -> Self {
        let name = self.dress.audience.clone();
        self.claim(&name, audience)
    }

    /// Sets `scope`, or the claim that replaces it in a token from
    /// [`token_for`](TestIssuer::token_for), in that claim's form.
    pub fn scope(self, scope: &str) -> Self {
        let (name, scope) = (self.dress.scope.clone(), self.dress.scope(scope));
        self.claim(&name, scope)
    }

    /// Sets `sub`.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Sets any claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Binds the token to the client certificate whose DER encoding is `der` (`cnf` with `x5t#S256`, RFC
    /// 8705 §3.1). The introspection answer about an opaque token has the same claim (§3.2).
    pub fn bound_to_certificate(self, der: impl AsRef<[u8]>) -> Self {
        self.claim("cnf", json!({ "x5t#S256": encode(sha256(der.as_ref())) }))
    }

    /// Binds the token to the key of a client (`cnf` with `jkt`, RFC 9449 §6.1). The introspection answer about an
    /// opaque token has the same claim (§6.2).
    pub fn bound_to_key(self, client: &TestProver) -> Self {
        self.claim("cnf", json!({ "jkt": client.thumbprint() }))
    }

    /// Sets `exp` to this number of seconds from now. A negative number is in the past.
    ///
    /// A server accepts a token until 60 s after its `exp`, unless
    /// [`Builder::leeway`](crate::builder::Builder::leeway) or [`Issuer::leeway`](crate::Issuer::leeway) is
    /// set. So `expires_in(-10)` is still valid, and `expires_in(-61)` is not.
    pub fn expires_in(self, seconds: i64) -> Self {
        let exp = self.issuer.now().saturating_add_signed(seconds);
        self.claim("exp", exp)
    }

    /// Sets any member of the header, including `alg` and `kid`. This does not change the signing
    /// key.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a member of the header that is set by default.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.insert(name.to_owned(), Value::Null);
        self
    }

    /// Uses this text as the header, even if the text is not valid JSON.
    pub fn raw_header(mut self, header: &str) -> Self {
        self.raw_header = Some(header.to_owned());
        self
    }

    /// Uses these octets as the claims, even if they are not valid JSON.
    pub fn raw_payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.raw_payload = Some(payload.into());
        self
    }

    /// Signs with the issuer's key that has this kid. The default is the newest key.
    pub fn key(mut self, kid: &str) -> Self {
        self.key = Some(kid.to_owned());
        self
    }

    /// Signs with HMAC and these octets as the secret. The octets may be those of a public key. The default of
    /// `alg` is then the algorithm of the issuer's key if this key is an HMAC secret, and HS256 otherwise.
    pub fn hmac_key(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Mints the token. If the issuer's key can't sign with the `alg` of the header, the key signs with its
    /// own algorithm.
    ///
    /// # Panics
    /// If the issuer has no such key. Also if [`hmac_key`](Self::hmac_key) is set, and [`header`](Self::header)
    /// sets `alg` to an algorithm with a public key.
    pub fn sign(self) -> String {
        let kid = self.key.as_deref();
        let mut header = self.header;
        let signed = |algorithm: Option<Algorithm>, input: &[u8]| match &self.secret {
            Some(secret) => keys::hmac_with(algorithm.unwrap_or(Algorithm::HS256), secret, input),
            None => self.issuer.sign_with(kid, algorithm, input),
        };
        let (own_kid, own_algorithm) = self.issuer.key_of(kid);
        let default = match &self.secret {
            Some(_) if !own_algorithm.is_hmac() => Algorithm::HS256,
            _ => own_algorithm,
        };
        header.entry("alg").or_insert_with(|| json!(default.name()));
        header.entry("kid").or_insert_with(|| json!(own_kid));
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::from_name);
        header.retain(|_, value| !value.is_null());
        let header = self.raw_header.unwrap_or_else(|| Value::Object(header).to_string());
        let payload =
            self.raw_payload.unwrap_or_else(|| Value::Object(self.claims).to_string().into_bytes());
        let input = format!("{}.{}", encode(header), encode(payload));
        let signature = signed(
            algorithm.filter(|named| self.issuer.can(kid, *named) || self.secret.is_some()),
            input.as_bytes(),
        );
        let token = format!("{input}.{}", encode(signature));
        self.issuer.shared.state().tokens.remember_jwt(&token);
        token
    }

    /// Mints an opaque token: a random text whose meaning only the issuer knows (RFC 7662). Settings of
    /// the header and the key have no effect, and neither has [`raw_payload`](Self::raw_payload).
    pub fn opaque(self) -> String {
        // 256 bits: RFC 6750 §5.2 requires tokens that can't be guessed, and RFC 6749 §10.10 requires at
        // least 128 bits.
        let handle = keys::random_text(32);
        self.issuer.shared.state().tokens.remember_handle(&handle, self.claims);
        handle
    }
}

impl fmt::Debug for TokenBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("issuer", &self.issuer)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
