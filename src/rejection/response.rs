//! Converts a refusal to a response.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
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
        let headers = response.headers_mut();
        match &self.challenges {
            Some(prepared) => headers.clone_from(&prepared.headers),
            // Equal to the response for a resource that does not exist.
            None if self.status == StatusCode::NOT_FOUND => {}
            None => drop(headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"))),
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
