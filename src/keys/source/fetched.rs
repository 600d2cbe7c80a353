//! The result of a fetch.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

#[cfg(feature = "http-client")]
use crate::fetch::{Client, FetchError};

/// The media types that are accepted for a key set (RFC 7517 §8.5).
#[cfg(feature = "http-client")]
const ACCEPT: &str = "application/jwk-set+json, application/json";

/// The result of a fetch.
pub(crate) struct Fetched {
    /// The document. `None` if the current one has not changed.
    pub(crate) document: Option<Bytes>,
    pub(crate) validator: Option<Validator>,
    pub(crate) max_age: Option<Duration>,
    /// What is missing, if there are several places and not all of them answered.
    pub(crate) partial: Option<Partial>,
}

/// A part of the set could not be fetched.
#[cfg_attr(
    not(feature = "http-client"),
    allow(dead_code, reason = "only a server has several places")
)]
pub(crate) struct Partial {
    /// For the log.
    pub(crate) problem: String,
    /// How long the replacement for the missing part may be used, if there is one.
    pub(crate) usable_until: Option<Duration>,
}

/// The validator to ask whether a set has changed (RFC 9110 §8.8). It belongs to the URL it came
/// from: the same ETag from another server stands for another document.
#[derive(Clone, PartialEq)]
pub(crate) struct Validator {
    uri: String,
    etag: HeaderValue,
}

#[cfg(feature = "http-client")]
/// Requests the key set at one URL. With a validator, asks whether it has changed.
pub(crate) async fn get(
    client: &Client,
    uri: &str,
    validator: Option<&Validator>,
    authorization: Option<HeaderValue>,
) -> Result<Fetched, FetchError> {
    let validator = validator.filter(|validator| validator.uri == uri);
    let etag = validator.map(|validator| &validator.etag);
    let answer = client.get(uri, ACCEPT, etag, authorization).await?;
    let etag = answer.etag().or_else(|| etag.filter(|_| answer.not_modified).cloned());
    Ok(Fetched {
        validator: etag.map(|etag| Validator { uri: uri.to_owned(), etag }),
        max_age: answer.max_age(),
        document: (!answer.not_modified).then_some(answer.body),
        partial: None,
    })
}
