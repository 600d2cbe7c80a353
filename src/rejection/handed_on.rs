//! A refusal from inside the layer of its server, for example from an extractor.

use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use crate::rejection::Refusal;
use crate::rejection::body::RefusalBody;

/// A refusal that a handler or an extractor returned. The layer around it adds the body, because only the layer has the
/// server's [`RefusalBody`].
#[derive(Clone)]
pub(crate) struct HandedOn(Refusal);

impl HandedOn {
    #[cfg(feature = "axum")]
    pub(crate) fn new(refusal: &Refusal) -> Self {
        Self(refusal.clone())
    }

    /// Adds the body to a refusal from inside, once. Keeps the status and the headers, also those that other layers
    /// have added.
    pub(crate) fn shape<B>(response: &mut Response<B>, body: &impl RefusalBody<B>) {
        let Some(Self(refusal)) = response.extensions_mut().remove::<Self>() else {
            return;
        };
        // Then another layer has changed the status or added a body.
        if response.status() != refusal.status() || response.headers().contains_key(CONTENT_TYPE) {
            return;
        }
        let (content_type, body) = body.body(&refusal);
        *response.body_mut() = body;
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
    }
}
