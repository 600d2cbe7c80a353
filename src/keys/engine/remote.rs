//! The engine that keeps the keys of one issuer fresh.
//!
//! The module [`freshness`](crate::keys::freshness) makes all decisions. The engine reads the
//! snapshot, starts fetches, publishes the results, and emits events. A request with a usable key
//! takes no lock and awaits nothing. It reads one snapshot and one atomic. There is one exception: when
//! one of several sets expires, the first request merges the others, and the next requests wait until
//! this is done.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::crypto::{Algorithm, AlgorithmSet};
use crate::flight::{self, Ended};
use crate::keys::engine::seed::KeySeed;
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::engine::timer;
use crate::keys::freshness::{
    Attempt, Cause, DEADLINE, Freshness, FreshnessSettings, Note, Outcome, Phase, RequestState,
    Ticket, Wait,
};
use crate::keys::set::Candidates;
use crate::keys::source::{FetchContext, Source};
use crate::observe::shown::redacted;
use crate::observe::{Event, Occurrence, Stream};
use crate::runtime::{self, Unfit};
use crate::token::Excerpt;
use crate::token::header::KeyHint;

/// The keys of one issuer. The engine keeps them fresh.
pub(crate) struct RemoteKeys {
    pub(crate) issuer: Arc<str>,
    pub(crate) accepted: AlgorithmSet,
    pub(crate) source: Arc<Source>,
    pub(crate) clock: Arc<dyn Clock>,
    stream: Stream,
    keep_warm: AtomicBool,
    /// The time limit of an attempt.
    deadline: Duration,
    pub(crate) snapshot: ArcSwapOption<Snapshot>,
    pub(crate) freshness: Freshness,
    /// Wakes the requests that wait for an attempt to end.
    pub(crate) ended: watch::Sender<()>,
    pub(crate) last_error: ArcSwapOption<Excerpt>,
    /// The number of attempts in a row that returned an incomplete set.
    pub(crate) incomplete: AtomicU32,
    /// The tasks of the last attempt and of the timer. They are aborted when this value is dropped.
    task: ArcSwapOption<AbortHandle>,
    timer: ArcSwapOption<AbortHandle>,
    /// When the timer last ran, in milliseconds of the monotonic clock. This shows whether the
    /// timer still runs: it may be on a runtime that is no longer polled.
    pub(crate) timer_ran_at: AtomicU64,
    /// The reason why the seed is not used. `None` if the seed is used, or if the reason was
    /// already reported.
    ignored_seed: ArcSwapOption<&'static str>,
}

/// The settings of an engine.
#[derive(Clone, Default)]
pub(crate) struct KeySettings {
    pub(crate) freshness: FreshnessSettings,
    /// The time limit of an attempt, if it differs from the default.
    pub(crate) deadline: Option<Duration>,
    /// Whether, after the first fetch, a timer fetches the set whenever a fetch is due, even if no
    /// request arrives.
    pub(crate) keep_warm: bool,
    /// The receiver of events.
    pub(crate) stream: Stream,
    /// The set to start from.
    pub(crate) seed: Option<KeySeed>,
}

/// The result of looking for a key.
pub(crate) enum Look {
    /// Use the guard at once and do not store it: a guard borrows the snapshot, which is cheaper
    /// than cloning the `Arc`.
    Found(Guard<Option<Arc<Snapshot>>>, Candidates),
    /// There is no such key. The token is at fault.
    Unknown,
    /// It is not known whether there is such a key, for example because the issuer does not answer.
    /// The token is not at fault.
    Unavailable { retry_after: Duration },
    /// A fetch may return the key.
    Wait(Wait),
}

impl RemoteKeys {
    pub(crate) fn new(
        issuer: &str,
        accepted: AlgorithmSet,
        source: Source,
        clock: Arc<dyn Clock>,
        settings: KeySettings,
    ) -> Self {
        let deadline = settings.deadline.unwrap_or(DEADLINE);
        let keys = Self {
            issuer: issuer.into(),
            accepted,
            source: Arc::new(source),
            clock,
            stream: settings.stream,
            keep_warm: AtomicBool::new(settings.keep_warm),
            snapshot: ArcSwapOption::empty(),
            deadline,
            freshness: Freshness::new(settings.freshness).with_deadline(deadline),
            ended: watch::Sender::new(()),
            last_error: ArcSwapOption::empty(),
            incomplete: AtomicU32::new(0),
            task: ArcSwapOption::empty(),
            timer: ArcSwapOption::empty(),
            timer_ran_at: AtomicU64::new(0),
            ignored_seed: ArcSwapOption::empty(),
        };
        if let Some(seed) = settings.seed {
            let now = (keys.clock.wall(), keys.clock.monotonic());
            match seed.adopt(issuer, accepted, &keys.source, &keys.freshness, now) {
                Ok(snapshot) => keys.snapshot.store(Some(Arc::new(snapshot))),
                Err(reason) => keys.ignored_seed.store(Some(Arc::new(reason))),
            }
        }
        keys
    }

