//! The head of a request: its method, URI, header fields and extensions, without the body.

use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Request, Uri};

/// The head of a request. Most layers read the head while it is still part of the `Request`. User-supplied code
/// receives the head as `Parts`. So, before a layer calls such code, it separates the head from the body.
pub(crate) trait RequestHead {
    fn method(&self) -> &Method;
    fn uri(&self) -> &Uri;
    fn uri_mut(&mut self) -> &mut Uri;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    fn extensions(&self) -> &Extensions;
    fn extensions_mut(&mut self) -> &mut Extensions;
    /// Calls `hide` with both the header fields and the extensions, so that `hide` can move a value from the header
    /// fields to the extensions.
    fn hide_with(&mut self, hide: impl FnOnce(&mut HeaderMap, &mut Extensions)) {
        let mut headers = std::mem::take(self.headers_mut());
        hide(&mut headers, self.extensions_mut());
        *self.headers_mut() = headers;
    }
    /// The head as `Parts`. Returns `None` if the head is still part of the `Request`.
    fn parts(&self) -> Option<&Parts>;
}

impl<B> RequestHead for Request<B> {
    fn method(&self) -> &Method {
        self.method()
    }

    fn uri(&self) -> &Uri {
        self.uri()
    }

    fn uri_mut(&mut self) -> &mut Uri {
        self.uri_mut()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn extensions(&self) -> &Extensions {
        self.extensions()
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions_mut()
    }

    fn parts(&self) -> Option<&Parts> {
        None
    }
}

impl RequestHead for Parts {
    fn method(&self) -> &Method {
        &self.method
    }

    fn uri(&self) -> &Uri {
        &self.uri
    }

    fn uri_mut(&mut self) -> &mut Uri {
        &mut self.uri
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    fn parts(&self) -> Option<&Parts> {
        Some(self)
    }
}
