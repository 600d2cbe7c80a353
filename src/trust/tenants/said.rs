//! What was said of names, remembered for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::trust::tenants::tenant::Resolution;

/// How long "no such tenant" is remembered. One deleted tenant whose clients go on asking then costs
/// one question in that time; and a tenant that was just made waits no longer.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// When to come back where a tenant could not be resolved, which is remembered as long.
pub(crate) const RESOLVE_RETRY: Duration = Duration::from_secs(1);

/// What is remembered of names: a bound of their number and of their bytes, since a stranger chooses
/// them. The budget of questions allows fewer, of whatever length.
const MAX_SAID: usize = 1_000;
const MAX_SAID_BYTES: usize = 256 * 1024;

/// What was said of names of which nothing is kept: that there is no such tenant, or that it could not
/// be told.
#[derive(Default)]
pub(super) struct Said {
    /// Whether there is none, and until when that is remembered.
    names: HashMap<Arc<str>, (bool, Duration)>,
    /// In the order in which they came.
    order: VecDeque<(Arc<str>, Duration)>,
    bytes: usize,
}

impl Said {
    /// Remembers it; what came first makes room.
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
            // It may have been said again since.
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
}
