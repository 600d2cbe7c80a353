//! A proof that was used.

use std::fmt;
use std::time::Duration;

/// The shortest lifetime: Redis counts in milliseconds and does not accept zero.
const MIN_LIFETIME: Duration = Duration::from_millis(1);

/// A DPoP proof that passed all other checks and must not be used again, for a [`ReplayStore`].
///
/// It holds hashes and times: a store learns neither the proof nor its URI. `Debug` shows only the
/// times.
///
/// [`ReplayStore`]: crate::sender::ReplayStore
#[derive(Clone)]
pub struct UsedProof {
    id: [u8; 32],
    client: [u8; 32],
    earliest: Duration,
    until: Duration,
    now: Duration,
}

impl UsedProof {
    /// - `id` identifies the proof: SHA-256 over the length-prefixed thumbprint of its key, `htm`,
    ///   `htu` and `jti`;
    /// - `client` is the thumbprint of the proof's key (RFC 7638): 32 octets;
    /// - `earliest` is the earliest time at which the proof can have been used;
    /// - from `until` on, the proof is refused because of its age;
    /// - `now` is the current time.
    ///
    /// All times are since the epoch, by the wall clock of this server.
    pub(crate) fn new(
        id: [u8; 32],
        client: [u8; 32],
        earliest: Duration,
        until: Duration,
        now: Duration,
    ) -> Self {
        Self { id, client, earliest, until, now }
    }

    /// Identifies the proof: a SHA-256 over the thumbprint of its key, and its `htm`, `htu` and
    /// `jti` (RFC 9449 §11.1). Two proofs with the same id count as the same proof.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// Identifies the client: the SHA-256 thumbprint of its key (RFC 7638). A store can use it to
    /// limit the share of one client.
    pub fn client(&self) -> &[u8; 32] {
        &self.client
    }

    /// The earliest time at which the proof can have been used, since the epoch, by the wall clock
    /// of the server. A store that lost its data after that time can't know whether the proof was
    /// used: see [`Insertion::Forgotten`](crate::sender::Insertion::Forgotten).
    pub fn earliest(&self) -> Duration {
        self.earliest
    }

    /// The current time, since the epoch, by the wall clock of the server.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// How long a store must keep the proof, at least 1 ms. After that time the proof is refused
    /// because of its age.
    pub fn lifetime(&self) -> Duration {
        self.until.saturating_sub(self.now).max(MIN_LIFETIME)
    }

    /// The time from which on the proof is refused because of its age. It is the same for each use
    /// of the proof.
    pub(super) fn until(&self) -> Duration {
        self.until
    }
}

impl fmt::Debug for UsedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsedProof")
            .field("earliest", &self.earliest)
            .field("now", &self.now)
            .field("lifetime", &self.lifetime())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_lives_until_it_is_refused_for_its_age_and_at_least_a_millisecond() {
        let second = Duration::from_secs(1);
        for (name, now, until, lifetime) in [
            ("a minute", 100 * second, 160 * second, 60 * second),
            ("the shortest", Duration::ZERO, MIN_LIFETIME, MIN_LIFETIME),
            ("shorter", Duration::ZERO, Duration::from_nanos(1), MIN_LIFETIME),
            ("none", 100 * second, 100 * second, MIN_LIFETIME),
            ("it is over", 100 * second, 99 * second, MIN_LIFETIME),
            ("the longest", Duration::ZERO, Duration::MAX, Duration::MAX),
        ] {
            let proof = UsedProof::new([1; 32], [2; 32], Duration::ZERO, until, now);
            assert_eq!(proof.lifetime(), lifetime, "{name}");
        }
    }

    #[test]
    fn it_shows_times_alone() {
        let at = Duration::from_secs(5);
        let shown = format!("{:?}", UsedProof::new([77; 32], [88; 32], at, at, at));
        assert_eq!(shown, "UsedProof { earliest: 5s, now: 5s, lifetime: 1ms, .. }");
    }
}
