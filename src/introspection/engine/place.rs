//! Limits how many requests may wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The maximum number of requests that wait for one endpoint. Further requests are refused at once.
/// Each waiting request takes some KiB.
pub(crate) const MAX_WAITING: usize = 8_192;

/// The maximum number of requests that wait for one question, so that one token can't use up the
/// limit of all waiting requests.
pub(crate) const MAX_WAITING_FOR_ONE: usize = 4_096;

/// The permit of one waiting request. It is released on drop.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Place {
    /// Requests with tokens that were active before have twice the limit.
    pub(crate) fn take(waiting: &Arc<AtomicUsize>, known: bool) -> Option<Self> {
        let limit = if known { 2 * MAX_WAITING } else { MAX_WAITING };
        let one_more = |count| (count < limit).then_some(count + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(Arc::clone(waiting)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let waiting = Arc::default();
        let new: Vec<_> = (0..MAX_WAITING).filter_map(|_| Place::take(&waiting, false)).collect();
        assert_eq!(new.len(), MAX_WAITING);
        assert!(Place::take(&waiting, false).is_none());
        let known: Vec<_> = (0..=MAX_WAITING).filter_map(|_| Place::take(&waiting, true)).collect();
        assert_eq!(known.len(), MAX_WAITING);
        drop(known);
        assert!(Place::take(&waiting, false).is_none());
        drop(new);
        assert!(Place::take(&waiting, false).is_some());
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }
}
