//! Converts a refusal to a response.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Response};

use crate::rejection::Refusal;
use crate::rejection::body::{EmptyBody, RefusalBody};

/// The header fields of a refusal: `Cache-Control`, `Content-Type`, and either a challenge or
/// `Retry-After`.
const MOST_FIELDS: usize = 3;

impl Refusal {
    /// Converts the refusal to a response without a body.
    pub fn into_response<B: Default>(self) -> Response<B> {
        self.into_response_with(&EmptyBody)
    }

    /// Converts the refusal to a response. `body` makes its body.
    pub fn into_response_with<B>(self, body: &impl RefusalBody<B>) -> Response<B> {
        let (content_type, body) = body.body(&self);
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // One allocation for all fields.
        *headers = HeaderMap::with_capacity(MOST_FIELDS);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.challenges.as_deref() {
            None => {}
            Some([only]) => drop(headers.insert(WWW_AUTHENTICATE, only.clone())),
            Some(several) => several.iter().for_each(|challenge| {
                headers.append(WWW_AUTHENTICATE, challenge.clone());
            }),
        }
        if !self.headers.is_empty() {
            headers.extend(self.headers);
        }
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        response.extensions_mut().insert(self.error);
        response
    }
}
