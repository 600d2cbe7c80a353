//! Why an attempt to fetch something failed.

use std::time::Duration;

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The text for a log. It is written by this crate; text from others in it is escaped and
    /// shortened.
    pub(crate) problem: String,
    /// How long the server asks the client to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl<T: Into<String>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self { problem: problem.into(), retry_after: None }
    }
}
