//! Whether a Redis can be relied on to keep its data: what `INFO` said about evictions, and when.
//!
//! Decides:
//!
//! - whether used proofs may have been evicted: under another policy than `noeviction`, or if the
//!   number of evicted keys changed. A number that is lower counts as well: the counter was reset, so
//!   it hides what was evicted before;
//! - how long an answer of `INFO` is good for: after [`DUE`] it is time for another look, and after
//!   [`STALE`] nothing is known;
//! - what is forgotten after evictions: each proof that can have been used before the first look that
//!   found all in order again.

use std::time::Duration;

/// The age at which another look begins. Requests do not wait for it.
const DUE: Duration = Duration::from_secs(5);

/// The age at which the last look counts no more, so that evictions are seen within this time also if
/// requests are rare or looks fail.
const STALE: Duration = Duration::from_secs(10);

/// A request may have read its clock so long before it looks here: no request waits for longer.
const SLACK: Duration = Duration::from_secs(1);

/// The only policy under which Redis keeps what has not expired.
const POLICY: &str = "noeviction";

/// What `INFO` says about evictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    policy: String,
    /// Since the server's start, or the last reset of its counters.
    evicted: u64,
}

impl Seen {
    /// From the sections `memory` and `stats`.
    pub(super) fn parse(memory: &str, stats: &str) -> Result<Self, String> {
        let missing = |name| format!("INFO does not show {name}");
        let policy =
            field(memory, "maxmemory_policy").ok_or_else(|| missing("maxmemory_policy"))?;
        let evicted = field(stats, "evicted_keys").and_then(|number| number.parse().ok());
        let evicted = evicted.ok_or_else(|| missing("evicted_keys"))?;
        Ok(Self { policy: policy.to_owned(), evicted })
    }
}

fn field<'a>(section: &'a str, name: &str) -> Option<&'a str> {
    section.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// What is known about evictions. Ages are by the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    last: Option<Look>,
    /// Why looks failed since the last one that did not.
    failure: Option<String>,
    /// The number of evicted keys at the last good look. A process that has not looked yet expects
    /// none.
    evicted: u64,
    /// Data may have been evicted since the last good look.
    lost: bool,
    /// All is in order again, but [`whole_since`](Self::whole_since) is not yet set.
    healed: bool,
    /// Since the epoch, by the clock of the caller. What was used before may have been evicted.
    whole_since: Duration,
}

#[derive(Debug)]
struct Look {
    began_at: Duration,
    verdict: Result<(), String>,
}

impl Evictions {
    /// Notes what a look saw that began at `began_at`.
    pub(super) fn saw(&mut self, began_at: Duration, seen: Seen) -> Result<(), String> {
        let verdict = if seen.policy == POLICY {
            self.healed |= self.lost || seen.evicted != self.evicted;
            self.lost = false;
            self.evicted = seen.evicted;
            Ok(())
        } else {
            self.lost = true;
            let policy = seen.policy.escape_debug();
            Err(format!("maxmemory-policy is {policy}: used proofs can be evicted; set {POLICY}"))
        };
        self.last = Some(Look { began_at, verdict: verdict.clone() });
        self.failure = None;
        verdict
    }

    /// Notes that a look failed. The one before still counts until it is too old.
    pub(super) fn failed(&mut self, problem: String) -> Result<(), String> {
        let problem = format!("can't check for evictions: {problem}");
        self.failure = Some(problem.clone());
        Err(problem)
    }

