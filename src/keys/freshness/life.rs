//! How long a key set is fresh, and how long it may be used.

use std::time::Duration;

use super::attempts::{Attempt, Ticket};

/// How long a set is fresh if its server does not set a time. This is short enough to fetch a new key
/// long before the server removes the old key, if both are published for a while.
pub(crate) const FRESHNESS: Duration = Duration::from_secs(5 * 60);

/// The minimum freshness that a server can set, so that `max-age=0` does not cause a fetch for each
/// request.
pub(crate) const MIN_FRESHNESS: Duration = Duration::from_secs(60);

/// The maximum freshness that a server can set, so that a withdrawn key is removed within an hour while
/// the server answers.
pub(crate) const MAX_FRESHNESS: Duration = Duration::from_secs(60 * 60);

/// The default for how long a set is used past its freshness while its server fails (stale-if-error).
/// With this value, an outage of 50 minutes does not affect requests with known keys. An attacker who
/// blocks the fetches can keep a compromised key in use for no longer than this time past its
/// freshness.
pub(crate) const STALE_IF_ERROR: Duration = Duration::from_secs(60 * 60);

/// The maximum for the setting `stale_if_error`. A key that was withdrawn because it leaked must not be
/// used for longer than a day, even if the operator prefers availability.
pub(crate) const MAX_STALE_IF_ERROR: Duration = Duration::from_secs(24 * 60 * 60);

/// The part of the freshness period after which a set is fetched again, so that no request has to wait
/// for the fetch.
const REFRESH_AHEAD: f64 = 0.8;

/// The jitter of the refresh, as a part of the freshness period. The refresh is earlier by a random
/// time up to this maximum, so that instances that started together do not fetch together.
const JITTER: f64 = 0.1;

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreshnessSettings {
    /// How long a set is used past its freshness while its server fails.
    pub(crate) stale_if_error: Duration,
}

impl FreshnessSettings {
    /// Describes the invalid setting with its name and value. `None` if the settings are valid.
    pub(crate) fn problem(&self) -> Option<String> {
        let Self { stale_if_error } = *self;
        (stale_if_error > MAX_STALE_IF_ERROR).then(|| {
            format!("stale_if_error {stale_if_error:?}: at most {MAX_STALE_IF_ERROR:?} (one day)")
        })
    }

    /// The time until which a set that was requested at `requested_at` may be used, if no newer set
    /// replaces it.
    #[cfg_attr(
        not(feature = "http-client"),
        allow(dead_code, reason = "only used with several places")
    )]
    pub(crate) fn usable_until(
        &self,
        requested_at: Duration,
        max_age: Option<Duration>,
    ) -> Duration {
        requested_at.saturating_add(freshness(max_age)).saturating_add(self.stale_if_error)
    }
}

impl FreshnessSettings {
    /// The age of a set that may be used until `usable_until`.
    pub(crate) fn age(
        &self,
        usable_until: Duration,
        max_age: Option<Duration>,
        now: Duration,
    ) -> Duration {
        let whole = freshness(max_age).saturating_add(self.stale_if_error);
        whole.saturating_sub(usable_until.saturating_sub(now))
    }
}

impl Default for FreshnessSettings {
    fn default() -> Self {
        Self { stale_if_error: STALE_IF_ERROR }
    }
}

/// The state of a set at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No set was fetched yet.
    Empty,
    Fresh,
    /// Fresh, and due to be fetched again.
    Ahead,
    /// Past its freshness, but still used.
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

/// When a set was fetched and how long it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// The attempt that fetched the set. `None` for a seed.
    attempt: Option<Attempt>,
    /// Whether the set has all keys of its server. Only then does a missing key mean that the server
    /// does not have this key.
    is_whole: bool,
    /// When the set was requested. The age of the set counts from this time, because the server may
    /// have read the keys at this time already.
    requested_at: Duration,
    /// The age of the set when it arrived. Zero unless it is a seed.
    age: Duration,
    freshness: Duration,
    refresh_at: Duration,
    fresh_until: Duration,
    usable_until: Duration,
}

impl Life {
    /// The life of a set that an attempt fetched. `random` is in `0.0..1.0`.
    pub(crate) fn fetched(
        ticket: &Ticket,
        max_age: Option<Duration>,
        random: f64,
        settings: &FreshnessSettings,
    ) -> Self {
        let freshness = freshness(max_age);
        let requested_at = ticket.started_at();
        let fresh_until = requested_at.saturating_add(freshness);
        Self {
            attempt: Some(ticket.attempt()),
            is_whole: true,
            requested_at,
            age: Duration::ZERO,
            freshness,
            refresh_at: requested_at
                .saturating_add(freshness.mul_f64(REFRESH_AHEAD - JITTER * random)),
            fresh_until,
            usable_until: fresh_until.saturating_add(settings.stale_if_error),
        }
    }

    /// The life of a set that was fetched `age` ago, usually by another process. The set counts as
    /// stale, so that the first request starts a fetch. Returns `None` if the set is too old to be
    /// used.
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
        let (requested_at, refresh_at, fresh_until) = (now, now, now);
        let (attempt, is_whole) = (None, true);
        Some(Self {
            attempt,
            is_whole,
            requested_at,
            age,
            freshness,
            refresh_at,
            fresh_until,
            usable_until,
        })
    }

    /// The life of the same set in another engine, which numbers its attempts independently.
    pub(crate) fn for_another_engine(self) -> Self {
        Self { attempt: None, ..self }
    }

    /// The life of an incomplete set: one part of the set could not be fetched. If older keys replace
    /// this part, they are used until `cap`.
    pub(crate) fn as_partial(self, cap: Option<Duration>) -> Self {
        let cap = cap.unwrap_or(Duration::MAX);
        Self {
            is_whole: false,
            refresh_at: self.refresh_at.min(cap),
            fresh_until: self.fresh_until.min(cap),
            usable_until: self.usable_until.min(cap),
            ..self
        }
    }

    /// Whether the whole set was fetched by the attempt `first` or by a later one.
    pub(crate) fn is_from(&self, first: Attempt) -> bool {
        self.is_whole && self.attempt.is_some_and(|own| own.is_from(first))
    }

    /// Whether this is a server's whole set that was requested at most `time` ago.
    pub(crate) fn was_requested_within(&self, time: Duration, now: Duration) -> bool {
        self.is_whole && self.attempt.is_some() && now.saturating_sub(self.requested_at) <= time
    }

    /// Whether this set is newer than `other`: a later attempt fetched this set. A fetched set is newer
    /// than a seed.
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

    /// The time since the set was fetched.
    pub(crate) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.requested_at).saturating_add(self.age)
    }

    /// The length of the freshness period of the set.
    pub(crate) fn freshness(&self) -> Duration {
        self.freshness
    }

    pub(crate) fn refresh_at(&self) -> Duration {
        self.refresh_at
    }

    /// How long the set will still be used if no fetch succeeds. `None` if it is no longer used.
    pub(crate) fn usable_for(&self, now: Duration) -> Option<Duration> {
        self.usable_until.checked_sub(now).filter(|rest| !rest.is_zero())
    }
}

/// The length of the freshness period of a set. `max_age` is the server's value.
pub(crate) fn freshness(max_age: Option<Duration>) -> Duration {
    bounded(max_age.unwrap_or(FRESHNESS))
}

fn bounded(freshness: Duration) -> Duration {
    freshness.clamp(MIN_FRESHNESS, MAX_FRESHNESS)
}
