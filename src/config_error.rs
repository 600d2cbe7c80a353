//! The error for invalid settings.

use std::fmt;

use crate::token::InvalidScope;

/// Lists every invalid setting with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigError {
    pub(crate) problems: Vec<String>,
}

impl ConfigError {
    pub(crate) fn one(problem: String) -> Self {
        Self { problems: vec![problem] }
    }

    /// Creates an error with one problem. Use it if a rule of
    /// [`require_with`](crate::ResourceServer::require_with) cannot make a requirement, for example
    /// because a header is missing. The text is for the log.
    ///
    /// ```
    /// use tower_resource_server::ConfigError;
    ///
    /// let error = ConfigError::new("the request names no tenant");
    /// assert_eq!(error.problems(), ["the request names no tenant"]);
    /// ```
    pub fn new(problem: impl Into<String>) -> Self {
        Self::one(problem.into())
    }

    /// The problems, one text for each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the resource server can't be built: ")?;
        f.write_str(&self.problems.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// With this conversion, a function that reads scopes and other parts of a policy at run time can
/// use `?`.
impl From<InvalidScope> for ConfigError {
    fn from(error: InvalidScope) -> Self {
        Self::one(error.to_string())
    }
}
