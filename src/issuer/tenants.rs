//! Issuers that are not known at start: the tenants of a platform.
//!
//! Decides, for an `iss` that no configured issuer has:
//!
//! - whether the name is a URL in normal form, so that the API's rule judges the very URL that would
//!   be fetched; then whether that rule allows the name: both before anything is fetched, since the
//!   name comes from a token that nobody has verified;
//! - whether the tenant is known already; if not, the API's resolver is asked, once for all requests
//!   that wait, by a task that no request can cancel, and not more often than a budget allows;
//! - which tenant goes when there is no more room: one that never had a valid token before one that
//!   had, the least recently used first. So made-up names can't push real tenants out.
//!
//! Each tenant is an issuer like any other, with keys, budgets and state of its own.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::issuer::url::is_normal;
use crate::issuer::{Issuer, TrustedIssuer};
use crate::keys::{Budget, Taken};
use crate::runtime;
use crate::telemetry;

/// Tenants that are kept, each with its keys.
const MAX_TENANTS: usize = 100;

/// Names that are being resolved at one time; for more, requests are told to come back.
const MAX_RESOLVING: usize = 64;

/// Questions to the resolver: so many at once, and one more each period. A flood of made-up names
/// then costs the platform's directory ten questions a second. Names that the rule allows compete for
/// them, so while it lasts a tenant that is not at hand may be told to come back: the closer the rule,
/// the fewer names there are to make up.
const RESOLVE_BURST: u32 = 50;
const RESOLVE_PERIOD: Duration = Duration::from_millis(100);

/// How long the resolver may take.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// How long a request waits for it.
const RESOLVE_WAIT: Duration = Duration::from_secs(3);

/// When to come back where a tenant could not be resolved.
pub(crate) const RESOLVE_RETRY: Duration = Duration::from_secs(1);

/// A future that an [`IssuerResolver`] answers with.
pub type IssuerFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Issuer>, IssuerResolverError>> + Send + 'a>>;

/// Finds the issuers of tenants while requests come in.
///
/// It can only name an [`Issuer`]; tokens are judged as those of any other. Set by
/// [`Builder::issuer_resolver`](crate::Builder::issuer_resolver).
///
/// ```
/// use tower_resource_server::{Issuer, IssuerFuture, IssuerResolver};
///
/// struct Tenants;
///
/// impl IssuerResolver for Tenants {
///     fn allows(&self, iss: &str) -> bool {
///         // All between the two is the tenant's: one label, so that no other host is named.
///         let rest = iss.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".as.example.com"));
///         let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
///         rest.is_some_and(|tenant| !tenant.is_empty() && tenant.bytes().all(is_label))
///     }
///
///     fn resolve<'a>(&'a self, iss: &'a str) -> IssuerFuture<'a> {
///         // A directory of tenants would be asked here.
///         Box::pin(async move { Ok(Some(Issuer::discover(iss))) })
///     }
/// }
///
/// assert!(Tenants.allows("https://t1.as.example.com"));
/// assert!(!Tenants.allows("https://as.evil.example"));
/// assert!(!Tenants.allows("https://evil.example/.as.example.com"));
/// ```
pub trait IssuerResolver: Send + Sync + 'static {
    /// Whether a token may name this issuer. `iss` is a URL that a stranger wrote: compare it with
    /// what is trusted, host and all, and fetch nothing. A look at the ends of the text is no such
    /// comparison: `https://evil.example/.as.example.com` begins and ends well.
    ///
    /// The URL is in normal form: https (or http to this machine, where that is switched on), without
    /// user name, query, fragment, default port, upper case in the host, dot segments, empty segments
    /// or encoded delimiters. The layer refuses other names before it asks, so what is compared here
    /// is what is fetched.
    ///
    /// It is asked for every token, also of a tenant at hand, so it is what takes a tenant's trust
    /// away at once; an answer of [`resolve`](Self::resolve) is kept until a reload, or until the
    /// tenant has to make room.
    fn allows(&self, iss: &str) -> bool;

    /// The issuer of this name, which `allows` let pass; `None` when there is no such tenant.
    fn resolve<'a>(&'a self, iss: &'a str) -> IssuerFuture<'a>;
}

