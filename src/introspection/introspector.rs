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
use crate::crypto::{Fingerprint, Fingerprints, random_unit};
use crate::error::Error;
use crate::health::IntrospectionHealth;
use crate::introspection::answer::Answer;
use crate::introspection::breaker::{Admission, Breaker};
use crate::introspection::cache::{AnswerCache, Now, Remembered, is_past};
use crate::introspection::client::IntrospectionClient;
use crate::introspection::flight::{Brought, Call, Landing, fly};
use crate::introspection::record::Shared;
use crate::introspection::shared::SharedAnswers;
use crate::introspection::wait::{AnswerWait, Joined};
use crate::runtime;
use crate::telemetry;
use crate::token::jwt::MAX_TOKEN;
use crate::token::{Excerpt, NumericDate};

/// Calls under way at one endpoint: what an authorization server bears from one of its clients.
pub(crate) const MAX_IN_FLIGHT: usize = 64;

/// Tokens looked up in a shared cache at once, calls included: what a process that begins with an
/// empty memory needs, and a bound to what a flood of tokens can pile up.
pub(crate) const MAX_LOOKUPS: usize = 1024;

/// When to try again where nothing better is known.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Asks one endpoint, and remembers what it said.
pub(crate) struct Introspector {
    issuer: Arc<str>,
    generation: u64,
    client: Arc<IntrospectionClient>,
    clock: Arc<dyn Clock>,
    fingerprints: Fingerprints,
    cache: AnswerCache,
    shared: Option<Arc<SharedAnswers>>,
    state: Mutex<State>,
    counters: Counters,
}

#[derive(Default)]
struct State {
    flights: HashMap<Sought, Flight>,
    /// Counts the flights, by which a request knows those that began after it came.
    begun: u64,
    /// Those of the flights that call the endpoint.
    calls: usize,
    breaker: Breaker,
}

/// A token that an answer is sought about, and whether the endpoint itself has to be asked, and now.
/// The two kinds of question never share a call: what another server was told will do for one of them
/// alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Sought {
    pub(super) fingerprint: Fingerprint,
    pub(super) asks_now: bool,
}

impl Sought {
    /// The other kind of question about the same token.
    fn other(self) -> Self {
        Self { asks_now: !self.asks_now, ..self }
    }
}

/// A question under way: to the shared cache first, where there is one, then to the endpoint.
struct Flight {
    number: u64,
    outcome: watch::Receiver<Option<Outcome>>,
    /// When a question of the other kind about the same token was put, if it was answered meanwhile.
    overtaken_by: Option<Duration>,
}

