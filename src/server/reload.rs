//! Replaces the issuers and audiences of a running server.

use std::sync::Arc;

use crate::config_error::ConfigError;
use crate::issuer::Issuer;
use crate::server::ResourceServer;

impl<C, R> ResourceServer<C, R> {
    /// Replaces all trusted issuers and audiences at once, while requests are served. The other settings
    /// do not change. The [`resource`](crate::builder::Builder::resource) of the builder stays an audience
    /// of the server, because challenges and metadata still name it. If an issuer has its own audiences, they
    /// replace the audiences of the server. So add the resource to them.
    ///
    /// A request uses either the old configuration or the new configuration, never a mixture. A waiting
    /// request uses the new configuration. It may wait again for new issuers, but its deadline does not
    /// change. The tokens of a removed issuer are refused from the next request on. An issuer keeps its
    /// keys if the keys come from the same place as before, even if its algorithms have changed. If the
    /// issuer has no keys, a new [seed](Issuer::seed) is used.
    ///
    /// ```
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// # let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let issuer = Issuer::new("https://as.example.com").jwks(jwks);
    /// let api = ResourceServer::builder()
    ///     .issuer(issuer.clone())
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let other = Issuer::new("https://as2.example.com").jwks(jwks);
    /// api.reload([issuer.clone(), other], ["https://api.example.com"])?;
    ///
    /// // Invalid settings are refused, as by `build`. Then nothing changes.
    /// assert!(api.reload([issuer], [""; 0]).is_err());
    /// # Ok::<(), tower_resource_server::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Fails for the same settings as [`Builder::build`](crate::builder::Builder::build). After an error, the
    /// old configuration stays.
    pub fn reload<I: Into<Issuer>, A: Into<String>>(
        &self,
        issuers: impl IntoIterator<Item = I>,
        audiences: impl IntoIterator<Item = A>,
    ) -> Result<(), ConfigError> {
        let issuers: Vec<Issuer> = issuers.into_iter().map(Into::into).collect();
        let mut audiences: Vec<String> = audiences.into_iter().map(Into::into).collect();
        let trust = &self.shared.authenticator.trust;
        let settings = &self.shared.trust;
        // The audiences of an issuer replace those of the server.
        let is_used =
            settings.resolver.is_some() || issuers.iter().any(|issuer| issuer.audiences.is_empty());
        if let Some(resource) = self.shared.resource.as_deref().filter(|_| is_used)
            && !audiences.contains(&resource.identifier)
        {
            audiences.push(resource.identifier.clone());
        }
        loop {
            let mut problems = Vec::new();
            let before = trust.load_full();
            let next = settings.trust(&issuers, &audiences, Some(&before), &mut problems);
            if !problems.is_empty() {
                return Err(ConfigError { problems });
            }
            let next = Arc::new(next);
            // No lock may be held here, because `settings.trust` calls user-supplied rules. If another
            // reload was faster, this reload starts again from the configuration of that reload.
            if Arc::ptr_eq(&trust.compare_and_swap(&before, Arc::clone(&next)), &before) {
                next.tell_of_seeds();
                return Ok(());
            }
        }
    }
}
