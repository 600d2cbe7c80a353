//! Why an attempt to fetch something brought nothing.

use std::time::Duration;

/// Why an attempt brought nothing.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// For a log: our own words, and what is not ours escaped and cut.
    pub(crate) problem: String,
    /// How long the server asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl<T: Into<String>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self { problem: problem.into(), retry_after: None }
    }
}
