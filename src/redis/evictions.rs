//! Whether a Redis can be relied on to keep its data: what `INFO` said about evictions, and when.
//!
//! Decides:
//!
//! - whether used proofs may have been evicted: if the policy is not `noeviction`, or if the number
//!   of evicted keys has changed. A lower number counts as a change, too: the counter was reset,
//!   which hides earlier evictions;
//! - how long an answer of `INFO` can be used: after [`DUE`], `INFO` is read again (a "look"), and
//!   after [`STALE`], nothing is known;
//! - which proofs are refused after evictions: each proof that can have been used before a look
//!   found again that nothing is evicted.

use std::time::Duration;

/// The age of the last look at which another look begins. Requests do not wait for that one.
const DUE: Duration = Duration::from_secs(5);

/// The age at which the last look no longer counts. So evictions are noticed within this time, even
/// if requests are rare or looks fail.
const STALE: Duration = Duration::from_secs(10);

/// How long before this check a request may have read its clock: no request waits longer for the
/// store.
const SLACK: Duration = Duration::from_secs(1);

/// The only policy with which Redis never drops a key before it expires.
const POLICY: &str = "noeviction";

/// What `INFO` says about evictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    policy: String,
    /// The number of evicted keys since the server's start, or since the last reset of its
    /// counters.
    evicted: u64,
}

impl Seen {
    /// Reads the sections `memory` and `stats` of `INFO`.
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
    /// The problem of the last look, if it failed.
    failure: Option<String>,
    /// The number of evicted keys at the last look that found the right policy. Zero before the
    /// first look.
    evicted: u64,
    /// Whether the policy was wrong at the last look, so that data may have been evicted.
    lost: bool,
    /// Whether a look has found the right policy after possible evictions, but
    /// [`whole_since`](Self::whole_since) is not yet set.
    healed: bool,
    /// Since the epoch, by the clock of the caller. Proofs used before this time may have been
    /// evicted.
    whole_since: Duration,
}

#[derive(Debug)]
struct Look {
    began_at: Duration,
    verdict: Result<(), String>,
}

impl Evictions {
    /// Records the result of a look that began at `began_at`.
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

    /// Records that a look failed. The last successful look counts until it is too old.
    pub(super) fn failed(&mut self, problem: String) -> Result<(), String> {
        let problem = format!("can't check for evictions: {problem}");
        self.failure = Some(problem.clone());
        Err(problem)
    }

    /// Whether it is time for another look.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.last.as_ref().is_none_or(|look| now.saturating_sub(look.began_at) >= DUE)
    }

    /// The verdict of the last look. `None` if there was no look, or if it is too old.
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

    /// The problem that the health of the server shows.
    pub(super) fn problem(&self, now: Duration) -> Option<String> {
        // A problem is shown until a look finds that it is gone, however old the last look is.
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
