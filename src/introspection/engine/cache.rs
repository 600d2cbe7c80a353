//! The cache of introspection answers.
//!
//! An entry says that a token is active, or inactive, according to the authorization server. It
//! does not decide what the token allows. Times and policy are judged at each use. All other checks
//! run once per entry, because only one configuration ever sees the entry. The key of an entry is
//! the [`Fingerprint`] of the token and nothing else. Whether an entry is still valid is decided
//! when it is read, by the clocks of this crate.
//!
//! Inactive tokens have a separate pool, so that a flood of them evicts no active token.
//!
//! The answer to the newest question decides, whatever the order in which answers arrive. So the
//! fact that a token is inactive, or past its `exp`, is kept for as long as an answer to an older
//! question could be used. Clients get it from the cache for 5 s only. If two questions were asked
//! at the same time, "inactive" wins.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::{Cache, CacheBuilder};

use crate::crypto::{BuildFingerprintHasher, Fingerprint};
use crate::introspection::answer::Answer;
use crate::token::NumericDate;

/// The default lifetime of an answer. A revoked token is accepted for up to this long (RFC 7662
/// §4).
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(60);

/// The longest lifetime of an answer that can be set.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(300);

/// The longest time that can be set for using a stale answer past its ttl. It is the same as the
/// default for stale keys (`stale_if_error`).
pub(crate) const MAX_STALE: Duration = Duration::from_secs(60 * 60);

/// How long an inactive token is refused from the cache. This is long enough for a client that
/// keeps retrying. It is short because a server whose replicas lag may give another answer later.
pub(crate) const INACTIVE_TTL: Duration = Duration::from_secs(5);

/// The maximum number of entries in each pool.
pub(crate) const MAX_ENTRIES: u64 = 10_000;

/// The maximum size of all cached answers in memory, in octets. It matters for large answers:
/// [`MAX_ENTRIES`] bounds the number of small ones.
pub(crate) const MAX_WEIGHT: u64 = 64_000_000;

/// The minimum weight of an answer. It bounds the number of answers to [`MAX_ENTRIES`].
const LEAST_WEIGHT: u64 = MAX_WEIGHT / MAX_ENTRIES;

/// The two pools.
pub(crate) struct AnswerCache {
    ttl: Duration,
    stale: Duration,
    active: Pool<ActiveEntry>,
    inactive: Pool<InactiveEntry>,
    /// Held while an answer is stored, because both pools are read to find the newer answer.
    writing: Mutex<()>,
}

type Pool<V> = Cache<Fingerprint, V, BuildFingerprintHasher>;

#[derive(Clone)]
struct ActiveEntry {
    /// `None` for a token that was active before and is inactive by its newest answer. A flood of
    /// other inactive tokens can't evict this entry.
    answer: Option<Arc<Answer>>,
    /// The end of the ttl, counted from the question: a later end means a newer answer.
    until: Duration,
    /// A lower bound of `until`: the clock of another server may be ahead of ours.
    until_at_least: Duration,
}

#[derive(Clone, Copy)]
struct InactiveEntry {
    /// Until this time, the token is refused from the cache.
    refused_until: Duration,
    /// The same as in [`ActiveEntry`].
    until: Duration,
}

/// The cached answer about a token.
pub(crate) enum CachedAnswer {
    Active(Arc<Answer>),
    Inactive,
}

/// The current time by both clocks.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall: NumericDate,
    pub(crate) monotonic: Duration,
}

