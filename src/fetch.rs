//! The one way out to the network.
//!
//! Every request has a deadline, every answer a limit that is counted as it streams. Redirects are
//! not followed: where keys come from is configured, not suggested. Only https, or http on this
//! very machine where that was switched on.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, RETRY_AFTER,
};

use crate::issuer::{UrlFault, check_url};

/// How long a connection may take; a server that is further away than this is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one request may take in all.
pub(crate) const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer. Real key sets have 1 to 20 KiB, metadata 2 to 10 KiB.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// How the client is set up.
#[derive(Clone, Default)]
pub(crate) struct ClientSettings {
    pub(crate) allow_http_loopback: bool,
    /// Root certificates, PEM: beside those of the system, or instead of them.
    pub(crate) root_certificates: Vec<Vec<u8>>,
    pub(crate) only_these_roots: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// Whether any URL is https, for which root certificates are needed.
    pub(crate) needs_tls: bool,
    /// A certificate with its private key, PEM, by which the client shows who it is (RFC 8705 §2).
    pub(crate) identity: Option<Vec<u8>>,
}

/// An HTTP client that fetches small documents.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
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

/// Why nothing usable came back, in fixed words: no URL, no text of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    Url(&'static str),
    Connect,
    Timeout,
    Transport,
    Status(u16),
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
        let mut builder = reqwest::Client::builder()
            .tls_backend_rustls()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .no_proxy()
            .referer(false)
            .user_agent(settings.user_agent.as_deref().unwrap_or(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            )));
        let mut roots = Vec::new();
        for pem in &settings.root_certificates {
            match reqwest::Certificate::from_pem_bundle(pem) {
                Ok(certificates) if !certificates.is_empty() => roots.extend(certificates),
                Ok(_) | Err(_) if settings.only_these_roots => {
                    return Err("only_root_certificates: no PEM certificates".to_owned());
                }
                Ok(_) | Err(_) => return Err("root_certificates: no PEM certificates".to_owned()),
            }
        }
        builder = if settings.needs_tls && !settings.only_these_roots {
            builder.tls_certs_merge(roots)
        } else {
            // Where nothing is asked over TLS, a machine without root certificates is good enough.
            builder.tls_certs_only(roots)
        };
        if let Some(proxy) = &settings.proxy {
            // What is asked by http is on this very machine, and a proxy would read all of it.
            let proxy = reqwest::Proxy::https(proxy).map_err(|_| "proxy: is no URL".to_owned())?;
            builder = builder.proxy(proxy);
        }
        if let Some(pem) = &settings.identity {
            let identity = reqwest::Identity::from_pem(pem)
                .map_err(|_| "mutual_tls: no PEM certificate with its private key".to_owned())?;
            builder = builder.identity(identity);
        }
        let http = builder.build().map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!("the HTTPS client can't be built: {}", cause.unwrap_or_default())
        })?;
        Ok(Self { http, allow_http_loopback: settings.allow_http_loopback })
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
        let mut request = self.http.get(url).header(ACCEPT, accept);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let not_modified = status == 304 && etag.is_some();
        if status != 200 && !not_modified {
            // Its form as a date is not read: it would need the wall clock, and pauses are short.
            let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            return Err(match seconds.and_then(|seconds| seconds.trim().parse().ok()) {
                Some(seconds) if [429, 503].contains(&status) => {
                    FetchError::Busy { status, retry_after: Duration::from_secs(seconds) }
                }
                _ => FetchError::Status(status),
            });
        }
        let body = read(&mut response).await?;
        let headers = std::mem::take(response.headers_mut());
        Ok(Answer { not_modified, headers, body })
    }

    /// Posts a form. What it holds is secret, so it goes nowhere but to `url`.
    pub(crate) async fn post(&self, url: &str, form: Form) -> Result<FormAnswer, FetchError> {
        let url = check_url(url, self.allow_http_loopback)?;
        let mut request = self
            .http
            .post(url)
            .header(ACCEPT, form.accept)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.body);
        if let Some(authorization) = form.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut response = request.send().await?;
        let body = read(&mut response).await?;
        let headers = std::mem::take(response.headers_mut());
        let status = response.status().as_u16();
        Ok(FormAnswer { status, answer: Answer { not_modified: false, headers, body } })
    }
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
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Connect
        } else {
            Self::Transport
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(problem) => write!(f, "its URL {problem}"),
            Self::Connect => f.write_str("can't connect"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Transport => f.write_str("the connection broke"),
            Self::Status(status) | Self::Busy { status, .. } => write!(f, "status {status}"),
            Self::TooLarge => write!(f, "more than {MAX_BODY} bytes"),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}
