//! Single flight: for each key, at most one attempt is in progress. All tasks that need the result
//! wait for this attempt.
//!
//! Decides:
//!
//! - what runs: [`launch`] starts a detached task with a deadline. No request can cancel it. The
//!   task reports exactly once how it ended ([`Ended`]): finished, timed out, panicked, or dropped
//!   (aborted, or dropped together with its runtime). The last case does not count as a failure of
//!   the server;
//! - who waits: [`Flights`] holds the attempts in progress by key and gives each caller a
//!   [`Waiter`];
//! - how long an attempt counts as in progress: until it completes, and **never longer than its
//!   deadline plus a margin, measured by the crate's own clock**. The reason: a task on a runtime
//!   that is no longer polled neither ends nor is dropped. After the deadline plus the margin, the
//!   next caller begins another attempt.
//!
//! Limits, budgets, pauses and caches are not part of this module. The owner of the [`Flights`]
//! keeps them under the same lock. [`Flights`] is pure and takes the current time as `now`, so that
//! the owner decides everything in one critical section:
//!
//! ```text
//! lock;  flights.join(&key, now)           -> Some(waiter): wait for it
//!        flights.begin(key, now)           -> (completion, waiter)
//! unlock;  launch(&runtime, deadline, work, move |ended| {
//!              lock;  let present = flights.complete(&key, &completion);  store the result;  unlock
//!              completion.send(outcome) })
//! waiter.outcome().await                   -> None: it ended without an outcome; ask again
//! ```
//!
//! Do not hold the lock when you call [`launch`]: a runtime that shuts down drops the task at once,
//! and then the report runs inside [`launch`] and takes the lock. The report must not hold the lock
//! while it calls user-supplied code, because that code may need the same lock.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::runtime;

/// How long an attempt still counts as in progress after its deadline. If its task is polled, the
/// task reports within this time, even on a busy machine.
pub(crate) const MARGIN: Duration = Duration::from_secs(1);

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended<T> {
    Done(T),
    /// The deadline passed first.
    Late,
    Panicked,
    /// The task was aborted, or its runtime shut down. This says nothing about the server.
    Gone,
}

impl<T> Ended<T> {
    /// The result, or the reason of the failure as a fixed text for a log.
    pub(crate) fn done(self) -> Result<T, &'static str> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Late => Err("no answer in time"),
            Self::Panicked => Err("the attempt panicked"),
            Self::Gone => Err("the attempt was aborted"),
        }
    }
}

/// Runs `work` as a separate task for at most `deadline` of real time, and calls `report` with the
/// way it ended. `report` does not run during unwinding, unless dropping `work` panics.
pub(crate) fn launch<T, W, R>(
    runtime: &Handle,
    deadline: Duration,
    work: W,
    report: R,
) -> AbortHandle
where
    T: Send + 'static,
    W: Future<Output = T> + Send + 'static,
    R: FnOnce(Ended<T>) + Send + 'static,
{
    let mut report = Report { report: Some(report), of: PhantomData };
    let task = async move {
        let ended = {
            let mut work = pin!(work);
            let caught =
                poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                    Ok(Poll::Pending) => Poll::Pending,
                    Ok(Poll::Ready(value)) => Poll::Ready(Ended::Done(value)),
                    Err(_) => Poll::Ready(Ended::Panicked),
                });
            runtime::within(deadline, caught).await.unwrap_or(Ended::Late)
        };
        report.once(ended);
    };
    runtime.spawn(task).abort_handle()
}

/// User-supplied code panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs `work` and catches a panic in it.
pub(crate) async fn caught<W: Future>(work: W) -> Result<W::Output, Panicked> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

/// Calls the report exactly once, at the latest when this value is dropped.
struct Report<T, R: FnOnce(Ended<T>)> {
    report: Option<R>,
    of: PhantomData<fn(T)>,
}

impl<T, R: FnOnce(Ended<T>)> Report<T, R> {
    fn once(&mut self, ended: Ended<T>) {
        if let Some(report) = self.report.take() {
            report(ended);
        }
    }
}

impl<T, R: FnOnce(Ended<T>)> Drop for Report<T, R> {
    fn drop(&mut self) {
        let ended = if std::thread::panicking() { Ended::Panicked } else { Ended::Gone };
        self.once(ended);
    }
}

/// The attempts in progress, by key. `S` hashes the keys.
#[derive(Debug)]
pub(crate) struct Flights<K, V, S = std::hash::RandomState> {
    /// The age at which an attempt counts as ended.
    overdue_after: Duration,
    in_progress: HashMap<K, Flight<V>, S>,
    begun: u64,
}

#[derive(Debug)]
struct Flight<V> {
    number: u64,
    began_at: Duration,
    outcome: watch::Receiver<Option<V>>,
    /// The number of clones is the number of waiters.
    waiting: Arc<()>,
}

/// Ends one attempt: first [complete](Flights::complete) it, then [send](Self::send) the outcome.
#[derive(Debug)]
#[must_use = "those who wait for the attempt learn its outcome from this"]
pub(crate) struct Completion<V> {
    number: u64,
    outcome: watch::Sender<Option<V>>,
}

