//! Why code of the API's own could not supply what it was asked for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// What a source, resolver or store answers with, once its type is forgotten.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// Why a [`KeySource`](crate::KeySource), an [`IssuerResolver`](crate::IssuerResolver), a `TokenSource`
/// or an `AnswerStore` could not do what it was asked for. The text goes to the log.
///
/// ```
/// use tower_resource_server::SourceError;
///
/// let error = SourceError::new("the vault is sealed");
/// assert_eq!(error.to_string(), "the vault is sealed");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SourceError(String);

impl SourceError {
    /// An error with an explanation, which must hold no secret.
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
