//! The store of used proofs that several servers share.

use std::future::Future;

use super::proof::UsedProof;
use crate::source_error::{Boxed, SourceError};

/// What a [`ReplayStore`] says about a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Insertion {
    /// The proof was not in the store, and is stored now. Only this answer lets a request pass.
    New,
    /// The proof was used before.
    Known,
    /// The proof is not in the store, but the store's data begins after
    /// [`earliest`](UsedProof::earliest). So the store can't know whether the proof was used. The
    /// proof is refused, and the client needs a new one.
    Forgotten,
    /// The store has space, but already holds too many proofs of this client. The request is
    /// refused with 503.
    OverShare,
}

/// A store of used proofs that several servers can share, such as Redis (`RedisReplay`, feature
/// `redis`). For [`Replay::store`](crate::sender::Replay::store).
///
/// A store has three duties:
///
/// - **One atomic step.** If several calls, from any servers, insert the same proof, at most one
///   returns [`New`](Insertion::New).
/// - **Keep each proof for its [`lifetime`](UsedProof::lifetime).** A store must not drop proofs
///   earlier to make space. A full store returns an error.
/// - **Notice a loss.** A store that can lose its data, for example in a restart, must know since
///   when it has data. If [`earliest`](UsedProof::earliest) is before that time and the proof is
///   not in the store, it returns [`Forgotten`](Insertion::Forgotten).
///
/// Each call has a deadline of 1 s, in real time. If the store fails, takes longer or panics, the
/// request is refused with 503.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use tower_resource_server::issuer::SourceError;
/// use tower_resource_server::sender::{Insertion, Replay, ReplayStore, UsedProof};
///
/// /// A store for the servers of one process.
/// struct Shelf {
///     /// Since the epoch.
///     start: Duration,
///     /// The id of each proof, and when it can be dropped.
///     proofs: Mutex<HashMap<[u8; 32], Duration>>,
/// }
///
/// impl Shelf {
///     fn insert(&self, id: [u8; 32], earliest: Duration, now: Duration, until: Duration) -> Insertion {
///         // One lock for all steps, so that nothing happens in between.
///         let mut proofs = self.proofs.lock().unwrap();
///         proofs.retain(|_, until| *until > now);
///         if proofs.contains_key(&id) {
///             Insertion::Known
///         } else if earliest < self.start {
///             Insertion::Forgotten
///         } else {
///             proofs.insert(id, until);
///             Insertion::New
///         }
///     }
/// }
///
/// impl ReplayStore for Shelf {
///     async fn insert_if_absent(&self, proof: &UsedProof) -> Result<Insertion, SourceError> {
///         let until = proof.now() + proof.lifetime();
///         Ok(self.insert(*proof.id(), proof.earliest(), proof.now(), until))
///     }
/// }
///
/// let at = Duration::from_secs;
/// let shelf = Shelf { start: at(1_700_000_000), proofs: Mutex::default() };
/// let insert = |id, iat| shelf.insert([id; 32], at(iat - 15), at(iat), at(iat + 60));
/// assert_eq!(insert(1, 1_700_000_020), Insertion::New);
/// assert_eq!(insert(1, 1_700_000_020), Insertion::Known);
/// assert_eq!(insert(2, 1_700_000_014), Insertion::Forgotten);
/// let replay = Replay::store(shelf);
/// # let _ = replay;
/// ```
pub trait ReplayStore: Send + Sync + 'static {
    /// Inserts the proof if it is not in the store, in one atomic step, also with respect to other
    /// servers. The store must keep the proof for its [`lifetime`](UsedProof::lifetime).
    ///
    /// # Errors
    /// When the store can't be used or is full. The text is for the log, and must not contain a
    /// secret.
    fn insert_if_absent(
        &self,
        proof: &UsedProof,
    ) -> impl Future<Output = Result<Insertion, SourceError>> + Send;

    /// Why the store can't be relied on at the moment, if this is known. The health of the server
    /// shows the text. The function must return at once. The default is `None`.
    fn problem(&self) -> Option<String> {
        None
    }
}

/// The object-safe form of [`ReplayStore`].
pub(super) trait AnyReplayStore: Send + Sync {
    fn insert_if_absent<'a>(&'a self, proof: &'a UsedProof) -> Boxed<'a, Insertion>;
    fn problem(&self) -> Option<String>;
}

impl<S: ReplayStore> AnyReplayStore for S {
    fn insert_if_absent<'a>(&'a self, proof: &'a UsedProof) -> Boxed<'a, Insertion> {
        Box::pin(ReplayStore::insert_if_absent(self, proof))
    }

    fn problem(&self) -> Option<String> {
        ReplayStore::problem(self)
    }
}
