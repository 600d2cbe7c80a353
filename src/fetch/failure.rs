//! Why an attempt to fetch something failed.

use std::time::Duration;

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// For a log: in our own words; text from others is escaped and shortened.
    pub(crate) problem: String,
    /// How long the server asks us to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl<T: Into<String>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self { problem: problem.into(), retry_after: None }
    }
}
