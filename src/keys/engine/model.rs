//! Tests the state machine against a model. Random histories of an issuer, its keys, its outages
//! and requests are checked against rules that must hold in each history.
//!
//! The state machine is the real one. The snapshot and the fetch are simulated and behave as in the
//! engine. The model counts what it sees and has its own copy of each limit, so that a changed
//! limit fails here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use crate::keys::freshness::{
    Attempt, Cause, Freshness, FreshnessSettings, Life, Note, Outcome, RequestState, Ticket,
};

const HISTORIES: u64 = 10_000;
const STEPS: u32 = 80;
/// The seed of the first history. The others use the numbers after it.
const SEED: u64 = 0x5eed;

type Kid = u32;

/// Rules that must hold in every history. The numbers are those of the documentation.
mod invariants {
    use super::*;

    const BACKOFF: Duration = Duration::from_secs(30);
    const LEAST_PAUSE: Duration = Duration::from_millis(500);
    /// The longest time that an attempt can last.
    pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
    /// The same for an attempt whose task is not driven.
    pub(crate) const LOST_AFTER: Duration = Duration::from_secs(12);
    /// One refill of the budget.
    const REFILL: Duration = Duration::from_secs(10);
    /// The longest time until the engine uses an issuer that answers again: an attempt in progress,
    /// the pause after its failure, and one refill of the budget.
    pub(crate) const RECOVERY: Duration = Duration::from_secs(12 + 30 + 10 + 1);

    /// What the model has seen.
    #[derive(Default)]
    pub(crate) struct Seen {
        /// The kids of the last fetch that succeeded, or of the seed.
        pub(crate) published: Option<BTreeSet<Kid>>,
        pub(crate) fresh_until: Duration,
        pub(crate) usable_until: Duration,
        /// The earliest time at which a refresh can be due.
        pub(crate) earliest_refresh: Duration,
        failed_at: Option<Duration>,
        /// When the attempt in progress began.
        in_flight: Option<Duration>,
        /// The number of attempts that began.
        pub(crate) begun: u32,
        /// The last attempt that succeeded: its number and its start.
        looked: Option<(u32, Duration)>,
        for_kids: Vec<Duration>,
        taken_for_kids: u32,
        for_signatures: Vec<Duration>,
        pub(crate) waiting_for_kids: u32,
        spent_told: u32,
    }

    impl Seen {
        pub(crate) fn usable(&self, now: Duration) -> bool {
            self.published.is_some() && now < self.usable_until
        }

        pub(crate) fn fresh(&self, now: Duration) -> bool {
            self.published.is_some() && now < self.fresh_until
        }

        pub(crate) fn has(&self, kid: Kid) -> bool {
            self.published.as_ref().is_some_and(|kids| kids.contains(&kid))
        }

        fn in_flight(&self, now: Duration) -> bool {
            self.in_flight.is_some_and(|began| now < began + LOST_AFTER)
        }

        /// Called when a request for `kid` was answered. The request arrived before the attempt
        /// `since`.
        pub(crate) fn answered(
            &self,
            now: Duration,
            kid: Kid,
            (since, may_wait): (Option<u32>, bool),
            outcome: Outcome,
        ) {
            let has = self.has(kid);
            let fetched_since = self.fresh(now)
                && since.zip(self.looked).is_some_and(|(since, (number, _))| number >= since);
            let fetched_recently = self.failed_at.is_none()
                && self.looked.is_some_and(|(_, began)| now <= began + REFILL);
            match outcome {
                Outcome::Serve => {
                    assert!(has, "never accept with a key that a successful fetch removed");
                    assert!(now < self.usable_until, "never stale past the cap");
                }
                Outcome::Wait(wait) => {
                    assert!(
                        !(has && self.usable(now)),
                        "never waiting while a usable key is at hand"
                    );
                    assert!(may_wait, "no request waits twice");
                    assert!(!fetched_since, "no request waits for a kid that was just fetched");
                    assert!(self.in_flight(now), "never waiting for nothing");
                    let limit = if self.usable(now) { 2 } else { 3 };
                    assert_eq!(wait.limit.as_secs(), limit, "the longest wait");
                    assert!(self.waiting_for_kids <= 4_096, "a bounded number waits");
                }
                Outcome::Unknown => {
                    assert!(!has, "401 for a key that is published");
                    assert!(self.fresh(now), "401 only while the set is fresh");
                    assert!(
                        fetched_since || (fetched_recently && !self.in_flight(now)),
                        "401 only after a fetch"
                    );
                }
                Outcome::Unavailable { retry_after } => {
                    assert!(!(has && self.usable(now)), "an outage noticed with a key at hand");
                    assert!(!fetched_since, "503 for a kid although its set was just fetched");
                    assert!(
                        self.in_flight(now) || !fetched_recently,
                        "503 for a flood, a moment after the server was asked"
                    );
                    assert!(retry_after >= Duration::from_secs(1) && retry_after <= BACKOFF);
                }
            }
        }

