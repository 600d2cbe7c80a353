//! A refusal on its way out through the layer of its server.

use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use crate::rejection::Refusal;
use crate::rejection::body::RefusalBody;

/// A refusal that a handler or an extractor answered with, for the layer around it: which body the
/// server's refusals have is known there alone.
#[derive(Clone)]
pub(crate) struct HandedOn(Refusal);

impl HandedOn {
    #[cfg(feature = "axum")]
    pub(crate) fn new(refusal: &Refusal) -> Self {
        Self(refusal.clone())
    }

    /// Gives a refusal from inside its body, once. Status and headers stay, and what other layers have
    /// added to them.
    pub(crate) fn shape<B>(response: &mut Response<B>, body: &impl RefusalBody<B>) {
        let Some(Self(refusal)) = response.extensions_mut().remove::<Self>() else {
            return;
        };
        // Something in between made it another answer, or gave it a body.
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
