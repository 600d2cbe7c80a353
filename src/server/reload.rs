//! Other issuers and audiences for a server that runs.

use std::sync::Arc;

use crate::config_error::ConfigError;
use crate::issuer::Issuer;
use crate::server::ResourceServer;

impl<C, R> ResourceServer<C, R> {
    /// Replaces all trusted issuers and audiences at once, while requests go on; the other settings
    /// stay as they were built.
    ///
    /// A request is judged by the old ones or by the new, never by a mixture; one that waits is judged
    /// by the new, and waits again for what the new ones lack, within its one deadline. An issuer that
    /// is no longer among them is refused from the next request on. One whose keys come from the same
    /// place as before keeps its keys, also where its algorithms are others now; where there
    /// are no keys, a new [seed](Issuer::seed) is used.
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
    /// // What can't be is refused as by `build`, and changes nothing.
    /// assert!(api.reload([issuer], [""; 0]).is_err());
    /// # Ok::<(), tower_resource_server::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Builder::build`](crate::Builder::build); what was trusted before stays.
    pub fn reload<I: Into<Issuer>, A: Into<String>>(
        &self,
        issuers: impl IntoIterator<Item = I>,
        audiences: impl IntoIterator<Item = A>,
    ) -> Result<(), ConfigError> {
        let issuers: Vec<Issuer> = issuers.into_iter().map(Into::into).collect();
        let audiences: Vec<String> = audiences.into_iter().map(Into::into).collect();
        let trust = &self.shared.authenticator.trust;
        let settings = &self.shared.trust;
        loop {
            let mut problems = Vec::new();
            let before = trust.load_full();
            let next = settings.trust(&issuers, &audiences, Some(&before), &mut problems);
            if !problems.is_empty() {
                return Err(ConfigError { problems });
            }
            let next = Arc::new(next);
            // Rules of the API's own were asked, so no lock may be held: two replacements come one
            // after the other because the second starts again from what the first has put there.
            if Arc::ptr_eq(&trust.compare_and_swap(&before, Arc::clone(&next)), &before) {
                next.tell_of_seeds();
                return Ok(());
            }
        }
    }
}
