//! Loads a user: calls the API's loader in a separate task, and lets requests wait for the result.
//!
//! If a client disconnects, the load continues, because other requests may wait for it. No user-supplied
//! code runs under the lock. When the cache drops a user, user-supplied code may run, too (`Drop`). So
//! the cache is used without the lock.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use crate::crypto::Fingerprint;
use crate::error::Error;
use crate::flight::{self, Completion, Ended, MARGIN, Panicked, Waiter, caught};
use crate::lookup::{self, unavailable};
use crate::lookup_error::LookupError;
use crate::policy::typed;
use crate::runtime;
use crate::token::{AccessToken, AnyToken, NumericDate};
use crate::users::{AnyUser, Loads, UserFound, Users};

/// The maximum number of requests that wait for users. Further requests are refused with 503. Each
/// waiting request uses some KiB of memory. This limit and the next two have the same values as for
/// introspection.
const MAX_WAITING: usize = 8_192;

/// The maximum number of requests that wait for one load, so that one token does not use up the limit for
/// all other tokens.
const MAX_WAITING_FOR_ONE: usize = 4_096;

/// The maximum number of loads in progress. A load still counts after its clients have disconnected, so
/// that a client with many tokens cannot start more loads by disconnecting.
const MAX_LOADS: usize = 1_024;

const LATE: &str = "the loader of users took too long";
const PANICKED: &str = "the loader of users panicked";
const GONE: &str = "the load of a user was aborted";

type Outcome<U> = Result<Arc<U>, Error>;

/// A load in progress.
struct Load<U> {
    key: Fingerprint,
    completion: Completion<Outcome<U>>,
    began_at: Duration,
    /// The `exp` of the token.
    exp: Option<NumericDate>,
}

/// What a request does if its user is not cached.
enum Turn<U> {
    /// Waits for the load that another request has started.
    Joined(Waiter<Outcome<U>>),
    /// Starts a load.
    Begins(Load<U>, Waiter<Outcome<U>>),
}

impl<U: Send + Sync + 'static, C: Send + Sync + 'static> Users<U, C> {
    /// Joins the load of this token's user, or starts one.
    pub(super) fn join(self: &Arc<Self>, key: Fingerprint, token: &AnyToken) -> UserFound {
        let token: AccessToken<C> = match typed(token) {
            Ok(token) => token,
            Err(error) => return UserFound::Refused(error),
        };
        // Without the lock: tokio may panic here, and then a user-supplied panic hook runs.
        let runtime = match runtime::current() {
            Ok(runtime) => runtime,
            Err(unfit) => return UserFound::Refused(unavailable(unfit.problem())),
        };
        let (turn, place) = match self.turn(key, token.expires_at()) {
            Ok(turn) => turn,
            Err(problem) => return UserFound::Refused(unavailable(problem)),
        };
        let waiter = match turn {
            Turn::Joined(waiter) => waiter,
            Turn::Begins(load, waiter) => {
                // Another load of this user may have ended after the cache was read. That load cached the
                // user before it ended, so read the cache once more.
                if let Some(user) = self.cache.get(&key, self.now()) {
                    self.end(load, Ok(Arc::clone(&user)));
                    return UserFound::Cached(user);
                }
                let loader = Arc::clone(&self.loader);
                let work = async move { loader(token).await };
                let users = Arc::clone(self);
                flight::launch(&runtime, self.settings.deadline, work, move |ended| {
                    users.take(load, ended);
                });
                waiter
            }
        };
        UserFound::Wait(Box::pin(wait(waiter, self.settings.deadline, place)))
    }

    /// Decides in one critical section whether the request joins a load, starts a load or is refused. The
    /// second value counts the request as waiting until this value is dropped.
    fn turn(
        &self,
        key: Fingerprint,
        exp: Option<NumericDate>,
    ) -> Result<(Turn<U>, Arc<()>), &'static str> {
        let now = self.clock.monotonic();
        let mut loads = self.loads();
        // One of the clones belongs to `self`.
        if Arc::strong_count(&self.places) > MAX_WAITING {
            return Err("too many requests wait for users");
        }
        let place = Arc::clone(&self.places);
        if let Some(waiter) = loads.join(&key, now) {
            return match loads.waiting(&key) > MAX_WAITING_FOR_ONE {
                true => Err("too many requests wait for one user"),
                false => Ok((Turn::Joined(waiter), place)),
            };
        }
        if loads.len() >= MAX_LOADS {
            loads.give_up_overdue(now);
        }
        if loads.len() >= MAX_LOADS {
            return Err("too many users are being loaded");
        }
        let (completion, waiter) = loads.begin(key, now);
        let load = Load { key, completion, began_at: now, exp };
        Ok((Turn::Begins(load, waiter), place))
    }

    /// Takes the result of a load.
    fn take(&self, load: Load<U>, ended: Ended<Result<U, LookupError>>) {
        let outcome = match ended {
            Ended::Done(Ok(user)) => Ok(Arc::new(user)),
            Ended::Done(Err(error)) => Err(lookup::refusal(error)),
            Ended::Late => Err(unavailable(LATE)),
            Ended::Panicked => Err(unavailable(PANICKED)),
            Ended::Gone => Err(unavailable(GONE)),
        };
        // First cache the user, then end the load. So a later request finds either the load or the cached
        // user.
        if let Ok(user) = &outcome {
            self.cache.put(load.key, user, load.exp, load.began_at, self.now());
        }
        self.end(load, outcome);
    }

    /// Ends a load and wakes the requests that wait for it.
    fn end(&self, load: Load<U>, outcome: Outcome<U>) {
        self.loads().complete(&load.key, &load.completion);
        load.completion.send(outcome);
    }

    /// Loads a user for this request only, without the cache, because the request has not kept the text
    /// of its token. This happens if a test has injected the token, or if the first `load_user` layer was
    /// created after the request arrived.
    pub(super) fn load_uncached(self: &Arc<Self>, token: &AnyToken) -> UserFound {
        let token: AccessToken<C> = match typed(token) {
            Ok(token) => token,
            Err(error) => return UserFound::Refused(error),
        };
        let users = Arc::clone(self);
        UserFound::Wait(Box::pin(async move {
            let work = caught(async { (users.loader)(token).await });
            match runtime::within(users.settings.deadline, work).await {
                Some(Ok(Ok(user))) => Ok(Arc::new(user) as AnyUser),
                Some(Ok(Err(error))) => Err(lookup::refusal(error)),
                Some(Err(Panicked)) => Err(unavailable(PANICKED)),
                None => Err(unavailable(LATE)),
            }
        }))
    }

    fn loads(&self) -> MutexGuard<'_, Loads<U>> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a load. The wait has its own deadline, because the task of the load may be on a runtime that
/// is no longer polled.
async fn wait<U: Send + Sync + 'static>(
    mut waiter: Waiter<Outcome<U>>,
    deadline: Duration,
    place: Arc<()>,
) -> Result<AnyUser, Error> {
    let outcome = runtime::within(deadline.saturating_add(MARGIN), waiter.outcome()).await;
    drop(place);
    match outcome {
        Some(Some(outcome)) => outcome.map(|user| user as AnyUser),
        Some(None) => Err(unavailable(GONE)),
        None => Err(unavailable(LATE)),
    }
}
