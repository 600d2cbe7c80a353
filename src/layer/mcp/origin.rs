//! Checks the `Origin` of a request. The section "Streamable HTTP" of the MCP specification requires this check in its
//! security warning.

use http::HeaderMap;
use http::header::ORIGIN;

use crate::error::Error;
use crate::token::Excerpt;
use crate::url::origin_of;

/// The accepted origins. `None` accepts all.
#[derive(Debug)]
pub(super) struct Origins(Option<Vec<String>>);

impl Origins {
    /// # Errors
    /// One problem for each text of `allowed` that is not an origin.
    pub(super) fn new(resource: &str, allowed: &[String], any: bool) -> Result<Self, Vec<String>> {
        if any {
            return Ok(Self(None));
        }
        let mut problems = Vec::new();
        let mut origins: Vec<_> = origin_of(resource).into_iter().collect();
        for text in allowed {
            match origin_of(text) {
                Some(origin) if origin == *text => origins.push(origin),
                _ => problems.push(format!(
                    "origin `{}`: must be a scheme, a host and perhaps a port, in the form that browsers \
                     send: `https://app.example.com`",
                    text.escape_debug()
                )),
            }
        }
        if problems.is_empty() { Ok(Self(Some(origins))) } else { Err(problems) }
    }

    /// Accepts no web page.
    pub(super) fn none() -> Self {
        Self(Some(Vec::new()))
    }

    /// Checks the origin of the web page that sends the request. A request without `Origin` passes: it cannot be
    /// the attack of a web page. A browser sends `Origin` with each POST request. It may omit `Origin` in a GET request, but
    /// a page cannot add a token to a GET request for another origin, unless CORS allows this.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        let Some(accepted) = &self.0 else { return Ok(()) };
        let mut lines = headers.get_all(ORIGIN).iter();
        let found = match (lines.next(), lines.next()) {
            (None, _) => return Ok(()),
            (Some(line), None) => line.to_str().unwrap_or_default(),
            (Some(_), Some(_)) => "",
        };
        match accepted.iter().any(|origin| origin == found) {
            true => Ok(()),
            false => Err(Error::ForeignOrigin { found: Excerpt::of(found) }),
        }
    }
}
