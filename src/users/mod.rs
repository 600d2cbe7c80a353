//! User records: finds the API's own record of the user of an access token.
//!
//! Decides:
//!
//! - whether a cached user may be used ([`cache`]);
//! - when the API's loader is called: at most once for a token at a time (single flight), with a
//!   deadline, and independent of the requests that wait for it ([`load`]);
//! - which error the request gets if the loader returns no user.
//!
//! A loader can refuse a request, but cannot accept an invalid token: it gets only tokens that were
//! already validated.

mod cache;
mod load;
mod loaded;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::Clock;
use crate::crypto::{BuildFingerprintHasher, Fingerprint, Fingerprints};
use crate::error::Error;
use crate::flight::Flights;
use crate::lookup;
use crate::lookup_error::LookupError;
use crate::token::{AccessToken, AnyToken, NumericDate};
use crate::users::cache::{Now, UserCache};

pub use loaded::LoadedUser;

/// How long a user is cached by default. A change of the user's data takes effect after this time at
/// the latest.
const DEFAULT_CACHE_FOR: Duration = Duration::from_secs(60);

/// The default deadline of a load. It is short, because a client waits for the load.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);

/// How many users are cached by default. The cache of introspection answers has the same default.
const DEFAULT_MAX_ENTRIES: usize = 10_000;

/// The longest time for which a user can be cached.
pub(crate) const MAX_CACHE_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest deadline that can be set. Requests may wait until the deadline, and waiting requests
/// use memory.
pub(crate) const MAX_DEADLINE: Duration = Duration::from_secs(30);

/// A user without its type.
pub(crate) type AnyUser = Arc<dyn Any + Send + Sync>;

/// A wait for a user.
pub(crate) type UserWait = Pin<Box<dyn Future<Output = Result<AnyUser, Error>> + Send>>;

type Loading<U> = Pin<Box<dyn Future<Output = Result<U, LookupError>> + Send>>;

/// The user-supplied loader.
pub(crate) type Loader<U, C> = Arc<dyn Fn(AccessToken<C>) -> Loading<U> + Send + Sync>;

/// The users of one layer and its clones.
pub(crate) struct Users<U, C> {
    loader: Loader<U, C>,
    settings: UserSettings,
    /// `None` if the system has no source of random numbers. Then requests whose token text is kept
    /// get 503.
    fingerprints: Option<Fingerprints>,
    clock: Arc<dyn Clock>,
    cache: UserCache<U>,
    /// The loads in progress.
    loads: Mutex<Loads<U>>,
    /// Each waiting request holds a clone, so the number of clones is the number of waiting
    /// requests.
    places: Arc<()>,
}

type Loads<U> = Flights<Fingerprint, Result<Arc<U>, Error>, BuildFingerprintHasher>;

/// What the API can set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserSettings {
    pub(crate) cache_for: Duration,
    pub(crate) deadline: Duration,
    pub(crate) max_entries: usize,
}

/// The token whose user is needed.
#[derive(Clone, Copy)]
pub(crate) struct UserQuestion<'a> {
    pub(crate) token: &'a AnyToken,
    /// The token's text, if the request has kept it.
    pub(crate) text: Option<&'a [u8]>,
    /// The generation of the configuration that validated the token.
    pub(crate) generation: u64,
}

/// The result of the search for a user.
pub(crate) enum UserFound {
    Cached(AnyUser),
    Wait(UserWait),
    Refused(Error),
}

/// Finds users, without their type.
pub(crate) trait FindUser: fmt::Debug + Send + Sync {
    /// Returns a cached user, a wait for the load, or an error. Does not block.
    fn find(self: Arc<Self>, question: UserQuestion<'_>) -> UserFound;
}

impl<U, C> Users<U, C> {
    pub(crate) fn new(
        loader: Loader<U, C>,
        settings: UserSettings,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self>
    where
        U: Send + Sync + 'static,
    {
        let UserSettings { cache_for, deadline, max_entries } = settings;
        Arc::new(Self {
            loader,
            settings,
            fingerprints: Fingerprints::new(&[]),
            clock,
            cache: UserCache::new(cache_for, max_entries),
            loads: Mutex::new(Flights::new(deadline)),
            places: Arc::default(),
        })
    }

    pub(crate) fn loader(&self) -> &Loader<U, C> {
        &self.loader
    }

    pub(crate) fn settings(&self) -> UserSettings {
        self.settings
    }

    fn now(&self) -> Now {
        let wall = NumericDate::now(self.clock.wall());
        Now { wall, monotonic: self.clock.monotonic() }
    }
}

impl<U, C> FindUser for Users<U, C>
where
    U: Send + Sync + 'static,
    C: Send + Sync + 'static,
{
    fn find(self: Arc<Self>, question: UserQuestion<'_>) -> UserFound {
        let UserQuestion { token, text, generation } = question;
        let Some(text) = text else { return self.load_uncached(token) };
        let Some(fingerprints) = &self.fingerprints else {
            return UserFound::Refused(lookup::unavailable("the system has no randomness"));
        };
        let context = [token.facts().issuer.as_bytes(), &generation.to_be_bytes()];
        let key = fingerprints.within(&context, text);
        match self.cache.get(&key, self.now()) {
            Some(user) => UserFound::Cached(user),
            None => self.join(key, token),
        }
    }
}

impl Default for UserSettings {
    fn default() -> Self {
        Self {
            cache_for: DEFAULT_CACHE_FOR,
            deadline: DEFAULT_DEADLINE,
            max_entries: DEFAULT_MAX_ENTRIES,
        }
    }
}

impl<U, C> fmt::Debug for Users<U, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("settings", &self.settings).finish_non_exhaustive()
    }
}
