//! The source of this server's own access token, for calls that authenticate with one.

use std::future::Future;

use crate::source_error::{Boxed, SourceError};

/// Provides this server's own access token, for
/// [`ClientAuth::bearer_token_from`](crate::introspection::ClientAuth::bearer_token_from).
///
/// The source is called for each introspection call, so it should cache its token until shortly
/// before the token expires.
///
/// ```
/// use tower_resource_server::introspection::{ClientAuth, TokenSource};
/// use tower_resource_server::issuer::SourceError;
///
/// struct OwnToken;
///
/// impl TokenSource for OwnToken {
///     fn token(&self) -> impl Future<Output = Result<String, SourceError>> + Send {
///         Box::pin(async { Ok("a token of this server".to_owned()) })
///     }
/// }
///
/// let auth = ClientAuth::bearer_token_from(OwnToken);
/// # let _ = auth;
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// Returns the current token.
    ///
    /// # Errors
    /// When there is no token. Then the introspection call is not made.
    fn token(&self) -> impl Future<Output = Result<String, SourceError>> + Send;
}

/// The object-safe form of [`TokenSource`].
pub(crate) trait AnyTokenSource: Send + Sync {
    fn token(&self) -> Boxed<'_, String>;
}

impl<S: TokenSource> AnyTokenSource for S {
    fn token(&self) -> Boxed<'_, String> {
        Box::pin(TokenSource::token(self))
    }
}
