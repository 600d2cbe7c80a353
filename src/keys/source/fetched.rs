//! The result of a fetch.

use std::time::Duration;

#[cfg(feature = "http-client")]
use base64::Engine as _;
#[cfg(feature = "http-client")]
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderValue;

#[cfg(feature = "http-client")]
use crate::crypto::sha256;
#[cfg(feature = "http-client")]
use crate::fetch::{Client, FetchError};
#[cfg(feature = "http-client")]
use crate::runtime::Deadline;

/// The media types that are accepted for a key set (RFC 7517 §8.5).
#[cfg(feature = "http-client")]
const ACCEPT: &str = "application/jwk-set+json, application/json";

/// The result of a fetch.
pub(crate) struct Fetched {
    /// The document. `None` if the current one has not changed.
    pub(crate) document: Option<Bytes>,
    pub(crate) validator: Option<Validator>,
    pub(crate) max_age: Option<Duration>,
    /// The missing part, if there are several places and some of them failed.
    pub(crate) partial: Option<Partial>,
}

/// The part of a set that could not be fetched.
#[cfg_attr(
    not(feature = "http-client"),
    allow(dead_code, reason = "only a server has several places")
)]
pub(crate) struct Partial {
    /// Why the part could not be fetched, for the log.
    pub(crate) problem: String,
    /// The time until which older keys replace the missing part, if there are such keys.
    pub(crate) usable_until: Option<Duration>,
}

/// The validator for conditional requests (RFC 9110 §8.8). It is valid only for the URL that sent
/// it, because the same ETag at another URL stands for another document.
#[derive(Clone, PartialEq)]
pub(crate) struct Validator {
    uri: String,
    etag: HeaderValue,
}

/// The last good key set of one of several places.
#[cfg_attr(
    not(feature = "http-client"),
    allow(dead_code, reason = "only a server has several places")
)]
#[derive(Clone)]
pub(crate) struct Part {
    /// The [`place_name`] of its URL.
    pub(crate) place: String,
    pub(crate) document: Bytes,
    pub(crate) validator: Option<Validator>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) usable_until: Duration,
}

/// The name of a place: the SHA-256 hash of its URL in base64url. It is not the URL itself, because
/// seeds contain this name and a URL may contain a secret.
#[cfg(feature = "http-client")]
pub(crate) fn place_name(uri: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(uri.as_bytes()))
}

/// An entity tag without the mark of a weak tag (RFC 9110 §8.8.3.2).
#[cfg(feature = "http-client")]
fn tag(etag: &HeaderValue) -> &[u8] {
    let etag = etag.as_bytes();
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

#[cfg(feature = "http-client")]
/// Requests the key set at one URL. With a validator of this URL, the request is conditional: the
/// server sends the set only if it has changed.
pub(crate) async fn get(
    client: &Client,
    uri: &str,
    validator: Option<&Validator>,
    authorization: Option<HeaderValue>,
) -> Result<Fetched, FetchError> {
    let validator = validator.filter(|validator| validator.uri == uri);
    let etag = validator.map(|validator| &validator.etag);
    let deadline = Deadline::after(client.deadline());
    let mut answer = client.get(uri, ACCEPT, etag, authorization.clone()).await?;
    let confirmed = etag.filter(|_| answer.not_modified);
    let other = answer.etag().zip(confirmed).is_some_and(|(own, sent)| tag(&own) != tag(sent));
    if other {
        // RFC 9111 §4.3.4: this answer confirms a document that is not the cached one.
        let again = client.get(uri, ACCEPT, None, authorization);
        let again = deadline.within(client.deadline(), again).await;
        answer = again.unwrap_or(Err(FetchError::Timeout))?;
    }
    let etag = if answer.not_modified { etag.cloned() } else { answer.etag() };
    Ok(Fetched {
        validator: etag.map(|etag| Validator { uri: uri.to_owned(), etag }),
        max_age: answer.max_age(),
        document: (!answer.not_modified).then_some(answer.body),
        partial: None,
    })
}
