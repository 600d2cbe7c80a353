//! What a source brought.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

#[cfg(feature = "remote")]
use crate::fetch::{Client, FetchError};

/// What a key set is asked for as (RFC 7517 §8.5).
#[cfg(feature = "remote")]
const ACCEPT: &str = "application/jwk-set+json, application/json";

/// What a source brought.
pub(crate) struct Fetched {
    /// The document; none when the one at hand is still the present one.
    pub(crate) document: Option<Bytes>,
    pub(crate) validator: Option<Validator>,
    pub(crate) max_age: Option<Duration>,
    /// What is missing, where there are several places and not all have answered.
    pub(crate) partial: Option<Partial>,
}

/// A part of the set could not be fetched.
#[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "a server has parts"))]
pub(crate) struct Partial {
    /// In words fit for a log.
    pub(crate) problem: String,
    /// How long what stands in for it may be used, if there is anything.
    pub(crate) usable_until: Option<Duration>,
}

/// What to ask by whether a set has changed (RFC 9110 §8.8). It belongs to the URL it came from:
/// another server's ETag of the same text stands for another document.
#[derive(Clone, PartialEq)]
pub(crate) struct Validator {
    uri: String,
    etag: HeaderValue,
}

#[cfg(feature = "remote")]
/// Asks one URL for its key set; with a validator, whether it has changed.
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