        /// Called when a fetch started.
        pub(crate) fn started(&mut self, now: Duration, cause: Cause) {
            assert!(!self.in_flight(now), "never two fetches at once");
            self.in_flight = Some(now);
            self.begun += 1;
            if let Some(failed_at) = self.failed_at {
                assert!(now >= failed_at + LEAST_PAUSE, "a pause after a failure");
            }
            match cause {
                Cause::Schedule => {
                    assert!(
                        self.published.is_none() || now >= self.earliest_refresh,
                        "never more fetches than the schedule"
                    );
                }
                Cause::UnknownKid => {
                    self.for_kids.push(now);
                    self.taken_for_kids += 1;
                    within(&self.for_kids, 2, Duration::from_secs(10));
                }
                Cause::BadSignature => {
                    self.for_signatures.push(now);
                    within(&self.for_signatures, 1, Duration::from_secs(60));
                }
            }
        }

        /// Called when the attempt with this number succeeded. It began at `began`, and its set is
        /// as old as that.
        pub(crate) fn succeeded(&mut self, number: u32, began: Duration, max_age: Option<u64>) {
            let fresh = Duration::from_secs(max_age.unwrap_or(300).clamp(60, 3_600));
            self.in_flight = None;
            self.failed_at = None;
            self.looked = Some((number, began));
            self.earliest_refresh = began + fresh.mul_f64(0.7);
            self.fresh_until = began + fresh;
            self.usable_until = began + fresh + Duration::from_secs(3_600);
        }

        pub(crate) fn failed(&mut self, now: Duration) {
            self.in_flight = None;
            self.failed_at = Some(now);
        }

        /// Called when an attempt ended that says nothing about the server.
        pub(crate) fn cancelled(&mut self, cause: Cause) {
            self.in_flight = None;
            match cause {
                Cause::Schedule => {}
                Cause::UnknownKid => drop(self.for_kids.pop()),
                Cause::BadSignature => drop(self.for_signatures.pop()),
            }
        }

        pub(crate) fn budget_spent_reported(&mut self) {
            self.spent_told += 1;
            // Reported once before the budget was first spent, and then once each time the budget
            // was full again. To become full, it must regain two fetches.
            assert!(self.spent_told * 2 <= self.taken_for_kids, "told once a flood");
        }
    }

    /// Checks that no period has more starts than a full budget and its refills in that period.
    fn within(starts: &[Duration], burst: usize, period: Duration) {
        let last = *starts.last().unwrap();
        for (index, first) in starts.iter().enumerate() {
            let refills = (last - *first).as_nanos() / period.as_nanos();
            let most = burst + usize::try_from(refills).unwrap();
            assert!(starts.len() - index <= most, "never more fetches than the budget");
        }
    }
}

use invariants::{DEADLINE, RECOVERY, Seen};

/// An attempt.
struct Flight {
    ticket: Ticket,
    began: Duration,
    number: u32,
    cause: Cause,
    /// Whether its task runs, so that its deadline ends it.
    driven: bool,
}