/// Waits for the end of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Waiter<V> {
    number: u64,
    began_at: Duration,
    outcome: watch::Receiver<Option<V>>,
    _waiting: Arc<()>,
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> Flights<K, V, S> {
    /// For attempts that are [launched](launch) with this deadline.
    pub(crate) fn new(deadline: Duration) -> Self {
        Self {
            overdue_after: deadline.saturating_add(MARGIN),
            in_progress: HashMap::default(),
            begun: 0,
        }
    }

    /// Joins the attempt in progress. Returns `None` if there is no attempt, or if the attempt is
    /// overdue.
    pub(crate) fn join(&self, key: &K, now: Duration) -> Option<Waiter<V>> {
        let flight = self.in_progress.get(key).filter(|flight| !self.is_overdue(flight, now))?;
        Some(flight.waiter())
    }

    /// Begins an attempt. An earlier attempt for the same key counts as ended from now on.
    pub(crate) fn begin(&mut self, key: K, now: Duration) -> (Completion<V>, Waiter<V>) {
        let (sender, outcome) = watch::channel(None);
        let number = self.begun;
        self.begun += 1;
        let flight = Flight { number, began_at: now, outcome, waiting: Arc::default() };
        let waiter = flight.waiter();
        self.in_progress.insert(key, flight);
        (Completion { number, outcome: sender }, waiter)
    }

    /// Ends an attempt. Returns whether the attempt still counted as in progress. Returns `false` if
    /// the attempt was given up or if another attempt for the key has begun since. In both cases,
    /// the owner has already freed the slot of the attempt.
    pub(crate) fn complete(&mut self, key: &K, completion: &Completion<V>) -> bool {
        let present = self.in_progress.get(key).is_some_and(|own| own.number == completion.number);
        if present {
            self.in_progress.remove(key);
        }
        present
    }

    /// Called when an attempt enters a later stage. The later stage has the whole deadline again.
    pub(crate) fn renew(&mut self, key: &K, completion: &Completion<V>, now: Duration) {
        if let Some(own) =
            self.in_progress.get_mut(key).filter(|own| own.number == completion.number)
        {
            own.began_at = now;
        }
    }

    /// How many waiters the attempt in progress has, for an owner that limits the number of waiters.
    pub(crate) fn waiting(&self, key: &K) -> usize {
        self.in_progress.get(key).map_or(0, |flight| Arc::strong_count(&flight.waiting) - 1)
    }

    /// Removes (gives up) the overdue attempts. Returns their number, for an owner that counts
    /// attempts.
    pub(crate) fn give_up_overdue(&mut self, now: Duration) -> usize {
        let before = self.in_progress.len();
        let overdue_after = self.overdue_after;
        self.in_progress.retain(|_, flight| now.saturating_sub(flight.began_at) < overdue_after);
        before - self.in_progress.len()
    }

    /// The number of attempts in progress, including overdue attempts that were not given up.
    pub(crate) fn len(&self) -> usize {
        self.in_progress.len()
    }

    /// How many attempts were begun. Later attempts have this [number](Waiter::number) or a higher
    /// number. So a caller can find out whether an attempt began after this call.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    fn is_overdue(&self, flight: &Flight<V>, now: Duration) -> bool {
        now.saturating_sub(flight.began_at) >= self.overdue_after
    }
}

impl<V> Flight<V> {
    fn waiter(&self) -> Waiter<V> {
        let Self { number, began_at, ref outcome, ref waiting } = *self;
        Waiter { number, began_at, outcome: outcome.clone(), _waiting: Arc::clone(waiting) }
    }
}

