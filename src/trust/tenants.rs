//! Issuers that are not known at start: the tenants of a platform.
//!
//! Decides, for an `iss` that no configured issuer has:
//!
//! - whether the name is a URL in normal form, so that the API's rule judges the very URL that would
//!   be fetched; then whether that rule allows the name: both before anything is fetched, since the
//!   name comes from a token that nobody has verified;
//! - whether the tenant is known already; if not, the API's resolver is asked, once for all requests
//!   that wait, by a task that no request can cancel, and not more often than a budget allows. Names
//!   take turns in the order in which they came; what was said of a name is remembered for a while;
//! - which tenant goes when there is no more room. Those that never had a valid token are on
//!   probation, in a segment of their own, so that made-up names can't push real tenants out, nor
//!   idle tenants new ones. Of each segment the least recently used goes first.
//!
//! A flood of made-up names that the rule allows may delay tenants that are not known yet, and never
//! those that are.
//!
//! Each tenant is an issuer like any other, with keys, budgets and state of its own.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;

use crate::budget::{Budget, Taken};
use crate::clock::Clock;
use crate::crypto::random_unit;
use crate::flight::{self, Ended, Flights, Landing, Waiter};
use crate::issuer::{Issuer, IssuerResolver, IssuerResolverError};
use crate::observe::log;
use crate::runtime::{self, Deadline};
use crate::trust::TrustedIssuer;
use crate::url::is_normal;

/// Proven tenants that are kept, each with its keys, unless set.
pub(crate) const MAX_TENANTS: usize = 1_000;

/// Tenants on probation: a part of those that are kept, and no fewer than so many. A tenant is on
/// probation from its resolution to its first valid token, so these are some seconds' newcomers.
const PROBATION_PART: usize = 10;
const MIN_PROBATION: usize = 16;

/// Bytes of a tenant's name. Real ones have a tenth of that; a longer one is not asked about, since a
/// stranger chooses what is compared, hashed and remembered.
const MAX_NAME: usize = 1_024;

/// Names that are being resolved at one time; the others wait for their turn.
const MAX_RESOLVING: usize = 64;

/// Tenants that are known and are being resolved again at one time. These questions have a number and
/// a budget of their own: made-up names must not keep a tenant that is gone from being found out.
const MAX_RESOLVING_AGAIN: usize = 32;

/// Questions to the resolver: so many at once, and one more each period. A flood of made-up names
/// then costs the platform's directory ten questions a second. Names that the rule allows compete for
/// them: the closer the rule, the fewer names there are to make up.
const RESOLVE_BURST: u32 = 50;
const RESOLVE_PERIOD: Duration = Duration::from_millis(100);

/// How long the resolver may take.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// How long a request waits for it.
const RESOLVE_WAIT: Duration = Duration::from_secs(3);

/// Requests that wait for the resolver; more are refused with 503, so that made-up names can't fill
/// the memory with them.
const MAX_WAITING: usize = 1_024;

/// How long "no such tenant" is remembered. One deleted tenant whose clients go on asking then costs
/// one question in that time; and a tenant that was just made waits no longer.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// When to come back where a tenant could not be resolved, which is remembered as long.
pub(crate) const RESOLVE_RETRY: Duration = Duration::from_secs(1);

/// What is remembered of names: a bound of their number and of their bytes, since a stranger chooses
/// them. The budget of questions allows fewer, of whatever length.
const MAX_SAID: usize = 1_000;
const MAX_SAID_BYTES: usize = 256 * 1024;

/// How old a resolution is when the resolver is asked again, in the background; at random up to a
/// tenth earlier, so that tenants that came together are not asked about together.
const RESOLVE_AGAIN: Duration = Duration::from_secs(600);

/// And how long after a question that had no answer.
const RESOLVE_AGAIN_RETRY: Duration = Duration::from_secs(60);

/// Questions that one wait goes through where they end without a word, as they do on a runtime that
/// shuts down.
const QUESTIONS: u32 = 3;

/// How exactly the last use of a tenant is known: requests write it no more often.
const USE_GRAIN: u64 = 1_000;

/// Makes an issuer ready to judge. It goes on with the keys of the other one, if they come from the
/// same place.
pub(crate) type Prepare =
    Box<dyn Fn(&Issuer, Option<&TrustedIssuer>) -> Result<TrustedIssuer, String> + Send + Sync>;

