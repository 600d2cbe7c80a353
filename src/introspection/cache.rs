//! Answers, remembered for a while.
//!
//! What is remembered is the fact that the authorization server vouched for a token, never what
//! that allows: `exp`, `nbf`, audience, sender and policy are judged at each use anew. A token is
//! known by its [`Fingerprint`] alone. How long an answer holds is judged when it is read, by the
//! clocks of this crate.
//!
//! Inactive tokens have a pool of their own, so that a flood of them pushes no live one out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::crypto::{BuildFingerprintHasher, Fingerprint};
use crate::introspection::answer::Answer;

/// How long an answer holds unless set: what a revoked token may live on for (RFC 7662 §4).
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(60);

/// How long an answer can be set to hold at most.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(300);

/// How long it is remembered that a token is not active: long enough to answer a client that keeps
/// trying, and short, since a server whose replicas lag may think again.
pub(crate) const INACTIVE_TTL: Duration = Duration::from_secs(5);

/// Answers remembered in each pool.
pub(crate) const MAX_ENTRIES: u64 = 10_000;

/// The two pools.
pub(crate) struct AnswerCache {
    ttl: Duration,
    active: Pool<Held>,
    inactive: Pool<Duration>,
}

type Pool<V> = Cache<Fingerprint, V, BuildFingerprintHasher>;

#[derive(Clone)]
struct Held {
    answer: Arc<Answer>,
    until: Duration,
}

/// What is remembered of a token.
pub(crate) enum Remembered {
    Active(Arc<Answer>),
    Inactive,
}

/// What time it is, by both clocks.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall: Duration,
    pub(crate) monotonic: Duration,
}

impl AnswerCache {
    /// With a `ttl` of zero nothing is remembered at all.
    pub(crate) fn new(ttl: Duration) -> Self {
        Self { ttl, active: pool(), inactive: pool() }
    }

    /// Whether answers are remembered.
    pub(crate) fn is_on(&self) -> bool {
        !self.ttl.is_zero()
    }

    pub(crate) fn get(&self, token: &Fingerprint, now: Now) -> Option<Remembered> {
        if !self.is_on() {
            return None;
        }
        if let Some(held) = self.active.get(token)
            && now.monotonic < held.until
            && !is_past(&held.answer, now.wall)
        {
            return Some(Remembered::Active(held.answer));
        }
        let until = self.inactive.get(token)?;
        (now.monotonic < until).then_some(Remembered::Inactive)
    }

    pub(crate) fn put(&self, token: Fingerprint, answer: &Arc<Answer>, now: Now) {
        if self.is_on() && !is_past(answer, now.wall) {
            let held = Held { answer: Arc::clone(answer), until: now.monotonic + self.ttl };
            self.active.insert(token, held);
        }
    }

    pub(crate) fn put_inactive(&self, token: Fingerprint, now: Now) {
        if self.is_on() {
            self.active.invalidate(&token);
            // Nothing is remembered longer than the ttl.
            self.inactive.insert(token, now.monotonic + self.ttl.min(INACTIVE_TTL));
        }
    }
}

/// Past its `exp`, without the leeway: the server that sets the time can be asked.
fn is_past(answer: &Answer, wall: Duration) -> bool {
    answer.expires_at().is_some_and(|exp| wall.as_secs_f64() >= exp)
}

/// Least recently used out: the newest answer is always kept, which the default policy of the
/// library does not promise, and a token in use stays in.
fn pool<V: Clone + Send + Sync + 'static>() -> Pool<V> {
    Cache::builder()
        .max_capacity(MAX_ENTRIES)
        .eviction_policy(EvictionPolicy::lru())
        .build_with_hasher(BuildFingerprintHasher::default())
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
        Now { wall: time, monotonic: time }
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
            ("exp unreadable", 60, r#"{"active":true,"exp":"2"}"#, 60),
            ("off", 0, r#"{"active":true}"#, 0),
        ] {
            let cache = AnswerCache::new(Duration::from_secs(ttl));
            let token = fingerprints.of(b"token");
            cache.put(token, &answer(json), now(0));
            for second in 0..=62 {
                let held = matches!(cache.get(&token, now(second)), Some(Remembered::Active(_)));
                assert_eq!(held, second < lasts, "{name}, second {second}");
            }
        }
    }

    #[test]
    fn the_ttl_does_not_follow_the_wall_clock() {
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        let cache = AnswerCache::new(DEFAULT_TTL);
        let at = |wall, monotonic| Now {
            wall: Duration::from_secs(wall),
            monotonic: Duration::from_secs(monotonic),
        };
        cache.put(token, &answer(r#"{"active":true,"exp":20000}"#), at(10_000, 0));
        assert!(cache.get(&token, at(5_000, 60)).is_none(), "the wall clock went back");
        assert!(cache.get(&token, at(15_000, 59)).is_some(), "the wall clock went ahead");
        assert!(cache.get(&token, at(20_000, 1)).is_none(), "exp follows the wall clock");
    }

    #[test]
    fn inactive_is_remembered_for_less_and_takes_the_place_of_active() {
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        let cache = AnswerCache::new(DEFAULT_TTL);
        cache.put(token, &answer(r#"{"active":true}"#), now(0));
        cache.put_inactive(token, now(0));
        assert!(matches!(cache.get(&token, now(4)), Some(Remembered::Inactive)));
        assert!(cache.get(&token, now(5)).is_none());
        let cache = AnswerCache::new(Duration::from_secs(2));
        cache.put_inactive(token, now(0));
        assert!(matches!(cache.get(&token, now(1)), Some(Remembered::Inactive)));
        assert!(cache.get(&token, now(2)).is_none(), "nothing holds longer than the ttl");
    }

    #[test]
    fn pools_are_bounded_and_dead_tokens_push_no_live_one_out() {
        let fingerprints = Fingerprints::new(&[]).unwrap();
        let of = |n: u64| fingerprints.of(&n.to_le_bytes());
        let cache = AnswerCache::new(DEFAULT_TTL);
        let live = answer(r#"{"active":true}"#);
        cache.put(of(0), &live, now(0));
        for n in 1..=2 * MAX_ENTRIES {
            cache.put_inactive(of(n), now(0));
        }
        cache.inactive.run_pending_tasks();
        assert!(cache.inactive.entry_count() <= MAX_ENTRIES);
        assert!(cache.get(&of(0), now(1)).is_some());
        for n in 1..=MAX_ENTRIES {
            cache.put(of(n), &live, now(0));
        }
        cache.active.run_pending_tasks();
        assert_eq!(cache.active.entry_count(), MAX_ENTRIES);
        assert!(cache.get(&of(0), now(1)).is_none(), "the oldest goes");
        assert!(cache.get(&of(MAX_ENTRIES), now(1)).is_some());
    }
}