    /// Whether it is time for another look.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.last.as_ref().is_none_or(|look| now.saturating_sub(look.began_at) >= DUE)
    }

    /// What the last look says. `None` if there was none, or if it is too old.
    pub(super) fn verdict(&self, now: Duration) -> Option<Result<(), String>> {
        let last = self.last.as_ref()?;
        (now.saturating_sub(last.began_at) < STALE).then(|| last.verdict.clone())
    }

    /// Whether a proof may have been used and evicted. `now` and `earliest` are by the caller's wall
    /// clock, since the epoch.
    pub(super) fn may_have_evicted(&mut self, earliest: Duration, now: Duration) -> bool {
        if std::mem::take(&mut self.healed) {
            self.whole_since = self.whole_since.max(now.saturating_add(SLACK));
        }
        earliest < self.whole_since
    }

    /// For health.
    pub(super) fn problem(&self, now: Duration) -> Option<String> {
        // A problem stays until a look finds that it is gone, however rarely somebody asks.
        match (self.verdict(now), &self.last) {
            (Some(verdict), _) => verdict.err(),
            (None, Some(Look { verdict: Err(problem), .. })) => Some(problem.clone()),
            (None, _) => self.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLI: Duration = Duration::from_millis(1);

    fn seen(policy: &str, evicted: u64) -> Seen {
        Seen { policy: policy.to_owned(), evicted }
    }

    #[test]
    fn info_is_read() {
        let memory = "# Memory\r\nused_memory:1\r\nmaxmemory_policy:noeviction\r\nx:y\r\n";
        let stats = "# Stats\r\nexpired_keys:7\r\nevicted_keys:42\r\nevicted_clients:3\r\n";
        let none = stats.replace("42", "");
        let other = stats.replace("evicted_keys", "my_evicted_keys");
        for (name, memory, stats, expected) in [
            ("both", memory, stats, Ok(seen("noeviction", 42))),
            ("no policy", "# Memory\r\n", stats, Err("INFO does not show maxmemory_policy")),
            ("no number", memory, &none, Err("INFO does not show evicted_keys")),
            ("another name", memory, &other, Err("INFO does not show evicted_keys")),
            ("nothing", "", "", Err("INFO does not show maxmemory_policy")),
        ] {
            assert_eq!(Seen::parse(memory, stats), expected.map_err(str::to_owned), "{name}");
        }
    }

    #[test]
    fn a_look_is_good_for_ten_seconds_and_due_after_five() {
        let mut own = Evictions::default();
        assert!(own.is_due(Duration::ZERO) && own.verdict(Duration::ZERO).is_none());
        let at = 100 * SECOND;
        assert_eq!(own.saw(at, seen("noeviction", 0)), Ok(()));
        for (age, due, known) in [
            (Duration::ZERO, false, true),
            (DUE - MILLI, false, true),
            (DUE, true, true),
            (STALE - MILLI, true, true),
            (STALE, true, false),
        ] {
            assert_eq!(own.is_due(at + age), due, "{age:?}");
            assert_eq!(own.verdict(at + age).is_some(), known, "{age:?}");
        }
        // A look that fails changes neither.
        assert!(own.failed("NOPERM".to_owned()).is_err());
        assert_eq!((own.is_due(at + DUE), own.verdict(at)), (true, Some(Ok(()))));
        assert_eq!(own.problem(at), None);
        let problem = own.problem(at + STALE).unwrap();
        assert_eq!(problem, "can't check for evictions: NOPERM");
        assert_eq!(own.saw(at + STALE, seen("noeviction", 0)), Ok(()));
        assert_eq!(own.problem(at + 3 * STALE), None, "an idle server has no problem");
    }

    #[test]
    fn only_noeviction_is_good() {
        for (policy, good) in [
            ("noeviction", true),
            ("allkeys-lru", false),
            ("volatile-ttl", false),
            ("volatile-lru", false),
            ("NOEVICTION", false),
            ("", false),
        ] {
            let mut own = Evictions::default();
            let verdict = own.saw(SECOND, seen(policy, 0));
            assert_eq!(verdict.is_ok(), good, "{policy}");
            assert_eq!(own.problem(SECOND), verdict.clone().err(), "{policy}");
            let later = own.problem(SECOND + 2 * STALE);
            assert_eq!(later, verdict.clone().err(), "{policy}: whoever asks rarely sees it, too");
            assert_eq!(own.verdict(SECOND), Some(verdict), "{policy}");
        }
    }

    #[test]
    fn after_evictions_older_proofs_are_forgotten() {
        let now = 1_000 * SECOND;
        type Looks = &'static [(&'static str, u64)];
        let rows: [(&str, Looks, bool); 9] = [
            ("no look", &[], false),
            ("never any", &[("noeviction", 0), ("noeviction", 0)], false),
            ("some before the first look", &[("noeviction", 1)], true),
            ("some between looks", &[("noeviction", 0), ("noeviction", 1)], true),
            ("a wrong policy at first", &[("allkeys-lru", 0), ("noeviction", 0)], true),
            ("a wrong policy", &[("noeviction", 0), ("allkeys-lru", 0), ("noeviction", 0)], true),
            ("and evictions", &[("noeviction", 0), ("allkeys-lru", 5), ("noeviction", 9)], true),
            ("the counter was reset", &[("noeviction", 0), ("noeviction", 0)], false),
            ("still wrong", &[("noeviction", 0), ("allkeys-lru", 0)], false),
        ];
        for (name, looks, forgotten) in rows {
            let mut own = Evictions::default();
            for (policy, evicted) in looks {
                let _ = own.saw(SECOND, seen(policy, *evicted));
            }
            assert_eq!(own.may_have_evicted(now + SLACK - MILLI, now), forgotten, "{name}");
            assert!(!own.may_have_evicted(now + SLACK, now), "{name}: used after it");
            // Once, not at each look.
            let _ = looks.last().map(|(policy, evicted)| own.saw(SECOND, seen(policy, *evicted)));
            assert!(!own.may_have_evicted(now + SLACK, 2 * now), "{name}: again");
        }
        let mut own = Evictions::default();
        for (evicted, at) in [(7, now), (0, 2 * now)] {
            let _ = own.saw(SECOND, seen("noeviction", evicted));
            assert!(own.may_have_evicted(at, at), "a reset hides what was evicted before");
        }
        assert!(!own.may_have_evicted(2 * now + SLACK, 2 * now));
        assert!(own.may_have_evicted(now, now), "a clock that goes back forgets nothing of it");
    }
}
