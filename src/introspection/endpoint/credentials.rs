//! Client credentials that are ready for use in a call, and the client assertions among them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use form_urlencoded::Serializer;
use http::HeaderValue;
use serde_json::json;

use crate::crypto::{SigningKey, random_octets};
use crate::introspection::endpoint::token_source::AnyTokenSource;

/// The lifetime of an assertion in seconds. Each is made for one call and used at once (RFC 7523
/// §3).
const ASSERTION_LIFETIME: u64 = 60;

/// `client_assertion_type` of a JWT (RFC 7523 §2.2).
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Client credentials that are ready for use in a call.
pub(crate) enum Credentials {
    Header(HeaderValue),
    BearerFile(PathBuf),
    BearerFrom(Arc<dyn AnyTokenSource>),
    Form { client_id: String, secret: Option<String> },
    Assertion(Box<Assertion>),
}

pub(crate) struct Assertion {
    pub(crate) client_id: String,
    pub(crate) key: SigningKey,
    pub(crate) key_id: Option<String>,
    pub(crate) audience: String,
}

impl Credentials {
    /// Adds the credentials to the form, or returns the header that contains them. Does neither for
    /// renewable tokens.
    ///
    /// # Errors
    /// When the system provides no randomness for an assertion.
    pub(crate) fn add_to(
        &self,
        form: &mut Serializer<'_, String>,
        now: Duration,
    ) -> Result<Option<HeaderValue>, &'static str> {
        match self {
            Self::Header(value) => return Ok(Some(value.clone())),
            // The caller reads the current token, because reading it may have to wait.
            Self::BearerFile(_) | Self::BearerFrom(_) => {}
            Self::Form { client_id, secret } => {
                form.append_pair("client_id", client_id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret);
                }
            }
            Self::Assertion(assertion) => {
                form.append_pair("client_id", &assertion.client_id);
                form.append_pair("client_assertion_type", JWT_BEARER);
                let signed = assertion.sign(now).ok_or("no randomness for an assertion")?;
                form.append_pair("client_assertion", &signed);
            }
        }
        Ok(None)
    }
}

impl Assertion {
    /// Signs a new assertion (RFC 7523 §3).
    fn sign(&self, now: Duration) -> Option<String> {
        let alg = self.key.algorithm().name();
        let header = match &self.key_id {
            Some(kid) => json!({ "alg": alg, "typ": "JWT", "kid": kid }),
            None => json!({ "alg": alg, "typ": "JWT" }),
        };
        let iat = now.as_secs();
        let claims = json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.audience,
            "jti": URL_SAFE_NO_PAD.encode(random_octets::<16>()?),
            "iat": iat,
            "exp": iat.saturating_add(ASSERTION_LIFETIME),
        });
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(input.as_bytes())?);
        Some(format!("{input}.{signature}"))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}
