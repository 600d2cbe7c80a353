//! An HTTP answer: how much of the body is read, and what the headers say.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LOCATION,
    RETRY_AFTER,
};

use crate::fetch::cache_control::max_age;
use crate::fetch::document::without_mark;
use crate::fetch::error::FetchError;
use crate::token::Excerpt;

/// The value of `Accept-Encoding` for no content coding (RFC 9110 §12.5.3). Documents are small,
/// and a size limit is simplest if the sent octets are the document.
pub(super) const IDENTITY: &str = "identity";

/// An answer with status 200, or 304 to a conditional request.
pub(crate) struct HttpAnswer {
    pub(crate) not_modified: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An answer to a form, with any status.
pub(crate) struct FormAnswer {
    pub(crate) status: u16,
    pub(crate) answer: HttpAnswer,
}

impl FormAnswer {
    /// Whether the status is that of a successful answer.
    pub(crate) fn is_answer(&self) -> bool {
        is_answer(self.status)
    }
}

/// Whether a status is that of a successful answer to a form. Some servers answer 201.
pub(super) fn is_answer(status: u16) -> bool {
    [200, 201].contains(&status)
}

impl HttpAnswer {
    /// How long the server asks the client to wait before the next request (`Retry-After`).
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    pub(crate) fn etag(&self) -> Option<HeaderValue> {
        self.headers.get(ETAG).cloned()
    }

    /// How long the answer is fresh. `None` if the headers don't say.
    pub(crate) fn max_age(&self) -> Option<Duration> {
        // RFC 9110 §5.3: several lines of one field form one list.
        let lines = self.headers.get_all(CACHE_CONTROL).iter();
        let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
        let age = self.headers.get(AGE).and_then(|value| value.to_str().ok());
        max_age(&lines.join(","), age)
    }

    /// The body as JSON text, without a byte order mark, which RFC 8259 §8.1 allows a reader to
    /// ignore.
    pub(crate) fn json(&self) -> &[u8] {
        without_mark(&self.body)
    }

    /// Whether the content type names some kind of JWT.
    pub(crate) fn says_jwt(&self) -> bool {
        let media_type = self.media_type();
        media_type.is_some_and(|own| own == "application/jwt" || own.ends_with("+jwt"))
    }

    /// Names the content type of an unusable answer, for an error text.
    pub(crate) fn content_type_note(&self) -> String {
        let found = self.media_type().map(|found| Excerpt::of(&found));
        found.map_or_else(String::new, |found| format!("; its content type is {found}"))
    }

    /// Names the content coding of an answer, for an error text: an answer with a content coding
    /// can't be read.
    pub(crate) fn coding_note(&self) -> String {
        let found = coding(&self.headers);
        found.map_or_else(String::new, |found| format!("; its content coding is {found}"))
    }

    /// The content type without its parameters, in lower case (RFC 9110 §8.3.1).
    pub(crate) fn media_type(&self) -> Option<String> {
        let text = self.headers.get(CONTENT_TYPE)?.to_str().unwrap_or_default();
        Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }
}

/// The error for an answer whose status is not that of a document.
pub(super) fn refusal(status: u16, headers: &HeaderMap) -> FetchError {
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

/// The target of a redirect (RFC 9110 §10.2.2).
pub(crate) fn redirect_target(headers: &HeaderMap) -> Option<Excerpt> {
    let target = headers.get(LOCATION)?;
    Some(Excerpt::of_url(&String::from_utf8_lossy(target.as_bytes())))
}

/// RFC 9110 §10.2.3. The value may also be a date. A date is ignored: it would need the wall clock,
/// and pauses are short.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too large for the type is a long pause. Every caller limits the pause.
    is_number.then(|| Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)))
}

/// Reads a body, and fails as soon as it exceeds the limit.
pub(super) async fn read(
    response: &mut reqwest::Response,
    limit: usize,
) -> Result<Bytes, FetchError> {
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

/// The content coding of an answer, as one of our fixed names, because the server's text is
/// untrusted.
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
