//! How long a set holds.

use std::time::Duration;

/// How long a set is fresh when its server does not say. A rotation with overlap is then seen long
/// before the old key goes.
pub(crate) const FRESHNESS: Duration = Duration::from_secs(5 * 60);

/// The least freshness that a server can ask for, so that `max-age=0` is no load on it.
pub(crate) const MIN_FRESHNESS: Duration = Duration::from_secs(60);

/// The most freshness that a server can ask for, so that a withdrawn key is gone within the hour.
pub(crate) const MAX_FRESHNESS: Duration = Duration::from_secs(60 * 60);

/// How long past its freshness a set is used while its server fails, unless set: an outage of 50
/// minutes passes unnoticed, and a compromised key can't be kept alive for longer by blocking the
/// fetch.
pub(crate) const STALE_IF_ERROR: Duration = Duration::from_secs(60 * 60);

/// The most that can be set for it: a key that was withdrawn because it leaked must not outlive a
/// day, whatever an operator would give for availability.
pub(crate) const MAX_STALE_IF_ERROR: Duration = Duration::from_secs(24 * 60 * 60);

/// The part of its freshness after which a set is fetched again, before anyone has to wait.
const REFRESH_AHEAD: f64 = 0.8;

/// The part of its freshness by which that moment is moved earlier at random, so that the
/// instances of a fleet that started together don't fetch together.
const JITTER: f64 = 0.1;

/// What of this can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreshnessSettings {
    /// How long past its freshness a set is used while its server fails.
    pub(crate) stale_if_error: Duration,
}

impl FreshnessSettings {
    /// What is wrong with the settings, naming the setting and its value.
    pub(crate) fn problem(&self) -> Option<String> {
        let Self { stale_if_error } = *self;
        (stale_if_error > MAX_STALE_IF_ERROR).then(|| {
            format!("stale_if_error {stale_if_error:?}: at most {MAX_STALE_IF_ERROR:?}, a day")
        })
    }
}

impl Default for FreshnessSettings {
    fn default() -> Self {
        Self { stale_if_error: STALE_IF_ERROR }
    }
}

/// How a set stands at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No set was ever fetched.
    Empty,
    Fresh,
    /// Fresh, and due to be fetched again.
    Ahead,
    /// Past its freshness, and still used.
    Stale,
    /// No longer used.
    Expired,
}

impl Stage {
    pub(crate) fn of(life: Option<&Life>, now: Duration) -> Self {
        life.map_or(Self::Empty, |life| life.stage(now))
    }

    pub(crate) fn is_usable(self) -> bool {
        match self {
            Self::Fresh | Self::Ahead | Self::Stale => true,
            Self::Empty | Self::Expired => false,
        }
    }
}

/// When a set came and how long it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    came_at: Duration,
    /// How old it was when it came: nothing, but for a seed.
    age: Duration,
    freshness: Duration,
    refresh_at: Duration,
    fresh_until: Duration,
    usable_until: Duration,
}

impl Life {
    /// The life of a set fetched `now`; `random` is from 0 up to 1.
    pub(crate) fn fetched(
        now: Duration,
        max_age: Option<Duration>,
        random: f64,
        settings: &FreshnessSettings,
    ) -> Self {
        let freshness = bounded(max_age.unwrap_or(FRESHNESS));
        let fresh_until = now.saturating_add(freshness);
        Self {
            came_at: now,
            age: Duration::ZERO,
            freshness,
            refresh_at: now.saturating_add(freshness.mul_f64(REFRESH_AHEAD - JITTER * random)),
            fresh_until,
            usable_until: fresh_until.saturating_add(settings.stale_if_error),
        }
    }

    /// The life of a set that was fetched `age` ago, perhaps by another process. Whatever its age,
    /// it is stale, so that the first request has it fetched; none when it is past the cap.
    pub(crate) fn seeded(
        now: Duration,
        age: Duration,
        freshness: Duration,
        settings: &FreshnessSettings,
    ) -> Option<Self> {
        let freshness = bounded(freshness);
        let cap = freshness.saturating_add(settings.stale_if_error);
        let rest = cap.checked_sub(age).filter(|rest| !rest.is_zero())?;
        let usable_until = now.saturating_add(rest);
        Some(Self { came_at: now, age, freshness, refresh_at: now, fresh_until: now, usable_until })
    }

    pub(crate) fn stage(&self, now: Duration) -> Stage {
        if now < self.refresh_at {
            Stage::Fresh
        } else if now < self.fresh_until {
            Stage::Ahead
        } else if now < self.usable_until {
            Stage::Stale
        } else {
            Stage::Expired
        }
    }

    /// How long ago it was fetched.
    pub(crate) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.came_at).saturating_add(self.age)
    }

    /// How long it was to be fresh.
    pub(crate) fn freshness(&self) -> Duration {
        self.freshness
    }

    pub(crate) fn refresh_at(&self) -> Duration {
        self.refresh_at
    }

    /// How long it will still be used if no fetch succeeds; none when it no longer is.
    pub(crate) fn usable_for(&self, now: Duration) -> Option<Duration> {
        self.usable_until.checked_sub(now).filter(|rest| !rest.is_zero())
    }
}

fn bounded(freshness: Duration) -> Duration {
    freshness.clamp(MIN_FRESHNESS, MAX_FRESHNESS)
}
