//! A table of requirements for a whole service: one entry for each method and route.
//!
//! A request whose route or method is not in the table is refused. [`Routes`] says how a route is found.

mod path;
mod pattern;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;

use http::Method;

use crate::config_error::ConfigError;
use crate::policy::expression::expect;
use crate::policy::requirement::Requirement;
use crate::token::Claims;
pub(in crate::policy) use path::has_one_reading;
pub(crate) use table::{Entry, Reading, Table};

/// The requirements of a whole service, by method and route. Use it with
/// [`protect_routes`](crate::ResourceServer::protect_routes), which has complete examples.
///
/// - A route or a method that is not listed is refused: 401 without a valid token, 403 with a valid token.
/// - A route with the requirement `authenticated()` accepts every valid token.
/// - `HEAD` has the requirement of `GET`, unless `HEAD` is listed (RFC 9110 §9.3.2).
/// - First the most specific pattern is chosen, then the method. If only `POST /notes/export` and
///   `GET /notes/{id}` are listed, `GET /notes/export` is not listed.
///
/// `{name}` in a pattern stands for one segment that is not empty, and `{*rest}` for one or more segments at
/// the end. A literal segment is more specific than `{name}`, and `{name}` is more specific than `{*rest}`.
///
/// # Which reader
///
/// The table and the service must read a path in the same way. Otherwise, a client could reach one route
/// under the requirement of another route.
///
/// | the service is | use | the table is asked for |
/// |---|---|---|
/// | an axum `Router` | `Routes::for_axum()` | the pattern that the router itself has matched |
/// | anything else | `Routes::for_raw_paths()` | the raw path of the request's URI |
///
/// # Raw paths
///
/// [`Routes::for_raw_paths`] compares a path byte for byte, before any decoding. A path counts as not listed if
/// two programs could read it differently. That is a path with:
///
/// - an empty segment (`//`), a segment `.` or `..`, a `;`, or a character that RFC 3986 does not allow in a
///   path, such as a backslash;
/// - a `%` without two hexadecimal digits, a percent-encoded unreserved character (`%61`, `%2e`), a
///   percent-encoded control character, `/`, `\`, `%`, `;`, `?` or `#`, or percent-encoded octets that are not
///   UTF-8;
/// - a different entry for a program that decodes the path, or that ignores letter case, blanks, or dots and
///   slashes at the end, such as `/notes/EXPORT` if `/notes/export` and `/notes/{id}` are listed;
/// - a slash at the end, unless the pattern ends with a slash or with `{*rest}`.
///
/// A layer that changes the method or the path, such as one for `X-HTTP-Method-Override`, must be around
/// the layer with this table, not inside it.
///
/// ```
/// use tower_resource_server::policy::{Routes, all_of, authenticated};
/// use tower_resource_server::scope;
///
/// let routes: Routes = Routes::for_raw_paths()
///     .get("/notes", scope("notes:read"))
///     .post("/notes", all_of(["notes:read", "notes:write"]))
///     .get("/notes/{id}", scope("notes:read"))
///     .any("/files/{*rest}", scope("files"))
///     .get("/me", authenticated());
///
/// // A pattern from a configuration file.
/// let error = routes.try_any("/notes/{note}", scope("notes:read")).unwrap_err();
/// assert!(error.to_string().contains("`/notes/{id}`"), "{error}");
/// ```
pub struct Routes<C = Claims> {
    pub(crate) table: Table<Requirement<C>>,
    pub(crate) allows_preflight: bool,
    pub(crate) hides_unlisted: bool,
}

impl<C> Routes<C> {
    /// An empty table for a service that is not an axum router. The raw path is looked up in the table.
    ///
    /// The table must list every route of the service that is more specific than another listed route.
    /// Otherwise, `GET /notes/export` has the requirement of `GET /notes/{id}`. So do not use this table for
    /// an axum router: with `for_axum`, such a route is refused.
    pub fn for_raw_paths() -> Self {
        Self::of(Reading::Path)
    }

    /// An empty table for an axum `Router`. axum's [`MatchedPath`](axum::extract::MatchedPath) is looked up in
    /// the table: the pattern that the router itself has matched. So the text of a pattern must be equal to the
    /// text in the router, including the names of parameters and the prefix of `nest`.
    ///
    /// Add the layer with `Router::layer`, after the last route and the fallback: a route that is added later
    /// is not protected. A request without a matched path is not listed. That is a request to a fallback, a
    /// request to a path below a `nest_service`, and every request if the layer is around the router
    /// (`layer(app)`).
    ///
    /// For a router in `nest_service("/in", ..)`, add the layer to that router, and list its patterns with
    /// the prefix: `/in/{id}`, and `/in/` for its route `/`.
    #[cfg(feature = "axum")]
    pub fn for_axum() -> Self {
        Self::of(Reading::MatchedPattern)
    }