/// One history: the issuer, the engine around the state machine, and what the model has seen.
struct World {
    random: Random,
    now: Duration,
    machine: Freshness,
    set: Option<(BTreeSet<Kid>, Life)>,
    flight: Option<Flight>,
    /// Attempts that were given up and may still report.
    lost: Vec<Flight>,
    /// Counted waits: the attempt that they wait for, and the first attempt after they came.
    waits: Vec<(Attempt, Attempt, u32)>,
    /// The kids that the issuer publishes now, and the next new kid.
    kids: BTreeSet<Kid>,
    next_kid: Kid,
    mode: Mode,
    seen: Seen,
    told: RefCell<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Well,
    Failing,
    Hanging,
    /// Requests arrive on a runtime that is no longer driven.
    Undriven,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random(seed),
            now: Duration::from_millis(seed % 1_000),
            machine: Freshness::new(FreshnessSettings::default()),
            set: None,
            flight: None,
            lost: Vec::new(),
            waits: Vec::new(),
            kids: BTreeSet::from([0]),
            next_kid: 1,
            mode: Mode::Well,
            seen: Seen::default(),
            told: RefCell::default(),
        };
        if world.random.below(5) == 0 {
            world.seed();
        }
        world
    }

    /// Starts from a set of another process.
    fn seed(&mut self) {
        let age = Duration::from_secs(self.random.below(5_000));
        let life = self.machine.seeded(self.now, age, Duration::from_secs(300));
        let cap = Duration::from_secs(300 + 3_600);
        assert_eq!(life.is_some(), age < cap, "a seed within the cap of its own time");
        let Some(life) = life else { return };
        self.set = Some((self.kids.clone(), life));
        self.seen.published = Some(self.kids.clone());
        self.seen.usable_until = self.now + (cap - age);
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..30 => self.pass(),
            30..60 => {
                let kid = self.some_kid();
                self.request(kid, None, true);
            }
            60..64 => self.flood(),
            64..69 => self.bad_signature(),
            69..71 => self.schedule(),
            71..84 => self.answer(),
            84..86 => self.late(),
            86..87 => self.abort(),
            87..88 => self.shut_down(),
            88..92 => self.rotate(),
            92..94 => self.withdraw(),
            94..95 => self.could_not_start(),
            _ => {
                self.mode = match self.random.below(4) {
                    0 => Mode::Well,
                    1 => Mode::Failing,
                    2 => Mode::Hanging,
                    _ => Mode::Undriven,
                };
                self.tell(format_args!("the issuer is {:?}", self.mode));
            }
        }
    }

    fn pass(&mut self) {
        const TIMES: [u64; 14] = [
            1, 10, 499, 501, 1_000, 2_000, 9_999, 10_000, 60_000, 220_000, 250_000, 310_000,
            1_800_000, 4_000_000,
        ];
        let time = TIMES[usize::try_from(self.random.below(TIMES.len() as u64)).unwrap()];
        self.elapse(Duration::from_millis(time));
    }

    fn elapse(&mut self, time: Duration) {
        self.tell(format_args!("{time:?} pass"));
        // No attempt lasts longer than its deadline, except an attempt whose task does not run.
        if let Some(flight) = &self.flight
            && flight.driven
            && self.now + time > flight.began + DEADLINE
        {
            let end = flight.began + DEADLINE;
            let rest = (self.now + time).saturating_sub(end);
            self.now = self.now.max(end);
            self.fail("deadline");
            self.now += rest;
            return;
        }
        self.now += time;
    }

    /// A kid that is published, was published, or was never published.
    fn some_kid(&mut self) -> Kid {
        match self.random.below(4) {
            0 => 1_000_000,
            1 => u32::try_from(self.random.below(u64::from(self.next_kid))).unwrap(),
            _ => self.kids.last().copied().unwrap_or(0),
        }
    }

    /// Handles a request as the engine does. `came` is the first attempt after the request arrived,
    /// if the request has already waited. Returns the outcome.
    fn request(&mut self, kid: Kid, came: Option<(Attempt, u32)>, may_wait: bool) -> Outcome {
        let view = self.machine.view();
        let life = self.set.as_ref().map(|(_, life)| *life);
        let known = self.set.as_ref().is_some_and(|(kids, _)| kids.contains(&kid));
        let request = RequestState { known, since: came.map(|(since, _)| since), may_wait };
        let decision = self.machine.request(view, life.as_ref(), request, self.now).unwrap();
        self.tell(format_args!("a request for {kid} since {came:?}: {decision:?}"));
        let was_under_way = self.flight.is_some() && decision.start.is_none();
        if decision.note == Some(Note::BudgetSpent) {
            self.seen.budget_spent_reported();
        }
        if let Some(ticket) = decision.start {
            let unknown_kid = decision.note == Some(Note::UnknownKid);
            self.start(ticket, if unknown_kid { Cause::UnknownKid } else { Cause::Schedule });
        }
        if let Outcome::Wait(wait) = decision.outcome {
            assert!(self.machine.is_in_progress(wait.attempt), "never waiting for the past");
            let begun = self.seen.begun;
            let number = came.map_or(begun + u32::from(was_under_way), |(_, number)| number);
            if wait.counted {
                self.waits.push((wait.attempt, wait.since, number));
                self.seen.waiting_for_kids += 1;
            }
        }
        let since = came.map(|(_, number)| number);
        self.seen.answered(self.now, kid, (since, may_wait), decision.outcome);
        decision.outcome
    }

    /// More forged tokens at once than may wait.
    fn flood(&mut self) {
        // Only rarely so many that some of them may not wait.
        let most = if self.random.below(50) == 0 { 5_000 } else { 100 };
        let tokens = self.random.below(most);
        self.tell(format_args!("{tokens} forged tokens at once"));
        let tell = TELL.replace(false);
        for kid in 0..u32::try_from(tokens).unwrap() {
            self.request(2_000_000 + kid, None, true);
        }
        TELL.set(tell);
    }

    fn bad_signature(&mut self) {
        self.tell(format_args!("a bad signature"));
        if let Some(ticket) = self.machine.signature_failed(self.machine.view(), self.now) {
            self.start(ticket, Cause::BadSignature);
        }
    }

    /// The timer of `keep_warm`.
    fn schedule(&mut self) {
        self.tell(format_args!("the timer"));
        let life = self.set.as_ref().map(|(_, life)| *life);
        let due_in = self.machine.due_in(self.machine.view(), life.as_ref(), self.now);
        match self.machine.due(self.machine.view(), life.as_ref(), self.now) {
            Some(ticket) => {
                assert!(due_in.is_zero(), "due before its time");
                self.start(ticket, Cause::Schedule);
            }
            None => assert!(!due_in.is_zero(), "not due at its time"),
        }
    }

    fn start(&mut self, ticket: Ticket, cause: Cause) {
        self.seen.started(self.now, cause);
        assert_eq!(ticket.cause(), cause);
        let driven = self.mode != Mode::Undriven;
        let (began, number) = (self.now, self.seen.begun);
        let given_up = self.flight.replace(Flight { ticket, began, number, cause, driven });
        if let Some(given_up) = given_up {
            assert!(!given_up.driven, "only what does not run is given up");
            self.lost.push(given_up);
            self.wake();
        }
    }

    /// An attempt reports after it was given up, or its task runs again.
    fn late(&mut self) {
        let flight = match self.lost.pop() {
            Some(lost) => lost,
            None => match self.flight.take_if(|flight| !flight.driven) {
                Some(flight) => flight,
                None => return,
            },
        };
        self.tell(format_args!("attempt {} reports late", flight.number));
        if self.random.below(2) == 0 { self.land(flight) } else { self.fall(flight, "late") }
    }

    /// The issuer answers the attempt in progress, according to its mode.
    fn answer(&mut self) {
        match self.mode {
            Mode::Hanging | Mode::Undriven => {}
            Mode::Failing => self.fail("failing"),
            Mode::Well => self.succeed(),
        }
    }

    fn succeed(&mut self) {
        if self.kids.is_empty() {
            // A set without a usable key replaces nothing.
            return self.fail("empty set");
        }
        if let Some(flight) = self.flight.take_if(|flight| flight.driven) {
            self.land(flight);
        }
    }

    fn land(&mut self, flight: Flight) {
        let Flight { ticket, began, number, .. } = flight;
        if !self.machine.is_current(&ticket) {
            self.machine.succeeded(ticket);
            return;
        }
        let max_age = match self.random.below(4) {
            0 => Some(self.random.below(10_000)),
            _ => None,
        };
        let unit = self.random.unit();
        let life = self.machine.renewed(&ticket, max_age.map(Duration::from_secs), unit);
        // "Not modified" is only possible if the set is the same. It changes as much as the full
        // answer.
        let kids = match &self.set {
            Some((kids, _)) if *kids == self.kids => kids.clone(),
            _ => self.kids.clone(),
        };
        self.tell(format_args!("it answers {kids:?}, max-age {max_age:?}"));
        self.set = Some((kids, life));
        self.machine.succeeded(ticket);
        self.seen.published = Some(self.kids.clone());
        self.seen.succeeded(number, began, max_age);
        self.wake();
    }

    fn fail(&mut self, why: &str) {
        if let Some(flight) = self.flight.take_if(|flight| flight.driven) {
            self.fall(flight, why);
        }
    }

    fn fall(&mut self, flight: Flight, why: &str) {
        let Flight { ticket, began, cause, .. } = flight;
        let retry_after = match self.random.below(4) {
            0 => Some(Duration::from_secs(self.random.below(100))),
            _ => None,
        };
        self.tell(format_args!("the fetch fails: {why}, Retry-After {retry_after:?}"));
        let life = self.set.as_ref().map(|(_, life)| *life);
        let unit = self.random.unit();
        let current = self.machine.is_current(&ticket);
        let setback = self.machine.failed(ticket, life.as_ref(), self.now, unit, retry_after);
        let in_time = self.now < began + invariants::LOST_AFTER;
        assert_eq!(setback.is_some(), current && in_time, "no late failure counts");
        match setback {
            Some(setback) => {
                let usable = setback.usable_for.is_some();
                assert_eq!(usable, self.seen.usable(self.now), "what is reported");
                self.seen.failed(self.now);
            }
            None if current => self.seen.cancelled(cause),
            None => return,
        }
        self.wake();
    }

    /// The task of the fetch panics.
    fn abort(&mut self) {
        self.fail("aborted");
    }

    /// The runtime of the attempt in progress shuts down. The issuer is not at fault.
    fn shut_down(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        self.tell(format_args!("its runtime shuts down"));
        let failures = self.machine.failures();
        self.machine.cancelled(flight.ticket);
        assert_eq!(self.machine.failures(), failures, "no fault of the issuer's");
        self.seen.cancelled(flight.cause);
        self.wake();
    }

    /// A request arrives outside a runtime, so its attempt cannot run.
    fn could_not_start(&mut self) {
        let life = self.set.as_ref().map(|(_, life)| *life);
        if let Some(ticket) = self.machine.due(self.machine.view(), life.as_ref(), self.now) {
            self.tell(format_args!("no runtime"));
            let failures = self.machine.failures();
            self.machine.could_not_start(ticket);
            assert_eq!(self.machine.failures(), failures, "no fault of the issuer's");
        }
    }

    /// Waiting requests look again or were dropped. In both cases, their wait is over.
    fn wake(&mut self) {
        let mut came = None;
        for (attempt, since, number) in std::mem::take(&mut self.waits) {
            assert!(!self.machine.is_in_progress(attempt), "who waits is woken");
            self.machine.wait_ended();
            self.seen.waiting_for_kids -= 1;
            came = Some((since, number));
        }
        // One of the waiting requests. Its time limit may have been reached or not.
        let kid = self.some_kid();
        let may_wait = came.is_some() && self.random.below(2) == 0;
        self.request(kid, came, may_wait);
    }

    fn rotate(&mut self) {
        if self.random.below(2) == 0 {
            self.kids.clear();
        }
        self.kids.insert(self.next_kid);
        self.next_kid += 1;
        self.tell(format_args!("it publishes {:?}", self.kids));
    }

    fn withdraw(&mut self) {
        self.kids.pop_first();
        self.tell(format_args!("it withdraws: {:?}", self.kids));
    }

    /// The issuer answers again. Soon after, a token with its current key is served.
    fn recover(&mut self) {
        self.mode = Mode::Well;
        if self.kids.is_empty() {
            self.rotate();
        }
        self.tell(format_args!("all is well again"));
        let kid = *self.kids.last().unwrap();
        let end = self.now + RECOVERY;
        while self.request(kid, None, true) != Outcome::Serve {
            assert!(self.now < end, "always recovers");
            // An attempt in progress may still hang until its deadline. New attempts are answered.
            let hangs = self.flight.as_ref().is_some_and(|flight| flight.began < end - RECOVERY);
            if !hangs {
                self.succeed();
            }
            self.elapse(Duration::from_millis(500));
        }
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        // Formatting is most of the cost, so format only when the text will be read.
        if TELL.get() {
            writeln!(self.told.borrow_mut(), "{:?}: {what}", self.now).unwrap();
        }
    }
}

thread_local! {
    static TELL: Cell<bool> = const { Cell::new(false) };
}

fn run(seed: u64) -> Result<(), (Box<dyn std::any::Any + Send>, String)> {
    let mut world = World::new(seed);
    catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..STEPS {
            world.step();
        }
        world.recover();
    }))
    .map_err(|panic| (panic, world.told.take()))
}

#[test]
fn random_histories_keep_to_the_rules() {
    for seed in SEED..SEED + HISTORIES {
        if run(seed).is_err() {
            // Run the history again and print its steps.
            TELL.set(true);
            let (panic, told) = run(seed).expect_err("histories are deterministic");
            eprintln!("{told}\nthe history with seed {seed:#x} breaks a rule");
            resume_unwind(panic);
        }
    }
}

/// SplitMix64, so that the histories are the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
