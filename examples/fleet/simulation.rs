//! A fleet, its issuer, and the queue of the next events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::freshness::{self, Freshness, FreshnessSettings, Life, Phase, RequestState, Ticket};
use crate::load::Load;

/// The average number of requests with a good token that an instance gets per second.
const REQUESTS: f64 = 10.0;

/// In a flood, the time between two forged tokens at one instance.
const FORGED_PERIOD: Duration = Duration::from_secs(1);

/// The minimum and the maximum duration of a fetch, in seconds.
const LATENCY: (f64, f64) = (0.02, 0.08);

/// The number of a key. The issuer's first key has the number 1.
type Kid = u32;

pub(crate) struct Fleet {
    pub(crate) issuer: Issuer,
    pub(crate) load: Load,
    now: Duration,
    instances: Vec<Instance>,
    queue: BinaryHeap<Reverse<(Duration, u32, Event)>>,
    jitter: bool,
    random: Random,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A fetch is answered.
    Answer,
    /// A request with a good token.
    Request,
    /// A request with a forged kid.
    Forged,
}

struct Instance {
    machine: Freshness,
    life: Option<Life>,
    /// The newest key in this instance's key set. 0 before the first fetch.
    has: Kid,
    flight: Option<(Ticket, Outcome)>,
    /// The time of the next request. Other requests in the queue are outdated and are skipped.
    request_at: Duration,
    /// The number of requests that joined the fetch in progress and wait for it.
    waiting: u32,
    /// The number of requests that are checked again after the fetch. Equal to `waiting`.
    joined: u32,
}

/// How a fetch will end.
#[derive(Clone, Copy)]
enum Outcome {
    Set { newest: Kid, max_age: Option<Duration> },
    Failure { retry_after: Option<Duration> },
}

pub(crate) struct Issuer {
    pub(crate) up: bool,
    /// The maximum number of fetches that the issuer answers per second. Other fetches get 503,
    /// with Retry-After if `retry_after` is set.
    pub(crate) capacity: Option<u32>,
    pub(crate) retry_after: Option<u64>,
    /// The `max-age` of its responses.
    pub(crate) max_age: Option<u64>,
    /// Whether a cache is in front of the issuer. The cache sends the `Age` of its copy.
    pub(crate) cdn: bool,
    published: Kid,
    signs_with: Kid,
    /// The current second, and the number of fetches in it.
    second: (u64, u32),
    /// When the cache got its copy.
    cached_at: Duration,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            up: true,
            capacity: None,
            retry_after: None,
            max_age: None,
            cdn: false,
            published: 1,
            signs_with: 1,
            second: (0, 0),
            cached_at: Duration::ZERO,
        }
    }
}

impl Issuer {
    pub(crate) fn publish(&mut self) {
        self.published += 1;
    }

    fn answer(&mut self, now: Duration) -> Outcome {
        let retry_after = self.retry_after.map(Duration::from_secs);
        if self.second.0 != now.as_secs() {
            self.second = (now.as_secs(), 0);
        }
        self.second.1 += 1;
        if !self.up || self.capacity.is_some_and(|capacity| self.second.1 > capacity) {
            return Outcome::Failure { retry_after };
        }
        let max_age = self.max_age.map(|max_age| {
            let age = (now - self.cached_at).as_secs();
            if !self.cdn || age >= max_age {
                self.cached_at = now;
                return Duration::from_secs(max_age);
            }
            Duration::from_secs(max_age - age)
        });
        Outcome::Set { newest: self.published, max_age }
    }
}

impl Fleet {
    pub(crate) fn new(size: u32, jitter: bool) -> Self {
        let instance = |_| Instance {
            machine: Freshness::new(FreshnessSettings::default()),
            life: None,
            has: 0,
            flight: None,
            request_at: Duration::ZERO,
            waiting: 0,
            joined: 0,
        };
        Self {
            issuer: Issuer::default(),
            load: Load::default(),
            now: Duration::ZERO,
            instances: (0..size).map(instance).collect(),
            queue: BinaryHeap::new(),
            jitter,
            random: Random(0x5eed),
        }
    }

    pub(crate) fn size(&self) -> u32 {
        self.instances.len() as u32
    }

    /// Sets how long a stale key set is used. Call this before [`start`](Self::start).
    pub(crate) fn set_cap(&mut self, stale_if_error: Duration) {
        for instance in &mut self.instances {
            instance.machine = Freshness::new(FreshnessSettings { stale_if_error });
        }
    }

    /// Starts all instances within one second.
    pub(crate) fn start(&mut self) {
        self.within_a_second(Self::expect_request);
    }

    /// From now on, tokens are signed with the newest key. They reach all instances within one
    /// second.
    pub(crate) fn sign_with_the_new_key(&mut self) {
        self.issuer.signs_with = self.issuer.published;
        self.within_a_second(Self::request_at);
    }