/// How tenants are kept.
#[derive(Clone, Copy)]
pub(crate) struct TenantSettings {
    /// The configuration that they are tenants under.
    pub(crate) generation: u64,
    /// How many proven ones are kept.
    pub(crate) most: usize,
    /// Whether the keys of proven ones are fetched without waiting for a request.
    pub(crate) keep_warm: bool,
    /// Whether a tenant's name may be `http://` to this machine.
    pub(crate) allow_http_loopback: bool,
}

/// The tenants of one configuration.
pub(crate) struct Tenants {
    settings: TenantSettings,
    resolver: Arc<dyn IssuerResolver>,
    prepare: Prepare,
    clock: Arc<dyn Clock>,
    known: ArcSwap<Known>,
    asking: Mutex<Asking>,
    budget: Budget,
    /// That of questions about tenants that are known.
    budget_again: Budget,
}

type Known = HashMap<Arc<str>, Arc<Tenant>>;

/// A tenant at hand.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) issuer: TrustedIssuer,
    name: Arc<str>,
    /// As it was resolved, for a configuration to come.
    resolved: Issuer,
    tenants: Weak<Tenants>,
    /// The configuration that it is a tenant under.
    generation: u64,
    /// Milliseconds of the monotonic clock.
    used_at: AtomicU64,
    /// When to resolve it again, in the same.
    due_at: AtomicU64,
    /// Whether a token of the tenant ever verified.
    proven: AtomicBool,
}

impl Tenant {
    /// A token of the tenant verified.
    pub(crate) fn prove(self: &Arc<Self>) {
        if !self.is_proven()
            && !self.proven.swap(true, Ordering::Relaxed)
            && let Some(tenants) = self.tenants.upgrade()
        {
            tenants.proved(self);
        }
    }

    fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// What a request keeps of it while it waits for something else: the tenant may have to make room
    /// meanwhile.
    pub(crate) fn resolution(self: &Arc<Self>) -> (u64, Resolution) {
        (self.generation, Resolution::Known(Arc::clone(self)))
    }
}

/// What became of a question to the resolver.
#[derive(Clone, Debug)]
pub(crate) enum Resolution {
    /// There is no answer yet, or none can be had.
    Open,
    /// The tenant, which is this request's even if it has to make room.
    Known(Arc<Tenant>),
    /// There is no such tenant.
    Unknown,
}

/// What a look for a tenant came to.
pub(crate) enum Search {
    Found(Arc<Tenant>),
    /// The rule does not allow the name, or there is no such tenant.
    Untrusted,
    /// It can't be told now.
    Unavailable,
    Wait(IssuerWait),
}

/// Names that are asked about, and what was said of them.
struct Asking {
    flights: Flights<Arc<str>, Resolution>,
    /// Tenants that are known and are asked about again.
    again: Flights<Arc<str>, Resolution>,
    /// Names that wait for their turn, in their order.
    queue: VecDeque<Arc<str>>,
    /// The names that requests wait for, and how many requests in all.
    wanted: HashMap<Arc<str>, Wanted>,
    waiting: usize,
    said: Said,
}

#[derive(Default)]
struct Wanted {
    requests: usize,
    /// Whether the name waits for its turn: each request that waits looks after that every 100 ms, so
    /// it is not looked for in the queue.
    is_queued: bool,
}

/// What was said of names of which nothing is kept: that there is no such tenant, or that it could not
/// be told.
#[derive(Default)]
struct Said {
    /// Whether there is none, and until when that is remembered.
    names: HashMap<Arc<str>, (bool, Duration)>,
    /// In the order in which they came.
    order: VecDeque<(Arc<str>, Duration)>,
    bytes: usize,
}

impl Said {
    /// Remembers it; what came first makes room.
    fn remember(&mut self, name: &Arc<str>, is_absent: bool, now: Duration) {
        let until = now.saturating_add(if is_absent { ABSENT_FOR } else { RESOLVE_RETRY });
        self.names.insert(Arc::clone(name), (is_absent, until));
        self.order.push_back((Arc::clone(name), until));
        self.bytes += name.len();
        while self.order.len() > MAX_SAID
            || self.bytes > MAX_SAID_BYTES
            || self.order.front().is_some_and(|(_, until)| now >= *until)
        {
            let Some((name, until)) = self.order.pop_front() else { break };
            self.bytes -= name.len();
            // It may have been said again since.
            if self.names.get(&name).is_some_and(|(_, own)| *own == until) {
                self.names.remove(&name);
            }
        }
    }