impl AnswerCache {
    /// With a `ttl` of zero nothing is cached. `stale` is how much longer an answer may be used if
    /// no new answer is available.
    pub(crate) fn new(ttl: Duration, stale: Duration) -> Self {
        let weigh = |_: &Fingerprint, held: &ActiveEntry| {
            let weight = held.answer.as_ref().map_or(0, |answer| answer.weight() as u64);
            u32::try_from(weight.max(LEAST_WEIGHT)).unwrap_or(u32::MAX)
        };
        // After `ttl + stale`, no answer that is older than an entry can be used, so the entry is
        // no longer needed.
        let active = pool(ttl + stale).max_capacity(MAX_WEIGHT).weigher(weigh);
        let active = active.build_with_hasher(BuildFingerprintHasher::default());
        let inactive = pool(ttl + stale).max_capacity(MAX_ENTRIES);
        let inactive = inactive.build_with_hasher(BuildFingerprintHasher::default());
        Self { ttl, stale, active, inactive, writing: Mutex::default() }
    }

    /// Whether answers are cached.
    pub(crate) fn is_on(&self) -> bool {
        !self.ttl.is_zero()
    }

    pub(crate) fn get(&self, token: &Fingerprint, now: Now) -> Option<CachedAnswer> {
        if !self.is_on() {
            return None;
        }
        if let Some(held) = self.active.get(token)
            && let Some(answer) = held.answer
            && now.monotonic < held.until
            && !is_past(&answer, now.wall)
        {
            return Some(CachedAnswer::Active(answer));
        }
        let inactive = self.inactive.get(token)?;
        (now.monotonic < inactive.refused_until).then_some(CachedAnswer::Inactive)
    }

    /// A stale answer: one that is past its ttl, but within the time for which stale answers may be
    /// used. It must have an `exp`, because otherwise only that time would limit its use.
    pub(crate) fn stale(&self, token: &Fingerprint, now: Now) -> Option<Arc<Answer>> {
        if self.stale.is_zero() || !self.is_on() {
            return None;
        }
        let held = self.active.get(token)?;
        let answer = held.answer?;
        let usable = now.monotonic < held.until + self.stale
            && answer.expires_at().is_some()
            && !is_past(&answer, now.wall);
        usable.then_some(answer)
    }

    /// Caches an answer to a question that was asked `age` ago, and returns whether it is the
    /// newest. An answer that is past its `exp` also replaces an older one.
    pub(crate) fn put(
        &self,
        token: Fingerprint,
        answer: &Arc<Answer>,
        now: Now,
        age: Duration,
    ) -> bool {
        self.put_shared(token, answer, now, age, age)
    }

    /// The same for an answer from the shared cache, whose age is not known exactly because another
    /// server asked the question. An entry that says that the token is inactive takes precedence,
    /// unless this answer is certainly newer.
    pub(crate) fn put_shared(
        &self,
        token: Fingerprint,
        answer: &Arc<Answer>,
        now: Now,
        age: Duration,
        age_at_most: Duration,
    ) -> bool {
        if !self.is_on() {
            return true;
        }
        let (until, until_at_least) = (self.until(now, age), self.until(now, age_at_most));
        let is_past = is_past(answer, now.wall);
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.active.get(&token).filter(|held| held.answer.is_some());
        let newer_is_active = held.is_some_and(|held| {
            let known = if is_past { held.until_at_least } else { held.until };
            known > until
        });
        // An answer past its `exp` means that the token is not active, so it is compared by its
        // newest possible time.
        let new_at_least = if is_past { until } else { until_at_least };
        if newer_is_active || self.inactive_until(&token) >= Some(new_at_least) {
            return false;
        }
        let answer = (!is_past).then(|| Arc::clone(answer));
        self.active.insert(token, ActiveEntry { answer, until, until_at_least });
        true
    }

    /// Caches that a token is not active, from the answer to a question that was asked `age` ago.
    /// Returns whether no newer answer is known.
    pub(crate) fn put_inactive(&self, token: Fingerprint, now: Now, age: Duration) -> bool {
        if !self.is_on() {
            return true;
        }
        let until = self.until(now, age);
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = self.active.get(&token) {
            if held.until_at_least > until {
                return false;
            }
            self.active.insert(token, ActiveEntry { answer: None, until, until_at_least: until });
        }
        let mut inactive =
            InactiveEntry { refused_until: now.monotonic + self.refused_for(age), until };
        if let Some(known) = self.inactive.get(&token) {
            inactive.refused_until = inactive.refused_until.max(known.refused_until);
            inactive.until = inactive.until.max(known.until);
        }
        self.inactive.insert(token, inactive);
        true
    }

