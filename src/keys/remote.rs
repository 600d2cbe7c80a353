//! The engine that keeps one issuer's keys fresh.
//!
//! A request never waits while a usable key is at hand: it reads a snapshot. What the rules of
//! [`cache`](super::cache) call due is fetched by one detached task, which no request can cancel
//! and which reports back however it ends. Requests wait only where there is no key for them, and
//! no longer than a limit.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::crypto::{Algorithm, AlgorithmSet, random_unit};
use crate::keys::cache::{Attempt, Attempts, Budget, Life, MAX_BACKOFF, Stage};
use crate::keys::set::KeySet;
use crate::keys::{KeySetFault, Lookup, Source};
use crate::telemetry;

/// How long a whole fetch, metadata and keys, may take.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);

/// How long a request waits for a set without which it can't be answered.
pub(crate) const NEEDED_WAIT: Duration = Duration::from_secs(3);

/// How long a request waits for a kid that the present set does not have.
pub(crate) const UNKNOWN_KID_WAIT: Duration = Duration::from_secs(2);

/// Fetches for unknown kids: two at once, one more each 10 s. A flood of forged kids then delays
/// a genuine rotation by one refill at most.
const UNKNOWN_KID_BURST: u32 = 2;
const UNKNOWN_KID_PERIOD: Duration = Duration::from_secs(10);

/// Fetches for signatures that fail under a known kid: one a minute, since most are forgeries.
const BAD_SIGNATURE_PERIOD: Duration = Duration::from_secs(60);

/// Requests that wait for an unknown kid at one time; more are refused at once.
const MAX_WAITING: usize = 256;

/// The keys of one issuer, kept fresh.
pub(crate) struct RemoteKeys {
    issuer: String,
    accepted: AlgorithmSet,
    source: Arc<Source>,
    clock: Arc<dyn Clock>,
    snapshot: ArcSwapOption<Snapshot>,
    state: Mutex<State>,
    /// Counts the attempts that have ended; who waits, waits for it to change.
    ended: watch::Sender<u64>,
    unknown_kid: Budget,
    bad_signature: Budget,
}

/// The set in use and how long it holds.
struct Snapshot {
    keys: Arc<KeySet>,
    life: Life,
}

#[derive(Default)]
struct State {
    attempts: Attempts,
    etag: Option<HeaderValue>,
    task: Option<AbortHandle>,
}

/// A wait for the end of an attempt.
pub(crate) struct KeyWait {
    ended: watch::Receiver<u64>,
    limit: Duration,
}

impl KeyWait {
    /// Returns when the attempt has ended, or when the limit is reached.
    pub(crate) async fn done(mut self) {
        // Either way the caller looks again; a lost sender is the end of the server.
        let _ = tokio::time::timeout(self.limit, self.ended.changed()).await;
    }
}

