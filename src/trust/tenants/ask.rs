//! Resolves one name (single flight): checks the name, queues it, calls the resolver, and stores the
//! result.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::flight::{self, Completion, Ended, Waiter};
use crate::issuer::Issuer;
use crate::observe::Occurrence;
use crate::runtime::{self, Deadline};
use crate::source_error::SourceError;
use crate::token::Excerpt;
use crate::trust::tenants::asking::RESOLVE_DEADLINE;
use crate::trust::tenants::tenant::{Resolution, Tenant, millis};
use crate::trust::tenants::{RESOLVE_PERIOD, Tenants};
use crate::url::is_normal;

/// The maximum length of a tenant's name, in bytes. Real names are ten times shorter. The name comes
/// from an unverified token, and is compared, hashed and cached. So longer names are refused.
const MAX_NAME: usize = 1_024;

/// How long a request waits for the resolver.
const RESOLVE_WAIT: Duration = Duration::from_secs(3);

/// The pause between the start of a call for a known tenant and the earliest next call, if the call
/// fails or ends without a result.
const RESOLVE_AGAIN_RETRY: Duration = Duration::from_secs(60);

/// The maximum number of calls that one request waits for. A request waits for a second call only if
/// the first call ended without a result. A call ends without a result if its runtime shuts down, or if
/// a newer call replaces an overdue call.
const QUESTIONS: u32 = 3;

/// The precision of the time at which a tenant was last used, in milliseconds. Requests update this time
/// at most once in this period.
const USE_GRAIN: u64 = 1_000;

/// The result of a lookup of a tenant.
pub(crate) enum Search {
    /// The tenant is known.
    Found(Arc<Tenant>),
    /// The name is not allowed, or the resolver answered "no such tenant".
    Untrusted,
    /// It is not known yet whether there is such a tenant. The resolver failed or did not answer in
    /// time, too many requests wait, or there is no tokio runtime for the call.
    Unavailable,
    /// The tenant is not known yet. The request must wait for the resolver.
    Wait(IssuerWait),
}

/// The state of the resolver call for a name. A waiting request checks this state.
enum Turn {
    /// There is a result: the tenant is known, or a negative result is cached.
    Answered(Resolution),
    /// The call is in progress.
    UnderWay(Waiter<Resolution>),
    /// The name is in the queue. The calls for other names start first.
    Queued,
}

/// A resolver call that is about to start.
struct Question {
    name: Arc<str>,
    completion: Completion<Resolution>,
    /// `true` if the tenant is already known. No request waits for such a call.
    again: bool,
}

/// A request's wait for the resolver.
pub(crate) struct IssuerWait {
    tenants: Arc<Tenants>,
    name: Arc<str>,
}

impl IssuerWait {
    /// The generation of the configuration whose resolver is called.
    pub(crate) fn generation(&self) -> u64 {
        self.tenants.settings.generation
    }

    /// Waits for the resolver's result. Returns [`Resolution::Open`] if there is no result before the
    /// deadline.
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
                        // The call ended without a result. Start another call.
                        questions -= 1;
                    }
                    // `turn` also starts calls for queued names. Each waiting request calls `turn`
                    // repeatedly, so no separate task is needed for the queue.
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

impl Tenants {
    /// Looks up a tenant, without blocking. `waited` is the result that this request has already waited
    /// for, with the generation (number) of the configuration that called the resolver.
    pub(crate) fn find(self: &Arc<Self>, iss: &str, waited: Option<&(u64, Resolution)>) -> Search {
        let known = self.known.get(iss);
        // The name of a known tenant was checked before the tenant was resolved.
        let is_url = known.is_some()
            || (iss.len() <= MAX_NAME && is_normal(iss, self.settings.allow_http_loopback));
        if !is_url || !self.resolver.allows(iss) {
            if known.is_some() {
                // Dropping the tenant also stops its fetches.
                self.known.forget(iss);
            }
            return Search::Untrusted;
        }
        if let Some(tenant) = known {
            self.used(&tenant);
            return Search::Found(tenant);
        }
        match waited {
            Some((generation, resolution)) if *generation == self.settings.generation => {
                // After the call that this request waited for, a later call may have found that the
                // tenant no longer exists. The latest result is used.
                match self.asking().said.of(iss, self.clock.monotonic()) {
                    Some(Resolution::Unknown) => Search::Untrusted,
                    _ => Search::of(resolution.clone()),
                }
            }
            // The result of an earlier configuration is not used.
            Some(_) | None => self.ask(iss),
        }
    }

