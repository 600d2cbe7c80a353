//! The engine of one endpoint: at most one call a token, and no more calls than it bears.
//!
//! A request never waits while an answer is at hand. A call is one detached task, which no request
//! can cancel and which reports however it ends; requests with the same token wait for it together.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::crypto::{BuildFingerprintHasher, Fingerprint, Fingerprints, random_unit};
use crate::error::Error;
use crate::introspection::answer::Answer;
use crate::introspection::breaker::{Admission, Breaker};
use crate::introspection::cache::{AnswerCache, Now, Remembered};
use crate::introspection::client::{IntrospectionClient, Verdict};
use crate::introspection::flight::{AnswerWait, Flight, Joined, Landing, Outcome, fly};
use crate::runtime;
use crate::telemetry;
use crate::token::Excerpt;
use crate::token::jwt::MAX_TOKEN;

/// Calls under way at one endpoint: what an authorization server bears from one of its clients.
pub(crate) const MAX_IN_FLIGHT: usize = 64;

/// When to try again where nothing better is known.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Asks one endpoint, and remembers what it said.
pub(crate) struct Introspector {
    issuer: Arc<str>,
    generation: u64,
    client: Arc<IntrospectionClient>,
    clock: Arc<dyn Clock>,
    fingerprints: Fingerprints,
    cache: AnswerCache,
    state: Mutex<State>,
    counters: Counters,
}

#[derive(Default)]
struct State {
    flights: HashMap<Fingerprint, Flight, BuildFingerprintHasher>,
    /// Counts the calls, by which a request knows those that began after it came.
    begun: u64,
    breaker: Breaker,
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    calls: AtomicU64,
    held_back: AtomicU64,
}

/// How an endpoint stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IntrospectionHealth {
    /// Whether the breaker holds calls back.
    pub(crate) open: bool,
    pub(crate) in_flight: usize,
    /// Requests answered from memory.
    pub(crate) hits: u64,
    pub(crate) calls: u64,
    /// Requests for which no call was made: too many under way, or the endpoint is down.
    pub(crate) held_back: u64,
}

/// What a look for an answer came to.
pub(crate) enum Lookup {
    Active(Arc<Answer>),
    Refused(Error),
    /// A call is under way.
    Wait(AnswerWait),
}

impl Introspector {
    /// `None` should the system have no randomness.
    pub(crate) fn new(
        issuer: Arc<str>,
        generation: u64,
        client: IntrospectionClient,
        cache: AnswerCache,
        clock: Arc<dyn Clock>,
    ) -> Option<Self> {
        let fingerprints = Fingerprints::new(&[issuer.as_bytes(), &generation.to_le_bytes()])?;
        Some(Self {
            issuer,
            generation,
            client: Arc::new(client),
            clock,
            fingerprints,
            cache,
            state: Mutex::default(),
            counters: Counters::default(),
        })
    }

    /// The configuration that this belongs to.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Looks for an answer about a token, without waiting.
    pub(crate) fn lookup(self: &Arc<Self>, token: &str) -> Lookup {
        // What is too long to be a token is not worth a call.
        if token.len() > MAX_TOKEN {
            return Lookup::Refused(Error::TokenTooLarge { size: token.len(), limit: MAX_TOKEN });
        }
        let fingerprint = self.fingerprints.of(token.as_bytes());
        if let Some(remembered) = self.remembered(&fingerprint) {
            return remembered;
        }
        match self.join(fingerprint, token, None) {
            Ok(Joined::Remembered(remembered)) => remembered,
            Ok(Joined::Flight { outcome, fresh, begun }) => Lookup::Wait(AnswerWait {
                introspector: Arc::clone(self),
                fingerprint,
                token: if fresh { String::new() } else { token.to_owned() },
                came_at: begun,
                outcome,
                fresh,
            }),
            Err(error) => match self.stale(&fingerprint, &error) {
                Some(answer) => Lookup::Active(answer),
                None => Lookup::Refused(error),
            },
        }
    }

    /// What was said last, where the endpoint fails and it may stand in.
    pub(super) fn stale(&self, fingerprint: &Fingerprint, error: &Error) -> Option<Arc<Answer>> {
        match error {
            Error::IntrospectionUnavailable { .. } => self.cache.stale(fingerprint, self.now()),
            _ => None,
        }
    }

    #[allow(dead_code, reason = "health is the next to use it")]
    pub(crate) fn health(&self) -> IntrospectionHealth {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let state = self.state();
        IntrospectionHealth {
            open: state.breaker.is_open(),
            in_flight: state.flights.len(),
            hits: read(&self.counters.hits),
            calls: read(&self.counters.calls),
            held_back: read(&self.counters.held_back),
        }
    }

