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

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::crypto::{
    BuildFingerprintHasher, Fingerprint, Fingerprints, random_octets, random_unit,
};
use crate::error::Error;
use crate::flight::{Flights, Landing, MARGIN, Waiter};
use crate::introspection::answer::Answer;
use crate::introspection::endpoint::client::{Blames, CallFault, IntrospectionClient, Verdict};
use crate::introspection::engine::breaker::{Admission, Breaker, Evidence, within_cap};
use crate::introspection::engine::cache::{AnswerCache, Now, Remembered, is_past};
use crate::introspection::engine::flight::{
    Brought, CALL_DEADLINE, Call, Failed, Question, Running, Turn,
};
use crate::introspection::engine::turns::{self, MAX_IN_FLIGHT, MAX_QUEUED_KNOWN, Turns};
use crate::introspection::engine::wait::{AnswerWait, Joined, MAX_WAITING_FOR_ONE, Place};
use crate::introspection::shared::SharedAnswers;
use crate::introspection::shared::record::Shared;
use crate::observe::IntrospectionHealth;
use crate::observe::log;
use crate::runtime;
use crate::token::jwt::MAX_TOKEN;
use crate::token::{Excerpt, NumericDate};

/// Tokens looked up in a shared cache at once, calls included: what a process that begins with an
/// empty memory needs, and a bound to what a flood of tokens can pile up.
pub(crate) const MAX_LOOKUPS: usize = 1024;

/// When to try again where nothing better is known.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long it is remembered that the endpoint gave no usable answer about a token: a client that
/// keeps trying costs the endpoint one call in that time.
const SAID_TTL: Duration = Duration::from_secs(1);

/// Tokens of which that is remembered, and tokens that are known to have been active.
const MAX_TOKENS: u64 = 10_000;

/// How long a token counts as active before, since it last was: longer than answers are remembered,
/// so that it has its reserved calls when it is asked for again.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);

/// How often it is looked whether a probe is due, by who waits for the endpoint.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// After how many answers, all "inactive", it is said that this may be no fault of the tokens. Few, so
/// that it is seen while an API is set up.
const SUSPICIOUS: u32 = 3;

/// Why a call has to wait that finds no place.
const BUSY: &str = "too many calls are under way";

/// Asks one endpoint, and remembers what it said.
pub(crate) struct Introspector {
    issuer: Arc<str>,
    generation: u64,
    client: Arc<IntrospectionClient>,
    clock: Arc<dyn Clock>,
    leeway: Duration,
    fingerprints: Fingerprints,
    cache: AnswerCache,
    /// Tokens that were active before.
    known: Cache<Fingerprint, (), BuildFingerprintHasher>,
    /// What was said of a token that can't be used.
    said: Cache<Fingerprint, Said, BuildFingerprintHasher>,
    shared: Option<Arc<SharedAnswers>>,
    state: Mutex<State>,
    waiting: Arc<AtomicUsize>,
    has_answered: AtomicBool,
    /// Answers so far, none of which was "active"; the largest number once one was.
    never_active: AtomicU32,
    /// What a probe asks about: no token of a client's, which may fail for its own sake.
    probe: Box<str>,
    probe_fingerprint: Fingerprint,
    counters: Counters,
}

#[derive(Clone)]
struct Said {
    problem: Arc<str>,
    until: Duration,
}

struct State {
    flights: Flights<Sought, Told>,
    /// When a question of the other kind about the same token was put, if it was answered meanwhile.
    overtaken: HashMap<Sought, Duration>,
    turns: Turns<Waiting>,
    breaker: Breaker,
    evidence: Evidence,
    /// Until when the endpoint, which said 429, is not asked about tokens that were never active, and
    /// about any.
    busy_for_new: Duration,
    busy_for_all: Duration,
}

/// A question that waits for its turn.
struct Waiting {
    sender: oneshot::Sender<Result<Running, Error>>,
    introspector: Weak<Introspector>,
    sought: Sought,
}

/// Why no call may begin now.
struct Held {
    problem: &'static str,
    retry_after: Duration,
}

/// A token that an answer is sought about, and whether the endpoint itself has to be asked, and now.
/// The two kinds of question never share a call: what another server was told will do for one of them
/// alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sought {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) asks_now: bool,
}

