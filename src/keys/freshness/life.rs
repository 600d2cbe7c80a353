//! How long a set holds.

use std::time::Duration;

use super::attempts::{Attempt, Ticket};

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

    /// Until when a set that was asked for at `asked_at` is used, if no other takes its place.
    #[cfg_attr(
        not(feature = "remote"),
        allow(dead_code, reason = "several sets are fetched with it")
    )]
    pub(crate) fn usable_until(&self, asked_at: Duration, max_age: Option<Duration>) -> Duration {
        let freshness = bounded(max_age.unwrap_or(FRESHNESS));
        asked_at.saturating_add(freshness).saturating_add(self.stale_if_error)
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
    /// The attempt that brought it; none for a seed.
    attempt: Option<Attempt>,
    /// Whether it is all that its server has: what is not in it may then be looked for in vain.
    is_whole: bool,
    /// When it was asked for: what an answer says may be as old as its question.
    asked_at: Duration,
    /// How old it was when it came: nothing, but for a seed.
    age: Duration,
    freshness: Duration,
    refresh_at: Duration,
    fresh_until: Duration,
    usable_until: Duration,
}

impl Life {
    /// The life of a set that an attempt brought; `random` is from 0 up to 1.
    pub(crate) fn fetched(
        ticket: &Ticket,
        max_age: Option<Duration>,
        random: f64,
        settings: &FreshnessSettings,
    ) -> Self {
        let freshness = bounded(max_age.unwrap_or(FRESHNESS));
        let asked_at = ticket.started_at();
        let fresh_until = asked_at.saturating_add(freshness);
        Self {
            attempt: Some(ticket.attempt()),
            is_whole: true,
            asked_at,
            age: Duration::ZERO,
            freshness,
            refresh_at: asked_at.saturating_add(freshness.mul_f64(REFRESH_AHEAD - JITTER * random)),
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
        let (asked_at, refresh_at, fresh_until) = (now, now, now);
        let (attempt, is_whole) = (None, true);
        Some(Self {
            attempt,
            is_whole,
            asked_at,
            age,
            freshness,
            refresh_at,
            fresh_until,
            usable_until,
        })
    }

    /// The same set in the hands of another engine, whose attempts have numbers of their own.
    pub(crate) fn handed_on(self) -> Self {
        Self { attempt: None, ..self }
    }

    /// The life of a set of which a part could not be fetched. What stands in for that part is used
    /// until `cap`, if there is anything.
    pub(crate) fn in_part(self, cap: Option<Duration>) -> Self {
        let cap = cap.unwrap_or(Duration::MAX);
        Self {
            is_whole: false,
            refresh_at: self.refresh_at.min(cap),
            fresh_until: self.fresh_until.min(cap),
            usable_until: self.usable_until.min(cap),
            ..self
        }
    }

    /// Whether all of it came by `first` or by an attempt after that.
    pub(crate) fn came_by(&self, first: Attempt) -> bool {
        self.is_whole && self.attempt.is_some_and(|own| own.is_from(first))
    }

    /// Whether it is the whole word of a server, asked no longer ago than `time`.
    pub(crate) fn was_asked_for_within(&self, time: Duration, now: Duration) -> bool {
        self.is_whole && self.attempt.is_some() && now.saturating_sub(self.asked_at) <= time
    }

    /// Whether an attempt after that of `other` brought it.
    pub(crate) fn is_newer(&self, other: &Self) -> bool {
        match (self.attempt, other.attempt) {
            (Some(own), Some(other)) => own.is_from(other.next()),
            (own, other) => own.is_some() || other.is_none(),
        }
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
        now.saturating_sub(self.asked_at).saturating_add(self.age)
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
