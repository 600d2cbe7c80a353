//! The used proofs in the memory of this process.
//!
//! Proofs are kept in buckets, by the time from which on they are refused because of their age. A
//! bucket is dropped as a whole. A proof always belongs to the same bucket, so that its second use
//! is found there. A client always belongs to the same shard, so that its proofs are counted under
//! one lock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dropped::Dropped;
use super::proof::UsedProof;
use super::store::Insertion;
use crate::source_error::SourceError;

/// The width of a bucket. An expired proof stays for up to this time. Narrow buckets save memory,
/// and wide ones save work.
const BUCKET_SECONDS: u64 = 16;

/// The number of locks. Requests of different clients rarely need the same lock at the same time.
const SHARDS: usize = 64;

/// One client may use a tenth of the capacity, so that no client alone can fill the store and block
/// the others.
const CLIENT_SHARE: usize = 10;

/// The longest lifetime of a proof. If a bucket is further ahead, the clock was wrong when the
/// bucket was made.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The first octets of a SHA-256. 128 bits are enough: if two proofs had the same hash, the second
/// one would only be refused as a replay.
type Hash = [u8; 16];

/// The store in the memory of this process.
#[derive(Debug)]
pub(super) struct Memory {
    shards: [Mutex<Shard>; SHARDS],
    entries: AtomicUsize,
    capacity: usize,
    /// The start of the store, since the epoch. Which proofs were used before is not known.
    start: Duration,
    /// The bucket of the time at which expired buckets were last dropped.
    swept: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    buckets: BTreeMap<u64, Bucket>,
    dropped: Dropped,
}

#[derive(Debug, Default)]
struct Bucket {
    proofs: HashSet<Hash>,
    /// The number of proofs of each client.
    clients: HashMap<Hash, usize>,
}

impl Memory {
    /// `start` is now, since the epoch.
    pub(super) fn new(capacity: usize, start: Duration) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            entries: AtomicUsize::new(0),
            capacity,
            start,
            swept: AtomicU64::new(bucket(start)),
        }
    }

    /// Inserts a proof if it is not there, under one lock.
    pub(super) fn insert(&self, proof: &UsedProof) -> Result<Insertion, SourceError> {
        if proof.lifetime() > MAX_LIFETIME {
            let problem = format!("a proof can be kept for {MAX_LIFETIME:?} at most");
            return Err(SourceError::new(problem));
        }
        self.sweep(proof.now());
        if proof.earliest() < self.start {
            return Ok(Insertion::Forgotten);
        }
        let number = bucket(proof.until());
        let (id, client) = (hash(proof.id()), hash(proof.client()));
        let mut shard = self.shard(proof)?;
        if shard.dropped.contains(number) {
            return Ok(Insertion::Forgotten);
        }
        if shard.buckets.get(&number).is_some_and(|bucket| bucket.proofs.contains(&id)) {
            return Ok(Insertion::Known);
        }
        let share = (self.capacity / CLIENT_SHARE).max(1);
        if shard.proofs_of(&client, horizon(proof.now())) >= share {
            return Ok(Insertion::OverShare);
        }
        self.reserve()?;
        let bucket = shard.buckets.entry(number).or_default();
        bucket.proofs.insert(id);
        *bucket.clients.entry(client).or_default() += 1;
        Ok(Insertion::New)
    }

    /// How many proofs there are, including some that have expired.
    pub(super) fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Why new proofs of all clients are refused, if they are.
    pub(super) fn problem(&self) -> Option<String> {
        if self.swept.load(Ordering::Relaxed) < bucket(self.start) {
            return Some(
                "the clock was set back to before the start of the replay store; proofs are refused \
                 until it has reached that time again, or until a restart"
                    .to_owned(),
            );
        }
        (self.entries() >= self.capacity).then(|| full(self.capacity))
    }

    /// Counts one more proof.
    fn reserve(&self) -> Result<(), SourceError> {
        let more = |entries| (entries < self.capacity).then_some(entries + 1);
        match self.entries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(SourceError::new(full(self.capacity))),
        }
    }

    /// Drops the expired buckets of all shards, because a shard may get no calls of its own. Only
    /// one call in each [bucket's](BUCKET_SECONDS) time does this.
    ///
    /// If the clock went back, there may be buckets far ahead. They are kept while at most half of
    /// the capacity is used: the clock may reach that time again while their proofs are accepted.
    pub(super) fn sweep(&self, now: Duration) {
        let current = bucket(now);
        if self.swept.load(Ordering::Relaxed) == current
            || self.swept.swap(current, Ordering::Relaxed) == current
        {
            return;
        }
        let last = if self.entries() > self.capacity / 2 { horizon(now) } else { u64::MAX };
        for shard in &self.shards {
            let gone = lock(shard).drop_outside(current, last);
            let proofs = gone.iter().map(|bucket| bucket.proofs.len()).sum();
            self.entries.fetch_sub(proofs, Ordering::Relaxed);
            // Free the memory without the lock.
            drop(gone);
        }
    }

    /// The shard of the proof's client.
    fn shard(&self, proof: &UsedProof) -> Result<MutexGuard<'_, Shard>, SourceError> {
        let [.., last] = *proof.client();
        let shard = self.shards.get(usize::from(last) % SHARDS);
        shard.map(lock).ok_or_else(|| SourceError::new("there is no such shard"))
    }
}

impl Shard {
    /// Drops the buckets before `first` and after `last`.
    fn drop_outside(&mut self, first: u64, last: u64) -> Vec<Bucket> {
        let outside = |number: &u64| *number < first || *number > last;
        let numbers: Vec<_> = self.buckets.keys().copied().filter(outside).collect();
        let mut gone = Vec::with_capacity(numbers.len());
        for number in numbers {
            self.dropped.add(number);
            gone.extend(self.buckets.remove(&number));
        }
        gone
    }

    /// How many proofs of a client there are, up to the bucket `last`.
    fn proofs_of(&self, client: &Hash, last: u64) -> usize {
        let buckets = self.buckets.range(..=last);
        buckets.filter_map(|(_, bucket)| bucket.clients.get(client)).sum()
    }
}

/// Nothing under the lock can panic, so the data is consistent even if the lock is poisoned.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the bucket of a time.
fn bucket(time: Duration) -> u64 {
    time.as_secs() / BUCKET_SECONDS
}

/// The last bucket that a proof can be in now.
fn horizon(now: Duration) -> u64 {
    bucket(now.saturating_add(MAX_LIFETIME))
}

fn hash(sha256: &[u8; 32]) -> Hash {
    let mut hash = Hash::default();
    hash.iter_mut().zip(sha256).for_each(|(to, from)| *to = *from);
    hash
}

fn full(capacity: usize) -> String {
    format!("the replay store is full: it holds {capacity} proofs")
}

#[cfg(test)]
mod tests;
