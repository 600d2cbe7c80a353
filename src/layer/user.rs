//! Loads a user record for a token, with the API's own loader: [`ResourceServer::load_user`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::authentication::{Authentication, LoadedUsers, Presented};
use crate::layer::gate::{Gate, Judgement, Role};
use crate::layer::head::RequestHead;
use crate::layer::service::ResourceServerService;
use crate::layer::waiting::Waiting;
use crate::policy::LookupError;
use crate::rejection::{EmptyBody, Refusal};
use crate::server::{ResourceServer, ResponseHeaders};
use crate::token::{AccessToken, Claims};
use crate::users::{
    AnyUser, FindUser, Loader, MAX_CACHE_FOR, MAX_DEADLINE, UserFound, UserQuestion, UserSettings,
    Users,
};

/// Loads a user record for the token of each request.
/// [`ResourceServer::load_user`](crate::ResourceServer::load_user) creates this layer.
///
/// All services that this layer and its clones create share one cache. Each call of a setting, such as
/// `cache_for`, starts a new, empty cache. So apply all settings before you use the layer.
pub struct LoadUserLayer<U, C = Claims, R = EmptyBody> {
    server: ResourceServer<C, R>,
    users: Arc<Users<U, C>>,
}

impl<C: Send + Sync + 'static, R> ResourceServer<C, R> {
    /// Loads a user record for the token of each request. `loader` is your code: for example, it reads
    /// the record from a database. Handlers get the record as
    /// [`LoadedUser<U>`](crate::extract::LoadedUser). Put this layer inside a layer of the same server that
    /// authenticates the request, such as [`layer`](Self::layer), [`protect`](Self::protect) or
    /// [`optional_layer`](Self::optional_layer). This function needs the feature `http-client`.
    ///
    /// The loader receives a token that was already validated. The loader can refuse the request, but cannot
    /// accept an invalid token:
    ///
    /// | the loader | the client gets |
    /// |---|---|
    /// | returns a user | the response of the inner service |
    /// | returns [`LookupError::Refused`] | 403 without an error code |
    /// | returns [`LookupError::Unavailable`], takes longer than the deadline, or panics | 503 with `Retry-After`, never 401 |
    ///
    /// If an outer layer, such as `optional_layer`, lets an anonymous request pass, the request also passes this
    /// layer, without a user record. If no layer of the same server is around this layer, the response is 500,
    /// and the log describes the fix.
    ///
    /// The crate caches one user record for each token. By default, a record is used for 60 s;
    /// [`cache_for`](LoadUserLayer::cache_for) changes this time. Until this time is over, handlers can see an
    /// old record, even if your data about the user has changed. A cached record is never used after the
    /// token's `exp` or after a [`reload`](Self::reload). The cache contains a keyed hash of the token, never
    /// the token itself. Failures are not cached.
    ///
    /// For each token, at most one call of the loader is in progress (single flight). All requests with the same
    /// token wait for the same call. If a client disconnects, the call continues. A waiting request does not
    /// occupy a place in a `ConcurrencyLimit` or a `Buffer` that is inside this layer. If a
    /// test has injected the token, the record is not cached and the call is not shared. The same is true for a
    /// request that was already in progress when the first `load_user` layer of the server was created.
    ///
    /// The layer and its clones share three limits: at most 8,192 requests wait, at most 4,096 of these
    /// requests wait for the same token, and at most 1,024 calls of the loader are in progress. Requests
    /// beyond a limit get 503.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use std::time::Duration;
    ///
    /// use http::{Request, Response};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// use tower_resource_server::policy::LookupError;
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::extract::LoadedUser;
    /// use tower_resource_server::{AccessToken, Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .build()?;
    ///
    /// struct User {
    ///     name: String,
    /// }
    ///
    /// let calls = Arc::new(AtomicUsize::new(0));
    /// let counted = Arc::clone(&calls);
    /// let load = api
    ///     .load_user(move |token: AccessToken| {
    ///         counted.fetch_add(1, Ordering::SeqCst);
    ///         async move {
    ///             // In production: a query by `token.principal()`.
    ///             match token.subject() {
    ///                 Some("alice") => Ok(User { name: "Alice".to_owned() }),
    ///                 Some("bob") => Err(LookupError::unavailable("the database is down")),
    ///                 _ => Err(LookupError::refused("there is no such user")),
    ///             }
    ///         }
    ///     })
    ///     .cache_for(Duration::from_secs(30));
    ///
    /// let hello = service_fn(|request: Request<()>| async move {
    ///     let user = LoadedUser::<User>::from_extensions(request.extensions()).unwrap();
    ///     Ok::<_, Infallible>(Response::new(user.name.clone()))
    /// });
    /// let service = api.layer().layer(load.layer(hello));
    ///
    /// let request = |token: &str| {
    ///     Request::get("/").header("authorization", format!("Bearer {token}")).body(())
    /// };
    /// let alice = issuer.token().subject("alice").sign();
    /// assert_eq!(service.clone().oneshot(request(&alice)?).await?.body(), "Alice");
    /// assert_eq!(service.clone().oneshot(request(&alice)?).await?.body(), "Alice");
    /// assert_eq!(calls.load(Ordering::SeqCst), 1); // the second response used the cached record
    ///
    /// let bob = issuer.token().subject("bob").sign();
    /// assert_eq!(service.clone().oneshot(request(&bob)?).await?.status(), 503);
    /// let mallory = issuer.token().subject("mallory").sign();
    /// assert_eq!(service.oneshot(request(&mallory)?).await?.status(), 403);
    /// # Ok(())
    /// # }
    /// ```
    pub fn load_user<U, F>(
        &self,
        loader: impl Fn(AccessToken<C>) -> F + Send + Sync + 'static,
    ) -> LoadUserLayer<U, C, R>
    where
        U: Send + Sync + 'static,
        F: Future<Output = Result<U, LookupError>> + Send + 'static,
    {
        // The cache needs the text of the token.
        self.keep_tokens();
        let loader: Loader<U, C> = Arc::new(move |token| Box::pin(loader(token)));
        LoadUserLayer::new(self.clone(), loader, UserSettings::default())
    }
}

