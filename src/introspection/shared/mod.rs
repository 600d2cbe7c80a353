//! The second cache tier: answers that other servers got, looked up before the endpoint is asked.
//!
//! The store can't make a token valid: only sealed answers of the endpoint are used. It delays a
//! request by at most 250 ms. If the store fails, or if a stored value is unusable, the token
//! counts as unknown, and the endpoint is asked as if there were no store.

pub(super) mod record;
pub(super) mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::crypto::{SEALING_OVERHEAD, Sealer, random_unit};
use crate::fetch::MAX_BODY;
use crate::introspection::answer::Answer;
use crate::introspection::engine::breaker::{Admission, Breaker};
use crate::introspection::engine::cache::Now;
use crate::observe::{Introspected, Stream};
use crate::runtime;
use crate::source_error::Boxed;
use crate::token::Excerpt;
use record::{SharedAnswer, Unusable};
use store::AnyAnswerStore;

pub use store::{AnswerStore, SharedCache};

/// The deadline of a store call: a store that is slower than the endpoint does not help. A store in
/// the same data centre answers within a few milliseconds.
const STORE_DEADLINE: Duration = Duration::from_millis(250);

/// The largest sealed answer in octets. An answer of the largest size fits, unless it becomes
/// longer when it is written again as JSON.
pub(crate) const MAX_VALUE: usize = MAX_BODY + 1024 + SEALING_OVERHEAD;

/// The prefix of each key. It shows an operator which crate the key belongs to, and allows access
/// rights for these keys only.
const PREFIX: &str = "tower-resource-server:introspection:";

/// The shared answers of one endpoint.
pub(crate) struct SharedAnswers {
    issuer: Arc<str>,
    store: Arc<dyn AnyAnswerStore>,
    sealer: Sealer,
    ttl: Duration,
    /// How long after its ttl a stale answer may be used.
    stale: Duration,
    leeway: Duration,
    clock: Arc<dyn Clock>,
    stream: Stream,
    reads: Direction,
    writes: Direction,
}

/// The health of the store for reads or for writes. If a store can be read but not written, it is
/// used for reads.
struct Direction {
    does: &'static str,
    state: Mutex<DirectionState>,
}

struct DirectionState {
    breaker: Breaker,
    /// Whether the failure was reported.
    reported: bool,
}

impl SharedAnswers {
    /// `context` is everything that an answer depends on besides the token. Returns `None` if the
    /// sealing library fails.
    pub(crate) fn new(
        cache: &SharedCache,
        context: &[&[u8]],
        issuer: Arc<str>,
        ttl: Duration,
        stale: Duration,
        leeway: Duration,
        (clock, stream): (Arc<dyn Clock>, Stream),
    ) -> Option<Self> {
        let sealer = Sealer::new(&cache.secret, context)?;
        let direction = |does| {
            let breaker = Breaker::for_calls(STORE_DEADLINE);
            Direction { does, state: Mutex::new(DirectionState { breaker, reported: false }) }
        };
        let (reads, writes) = (direction("read"), direction("write"));
        let store = Arc::clone(&cache.store);
        Some(Self { issuer, store, sealer, ttl, stale, leeway, clock, stream, reads, writes })
    }

    fn report(&self, what: Introspected<'_>) {
        self.stream.tell_of_introspection(&self.issuer, what);
    }

    /// The answer about a token, if one is stored and may still be used.
    pub(crate) async fn get(&self, token: &str) -> Option<SharedAnswer> {
        let key = self.key(token);
        let value = self.call(&self.reads, || self.store.get(&key)).await??;
        let sealed = if value.len() <= MAX_VALUE { value.as_slice() } else { &[] };
        let read = match self.sealer.open(&key, sealed) {
            Some(record) => {
                record::read(&record, self.clock.wall(), self.ttl, self.stale, self.leeway)
            }
            None => Err(Unusable::Malformed),
        };
        match read {
            Ok(shared) => Some(shared),
            // This is normal: the store drops a value a little later than we do.
            Err(Unusable::Over) => None,
            Err(Unusable::Malformed) => {
                self.report(Introspected::SharedAnswerUnusable("it was not sealed under this key"));
                None
            }
            Err(Unusable::Ahead) => {
                let reason = "it is from ahead of our clock by more than the leeway";
                self.report(Introspected::SharedAnswerUnusable(reason));
                None
            }
        }
    }

