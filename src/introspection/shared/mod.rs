//! The second tier: what other servers were told, before the endpoint is asked.
//!
//! Nothing here can let a token through that the endpoint did not vouch for, nor hold a request up
//! for long. Whatever is wrong with the store or with what lies in it, the answer is that nothing is
//! known, and the endpoint is asked as if there were no store.

pub(super) mod record;
#[cfg(feature = "redis")]
mod redis;
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

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub use store::{AnswerStore, SharedCache};

/// How long the store is waited for: a store that is slower than the endpoint is no help. Those of
/// one data centre answer within a few milliseconds.
const STORE_DEADLINE: Duration = Duration::from_millis(250);

/// Octets of a sealed answer. An answer of the largest size fits unless writing it anew makes it
/// longer.
pub(crate) const MAX_VALUE: usize = MAX_BODY + 1024 + SEALING_OVERHEAD;

/// In front of each key, so that an operator knows whose it is, and can give rights to it alone.
const PREFIX: &str = "tower-resource-server:introspection:";

/// The shared answers of one endpoint.
pub(crate) struct SharedAnswers {
    issuer: Arc<str>,
    store: Arc<dyn AnyAnswerStore>,
    sealer: Sealer,
    ttl: Duration,
    /// For how much longer an answer may stand in.
    stale: Duration,
    leeway: Duration,
    clock: Arc<dyn Clock>,
    stream: Stream,
    reads: Line,
    writes: Line,
}

/// What is known of the store in one direction. A store that can be read and not written is used
/// for what it is good for.
struct Line {
    does: &'static str,
    state: Mutex<LineState>,
}

struct LineState {
    breaker: Breaker,
    /// Whether it was said in the log that it fails.
    told: bool,
}

impl SharedAnswers {
    /// `context` is all that an answer depends on besides the token. `None` should the library that
    /// seals fail.
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
        let line = |does| {
            let breaker = Breaker::for_calls(STORE_DEADLINE);
            Line { does, state: Mutex::new(LineState { breaker, told: false }) }
        };
        let (reads, writes) = (line("read"), line("write"));
        let store = Arc::clone(&cache.store);
        Some(Self { issuer, store, sealer, ttl, stale, leeway, clock, stream, reads, writes })
    }

    fn tell(&self, what: Introspected<'_>) {
        self.stream.tell_of_introspection(&self.issuer, what);
    }

    /// What is known of a token and may still be used.
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
            // As it goes; the store forgets a little later than we do.
            Err(Unusable::Over) => None,
            Err(Unusable::Malformed) => {
                self.tell(Introspected::SharedAnswerUnusable("it was not sealed under this key"));
                None
            }
            Err(Unusable::Ahead) => {
                let reason = "it is from ahead of our clock by more than the leeway";
                self.tell(Introspected::SharedAnswerUnusable(reason));
                None
            }
        }
    }

    /// Shares an answer, `None` for a token that is not active, that was asked for at `asked`. It
    /// takes the place of an older one and of no newer one, whichever is written first.
    pub(crate) async fn put(&self, token: &str, answer: Option<&Answer>, asked: Now) {
        let now = self.clock.monotonic();
        let mut left = match answer {
            Some(_) => self.ttl,
            // As long as an older answer can be used, somewhere.
            None => self.ttl + self.stale,
        };
        left = left.saturating_sub(now.saturating_sub(asked.monotonic));
        let key = self.key(token);
        // A clock out of all bounds makes it as old as can be, and nobody will use it.
        let asked = Duration::try_from_secs_f64(asked.wall.as_secs_f64()).unwrap_or_default();
        // A double of today's size is off by up to 120 ns, which must cost no millisecond.
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

    /// One call of the store, under its deadline; `None` when it failed, or is left alone.
    async fn call<'a, T>(&self, line: &Line, call: impl FnOnce() -> Boxed<'a, T>) -> Option<T> {
        let now = self.clock.monotonic();
        let probe = match line.state().breaker.ask(now) {
            Admission::Call => false,
            Admission::Probe => true,
            Admission::Wait { .. } => return None,
        };
        let report = Report { shared: self, line, probe, done: false };
        match runtime::within(STORE_DEADLINE, call()).await {
            Some(Ok(value)) => {
                report.succeeded();
                Some(value)
            }
            Some(Err(error)) => {
                // The words of code that is not ours.
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

impl Line {
    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAnswers").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// How a call of the store ended. It reports even when the call is dropped, or the next probe would
/// wait until this one is overdue.
struct Report<'a> {
    shared: &'a SharedAnswers,
    line: &'a Line,
    probe: bool,
    done: bool,
}

impl Report<'_> {
    fn succeeded(mut self) {
        self.done = true;
        let mut state = self.line.state();
        state.breaker.succeeded();
        let told = std::mem::take(&mut state.told);
        drop(state);
        if told {
            self.shared.tell(Introspected::SharedCacheBack { does: self.line.does });
        }
    }

    fn failed(mut self, problem: &str) {
        self.done = true;
        if !self.note() {
            self.shared.tell(Introspected::SharedCacheFailed { does: self.line.does, problem });
        }
    }

    /// Answers whether it was told already.
    fn note(&self) -> bool {
        // A clock may be the API's own code, which runs outside of the lock.
        let now = self.shared.clock.monotonic();
        let mut state = self.line.state();
        state.breaker.failed(now, self.probe, random_unit(), None);
        std::mem::replace(&mut state.told, true)
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if std::thread::panicking() {
            if !self.note() {
                let problem = "the call panicked";
                self.shared.tell(Introspected::SharedCacheFailed { does: self.line.does, problem });
            }
        } else if self.probe {
            // It ended with its runtime, which says nothing of the store.
            let now = self.shared.clock.monotonic();
            self.line.state().breaker.probe_was_lost(now);
        }
    }
}
