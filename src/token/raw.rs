//! The text of a token, for the few APIs that need it.

use std::fmt;

/// The text of the request's access token, for a call to another API on behalf of the client, or for a
/// token exchange (RFC 8693). It exists only with
/// [`Builder::keep_raw_tokens`](crate::builder::Builder::keep_raw_tokens).
///
/// `Debug` does not show the text. [`expose`](Self::expose) is the only way to read the text.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use tower::{Layer as _, ServiceExt as _, service_fn};
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::token::RawToken;
/// use tower_resource_server::{Issuer, ResourceServer};
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
///     .audience("https://api.example.com")
///     .keep_raw_tokens()
///     .strip_authorization()
///     .build()?;
///
/// let handler = service_fn(|request: Request<()>| async move {
///     assert!(!request.headers().contains_key("authorization"));
///     let raw = RawToken::from_extensions(request.extensions()).unwrap();
///     Ok::<_, Infallible>(Response::new(raw.expose().to_owned()))
/// });
/// let token = issuer.token().sign();
/// let request = Request::get("/").header("authorization", format!("Bearer {token}")).body(())?;
/// let response = api.layer().layer(handler).oneshot(request).await?;
/// assert_eq!(response.into_body(), token);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RawToken(Box<str>);

impl RawToken {
    pub(crate) fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RawToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawToken(..)")
    }
}
