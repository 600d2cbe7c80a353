//! Tokens with the claims that an API's profile requires.

use serde_json::json;

use super::dress::Dress;
use super::inject::complete;
use super::issuer::TestIssuer;
use super::mint::TokenBuilder;
use crate::server::ResourceServer;

impl TestIssuer {
    /// Starts a token that `server` accepts. The server must trust an issuer with the name of this
    /// test issuer. The token has the `typ`, the claim names and the values that the profile of that
    /// issuer requires, and the first audience of that issuer. So a test of an API for Keycloak, Okta or
    /// Cognito does not set these claims itself.
    ///
    /// ```
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, Profile, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let profile = Profile::jwt().scope_array_claim("scp").client_claim("cid");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()).profile(profile))
    ///     .audience("https://notes.example.com")
    ///     .build()?;
    ///
    /// # tokio_test(async move {
    /// let dressed = issuer.token_for(&api).scope("notes:read").sign();
    /// let token = api.authenticate(&request(dressed)).await.unwrap().token;
    /// assert!(token.scope().contains("notes:read"));
    ///
    /// // A token by RFC 9068 has its scope in another claim, and is for another API.
    /// let plain = issuer.token().scope("notes:read").sign();
    /// assert_eq!(api.authenticate(&request(plain)).await.unwrap_err().status(), 401);
    /// # });
    /// # fn request(token: String) -> http::request::Parts {
    /// #     let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
    /// #     request.body(()).unwrap().into_parts().0
    /// # }
    /// # fn tokio_test(future: impl Future<Output = ()>) {
    /// #     tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
    /// # }
    /// # Ok::<(), tower_resource_server::ConfigError>(())
    /// ```
    ///
    /// # Panics
    /// If the server trusts no issuer with this name. Issuers that a resolver finds do not count.
    #[track_caller]
    #[allow(clippy::panic, reason = "a mistake in a test")]
    pub fn token_for<C, R>(&self, server: &ResourceServer<C, R>) -> TokenBuilder<'_> {
        let trust = server.authenticator().trust.load();
        let Some(issuer) = trust.issuers.iter().find(|issuer| issuer.is_named(self.url())) else {
            panic!("token_for: the server does not trust an issuer `{}`", self.url());
        };
        let profile = &issuer.profile;
        let mut given = serde_json::Map::new();
        given.insert("iss".to_owned(), json!(self.url()));
        for (name, values) in profile.asked_values() {
            given.insert(name.to_owned(), json!(values.first()));
        }
        for name in profile.asked_names() {
            given.entry(name).or_insert_with(|| json!("test"));
        }
        if let Some((name, tenant)) = issuer.tenant_claim(self.url()) {
            given.insert(name, json!(tenant));
        }
        let dress = Dress {
            audience: profile.audience_name().to_owned(),
            scope: profile.scope_name().to_owned(),
            scope_is_array: profile.writes_scope_array(),
        };
        let typ = if profile.is_rfc9068() { "at+jwt" } else { "JWT" };
        let claims = complete(given, issuer, self.shared.clock.wall());
        TokenBuilder::new(self).dressed(typ, claims, dress)
    }
}
