//! The cache of negative resolver results.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::trust::tenants::tenant::Resolution;

/// How long "no such tenant" is cached. If clients of a deleted tenant keep sending requests, the
/// resolver is called at most once in this time. If clients send requests before their tenant is
/// created, the crate may refuse their requests for up to this time after the tenant is created.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// The `Retry-After` of the response if a tenant could not be resolved. If the resolver failed, the
/// failure is cached for the same time.
pub(crate) const RESOLVE_RETRY: Duration = Duration::from_secs(1);

/// The limits of the cache: the number of names, and the total size of the names. The limits are needed
/// because the names come from unverified tokens. The rate limit of resolver calls also limits the
/// number of names, but not their size.
const MAX_SAID: usize = 1_000;
const MAX_SAID_BYTES: usize = 256 * 1024;

/// The negative results of resolver calls: there is no such tenant, or the resolver failed.
#[derive(Default)]
pub(super) struct Said {
    /// The entries by name. The first value is `true` if there is no such tenant, and `false` if the
    /// resolver failed. The second value is the time at which the entry expires.
    names: HashMap<Arc<str>, (bool, Duration)>,
    /// The entries from oldest to newest.
    order: VecDeque<(Arc<str>, Duration)>,
    bytes: usize,
}

impl Said {
    /// Adds a result. Removes expired entries. If a limit is exceeded, also removes the oldest entries.
    pub(super) fn remember(&mut self, name: &Arc<str>, is_absent: bool, now: Duration) {
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
            // The name may have a newer entry.
            if self.names.get(&name).is_some_and(|(_, own)| *own == until) {
                self.names.remove(&name);
            }
        }
    }

    pub(super) fn of(&self, name: &str, now: Duration) -> Option<Resolution> {
        let (is_absent, until) = self.names.get(name)?;
        let resolution = if *is_absent { Resolution::Unknown } else { Resolution::Open };
        (now < *until).then_some(resolution)
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
        // A second result for the same name starts a new period.
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
        // Expired entries are removed, too.
        said.remember(&"late".into(), true, s(10));
        assert_eq!((said.names.len(), said.order.len(), said.bytes), (1, 1, 4));
    }
}
