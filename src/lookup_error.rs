//! The failure of a lookup by the API's own code: an async check, a loader of users.

use std::borrow::Cow;
use std::fmt;

/// Why a lookup by the API's own code refuses a request. The async check of a requirement returns
/// this error, and so does a loader of users.
///
/// ```
/// use tower_resource_server::policy::LookupError;
///
/// let refused = LookupError::refused("the account is suspended");
/// let unavailable = LookupError::unavailable("the database does not answer");
/// assert_ne!(refused, unavailable);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupError {
    /// The lookup found a reason to refuse: the client gets 403. The text is for the log, and must
    /// not quote a claim.
    Refused(Cow<'static, str>),
    /// The lookup failed, for example because a database is down: the client gets 503 and may try
    /// again. The text is for the log.
    Unavailable(Cow<'static, str>),
}

impl LookupError {
    /// Creates [`Refused`](Self::Refused).
    pub fn refused(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(reason.into())
    }

    /// Creates [`Unavailable`](Self::Unavailable).
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unavailable(reason.into())
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Unavailable(reason) => write!(f, "unavailable: {reason}"),
        }
    }
}

impl std::error::Error for LookupError {}
