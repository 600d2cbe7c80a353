//! How this server authenticates itself to the authorization server (RFC 7662 §2.1, RFC 6749 §2.3).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use http::HeaderValue;

use crate::crypto::{Algorithm, KeyFault, SigningKey};
use crate::introspection::endpoint::credentials::{Assertion, Credentials};
use crate::introspection::endpoint::token_source::{AnyTokenSource, TokenSource};

/// How this server authenticates itself at the introspection endpoint. An authorization server must
/// require this, so that nobody can guess tokens there (RFC 7662 §2.1).
///
/// `Debug` shows the method and the client id, never a secret.
///
/// ```
/// use tower_resource_server::introspection::{ClientAuth, Introspection};
///
/// let auth = ClientAuth::client_secret_basic("notes-api", "the secret of this API");
/// let introspection = Introspection::new(auth);
/// # let _ = introspection;
/// ```
#[derive(Clone)]
pub struct ClientAuth {
    method: Method,
    key_id: Option<String>,
    assertion_audience: Option<String>,
}

#[derive(Clone)]
enum Method {
    Basic { client_id: String, secret: String, encoded: bool },
    Post { client_id: String, secret: String },
    PrivateKeyJwt { client_id: String, algorithm: Algorithm, pem: Vec<u8> },
    SecretJwt { client_id: String, secret: String },
    Bearer { token: String },
    BearerFile { path: PathBuf },
    BearerFrom { source: Arc<dyn AnyTokenSource> },
    MutualTls { client_id: String, identity: Vec<u8> },
}

impl ClientAuth {
    /// `client_secret_basic`: both values in `Authorization`, each form-encoded first (RFC 6749
    /// §2.3.1).
    pub fn client_secret_basic(client_id: impl Into<String>, secret: impl Into<String>) -> Self {
        let (client_id, secret) = (client_id.into(), secret.into());
        Self::of(Method::Basic { client_id, secret, encoded: true })
    }

    /// `client_secret_basic` without form-encoding: as in RFC 7617, but contrary to RFC 6749. Use
    /// it for a server that does not decode the values, if one of them has a character other than
    /// letters, digits, `-`, `.`, `_` and `*`. The client id must not have a colon, and neither
    /// value may have a control character.
    pub fn client_secret_basic_as_is(
        client_id: impl Into<String>,
        secret: impl Into<String>,
    ) -> Self {
        let (client_id, secret) = (client_id.into(), secret.into());
        Self::of(Method::Basic { client_id, secret, encoded: false })
    }

    /// `client_secret_post`: both values in the form (RFC 6749 §2.3.1), for servers that accept no
    /// other method.
    pub fn client_secret_post(client_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::of(Method::Post { client_id: client_id.into(), secret: secret.into() })
    }

    /// `private_key_jwt`: an assertion that is signed with a private key (RFC 7523 §2.2). The key
    /// is PEM text with the label `PRIVATE KEY` (PKCS#8). `algorithm` is ES256, RS256, PS256 or
    /// Ed25519.
    pub fn private_key_jwt(
        client_id: impl Into<String>,
        algorithm: Algorithm,
        pem: impl Into<Vec<u8>>,
    ) -> Self {
        Self::of(Method::PrivateKeyJwt { client_id: client_id.into(), algorithm, pem: pem.into() })
    }

    /// `client_secret_jwt`: an assertion with HS256 under the client's secret, which must have at
    /// least 32 octets (RFC 7523 §2.2).
    pub fn client_secret_jwt(client_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::of(Method::SecretJwt { client_id: client_id.into(), secret: secret.into() })
    }

    /// This server's own access token, as Bearer (RFC 7662 §2.1). It is not renewed; see
    /// [`bearer_token_file`](Self::bearer_token_file) and
    /// [`bearer_token_from`](Self::bearer_token_from).
    pub fn bearer_token(token: impl Into<String>) -> Self {
        Self::of(Method::Bearer { token: token.into() })
    }