    fn of(&self, name: &str, now: Duration) -> Option<Resolution> {
        let (is_absent, until) = self.names.get(name)?;
        let resolution = if *is_absent { Resolution::Unknown } else { Resolution::Open };
        (now < *until).then_some(resolution)
    }
}

/// What a request that waits for a name can do.
enum Turn {
    Answered(Resolution),
    UnderWay(Waiter<Resolution>),
    /// Others come first.
    Queued,
}

/// A question that begins.
struct Question {
    name: Arc<str>,
    landing: Landing<Resolution>,
    /// Whether the tenant is known, and nobody waits.
    again: bool,
}

/// A wait for the resolver.
pub(crate) struct IssuerWait {
    tenants: Arc<Tenants>,
    name: Arc<str>,
}

impl IssuerWait {
    /// The configuration under which the resolver is asked.
    pub(crate) fn generation(&self) -> u64 {
        self.tenants.settings.generation
    }

    /// Returns with what the resolver said, or when the time is up.
    pub(crate) async fn done(self, deadline: Deadline) -> Resolution {
        let said = async {
            let mut questions = QUESTIONS;
            while questions > 0 {
                match self.tenants.turn(&self.name) {
                    Turn::Answered(resolution) => return resolution,
                    Turn::UnderWay(mut waiter) => {
                        if let Some(resolution) = waiter.outcome().await {
                            return resolution;
                        }
                        // It ended without a word; another is asked.
                        questions -= 1;
                    }
                    // Each waiting request looks after the queue, so that it depends on no task.
                    Turn::Queued => tokio::time::sleep(RESOLVE_PERIOD).await,
                }
            }
            Resolution::Open
        };
        deadline.within(RESOLVE_WAIT, said).await.unwrap_or(Resolution::Open)
    }
}

impl Drop for IssuerWait {
    fn drop(&mut self) {
        self.tenants.asking().leave(&self.name);
    }
}

impl Asking {
    fn new() -> Self {
        Self {
            flights: Flights::new(RESOLVE_DEADLINE),
            again: Flights::new(RESOLVE_DEADLINE),
            queue: VecDeque::new(),
            wanted: HashMap::new(),
            waiting: 0,
            said: Said::default(),
        }
    }

    /// Whether one more request may wait for this name.
    fn enter(&mut self, name: &Arc<str>) -> bool {
        let has_room = self.waiting < MAX_WAITING;
        if has_room {
            self.waiting += 1;
            self.wanted.entry(Arc::clone(name)).or_default().requests += 1;
        }
        has_room
    }

    fn leave(&mut self, name: &Arc<str>) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(wanted) = self.wanted.get_mut(name) {
            wanted.requests -= 1;
            if wanted.requests == 0 {
                if wanted.is_queued {
                    // Nobody is there to hear the answer.
                    self.queue.retain(|queued| queued != name);
                }
                self.wanted.remove(name);
            }
        }
    }

    /// Joins the question under way; else the name waits for its turn.
    fn join(&mut self, name: &Arc<str>, now: Duration) -> Option<Waiter<Resolution>> {
        let waiter = self.flights.join(name, now);
        if waiter.is_none()
            && let Some(wanted) = self.wanted.get_mut(name)
            && !std::mem::replace(&mut wanted.is_queued, true)
        {
            self.queue.push_back(Arc::clone(name));
        }
        waiter
    }

    /// The name whose turn it is.
    fn next(&mut self) -> Option<Arc<str>> {
        let next = self.queue.pop_front()?;
        if let Some(wanted) = self.wanted.get_mut(&next) {
            wanted.is_queued = false;
        }
        Some(next)
    }

    /// Whether one more question may begin now.
    fn may_ask(&mut self, budget: &Budget, now: Duration) -> bool {
        self.flights.give_up_overdue(now);
        self.flights.len() < MAX_RESOLVING && budget.take(now) == Taken::Granted
    }

    /// The same for one about a tenant that is known.
    fn may_ask_again(&mut self, budget: &Budget, now: Duration) -> bool {
        self.again.give_up_overdue(now);
        self.again.len() < MAX_RESOLVING_AGAIN && budget.take(now) == Taken::Granted
    }
}

