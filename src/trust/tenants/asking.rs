//! Names that are asked about, in their turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::budget::{Budget, Taken};
use crate::flight::{Flights, Waiter};
use crate::trust::tenants::said::Said;
use crate::trust::tenants::tenant::Resolution;

/// Names that are being resolved at one time; the others wait for their turn.
const MAX_RESOLVING: usize = 64;

/// Tenants that are known and are being resolved again at one time. These questions have a number and
/// a budget of their own: made-up names must not keep a tenant that is gone from being found out.
const MAX_RESOLVING_AGAIN: usize = 32;

/// How long the resolver may take.
pub(super) const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);

/// Requests that wait for the resolver; more are refused with 503, so that made-up names can't fill
/// the memory with them.
const MAX_WAITING: usize = 1_024;

/// Names that are asked about, and what was said of them.
pub(super) struct Asking {
    pub(super) flights: Flights<Arc<str>, Resolution>,
    /// Tenants that are known and are asked about again.
    pub(super) again: Flights<Arc<str>, Resolution>,
    /// Names that wait for their turn, in their order.
    pub(super) queue: VecDeque<Arc<str>>,
    /// The names that requests wait for, and how many requests in all.
    wanted: HashMap<Arc<str>, Wanted>,
    waiting: usize,
    pub(super) said: Said,
}

#[derive(Default)]
struct Wanted {
    requests: usize,
    /// Whether the name waits for its turn: each request that waits looks after that every 100 ms, so
    /// it is not looked for in the queue.
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

    /// Whether one more request may wait for this name.
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
                    // Nobody is there to hear the answer.
                    self.queue.retain(|queued| queued != name);
                }
                self.wanted.remove(name);
            }
        }
    }

    /// Joins the question under way; else the name waits for its turn.
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

    /// The name whose turn it is.
    pub(super) fn next(&mut self) -> Option<Arc<str>> {
        let next = self.queue.pop_front()?;
        if let Some(wanted) = self.wanted.get_mut(&next) {
            wanted.is_queued = false;
        }
        Some(next)
    }

    /// Whether one more question may begin now.
    pub(super) fn may_ask(&mut self, budget: &Budget, now: Duration) -> bool {
        self.flights.give_up_overdue(now);
        self.flights.len() < MAX_RESOLVING && budget.take(now) == Taken::Granted
    }

    /// The same for one about a tenant that is known.
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
