//! The engine of one endpoint: at most one question of each kind per token at a time, and a limited
//! number of calls in flight.
//!
//! A request never waits while an answer is cached. A question is one detached task, a single
//! flight ([`flight`](crate::flight)). No request can cancel it, and all requests with the same
//! token wait for it. A client can harm only its own requests:
//!
//! - an unusable answer of the endpoint about one token is remembered for that token only;
//! - repeated failures of one token count only once against the endpoint
//!   ([`Evidence`](super::breaker::Evidence));
//! - new tokens can't use the calls that are reserved for tokens that were active before
//!   ([`Turns`](super::turns::Turns)).
//!
//! The code never logs or reads a clock while it holds the lock: both may run user-supplied code.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::Clock;
use crate::credentials::Token68;
use crate::crypto::{BuildFingerprintHasher, Fingerprint, Fingerprints, random_octets};
use crate::error::Error;
use crate::introspection::answer::Answer;
use crate::introspection::endpoint::client::{CALL_DEADLINE, IntrospectionClient};
use crate::introspection::engine::breaker::within_cap;
use crate::introspection::engine::cache::{AnswerCache, CachedAnswer, Now};
use crate::introspection::engine::question_key::QuestionKey;
use crate::introspection::engine::state::State;
use crate::introspection::shared::SharedAnswers;
use crate::observe::{Introspected, IntrospectionHealth, Stream};
use crate::token::{Excerpt, NumericDate};

/// The maximum number of entries in each of two caches: tokens with an unusable answer, and tokens
/// that were active before.
const MAX_TOKENS: u64 = 10_000;

/// How long the engine remembers that a token was active. This is longer than the ttl of answers,
/// so that the next question about the token can still use a reserved call.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);

/// Asks one endpoint and caches its answers.
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
    /// Tokens about which the endpoint gave no usable answer.
    pub(super) token_faults: Cache<Fingerprint, TokenFault, BuildFingerprintHasher>,
    pub(super) shared: Option<Arc<SharedAnswers>>,
    pub(super) state: Mutex<State>,
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) has_answered: AtomicBool,
    /// The number of answers so far, while all are "inactive". `u32::MAX` after the first "active".
    pub(super) never_active: AtomicU32,
    /// The text that a probe asks about. It is not a client's token, because a call about a
    /// client's token may fail because of that token.
    pub(super) probe: Token68<'static>,
    pub(super) probe_fingerprint: Fingerprint,
    pub(super) counters: Counters,
}

/// The problem of the last call about one token. Until the time `until`, no other call about this
/// token is made.
#[derive(Clone)]
pub(super) struct TokenFault {
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
    /// Returns `None` if the system provides no randomness.
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
        let probe = Token68::parse(random_text()?.as_bytes())?.into_owned();
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
            token_faults: tokens(within_cap(Some(Duration::MAX))),
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

    /// The last answer about a token, if the endpoint fails and a stale answer may be used.
    pub(crate) fn stale(&self, key: &QuestionKey, error: &Error) -> Option<Arc<Answer>> {
        match error {
            Error::IntrospectionUnavailable { .. } if !key.asks_now => {
                let answer = self.cache.stale(&key.fingerprint, self.now())?;
                self.report(Introspected::StandsIn(error));
                Some(answer)
            }
            _ => None,
        }
    }

    /// By how much the deadline of a call is longer than the default.
    pub(crate) fn longer_calls(&self) -> Duration {
        self.client.deadline.saturating_sub(CALL_DEADLINE)
    }

    /// How long one call may take in total.
    pub(crate) fn deadline(&self) -> Duration {
        self.client.deadline
    }

    /// Whether answers are signed. Checking them needs the issuer's keys.
    pub(crate) fn is_signed(&self) -> bool {
        self.client.signed.is_some()
    }

    /// The generation of the configuration that this engine belongs to.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The health of the endpoint.
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

    /// The cached answer about a token.
    pub(super) fn cached(&self, fingerprint: &Fingerprint, now: Now) -> Option<CachedAnswer> {
        let cached = self.cache.get(fingerprint, now)?;
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
        Some(cached)
    }

    pub(super) fn report(&self, what: Introspected<'_>) {
        self.stream.tell_of_introspection(&self.issuer, what);
    }

    /// Whether the circuit breaker is open or half-open.
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

/// The library drops entries after `past_use`, by its own clock.
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
