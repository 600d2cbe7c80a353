//! Where an access token of this server's own comes from, for calls that show one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// Hands out an access token of this server's own, for
/// [`ClientAuth::bearer_token_from`](crate::ClientAuth::bearer_token_from).
///
/// It is asked for each introspection call, so a source keeps its token until shortly before it
/// expires.
///
/// ```
/// use tower_resource_server::{ClientAuth, TokenFuture, TokenSource};
///
/// struct OwnToken;
///
/// impl TokenSource for OwnToken {
///     fn token(&self) -> TokenFuture<'_> {
///         Box::pin(async { Ok("a token of this server".to_owned()) })
///     }
/// }
///
/// let auth = ClientAuth::bearer_token_from(OwnToken);
/// # let _ = auth;
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// The present token.
    fn token(&self) -> TokenFuture<'_>;
}

/// A token to come.
pub type TokenFuture<'a> =
    Pin<Box<dyn Future<Output = Result<String, TokenSourceError>> + Send + 'a>>;

/// Why the token could not be supplied, in words fit for a log.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSourceError(String);

impl TokenSourceError {
    /// An error with an explanation, which must hold no secret.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl fmt::Display for TokenSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokenSourceError {}
