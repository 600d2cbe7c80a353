//! The engine that keeps one issuer's keys fresh.
//!
//! It decides nothing: [`freshness`](super::freshness) does. It reads the snapshot, starts the
//! fetches that are decided on, publishes what they bring and tells what happened. A request with a
//! usable key at hand takes no lock and awaits nothing; it reads a snapshot and one atomic.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    Answer, Asked, Attempt, Cause, DEADLINE, Freshness, FreshnessSettings, Note, Phase, Ticket,
    Wait,
};
use crate::keys::set::Candidates;
use crate::keys::source::{Asking, Source};
use crate::observe::shown::redacted;
use crate::observe::{Event, Occurrence, Stream};
use crate::runtime::{self, Unfit};
use crate::token::Excerpt;
use crate::token::header::KeyHint;

/// The keys of one issuer, kept fresh.
pub(crate) struct RemoteKeys {
    pub(crate) issuer: Arc<str>,
    pub(crate) accepted: AlgorithmSet,
    pub(crate) source: Arc<Source>,
    pub(crate) clock: Arc<dyn Clock>,
    stream: Stream,
    keep_warm: AtomicBool,
    /// Of an attempt.
    deadline: Duration,
    pub(crate) snapshot: ArcSwapOption<Snapshot>,
    pub(crate) freshness: Freshness,
    /// Wakes those who wait for an attempt to end.
    pub(crate) ended: watch::Sender<()>,
    pub(crate) last_error: ArcSwapOption<Excerpt>,
    /// The last attempt's task, and that of the timer: they end with this value.
    task: ArcSwapOption<AbortHandle>,
    timer: ArcSwapOption<AbortHandle>,
    /// When the timer last ran, in milliseconds of the monotonic clock: it may be on a runtime that
    /// nobody drives any more.
    pub(crate) beat: AtomicU64,
    /// Why the seed is not used, until that was reported.
    ignored_seed: ArcSwapOption<&'static str>,
}

/// What of an engine can be set.
#[derive(Clone, Default)]
pub(crate) struct KeySettings {
    pub(crate) freshness: FreshnessSettings,
    /// How long an attempt may take, where it is not the usual time.
    pub(crate) deadline: Option<Duration>,
    /// Whether the set is fetched when that is due, without waiting for a request.
    pub(crate) keep_warm: bool,
    /// Who is told of events.
    pub(crate) stream: Stream,
    /// What to start from.
    pub(crate) seed: Option<KeySeed>,
}

