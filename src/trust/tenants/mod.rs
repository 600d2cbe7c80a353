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

mod ask;
mod asking;
mod known;
mod said;
mod tenant;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::budget::Budget;
use crate::clock::Clock;
use crate::crypto::random_unit;
use crate::flight::{self, Ended};
use crate::issuer::{AnyIssuerResolver, Issuer};
use crate::observe::Stream;
use crate::runtime;
use crate::trust::issuer::TrustedIssuer;
use asking::{Asking, RESOLVE_DEADLINE};
use known::Known;
use tenant::millis;

pub(crate) use ask::{IssuerWait, Search};
pub(crate) use said::RESOLVE_RETRY;
pub(crate) use tenant::{Resolution, Tenant};

/// Confirmed tenants that are kept, each with its keys, unless set.
pub(crate) const MAX_TENANTS: usize = 1_000;

/// Questions to the resolver: so many at once, and one more each period. A flood of made-up names
/// then costs the platform's directory ten questions a second. Names that the rule allows compete for
/// them: the closer the rule, the fewer names there are to make up.
const RESOLVE_BURST: u32 = 50;
const RESOLVE_PERIOD: Duration = Duration::from_millis(100);

/// How old a resolution is when the resolver is asked again, in the background; at random up to a
/// tenth earlier, so that tenants that came together are not asked about together.
const RESOLVE_AGAIN: Duration = Duration::from_secs(600);

/// Makes an issuer ready to judge. It goes on with the keys of the other one, if they come from the
/// same place.
pub(crate) type Prepare =
    Box<dyn Fn(&Issuer, Option<&TrustedIssuer>) -> Result<TrustedIssuer, String> + Send + Sync>;

/// How tenants are kept.
#[derive(Clone, Copy)]
pub(crate) struct TenantSettings {
    /// The configuration that they are tenants under.
    pub(crate) generation: u64,
    /// How many confirmed ones are kept.
    pub(crate) most: usize,
    /// Whether the keys of confirmed ones are fetched without waiting for a request.
    pub(crate) keep_warm: bool,
    /// Whether a tenant's name may be `http://` to this machine.
    pub(crate) allow_http_loopback: bool,
}

/// The tenants of one configuration.
pub(crate) struct Tenants {
    settings: TenantSettings,
    resolver: Arc<dyn AnyIssuerResolver>,
    prepare: Prepare,
    clock: Arc<dyn Clock>,
    stream: Stream,
    known: Known,
    asking: Mutex<Asking>,
    budget: Budget,
    /// That of questions about tenants that are known.
    budget_again: Budget,
}

impl Tenants {
    /// Goes on with the confirmed tenants of the configuration before this one, as far as this one
    /// allows them.
    pub(crate) fn new(
        settings: TenantSettings,
        resolver: Arc<dyn AnyIssuerResolver>,
        prepare: Prepare,
        (clock, stream): (Arc<dyn Clock>, Stream),
        before: Option<&Self>,
    ) -> Arc<Self> {
        let known = before.map_or_else(Vec::new, Self::known);
        let mut carried: Vec<_> = known
            .into_iter()
            .filter(|tenant| tenant.is_confirmed() && resolver.allows(&tenant.name))
            .filter_map(|tenant| {
                let issuer = prepare(&tenant.resolved, Some(&tenant.issuer)).ok()?;
                let generation = settings.generation;
                issuer.is_named(&tenant.name).then(|| tenant.under(issuer, generation))
            })
            .collect();
        carried.sort_by_key(|tenant| std::cmp::Reverse(tenant.used_at.load(Ordering::Relaxed)));
        carried.truncate(settings.most);
        if settings.keep_warm {
            carried.iter().for_each(|tenant| tenant.issuer.keys.keep_warm());
        }
        Arc::new(Self {
            settings,
            resolver,
            prepare,
            clock,
            stream,
            known: Known::new(carried, settings.most),
            asking: Mutex::new(Asking::new()),
            budget: Budget::new(RESOLVE_BURST, RESOLVE_PERIOD),
            budget_again: Budget::new(RESOLVE_BURST, RESOLVE_PERIOD),
        })
    }

    /// The tenants that are known.
    pub(crate) fn known(&self) -> Vec<Arc<Tenant>> {
        self.known.all()
    }

    /// The tenant as it was resolved, which may be known already.
    fn prepare_tenant(
        self: &Arc<Self>,
        name: &Arc<str>,
        resolved: Issuer,
    ) -> Result<Tenant, String> {
        let before = self.known.get(name);
        let issuer = (self.prepare)(&resolved, before.as_ref().map(|before| &before.issuer))?;
        issuer.keys.tell_of_seed();
        if !issuer.is_named(name) {
            return Err("resolved to another issuer".to_owned());
        }
        let confirmed = before.as_ref().is_some_and(|before| before.is_confirmed());
        if confirmed && self.settings.keep_warm {
            issuer.keys.keep_warm();
        }
        let now = self.clock.monotonic();
        let due_at = now.saturating_add(RESOLVE_AGAIN.mul_f64(1.0 - random_unit() / 10.0));
        Ok(Tenant {
            issuer,
            name: Arc::clone(name),
            resolved,
            generation: self.settings.generation,
            used_at: AtomicU64::new(millis(now)),
            due_at: AtomicU64::new(millis(due_at)),
            confirmed: AtomicBool::new(confirmed),
        })
    }

    /// Puts a tenant to work. In the place of one that has keys it comes with keys: they may be
    /// fetched from another place now, and nobody has to wait for that.
    fn take_in(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        let has_keys = |tenant: &Arc<Tenant>| tenant.issuer.keys.is_usable();
        let replaces_keys = self.known.get(&tenant.name).as_ref().is_some_and(has_keys);
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
                        && own.known.contains(&next.name)
                    {
                        own.known.keep(&next);
                    }
                });
            }
            Ok(_) | Err(_) => self.known.keep(tenant),
        }
    }

    /// A tenant is no longer on probation.
    pub(crate) fn confirmed(&self, tenant: &Arc<Tenant>) {
        if self.settings.keep_warm {
            tenant.issuer.keys.keep_warm();
        }
        // It may have had to make room while its first request waited for keys; but one that was
        // taken away since does not come back.
        let now = self.clock.monotonic();
        if self.asking().said.of(&tenant.name, now).is_none() {
            self.known.keep_confirmed(tenant);
        }
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants").field("known", &self.known.len()).finish_non_exhaustive()
    }
}
