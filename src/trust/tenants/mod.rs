//! Issuers that are not known at start: the tenants of a platform.
//!
//! A platform has customers (tenants), and each tenant has its own issuer. The name of a tenant is the
//! `iss` of its tokens. The API has a resolver for tenants, which is user-supplied code. The resolver has
//! two functions. The function `allows` allows or refuses a name. The function `resolve` takes a name,
//! and returns the issuer that has this name.
//!
//! For an `iss` that is not the name of a configured issuer, this module decides:
//!
//! - whether the name is allowed. The name must be a URL in normal form, so that `allows` receives
//!   exactly the URL that would be fetched. Then `allows` must allow the name. These two checks come
//!   before any fetch, because the name comes from an unverified token;
//! - whether the tenant is known. A tenant is known if it is in the cache. If the tenant is not known,
//!   `resolve` is called, once for all requests that wait (single flight). The call runs in a task that
//!   no request can cancel. A budget (rate limit) applies to the calls. Names that exceed the budget wait
//!   in a queue. A negative result is cached for a short time;
//! - which tenant is evicted when there are too many. The first verified token of a tenant confirms the
//!   tenant. Before that, the tenant is on probation. Confirmed tenants and tenants on probation are in
//!   two segments of the cache. So made-up names cannot evict confirmed tenants, and confirmed tenants
//!   that are idle do not take the places of new tenants. In each segment, the least recently used
//!   tenant is evicted first.
//!
//! An attacker can send many tokens with made-up names. If `allows` allows these names, the calls of
//! `resolve` for them can delay unknown tenants. Known tenants are never delayed.
//!
//! Each tenant has its own keys, budgets and state, like a configured issuer.

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

/// The default for the maximum number of confirmed tenants.
pub(crate) const MAX_TENANTS: usize = 1_000;

/// The rate limit of calls to the resolver for unknown names: a burst of 50, then one call each 100 ms.
/// Calls for known tenants have a second budget with the same numbers. A resolver usually looks a name
/// up in the platform's directory of tenants. So, after the burst, a flood of made-up names causes at
/// most 10 calls per second in this directory. All unknown names that `allows` allows share this limit.
/// If `allows` is strict, an attacker can make up fewer names.
const RESOLVE_BURST: u32 = 50;
const RESOLVE_PERIOD: Duration = Duration::from_millis(100);

/// The time from a resolver call that returned a tenant to the next call for this tenant. The first
/// request after this time starts the next call, in the background. Jitter reduces this time by up to
/// 10 %. So tenants that were resolved at the same time have their next calls at different times.
const RESOLVE_AGAIN: Duration = Duration::from_secs(600);

/// Makes a trusted issuer from the issuer that the resolver returned (the first argument). If the tenant is
/// already known, the second argument is the trusted issuer that is in use for this tenant. If both issuers
/// take their keys from the same place, the keys of the issuer in use are reused.
pub(crate) type Prepare =
    Box<dyn Fn(&Issuer, Option<&TrustedIssuer>) -> Result<TrustedIssuer, String> + Send + Sync>;

/// The settings of tenants.
#[derive(Clone, Copy)]
pub(crate) struct TenantSettings {
    /// The generation (number) of the configuration that these tenants belong to.
    pub(crate) generation: u64,
    /// The maximum number of confirmed tenants.
    pub(crate) most: usize,
    /// Whether a timer refreshes the keys of confirmed tenants, even if no request comes.
    pub(crate) keep_warm: bool,
    /// Whether a tenant's name may be an `http://` URL whose host is this machine (loopback).
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
    /// The budget of calls for unknown names.
    budget: Budget,
    /// The budget of calls for known tenants.
    budget_again: Budget,
}

impl Tenants {
    /// Creates the tenants of a new configuration. Confirmed tenants of the previous configuration are
    /// kept if the new configuration allows them. If there are too many, the most recently used tenants
    /// are kept.
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

    /// The known tenants.
    pub(crate) fn known(&self) -> Vec<Arc<Tenant>> {
        self.known.all()
    }

    /// Builds a tenant from the issuer that the resolver returned. If the tenant is
    /// already known, the new version is confirmed if the known version is confirmed. If both versions take
    /// their keys from the same place, the new version reuses the keys. The caller adds the new version to
    /// the cache.
    fn prepare_tenant(
        self: &Arc<Self>,
        name: &Arc<str>,
        resolved: Issuer,
    ) -> Result<Tenant, String> {
        let before = self.known.get(name);
        let issuer = (self.prepare)(&resolved, before.as_ref().map(|before| &before.issuer))?;
        issuer.keys.tell_of_seed();
        if !issuer.is_named(name) {
            return Err("the resolver returned an issuer with another name".to_owned());
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

    /// Starts to use a new version of a tenant. If the version in use has keys and the new version has
    /// none, the keys of the new version are fetched first. Until this fetch ends, the old version
    /// stays in use, so that no request waits. If the fetch does not succeed in time, the old version
    /// stays in use until a later resolver call.
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
                    // The new tenant is used only if the fetch ended in time and a tenant of this name
                    // is still known. In all other cases, nothing changes.
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

    /// Moves a tenant from probation to the confirmed tenants.
    pub(crate) fn confirmed(&self, tenant: &Arc<Tenant>) {
        if self.settings.keep_warm {
            tenant.issuer.keys.keep_warm();
        }
        // The tenant may have been evicted while its first request waited for keys. So put the tenant
        // back into the cache. But do not put it back if a negative result for this name is cached: the
        // resolver has answered "no such tenant" or has failed in the meantime.
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
