//! The service that serves the metadata of a resource (RFC 9728 §3).
//!
//! | request | status | response |
//! |---|---|---|
//! | `GET` of exactly the metadata URL's path and query | 200 | the document, `Cache-Control: max-age=..` |
//! | `HEAD` of this URL | 200 | the same without a body |
//! | `OPTIONS` of this URL | 204 | `Allow`; for a CORS preflight request, also the CORS fields |
//! | another method | 405 | `Allow` |
//! | another path or query | 404 | nothing |
//!
//! The service requires no credentials and does not read the host name of the request. Every response has
//! `Access-Control-Allow-Origin: *`, because the document is public.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, CONTENT_LENGTH,
    CONTENT_TYPE, HeaderValue,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use tower_service::Service;

use crate::server::metadata::body::MetadataBody;
use crate::server::metadata::resource::Resource;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Serves the metadata of one resource. [`ResourceMetadata::build`](crate::server::ResourceMetadata::build)
/// creates this service. Cloning is cheap.
///
/// Mount the service at [`path`](Self::path), without authentication. For any other path, the response is
/// 404.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use http::Request;
/// use tower::ServiceExt as _;
/// use tower_resource_server::{Issuer, ResourceServer};
///
/// # let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// let service = ResourceServer::builder()
///     .issuer(Issuer::new("https://as.example.com").jwks(jwks))
///     .resource("https://api.example.com/v1")
///     .build()?
///     .metadata()
///     .build()?;
/// assert_eq!(service.path(), "/.well-known/oauth-protected-resource/v1");
///
/// let response = service.clone().oneshot(Request::get(service.path()).body(())?).await?;
/// assert_eq!(response.status(), 200);
/// assert_eq!(Bytes::from(response.into_body()), service.json());
///
/// let other = "/.well-known/oauth-protected-resource/v2";
/// assert_eq!(service.oneshot(Request::get(other).body(())?).await?.status(), 404);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MetadataService(Arc<Document>);

struct Document {
    resource: Arc<Resource>,
    json: String,
    bytes: Bytes,
    cache_control: HeaderValue,
    /// In seconds.
    max_age: u64,
}

impl MetadataService {
    /// `max_age` is in seconds.
    pub(super) fn new(resource: Arc<Resource>, json: String, max_age: u64) -> Self {
        let bytes = Bytes::copy_from_slice(json.as_bytes());
        let cache_control = HeaderValue::try_from(format!("max-age={max_age}"))
            .unwrap_or(HeaderValue::from_static("no-cache"));
        Self(Arc::new(Document { resource, json, bytes, cache_control, max_age }))
    }

    /// The path of the metadata, for a router: `/.well-known/oauth-protected-resource`, followed by the path
    /// of the resource identifier.
    pub fn path(&self) -> &str {
        &self.0.resource.path
    }

    /// The URL of the metadata. Challenges have this URL as `resource_metadata`.
    pub fn url(&self) -> &str {
        &self.0.resource.metadata_url
    }

    /// The document.
    pub fn json(&self) -> &str {
        &self.0.json
    }

    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<MetadataBody> {
        let Document { resource, bytes, cache_control, max_age, .. } = &*self.0;
        let mut response = Response::new(MetadataBody::default());
        let own = response.headers_mut();
        own.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        // RFC 9728 §3.3: a client discards the document of another resource, even if only the query differs.
        if uri.path() != resource.path || uri.query() != resource.query.as_deref() {
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        match *method {
            Method::GET | Method::HEAD => {
                own.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                own.insert(CONTENT_LENGTH, bytes.len().into());
                own.insert(CACHE_CONTROL, cache_control.clone());
                if method == Method::GET {
                    *response.body_mut() = MetadataBody::new(bytes.clone());
                }
            }
            Method::OPTIONS => {
                own.insert(ALLOW, METHODS);
                if headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
                    let methods = HeaderValue::from_static("GET, HEAD");
                    own.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
                    // Clients send fields of their own, such as `MCP-Protocol-Version`.
                    own.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
                    own.insert(ACCESS_CONTROL_MAX_AGE, (*max_age).into());
                }
                *response.status_mut() = StatusCode::NO_CONTENT;
            }
            _ => {
                own.insert(ALLOW, METHODS);
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            }
        }
        response
    }
}

impl<B> Service<Request<B>> for MetadataService {
    type Response = Response<MetadataBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<MetadataBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.uri(), request.headers())))
    }
}

impl fmt::Debug for MetadataService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataService").field("json", &self.json()).finish_non_exhaustive()
    }
}