    /// Shares the answer to a question that was asked at `asked`; `None` means that the token is
    /// not active. The answer replaces an older one but never a newer one, in whatever order they
    /// are written.
    pub(crate) async fn put(&self, token: &str, answer: Option<&Answer>, asked: Now) {
        let now = self.clock.monotonic();
        let mut left = match answer {
            Some(_) => self.ttl,
            // It must be stored for as long as any server could use an older answer.
            None => self.ttl + self.stale,
        };
        left = left.saturating_sub(now.saturating_sub(asked.monotonic));
        let key = self.key(token);
        // If the clock is out of range, the answer gets the greatest possible age, and no server
        // uses it.
        let asked = Duration::try_from_secs_f64(asked.wall.as_secs_f64()).unwrap_or_default();
        // Today's time as an `f64` is off by up to 120 ns, which must not change the millisecond.
        let asked = asked.saturating_add(Duration::from_nanos(500));
        let version = record::version(answer.is_some(), asked);
        let record = record::write(answer, asked);
        let Some(value) = self.sealer.seal(&key, record) else { return };
        if left.is_zero() || value.len() > MAX_VALUE {
            return;
        }
        self.call(&self.writes, || self.store.put_if_newer(&key, version, value, left)).await;
    }

    fn key(&self, token: &str) -> String {
        format!("{PREFIX}{}", self.sealer.name(token.as_bytes()))
    }

    /// Calls the store, within the deadline. Returns `None` if the call failed, or if the circuit
    /// breaker is open.
    async fn call<'a, T>(
        &self,
        direction: &Direction,
        call: impl FnOnce() -> Boxed<'a, T>,
    ) -> Option<T> {
        let now = self.clock.monotonic();
        let probe = match direction.state().breaker.ask(now) {
            Admission::Call => false,
            Admission::Probe => true,
            Admission::Wait { .. } => return None,
        };
        let report = Report { shared: self, direction, probe, done: false };
        match runtime::within(STORE_DEADLINE, call()).await {
            Some(Ok(value)) => {
                report.succeeded();
                Some(value)
            }
            Some(Err(error)) => {
                // This text comes from user-supplied code, so it is escaped and cut.
                report.failed(Excerpt::of(&error.into_problem()).as_str());
                None
            }
            None => {
                report.failed("no answer in time");
                None
            }
        }
    }
}

impl Direction {
    fn state(&self) -> MutexGuard<'_, DirectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAnswers").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// Reports how a store call ended, also if it is dropped. Otherwise, after a dropped probe, the
/// next probe would have to wait until this one is overdue.
struct Report<'a> {
    shared: &'a SharedAnswers,
    direction: &'a Direction,
    probe: bool,
    done: bool,
}

impl Report<'_> {
    fn succeeded(mut self) {
        self.done = true;
        let mut state = self.direction.state();
        state.breaker.succeeded();
        let reported = std::mem::take(&mut state.reported);
        drop(state);
        if reported {
            self.shared.report(Introspected::SharedCacheBack { does: self.direction.does });
        }
    }

    fn failed(mut self, problem: &str) {
        self.done = true;
        if !self.record_failure() {
            self.shared
                .report(Introspected::SharedCacheFailed { does: self.direction.does, problem });
        }
    }

    /// Records a failure. Returns whether a failure was reported before.
    fn record_failure(&self) -> bool {
        // A clock may be user-supplied code, so it runs without the lock.
        let now = self.shared.clock.monotonic();
        let mut state = self.direction.state();
        state.breaker.failed(now, self.probe, random_unit(), None);
        std::mem::replace(&mut state.reported, true)
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if std::thread::panicking() {
            if !self.record_failure() {
                let problem = "the call panicked";
                self.shared
                    .report(Introspected::SharedCacheFailed { does: self.direction.does, problem });
            }
        } else if self.probe {
            // The call was dropped, for example with its runtime. This says nothing about the
            // store.
            let now = self.shared.clock.monotonic();
            self.direction.state().breaker.probe_was_lost(now);
        }
    }
}