/// Why an issuer could not be resolved, in words fit for a log.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerResolverError(String);

impl IssuerResolverError {
    /// An error with an explanation, which must hold no secret.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl fmt::Display for IssuerResolverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for IssuerResolverError {}

/// Makes an issuer ready to judge.
pub(crate) type Prepare = Box<dyn Fn(&Issuer) -> Result<TrustedIssuer, String> + Send + Sync>;

/// The tenants of one configuration.
pub(crate) struct Tenants {
    resolver: Arc<dyn IssuerResolver>,
    prepare: Prepare,
    clock: Arc<dyn Clock>,
    allow_http_loopback: bool,
    known: ArcSwap<HashMap<Box<str>, Arc<Tenant>>>,
    resolving: Mutex<HashMap<Box<str>, watch::Receiver<Resolution>>>,
    budget: Budget,
}

/// A tenant at hand.
pub(crate) struct Tenant {
    pub(crate) issuer: TrustedIssuer,
    /// Seconds of the monotonic clock.
    used_at: AtomicU64,
    /// Whether a token of the tenant ever verified.
    proven: AtomicBool,
}

impl Tenant {
    /// A token of the tenant verified.
    pub(crate) fn prove(&self) {
        if !self.proven.load(Ordering::Relaxed) {
            self.proven.store(true, Ordering::Relaxed);
        }
    }
}

/// What became of a question to the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// There is no answer yet, or none can be had.
    Open,
    /// The tenant is known.
    Known,
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

/// A wait for the resolver.
pub(crate) struct IssuerWait(watch::Receiver<Resolution>);

impl IssuerWait {
    pub(crate) async fn done(mut self) -> Resolution {
        let answered = self.0.wait_for(|resolution| *resolution != Resolution::Open);
        match runtime::within(RESOLVE_WAIT, answered).await {
            Some(Ok(resolution)) => *resolution,
            // Too late, or the task is gone.
            Some(Err(_)) | None => Resolution::Open,
        }
    }
}

impl Tenants {
    pub(crate) fn new(
        resolver: Arc<dyn IssuerResolver>,
        prepare: Prepare,
        clock: Arc<dyn Clock>,
        allow_http_loopback: bool,
    ) -> Self {
        Self {
            resolver,
            prepare,
            clock,
            allow_http_loopback,
            known: ArcSwap::default(),
            resolving: Mutex::default(),
            budget: Budget::new(RESOLVE_BURST, RESOLVE_PERIOD),
        }
    }

    /// The tenants at hand.
    pub(crate) fn known(&self) -> Vec<Arc<Tenant>> {
        self.known.load().values().cloned().collect()
    }

    /// Looks for a tenant, without blocking. `waited` is what a wait has brought.
    pub(crate) fn find(self: &Arc<Self>, iss: &str, waited: Option<Resolution>) -> Search {
        let known = self.known.load().get(iss).cloned();
        // The name of a tenant that is known has passed this check.
        let is_url = known.is_some() || is_normal(iss, self.allow_http_loopback);
        if !is_url || !self.resolver.allows(iss) {
            return Search::Untrusted;
        }
        if let Some(tenant) = known {
            let now = self.clock.monotonic().as_secs();
            if tenant.used_at.load(Ordering::Relaxed) != now {
                tenant.used_at.store(now, Ordering::Relaxed);
            }
            return Search::Found(tenant);
        }
        match waited {
            None => self.ask(iss).map_or(Search::Unavailable, Search::Wait),
            Some(Resolution::Unknown) => Search::Untrusted,
            Some(Resolution::Open | Resolution::Known) => Search::Unavailable,
        }
    }

