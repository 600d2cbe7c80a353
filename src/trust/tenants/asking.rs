//! The resolver calls in progress, the queue of names for the resolver, and the limits of both.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::budget::{Budget, Taken};
use crate::flight::{Flights, Waiter};
use crate::trust::tenants::said::Said;
use crate::trust::tenants::tenant::Resolution;

/// The maximum number of unknown names that are resolved at the same time. Names beyond this limit wait
/// in the queue.
const MAX_RESOLVING: usize = 64;

/// The maximum number of resolver calls for known tenants at the same time. Such a call shows whether the
/// tenant still exists. The calls for known tenants have their own limit and their own budget (rate
/// limit), so a flood of made-up names cannot delay these calls.
const MAX_RESOLVING_AGAIN: usize = 32;

/// The deadline of one call of the resolver.
pub(super) const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// The maximum number of requests that wait for the resolver. Further requests are refused with 503, so
/// that made-up names cannot fill the memory.
const MAX_WAITING: usize = 1_024;

/// The resolver calls in progress, the queue of names, and the cached negative results.
pub(super) struct Asking {
    pub(super) flights: Flights<Arc<str>, Resolution>,
    /// Calls for known tenants.
    pub(super) again: Flights<Arc<str>, Resolution>,
    /// The queued names, first in, first out.
    pub(super) queue: VecDeque<Arc<str>>,
    /// The names that requests wait for.
    wanted: HashMap<Arc<str>, Wanted>,
    /// The number of waiting requests, for all names together.
    waiting: usize,
    pub(super) said: Said,
}

/// A name that requests wait for.
#[derive(Default)]
struct Wanted {
    /// The number of requests that wait for this name.
    requests: usize,
    /// Whether the name is in the queue. A waiting request reads this field every 100 ms. Without this
    /// field, each such request would have to search the queue, which is slow.
    is_queued: bool,
}

impl Asking {
    pub(super) fn new() -> Self {
        Self {
            flights: Flights::new(RESOLVE_DEADLINE),
            again: Flights::new(RESOLVE_DEADLINE),
            queue: VecDeque::new(),
            wanted: HashMap::new(),
            waiting: 0,
            said: Said::default(),
        }
    }

    /// Counts one more request that waits for this name. Returns `false` if too many requests already
    /// wait.
    pub(super) fn enter(&mut self, name: &Arc<str>) -> bool {
        let has_room = self.waiting < MAX_WAITING;
        if has_room {
            self.waiting += 1;
            self.wanted.entry(Arc::clone(name)).or_default().requests += 1;
        }
        has_room
    }

    pub(super) fn leave(&mut self, name: &Arc<str>) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(wanted) = self.wanted.get_mut(name) {
            wanted.requests -= 1;
            if wanted.requests == 0 {
                if wanted.is_queued {
                    // No other request waits for this name.
                    self.queue.retain(|queued| queued != name);
                }
                self.wanted.remove(name);
            }
        }
    }

    /// Joins the call in progress for this name. If there is no such call, puts the name in the queue.
    pub(super) fn join(&mut self, name: &Arc<str>, now: Duration) -> Option<Waiter<Resolution>> {
        let waiter = self.flights.join(name, now);
        if waiter.is_none()
            && let Some(wanted) = self.wanted.get_mut(name)
            && !std::mem::replace(&mut wanted.is_queued, true)
        {
            self.queue.push_back(Arc::clone(name));
        }
        waiter
    }

    /// Takes the next name from the queue.
    pub(super) fn next(&mut self) -> Option<Arc<str>> {
        let next = self.queue.pop_front()?;
        if let Some(wanted) = self.wanted.get_mut(&next) {
            wanted.is_queued = false;
        }
        Some(next)
    }

    /// Whether one more call for an unknown name may start now. If the result is `true`, the budget is
    /// reduced by one call.
    pub(super) fn may_ask(&mut self, budget: &Budget, now: Duration) -> bool {
        self.flights.give_up_overdue(now);
        self.flights.len() < MAX_RESOLVING && budget.take(now) == Taken::Granted
    }

    /// Whether one more call for a known tenant may start now. If the result is `true`, the budget is
    /// reduced by one call.
    pub(super) fn may_ask_again(&mut self, budget: &Budget, now: Duration) -> bool {
        self.again.give_up_overdue(now);
        self.again.len() < MAX_RESOLVING_AGAIN && budget.take(now) == Taken::Granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
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