/// What a look for a key came to.
pub(crate) enum Look {
    /// Not to be kept: it borrows the snapshot, which costs less than a share in it.
    Found(Guard<Option<Arc<Snapshot>>>, Candidates),
    /// There is no such key: the token's fault.
    Unknown,
    /// There may be such a key, but the issuer does not answer: not the token's fault.
    Unavailable { retry_after: Duration },
    /// A fetch may bring the key.
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
            task: ArcSwapOption::empty(),
            timer: ArcSwapOption::empty(),
            beat: AtomicU64::new(0),
            ignored_seed: ArcSwapOption::empty(),
        };
        if let Some(seed) = settings.seed {
            let now = (keys.clock.wall(), keys.clock.monotonic());
            match seed.adopt(issuer, accepted, &keys.freshness, now) {
                Ok(snapshot) => keys.snapshot.store(Some(Arc::new(snapshot))),
                Err(reason) => keys.ignored_seed.store(Some(Arc::new(reason))),
            }
        }
        keys
    }

    /// Goes on with the set of an engine that fetched from the same place, if it can be used: what is
    /// accepted may have changed, so it is read again.
    pub(crate) fn take_over(&self, other: &Self) {
        let Some(set) = other.snapshot.load_full().filter(|_| other.is_usable()) else { return };
        if let Ok(keys) = self.source.parse(&set.document, self.accepted) {
            let taken = Snapshot {
                keys: Arc::new(keys),
                life: set.life.handed_on(),
                document: set.document.clone(),
                validator: set.validator.clone(),
                seed: set.seed,
            };
            self.snapshot.store(Some(Arc::new(taken)));
        }
    }

    /// Reports the seed of another engine, which was made for it in vain.
    pub(crate) fn note_seed_of(&self, other: &Self) {
        self.ignored_seed.store(other.ignored_seed.swap(None));
    }

    /// Reports a seed that is not used, once. Called after the engine is in use, since an observer may
    /// call back.
    pub(crate) fn tell_of_seed(&self) {
        if let Some(reason) = self.ignored_seed.swap(None) {
            self.emit(|issuer| Event::SeedIgnored { issuer, reason: &reason });
        }
    }

    /// Has the set fetched when that is due from now on, without waiting for a request.
    pub(crate) fn keep_warm(self: &Arc<Self>) {
        if !self.keep_warm.swap(true, Ordering::Relaxed)
            && let Ok(runtime) = runtime::current()
        {
            self.start_timer(&runtime);
        }
    }

    #[cfg(feature = "remote")]
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Looks for a key, without blocking, for a request that came before the attempt `since`; it may
    /// wait if it is patient.
    pub(crate) fn look(
        self: &Arc<Self>,
        (key, algorithm, iss): (KeyHint<'_>, Algorithm, &str),
        since: Option<Attempt>,
        patient: bool,
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
                _ => Candidates::default(),
            };
            let asked = Asked { known: !candidates.is_empty(), since, patient };
            // Outrun means that another thread came further, so this ends.
            let Ok(decision) = self.freshness.request(view, life, asked, now) else { continue };
            let mut answer = decision.answer;
            let started = decision.start.is_none_or(|ticket| self.launch(ticket, now));
            match decision.note {
                Some(Note::UnknownKid) if started => {
                    let kid = key.kid().map(Excerpt::of);
                    self.emit(|issuer| Event::UnknownKid { issuer, kid });
                }
                Some(Note::BudgetSpent) => self.emit(|issuer| Event::BudgetSpent { issuer }),
                Some(Note::UnknownKid) | None => {}
            }
            if let Answer::Wait(wait) = answer
                && (!started || Handle::try_current().is_err())
            {
                // There is no runtime, or no timer to end the wait.
                if wait.counted {
                    self.wait_is_over();
                }
                answer = self.freshness.unavailable(now);
            }
            return match answer {
                Answer::Serve => Look::Found(snapshot, candidates),
                Answer::Unknown => Look::Unknown,
                Answer::Unavailable { retry_after } => Look::Unavailable { retry_after },
                Answer::Wait(wait) => Look::Wait(wait),
            };
        }
    }

    /// Whether this kid can only be refused: the set is fresh and has no key for it, and may not be
    /// fetched to see if it has one by now.
    pub(crate) fn is_flooded_with(&self, kid: &str) -> bool {
        // Nearly always there is no flood, and one flag tells it without a look at the clock.
        if !self.freshness.tells_of_a_flood() {
            return false;
        }
        let now = self.clock.monotonic();
        let view = self.freshness.view();
        let snapshot = self.snapshot.load();
        snapshot.as_ref().is_some_and(|snapshot| {
            self.freshness.is_flooded(view, &snapshot.life, now) && !snapshot.keys.may_have(kid)
        })
    }

    /// A signature failed under a known kid: perhaps its key was replaced. Nobody waits.
    pub(crate) fn signature_failed(self: &Arc<Self>) {
        let now = self.clock.monotonic();
        let view = self.freshness.view();
        if let Some(ticket) = self.freshness.signature_failed(view, now) {
            self.launch(ticket, now);
        }
    }

    /// Starts an attempt if one is due, and names the one under way.
    pub(crate) fn wake(self: &Arc<Self>) -> Option<Attempt> {
        let now = self.clock.monotonic();
        let view = self.freshness.view();
        let snapshot = self.snapshot.load();
        let life = snapshot.as_ref().map(|snapshot| &snapshot.life);
        if let Some(ticket) = self.freshness.due(view, life, now) {
            self.launch(ticket, now);
        }
        match self.freshness.view().phase(now) {
            Phase::UnderWay(attempt) => Some(attempt),
            Phase::Idle | Phase::Paused { .. } => None,
        }
    }

    /// Runs an attempt as a task of its own; whether there is a runtime to do so.
    fn launch(self: &Arc<Self>, ticket: Ticket, now: Duration) -> bool {
        let runtime = match runtime::current() {
            Ok(runtime) => runtime,
            Err(Unfit::Absent) => {
                if self.freshness.stranded(ticket) {
                    self.emit(|issuer| Event::NoRuntime { issuer });
                }
                self.ended.send_replace(());
                return false;
            }
            Err(unfit @ Unfit::WithoutTimer) => {
                // As a failure, so that the pauses after it bound how often this is found out.
                self.land(ticket, Ended::Done(Err(unfit.problem().into())), None);
                return false;
            }
        };
        self.freshness.launched();
        // Requests that wait for an attempt which was given up for this one look again.
        self.ended.send_replace(());
        let (source, known) = (Arc::clone(&self.source), self.snapshot.load_full());
        let (seeks_kid, accepted) = (ticket.cause() == Cause::UnknownKid, self.accepted);
        let work = {
            let known = known.clone();
            async move {
                let known = known.as_deref();
                source.fetch(Asking { now, known, seeks_kid, accepted }).await
            }
        };
        let keys = Arc::downgrade(self);
        let task = flight::launch(&runtime, self.deadline, work, move |ended| {
            if let Some(keys) = keys.upgrade() {
                keys.land(ticket, ended, known.as_deref());
            }
        });
        if let Some(given_up) = self.task.swap(Some(Arc::new(task))) {
            given_up.abort();
        }
        let is_alive = |timer: &Arc<AbortHandle>| !timer.is_finished() && self.timer_beats(now);
        if self.keep_warm.load(Ordering::Relaxed)
            && !self.timer.load().as_ref().is_some_and(is_alive)
        {
            self.start_timer(&runtime);
        }
        true
    }

    fn start_timer(self: &Arc<Self>, runtime: &Handle) {
        self.beats(self.clock.monotonic());
        let keys = Arc::downgrade(self);
        // Has the set fetched whenever that is due, as long as the engine lives.
        let timer = timer::again(move || {
            let keys = keys.upgrade()?;
            keys.beats(keys.clock.monotonic());
            let _ = keys.wake();
            Some(keys.due_in())
        });
        let timer = runtime.spawn(timer).abort_handle();
        // Should two threads come here at once, one of the timers goes.
        if let Some(other) = self.timer.swap(Some(Arc::new(timer))) {
            other.abort();
        }
    }

    /// The timer runs.
    pub(crate) fn beats(&self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.beat.store(now, Ordering::Relaxed);
    }

    /// Whether the timer ran lately.
    fn timer_beats(&self, now: Duration) -> bool {
        let beat = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        now.saturating_sub(beat) < timer::LOST_AFTER
    }

    pub(crate) fn emit(&self, event: impl FnOnce(Arc<str>) -> Event) {
        let issuer = match redacted(&self.issuer) {
            Cow::Borrowed(_) => Arc::clone(&self.issuer),
            Cow::Owned(shown) => shown.into(),
        };
        self.stream.tell(&Occurrence::Keys(&event(issuer)));
    }

    /// Returns when this attempt has ended, or was given up for another.
    pub(crate) async fn ended(&self, attempt: Attempt) {
        // An error means that the sender is gone, which `self` owns.
        let mut ended = self.ended.subscribe();
        let _ = ended.wait_for(|()| !self.freshness.is_under_way(attempt)).await;
    }

    /// A wait that was counted is over.
    pub(crate) fn wait_is_over(&self) {
        self.freshness.left();
    }

    pub(crate) fn is_usable(&self) -> bool {
        let now = self.clock.monotonic();
        self.snapshot.load().as_ref().is_some_and(|set| set.life.stage(now).is_usable())
    }

    /// How long until a fetch is due.
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
