//! CORS: the fields of a response that a script in a browser needs.

use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::rejection::DPOP_NONCE;

/// The response fields of this crate that a script in a browser may need: the challenge
/// (`WWW-Authenticate`), the time to wait after a 503 (`Retry-After`), and the nonce for the next proof
/// (`DPoP-Nonce`, RFC 9449 §8). A browser hides these fields from scripts of other origins, unless the API
/// exposes them (Fetch §3.3.3). To expose them, pass the result of this function to `expose_headers` of
/// tower-http's `CorsLayer`, and put the `CorsLayer` outside the layers of this crate.
///
/// ```
/// use tower_http::cors::{Any, CorsLayer};
/// use tower_resource_server::layer::exposed_headers;
///
/// assert_eq!(exposed_headers(), ["www-authenticate", "retry-after", "dpop-nonce"]);
/// let cors = CorsLayer::new()
///     .allow_origin(Any)
///     .allow_headers([http::header::AUTHORIZATION, http::HeaderName::from_static("dpop")])
///     .expose_headers(exposed_headers());
/// # let _ = cors;
/// ```
pub fn exposed_headers() -> Vec<HeaderName> {
    vec![WWW_AUTHENTICATE, RETRY_AFTER, DPOP_NONCE]
}