impl RemoteKeys {
    pub(crate) fn new(
        issuer: &str,
        accepted: AlgorithmSet,
        source: Source,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            issuer: issuer.to_owned(),
            accepted,
            source: Arc::new(source),
            clock,
            snapshot: ArcSwapOption::empty(),
            state: Mutex::default(),
            ended: watch::Sender::new(0),
            unknown_kid: Budget::new(UNKNOWN_KID_BURST, UNKNOWN_KID_PERIOD),
            bad_signature: Budget::new(1, BAD_SIGNATURE_PERIOD),
        }
    }

    #[cfg(feature = "remote")]
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Looks for a key, without blocking. With `waited`, it never answers [`Lookup::Wait`].
    pub(crate) fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
        iss: &str,
        waited: bool,
    ) -> Lookup {
        let now = self.clock.monotonic();
        let snapshot = self.snapshot.load();
        let stage = snapshot.as_ref().map_or(Stage::Empty, |snapshot| snapshot.life.stage(now));
        let Some(snapshot) = snapshot.as_ref().filter(|_| stage != Stage::Expired) else {
            return self.needed(now, waited);
        };
        if stage != Stage::Fresh {
            self.refresh(now);
        }
        let candidates = snapshot.keys.find(kid, algorithm, iss);
        if !candidates.is_empty() {
            return Lookup::Found(Arc::clone(&snapshot.keys), candidates);
        }
        if !waited && let Some(wait) = self.unknown(now) {
            return Lookup::Wait(wait);
        }
        if stage == Stage::Stale {
            Lookup::Unavailable { retry_after: self.retry_after(now) }
        } else {
            Lookup::Unknown
        }
    }

    /// A signature failed under a known kid: perhaps its key was replaced. Nobody waits.
    pub(crate) fn signature_failed(self: &Arc<Self>) {
        let now = self.clock.monotonic();
        if self.bad_signature.take(now) {
            self.refresh(now);
        }
    }

    /// There is no usable set: the request has to wait for one, or is told when to come back.
    fn needed(self: &Arc<Self>, now: Duration, waited: bool) -> Lookup {
        if !waited && let Some(ended) = self.attempt(now) {
            return Lookup::Wait(KeyWait { ended, limit: NEEDED_WAIT });
        }
        Lookup::Unavailable { retry_after: self.retry_after(now) }
    }

    /// The set has no such kid: a fetch may bring it, as far as the budget goes.
    fn unknown(self: &Arc<Self>, now: Duration) -> Option<KeyWait> {
        let in_flight = self.state().attempts.ask(now) == Attempt::Join;
        let ended = if in_flight {
            if self.ended.receiver_count() >= MAX_WAITING {
                return None;
            }
            self.ended.subscribe()
        } else if self.unknown_kid.take(now) {
            self.attempt(now)?
        } else {
            return None;
        };
        Some(KeyWait { ended, limit: UNKNOWN_KID_WAIT })
    }

    /// Fetches in the background, if that is allowed now.
    fn refresh(self: &Arc<Self>, now: Duration) {
        drop(self.attempt(now));
    }

    fn retry_after(&self, now: Duration) -> Duration {
        match self.state().attempts.ask(now) {
            Attempt::BackOff { until } => until.saturating_sub(now),
            Attempt::Start | Attempt::Join => Duration::from_secs(1),
        }
        .clamp(Duration::from_secs(1), MAX_BACKOFF)
    }

    /// Joins the attempt under way or starts one; `None` while backing off, and without a runtime.
    fn attempt(self: &Arc<Self>, now: Duration) -> Option<watch::Receiver<u64>> {
        let mut state = self.state();
        match state.attempts.ask(now) {
            Attempt::Join => return Some(self.ended.subscribe()),
            Attempt::BackOff { .. } => return None,
            Attempt::Start => {}
        }
        let Ok(runtime) = Handle::try_current() else {
            telemetry::no_runtime(&self.issuer);
            return None;
        };
        state.attempts.started();
        let etag = state.etag.clone();
        // A runtime that shuts down drops the task at once, and its flight then asks for the lock.
        drop(state);
        let ended = self.ended.subscribe();
        let flight = Flight { keys: Arc::downgrade(self) };
        let task = runtime.spawn(fetch(flight, Arc::clone(&self.source), etag, now));
        self.state().task = Some(task.abort_handle());
        Some(ended)
    }

    /// Takes in what an attempt brought.
    fn conclude(&self, fetched: Result<Fetched, String>) {
        let now = self.clock.monotonic();
        let present = self.snapshot.load_full();
        let outcome = fetched.and_then(|fetched| match (fetched.document, &present) {
            (Some(document), _) => KeySet::parse(&document, self.accepted)
                .map(|keys| (Arc::new(keys), fetched.etag, fetched.max_age))
                .map_err(|KeySetFault(problem)| format!("key set: {problem}")),
            (None, Some(present)) => Ok((Arc::clone(&present.keys), fetched.etag, fetched.max_age)),
            (None, None) => Err("key set: not modified, but there is none".to_owned()),
        });
        let mut state = self.state();
        match outcome {
            Ok((keys, etag, max_age)) => {
                let recovered = state.attempts.failures();
                state.attempts.succeeded();
                if etag.is_some() {
                    state.etag = etag;
                }
                telemetry::keys_fetched(&self.issuer, &keys, present.is_none(), recovered);
                let life = Life::new(now, max_age, random_unit());
                self.snapshot.store(Some(Arc::new(Snapshot { keys, life })));
            }
            Err(problem) => {
                state.attempts.failed(now, random_unit());
                let usable =
                    present.is_some_and(|present| present.life.stage(now) != Stage::Expired);
                telemetry::fetch_failed(&self.issuer, &problem, usable);
            }
        }
        drop(state);
        self.ended.send_modify(|attempts| *attempts = attempts.wrapping_add(1));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RemoteKeys {
    fn drop(&mut self) {
        if let Some(task) = self.state().task.take() {
            task.abort();
        }
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys").field("source", &self.source).finish_non_exhaustive()
    }
}

/// What a source brought.
pub(crate) struct Fetched {
    /// The document; none when the one at hand is still the present one.
    pub(crate) document: Option<Vec<u8>>,
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) max_age: Option<Duration>,
}

/// An attempt under way. It reports to the engine even when its task panics or is aborted.
struct Flight {
    keys: Weak<RemoteKeys>,
}

impl Flight {
    fn land(mut self, fetched: Result<Fetched, String>) {
        if let Some(keys) = std::mem::take(&mut self.keys).upgrade() {
            keys.conclude(fetched);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(keys) = self.keys.upgrade() {
            keys.conclude(Err("the fetch was aborted".to_owned()));
        }
    }
}

async fn fetch(flight: Flight, source: Arc<Source>, etag: Option<HeaderValue>, now: Duration) {
    let fetched = tokio::time::timeout(FETCH_DEADLINE, source.fetch(etag.as_ref(), now)).await;
    flight.land(fetched.unwrap_or_else(|_| Err("no answer in time".to_owned())));
}
