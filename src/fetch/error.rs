//! Why one request failed.

use std::fmt;
use std::time::Duration;

use crate::fetch::cause::ConnectFault;
use crate::fetch::failure::Failure;
use crate::token::Excerpt;
use crate::url::UrlFault;

/// Why one request failed, in fixed words. Text from others is escaped and shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    Url(&'static str),
    /// The form could not be made.
    Form(&'static str),
    Connect(ConnectFault),
    Timeout,
    Transport,
    Status(u16),
    /// 3xx, with the target of the redirect in a form that can be logged.
    Redirect {
        status: u16,
        to: Option<Excerpt>,
    },
    /// 429 or 503 with `Retry-After` (RFC 9110 §10.2.3).
    Busy {
        status: u16,
        retry_after: Duration,
    },
    /// The body has more than this number of bytes.
    TooLarge(usize),
    /// The answer has a content coding (RFC 9110 §8.4), although the request accepts none.
    Encoded(&'static str),
}

impl FetchError {
    /// The failure to fetch `document` from `url`.
    pub(crate) fn of(self, document: &str, url: &str) -> Failure {
        let retry_after = match self {
            Self::Busy { retry_after, .. } => Some(retry_after),
            _ => None,
        };
        Failure { problem: format!("{document}: {self} ({})", fetched_url(url)), retry_after }
    }
}

impl From<UrlFault> for FetchError {
    fn from(fault: UrlFault) -> Self {
        Self::Url(fault.problem)
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        // A timeout here is that of the connection, because the caller enforces the deadline of the
        // exchange.
        match ConnectFault::of(&error) {
            fault if error.is_connect() => Self::Connect(fault),
            // In TLS 1.3, the server reports a missing or bad client certificate only after the
            // handshake (RFC 8446 §4.4.2.4).
            fault @ ConnectFault::ClientCertificate => Self::Connect(fault),
            _ => Self::Transport,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(problem) => write!(f, "its URL {problem}"),
            Self::Form(problem) => f.write_str(problem),
            Self::Connect(fault) => write!(f, "can't connect: {fault}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Transport => f.write_str("the connection broke"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Redirect { status, to } => {
                write!(f, "status {status}, a redirect")?;
                if let Some(to) = to {
                    write!(f, " to {to}")?;
                }
                f.write_str(", and none is followed: configure the URL itself")
            }
            Self::Busy { status, retry_after } => {
                write!(f, "status {status}, with Retry-After {}", retry_after.as_secs())
            }
            Self::TooLarge(limit) => write!(f, "more than {limit} bytes"),
            Self::Encoded(coding) => {
                write!(f, "its content coding is {coding}, where `identity` was asked for")
            }
        }
    }
}

/// A requested URL, in the form that is shown in a log.
pub(crate) fn fetched_url(url: &str) -> String {
    Excerpt::of_url(url).as_str().to_owned()
}
