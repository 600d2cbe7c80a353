//! Converts a refusal to a response.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::rejection::Refusal;
use crate::rejection::body::{EmptyBody, RefusalBody};

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
        *response.headers_mut() = self.headers();
        if let Some(content_type) = content_type {
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        response.extensions_mut().insert(self.error);
        response
    }

    /// The headers of the response, without those of its body.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = match &self.challenges {
            Some(prepared) => prepared.headers.clone(),
            None => HeaderMap::new(),
        };
        // A hidden refusal must have the same headers as the API's own 404.
        if self.challenges.is_none() && self.status != StatusCode::NOT_FOUND {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if !self.headers.is_empty() {
            headers.extend(self.headers.iter().cloned());
        }
        headers
    }
}