    /// Joins the question under way or asks; `None` where too many are.
    fn ask(self: &Arc<Self>, iss: &str) -> Option<IssuerWait> {
        let mut resolving = self.resolving();
        if let Some(answer) = resolving.get(iss) {
            return Some(IssuerWait(answer.clone()));
        }
        if resolving.len() >= MAX_RESOLVING
            || self.budget.take(self.clock.monotonic()) != Taken::Granted
        {
            return None;
        }
        let runtime = match runtime::current() {
            Ok(runtime) => runtime,
            Err(unfit) => {
                telemetry::resolve_failed(iss, unfit.problem());
                return None;
            }
        };
        let (answer, answered) = watch::channel(Resolution::Open);
        resolving.insert(iss.into(), answered.clone());
        // A runtime that shuts down drops the task at once, and its question then asks for the lock.
        drop(resolving);
        let question = Question { tenants: Arc::downgrade(self), iss: iss.into() };
        runtime.spawn(resolve(Arc::clone(&self.resolver), question, answer));
        Some(IssuerWait(answered))
    }

    /// Takes in what the resolver said.
    fn conclude(
        &self,
        iss: &str,
        resolved: Result<Option<Issuer>, IssuerResolverError>,
    ) -> Resolution {
        let prepared = match resolved {
            Ok(None) => return Resolution::Unknown,
            Ok(Some(issuer)) => (self.prepare)(&issuer).and_then(|prepared| {
                let named = prepared.is_named(iss);
                named.then_some(prepared).ok_or_else(|| "resolved to another issuer".to_owned())
            }),
            Err(IssuerResolverError(problem)) => Err(problem),
        };
        match prepared {
            Ok(issuer) => {
                self.keep(iss, issuer);
                Resolution::Known
            }
            Err(problem) => {
                telemetry::resolve_failed(iss, &problem);
                Resolution::Open
            }
        }
    }

    fn keep(&self, iss: &str, issuer: TrustedIssuer) {
        let used_at = AtomicU64::new(self.clock.monotonic().as_secs());
        let tenant = Arc::new(Tenant { issuer, used_at, proven: AtomicBool::new(false) });
        self.known.rcu(|known| {
            let mut next = HashMap::clone(known);
            if next.len() >= MAX_TENANTS {
                let worth = |tenant: &Tenant| {
                    let used_at = tenant.used_at.load(Ordering::Relaxed);
                    (tenant.proven.load(Ordering::Relaxed), used_at)
                };
                let least = next.iter().min_by_key(|(_, tenant)| worth(tenant));
                if let Some(name) = least.map(|(name, _)| name.clone()) {
                    next.remove(&name);
                }
            }
            next.insert(iss.into(), Arc::clone(&tenant));
            next
        });
    }

    fn resolving(&self) -> MutexGuard<'_, HashMap<Box<str>, watch::Receiver<Resolution>>> {
        self.resolving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants").field("known", &self.known.load().len()).finish_non_exhaustive()
    }
}

/// A question under way. It ends, however its task does.
struct Question {
    tenants: Weak<Tenants>,
    iss: Box<str>,
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(tenants) = self.tenants.upgrade() {
            tenants.resolving().remove(&self.iss);
        }
    }
}

async fn resolve(
    resolver: Arc<dyn IssuerResolver>,
    question: Question,
    answer: watch::Sender<Resolution>,
) {
    let resolved = runtime::within(RESOLVE_DEADLINE, resolver.resolve(&question.iss)).await;
    let resolved = resolved.unwrap_or_else(|| Err(IssuerResolverError::new("no answer in time")));
    if let Some(tenants) = question.tenants.upgrade() {
        let resolution = tenants.conclude(&question.iss, resolved);
        // Off the list first, so that whoever looks again after this answer may ask again.
        drop(question);
        answer.send_replace(resolution);
    }
}
