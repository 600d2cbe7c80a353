//! The requirements of all routes of a service, with their prepared challenges.

use std::fmt;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN};
use http::{HeaderMap, Method};

use crate::layer::fixed::Fixed;
use crate::layer::head::RequestHead;
use crate::policy::{Entry, Reading, Routes, Table};
use crate::server::ResourceServer;
use crate::token::Excerpt;

/// The table with the requirements of all routes of a service.
pub(crate) struct ByRoute<C> {
    table: Table<Fixed<C>>,
    allows_preflight: bool,
    pub(crate) hides_unlisted: bool,
    /// Whether user-supplied code in one of the requirements reads the head of the request.
    pub(crate) reads_request: bool,
}

impl<C> ByRoute<C> {
    pub(crate) fn new<R>(routes: Routes<C>, server: &ResourceServer<C, R>) -> Self {
        let Routes { table, allows_preflight, hides_unlisted } = routes;
        let reads_request = table.values().any(|requirement| requirement.reads_request());
        let table = table.map(|requirement| Fixed::new(requirement, server));
        Self { table, allows_preflight, hides_unlisted, reads_request }
    }

    /// The requirement for the method and the route of the request.
    ///
    /// # Errors
    /// Returns a text for the log if the table does not list this method of this route, or if axum has matched no
    /// route. The text is the end of a sentence that begins with "the route requires".
    pub(crate) fn of(&self, request: &impl RequestHead) -> Result<&Fixed<C>, Excerpt> {
        let Some(text) = self.text(request) else {
            return Err(Excerpt::of(
                "an entry in the table of routes, but axum has matched no route, so there is no entry",
            ));
        };
        let entry = self.table.find(text);
        entry.and_then(|entry| entry.of(request.method())).ok_or_else(|| {
            match self.table.reading() {
                // The log may contain the pattern: it comes from the program, not from the client.
                Reading::MatchedPattern => {
                    let method = request.method();
                    Excerpt::of(&format!("an entry in the table of routes for {method} {text}"))
                }
                Reading::Path => Excerpt::of("an entry in the table of routes"),
            }
        })
    }

    /// Whether the request is a CORS preflight request that the layer lets pass (Fetch §4.8).
    pub(crate) fn lets_preflight_pass(&self, request: &impl RequestHead) -> bool {
        if !self.allows_preflight || request.method() != Method::OPTIONS {
            return false;
        }
        let entry = self.text(request).and_then(|text| self.table.find(text));
        // A preflight request to a hidden route does not pass. Otherwise, anyone could find out that the
        // route exists.
        entry.is_some_and(|entry| entry.named(&Method::OPTIONS).is_none() && !hides(entry))
            && is_single(request.headers(), &ORIGIN)
            && is_single(request.headers(), &ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The text that is looked up in the table: the pattern that axum has matched, or the raw path. Returns `None`
    /// if axum has matched no pattern.
    fn text<'r>(&self, request: &'r impl RequestHead) -> Option<&'r str> {
        match self.table.reading() {
            Reading::MatchedPattern => matched_pattern(request),
            Reading::Path => Some(request.uri().path()),
        }
    }
}

/// The pattern that axum's router has matched. Returns `None` if it has matched none, or without the feature
/// `axum`.
fn matched_pattern(request: &impl RequestHead) -> Option<&str> {
    #[cfg(feature = "axum")]
    return request.extensions().get::<axum::extract::MatchedPath>().map(|path| path.as_str());
    #[cfg(not(feature = "axum"))]
    {
        let _ = request;
        None
    }
}

/// Whether the requirement of at least one method of this route is hidden. If the token does not meet a hidden
/// requirement, the response is 404, or 401 if a new login alone is enough.
fn hides<C>(entry: &Entry<Fixed<C>>) -> bool {
    entry.values().any(|fixed| fixed.requirement.is_hidden())
}

fn is_single(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next().is_some_and(|value| !value.is_empty()) && values.next().is_none()
}

impl<C> fmt::Debug for ByRoute<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByRoute")
            .field("table", &self.table)
            .field("allows_preflight", &self.allows_preflight)
            .field("hides_unlisted", &self.hides_unlisted)
            .finish_non_exhaustive()
    }
}