pub(crate) type Outcome = Result<Arc<Answer>, Error>;

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    shared_hits: AtomicU64,
    calls: AtomicU64,
    held_back: AtomicU64,
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
        shared: Option<Arc<SharedAnswers>>,
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
            shared,
            state: Mutex::default(),
            counters: Counters::default(),
        })
    }

    /// Looks for an answer about a token, without waiting. `now` is the time by which the request is
    /// judged. With `asks_now`, only an answer to a question put from now on will do, and nothing
    /// stands in for it.
    pub(crate) fn lookup(
        self: &Arc<Self>,
        token: &str,
        now: NumericDate,
        asks_now: bool,
    ) -> Lookup {
        // What is too long to be a token is not worth a call.
        if token.len() > MAX_TOKEN {
            return Lookup::Refused(Error::TokenTooLarge { size: token.len(), limit: MAX_TOKEN });
        }
        let sought = Sought { fingerprint: self.fingerprints.of(token.as_bytes()), asks_now };
        let now = Now { wall: now, monotonic: self.clock.monotonic() };
        if !asks_now && let Some(remembered) = self.remembered(&sought.fingerprint, now) {
            return remembered;
        }
        match self.join(sought, token, None) {
            Ok(Joined::Remembered(remembered)) => remembered,
            Ok(Joined::Flight { outcome, fresh, begun }) => Lookup::Wait(AnswerWait {
                introspector: Arc::clone(self),
                sought,
                token: if fresh { String::new() } else { token.to_owned() },
                came_at: begun,
                outcome,
                fresh,
            }),
            Err(error) => match self.stale(&sought, &error) {
                Some(answer) => Lookup::Active(answer),
                None => Lookup::Refused(error),
            },
        }
    }

    /// What was said last, where the endpoint fails and it may stand in.
    pub(super) fn stale(&self, sought: &Sought, error: &Error) -> Option<Arc<Answer>> {
        match error {
            Error::IntrospectionUnavailable { .. } if !sought.asks_now => {
                self.cache.stale(&sought.fingerprint, self.now())
            }
            _ => None,
        }
    }

    /// Whether answers are signed, for which the issuer's keys are needed.
    pub(crate) fn is_signed(&self) -> bool {
        self.client.signed.is_some()
    }

    /// The configuration that this belongs to.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// How the endpoint stands.
    pub(crate) fn health(&self) -> IntrospectionHealth {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let state = self.state();
        IntrospectionHealth {
            open: state.breaker.is_open(),
            in_flight: state.calls,
            hits: read(&self.counters.hits),
            shared_hits: read(&self.counters.shared_hits),
            calls: read(&self.counters.calls),
            held_back: read(&self.counters.held_back),
        }
    }

    pub(crate) fn now(&self) -> Now {
        let wall = NumericDate::now(self.clock.wall());
        Now { wall, monotonic: self.clock.monotonic() }
    }

    fn remembered(&self, fingerprint: &Fingerprint, now: Now) -> Option<Lookup> {
        let remembered = self.cache.get(fingerprint, now)?;
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
        sought: Sought,
        token: &str,
        came_at: Option<u64>,
    ) -> Result<Joined, Error> {
        let mut state = self.state();
        let begun = state.begun;
        if let Some(flight) = state.flights.get(&sought) {
            // One that was overtaken brings an answer that is known to be old.
            let any_will_do =
                self.cache.is_on() && !sought.asks_now && flight.overtaken_by.is_none();
            let fresh = any_will_do || came_at.is_some_and(|came| flight.number >= came);
            return Ok(Joined::Flight { outcome: flight.outcome.clone(), fresh, begun });
        }
        // One that ended between our look and our lock has left its answer.
        if !sought.asks_now
            && let Some(remembered) = self.remembered(&sought.fingerprint, self.now())
        {
            return Ok(Joined::Remembered(remembered));
        }
        let runtime = runtime::current().map_err(|unfit| {
            telemetry::introspection_without_runtime(&self.issuer);
            self.unavailable(unfit.problem(), RETRY_AFTER)
        })?;
        // What another server was told will do, whether or not the endpoint can be called.
        let shared = self.shared.clone().filter(|_| !sought.asks_now);
        let call = match &shared {
            None => Some(self.admit(&mut state)?),
            Some(_) if state.flights.len() < MAX_LOOKUPS => None,
            Some(_) => return Err(self.held_back("too many tokens are looked up", RETRY_AFTER)),
        };
        state.begun += 1;
        let (sender, outcome) = watch::channel(None);
        let flight = Flight { number: begun, outcome: outcome.clone(), overtaken_by: None };
        state.flights.insert(sought, flight);
        // A runtime that shuts down drops the task at once, and its landing then asks for the lock.
        drop(state);
        let landing =
            Landing { introspector: Arc::downgrade(self), sought, sender: Some(sender), call };
        let (to_tell, client) = (self.shared.clone(), Arc::clone(&self.client));
        runtime.spawn(fly(landing, shared, to_tell, client, token.to_owned()));
        Ok(Joined::Flight { outcome, fresh: true, begun })
    }

    /// Begins a call, if the endpoint bears one more.
    fn admit(&self, state: &mut State) -> Result<Call, Error> {
        if state.calls >= MAX_IN_FLIGHT {
            return Err(self.held_back("too many calls are under way", RETRY_AFTER));
        }
        let asked = self.now();
        let probe = match state.breaker.ask(asked.monotonic) {
            Admission::Call => false,
            Admission::Probe => true,
            Admission::Wait { retry_after } => {
                let problem = "it failed several times in a row and is left alone";
                return Err(self.held_back(problem, retry_after));
            }
        };
        state.calls += 1;
        self.counters.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Call { asked, probe })
    }

    /// The same for a flight that has taken off already.
    pub(crate) fn begin_call(&self) -> Result<Call, Error> {
        self.admit(&mut self.state())
    }

    /// What may be used of an answer that another server was given. One that is not surely newer
    /// than a revocation seen here is as good as not there. What is no answer any more, since the
    /// token was inactive some time ago or has expired, still counts against older ones.
    pub(super) fn usable(&self, sought: Sought, shared: Shared) -> Option<Brought> {
        let (token, now) = (sought.fingerprint, self.now());
        let Shared { answer, age, age_at_most } = shared;
        match answer {
            None if self.cache.refused_for(age).is_zero() => {
                self.cache.put_inactive(token, now, age);
                None
            }
            Some(answer) if is_past(&answer, now.wall) => {
                self.cache.put(token, &Arc::new(answer), now, age);
                None
            }
            Some(_) if self.cache.is_dead_since(&token, now, age_at_most) => {
                // The store does not compare, clocks differ, or someone put an old value back.
                let reason = "it may be older than a revocation seen here";
                telemetry::shared_answer_unusable(&self.issuer, reason);
                None
            }
            answer => Some(Brought { answer, age }),
        }
    }

    /// Takes in what a flight brought, and says whether that is the latest word on the token. An
    /// answer that is not, since a later question was answered before it, is for those who wait for
    /// it and is not remembered: the token may be known to be dead.
    pub(super) fn conclude(
        &self,
        sought: Sought,
        call: Option<Call>,
        brought: Result<Brought, Error>,
    ) -> (Outcome, bool) {
        let now = self.now();
        let mut state = self.state();
        let overtaken_by = state.flights.remove(&sought).and_then(|flight| flight.overtaken_by);
        let mut is_latest = true;
        let outcome = brought.and_then(|Brought { answer, age }| {
            let asked = now.monotonic.saturating_sub(age);
            if let Some(other) = state.flights.get_mut(&sought.other()) {
                other.overtaken_by = Some(asked);
            }
            match answer {
                Some(answer) => {
                    let answer = Arc::new(answer);
                    is_latest = overtaken_by.is_none_or(|other| other < asked)
                        && self.cache.put(sought.fingerprint, &answer, now, age);
                    Ok(answer)
                }
                None => {
                    is_latest = self.cache.put_inactive(sought.fingerprint, now, age);
                    Err(Error::Inactive)
                }
            }
        });
        match call {
            Some(call) => self.ended(state, call, &outcome),
            None if matches!(outcome, Ok(_) | Err(Error::Inactive)) => {
                self.counters.shared_hits.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
        (outcome, is_latest)
    }

    /// Learns from how a call ended.
    fn ended(&self, mut state: MutexGuard<'_, State>, call: Call, outcome: &Outcome) {
        state.calls -= 1;
        let failure = match outcome {
            Ok(_) | Err(Error::Inactive) => {
                state.breaker.succeeded();
                None
            }
            Err(error) => {
                let now = self.clock.monotonic();
                Some((error, state.breaker.failed(now, call.probe, random_unit())))
            }
        };
        drop(state);
        match failure {
            Some((error, opened)) => telemetry::introspection_failed(&self.issuer, error, opened),
            None if call.probe => telemetry::introspection_is_back(&self.issuer),
            None => {}
        }
    }

    #[cold]
    fn held_back(&self, problem: &str, retry_after: Duration) -> Error {
        self.counters.held_back.fetch_add(1, Ordering::Relaxed);
        self.unavailable(problem, retry_after)
    }

    #[cold]
    pub(crate) fn unavailable(&self, problem: &str, retry_after: Duration) -> Error {
        let issuer = Excerpt::of_url(&self.issuer);
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
