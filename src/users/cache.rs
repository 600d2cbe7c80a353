//! The cache of users. It is pure: the current time is the argument `now`.
//!
//! An entry expires at the earlier of two times: `cache_for` after the start of its load, and the `exp`
//! of the token. Each time an entry is read, its expiry is checked with the clocks of this crate.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::crypto::{BuildFingerprintHasher, Fingerprint};
use crate::token::NumericDate;

pub(super) struct UserCache<U> {
    cache_for: Duration,
    /// `None` if nothing is cached.
    entries: Option<Cache<Fingerprint, Entry<U>, BuildFingerprintHasher>>,
}

struct Entry<U> {
    user: Arc<U>,
    /// When the entry expires, by the monotonic clock.
    until: Duration,
    /// When the token expires, by the wall clock.
    exp: Option<NumericDate>,
}

/// The current time by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) wall: NumericDate,
    pub(super) monotonic: Duration,
}

impl<U: Send + Sync + 'static> UserCache<U> {
    /// If `cache_for` or `max_entries` is zero, nothing is cached.
    pub(super) fn new(cache_for: Duration, max_entries: usize) -> Self {
        let is_on = !cache_for.is_zero() && max_entries > 0;
        let entries = is_on.then(|| {
            // moka removes each entry after this time, by its own clock, so that personal data is not
            // kept for longer than needed. If the cache is full, moka evicts the least recently used
            // entry.
            Cache::builder()
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(cache_for)
                .max_capacity(max_entries as u64)
                .build_with_hasher(BuildFingerprintHasher::default())
        });
        Self { cache_for, entries }
    }

    pub(super) fn get(&self, token: &Fingerprint, now: Now) -> Option<Arc<U>> {
        let entry = self.entries.as_ref()?.get(token)?;
        let is_valid = now.monotonic < entry.until && entry.exp.is_none_or(|exp| now.wall < exp);
        is_valid.then_some(entry.user)
    }

    /// Caches the user of a token that expires at `exp`. The load began at `began_at`, by the monotonic
    /// clock.
    pub(super) fn put(
        &self,
        token: Fingerprint,
        user: &Arc<U>,
        exp: Option<NumericDate>,
        began_at: Duration,
        now: Now,
    ) {
        let Some(entries) = &self.entries else { return };
        let until = began_at.saturating_add(self.cache_for);
        // `exp` also limits the time by the monotonic clock, so that the entry does not last longer if
        // the wall clock is set back.
        let until_exp = exp.map_or(Duration::MAX, |exp| {
            let left = exp.as_secs_f64() - now.wall.as_secs_f64();
            now.monotonic.saturating_add(Duration::try_from_secs_f64(left).unwrap_or_default())
        });
        let until = until.min(until_exp);
        if now.monotonic < until {
            entries.insert(token, Entry { user: Arc::clone(user), until, exp });
        }
    }
}

impl<U> Clone for Entry<U> {
    fn clone(&self) -> Self {
        Self { user: Arc::clone(&self.user), until: self.until, exp: self.exp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Fingerprints;

    const EXP: f64 = 2_000.0;

    fn at(wall: f64, monotonic: u64) -> Now {
        let wall = NumericDate::from_secs_f64(wall);
        Now { wall, monotonic: Duration::from_secs(monotonic) }
    }

    #[test]
    fn an_entry_ends_at_the_first_of_its_times() {
        let exp = Some(NumericDate::from_secs_f64(EXP));
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        for (name, exp, put, get, found) in [
            ("before the set time", None, at(1_000.0, 105), at(1_054.0, 159), true),
            (
                "at the set time after the load began",
                None,
                at(1_000.0, 105),
                at(1_055.0, 160),
                false,
            ),
            ("before `exp`", exp, at(1_990.0, 105), at(1_999.5, 114), true),
            ("at `exp`", exp, at(1_990.0, 105), at(2_000.0, 114), false),
            ("at `exp` by the monotonic clock", exp, at(1_990.0, 105), at(1_000.0, 115), false),
            ("put at `exp`", exp, at(2_000.0, 105), at(1_000.0, 106), false),
            ("put after `exp`", exp, at(2_030.0, 105), at(1_000.0, 106), false),
            ("put after the set time", None, at(1_000.0, 160), at(1_000.0, 160), false),
            (
                "`exp` is not a time",
                Some(NumericDate::from_secs_f64(f64::MAX)),
                at(0.0, 105),
                at(0.0, 106),
                false,
            ),
        ] {
            let cache = UserCache::new(Duration::from_secs(60), 10);
            cache.put(token, &Arc::new("alice"), exp, Duration::from_secs(100), put);
            assert_eq!(cache.get(&token, get).is_some(), found, "{name}");
        }
    }

    #[test]
    fn it_is_bounded_and_keeps_the_newest() {
        let fingerprints = Fingerprints::new(&[]).unwrap();
        let now = at(1_000.0, 0);
        let cache = UserCache::new(Duration::from_secs(60), 10);
        let keys: Vec<_> = (0..1_000_u32).map(|n| fingerprints.of(&n.to_be_bytes())).collect();
        for key in &keys {
            cache.put(*key, &Arc::new(()), None, Duration::ZERO, now);
        }
        let entries = cache.entries.as_ref().unwrap();
        entries.run_pending_tasks();
        assert_eq!(entries.entry_count(), 10);
        assert!(cache.get(keys.last().unwrap(), now).is_some());
        assert!(cache.get(keys.first().unwrap(), now).is_none());
    }

    #[test]
    fn it_can_be_off() {
        let token = Fingerprints::new(&[]).unwrap().of(b"token");
        let now = at(1_000.0, 0);
        for (name, cache_for, max_entries, found) in [
            ("on", Duration::from_secs(1), 1, true),
            ("no time", Duration::ZERO, 1, false),
            ("no entries", Duration::from_secs(1), 0, false),
        ] {
            let cache = UserCache::new(cache_for, max_entries);
            cache.put(token, &Arc::new(()), None, Duration::ZERO, now);
            assert_eq!(cache.get(&token, now).is_some(), found, "{name}");
        }
    }
}
