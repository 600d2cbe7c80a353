//! Conversions from the types of the `jsonwebtoken` crate, for programs that already use them:
//! [`Issuer::jwk_set`], and `TryFrom` for [`Algorithm`].
//!
//! The conversions are only for configuration. `jsonwebtoken` never reads or verifies a token, and
//! this crate compiles none of its cryptography.

use jsonwebtoken::Algorithm as Theirs;
use jsonwebtoken::jwk::JwkSet;

use crate::config_error::ConfigError;
use crate::crypto::Algorithm;
use crate::issuer::Issuer;

impl TryFrom<Theirs> for Algorithm {
    type Error = ConfigError;

    /// Converts `EdDSA` to [`Algorithm::Ed25519`], because both crates support only this curve of
    /// EdDSA.
    ///
    /// # Errors
    /// Fails for an algorithm that this crate does not know. A later version of `jsonwebtoken` may
    /// add one.
    fn try_from(algorithm: Theirs) -> Result<Self, ConfigError> {
        Ok(match algorithm {
            Theirs::HS256 => Self::HS256,
            Theirs::HS384 => Self::HS384,
            Theirs::HS512 => Self::HS512,
            Theirs::ES256 => Self::ES256,
            Theirs::ES384 => Self::ES384,
            Theirs::RS256 => Self::RS256,
            Theirs::RS384 => Self::RS384,
            Theirs::RS512 => Self::RS512,
            Theirs::PS256 => Self::PS256,
            Theirs::PS384 => Self::PS384,
            Theirs::PS512 => Self::PS512,
            Theirs::EdDSA => Self::Ed25519,
            // A later version of `jsonwebtoken` may add algorithms. A guess by name could be wrong.
            other => return Err(ConfigError::one(format!("algorithm {other:?}: not known here"))),
        })
    }
}

impl Issuer {
    /// Uses a fixed set of keys that `jsonwebtoken` has parsed. This method needs the feature
    /// `jsonwebtoken`.
    ///
    /// If the JSON text is available, use [`jwks`](Self::jwks) instead: a `JwkSet` does not contain
    /// what `jsonwebtoken` does not know. For example, it replaces each `alg` that it does not know
    /// (`ES512`, `Ed25519`, ML-DSA) by one and the same value, so keys with such an `alg` are not
    /// used. The member `issuer` (Entra ID) and the members of a private key are lost. Secrets in
    /// the set are never used.
    ///
    /// ```
    /// use jsonwebtoken::jwk::JwkSet;
    /// use tower_resource_server::{Issuer, ResourceServer};
    /// use tower_resource_server::keys::Algorithm;
    ///
    /// let text = r#"{"keys":[
    ///     {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    /// ]}"#;
    /// let keys: JwkSet = serde_json::from_str(text)?;
    /// let algorithm = Algorithm::try_from(jsonwebtoken::Algorithm::EdDSA)?;
    /// let issuer = Issuer::new("https://as.example.com").algorithms([algorithm]);
    /// let build = |issuer: Issuer| {
    ///     ResourceServer::builder().issuer(issuer).audience("https://api.example.com").build()
    /// };
    /// assert!(build(issuer.clone().jwk_set(&keys)).is_ok());
    ///
    /// // A set without a usable key is refused, as it is from text.
    /// assert!(build(issuer.jwk_set(&JwkSet::default())).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn jwk_set(self, keys: &JwkSet) -> Self {
        // If the set cannot be written as JSON, the text is empty, and `build` refuses it.
        self.jwks(serde_json::to_vec(keys).unwrap_or_default())
    }
}
