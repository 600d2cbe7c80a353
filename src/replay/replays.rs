//! The replay store of one server, with a deadline.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::memory::Memory;
use super::proof::UsedProof;
use super::store::{AnyReplayStore, Insertion};
use crate::flight::{Panicked, caught};
use crate::observe::ReplayHealth;
use crate::runtime;
use crate::source_error::SourceError;
use crate::token::Excerpt;

/// How long a request waits for the store, in real time. It is short, because the client waits as
/// long. A store on the same network answers within a millisecond.
const DEADLINE: Duration = Duration::from_secs(1);

/// The replay store of one server.
pub(crate) struct Replays(Kind);

enum Kind {
    InProcess(Box<Memory>),
    Store(Arc<dyn AnyReplayStore>),
    None,
}

/// The answer, or a future that returns it. The store in this process answers at once.
pub(crate) enum Inserted {
    Now(Result<Insertion, SourceError>),
    Later(Pin<Box<dyn Future<Output = Result<Insertion, SourceError>> + Send>>),
}

impl Replays {
    pub(super) fn in_process(memory: Memory) -> Self {
        Self(Kind::InProcess(Box::new(memory)))
    }

    pub(super) fn store(store: Arc<dyn AnyReplayStore>) -> Self {
        Self(Kind::Store(store))
    }

    pub(super) fn none() -> Self {
        Self(Kind::None)
    }

    /// Inserts a proof. Call it last: a proof that another check refuses must not count as used.
    ///
    /// The request passes only with [`Insertion::New`]. An error means that it is not known whether
    /// the proof was used, and that the client is not at fault.
    pub(crate) fn insert(&self, proof: UsedProof) -> Inserted {
        match &self.0 {
            Kind::InProcess(memory) => Inserted::Now(memory.insert(&proof)),
            Kind::Store(store) => Inserted::Later(Box::pin(ask(Arc::clone(store), proof))),
            Kind::None => Inserted::Now(Ok(Insertion::New)),
        }
    }

    /// `now` is our wall clock, since the epoch.
    pub(crate) fn health(&self, now: Duration) -> ReplayHealth {
        match &self.0 {
            Kind::InProcess(memory) => {
                memory.sweep(now);
                ReplayHealth {
                    entries: Some(memory.entries()),
                    capacity: Some(memory.capacity()),
                    problem: memory.problem().map(|problem| Excerpt::of(&problem)),
                }
            }
            Kind::Store(store) => {
                let problem = catch_unwind(AssertUnwindSafe(|| store.problem()));
                let problem = problem.unwrap_or_else(|_| Some(PANICKED.to_owned()));
                let problem = problem.map(|problem| Excerpt::of(&problem));
                ReplayHealth { problem, ..ReplayHealth::default() }
            }
            Kind::None => ReplayHealth::default(),
        }
    }
}

const PANICKED: &str = "the replay store panicked";