impl<V> Completion<V> {
    /// Wakes the waiters. Call this after [`Flights::complete`], so that a waiter that is not
    /// satisfied with this outcome can begin another attempt.
    pub(crate) fn send(self, outcome: V) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl<V> Waiter<V> {
    /// The number of the attempt within its [`Flights`].
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The time at which the attempt began, by the crate's clock.
    pub(crate) fn began_at(&self) -> Duration {
        self.began_at
    }
}

impl<V: Clone> Waiter<V> {
    /// Waits for the outcome. Returns `None` if the attempt ended without an outcome. If the task is
    /// no longer polled, this function may never return, so the caller needs its own deadline.
    pub(crate) async fn outcome(&mut self) -> Option<V> {
        self.outcome.wait_for(Option::is_some).await.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::mpsc::{Receiver, channel};
    use tokio::runtime::{Builder, Runtime};

    const SECOND: Duration = Duration::from_secs(1);

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn launched(
        on: &Runtime,
        deadline: Duration,
        work: impl Future<Output = u8> + Send + 'static,
    ) -> (AbortHandle, Receiver<Ended<u8>>) {
        let (tell, told) = channel();
        let report = move |ended| tell.send(ended).unwrap();
        (launch(on.handle(), deadline, work, report), told)
    }

    #[test]
    fn an_attempt_reports_once_however_it_ends() {
        let drive = |runtime: Runtime, _: AbortHandle| {
            runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
        };
        let abort = |runtime: Runtime, task: AbortHandle| {
            runtime.block_on(tokio::task::yield_now());
            task.abort();
            runtime.block_on(tokio::task::yield_now());
        };
        let drop_polled = |runtime: Runtime, _: AbortHandle| {
            runtime.block_on(tokio::task::yield_now());
        };
        let drop_unpolled = |_: Runtime, _: AbortHandle| {};
        type End = fn(Runtime, AbortHandle);
        type Work = std::pin::Pin<Box<dyn Future<Output = u8> + Send>>;
        let hangs = || -> Work { Box::pin(pending()) };
        let panics = || -> Work { Box::pin(async { panic!("of the test") }) };
        let minute = 60 * SECOND;
        let rows: [(&str, Work, Duration, End, Ended<u8>); 6] = [
            ("done", Box::pin(async { 1 }), minute, drive, Ended::Done(1)),
            ("late", hangs(), Duration::from_millis(1), drive, Ended::Late),
            ("panicked", panics(), minute, drive, Ended::Panicked),
            ("aborted", hangs(), minute, abort, Ended::Gone),
            ("runtime dropped", hangs(), minute, drop_polled, Ended::Gone),
            ("runtime dropped before the first poll", hangs(), minute, drop_unpolled, Ended::Gone),
        ];
        for (name, work, deadline, end, expected) in rows {
            let runtime = runtime();
            let (task, told) = launched(&runtime, deadline, work);
            end(runtime, task);
            assert_eq!(told.iter().collect::<Vec<_>>(), [expected], "{name}");
        }
    }

    #[test]
    fn on_a_runtime_that_is_gone_it_reports_at_once() {
        let runtime = runtime();
        let handle = runtime.handle().clone();
        drop(runtime);
        let (tell, told) = channel();
        launch(&handle, SECOND, async { 1 }, move |ended| tell.send(ended).unwrap());
        assert_eq!(told.try_recv(), Ok(Ended::Gone));
    }

    #[test]
    fn one_attempt_a_key() {
        let mut flights = Flights::<&str, u8>::new(5 * SECOND);
        assert!(flights.join(&"a", SECOND).is_none());
        let (completion, mut first) = flights.begin("a", SECOND);
        let mut second = flights.join(&"a", 2 * SECOND).unwrap();
        assert_eq!((second.number(), second.began_at()), (first.number(), SECOND));
        assert!(flights.join(&"b", SECOND).is_none(), "another key");
        assert_eq!((flights.len(), flights.begun(), flights.waiting(&"a")), (1, 1, 2));
        drop(second.clone());
        assert_eq!(flights.waiting(&"a"), 2);
        assert!(flights.complete(&"a", &completion));
        assert!(flights.join(&"a", SECOND).is_none(), "it has completed");
        completion.send(7);
        runtime().block_on(async {
            assert_eq!(first.outcome().await, Some(7));
            assert_eq!(second.outcome().await, Some(7));
        });
    }

    #[test]
    fn an_attempt_that_is_overdue_counts_as_ended() {
        let deadline = 5 * SECOND;
        let mut flights = Flights::<&str, u8>::new(deadline);
        let (lost, _) = flights.begin("a", SECOND);
        let end = SECOND + deadline + MARGIN;
        assert!(flights.join(&"a", end - Duration::from_nanos(1)).is_some());
        assert!(flights.join(&"a", end).is_none());
        let (completion, mut waiter) = flights.begin("a", end);
        assert!(!flights.complete(&"a", &lost), "another has begun since");
        assert!(flights.join(&"a", end).is_some(), "the late one ended nothing");
        assert!(flights.complete(&"a", &completion));
        drop(completion);
        assert_eq!(runtime().block_on(waiter.outcome()), None, "without an outcome");
    }

    #[test]
    fn a_later_stage_has_the_deadline_again() {
        let mut flights = Flights::<u8, u8>::new(5 * SECOND);
        let (old, _) = flights.begin(1, Duration::ZERO);
        flights.renew(&1, &old, 4 * SECOND);
        assert!(flights.join(&1, 9 * SECOND).is_some());
        assert!(flights.join(&1, 10 * SECOND).is_none());
        let (_new, _) = flights.begin(1, 10 * SECOND);
        flights.renew(&1, &old, 60 * SECOND);
        assert!(flights.join(&1, 16 * SECOND).is_none(), "that is another attempt");
    }

    #[test]
    fn an_owner_can_take_out_what_is_overdue() {
        let mut flights = Flights::<u8, u8>::new(5 * SECOND);
        let (old, _) = flights.begin(1, Duration::ZERO);
        let (new, _) = flights.begin(2, SECOND);
        assert_eq!(flights.give_up_overdue(6 * SECOND - Duration::from_nanos(1)), 0);
        assert_eq!(flights.give_up_overdue(6 * SECOND), 1);
        assert!(!flights.complete(&1, &old));
        assert!(flights.complete(&2, &new));
    }
}