impl<U, C, R> LoadUserLayer<U, C, R>
where
    U: Send + Sync + 'static,
{
    fn new(server: ResourceServer<C, R>, loader: Loader<U, C>, settings: UserSettings) -> Self {
        let users = Users::new(loader, settings, Arc::clone(&server.id().clock));
        Self { server, users }
    }

    fn set(self, set: impl FnOnce(&mut UserSettings)) -> Self {
        let mut settings = self.users.settings();
        set(&mut settings);
        Self::new(self.server, Arc::clone(self.users.loader()), settings)
    }

    /// How long a user record may be used. The time begins with the call of the loader. The default is 60 s.
    /// The maximum is 24 hours: a longer time counts as 24 hours. With zero, user records are not cached. But
    /// even with zero, requests with the same token at the same time share one call of the loader.
    pub fn cache_for(self, time: Duration) -> Self {
        self.set(|settings| settings.cache_for = time.min(MAX_CACHE_FOR))
    }

    /// How long a call of the loader may take. The default is 2 s. The maximum is 30 s: a longer time
    /// counts as 30 s. After this time, the call is cancelled, and the requests that wait for the call
    /// get 503.
    pub fn deadline(self, time: Duration) -> Self {
        self.set(|settings| settings.deadline = time.min(MAX_DEADLINE))
    }

    /// The maximum number of cached user records. The default is 10,000. If the cache is full, a new
    /// record replaces the least recently used record. With zero, user records are not cached.
    pub fn max_entries(self, entries: usize) -> Self {
        self.set(|settings| settings.max_entries = entries)
    }
}

impl<C: Send + Sync + 'static, R> Gate<C, R> {
    /// Finds the user record for the request's token, in the cache or with the loader.
    pub(super) fn load_user(
        &self,
        users: &Arc<dyn FindUser>,
        request: &mut impl RequestHead,
    ) -> Judgement<C> {
        let outcome = match self.own_outcome(request) {
            Ok(outcome) => outcome,
            Err(refusal) => return Judgement::Refuse(refusal),
        };
        let Some(token) = &outcome.token else {
            // The request is anonymous, and the outer layer is `optional_layer`.
            return Judgement::Pass(ResponseHeaders::NONE);
        };
        let text = match &outcome.presented {
            Presented::Kept(presentation) => Some(presentation.token.as_bytes()),
            Presented::Unkept => None,
            #[cfg(feature = "test-issuer")]
            Presented::Injected => None,
        };
        let question = UserQuestion { token, text, generation: outcome.generation };
        match Arc::clone(users).find(question) {
            UserFound::Cached(user) => self.pass_with(user, request),
            UserFound::Wait(wait) => Judgement::Wait(Waiting::User(wait)),
            UserFound::Refused(error) => self.refuse_after_lookup(error, false, request),
        }
    }

    /// Stores the user record in the request.
    pub(super) fn pass_with(&self, user: AnyUser, request: &mut impl RequestHead) -> Judgement<C> {
        LoadedUsers::note(request.extensions_mut(), self.server().id(), user);
        Judgement::Pass(ResponseHeaders::NONE)
    }

    /// Returns the result of the nearest outer layer. `load_user` needs an outer layer of the same server.
    fn own_outcome<'a>(
        &self,
        request: &'a impl RequestHead,
    ) -> Result<&'a Authentication, Refusal> {
        let Some(outcome) = request.extensions().get::<Authentication>() else {
            return Err(self.server().miswired(
                "`load_user` has no layer of its server around it: put `.layer(api.layer())` after \
                 `.layer(api.load_user(..))`",
            ));
        };
        if outcome.server != *self.server().id() {
            return Err(self.server().miswired(
                "`load_user` is inside the layer of another server: call `load_user` on the server \
                 whose layer is around this route",
            ));
        }
        Ok(outcome)
    }
}

impl<S, U, C, R> Layer<S> for LoadUserLayer<U, C, R>
where
    U: Send + Sync + 'static,
    C: Send + Sync + 'static,
{
    type Service = ResourceServerService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let users: Arc<dyn FindUser> = Arc::<Users<U, C>>::clone(&self.users);
        let gate = Gate::new(self.server.clone(), None, Role::LoadUser(users));
        ResourceServerService::new(inner, gate)
    }
}

impl<U, C, R> Clone for LoadUserLayer<U, C, R> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), users: Arc::clone(&self.users) }
    }
}

impl<U, C, R> fmt::Debug for LoadUserLayer<U, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadUserLayer").field("users", &self.users).finish_non_exhaustive()
    }
}