    fn of(reading: Reading) -> Self {
        Self { table: Table::new(reading), allows_preflight: false, hides_unlisted: false }
    }

    /// Lists a method of a route.
    ///
    /// # Panics
    /// If the pattern is malformed, if the method is already listed for it, or if another pattern matches
    /// the same path and neither of the two is more specific (`/{a}/b` and `/a/{b}`). See
    /// [`try_route`](Self::try_route).
    #[track_caller]
    pub fn route(
        self,
        method: Method,
        pattern: &str,
        requirement: impl Into<Requirement<C>>,
    ) -> Self {
        expect("Routes", self.try_route(method, pattern, requirement))
    }

    /// Lists a route for all methods that are not listed by name for this route.
    ///
    /// # Panics
    /// As [`route`](Self::route).
    #[track_caller]
    pub fn any(self, pattern: &str, requirement: impl Into<Requirement<C>>) -> Self {
        expect("Routes", self.try_any(pattern, requirement))
    }

    /// As [`route`](Self::route), for a pattern from outside the program.
    ///
    /// # Errors
    /// The reasons for which [`route`](Self::route) panics.
    #[track_caller]
    pub fn try_route(
        self,
        method: Method,
        pattern: &str,
        requirement: impl Into<Requirement<C>>,
    ) -> Result<Self, ConfigError> {
        self.insert(Some(method), pattern, requirement.into())
    }

    /// As [`any`](Self::any), for a pattern from outside the program.
    ///
    /// # Errors
    /// The reasons for which [`route`](Self::route) panics.
    #[track_caller]
    pub fn try_any(
        self,
        pattern: &str,
        requirement: impl Into<Requirement<C>>,
    ) -> Result<Self, ConfigError> {
        self.insert(None, pattern, requirement.into())
    }

    /// Lets CORS preflight requests pass without a token, because browsers send them without credentials (Fetch
    /// §4.8). Use this setting if the service inside the layer answers preflight requests. If `CorsLayer` is
    /// around the layer, the setting is not needed.
    ///
    /// Only this request passes: `OPTIONS`, with exactly one `Origin` and exactly one
    /// `Access-Control-Request-Method`, to a route of the table that does not list `OPTIONS` by name and has no
    /// [`hidden`](Requirement::hidden) requirement. Its credentials are not read. For the inner service, the
    /// request is anonymous.
    ///
    /// A client can send such a request by hand. So a handler for all methods (axum's `any`) must not do
    /// anything for `OPTIONS`.
    pub fn allow_preflight(mut self) -> Self {
        self.allows_preflight = true;
        self
    }

    /// Answers 404 instead of 403 if the route is not listed, as
    /// [`hidden`](Requirement::hidden) does for a listed route. Use both together. Otherwise, a client can
    /// tell a hidden route (404) from a route that does not exist (403).
    pub fn hide_unlisted(mut self) -> Self {
        self.hides_unlisted = true;
        self
    }

    fn insert(
        mut self,
        method: Option<Method>,
        pattern: &str,
        requirement: Requirement<C>,
    ) -> Result<Self, ConfigError> {
        self.table.insert(method, pattern, requirement).map_err(ConfigError::one)?;
        Ok(self)
    }
}

macro_rules! methods {
    ($($name:ident $method:ident,)*) => {
        impl<C> Routes<C> {
            $(
                #[doc = concat!("Lists `", stringify!($method), "` of a route.")]
                ///
                /// # Panics
                /// As [`route`](Self::route).
                #[track_caller]
                pub fn $name(self, pattern: &str, requirement: impl Into<Requirement<C>>) -> Self {
                    self.route(Method::$method, pattern, requirement)
                }
            )*
        }
    };
}

methods! {
    get GET,
    head HEAD,
    post POST,
    put PUT,
    patch PATCH,
    delete DELETE,
}

impl<C> Clone for Routes<C> {
    fn clone(&self) -> Self {
        let Self { table, allows_preflight, hides_unlisted } = self;
        Self {
            table: table.clone(),
            allows_preflight: *allows_preflight,
            hides_unlisted: *hides_unlisted,
        }
    }
}

impl<C> fmt::Debug for Routes<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("table", &self.table)
            .field("allows_preflight", &self.allows_preflight)
            .field("hides_unlisted", &self.hides_unlisted)
            .finish()
    }
}