    /// If a token was not active `age` ago: how much longer it is refused from the cache. No entry
    /// is valid for longer than the ttl.
    pub(crate) fn refused_for(&self, age: Duration) -> Duration {
        self.ttl.min(INACTIVE_TTL).saturating_sub(age)
    }

    /// Whether the answer to a question asked at most `age` ago says that the token is inactive or
    /// past its `exp`.
    pub(crate) fn is_inactive_since(&self, token: &Fingerprint, now: Now, age: Duration) -> bool {
        self.is_on() && self.inactive_until(token) >= Some(self.until(now, age))
    }

    /// The `until` of the newest answer that says that the token is inactive.
    fn inactive_until(&self, token: &Fingerprint) -> Option<Duration> {
        let held = self.active.get(token).filter(|held| held.answer.is_none());
        let inactive = self.inactive.get(token).map(|inactive| inactive.until);
        held.map(|held| held.until).max(inactive)
    }

    /// The end of the ttl. It is exact for every answer that is younger than the ttl. For an older
    /// one, the subtraction may saturate.
    fn until(&self, now: Now, age: Duration) -> Duration {
        (now.monotonic + self.ttl).saturating_sub(age)
    }
}

/// Whether the answer is past its `exp`. The leeway is not added, because the server that set `exp`
/// can be asked again.
pub(crate) fn is_past(answer: &Answer, wall: NumericDate) -> bool {
    answer.expires_at().is_some_and(|exp| wall.as_secs_f64() >= exp)
}

/// A full pool evicts its least recently used entry. So a token in use stays cached, and a new
/// answer is always stored. The library's default policy does not guarantee this.
///
/// The library drops entries after `past_use`, by its own clock, so that personal data is not kept
/// for longer than needed (RFC 7662 §5). This crate does not rely on that to decide whether an
/// answer is still valid.
fn pool<V: Clone + Send + Sync + 'static>(
    past_use: Duration,
) -> CacheBuilder<Fingerprint, V, Cache<Fingerprint, V>> {
    Cache::builder().eviction_policy(EvictionPolicy::lru()).time_to_live(past_use)
}