impl Tenants {
    /// Goes on with the proven tenants of the configuration before this one, as far as this one
    /// allows them.
    pub(crate) fn new(
        settings: TenantSettings,
        resolver: Arc<dyn IssuerResolver>,
        prepare: Prepare,
        clock: Arc<dyn Clock>,
        before: Option<&Self>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|own| {
            let known = before.map_or_else(Vec::new, Self::known);
            let mut carried: Vec<_> = known
                .into_iter()
                .filter(|tenant| tenant.is_proven() && resolver.allows(&tenant.name))
                .filter_map(|tenant| {
                    let issuer = prepare(&tenant.resolved, Some(&tenant.issuer)).ok()?;
                    let generation = settings.generation;
                    issuer
                        .is_named(&tenant.name)
                        .then(|| tenant.under(issuer, Weak::clone(own), generation))
                })
                .collect();
            carried.sort_by_key(|tenant| std::cmp::Reverse(tenant.used_at.load(Ordering::Relaxed)));
            carried.truncate(settings.most);
            if settings.keep_warm {
                carried.iter().for_each(|tenant| tenant.issuer.keys.keep_warm());
            }
            let named = |tenant: Tenant| (Arc::clone(&tenant.name), Arc::new(tenant));
            Self {
                settings,
                resolver,
                prepare,
                clock,
                known: ArcSwap::from_pointee(carried.into_iter().map(named).collect()),
                asking: Mutex::new(Asking::new()),
                budget: Budget::new(RESOLVE_BURST, RESOLVE_PERIOD),
                budget_again: Budget::new(RESOLVE_BURST, RESOLVE_PERIOD),
            }
        })
    }

    /// The tenants that are known.
    pub(crate) fn known(&self) -> Vec<Arc<Tenant>> {
        self.known.load().values().cloned().collect()
    }

    /// Looks for a tenant, without blocking. `waited` is what a wait has brought, and under which
    /// configuration.
    pub(crate) fn find(self: &Arc<Self>, iss: &str, waited: Option<&(u64, Resolution)>) -> Search {
        let known = self.known.load().get(iss).cloned();
        // The name of a tenant that is known has passed this check.
        let is_url = known.is_some()
            || (iss.len() <= MAX_NAME && is_normal(iss, self.settings.allow_http_loopback));
        if !is_url || !self.resolver.allows(iss) {
            if known.is_some() {
                // Nothing is fetched for it any more, either.
                self.forget(iss);
            }
            return Search::Untrusted;
        }
        if let Some(tenant) = known {
            self.used(&tenant);
            return Search::Found(tenant);
        }
        match waited {
            Some((generation, resolution)) if *generation == self.settings.generation => {
                // It may have been asked about again since, and the last word counts.
                match self.asking().said.of(iss, self.clock.monotonic()) {
                    Some(Resolution::Unknown) => Search::Untrusted,
                    _ => Search::of(resolution.clone()),
                }
            }
            // What was said under another configuration answered another question.
            Some(_) | None => self.ask(iss),
        }
    }

    /// Asks about a name, or waits for its turn.
    fn ask(self: &Arc<Self>, iss: &str) -> Search {
        if let Err(unfit) = runtime::current() {
            log::resolve_failed(iss, unfit.problem());
            return Search::Unavailable;
        }
        let now = self.clock.monotonic();
        let name: Arc<str> = iss.into();
        {
            let mut asking = self.asking();
            if let Some(said) = asking.said.of(iss, now) {
                return Search::of(said);
            }
            if !asking.enter(&name) {
                return Search::Unavailable;
            }
        }
        let wait = IssuerWait { tenants: Arc::clone(self), name };
        // Asked at once where that may be, and not only when the wait is polled.
        match self.turn(&wait.name) {
            Turn::Answered(resolution) => Search::of(resolution),
            Turn::UnderWay(_) | Turn::Queued => Search::Wait(wait),
        }
    }

    /// Lets names have their turn, and says how the question about this one stands.
    fn turn(self: &Arc<Self>, name: &Arc<str>) -> Turn {
        if let Some(tenant) = self.known.load().get(name) {
            return Turn::Answered(Resolution::Known(Arc::clone(tenant)));
        }
        let Ok(runtime) = runtime::current() else { return Turn::Queued };
        let now = self.clock.monotonic();
        let mut begun = Vec::new();
        let turn = {
            let asking = &mut *self.asking();
            if let Some(said) = asking.said.of(name, now) {
                return Turn::Answered(said);
            }
            let mut joined = asking.join(name, now);
            while !asking.queue.is_empty() && asking.may_ask(&self.budget, now) {
                let Some(next) = asking.next() else { break };
                let (landing, waiter) = asking.flights.begin(Arc::clone(&next), now);
                if next == *name {
                    joined = Some(waiter);
                }
                begun.push(Question { name: next, landing, again: false });
            }
            joined.map_or(Turn::Queued, Turn::UnderWay)
        };
        // Without the lock: a runtime that shuts down drops the task at once, which then reports.
        for question in begun {
            self.launch(&runtime, question);
        }
        turn
    }

    fn launch(self: &Arc<Self>, runtime: &Handle, question: Question) {
        let (resolver, iss) = (Arc::clone(&self.resolver), Arc::clone(&question.name));
        let work = async move { resolver.resolve(&iss).await };
        let tenants = Arc::downgrade(self);
        flight::launch(runtime, RESOLVE_DEADLINE, work, move |ended| {
            if let Some(tenants) = tenants.upgrade() {
                tenants.conclude(question, ended);
            }
        });
    }

    /// Takes in what the resolver said.
    fn conclude(
        self: &Arc<Self>,
        question: Question,
        ended: Ended<Result<Option<Issuer>, IssuerResolverError>>,
    ) {
        let Question { name, landing, again } = question;
        let gone = matches!(ended, Ended::Gone);
        let said = match ended.done() {
            Ok(Ok(Some(issuer))) => self.prepare_tenant(&name, issuer).map(Some),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(IssuerResolverError(problem))) => Err(problem),
            Err(problem) => Err(problem.to_owned()),
        };
        let now = self.clock.monotonic();
        let present = {
            let mut asking = self.asking();
            let flights = if again { &mut asking.again } else { &mut asking.flights };
            let present = flights.land(&name, &landing);
            match &said {
                Ok(None) if present => asking.said.remember(&name, true, now),
                Err(_) if present && !gone => asking.said.remember(&name, false, now),
                _ => {}
            }
            present
        };
        if gone || !present {
            // It died with its runtime, or was given up: nothing is said, and who waits asks again.
            return;
        }
        let resolution = match said {
            Ok(Some(tenant)) => {
                let tenant = Arc::new(tenant);
                self.take_in(&tenant);
                Resolution::Known(tenant)
            }
            Ok(None) => {
                self.forget(&name);
                Resolution::Unknown
            }
            Err(problem) => {
                log::resolve_failed(&name, &problem);
                Resolution::Open
            }
        };
        landing.tell(resolution);
    }

    /// The tenant as it was resolved, which may be known already.
    fn prepare_tenant(
        self: &Arc<Self>,
        name: &Arc<str>,
        resolved: Issuer,
    ) -> Result<Tenant, String> {
        let before = self.known.load().get(name).cloned();
        let issuer = (self.prepare)(&resolved, before.as_ref().map(|before| &before.issuer))?;
        issuer.keys.tell_of_seed();
        if !issuer.is_named(name) {
            return Err("resolved to another issuer".to_owned());
        }
        let proven = before.as_ref().is_some_and(|before| before.is_proven());
        if proven && self.settings.keep_warm {
            issuer.keys.keep_warm();
        }
        let now = self.clock.monotonic();
        let due_at = now.saturating_add(RESOLVE_AGAIN.mul_f64(1.0 - random_unit() / 10.0));
        Ok(Tenant {
            issuer,
            name: Arc::clone(name),
            resolved,
            tenants: Arc::downgrade(self),
            generation: self.settings.generation,
            used_at: AtomicU64::new(millis(now)),
            due_at: AtomicU64::new(millis(due_at)),
            proven: AtomicBool::new(proven),
        })
    }

    /// Puts a tenant to work. In the place of one that has keys it comes with keys: they may be
    /// fetched from another place now, and nobody has to wait for that.
    fn take_in(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        let has_keys = |tenant: &Arc<Tenant>| tenant.issuer.keys.is_usable();
        let replaces_keys = self.known.load().get(&tenant.name).is_some_and(has_keys);
        match runtime::current() {
            Ok(runtime) if replaces_keys && !has_keys(tenant) => {
                let (own, next) = (Arc::downgrade(self), Arc::clone(tenant));
                let work = async move {
                    next.issuer.ready().await;
                    next
                };
                flight::launch(&runtime, RESOLVE_DEADLINE, work, move |ended| {
                    // Else the one before it stays.
                    if let (Ended::Done(next), Some(own)) = (ended, own.upgrade())
                        && own.known.load().contains_key(&next.name)
                    {
                        own.keep(&next);
                    }
                });
            }
            Ok(_) | Err(_) => self.keep(tenant),
        }
    }

    /// A tenant is used by a request.
    fn used(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        let now = self.clock.monotonic();
        let millis = millis(now);
        if millis.saturating_sub(tenant.used_at.load(Ordering::Relaxed)) < USE_GRAIN {
            return;
        }
        tenant.used_at.store(millis, Ordering::Relaxed);
        let due_at = tenant.due_at.load(Ordering::Relaxed);
        if millis >= due_at {
            self.resolve_again(tenant, due_at, now);
        }
    }

    /// Asks about a tenant that is known, for which nobody waits.
    fn resolve_again(self: &Arc<Self>, tenant: &Arc<Tenant>, due_at: u64, now: Duration) {
        let Ok(runtime) = runtime::current() else { return };
        let next = millis(now.saturating_add(RESOLVE_AGAIN_RETRY));
        let due = &tenant.due_at;
        if due.compare_exchange(due_at, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let question = {
            let mut asking = self.asking();
            if asking.again.join(&tenant.name, now).is_some() {
                return;
            }
            asking.may_ask_again(&self.budget_again, now).then(|| {
                let (landing, _) = asking.again.begin(Arc::clone(&tenant.name), now);
                Question { name: Arc::clone(&tenant.name), landing, again: true }
            })
        };
        match question {
            Some(question) => self.launch(&runtime, question),
            // The next request tries again.
            None => due.store(due_at, Ordering::Relaxed),
        }
    }

    /// A tenant is no longer on probation.
    fn proved(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        if self.settings.keep_warm {
            tenant.issuer.keys.keep_warm();
        }
        // It may have had to make room while its first request waited for keys; but one that was
        // taken away since does not come back.
        let now = self.clock.monotonic();
        if self.asking().said.of(&tenant.name, now).is_none() {
            self.known.rcu(|known| {
                let mut next = HashMap::clone(known);
                next.entry(Arc::clone(&tenant.name)).or_insert_with(|| Arc::clone(tenant));
                trim(&mut next, self.settings.most, tenant);
                next
            });
        }
    }

    fn keep(&self, tenant: &Arc<Tenant>) {
        self.known.rcu(|known| {
            let mut next = HashMap::clone(known);
            next.insert(Arc::clone(&tenant.name), Arc::clone(tenant));
            trim(&mut next, self.settings.most, tenant);
            next
        });
    }

    /// The tenant no longer exists.
    fn forget(&self, name: &str) {
        if self.known.load().contains_key(name) {
            self.known.rcu(|known| {
                let mut next = HashMap::clone(known);
                next.remove(name);
                next
            });
        }
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Search {
    fn of(resolution: Resolution) -> Self {
        match resolution {
            Resolution::Known(tenant) => Self::Found(tenant),
            Resolution::Unknown => Self::Untrusted,
            Resolution::Open => Self::Unavailable,
        }
    }
}

impl Tenant {
    /// The same tenant under another configuration.
    fn under(&self, issuer: TrustedIssuer, tenants: Weak<Tenants>, generation: u64) -> Self {
        let copy = |number: &AtomicU64| AtomicU64::new(number.load(Ordering::Relaxed));
        Self {
            issuer,
            name: Arc::clone(&self.name),
            resolved: self.resolved.clone(),
            tenants,
            generation,
            used_at: copy(&self.used_at),
            due_at: copy(&self.due_at),
            proven: AtomicBool::new(self.is_proven()),
        }
    }
}

/// Makes room in each segment: of those beyond it, the least recently used go, but not `newest`.
fn trim(known: &mut Known, most: usize, newest: &Arc<Tenant>) {
    let probation = (most / PROBATION_PART).max(MIN_PROBATION);
    for (proven, room) in [(true, most), (false, probation)] {
        let mut segment: Vec<_> =
            known.values().filter(|tenant| tenant.is_proven() == proven).cloned().collect();
        let beyond = segment.len().saturating_sub(room);
        if beyond > 0 {
            segment.retain(|tenant| !Arc::ptr_eq(tenant, newest));
            segment.sort_by_key(|tenant| tenant.used_at.load(Ordering::Relaxed));
            for tenant in segment.iter().take(beyond) {
                known.remove(&tenant.name);
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants").field("known", &self.known.load().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn names(said: &Said, now: Duration) -> usize {
        said.names.keys().filter(|name| said.of(name, now).is_some()).count()
    }

    #[test]
    fn what_was_said_of_names_is_remembered_for_a_while() {
        let mut said = Said::default();
        let (absent, failed): (Arc<str>, Arc<str>) = ("absent".into(), "failed".into());
        said.remember(&absent, true, s(0));
        said.remember(&failed, false, s(0));
        for (now, absent_is, failed_is) in [
            (Duration::ZERO, true, true),
            (Duration::from_millis(999), true, true),
            (s(1), true, false),
            (Duration::from_millis(9_999), true, false),
            (s(10), false, false),
        ] {
            let of = |name: &str| said.of(name, now);
            assert_eq!(matches!(of("absent"), Some(Resolution::Unknown)), absent_is, "{now:?}");
            assert_eq!(matches!(of("failed"), Some(Resolution::Open)), failed_is, "{now:?}");
            assert!(of("another").is_none());
        }
        // Said again, it holds from then on.
        said.remember(&absent, true, s(9));
        said.remember(&failed, false, s(11));
        assert!(said.of("absent", s(18)).is_some() && said.of("absent", s(19)).is_none());
    }

    #[test]
    fn what_is_remembered_of_names_is_bounded() {
        let mut said = Said::default();
        for n in 0..5_000 {
            said.remember(&format!("n{n}").into(), true, s(0));
        }
        assert_eq!((names(&said, s(0)), said.order.len()), (MAX_SAID, MAX_SAID));
        assert!(said.of("n0", s(0)).is_none() && said.of("n4999", s(0)).is_some());
        for n in 0..100 {
            said.remember(&format!("{n}{}", "x".repeat(15_000)).into(), true, s(0));
        }
        assert!(said.bytes <= MAX_SAID_BYTES && said.bytes > MAX_SAID_BYTES - 20_000);
        assert_eq!(said.names.len(), said.order.len());
        // Time alone makes room, too.
        said.remember(&"late".into(), true, s(10));
        assert_eq!((said.names.len(), said.order.len(), said.bytes), (1, 1, 4));
    }

    #[test]
    fn a_bounded_number_waits_and_those_who_leave_make_room() {
        let mut asking = Asking::new();
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        for n in 0..MAX_WAITING {
            assert!(asking.enter(if n == 0 { &one } else { &other }), "{n}");
        }
        assert!(!asking.enter(&one) && !asking.enter(&"third".into()));
        assert!(asking.join(&one, s(0)).is_none() && asking.join(&other, s(0)).is_none());
        assert!(asking.join(&one, s(0)).is_none());
        assert_eq!(asking.queue, [Arc::clone(&one), Arc::clone(&other)], "each once, in order");
        asking.leave(&one);
        assert_eq!(asking.queue, [Arc::clone(&other)], "nobody waits for it");
        assert!(asking.enter(&one) && !asking.enter(&one));
        for _ in 0..MAX_WAITING {
            asking.leave(if asking.wanted.contains_key(&other) { &other } else { &one });
        }
        assert!(asking.wanted.is_empty() && asking.queue.is_empty() && asking.waiting == 0);
    }
}