    /// Returns a cached negative result, or starts a call for the name, or puts the name in the queue.
    fn ask(self: &Arc<Self>, iss: &str) -> Search {
        if let Err(unfit) = runtime::current() {
            self.stream.tell(&Occurrence::Unresolved { iss, problem: unfit.problem() });
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
        // Start the call now if the budget allows it. Without this line, even an allowed call would start
        // only when the wait is polled.
        match self.turn(&wait.name) {
            Turn::Answered(resolution) => Search::of(resolution),
            Turn::UnderWay(_) | Turn::Queued => Search::Wait(wait),
        }
    }

    /// Returns the state of the call for this name. If there is neither a result nor a call in
    /// progress, puts the name in the queue. Then starts calls for queued names while the budget and
    /// the maximum number of calls allow it.
    fn turn(self: &Arc<Self>, name: &Arc<str>) -> Turn {
        if let Some(tenant) = self.known.get(name) {
            return Turn::Answered(Resolution::Known(tenant));
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
                let (completion, waiter) = asking.flights.begin(Arc::clone(&next), now);
                if next == *name {
                    joined = Some(waiter);
                }
                begun.push(Question { name: next, completion, again: false });
            }
            joined.map_or(Turn::Queued, Turn::UnderWay)
        };
        // Start the calls after the lock is released. A runtime that is shutting down drops the task
        // at once. The dropped task reports its end, and the report takes the same lock. If this thread
        // still held the lock, this would be a deadlock.
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
                tenants.take_answer(question, ended);
            }
        });
    }

    /// Stores the resolver's answer and wakes the requests that wait.
    fn take_answer(
        self: &Arc<Self>,
        question: Question,
        ended: Ended<Result<Option<Issuer>, SourceError>>,
    ) {
        let Question { name, completion, again } = question;
        let gone = matches!(ended, Ended::Gone);
        let said = match ended.done() {
            Ok(Ok(Some(issuer))) => self.prepare_tenant(&name, issuer).map(Some),
            Ok(Ok(None)) => Ok(None),
            // This text comes from user-supplied code, so it is escaped and cut.
            Ok(Err(error)) => Err(Excerpt::of(&error.into_problem()).as_str().to_owned()),
            Err(problem) => Err(problem.to_owned()),
        };
        let now = self.clock.monotonic();
        let present = {
            let mut asking = self.asking();
            let flights = if again { &mut asking.again } else { &mut asking.flights };
            let present = flights.complete(&name, &completion);
            match &said {
                Ok(None) if present => asking.said.remember(&name, true, now),
                Err(_) if present && !gone => asking.said.remember(&name, false, now),
                _ => {}
            }
            present
        };
        if gone || !present {
            // The call ended because its runtime shut down, or a newer call replaced this call. Waiting
            // requests start a new call if necessary.
            return;
        }
        let resolution = match said {
            Ok(Some(tenant)) => {
                let tenant = Arc::new(tenant);
                self.take_in(&tenant);
                Resolution::Known(tenant)
            }
            Ok(None) => {
                self.known.forget(&name);
                Resolution::Unknown
            }
            Err(problem) => {
                self.stream.tell(&Occurrence::Unresolved { iss: &name, problem: &problem });
                Resolution::Open
            }
        };
        completion.send(resolution);
    }

    /// Records that a request uses the tenant. If the next resolver call for the tenant is due, starts
    /// the call.
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

    /// Starts a resolver call for a known tenant, in the background.
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
                let (completion, _) = asking.again.begin(Arc::clone(&tenant.name), now);
                Question { name: Arc::clone(&tenant.name), completion, again: true }
            })
        };
        match question {
            Some(question) => self.launch(&runtime, question),
            // No call may start now: the budget is spent, or too many calls are in progress. A later
            // request for this tenant tries again.
            None => due.store(due_at, Ordering::Relaxed),
        }
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
