//! Checks of requirements inside a handler: [`AccessToken::require`].

use crate::error::Error;
use crate::policy::{Requirement, Unmet};
use crate::rejection::Refusal;
use crate::token::{AccessToken, AnyToken};

impl<C: Send + Sync + 'static> AccessToken<C> {
    /// Checks a requirement inside a handler. Use this function if the requirement depends on data that
    /// the handler has read, for example the owner of a note. In axum, a handler can return the refusal
    /// with `?`. The client then gets the same status and the same challenge that
    /// [`require`](crate::ResourceServer::require) gives.
    ///
    /// If the requirement contains text from outside the program, create it with the `try_` forms, such
    /// as [`Policy::try_scope`](crate::policy::Policy::try_scope). The other forms panic if the text is
    /// invalid.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_resource_server::policy::{Requirement, claim};
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// let bearer = format!("Bearer {}", issuer.token().claim("tenant", "acme").sign());
    /// let request = http::Request::get("/").header("authorization", bearer).body(())?;
    /// let token = api.authenticate(&request.into_parts().0).await.unwrap().token;
    ///
    /// let owner = "acme"; // read from the database
    /// let requirement = Requirement::from(claim("tenant").equals(owner));
    /// assert!(token.require(&requirement).is_ok());
    ///
    /// let other = Requirement::from(claim("tenant").equals("globex"));
    /// assert_eq!(token.require(&other).unwrap_err().status(), 403);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns a refusal if the token does not meet the requirement.
    ///
    /// A handler cannot check a requirement that reads the request, that waits for something, or that has
    /// `introspected_now`. Such a requirement is a mistake in the API's code. The refusal then has the
    /// status 500, and the log describes the fix. If the requirement reads the request or waits for
    /// something, and the token does not meet another of its conditions, the refusal can be the usual one
    /// (401, 403 or 404) instead of 500. With `introspected_now`, it is always 500.
    pub fn require(&self, requirement: &Requirement<C>) -> Result<(), Refusal> {
        let token = AnyToken::from(self.clone());
        let server = token.server();
        let unmet = match requirement.asks_now() {
            true => {
                let fix = "`AccessToken::require` does not support `introspected_now`: add \
                           `introspected_now` to the requirement of a layer";
                Unmet::of(Error::Wiring { fix: fix.into() })
            }
            false => match requirement.evaluate(&token, None, &[]) {
                Ok(_) => return Ok(()),
                Err(unmet) => unmet,
            },
        };
        Err(Refusal::of_requirement(unmet, server, token.facts().scheme(), requirement)
            .told(&server.stream))
    }
}
