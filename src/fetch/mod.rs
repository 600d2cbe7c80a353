//! The one way out to the network.
//!
//! Every request has a deadline, every answer a limit that is counted as it streams. Redirects are
//! not followed: where keys come from is configured, not suggested. Only https, or http on this
//! very machine, or to named hosts, where that was switched on. Answers are asked for without a content
//! coding, so that what is counted is what is read.

mod cache_control;
mod cause;
mod discovery;
mod names;
mod pool;
mod proxy;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION, RETRY_AFTER,
};

use crate::fetch::pool::{Attempt, Pool};
use crate::keys::{MAX_DOCUMENT, without_mark};
use crate::token::Excerpt;
use crate::url::{PlainHttp, UrlFault, check_url};

pub(crate) use cache_control::max_age;
pub(crate) use cause::ConnectFault;
pub(crate) use discovery::Discovery;
pub(crate) use settings::ClientSettings;

/// How long a connection may take; a server that is further away than this is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one request may take in all, unless it is set.
pub(crate) const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that can be set: who waits longer has gone by then.
pub(crate) const MAX_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes of an answer about a token, which a client can cause at any time. Real ones have 1 KiB.
/// Documents, which are asked for seldom, have up to [`MAX_DOCUMENT`].
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// No content coding (RFC 9110 §12.5.3): documents are small, and limits are simplest to hold on what
/// is sent.
const IDENTITY: &str = "identity";

/// An HTTP client that fetches small documents.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Arc<Pool>,
    allow_http_loopback: bool,
    http_hosts: Arc<[String]>,
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
    /// Besides these.
    pub(crate) headers: HeaderMap,
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
    /// More than so many bytes.
    TooLarge(usize),
    /// The answer has a content coding (RFC 9110 §8.4), though none was asked for.
    Encoded(&'static str),
}

impl Client {
    /// # Errors
    /// When the settings make no client: what is wrong, fit for a `ConfigError`.
    pub(crate) fn new(settings: &ClientSettings) -> Result<Self, String> {
        let pool = Arc::new(Pool::new(settings)?);
        let http_hosts = settings.http_hosts.as_slice().into();
        Ok(Self { pool, allow_http_loopback: settings.allow_http_loopback, http_hosts })
    }

    fn plain_http(&self) -> PlainHttp<'_> {
        PlainHttp { loopback: self.allow_http_loopback, hosts: &self.http_hosts }
    }

    /// How long one request may take in all.
    pub(crate) fn deadline(&self) -> Duration {
        self.pool.deadline()
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
        let url = check_url(url, self.plain_http())?;
        let request = |http: &reqwest::Client| {
            let request = http.get(url.clone()).header(ACCEPT, accept);
            let mut request = request.header(ACCEPT_ENCODING, IDENTITY);
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
            let body = read(&mut response, MAX_DOCUMENT).await?;
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
        let url = check_url(url, self.plain_http())?;
        let request = |http: &reqwest::Client| {
            let form = form().map_err(FetchError::Form)?;
            let request = http
                .post(url.clone())
                .headers(form.headers)
                .header(ACCEPT, form.accept)
                .header(ACCEPT_ENCODING, IDENTITY)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.body);
            Ok(match form.authorization {
                Some(authorization) => request.header(AUTHORIZATION, authorization),
                None => request,
            })
        };
        let exchange = async |attempt: &Attempt| {
            let mut response = attempt.send(request).await?;
            let status = response.status().as_u16();
            // Of another status, the status counts also where its body can't be read.
            let body = match coding(response.headers()) {
                Some(_) if status != 200 => Bytes::new(),
                _ => read(&mut response, MAX_BODY).await?,
            };
            let headers = std::mem::take(response.headers_mut());
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
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too great for the type is a long pause, and no pause is taken as it comes.
    is_number.then(|| Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)))
}

/// Reads a body, and stops where it exceeds the limit.
async fn read(response: &mut reqwest::Response, limit: usize) -> Result<Bytes, FetchError> {
    if let Some(coding) = coding(response.headers()) {
        return Err(FetchError::Encoded(coding));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// The content coding of an answer, by a name of ours: that of the server is foreign text.
fn coding(headers: &HeaderMap) -> Option<&'static str> {
    const CODINGS: [&str; 5] = ["gzip", "br", "deflate", "zstd", "compress"];
    let mut codings = headers.get_all(CONTENT_ENCODING).iter().flat_map(|line| {
        let codings = line.to_str().unwrap_or("?").split(',').map(str::trim);
        codings.filter(|own| !own.is_empty() && !own.eq_ignore_ascii_case(IDENTITY))
    });
    let found = codings.next()?;
    let found = found.strip_prefix("x-").unwrap_or(found);
    let known = CODINGS.into_iter().find(|own| own.eq_ignore_ascii_case(found));
    Some(known.unwrap_or("an unknown one"))
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
        crate::fetch::max_age(&lines.join(","), age)
    }

    /// The body as JSON text: without a byte order mark, which RFC 8259 §8.1 lets a reader ignore.
    pub(crate) fn json(&self) -> &[u8] {
        without_mark(&self.body)
    }

    /// Whether the content type says that it is a JWT of some kind.
    pub(crate) fn says_jwt(&self) -> bool {
        let media_type = self.media_type();
        media_type.is_some_and(|own| own == "application/jwt" || own.ends_with("+jwt"))
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
            Self::TooLarge(limit) => write!(f, "more than {limit} bytes"),
            Self::Encoded(coding) => {
                write!(f, "its content coding is {coding}, where `identity` was asked for")
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds() {
        for (text, expected) in [
            ("0", Some(0)),
            ("20", Some(20)),
            (" 20 ", Some(20)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
