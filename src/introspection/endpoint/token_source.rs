//! Where an access token of this server's own comes from, for calls that show one.

use std::future::Future;

use crate::source_error::{Boxed, SourceError};

/// Hands out an access token of this server's own, for
/// [`ClientAuth::bearer_token_from`](crate::ClientAuth::bearer_token_from).
///
/// It is asked for each introspection call, so a source keeps its token until shortly before it
/// expires.
///
/// ```
/// use tower_resource_server::{ClientAuth, SourceError, TokenSource};
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
    /// The present token.
    ///
    /// # Errors
    /// Why there is none; the call is not made then.
    fn token(&self) -> impl Future<Output = Result<String, SourceError>> + Send;
}

/// The same for any source.
pub(crate) trait AnyTokenSource: Send + Sync {
    fn token(&self) -> Boxed<'_, String>;
}

impl<S: TokenSource> AnyTokenSource for S {
    fn token(&self) -> Boxed<'_, String> {
        Box::pin(TokenSource::token(self))
    }
}