    fn now(&self) -> Now {
        Now { wall: self.clock.wall(), monotonic: self.clock.monotonic() }
    }

    fn remembered(&self, fingerprint: &Fingerprint) -> Option<Lookup> {
        let remembered = self.cache.get(fingerprint, self.now())?;
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
        Some(match remembered {
            Remembered::Active(answer) => Lookup::Active(answer),
            Remembered::Inactive => Lookup::Refused(Error::Inactive),
        })
    }

    /// Joins the call about this token that is under way, or begins one. Of a request that came
    /// when `came_at` calls had begun, and that wants no older answer, only a later one is fresh.
    pub(super) fn join(
        self: &Arc<Self>,
        fingerprint: Fingerprint,
        token: &str,
        came_at: Option<u64>,
    ) -> Result<Joined, Error> {
        let mut state = self.state();
        let begun = state.begun;
        if let Some(flight) = state.flights.get(&fingerprint) {
            let fresh = self.cache.is_on() || came_at.is_some_and(|came| flight.number >= came);
            return Ok(Joined::Flight { outcome: flight.outcome.clone(), fresh, begun });
        }
        // One that ended between our look and our lock has left its answer.
        if let Some(remembered) = self.remembered(&fingerprint) {
            return Ok(Joined::Remembered(remembered));
        }
        let runtime = runtime::current().map_err(|unfit| {
            telemetry::introspection_without_runtime(&self.issuer);
            self.unavailable(unfit.problem(), RETRY_AFTER)
        })?;
        let probe = self.admit(&mut state)?;
        state.begun += 1;
        self.counters.calls.fetch_add(1, Ordering::Relaxed);
        let (sender, outcome) = watch::channel(None);
        state.flights.insert(fingerprint, Flight { number: begun, outcome: outcome.clone() });
        // A runtime that shuts down drops the task at once, and its landing then asks for the lock.
        drop(state);
        let landing = Landing {
            introspector: Arc::downgrade(self),
            fingerprint,
            sender: Some(sender),
            asked_at: self.clock.monotonic(),
            probe,
        };
        runtime.spawn(fly(landing, Arc::clone(&self.client), token.to_owned()));
        Ok(Joined::Flight { outcome, fresh: true, begun })
    }

    /// Whether the endpoint bears one more call, and whether that call is a probe.
    fn admit(&self, state: &mut State) -> Result<bool, Error> {
        let held_back = |problem, retry_after| {
            self.counters.held_back.fetch_add(1, Ordering::Relaxed);
            Err(self.unavailable(problem, retry_after))
        };
        if state.flights.len() >= MAX_IN_FLIGHT {
            return held_back("too many calls are under way", RETRY_AFTER);
        }
        match state.breaker.ask(self.clock.monotonic()) {
            Admission::Call => Ok(false),
            Admission::Probe => Ok(true),
            Admission::Wait { retry_after } => {
                held_back("it failed several times in a row and is left alone", retry_after)
            }
        }
    }

    /// Takes in what a call brought.
    pub(super) fn conclude(
        &self,
        fingerprint: Fingerprint,
        asked_at: Duration,
        probe: bool,
        brought: Result<Verdict, String>,
    ) -> Outcome {
        let now = self.now();
        // An answer is as old as its question: the token may have been revoked since.
        let asked = Now { monotonic: asked_at, ..now };
        let outcome = match brought {
            Ok(Verdict::Active(answer)) => {
                let answer = Arc::new(answer);
                self.cache.put(fingerprint, &answer, asked);
                Ok(answer)
            }
            Ok(Verdict::Inactive | Verdict::Refused) => {
                self.cache.put_inactive(fingerprint, asked);
                Err(Error::Inactive)
            }
            Err(problem) => Err(self.unavailable(&problem, RETRY_AFTER)),
        };
        let mut state = self.state();
        let failure = match &outcome {
            Ok(_) | Err(Error::Inactive) => {
                state.breaker.succeeded();
                None
            }
            Err(error) => Some((error, state.breaker.failed(now.monotonic, probe, random_unit()))),
        };
        state.flights.remove(&fingerprint);
        drop(state);
        match failure {
            Some((error, opened)) => telemetry::introspection_failed(&self.issuer, error, opened),
            None if probe => telemetry::introspection_is_back(&self.issuer),
            None => {}
        }
        outcome
    }

    #[cold]
    pub(super) fn unavailable(&self, problem: &str, retry_after: Duration) -> Error {
        let issuer = Excerpt::of(&self.issuer);
        Error::IntrospectionUnavailable { issuer, problem: Excerpt::of(problem), retry_after }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector")
            .field("endpoint", &self.client.endpoint)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
