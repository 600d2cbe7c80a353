//! What only a handler knows: [`AccessToken::require`].

use crate::error::Error;
use crate::policy::{Requirement, Unmet};
use crate::rejection::Refusal;
use crate::token::{AccessToken, AnyToken};

impl<C: Send + Sync + 'static> AccessToken<C> {
    /// Checks a requirement that only the handler knows, because it depends on data that the handler has
    /// read. The refusal is the same response that [`require`](crate::ResourceServer::require) gives, with
    /// the same challenge. In axum, return it with `?`.
    ///
    /// A requirement that is made of data from outside uses the `try_` forms, such as
    /// [`Policy::try_scope`](crate::policy::Policy::try_scope).
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
    /// The refusal. A requirement with a check that reads the request or waits, or with
    /// `introspected_now`, is a mistake in the API's code: 500, and the log names the fix.
    pub fn require(&self, requirement: &Requirement<C>) -> Result<(), Refusal> {
        let token = AnyToken::from(self.clone());
        let server = token.server();
        let unmet = match requirement.asks_now() {
            true => {
                let fix = "`introspected_now` in `AccessToken::require`, which can't wait: add it to the \
                           requirement of a layer";
                Unmet::of(Error::Wiring { fix: fix.into() })
            }
            false => match requirement.evaluate(&token, None, &[]) {
                Ok(_) => return Ok(()),
                Err(unmet) => unmet,
            },
        };
        Err(Refusal::of_requirement(unmet, server, requirement).told(&server.stream))
    }
}
