//! The engine of one endpoint: at most one question a token, and no more calls than the endpoint bears.
//!
//! A request never waits while an answer is remembered. A question is one detached task
//! ([`flight`](crate::flight)), which no request can cancel; requests with the same token wait for it
//! together. What a client can cause costs that client:
//!
//! - what the endpoint said of one token that can't be used is remembered for that token alone;
//! - what counts against the endpoint is what different tokens saw ([`Evidence`]);
//! - new tokens can't take the calls of those that were active before ([`Turns`]).
//!
//! Nothing logs or reads a clock while the lock is held: both may run code of the API's own.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::Clock;
use crate::crypto::{BuildFingerprintHasher, Fingerprint, Fingerprints, random_octets};
use crate::error::Error;
use crate::introspection::answer::Answer;
use crate::introspection::endpoint::client::{CALL_DEADLINE, IntrospectionClient};
use crate::introspection::engine::breaker::within_cap;
use crate::introspection::engine::cache::{AnswerCache, Now, Remembered};
use crate::introspection::engine::question_key::QuestionKey;
use crate::introspection::engine::state::State;
use crate::introspection::shared::SharedAnswers;
use crate::observe::{Introspected, IntrospectionHealth, Stream};
use crate::token::{Excerpt, NumericDate};

/// Tokens of which that is remembered, and tokens that are known to have been active.
const MAX_TOKENS: u64 = 10_000;

/// How long a token counts as active before, since it last was: longer than answers are remembered,
/// so that it has its reserved calls when it is asked for again.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);

/// Asks one endpoint, and remembers what it said.
pub(crate) struct Introspector {
    pub(super) issuer: Arc<str>,
    pub(super) generation: u64,
    pub(super) client: Arc<IntrospectionClient>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stream: Stream,
    pub(super) leeway: Duration,
    pub(super) fingerprints: Fingerprints,
    pub(super) cache: AnswerCache,
    /// Tokens that were active before.
    pub(super) known: Cache<Fingerprint, (), BuildFingerprintHasher>,
    /// What was said of a token that can't be used.
    pub(super) said: Cache<Fingerprint, Said, BuildFingerprintHasher>,
    pub(super) shared: Option<Arc<SharedAnswers>>,
    pub(super) state: Mutex<State>,
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) has_answered: AtomicBool,
    /// Answers so far, none of which was "active"; the largest number once one was.
    pub(super) never_active: AtomicU32,
    /// What a probe asks about: no token of a client's, which may fail for its own sake.
    pub(super) probe: Box<str>,
    pub(super) probe_fingerprint: Fingerprint,
    pub(super) counters: Counters,
}

/// What the endpoint said of a token that can't be used.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) problem: Arc<str>,
    pub(super) until: Duration,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) shared_hits: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) held_back: AtomicU64,
}

impl Introspector {
    /// `None` should the system have no randomness.
    pub(crate) fn new(
        issuer: Arc<str>,
        generation: u64,
        client: IntrospectionClient,
        cache: AnswerCache,
        shared: Option<Arc<SharedAnswers>>,
        (clock, stream): (Arc<dyn Clock>, Stream),
        leeway: Duration,
    ) -> Option<Self> {
        let fingerprints = Fingerprints::new(&[issuer.as_bytes(), &generation.to_le_bytes()])?;
        let probe = random_text()?;
        let probe_fingerprint = fingerprints.of(probe.as_bytes());
        let state = State::new(client.deadline);
        Some(Self {
            issuer,
            generation,
            client: Arc::new(client),
            clock,
            stream,
            leeway,
            fingerprints,
            cache,
            known: tokens(KNOWN_FOR),
            said: tokens(within_cap(Some(Duration::MAX))),
            shared,
            state: Mutex::new(state),
            waiting: Arc::default(),
            has_answered: AtomicBool::new(false),
            never_active: AtomicU32::new(0),
            probe,
            probe_fingerprint,
            counters: Counters::default(),
        })
    }

    /// What was said last, where the endpoint fails and it may stand in.
    pub(crate) fn stale(&self, key: &QuestionKey, error: &Error) -> Option<Arc<Answer>> {
        match error {
            Error::IntrospectionUnavailable { .. } if !key.asks_now => {
                let answer = self.cache.stale(&key.fingerprint, self.now())?;
                self.tell(Introspected::StandsIn(error));
                Some(answer)
            }
            _ => None,
        }
    }

    /// By how much its deadline exceeds the usual one.
    pub(crate) fn longer_calls(&self) -> Duration {
        self.client.deadline.saturating_sub(CALL_DEADLINE)
    }

    /// How long a call may take in all.
    pub(crate) fn deadline(&self) -> Duration {
        self.client.deadline
    }

    /// Whether answers are signed, for which the issuer's keys are needed.
    pub(crate) fn is_signed(&self) -> bool {
        self.client.signed.is_some()
    }

    /// The configuration that this belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How the endpoint stands.
    pub(crate) fn health(&self) -> IntrospectionHealth {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let state = self.state();
        IntrospectionHealth {
            open: state.breaker.is_open(),
            in_flight: state.turns.running(),
            queued: state.turns.queued(),
            waiting: self.waiting.load(Ordering::Relaxed),
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

    /// What is remembered of a token.
    pub(super) fn remembered(&self, fingerprint: &Fingerprint, now: Now) -> Option<Remembered> {
        let remembered = self.cache.get(fingerprint, now)?;
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
        Some(remembered)
    }

    pub(super) fn tell(&self, what: Introspected<'_>) {
        self.stream.tell_of_introspection(&self.issuer, what);
    }

    /// Whether calls are held back.
    pub(crate) fn is_open(&self) -> bool {
        self.state().breaker.is_open()
    }

    #[cold]
    pub(crate) fn held_back(&self, problem: &str, retry_after: Duration) -> Error {
        self.counters.held_back.fetch_add(1, Ordering::Relaxed);
        self.unavailable(problem, retry_after)
    }

    #[cold]
    pub(crate) fn unavailable(&self, problem: &str, retry_after: Duration) -> Error {
        let issuer = Excerpt::of_url(&self.issuer);
        Error::IntrospectionUnavailable { issuer, problem: Excerpt::of_own(problem), retry_after }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A random text that is not a token of any client.
fn random_text() -> Option<Box<str>> {
    use std::fmt::Write as _;
    let octets: [u8; 32] = random_octets()?;
    let mut text = String::with_capacity(64);
    octets.iter().try_for_each(|octet| write!(text, "{octet:02x}")).ok()?;
    Some(text.into())
}

/// The library forgets after `past_use`, by its own clock. Whether something still holds is never left
/// to that.
fn tokens<V: Clone + Send + Sync + 'static>(
    past_use: Duration,
) -> Cache<Fingerprint, V, BuildFingerprintHasher> {
    Cache::builder()
        .max_capacity(MAX_TOKENS)
        .eviction_policy(EvictionPolicy::lru())
        .time_to_live(past_use)
        .build_with_hasher(BuildFingerprintHasher::default())
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector")
            .field("endpoint", &self.client.endpoint)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
