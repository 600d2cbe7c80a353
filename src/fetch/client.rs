//! The HTTP client: it fetches documents and posts forms.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH,
};

use crate::fetch::answer::{FormAnswer, HttpAnswer, IDENTITY, is_answer, read, refusal};
use crate::fetch::document::{MAX_BODY, MAX_DOCUMENT};
use crate::fetch::error::FetchError;
use crate::fetch::pool::{Attempt, Pool};
use crate::fetch::settings::ClientSettings;
use crate::url::{PlainHttp, check_url};

/// An HTTP client for small documents.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Arc<Pool>,
    allow_http_loopback: bool,
    http_hosts: Arc<[String]>,
}

/// A form to be posted.
pub(crate) struct Form {
    pub(crate) accept: &'static str,
    pub(crate) authorization: Option<HeaderValue>,
    /// Additional headers.
    pub(crate) headers: HeaderMap,
    /// `application/x-www-form-urlencoded`.
    pub(crate) body: String,
}

impl Client {
    /// # Errors
    /// Fails if the settings are invalid. The text is for a `ConfigError`.
    pub(crate) fn new(settings: &ClientSettings) -> Result<Self, String> {
        let pool = Arc::new(Pool::new(settings)?);
        let http_hosts = settings.http_hosts.as_slice().into();
        Ok(Self { pool, allow_http_loopback: settings.allow_http_loopback, http_hosts })
    }

    fn plain_http(&self) -> PlainHttp<'_> {
        PlainHttp { loopback: self.allow_http_loopback, hosts: &self.http_hosts }
    }

    /// How long one request may take in total.
    pub(crate) fn deadline(&self) -> Duration {
        self.pool.deadline()
    }

    /// Fetches a small document. With `etag`, the status 304 is a valid answer, too.
    /// `authorization` is secret, so it is sent only to `url`.
    pub(crate) async fn get(
        &self,
        url: &str,
        accept: &'static str,
        etag: Option<&HeaderValue>,
        authorization: Option<HeaderValue>,
    ) -> Result<HttpAnswer, FetchError> {
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
            // RFC 9110 §15.4.5: a 304 has no content. Its headers describe the document.
            let body = match not_modified {
                true => Bytes::new(),
                false => read(&mut response, MAX_DOCUMENT).await?,
            };
            let headers = std::mem::take(response.headers_mut());
            Ok(HttpAnswer { not_modified, headers, body })
        };
        self.pool.attempt().whole(exchange).await
    }

    /// Posts a form. The form is secret, so it is sent only to `url`. If the form must be sent
    /// again, `form` makes a new form, because an assertion in a form can be used only once (RFC
    /// 7523 §3).
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
            let body = match read(&mut response, MAX_BODY).await {
                Ok(body) => body,
                // For a status that means an error, the status is enough. The body may be
                // unreadable.
                Err(FetchError::Encoded(_) | FetchError::TooLarge(_)) if !is_answer(status) => {
                    Bytes::new()
                }
                Err(error) => return Err(error),
            };
            let headers = std::mem::take(response.headers_mut());
            Ok(FormAnswer { status, answer: HttpAnswer { not_modified: false, headers, body } })
        };
        self.pool.attempt().whole(exchange).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}
