//! The setting: which store holds the used proofs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::memory::Memory;
use super::replays::Replays;
use super::store::{AnyReplayStore, ReplayStore};

/// The default maximum number of proofs in the store in this process. This is enough for some
/// 13,000 proofs a second.
const CAPACITY: usize = 1_000_000;

/// Where used DPoP proofs are kept, so that each proof can be used only once (RFC 9449 §11.1).
///
/// There is no default. Choose [`in_process`](Self::in_process) if exactly one process serves the
/// API. If there are several, choose a store that all of them share, such as `RedisReplay` (feature
/// `redis`): with a store for each process, a stolen proof can be used once at each of them.
///
/// If the store fails or is full, requests with a proof are refused with 503.
///
/// ```
/// use tower_resource_server::sender::Replay;
///
/// let replay = Replay::in_process();
/// assert_eq!(format!("{replay:?}"), "Replay(in this process, at most 1000000 proofs)");
/// let replay = Replay::in_process_with_capacity(50_000);
/// assert_eq!(format!("{replay:?}"), "Replay(in this process, at most 50000 proofs)");
/// ```
#[derive(Clone)]
#[must_use = "it is a setting of the server"]
pub struct Replay(Kind);

#[derive(Clone)]
pub(super) enum Kind {
    InProcess { capacity: usize },
    Store(Arc<dyn AnyReplayStore>),
    None,
}

impl Replay {
    /// Keeps used proofs in the memory of this process. Use it only if **one** process serves the API.
    ///
    /// The store holds 1,000,000 proofs, at most a tenth of them of one client. With the default
    /// age of proofs (60 s in the past, 15 s in the future), an entry stays for 60 s to 76 s, or up
    /// to 91 s if the client's clock is ahead. So the capacity is enough for some 13,000 requests a
    /// second (11,000 if all clocks are ahead), of which one client can make a tenth. A used proof
    /// is never dropped early: if the store is full, new proofs are refused with 503 until older
    /// ones have expired. If a client has used its tenth, only its new proofs are refused with 503.
    ///
    /// The memory grows with the number of proofs: 20 to 40 octets for each proof, plus 30 to
    /// 60 octets for each client in each period of 16 s. That is 20 MB to 40 MB for 1,000,000
    /// proofs of few clients, and at most 100 MB if each proof has its own client.
    ///
    /// The store is empty when the server is built. So a proof that was made before that time is
    /// refused, or needs a nonce: see [the manual](crate::manual::dpop#the-store-of-used-proofs).
    /// If the clock is later set back to a time before the start, proofs are refused until the
    /// clock has reached the start again, or until the process is restarted. If the clock jumps
    /// ahead and back, proofs are refused for about 2 minutes. No proof is accepted twice by one
    /// server, whatever its clock does. If another server is built in the same process, its store
    /// is empty.
    pub fn in_process() -> Self {
        Self::in_process_with_capacity(CAPACITY)
    }

    /// The same, for at most `proofs` proofs, at most a tenth of them of one client. `build`
    /// refuses a capacity of zero. For N requests a second with the default ages and without
    /// nonces, a capacity of 76 × N is enough, or 91 × N if the clients' clocks are ahead. With
    /// nonces, up to 136 × N is needed. If one client makes most of the requests, such as a backend
    /// that serves many users with one key, ten times as much is needed.
    pub fn in_process_with_capacity(proofs: usize) -> Self {
        Self(Kind::InProcess { capacity: proofs })
    }

    /// Keeps used proofs in a store that several servers can share.
    pub fn store(store: impl ReplayStore) -> Self {
        Self(Kind::Store(Arc::new(store)))
    }

    /// Keeps nothing: each proof is new.
    pub(crate) fn none() -> Self {
        Self(Kind::None)
    }

    /// Whether used proofs are kept.
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self.0, Kind::None)
    }

    /// Whether several servers may share the store.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.0, Kind::Store(_))
    }

    /// Whether the store is in this process.
    pub(crate) fn is_in_process(&self) -> bool {
        matches!(self.0, Kind::InProcess { .. })
    }

    /// The problems of the setting, one line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        match self.0 {
            Kind::InProcess { capacity: 0 } => {
                vec!["replay: a capacity of 0 proofs; at least 1 is needed".to_owned()]
            }
            Kind::InProcess { .. } | Kind::Store(_) | Kind::None => Vec::new(),
        }
    }

    /// Makes the store for one server. `now` is the time since the epoch, by the wall clock. A
    /// store in this process starts at `now`: it does not know which proofs were used before.
    pub(crate) fn start(&self, now: Duration) -> Replays {
        match &self.0 {
            Kind::InProcess { capacity } => Replays::in_process(Memory::new(*capacity, now)),
            Kind::Store(store) => Replays::store(Arc::clone(store)),
            Kind::None => Replays::none(),
        }
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::InProcess { capacity } => {
                write!(f, "Replay(in this process, at most {capacity} proofs)")
            }
            Kind::Store(_) => f.write_str("Replay(a store)"),
            Kind::None => f.write_str("Replay(none)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capacity_is_at_least_one_proof() {
        for (name, replay, good) in [
            ("the default", Replay::in_process(), true),
            ("one", Replay::in_process_with_capacity(1), true),
            ("zero", Replay::in_process_with_capacity(0), false),
            ("many", Replay::in_process_with_capacity(usize::MAX), true),
            ("none", Replay::none(), true),
        ] {
            let problems = replay.problems();
            assert_eq!(problems.is_empty(), good, "{name}: {problems:?}");
        }
    }
}