    /// Takes over the report that the seed of another engine is not used.
    pub(crate) fn note_seed_of(&self, other: &Self) {
        self.ignored_seed.store(other.ignored_seed.swap(None));
    }

    /// Reports that the seed is not used, if that is so and was not reported yet. Call this only
    /// after the engine is in use, because an observer may call the API from its callback.
    pub(crate) fn tell_of_seed(&self) {
        if let Some(reason) = self.ignored_seed.swap(None) {
            self.emit(|issuer| Event::SeedIgnored { issuer, reason: &reason });
        }
    }

    /// From now on, a timer fetches the set whenever a fetch is due, even if no request arrives.
    pub(crate) fn keep_warm(self: &Arc<Self>) {
        if !self.keep_warm.swap(true, Ordering::Relaxed)
            && let Ok(runtime) = runtime::current()
        {
            self.start_timer(&runtime);
        }
    }

    #[cfg(feature = "http-client")]
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Looks for a key, without waiting for a fetch. `since` is the first attempt that began after the
    /// request arrived. `may_wait` says whether the request may wait for a fetch.
    pub(crate) fn look(
        self: &Arc<Self>,
        (key, algorithm, iss): (KeyHint<'_>, Algorithm, &str),
        since: Option<Attempt>,
        may_wait: bool,
    ) -> Look {
        loop {
            let now = self.clock.monotonic();
            let view = self.freshness.view();
            let snapshot = self.snapshot.load();
            let life = snapshot.as_ref().map(|snapshot| &snapshot.life);
            let candidates = match &*snapshot {
                Some(snapshot) if snapshot.life.stage(now).is_usable() => {
                    snapshot.keys.find(key, algorithm, iss)
                }
                Some(expired) if self.replace_expired(expired, now) => continue,
                _ => Candidates::default(),
            };
            let request = RequestState { known: !candidates.is_empty(), since, may_wait };
            // `ViewOutdated` means that another thread made progress, so this loop ends.
            let Ok(decision) = self.freshness.request(view, life, request, now) else { continue };
            let mut outcome = decision.outcome;
            let started = decision.start.is_none_or(|ticket| self.launch(ticket, now));
            match decision.note {
                Some(Note::UnknownKid) if started => {
                    let kid = key.kid().map(Excerpt::of);
                    self.emit(|issuer| Event::UnknownKid { issuer, kid });
                }
                Some(Note::BudgetSpent) => self.emit(|issuer| Event::BudgetSpent { issuer }),
                Some(Note::UnknownKid) | None => {}
            }
            if let Outcome::Wait(wait) = outcome
                && (!started || Handle::try_current().is_err())
            {
                // There is no runtime, or no timer to end the wait.
                if wait.counted {
                    self.wait_ended();
                }
                outcome = self.freshness.unavailable(now);
            }
            return match outcome {
                Outcome::Serve => Look::Found(snapshot, candidates),
                Outcome::Unknown => Look::Unknown,
                Outcome::Unavailable { retry_after } => Look::Unavailable { retry_after },
                Outcome::Wait(wait) => Look::Wait(wait),
            };
        }
    }

    /// Whether a token with this kid can only be refused: the set is fresh and has no key for the
    /// kid, and no fetch is allowed now.
    pub(crate) fn is_flooded_with(&self, kid: &str) -> bool {
        // A flood is rare, and this flag shows that there is none. So usually the clock is not
        // read.
        if !self.freshness.flood_was_reported() {
            return false;
        }
        let now = self.clock.monotonic();
        let view = self.freshness.view();
        let snapshot = self.snapshot.load();
        snapshot.as_ref().is_some_and(|snapshot| {
            self.freshness.is_flooded(view, &snapshot.life, now) && !snapshot.keys.may_have(kid)
        })
    }

    /// Called when a signature with a known kid failed, because the key may have been replaced.
    /// Starts a fetch if the budget allows it. No request waits for this fetch.
    pub(crate) fn signature_failed(self: &Arc<Self>) {
        let now = self.clock.monotonic();
        let view = self.freshness.view();
        if let Some(ticket) = self.freshness.signature_failed(view, now) {
            self.launch(ticket, now);
        }
    }

    /// Starts an attempt if one is due. Returns the attempt in progress, if there is one.
    pub(crate) fn wake(self: &Arc<Self>) -> Option<Attempt> {
        let now = self.clock.monotonic();
        let view = self.freshness.view();
        let snapshot = self.snapshot.load();
        let life = snapshot.as_ref().map(|snapshot| &snapshot.life);
        if let Some(ticket) = self.freshness.due(view, life, now) {
            self.launch(ticket, now);
        }
        match self.freshness.view().phase(now) {
            Phase::InProgress(attempt) => Some(attempt),
            Phase::Idle | Phase::Paused { .. } => None,
        }
    }

    /// Runs an attempt as a separate task. Returns `false` if there is no runtime, or if the
    /// runtime has no timer.
    fn launch(self: &Arc<Self>, ticket: Ticket, now: Duration) -> bool {
        let runtime = match runtime::current() {
            Ok(runtime) => runtime,
            Err(Unfit::Absent) => {
                if self.freshness.could_not_start(ticket) {
                    self.emit(|issuer| Event::NoRuntime { issuer });
                }
                self.ended.send_replace(());
                return false;
            }
            Err(unfit @ Unfit::WithoutTimer) => {
                // This counts as a failure, so that the back-off limits how often an attempt is
                // started.
                self.attempt_ended(ticket, Ended::Done(Err(unfit.problem().into())), None);
                return false;
            }
        };
        self.freshness.launched();
        // Some requests may wait for an attempt that this attempt replaced. Wake these requests so
        // that they look again.
        self.ended.send_replace(());
        let (source, known) = (Arc::clone(&self.source), self.snapshot.load_full());
        let (for_unknown_kid, accepted) = (ticket.cause() == Cause::UnknownKid, self.accepted);
        let work = {
            let known = known.clone();
            async move {
                let known = known.as_deref();
                source.fetch(FetchContext { now, known, for_unknown_kid, accepted }).await
            }
        };
        let keys = Arc::downgrade(self);
        let task = flight::launch(&runtime, self.deadline, work, move |ended| {
            if let Some(keys) = keys.upgrade() {
                keys.attempt_ended(ticket, ended, known.as_deref());
            }
        });
        if let Some(given_up) = self.task.swap(Some(Arc::new(task))) {
            given_up.abort();
        }
        let is_alive =
            |timer: &Arc<AbortHandle>| !timer.is_finished() && self.timer_ran_recently(now);
        if self.keep_warm.load(Ordering::Relaxed)
            && !self.timer.load().as_ref().is_some_and(is_alive)
        {
            self.start_timer(&runtime);
        }
        true
    }

    fn start_timer(self: &Arc<Self>, runtime: &Handle) {
        self.timer_ran(self.clock.monotonic());
        let keys = Arc::downgrade(self);
        // Fetches the set whenever a fetch is due, as long as the engine lives.
        let timer = timer::again(move || {
            let keys = keys.upgrade()?;
            keys.timer_ran(keys.clock.monotonic());
            let _ = keys.wake();
            Some(keys.due_in())
        });
        let timer = runtime.spawn(timer).abort_handle();
        // If two threads start a timer at the same time, one of the timers is aborted.
        if let Some(other) = self.timer.swap(Some(Arc::new(timer))) {
            other.abort();
        }
    }

    /// Records that the timer ran.
    pub(crate) fn timer_ran(&self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.timer_ran_at.store(now, Ordering::Relaxed);
    }

    /// Whether the timer ran recently, so that it does not count as lost.
    fn timer_ran_recently(&self, now: Duration) -> bool {
        let timer_ran_at = Duration::from_millis(self.timer_ran_at.load(Ordering::Relaxed));
        now.saturating_sub(timer_ran_at) < timer::LOST_AFTER
    }

    pub(crate) fn emit(&self, event: impl FnOnce(Arc<str>) -> Event) {
        let issuer = match redacted(&self.issuer) {
            Cow::Borrowed(_) => Arc::clone(&self.issuer),
            Cow::Owned(shown) => shown.into(),
        };
        self.stream.tell(&Occurrence::Event(&event(issuer)));
    }

    /// Returns when this attempt has ended or was replaced by another.
    pub(crate) async fn ended(&self, attempt: Attempt) {
        // An error would mean that the sender was dropped, but `self` owns it.
        let mut ended = self.ended.subscribe();
        let _ = ended.wait_for(|()| !self.freshness.is_in_progress(attempt)).await;
    }

    /// Called when a counted wait has ended.
    pub(crate) fn wait_ended(&self) {
        self.freshness.wait_ended();
    }

    /// The time until a fetch is due.
    pub(crate) fn due_in(&self) -> Duration {
        let view = self.freshness.view();
        let snapshot = self.snapshot.load();
        let life = snapshot.as_ref().map(|snapshot| &snapshot.life);
        self.freshness.due_in(view, life, self.clock.monotonic())
    }
}

impl Drop for RemoteKeys {
    fn drop(&mut self) {
        for task in [self.task.swap(None), self.timer.swap(None)].into_iter().flatten() {
            task.abort();
        }
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys").field("source", &self.source).finish_non_exhaustive()
    }
}