    /// The access token in this file, as Bearer. The file is read for each call, so a new token in
    /// the file is used without a reload. The file may have at most 16 KiB. White space around the
    /// token is removed. If the file can't be read, no call is made, and requests get 503.
    ///
    /// With [`Introspection::shared_cache`](crate::introspection::Introspection::shared_cache), the
    /// path stands for the client: all servers that share the secret of the cache and use the same
    /// path must be the same client.
    pub fn bearer_token_file(path: impl Into<PathBuf>) -> Self {
        Self::of(Method::BearerFile { path: path.into() })
    }

    /// An access token from `source`, as Bearer. The source is called for each introspection call,
    /// within the call's deadline, and can cache its token. White space around the token is
    /// removed. If the source fails, no call is made, and requests get 503.
    ///
    /// The crate cannot see which client the source is for. So if you set
    /// [`Introspection::shared_cache`](crate::introspection::Introspection::shared_cache), all servers
    /// that share the secret of the cache must be the same client.
    pub fn bearer_token_from(source: impl TokenSource) -> Self {
        Self::of(Method::BearerFrom { source: Arc::new(source) })
    }

    /// `tls_client_auth` or `self_signed_tls_client_auth` (RFC 8705 §2). `identity` is PEM text
    /// with the certificate, its chain and its private key. A discovered endpoint is then the one
    /// in `mtls_endpoint_aliases`, if the metadata has it (RFC 8705 §5).
    pub fn mutual_tls(client_id: impl Into<String>, identity: impl Into<Vec<u8>>) -> Self {
        Self::of(Method::MutualTls { client_id: client_id.into(), identity: identity.into() })
    }

    /// Sets the `kid` of the assertion's key (RFC 7515 §4.1.4), for servers that require one.
    pub fn key_id(mut self, kid: impl Into<String>) -> Self {
        self.key_id = Some(kid.into());
        self
    }

    /// Sets the `aud` of the assertion. The default is the issuer. Some older servers require the
    /// URL of the introspection endpoint or of the token endpoint.
    pub fn assertion_audience(mut self, audience: impl Into<String>) -> Self {
        self.assertion_audience = Some(audience.into());
        self
    }

    fn of(method: Method) -> Self {
        Self { method, key_id: None, assertion_audience: None }
    }

    /// The client id, if the method has one.
    pub(crate) fn client_id(&self) -> Option<&str> {
        match &self.method {
            Method::Bearer { .. } | Method::BearerFile { .. } | Method::BearerFrom { .. } => None,
            Method::Basic { client_id, .. }
            | Method::Post { client_id, .. }
            | Method::PrivateKeyJwt { client_id, .. }
            | Method::SecretJwt { client_id, .. }
            | Method::MutualTls { client_id, .. } => Some(client_id),
        }
    }

    /// The client as the server sees it: the method, and the client id or a value that stands for
    /// it. The server's answers may depend on it. The value may be secret.
    pub(crate) fn caller(&self) -> (&'static str, &[u8]) {
        let caller = match &self.method {
            Method::Bearer { token } => token.as_bytes(),
            // A renewed token belongs to the same client.
            Method::BearerFile { path } => path.as_os_str().as_encoded_bytes(),
            Method::BearerFrom { .. } => b"",
            Method::Basic { client_id, .. }
            | Method::Post { client_id, .. }
            | Method::PrivateKeyJwt { client_id, .. }
            | Method::SecretJwt { client_id, .. }
            | Method::MutualTls { client_id, .. } => client_id.as_bytes(),
        };
        (self.name(), caller)
    }

    /// The certificate and key for TLS, as PEM.
    pub(crate) fn identity(&self) -> Option<&[u8]> {
        match &self.method {
            Method::MutualTls { identity, .. } => Some(identity),
            _ => None,
        }
    }

    /// Lists the settings that are empty. Otherwise an empty secret would be noticed only when the
    /// server refuses calls.
    pub(crate) fn unfilled(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.client_id() == Some("") {
            problems.push("client_id ``: must not be empty".to_owned());
        }
        if let Method::Basic { secret, .. }
        | Method::Post { secret, .. }
        | Method::Bearer { token: secret } = &self.method
            && secret.is_empty()
        {
            problems.push(format!("{}: the secret must not be empty", self.name()));
        }
        if let Method::BearerFile { path } = &self.method
            && path.as_os_str().is_empty()
        {
            problems.push("bearer_token_file ``: must not be empty".to_owned());
        }
        problems
    }