impl Sought {
    /// The other kind of question about the same token.
    fn other(self) -> Self {
        Self { asks_now: !self.asks_now, ..self }
    }
}

/// How a question ended, for those who wait for it.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) outcome: Outcome,
    /// It took too long.
    pub(crate) late: bool,
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
        leeway: Duration,
    ) -> Option<Self> {
        let fingerprints = Fingerprints::new(&[issuer.as_bytes(), &generation.to_le_bytes()])?;
        let probe = random_text()?;
        let probe_fingerprint = fingerprints.of(probe.as_bytes());
        let state = State {
            flights: Flights::new(client.deadline),
            overtaken: HashMap::new(),
            turns: Turns::new(client.deadline + MARGIN),
            breaker: Breaker::for_calls(client.deadline),
            evidence: Evidence::default(),
            busy_for_new: Duration::ZERO,
            busy_for_all: Duration::ZERO,
        };
        Some(Self {
            issuer,
            generation,
            client: Arc::new(client),
            clock,
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
            Ok(Joined::Flight { waiter, fresh, begun, joined, place }) => {
                Lookup::Wait(AnswerWait {
                    introspector: Arc::clone(self),
                    sought,
                    token: token.to_owned(),
                    came_at: begun,
                    waiter,
                    fresh,
                    joined,
                    place,
                })
            }
            Err(error) => match self.stale(&sought, &error) {
                Some(answer) => Lookup::Active(answer),
                None => Lookup::Refused(error),
            },
        }
    }

    /// What was said last, where the endpoint fails and it may stand in.
    pub(crate) fn stale(&self, sought: &Sought, error: &Error) -> Option<Arc<Answer>> {
        match error {
            Error::IntrospectionUnavailable { .. } if !sought.asks_now => {
                let answer = self.cache.stale(&sought.fingerprint, self.now())?;
                log::introspection_stands_in(&self.issuer, error);
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

    fn remembered(&self, fingerprint: &Fingerprint, now: Now) -> Option<Lookup> {
        let remembered = self.cache.get(fingerprint, now)?;
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
        Some(match remembered {
            Remembered::Active(answer) => Lookup::Active(answer),
            Remembered::Inactive => Lookup::Refused(Error::Inactive),
        })
    }

    /// Joins the question about this token that is under way, or begins one. Of a request that came
    /// when `came_at` questions had begun, and that wants no older answer, only a later one is fresh.
    pub(crate) fn join(
        self: &Arc<Self>,
        sought: Sought,
        token: &str,
        came_at: Option<u64>,
    ) -> Result<Joined, Error> {
        let now = self.now();
        let known = self.known.contains_key(&sought.fingerprint);
        // Asked for without the lock: where tokio panics, a hook of the API's own sees it.
        let runtime = runtime::current();
        // What another server was told will do, whether or not the endpoint can be called.
        let asks_shared = self.shared.is_some() && !sought.asks_now;
        let probe = if asks_shared { None } else { self.probe_before(sought, now) };
        let mut state = self.state();
        let begun = state.flights.begun();
        if let Some(waiter) = state.flights.join(&sought, now.monotonic) {
            if state.flights.waiting(&sought) > MAX_WAITING_FOR_ONE {
                drop(state);
                return Err(self.held_back("too many requests wait for one answer", RETRY_AFTER));
            }
            // One that was overtaken brings an answer that is known to be old.
            let any_will_do =
                self.cache.is_on() && !sought.asks_now && !state.overtaken.contains_key(&sought);
            let fresh = any_will_do || came_at.is_some_and(|came| waiter.number() >= came);
            drop(state);
            let place = self.place(known)?;
            return Ok(Joined::Flight { waiter, fresh, begun, joined: true, place });
        }
        // One that ended between our look and our lock has left its answer.
        if !sought.asks_now
            && let Some(remembered) = self.remembered(&sought.fingerprint, now)
        {
            return Ok(Joined::Remembered(remembered));
        }
        let (runtime, place) = match (runtime, self.said(&sought.fingerprint, now)) {
            (_, Some(error)) => return Err(error),
            (Ok(runtime), None) => (runtime, self.place(known)?),
            (Err(unfit), None) => {
                drop(state);
                log::introspection_without_runtime(&self.issuer);
                return Err(self.unavailable(unfit.problem(), RETRY_AFTER));
            }
        };
        // Dropped after the lock.
        let (overdue, has_room) = state.give_up_overdue(now.monotonic);
        let turn = if asks_shared {
            let limit = if known { MAX_LOOKUPS + MAX_QUEUED_KNOWN } else { MAX_LOOKUPS };
            if state.flights.len() >= limit {
                return Err(self.held_back("too many tokens are looked up", RETRY_AFTER));
            }
            None
        } else {
            let turn = self.take_turn(&mut state, sought, known, now, probe);
            Some(turn.map_err(|held| self.held_back(held.problem, held.retry_after))?)
        };
        state.overtaken.remove(&sought);
        let (landing, waiter) = state.flights.begin(sought, now.monotonic);
        // A runtime that shuts down drops the task at once, and that then asks for the lock.
        drop(state);
        drop(overdue);
        if has_room {
            self.give_turns(self.state(), now);
        }
        let question = Question {
            introspector: Arc::downgrade(self),
            sought,
            token: token.to_owned(),
            client: Arc::clone(&self.client),
            shared: self.shared.clone(),
            turn,
        };
        question.launch(&runtime, landing);
        Ok(Joined::Flight { waiter, fresh: true, begun, joined: false, place })
    }

    fn place(&self, known: bool) -> Result<Place, Error> {
        Place::take(&self.waiting, known)
            .ok_or_else(|| self.held_back("too many requests wait", RETRY_AFTER))
    }

    /// What was said of this very token a moment ago.
    fn said(&self, token: &Fingerprint, now: Now) -> Option<Error> {
        let said = self.said.get(token)?;
        let left = said.until.checked_sub(now.monotonic).filter(|left| !left.is_zero())?;
        Some(self.held_back(&said.problem, left.max(RETRY_AFTER)))
    }

    /// Begins a call, or takes a place among those who wait for their turn.
    fn take_turn(
        self: &Arc<Self>,
        state: &mut State,
        sought: Sought,
        known: bool,
        now: Now,
        probe: Option<Waiter<Told>>,
    ) -> Result<Turn, Held> {
        if let Some(probe) = probe {
            return Ok(Turn::AfterProbe(probe));
        }
        let introspector = Arc::downgrade(self);
        if state.breaker.wants_a_probe(now.monotonic) {
            state.holds(known || self.is_probe(sought), now.monotonic)?;
            // Without room for the probe, the breaker is not asked for one.
            let turn =
                if self.is_probe(sought) { state.turns.take_first(now.monotonic) } else { None };
            let turn = turn.ok_or(Held { problem: BUSY, retry_after: RETRY_AFTER })?;
            // It is held back only where all calls are, and a 429 for it says nothing of tokens that
            // were active before.
            let call = Call { known: false, ..self.begin_call(state, turn, true, now)? };
            return Ok(Turn::Now(Running { introspector, sought, call }));
        }
        if state.breaker.is_open() {
            // No probe is due, so this says for how long.
            state.ask_breaker(now.monotonic)?;
        }
        state.holds(known, now.monotonic)?;
        let (sender, receiver) = oneshot::channel();
        let waiting = Waiting { sender, introspector: Weak::clone(&introspector), sought };
        match state.turns.take(known, now.monotonic, waiting) {
            turns::Place::Turn(turn) => {
                let call = self.begin_call(state, turn, known, now)?;
                Ok(Turn::Now(Running { introspector, sought, call }))
            }
            turns::Place::Queued => Ok(Turn::Later(receiver)),
            turns::Place::Full(_) => Err(Held { problem: BUSY, retry_after: RETRY_AFTER }),
        }
    }

    /// Begins the call that has this turn, unless the endpoint is left alone.
    fn begin_call(
        &self,
        state: &mut State,
        turn: u64,
        known: bool,
        asked: Now,
    ) -> Result<Call, Held> {
        let held = state.holds(known, asked.monotonic);
        match held.and_then(|()| state.ask_breaker(asked.monotonic)) {
            Ok(probe) => {
                self.counters.calls.fetch_add(1, Ordering::Relaxed);
                Ok(Call { asked, probe, turn, known })
            }
            Err(held) => {
                state.turns.end(turn);
                Err(held)
            }
        }
    }

    /// The same for a question that was put already.
    pub(crate) fn turn(self: &Arc<Self>, sought: Sought) -> Result<Turn, Error> {
        let now = self.now();
        let known = self.known.contains_key(&sought.fingerprint);
        let probe = self.probe_before(sought, now);
        let mut state = self.state();
        let (overdue, has_room) = state.give_up_overdue(now.monotonic);
        let turn = self.take_turn(&mut state, sought, known, now, probe);
        drop(state);
        drop(overdue);
        if has_room {
            self.give_turns(self.state(), now);
        }
        turn.map_err(|held| self.held_back(held.problem, held.retry_after))
    }

    /// A question that waited for its turn goes on.
    pub(crate) fn renew(&self, sought: Sought, landing: &Landing<Told>, now: Now) {
        self.state().flights.renew(&sought, landing, now.monotonic);
    }

    /// Gives the turns that are free to those who wait.
    fn give_turns<'a>(&'a self, mut state: MutexGuard<'a, State>, now: Now) {
        loop {
            let mut given = Vec::new();
            while let Some((turn, known, waiting)) = state.turns.next(now.monotonic) {
                given.push((waiting, self.begin_call(&mut state, turn, known, now)));
            }
            drop(state);
            // Outside of the lock, since it wakes tasks.
            let mut left = Vec::new();
            for (Waiting { sender, introspector, sought }, call) in given {
                let turn = call.map(|call| Running { introspector, sought, call });
                let turn = turn.map_err(|held| self.held_back(held.problem, held.retry_after));
                // Who waited too long is gone.
                let unused = sender.send(turn).err().and_then(Result::ok);
                left.extend(unused.map(Running::into_call));
            }
            if left.is_empty() {
                return;
            }
            state = self.state();
            for Call { turn, probe, .. } in left {
                self.counters.calls.fetch_sub(1, Ordering::Relaxed);
                state.turns.end(turn);
                if probe {
                    state.breaker.probe_was_lost(now.monotonic);
                }
            }
        }
    }

    /// Sends a probe where one is due: readiness is asked for, and there may be no other traffic that
    /// would show that the endpoint is back. It asks about a text of our own.
    pub(crate) fn probe(self: &Arc<Self>) -> Option<Waiter<Told>> {
        self.probe_if_due(self.now())
    }

    fn probe_if_due(self: &Arc<Self>, now: Now) -> Option<Waiter<Told>> {
        if !self.state().breaker.wants_a_probe(now.monotonic) {
            return None;
        }
        let sought = Sought { fingerprint: self.probe_fingerprint, asks_now: true };
        match self.join(sought, &self.probe, None) {
            Ok(Joined::Flight { waiter, .. }) => Some(waiter),
            Ok(Joined::Remembered(_)) | Err(_) => None,
        }
    }

    /// The probe that a question about a token waits for, where one is due. The token itself is no
    /// probe: one client with a token that always fails could otherwise fail each of them.
    fn probe_before(self: &Arc<Self>, sought: Sought, now: Now) -> Option<Waiter<Told>> {
        if self.is_probe(sought) { None } else { self.probe_if_due(now) }
    }

    fn is_probe(&self, sought: Sought) -> bool {
        sought.fingerprint == self.probe_fingerprint
    }

    /// Whether this question is still under way, and not overdue.
    pub(crate) fn is_under_way(&self, sought: &Sought, waiter: &Waiter<Told>) -> bool {
        let now = self.clock.monotonic();
        let present = self.state().flights.join(sought, now);
        present.is_some_and(|present| present.number() == waiter.number())
    }

    /// Returns when the endpoint may be called: at once, unless it failed. The caller has a deadline.
    pub(crate) async fn ready(self: &Arc<Self>) {
        while self.is_open() {
            if let Some(mut waiter) = self.probe() {
                waiter.outcome().await;
            } else {
                runtime::within(PROBE_EVERY, std::future::pending::<()>()).await;
            }
        }
    }

    /// Whether calls are held back.
    pub(crate) fn is_open(&self) -> bool {
        self.state().breaker.is_open()
    }

    /// Whether the endpoint has ever answered 200.
    pub(crate) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// What may be used of an answer that another server was given. One that is not surely newer
    /// than a revocation seen here is ignored. What is no answer any more, since the
    /// token was inactive some time ago or has expired, still counts against older ones.
    pub(crate) fn usable(&self, sought: Sought, shared: Shared) -> Option<Brought> {
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
                log::shared_answer_unusable(&self.issuer, reason);
                None
            }
            answer => Some(Brought { answer, age, age_at_most, call: None }),
        }
    }

    /// Takes in what a question brought, and says whether that is the latest word on the token. An
    /// answer that is not, since a later question was answered before it, is for those who wait for
    /// it and is not remembered: the token may be known to be dead.
    pub(crate) fn conclude(
        &self,
        sought: Sought,
        landing: &Landing<Told>,
        brought: Result<Brought, Failed>,
    ) -> (Outcome, bool) {
        let now = self.now();
        let mut state = self.state();
        // Overdue, it may have been overtaken by the next of its kind.
        let present = state.flights.land(&sought, landing);
        let overtaken_by = if present { state.overtaken.remove(&sought) } else { None };
        let Brought { answer, age, age_at_most, call } = match brought {
            Ok(brought) => brought,
            Err(Failed { error, .. }) => return (Err(error), false),
        };
        if call.is_none() {
            self.counters.shared_hits.fetch_add(1, Ordering::Relaxed);
        }
        let asked = now.monotonic.saturating_sub(age);
        if state.flights.join(&sought.other(), now.monotonic).is_some() {
            state.overtaken.insert(sought.other(), asked);
        }
        match answer {
            Some(answer) => {
                let answer = Arc::new(answer);
                let is_latest = overtaken_by.is_none_or(|other| other < asked)
                    && self.cache.put_shared(sought.fingerprint, &answer, now, age, age_at_most);
                if self.has_expired(&answer, now) {
                    // It is refused by its `exp`, and need not be asked for again at once.
                    self.cache.put_inactive(sought.fingerprint, now, age);
                } else {
                    self.known.insert(sought.fingerprint, ());
                }
                (Ok(answer), is_latest)
            }
            None => {
                let is_latest = self.cache.put_inactive(sought.fingerprint, now, age);
                self.known.invalidate(&sought.fingerprint);
                (Err(Error::Inactive), is_latest)
            }
        }
    }

    /// Past its `exp`, with the leeway: no request is served by it.
    fn has_expired(&self, answer: &Answer, now: Now) -> bool {
        let leeway = self.leeway.as_secs_f64();
        answer.expires_at().is_some_and(|exp| now.wall.as_secs_f64() >= exp + leeway)
    }

    /// A question ended without a word on the token.
    pub(crate) fn forget(&self, sought: Sought, landing: &Landing<Told>) {
        let mut state = self.state();
        if state.flights.land(&sought, landing) {
            state.overtaken.remove(&sought);
        }
    }

    /// Learns from how a call ended, and lets the next begin.
    pub(crate) fn call_ended(
        &self,
        sought: Sought,
        call: Call,
        said: Result<Verdict, CallFault>,
    ) -> Result<Option<Answer>, Error> {
        let now = self.now();
        let token = sought.fingerprint;
        let random = random_unit();
        let mut state = self.state();
        let counted = state.turns.end(call.turn);
        let was_open = state.breaker.is_open();
        let (mut opened, mut counts) = (false, false);
        let result = match said {
            Ok(verdict) => {
                state.breaker.succeeded();
                state.evidence.clear();
                match verdict {
                    Verdict::Active(answer) => Ok((Some(answer), None)),
                    Verdict::Inactive => Ok((None, None)),
                    Verdict::Refused(code) => Ok((None, Some(code))),
                }
            }
            // What ends so late is counted for no more.
            Err(fault) => {
                if counted {
                    (counts, opened) = state.failed(token, call, &fault, now.monotonic, random);
                }
                Err(fault)
            }
        };
        if counts && !opened && state.turns.running() > 0 {
            // The server may hang. The next call to end shows whether more should begin.
            drop(state);
        } else {
            self.give_turns(state, now);
        }
        match result {
            Ok((answer, refused)) => {
                if was_open {
                    log::introspection_is_back(&self.issuer);
                }
                match refused {
                    Some(code) => log::introspection_refused(&self.issuer, code),
                    None => self.has_answered.store(true, Ordering::Relaxed),
                }
                // A probe asks about a random text, which is not a token.
                if !call.probe {
                    self.count_inactive(answer.is_some());
                }
                Ok(answer)
            }
            Err(fault) => {
                let retry_after = within_cap(fault.retry_after).max(RETRY_AFTER);
                let error = self.unavailable(&fault.problem, retry_after);
                if fault.blames != Blames::Nothing {
                    self.remember(token, fault, now);
                    log::introspection_failed(&self.issuer, &error, opened);
                }
                Err(error)
            }
        }
    }

    /// One warning where no answer of the first ones was "active": some servers say so of every
    /// token to a client that may not ask.
    fn count_inactive(&self, is_active: bool) {
        if is_active {
            self.never_active.store(u32::MAX, Ordering::Relaxed);
            return;
        }
        let count = |seen: u32| seen.checked_add(1).filter(|next| *next <= SUSPICIOUS);
        let seen = self.never_active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        if seen.is_ok_and(|seen| seen + 1 == SUSPICIOUS) {
            log::never_active(&self.issuer, SUSPICIOUS);
        }
    }

    /// Remembers what the endpoint said of a token, if it said anything.
    fn remember(&self, token: Fingerprint, fault: CallFault, now: Now) {
        match fault.blames {
            Blames::Server | Blames::Credentials | Blames::Unauthorized | Blames::Token => {
                let held_for = SAID_TTL.max(within_cap(fault.retry_after));
                let until = now.monotonic.saturating_add(held_for);
                self.said.insert(token, Said { problem: fault.problem.into(), until });
            }
            Blames::Connection
            | Blames::Silence
            | Blames::Rate
            | Blames::Accident
            | Blames::Nothing => {}
        }
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the endpoint asked for fewer calls.
    fn holds(&self, known: bool, now: Duration) -> Result<(), Held> {
        let busy_until =
            if known { self.busy_for_all } else { self.busy_for_all.max(self.busy_for_new) };
        match busy_until.checked_sub(now) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(retry_after) => Err(Held { problem: "it asked for fewer calls", retry_after }),
        }
    }

    /// Whether the call is a probe.
    fn ask_breaker(&mut self, now: Duration) -> Result<bool, Held> {
        match self.breaker.ask(now) {
            Admission::Call => Ok(false),
            Admission::Probe => Ok(true),
            Admission::Wait { retry_after } => {
                let problem = "it failed several times in a row and is left alone";
                Err(Held { problem, retry_after })
            }
        }
    }

    /// A call failed; whether that counts against the server, and whether the breaker opened.
    fn failed(
        &mut self,
        token: Fingerprint,
        call: Call,
        fault: &CallFault,
        now: Duration,
        random: f64,
    ) -> (bool, bool) {
        let failures = match fault.blames {
            Blames::Connection | Blames::Silence | Blames::Server | Blames::Credentials => {
                u32::from(self.evidence.failed(token) || call.probe)
            }
            Blames::Unauthorized => self.evidence.unauthorized(token),
            Blames::Rate => {
                let until = now.saturating_add(within_cap(fault.retry_after).max(RETRY_AFTER));
                let busy = if call.known { &mut self.busy_for_all } else { &mut self.busy_for_new };
                *busy = until.max(*busy);
                0
            }
            Blames::Token => 0,
            // Not by the text of a probe, and nobody answered it.
            Blames::Accident => u32::from(call.probe),
            Blames::Nothing => {
                if call.probe {
                    self.breaker.probe_was_lost(now);
                }
                return (false, false);
            }
        };
        if failures == 0 && call.probe {
            self.breaker.probe_was_answered();
            self.evidence.clear();
        }
        let opened = (0..failures).fold(false, |opened, _| {
            self.breaker.failed(now, call.probe, random, fault.retry_after) || opened
        });
        (failures > 0, opened)
    }

    /// Counts no longer what is overdue. What comes back is to be dropped without the lock, since that
    /// wakes tasks. Also answers whether that made room for calls, which the owner has to give away:
    /// none of those that ended so will.
    fn give_up_overdue(&mut self, now: Duration) -> (Vec<Waiting>, bool) {
        if self.flights.len() >= MAX_IN_FLIGHT {
            self.flights.give_up_overdue(now);
            let Self { flights, overtaken, .. } = self;
            overtaken.retain(|sought, _| flights.join(sought, now).is_some());
        }
        let running = self.turns.running();
        let overdue = self.turns.give_up_overdue(now);
        (overdue, self.turns.running() < running)
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
