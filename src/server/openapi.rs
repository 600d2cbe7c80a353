//! The security scheme of a server for an OpenAPI document.

use serde::Serialize;

use crate::issuer::settings::KeyConfig;
use crate::server::ResourceServer;

/// A security scheme object of an OpenAPI document: plain data that serializes as OpenAPI 3.1 requires.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum SecurityScheme {
    /// Tokens of one authorization server with metadata.
    OpenIdConnect {
        /// The URL of the authorization server's metadata.
        open_id_connect_url: String,
    },
    /// Tokens in the field `Authorization` with this HTTP scheme.
    Http {
        /// The HTTP scheme: `bearer` (RFC 6750), or `dpop` (RFC 9449) if every token must be bound to a key.
        scheme: String,
    },
}

impl<C, R> ResourceServer<C, R> {
    /// The security scheme for an OpenAPI document. If the server has exactly one issuer, and discovers that
    /// issuer at its well-known URL, the type is `openIdConnect`, with the URL of the issuer's metadata. For
    /// every other server, the type is `http`, with the scheme `bearer`, or `dpop` if `Dpop::required` is set.
    /// For the operations, see [`Policy::openapi_security`](crate::policy::Policy::openapi_security).
    ///
    /// ```
    /// use serde_json::json;
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let api = ResourceServer::builder()
    ///     .issuer("https://as.example.com")
    ///     .audience("https://api.example.com")
    ///     .build()?;
    /// let scheme = serde_json::to_value(api.openapi_scheme())?;
    /// let url = "https://as.example.com/.well-known/openid-configuration";
    /// assert_eq!(scheme, json!({ "type": "openIdConnect", "openIdConnectUrl": url }));
    ///
    /// let keys = Issuer::new("https://as.example.com").jwks_uri("https://as.example.com/keys");
    /// let api = ResourceServer::builder()
    ///     .issuer(keys)
    ///     .audience("https://api.example.com")
    ///     .build()?;
    /// let scheme = serde_json::to_value(api.openapi_scheme())?;
    /// assert_eq!(scheme, json!({ "type": "http", "scheme": "bearer" }));
    /// # Ok(())
    /// # }
    /// # #[cfg(feature = "http-client")]
    /// # example().unwrap();
    /// ```
    pub fn openapi_scheme(&self) -> SecurityScheme {
        let trust = self.authenticator().trust.load();
        match trust.issuers.as_slice() {
            [issuer]
                if matches!(issuer.source, KeyConfig::Discover)
                    && issuer.tenants.is_none()
                    && !issuer.has_metadata_url()
                    && trust.tenants.is_none() =>
            {
                let name = issuer.name.trim_end_matches('/');
                let open_id_connect_url = format!("{name}/.well-known/openid-configuration");
                SecurityScheme::OpenIdConnect { open_id_connect_url }
            }
            _ => {
                let dpop = self.id().challenge.dpop.as_ref();
                let scheme = if dpop.is_some_and(|dpop| dpop.alone) { "dpop" } else { "bearer" };
                SecurityScheme::Http { scheme: scheme.to_owned() }
            }
        }
    }
}
