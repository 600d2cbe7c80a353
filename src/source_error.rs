//! The error of user-supplied sources, resolvers and stores.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// The boxed future of a source, resolver or store that is used as a trait object.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// The error of a [`KeySource`](crate::keys::KeySource), an [`IssuerResolver`](crate::issuer::IssuerResolver), a
/// `TokenSource` or an `AnswerStore`. The log shows its text.
///
/// ```
/// use tower_resource_server::issuer::SourceError;
///
/// let error = SourceError::new("the vault is sealed");
/// assert_eq!(error.to_string(), "the vault is sealed");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SourceError(String);

impl SourceError {
    /// Creates an error with an explanation. The explanation must not contain a secret.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    /// The explanation.
    pub(crate) fn into_problem(self) -> String {
        self.0
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SourceError {}
