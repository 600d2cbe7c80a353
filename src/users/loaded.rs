//! The user record of a request, for handlers.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The user record of a request, which [`load_user`](crate::ResourceServer::load_user) has loaded.
/// `LoadedUser<U>` dereferences to `U`. Cloning is cheap, even if `U` is not `Clone`. `Debug` does
/// not show the record.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use tower::{Layer as _, ServiceExt as _, service_fn};
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::extract::LoadedUser;
/// use tower_resource_server::{Issuer, ResourceServer};
///
/// struct User {
///     name: String,
/// }
///
/// let issuer = TestIssuer::in_process("https://as.example.com");
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
///     .audience("https://api.example.com")
///     .build()?;
///
/// let hello = service_fn(|request: Request<()>| async move {
///     let user = LoadedUser::<User>::from_extensions(request.extensions()).unwrap();
///     Ok::<_, Infallible>(Response::new(user.name.clone()))
/// });
/// let load = api.load_user(|_| async { Ok(User { name: "Alice".to_owned() }) });
/// let service = api.layer().layer(load.layer(hello));
///
/// let authorization = format!("Bearer {}", issuer.token().sign());
/// let request = Request::get("/").header("authorization", authorization).body(())?;
/// assert_eq!(service.oneshot(request).await?.body(), "Alice");
/// # Ok(())
/// # }
/// ```
///
/// # As an argument of an axum handler
///
/// With the feature `axum`, `LoadedUser<U>` and `Option<LoadedUser<U>>` are extractors:
///
/// | the route is | `LoadedUser<U>` | `Option<LoadedUser<U>>` |
/// |---|---|---|
/// | behind `load_user` | the user | `Some` |
/// | behind `load_user` and `optional_layer`, anonymous | 401 with the server's challenge and body | `None` |
/// | without a `load_user` that loads a `U` | 500 | 500 |
/// | without a layer of a server | 500 | 500 |
///
/// A 500 means a mistake in the API's code. The log describes the fix.
///
/// ```
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// # #[cfg(feature = "axum")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use tower::ServiceExt as _;
/// use tower_resource_server::policy::LookupError;
/// use tower_resource_server::test_issuer::TestIssuer;
/// use tower_resource_server::extract::LoadedUser;
/// use tower_resource_server::{AccessToken, Issuer, ResourceServer};
///
/// # let issuer = TestIssuer::in_process("https://as.example.com");
/// # let api = ResourceServer::builder()
/// #     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
/// #     .audience("https://api.example.com")
/// #     .build()?;
/// struct User {
///     name: String,
/// }
///
/// async fn hello(user: LoadedUser<User>) -> String {
///     format!("hello, {}", user.name)
/// }
///
/// let load = api.load_user(|token: AccessToken| async move {
///     match token.subject() {
///         Some("alice") => Ok(User { name: "Alice".to_owned() }), // from the database
///         _ => Err(LookupError::refused("there is no such user")),
///     }
/// });
/// // The last layer is the outermost.
/// let app = Router::new().route("/", get(hello)).layer(load).layer(api.layer());
///
/// let request = |subject: &str| {
///     let authorization = format!("Bearer {}", issuer.token().subject(subject).sign());
///     Request::get("/").header("authorization", authorization).body(Body::empty())
/// };
/// assert_eq!(app.clone().oneshot(request("alice")?).await?.status(), 200);
/// assert_eq!(app.oneshot(request("mallory")?).await?.status(), 403);
/// # Ok(())
/// # }
/// ```
pub struct LoadedUser<U>(Arc<U>);

impl<U> LoadedUser<U> {
    pub(crate) fn new(user: Arc<U>) -> Self {
        Self(user)
    }
}

impl<U> Deref for LoadedUser<U> {
    type Target = U;

    fn deref(&self) -> &U {
        &self.0
    }
}

impl<U> Clone for LoadedUser<U> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<U> fmt::Debug for LoadedUser<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoadedUser(..)")
    }
}