/// Calls a user-supplied store, within the deadline. This needs no task: the request itself polls
/// the future.
async fn ask(store: Arc<dyn AnyReplayStore>, proof: UsedProof) -> Result<Insertion, SourceError> {
    runtime::current().map_err(|unfit| SourceError::new(unfit.problem()))?;
    let call = async { store.insert_if_absent(&proof).await };
    match runtime::within(DEADLINE, caught(call)).await {
        Some(Ok(answer)) => answer,
        Some(Err(Panicked)) => Err(SourceError::new(PANICKED)),
        None => Err(SourceError::new("the replay store did not answer in time")),
    }
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::InProcess(memory) => {
                write!(f, "Replays({} of {} proofs)", memory.entries(), memory.capacity())
            }
            Kind::Store(_) => f.write_str("Replays(a store)"),
            Kind::None => f.write_str("Replays(none)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::{Replay, ReplayStore};
    use std::future::{pending, ready};
    use tokio::runtime::Builder;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn proof() -> UsedProof {
        UsedProof::new([1; 32], [2; 32], NOW, NOW + Duration::from_secs(60), NOW)
    }

    /// What a store of a user does when it is asked.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum User {
        Answers,
        Fails,
        Hangs,
        Panics,
        PanicsAtOnce,
    }

    impl ReplayStore for User {
        fn insert_if_absent(
            &self,
            proof: &UsedProof,
        ) -> impl Future<Output = Result<Insertion, SourceError>> + Send {
            assert!(*self != Self::PanicsAtOnce, "of the test");
            let (own, lifetime) = (*self, proof.lifetime());
            async move {
                match own {
                    Self::Answers if lifetime > Duration::ZERO => Ok(Insertion::New),
                    Self::Answers | Self::Fails => Err(SourceError::new("no disk")),
                    Self::Hangs => pending().await,
                    Self::Panics | Self::PanicsAtOnce => panic!("of the test"),
                }
            }
        }

        fn problem(&self) -> Option<String> {
            assert!(*self != Self::PanicsAtOnce, "of the test");
            (*self == Self::Fails).then(|| "no disk".to_owned())
        }
    }

    #[test]
    fn a_store_that_fails_hangs_or_panics_is_an_error() {
        let panicked = "the replay store panicked";
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        for (user, expected, problem) in [
            (User::Answers, Ok(Insertion::New), None),
            (User::Fails, Err("no disk"), Some("no disk")),
            (User::Hangs, Err("the replay store did not answer in time"), None),
            (User::Panics, Err(panicked), None),
            (User::PanicsAtOnce, Err(panicked), Some(panicked)),
        ] {
            let replays = Replay::store(user).start(NOW);
            let Inserted::Later(later) = replays.insert(proof()) else { panic!("{user:?}") };
            let answer = runtime.block_on(later);
            assert_eq!(answer, expected.map_err(SourceError::new), "{user:?}");
            let health = replays.health(NOW);
            assert_eq!(health.problem.as_ref().map(Excerpt::as_str), problem, "{user:?}");
            assert_eq!((health.entries, health.capacity), (None, None));
        }
    }

    #[test]
    fn a_store_needs_a_runtime_with_a_timer() {
        let replays = Replay::store(User::Answers).start(NOW);
        let later = || match replays.insert(proof()) {
            Inserted::Later(later) => later,
            Inserted::Now(answer) => panic!("{answer:?}"),
        };
        let mut builder = Builder::new_current_thread();
        let bare = builder.build().unwrap().block_on(later()).unwrap_err();
        assert!(bare.to_string().contains("timer"), "{bare}");
        let whole = builder.enable_time().build().unwrap();
        assert_eq!(whole.block_on(later()), Ok(Insertion::New));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(absent) = later().as_mut().poll(&mut cx) else {
            panic!("it waits for no runtime")
        };
        assert!(absent.unwrap_err().to_string().contains("no tokio runtime"));
    }

    #[test]
    fn the_store_in_this_process_answers_at_once() {
        let replays = Replay::in_process_with_capacity(20).start(NOW);
        for expected in [Insertion::New, Insertion::Known] {
            let Inserted::Now(answer) = replays.insert(proof()) else { panic!("later") };
            assert_eq!(answer, Ok(expected));
        }
        let expected = ReplayHealth { entries: Some(1), capacity: Some(20), problem: None };
        assert_eq!(replays.health(NOW), expected);
        assert_eq!(format!("{replays:?}"), "Replays(1 of 20 proofs)");
    }

    #[test]
    fn without_a_store_each_proof_is_new() {
        let replays = Replay::none().start(NOW);
        for _ in 0..2 {
            let Inserted::Now(answer) = replays.insert(proof()) else { panic!("later") };
            assert_eq!(answer, Ok(Insertion::New));
        }
        assert_eq!(replays.health(NOW), ReplayHealth::default());
    }

    /// A ready future is enough for a store.
    struct Plain;

    impl ReplayStore for Plain {
        fn insert_if_absent(
            &self,
            _: &UsedProof,
        ) -> impl Future<Output = Result<Insertion, SourceError>> + Send {
            ready(Ok(Insertion::Known))
        }
    }

    #[tokio::test]
    async fn a_store_has_no_problem_unless_it_says_so() {
        let replays = Replay::store(Plain).start(NOW);
        let Inserted::Later(later) = replays.insert(proof()) else { panic!("now") };
        assert_eq!(later.await, Ok(Insertion::Known));
        assert_eq!(replays.health(NOW).problem, None);
    }
}
