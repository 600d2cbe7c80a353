//! The engine that keeps one issuer's keys fresh.
//!
//! It decides nothing: [`freshness`](super::freshness) does. It reads the snapshot, starts the
//! fetches that are decided on, publishes what they bring and tells what happened. A request with a
//! usable key at hand takes no lock and awaits nothing; it reads a snapshot and one atomic.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::crypto::{Algorithm, AlgorithmSet};
use crate::event::{Event, Observer};
use crate::keys::flight::{self, Flight};
use crate::keys::freshness::{
    Answer, Asked, Attempt, Freshness, FreshnessSettings, Note, Phase, Ticket,
};
use crate::keys::snapshot::Snapshot;
use crate::keys::{Candidates, Found, KeySeed, KeyWait, Lookup, Source, warm};
use crate::runtime::{self, Unfit};
use crate::shown::redacted;
use crate::telemetry;
use crate::token::Excerpt;

/// The keys of one issuer, kept fresh.
pub(crate) struct RemoteKeys {
    pub(super) issuer: Arc<str>,
    pub(super) accepted: AlgorithmSet,
    pub(super) source: Arc<Source>,
    pub(super) clock: Arc<dyn Clock>,
    observer: Option<Observer>,
    keep_warm: bool,
    pub(super) snapshot: ArcSwapOption<Snapshot>,
    pub(super) freshness: Freshness,
    /// Wakes those who wait for an attempt to end.
    pub(super) ended: watch::Sender<()>,
    pub(super) last_error: ArcSwapOption<Excerpt>,
    /// The last attempt's task, and that of the timer: they end with this value.
    task: ArcSwapOption<AbortHandle>,
    timer: ArcSwapOption<AbortHandle>,
}

/// What of an engine can be set.
#[derive(Clone, Default)]
pub(crate) struct KeySettings {
    pub(crate) freshness: FreshnessSettings,
    /// Whether the set is fetched when that is due, without waiting for a request.
    pub(crate) keep_warm: bool,
    /// Who is told of events, beside the log.
    pub(crate) observer: Option<Observer>,
    /// What to start from.
    pub(crate) seed: Option<KeySeed>,
}

impl RemoteKeys {
    pub(crate) fn new(
        issuer: &str,
        accepted: AlgorithmSet,
        source: Source,
        clock: Arc<dyn Clock>,
        settings: KeySettings,
    ) -> Self {
        let keys = Self {
            issuer: issuer.into(),
            accepted,
            source: Arc::new(source),
            clock,
            observer: settings.observer,
            keep_warm: settings.keep_warm,
            snapshot: ArcSwapOption::empty(),
            freshness: Freshness::new(settings.freshness),
            ended: watch::Sender::new(()),
            last_error: ArcSwapOption::empty(),
            task: ArcSwapOption::empty(),
            timer: ArcSwapOption::empty(),
        };
        if let Some(seed) = settings.seed {
            let now = (keys.clock.wall(), keys.clock.monotonic());
            match seed.adopt(issuer, accepted, &keys.freshness, now) {
                Ok(snapshot) => keys.snapshot.store(Some(Arc::new(snapshot))),
                Err(reason) => keys.emit(|issuer| Event::SeedIgnored { issuer, reason }),
            }
        }
        keys
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
    ) -> Lookup<'static> {
        loop {
            let now = self.clock.monotonic();
            let view = self.freshness.view();
            let snapshot = self.snapshot.load();
            let life = snapshot.as_ref().map(|snapshot| &snapshot.life);
            let candidates = match &*snapshot {
                Some(snapshot) if snapshot.life.stage(now).is_usable() => {
                    snapshot.keys.find(kid, algorithm, iss)
                }
                _ => Candidates::default(),
            };
            let asked = Asked { known: !candidates.is_empty(), waited };
            // Outrun means that another thread came further, so this ends.
            let Ok(decision) = self.freshness.request(view, life, asked, now) else { continue };
            let mut answer = decision.answer;
            let started = decision.start.is_none_or(|ticket| self.launch(ticket, now));
            match decision.note {
                Some(Note::UnknownKid) if started => {
                    let kid = kid.map(Excerpt::of);
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
                answer = self.freshness.refusal(life, now);
            }
            return match answer {
                Answer::Serve => Lookup::Found(Found::Remote(snapshot, candidates)),
                Answer::Unknown => Lookup::Unknown,
                Answer::Unavailable { retry_after } => Lookup::Unavailable { retry_after },
                Answer::Wait(wait) => {
                    let sought = (kid, algorithm, iss);
                    Lookup::Wait(KeyWait::new(Arc::clone(self), wait, sought))
                }
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
                self.land(ticket, Err(unfit.problem().into()));
                return false;
            }
        };
        self.freshness.launched();
        let validator = self.snapshot.load().as_ref().and_then(|set| set.validator.clone());
        let flight = Flight::new(self, ticket);
        let task = runtime.spawn(flight::fetch(flight, Arc::clone(&self.source), validator, now));
        self.task.store(Some(Arc::new(task.abort_handle())));
        if self.keep_warm && self.timer.load().as_ref().is_none_or(|timer| timer.is_finished()) {
            let timer = runtime.spawn(warm::keep_warm(Arc::downgrade(self))).abort_handle();
            // Should two threads come here at once, one of the timers goes.
            if let Some(other) = self.timer.swap(Some(Arc::new(timer))) {
                other.abort();
            }
        }
        true
    }

    pub(super) fn emit(&self, event: impl FnOnce(Arc<str>) -> Event) {
        let issuer = match redacted(&self.issuer) {
            Cow::Borrowed(_) => Arc::clone(&self.issuer),
            Cow::Owned(shown) => shown.into(),
        };
        telemetry::event(&event(issuer), self.observer.as_ref());
    }

    /// Returns when this attempt has ended.
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
