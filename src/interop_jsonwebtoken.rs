//! Conversions from the types of the `jsonwebtoken` crate, for programs that have them already:
//! [`Issuer::jwk_set`], and `TryFrom` for [`Algorithm`].
//!
//! They give this crate configuration and nothing else: no token is ever read or verified by
//! `jsonwebtoken`, and none of its cryptography is compiled in.

use jsonwebtoken::Algorithm as Theirs;
use jsonwebtoken::jwk::JwkSet;

use crate::config_error::ConfigError;
use crate::crypto::Algorithm;
use crate::issuer::Issuer;

impl TryFrom<Theirs> for Algorithm {
    type Error = ConfigError;

    /// Their `EdDSA` is [`Algorithm::Ed25519`], the only one of its curves that either crate has.
    ///
    /// # Errors
    /// For an algorithm that a later version of `jsonwebtoken` adds and this crate does not know.
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
            // Theirs may grow; a guess by its name could take a new one for another.
            other => return Err(ConfigError::one(format!("algorithm {other:?}: not known here"))),
        })
    }
}

impl Issuer {
    /// Uses a fixed set of keys that `jsonwebtoken` has read; it needs the feature `jsonwebtoken`.
    ///
    /// Where the text is at hand, [`jwks`](Self::jwks) is better: a `JwkSet` has dropped what that
    /// crate does not know. A key whose `alg` it has no name for (`ES512`, `Ed25519`, ML-DSA) can't
    /// be told from any other such key, and is not used. A member `issuer` (Entra ID) is lost, and
    /// so is any sign of a private key. Secrets in the set are never used.
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
        // What can't be written is left empty, which `build` refuses as no key set.
        self.jwks(serde_json::to_vec(keys).unwrap_or_default())
    }
}
