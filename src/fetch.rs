//! The one way out to the network.
//!
//! Every request has a deadline, every answer a limit that is counted as it streams. Redirects are
//! not followed: where keys come from is configured, not suggested. Only https, or http on this
//! very machine where that was switched on.

mod cause;
mod names;
mod pool;
mod proxy;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, LOCATION, RETRY_AFTER,
};

use crate::fetch::pool::{Attempt, Pool};
use crate::issuer::{UrlFault, check_url};
use crate::token::Excerpt;

pub(crate) use cause::ConnectFault;
pub(crate) use settings::ClientSettings;

/// How long a connection may take; a server that is further away than this is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one request may take in all.
pub(crate) const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer. Real key sets have 1 to 20 KiB, metadata 2 to 10 KiB.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// An HTTP client that fetches small documents.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Arc<Pool>,
    allow_http_loopback: bool,
}

/// An answer with status 200, or 304 to a conditional request.
pub(crate) struct Answer {
    pub(crate) not_modified: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A form to be posted.
pub(crate) struct Form {
    pub(crate) accept: &'static str,
    pub(crate) authorization: Option<HeaderValue>,
    /// `application/x-www-form-urlencoded`.
    pub(crate) body: String,
}

/// An answer to a form, whatever its status.
pub(crate) struct FormAnswer {
    pub(crate) status: u16,
    pub(crate) answer: Answer,
}

/// Why nothing usable came back, in fixed words; what is not ours is escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    Url(&'static str),
    /// There was nothing to send.
    Form(&'static str),
    Connect(ConnectFault),
    Timeout,
    Transport,
    Status(u16),
    /// 3xx, and where to, as far as it can be shown.
    Redirect {
        status: u16,
        to: Option<Excerpt>,
    },
    /// 429 or 503, saying when to come back (RFC 9110 §10.2.3).
    Busy {
        status: u16,
        retry_after: Duration,
    },
    TooLarge,
}

impl Client {
    /// # Errors
    /// When the settings make no client: what is wrong, fit for a `ConfigError`.
    pub(crate) fn new(settings: &ClientSettings) -> Result<Self, String> {
        let pool = Arc::new(Pool::new(settings)?);
        Ok(Self { pool, allow_http_loopback: settings.allow_http_loopback })
    }

    /// Fetches a small document. With `etag`, 304 is an answer, too. What `authorization` holds is
    /// secret, so it goes nowhere but to `url`.
    pub(crate) async fn get(
        &self,
        url: &str,
        accept: &'static str,
        etag: Option<&HeaderValue>,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, FetchError> {
        let url = check_url(url, self.allow_http_loopback)?;
        let request = |http: &reqwest::Client| {
            let mut request = http.get(url.clone()).header(ACCEPT, accept);
            if let Some(etag) = etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            if let Some(authorization) = &authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            Ok(request)
        };
        let exchange = async |attempt: &Attempt| {
            let mut response = attempt.send(request).await?;
            let status = response.status().as_u16();
            let not_modified = status == 304 && etag.is_some();
            if status != 200 && !not_modified {
                return Err(refusal(status, response.headers()));
            }
            let body = read(&mut response).await?;
            let headers = std::mem::take(response.headers_mut());
            Ok(Answer { not_modified, headers, body })
        };
        self.pool.attempt().whole(exchange).await
    }

    /// Posts a form. What it holds is secret, so it goes nowhere but to `url`. It is made again where
    /// it has to be sent again: an assertion in it is for one use (RFC 7523 §3).
    pub(crate) async fn post(
        &self,
        url: &str,
        form: impl Fn() -> Result<Form, &'static str>,
    ) -> Result<FormAnswer, FetchError> {
        let url = check_url(url, self.allow_http_loopback)?;
        let request = |http: &reqwest::Client| {
            let form = form().map_err(FetchError::Form)?;
            let request = http
                .post(url.clone())
                .header(ACCEPT, form.accept)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.body);
            Ok(match form.authorization {
                Some(authorization) => request.header(AUTHORIZATION, authorization),
                None => request,
            })
        };
        let exchange = async |attempt: &Attempt| {
            let mut response = attempt.send(request).await?;
            let body = read(&mut response).await?;
            let headers = std::mem::take(response.headers_mut());
            let status = response.status().as_u16();
            Ok(FormAnswer { status, answer: Answer { not_modified: false, headers, body } })
        };
        self.pool.attempt().whole(exchange).await
    }
}

/// What an answer other than the document says.
fn refusal(status: u16, headers: &HeaderMap) -> FetchError {
    match retry_after(headers) {
        Some(retry_after) if [429, 503].contains(&status) => {
            FetchError::Busy { status, retry_after }
        }
        _ if (300..400).contains(&status) => {
            FetchError::Redirect { status, to: redirect_target(headers) }
        }
        _ => FetchError::Status(status),
    }
}

/// Where a redirect leads (RFC 9110 §10.2.2).
pub(crate) fn redirect_target(headers: &HeaderMap) -> Option<Excerpt> {
    let target = headers.get(LOCATION)?;
    Some(Excerpt::of_url(&String::from_utf8_lossy(target.as_bytes())))
}

/// RFC 9110 §10.2.3. Its form as a date is not read: it would need the wall clock, and pauses are
/// short.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Reads a body, and stops where it exceeds the limit.
async fn read(response: &mut reqwest::Response) -> Result<Bytes, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

impl Answer {
    /// When the server wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    pub(crate) fn etag(&self) -> Option<HeaderValue> {
        self.headers.get(ETAG).cloned()
    }

    /// How long the answer is fresh, where it says so.
    pub(crate) fn max_age(&self) -> Option<Duration> {
        // RFC 9110 §5.3: several lines of one field are one list.
        let lines = self.headers.get_all(CACHE_CONTROL).iter();
        let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
        let age = self.headers.get(AGE).and_then(|value| value.to_str().ok());
        crate::keys::max_age(&lines.join(","), age)
    }

    /// Whether the content type says JSON, by its name or its suffix. Key servers get away
    /// without one; a page of HTML does not.
    pub(crate) fn may_be_json(&self) -> bool {
        match self.media_type() {
            None => true,
            Some(essence) => essence == "application/json" || essence.ends_with("+json"),
        }
    }

    /// Says which content type an answer has that is of no use.
    pub(crate) fn content_type_note(&self) -> String {
        let found = self.media_type().map(|found| Excerpt::of(&found));
        found.map_or_else(String::new, |found| format!("; its content type is {found}"))
    }

    /// The content type without its parameters, in lower case (RFC 9110 §8.3.1).
    pub(crate) fn media_type(&self) -> Option<String> {
        let text = self.headers.get(CONTENT_TYPE)?.to_str().unwrap_or_default();
        Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }
}

impl From<UrlFault> for FetchError {
    fn from(fault: UrlFault) -> Self {
        Self::Url(fault.problem)
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        // The deadline of the exchange is kept outside; what times out within is a connection.
        match ConnectFault::of(&error) {
            fault if error.is_connect() => Self::Connect(fault),
            // By TLS 1.3 the server says so after the handshake (RFC 8446 §4.4.2.4).
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
            Self::TooLarge => write!(f, "more than {MAX_BODY} bytes"),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}