    /// Starts a flood of forged tokens. It reaches all instances within one second.
    pub(crate) fn flood(&mut self) {
        self.within_a_second(|fleet, index, at| {
            fleet.queue.push(Reverse((at, index, Event::Forged)));
        });
    }

    fn within_a_second(&mut self, happens: fn(&mut Self, u32, Duration)) {
        for index in 0..self.size() {
            let at = self.now + Duration::from_secs_f64(self.random.unit());
            happens(self, index, at);
        }
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.now.as_secs()
    }

    pub(crate) fn all_have_keys(&self) -> bool {
        self.instances.iter().all(|instance| instance.life.is_some())
    }

    pub(crate) fn run_until(&mut self, seconds: u64) {
        let end = Duration::from_secs(seconds);
        while let Some(Reverse((at, index, event))) = self.queue.peek().copied()
            && at < end
        {
            self.queue.pop();
            self.now = at;
            match event {
                Event::Answer => self.answered(index),
                Event::Request if self.instances[index as usize].request_at != at => {}
                Event::Request => self.request(index),
                Event::Forged => {
                    self.ask(index, false);
                    self.queue.push(Reverse((at + FORGED_PERIOD, index, Event::Forged)));
                }
            }
        }
        self.now = end;
    }

    /// Handles a request with a good token, and schedules the next one. Requests without any effect
    /// are not simulated: while the key set is fresh, while a fetch is in progress, and during the
    /// pause after a failed fetch.
    fn request(&mut self, index: u32) {
        let known = self.instances[index as usize].has >= self.issuer.signs_with;
        if self.ask(index, known) {
            // The answer to the fetch schedules the next request.
            return;
        }
        let now = self.now;
        let Instance { machine, life, .. } = &self.instances[index as usize];
        let wait = match machine.view().phase(now) {
            Phase::InProgress(_) => return,
            Phase::Paused { until } if !known => until - now,
            Phase::Idle if !known => Duration::ZERO,
            Phase::Paused { .. } | Phase::Idle => {
                machine.due_in(machine.view(), life.as_ref(), now)
            }
        };
        self.expect_request(index, now + wait);
    }

    /// Passes a request to the state machine. Returns whether this started a fetch.
    fn ask(&mut self, index: u32, known: bool) -> bool {
        let instance = &mut self.instances[index as usize];
        let request = RequestState { known, since: None, may_wait: true };
        let view = instance.machine.view();
        let decision = instance.machine.request(view, instance.life.as_ref(), request, self.now);
        let Ok(decision) = decision else { unreachable!("nobody else is here") };
        if let freshness::Outcome::Wait(wait) = decision.outcome {
            instance.waiting += u32::from(wait.counted);
            instance.joined += u32::from(wait.counted);
        }
        let Some(ticket) = decision.start else { return false };
        let outcome = self.issuer.answer(self.now);
        self.load.fetched(self.now);
        if let Outcome::Set { newest, .. } = outcome {
            self.load.answered(self.now, instance.has == newest);
        }
        instance.flight = Some((ticket, outcome));
        let latency = LATENCY.0 + (LATENCY.1 - LATENCY.0) * self.random.unit();
        let at = self.now + Duration::from_secs_f64(latency);
        self.queue.push(Reverse((at, index, Event::Answer)));
        true
    }

    fn answered(&mut self, index: u32) {
        let now = self.now;
        // The constant is the mean of the random number that it replaces.
        let random = if self.jitter { self.random.unit() } else { 0.5 };
        let instance = &mut self.instances[index as usize];
        let Some((ticket, outcome)) = instance.flight.take() else { return };
        match outcome {
            Outcome::Set { newest, max_age } => {
                instance.has = newest;
                instance.life = Some(instance.machine.renewed(&ticket, max_age, random));
                instance.machine.succeeded(ticket);
            }
            Outcome::Failure { retry_after } => {
                let life = instance.life.as_ref();
                instance.machine.failed(ticket, life, now, random, retry_after);
            }
        }
        for _ in 0..std::mem::take(&mut instance.waiting) {
            instance.machine.wait_ended();
        }
        // Requests that joined the fetch are checked again, and may start another fetch.
        for _ in 0..std::mem::take(&mut instance.joined) {
            self.ask(index, false);
        }
        self.request(index);
    }

    /// Schedules the next request, at a random time after `from`.
    fn expect_request(&mut self, index: u32, from: Duration) {
        let gap = -(1.0 - self.random.unit()).ln() / REQUESTS;
        self.request_at(index, from + Duration::from_secs_f64(gap));
    }

    fn request_at(&mut self, index: u32, at: Duration) {
        self.instances[index as usize].request_at = at;
        self.queue.push(Reverse((at, index, Event::Request)));
    }
}

/// A random number generator: SplitMix64.
struct Random(u64);

impl Random {
    /// A number from 0 (inclusive) to 1 (exclusive).
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
