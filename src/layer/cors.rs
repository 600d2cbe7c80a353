//! CORS: which response fields a script in a browser needs.

use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};

/// The fields of refusals that a browser hides from scripts of other origins, unless the API exposes them
/// (Fetch §3.3.3): the challenge, and the time to wait. Pass them to `expose_headers` of tower-http's
/// `CorsLayer`, and put that layer outside the layers of this crate.
///
/// ```
/// use tower_http::cors::{Any, CorsLayer};
/// use tower_resource_server::layer::exposed_headers;
///
/// assert_eq!(exposed_headers(), ["www-authenticate", "retry-after"]);
/// let cors = CorsLayer::new()
///     .allow_origin(Any)
///     .allow_headers([http::header::AUTHORIZATION])
///     .expose_headers(exposed_headers());
/// # let _ = cors;
/// ```
pub fn exposed_headers() -> Vec<HeaderName> {
    vec![WWW_AUTHENTICATE, RETRY_AFTER]
}