    /// Checks and prepares the credentials. `issuer` is the default audience of an assertion.
    ///
    /// # Errors
    /// The problem, for a `ConfigError`. It contains no secret.
    pub(crate) fn prepare(&self, issuer: &str) -> Result<Credentials, String> {
        let client_id = self.client_id().map(str::to_owned);
        if let Method::Basic { client_id, secret, encoded: false } = &self.method {
            // RFC 7617 §2: the first colon ends the client id.
            if client_id.contains(':') {
                return Err(format!(
                    "{}: without form-encoding, the client id must not have a colon",
                    self.name()
                ));
            }
            if client_id.chars().chain(secret.chars()).any(char::is_control) {
                return Err(format!(
                    "{}: without form-encoding, control characters are not allowed",
                    self.name()
                ));
            }
        }
        let key_fault = |KeyFault(text)| format!("{}: {text}", self.name());
        let key = match &self.method {
            Method::PrivateKeyJwt { algorithm, pem, .. } => {
                Some(SigningKey::pem(pem, *algorithm).map_err(key_fault)?)
            }
            Method::SecretJwt { secret, .. } => {
                Some(SigningKey::secret(secret.as_bytes()).map_err(key_fault)?)
            }
            _ => None,
        };
        if let Some(text) = self.unfilled().into_iter().next() {
            return Err(text);
        }
        if key.is_none() && (self.key_id.is_some() || self.assertion_audience.is_some()) {
            return Err(format!(
                "{}: has no assertion, so `key_id` and `assertion_audience` can't be set",
                self.name()
            ));
        }
        let secret_header = |text: String| {
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| format!("{}: is not valid as a header value", self.name()))?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        };
        Ok(match (&self.method, key, client_id) {
            (Method::Basic { client_id, secret, encoded }, ..) => {
                let encode = |text: &str| match encoded {
                    true => byte_serialize(text.as_bytes()).collect::<String>(),
                    false => text.to_owned(),
                };
                let pair = format!("{}:{}", encode(client_id), encode(secret));
                Credentials::Header(secret_header(format!("Basic {}", STANDARD.encode(pair)))?)
            }
            (Method::Bearer { token }, ..) => {
                Credentials::Header(secret_header(format!("Bearer {token}"))?)
            }
            (Method::BearerFile { path }, ..) => Credentials::BearerFile(path.clone()),
            (Method::BearerFrom { source }, ..) => Credentials::BearerFrom(Arc::clone(source)),
            (Method::Post { client_id, secret }, ..) => {
                Credentials::Form { client_id: client_id.clone(), secret: Some(secret.clone()) }
            }
            (Method::MutualTls { client_id, .. }, ..) => {
                Credentials::Form { client_id: client_id.clone(), secret: None }
            }
            (_, Some(key), Some(client_id)) => Credentials::Assertion(Box::new(Assertion {
                client_id,
                key,
                key_id: self.key_id.clone(),
                audience: self.assertion_audience.clone().unwrap_or_else(|| issuer.to_owned()),
            })),
            (_, _, _) => return Err(format!("{}: has no key", self.name())),
        })
    }

    /// The name of the method: for the first four, the one in the IANA registry (RFC 7591 §2); for
    /// the others, the name of the constructor.
    fn name(&self) -> &'static str {
        match &self.method {
            Method::Basic { .. } => "client_secret_basic",
            Method::Post { .. } => "client_secret_post",
            Method::PrivateKeyJwt { .. } => "private_key_jwt",
            Method::SecretJwt { .. } => "client_secret_jwt",
            Method::Bearer { .. } => "bearer_token",
            Method::BearerFile { .. } => "bearer_token_file",
            Method::BearerFrom { .. } => "bearer_token_from",
            Method::MutualTls { .. } => "mutual_tls",
        }
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth")
            .field("method", &self.name())
            .field("client_id", &self.client_id())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