impl fmt::Debug for AnswerCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerCache").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Fingerprints;

    fn now(seconds: u64) -> Now {
        let time = Duration::from_secs(seconds);
        Now { wall: NumericDate::now(time), monotonic: time }
    }

    fn answer(json: &str) -> Arc<Answer> {
        Arc::new(Answer::parse(json.as_bytes()).unwrap().unwrap())
    }

    #[test]
    fn an_answer_holds_for_the_ttl_and_never_past_exp() {
        let fingerprints = Fingerprints::new(&[]).unwrap();
        for (name, ttl, json, lasts) in [
            ("no exp", 60, r#"{"active":true}"#, 60),
            ("exp later", 60, r#"{"active":true,"exp":1000}"#, 60),
            ("exp earlier", 60, r#"{"active":true,"exp":2.5}"#, 3),
            ("exp now", 60, r#"{"active":true,"exp":0}"#, 0),
            ("exp as text", 60, r#"{"active":true,"exp":"2"}"#, 2),
            ("exp unreadable", 60, r#"{"active":true,"exp":"soon"}"#, 60),
            ("off", 0, r#"{"active":true}"#, 0),
        ] {
            let cache = AnswerCache::new(Duration::from_secs(ttl), Duration::ZERO);
            let token = fingerprints.of(b"token");
            cache.put(token, &answer(json), now(0), Duration::ZERO);
            for second in 0..=62 {
                let held = matches!(cache.get(&token, now(second)), Some(CachedAnswer::Active(_)));
                assert_eq!(held, second < lasts, "{name}, second {second}");
            }
        }
    }

    #[test]
    fn a_stale_answer_stands_in_for_a_bounded_time_and_never_past_exp() {
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        for (name, stale, json, from, to) in [
            ("bounded", 30, r#"{"active":true,"exp":1000}"#, 60, 90),
            ("exp earlier", 30, r#"{"active":true,"exp":70}"#, 60, 70),
            ("exp unknown", 30, r#"{"active":true}"#, 0, 0),
            ("off", 0, r#"{"active":true,"exp":1000}"#, 0, 0),
        ] {
            let cache = AnswerCache::new(DEFAULT_TTL, Duration::from_secs(stale));
            cache.put(token, &answer(json), now(0), Duration::ZERO);
            for second in 60..=91 {
                assert!(cache.get(&token, now(second)).is_none(), "{name}, second {second}");
                let stands_in = cache.stale(&token, now(second)).is_some();
                assert_eq!(stands_in, (from..to).contains(&second), "{name}, second {second}");
            }
            cache.put_inactive(token, now(60), Duration::ZERO);
            assert!(cache.stale(&token, now(61)).is_none(), "{name}: it was said to be dead");
        }
    }

    #[test]
    fn the_ttl_does_not_follow_the_wall_clock() {
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        let cache = AnswerCache::new(DEFAULT_TTL, Duration::ZERO);
        let at = |wall, monotonic| Now {
            wall: NumericDate::now(Duration::from_secs(wall)),
            monotonic: Duration::from_secs(monotonic),
        };
        cache.put(token, &answer(r#"{"active":true,"exp":20000}"#), at(10_000, 0), Duration::ZERO);
        assert!(cache.get(&token, at(5_000, 60)).is_none(), "the wall clock went back");
        assert!(cache.get(&token, at(15_000, 59)).is_some(), "the wall clock went ahead");
        assert!(cache.get(&token, at(20_000, 1)).is_none(), "exp follows the wall clock");
    }

    #[test]
    fn inactive_is_remembered_for_less_and_takes_the_place_of_active() {
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        let cache = AnswerCache::new(DEFAULT_TTL, Duration::ZERO);
        cache.put(token, &answer(r#"{"active":true}"#), now(0), Duration::ZERO);
        cache.put_inactive(token, now(0), Duration::ZERO);
        assert!(matches!(cache.get(&token, now(4)), Some(CachedAnswer::Inactive)));
        assert!(cache.get(&token, now(5)).is_none());
        let cache = AnswerCache::new(Duration::from_secs(2), Duration::ZERO);
        cache.put_inactive(token, now(0), Duration::ZERO);
        assert!(matches!(cache.get(&token, now(1)), Some(CachedAnswer::Inactive)));
        assert!(cache.get(&token, now(2)).is_none(), "nothing holds longer than the ttl");
    }

    #[test]
    fn the_age_of_an_answer_counts_from_its_question_even_before_this_process_began() {
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        let cache = AnswerCache::new(DEFAULT_TTL, Duration::ZERO);
        cache.put(token, &answer(r#"{"active":true}"#), now(0), Duration::from_secs(50));
        assert!(matches!(cache.get(&token, now(9)), Some(CachedAnswer::Active(_))));
        assert!(cache.get(&token, now(10)).is_none());
        cache.put_inactive(token, now(10), Duration::from_secs(3));
        assert!(matches!(cache.get(&token, now(11)), Some(CachedAnswer::Inactive)));
        assert!(cache.get(&token, now(12)).is_none());
    }

    #[test]
    fn the_newest_question_decides_in_whatever_order_the_answers_arrive() {
        // For each answer: the second of its question, and its content.
        const GOOD: Option<&str> = Some(r#"{"active":true,"exp":1000}"#);
        const OVER: Option<&str> = Some(r#"{"active":true,"exp":1}"#);
        const DEAD: Option<&str> = None;
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        for (name, answers, cached) in [
            ("active alone", &[(10, GOOD)][..], Some(true)),
            ("a newer active", &[(10, GOOD), (11, GOOD)], Some(true)),
            ("inactive after active", &[(10, GOOD), (11, DEAD)], Some(false)),
            ("active lands after newer inactive", &[(11, DEAD), (10, GOOD)], Some(false)),
            ("a tie", &[(10, GOOD), (10, DEAD)], Some(false)),
            ("a tie, the other way round", &[(10, DEAD), (10, GOOD)], Some(false)),
            ("active after inactive", &[(10, DEAD), (11, GOOD)], Some(true)),
            ("inactive lands after newer active", &[(11, GOOD), (10, DEAD)], Some(true)),
            ("past exp after active", &[(10, GOOD), (11, OVER)], None),
            ("active lands after a newer one past exp", &[(11, OVER), (10, GOOD)], None),
            ("past exp lands after newer active", &[(11, GOOD), (10, OVER)], Some(true)),
            ("past exp, then active", &[(10, OVER), (11, GOOD)], Some(true)),
            ("between two inactive", &[(10, DEAD), (12, DEAD), (11, GOOD)], Some(false)),
            ("active, dead, late active", &[(9, GOOD), (11, DEAD), (10, GOOD)], Some(false)),
        ] {
            let cache = AnswerCache::new(DEFAULT_TTL, Duration::from_secs(30));
            for (asked, answered) in answers {
                let age = Duration::from_secs(12 - asked);
                match answered {
                    Some(json) => cache.put(token, &answer(json), now(12), age),
                    None => cache.put_inactive(token, now(12), age),
                };
            }
            let found = cache.get(&token, now(12));
            let found = found.map(|found| matches!(found, CachedAnswer::Active(_)));
            assert_eq!(found, cached, "{name}");
            // An answer that was overtaken is not used as a stale answer later, either.
            let stands_in = cache.stale(&token, now(75)).is_some();
            assert_eq!(stands_in, cached == Some(true), "{name}");
        }
    }

    #[test]
    fn a_seen_revocation_counts_for_as_long_as_an_older_answer_could_be_used() {
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        let live = answer(r#"{"active":true,"exp":1000}"#);
        for (ttl, stale) in [(1, 0), (60, 0), (60, 30), (1, 600)] {
            let (ttl, stale) = (Duration::from_secs(ttl), Duration::from_secs(stale));
            for was_active in [true, false] {
                for later in 0..=(ttl + stale).as_secs() {
                    let cache = AnswerCache::new(ttl, stale);
                    if was_active {
                        cache.put(token, &live, now(90), Duration::ZERO);
                    }
                    cache.put_inactive(token, now(100), Duration::ZERO);
                    let (now, age) = (now(100 + later), Duration::from_secs(later));
                    assert!(cache.is_inactive_since(&token, now, age), "{later}");
                    assert!(!cache.put(token, &live, now, age + Duration::from_nanos(1)));
                    assert!(!cache.put(token, &live, now, age), "a tie, {later} s later");
                    assert!(!matches!(cache.get(&token, now), Some(CachedAnswer::Active(_))));
                    assert!(cache.stale(&token, now).is_none(), "{later}");
                    if let Some(age) = age.checked_sub(Duration::from_nanos(1)) {
                        assert!(!cache.is_inactive_since(&token, now, age), "{later}");
                        assert!(cache.put(token, &live, now, age), "asked later");
                    }
                }
            }
        }
    }

    #[test]
    fn a_shared_answer_outdoes_a_revocation_only_if_it_is_surely_newer() {
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        let (live, over) = (answer(r#"{"active":true}"#), answer(r#"{"active":true,"exp":1}"#));
        let seconds = Duration::from_secs;
        // The shared answer is at least 5 s old; the other one was asked for 10 s ago.
        for (name, at_most, wins) in
            [("surely newer", 9, true), ("a tie", 10, false), ("maybe older", 11, false)]
        {
            for shared_first in [true, false] {
                for (kind, inactive) in [("inactive", None), ("past exp", Some(&over))] {
                    let cache = AnswerCache::new(DEFAULT_TTL, seconds(30));
                    let say_inactive = || match inactive {
                        None => cache.put_inactive(token, now(100), seconds(10)),
                        Some(over) => cache.put(token, over, now(100), seconds(10)),
                    };
                    let share =
                        || cache.put_shared(token, &live, now(100), seconds(5), seconds(at_most));
                    let taken = if shared_first {
                        assert!(share());
                        !say_inactive()
                    } else {
                        assert!(say_inactive());
                        share()
                    };
                    let name = format!("{name}, {kind}, shared first: {shared_first}");
                    assert_eq!(taken, wins, "{name}");
                    let found = cache.get(&token, now(100));
                    assert_eq!(matches!(found, Some(CachedAnswer::Active(_))), wins, "{name}");
                }
            }
        }
    }

    #[test]
    fn a_flood_of_dead_tokens_pushes_no_seen_revocation_out() {
        let fingerprints = Fingerprints::new(&[]).unwrap();
        let of = |n: u64| fingerprints.of(&n.to_le_bytes());
        let cache = AnswerCache::new(DEFAULT_TTL, Duration::ZERO);
        let live = answer(r#"{"active":true}"#);
        cache.put(of(0), &live, now(0), Duration::ZERO);
        cache.put_inactive(of(0), now(1), Duration::ZERO);
        for n in 1..=2 * MAX_ENTRIES {
            cache.put_inactive(of(n), now(1), Duration::ZERO);
        }
        cache.inactive.run_pending_tasks();
        assert!(!cache.put(of(0), &live, now(2), Duration::from_secs(2)), "asked before");
        assert!(cache.put(of(0), &live, now(2), Duration::ZERO), "asked after");
    }

    #[test]
    fn pools_are_bounded_and_dead_tokens_push_no_live_one_out() {
        let fingerprints = Fingerprints::new(&[]).unwrap();
        let of = |n: u64| fingerprints.of(&n.to_le_bytes());
        let cache = AnswerCache::new(DEFAULT_TTL, Duration::ZERO);
        let live = answer(r#"{"active":true}"#);
        cache.put(of(0), &live, now(0), Duration::ZERO);
        for n in 1..=2 * MAX_ENTRIES {
            cache.put_inactive(of(n), now(0), Duration::ZERO);
        }
        cache.inactive.run_pending_tasks();
        assert!(cache.inactive.entry_count() <= MAX_ENTRIES);
        assert!(cache.get(&of(0), now(1)).is_some());
        for n in 1..=MAX_ENTRIES {
            cache.put(of(n), &live, now(0), Duration::ZERO);
        }
        cache.active.run_pending_tasks();
        assert_eq!(cache.active.entry_count(), MAX_ENTRIES);
        assert!(cache.get(&of(0), now(1)).is_none(), "the oldest goes");
        assert!(cache.get(&of(MAX_ENTRIES), now(1)).is_some());
    }

    #[test]
    fn answers_are_bounded_by_their_weight_as_well() {
        let fingerprints = Fingerprints::new(&[]).unwrap();
        let of = |n: u64| fingerprints.of(&n.to_le_bytes());
        for (name, octets, cached) in
            [("short", 1_000, 1_500), ("as long as 1,000 may be", 63_000, 1_020)]
        {
            let cache = AnswerCache::new(DEFAULT_TTL, Duration::ZERO);
            let text = "x".repeat(octets);
            for n in 0..1_500 {
                let answer = answer(&format!(r#"{{"active":true,"text":"{text}"}}"#));
                cache.put(of(n), &answer, now(0), Duration::ZERO);
            }
            cache.active.run_pending_tasks();
            let count = cache.active.entry_count();
            assert!(count <= cached && count > cached - 20, "{name}: {count}");
            assert!(cache.get(&of(1_499), now(1)).is_some(), "{name}: the newest");
        }
    }
}
