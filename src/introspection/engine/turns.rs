//! Limits the calls in flight to one endpoint. Pure.
//!
//! The number of calls in flight is limited. Some of them are reserved for tokens that were active
//! before. Further questions wait in a queue of limited length (first in, first out). So a flood of
//! forged tokens can delay other new tokens, but can't take the reserved calls.
//!
//! An overdue call no longer counts: its task may be on a runtime that is no longer polled.

use std::collections::VecDeque;
use std::time::Duration;

/// The maximum number of calls in flight to one endpoint: a load that an authorization server can
/// handle from one of its clients.
pub(crate) const MAX_IN_FLIGHT: usize = 64;

/// How many of these calls are reserved for tokens that were active before.
pub(crate) const RESERVED: usize = 16;

/// The maximum number of questions that wait for their turn. New tokens have 48 calls at a time: if
/// each call takes 50 ms, the last question gets its turn after 1.1 s.
pub(crate) const MAX_QUEUED: usize = 1024;

/// Additional queue entries for tokens that were active before, so that a flood of new tokens can't
/// keep them out of the queue.
pub(crate) const MAX_QUEUED_KNOWN: usize = 256;

/// The calls in flight, and the queue.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    overdue_after: Duration,
    running: Vec<Running>,
    /// Two queues: `new` for tokens that were never active, `known` for tokens that were.
    new: VecDeque<Queued<T>>,
    known: VecDeque<Queued<T>>,
    count: u64,
}

#[derive(Debug)]
struct Running {
    number: u64,
    known: bool,
    since: Duration,
}

#[derive(Debug)]
struct Queued<T> {
    number: u64,
    since: Duration,
    value: T,
}

/// The result of [`Turns::take`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grant<T> {
    /// The call may begin now. [End](Turns::end) the number when the call ends.
    Turn(u64),
    Queued,
    /// The queue is full.
    Full(T),
}

impl<T> Turns<T> {
    pub(crate) fn new(overdue_after: Duration) -> Self {
        let (new, known) = (VecDeque::new(), VecDeque::new());
        Self { overdue_after, running: Vec::new(), new, known, count: 0 }
    }

    /// The number of calls in flight.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// The length of the queue.
    pub(crate) fn queued(&self) -> usize {
        self.new.len() + self.known.len()
    }

    /// Whether the limits allow another call now.
    pub(crate) fn is_free(&self, known: bool) -> bool {
        let new = self.running.iter().filter(|running| !running.known).count();
        self.running.len() < MAX_IN_FLIGHT && (known || new < MAX_IN_FLIGHT - RESERVED)
    }

    /// Takes a turn, or queues `value`.
    pub(crate) fn take(&mut self, known: bool, now: Duration, value: T) -> Grant<T> {
        let queue = if known { &self.known } else { &self.new };
        if queue.is_empty() && self.is_free(known) {
            return Grant::Turn(self.begin(known, now));
        }
        let limit = if known { MAX_QUEUED + MAX_QUEUED_KNOWN } else { MAX_QUEUED };
        if self.queued() >= limit {
            return Grant::Full(value);
        }
        let number = self.next_number();
        let queue = if known { &mut self.known } else { &mut self.new };
        queue.push_back(Queued { number, since: now, value });
        Grant::Queued
    }

    /// Begins a call before those in the queue, for a probe. Returns `None` if the limit is
    /// reached.
    pub(crate) fn take_first(&mut self, now: Duration) -> Option<u64> {
        self.is_free(true).then(|| self.begin(true, now))
    }

    /// A call ended. Returns `false` if it no longer counted, because it was overdue.
    pub(crate) fn end(&mut self, number: u64) -> bool {
        let found = self.running.iter().position(|running| running.number == number);
        found.map(|at| self.running.swap_remove(at)).is_some()
    }

    /// The next entry of the queue that gets a turn, with its number and whether its token was
    /// active before.
    pub(crate) fn next(&mut self, now: Duration) -> Option<(u64, bool, T)> {
        let may = |queue: &VecDeque<Queued<T>>, known| {
            queue.front().filter(|_| self.is_free(known)).map(|queued| queued.number)
        };
        let known = match (may(&self.new, false), may(&self.known, true)) {
            (None, None) => return None,
            (Some(new), Some(known)) => known < new,
            (_, known) => known.is_some(),
        };
        let queue = if known { &mut self.known } else { &mut self.new };
        let Queued { value, .. } = queue.pop_front()?;
        Some((self.begin(known, now), known, value))
    }

    /// Empties the queue.
    #[cfg(test)]
    fn drain(&mut self) -> impl Iterator<Item = T> {
        let queues = [std::mem::take(&mut self.known), std::mem::take(&mut self.new)];
        queues.into_iter().flatten().map(|queued| queued.value)
    }

    /// Removes overdue calls. Also removes and returns the queue entries that have waited too long.
    pub(crate) fn give_up_overdue(&mut self, now: Duration) -> Vec<T> {
        let limit = self.overdue_after;
        let is_overdue = |since: Duration| now.saturating_sub(since) >= limit;
        self.running.retain(|running| !is_overdue(running.since));
        let mut gone = Vec::new();
        for queue in [&mut self.new, &mut self.known] {
            while queue.front().is_some_and(|queued| is_overdue(queued.since)) {
                gone.extend(queue.pop_front().map(|queued| queued.value));
            }
        }
        gone
    }

    fn begin(&mut self, known: bool, since: Duration) -> u64 {
        let number = self.next_number();
        self.running.push(Running { number, known, since });
        number
    }

    fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn turns() -> Turns<u32> {
        Turns::new(6 * SECOND)
    }

    fn turn(place: Grant<u32>) -> u64 {
        match place {
            Grant::Turn(number) => number,
            other => panic!("no turn: {other:?}"),
        }
    }

    #[test]
    fn some_calls_are_for_tokens_that_were_active_before() {
        let mut turns = turns();
        for n in 0..48 {
            turn(turns.take(false, SECOND, n));
        }
        assert_eq!(turns.take(false, SECOND, 48), Grant::Queued);
        for n in 100..116 {
            turn(turns.take(true, SECOND, n));
        }
        assert_eq!(turns.take(true, SECOND, 116), Grant::Queued);
        assert_eq!((turns.running(), turns.queued()), (64, 2));
        // Without new tokens, they may use all calls.
        let mut turns = self::turns();
        for n in 0..64 {
            turn(turns.take(true, SECOND, n));
        }
        assert_eq!(turns.take(true, SECOND, 64), Grant::Queued);
        assert_eq!(turns.take(false, SECOND, 65), Grant::Queued);
    }

    #[test]
    fn turns_come_in_order() {
        let mut turns = turns();
        let running: Vec<_> = (0..48).map(|n| turn(turns.take(false, SECOND, n))).collect();
        let known: Vec<_> = (0..16).map(|n| turn(turns.take(true, SECOND, n))).collect();
        for (known, value) in [(false, 1), (true, 2), (false, 3), (true, 4)] {
            assert_eq!(turns.take(known, SECOND, value), Grant::Queued);
        }
        let next = |turns: &mut Turns<u32>| turns.next(SECOND).map(|(_, _, value)| value);
        assert_eq!(next(&mut turns), None);
        turns.end(known[0]);
        assert_eq!(next(&mut turns), Some(2), "new ones have all of theirs");
        assert_eq!(next(&mut turns), None);
        turns.end(running[0]);
        assert_eq!(next(&mut turns), Some(1), "who came first");
        turns.end(running[1]);
        turns.end(running[2]);
        assert_eq!((next(&mut turns), next(&mut turns)), (Some(3), Some(4)));
        assert_eq!(next(&mut turns), None);
        assert!(!turns.end(running[0]), "it has ended before");
    }

    #[test]
    fn who_comes_later_does_not_overtake() {
        let mut turns = turns();
        let running: Vec<_> = (0..48).map(|n| turn(turns.take(false, SECOND, n))).collect();
        assert_eq!(turns.take(false, SECOND, 1), Grant::Queued);
        turns.end(running[0]);
        assert_eq!(turns.take(false, SECOND, 2), Grant::Queued);
        assert_eq!(turns.next(SECOND).map(|(_, known, value)| (known, value)), Some((false, 1)));
    }

    #[test]
    fn the_queue_has_a_bound() {
        let mut turns = turns();
        for n in 0..48 + MAX_QUEUED as u32 {
            assert!(!matches!(turns.take(false, SECOND, n), Grant::Full(_)), "{n}");
        }
        assert_eq!(turns.take(false, SECOND, 7), Grant::Full(7));
        for n in 0..16 + MAX_QUEUED_KNOWN as u32 {
            assert!(!matches!(turns.take(true, SECOND, n), Grant::Full(_)), "{n}");
        }
        assert_eq!(turns.take(true, SECOND, 8), Grant::Full(8));
        assert_eq!(turns.drain().count(), MAX_QUEUED + MAX_QUEUED_KNOWN);
        assert_eq!(turns.queued(), 0);
    }

    #[test]
    fn what_is_overdue_is_counted_no_longer() {
        let mut turns = turns();
        let old: Vec<_> = (0..48).map(|n| turn(turns.take(false, SECOND, n))).collect();
        assert_eq!(turns.take(false, SECOND, 48), Grant::Queued);
        assert_eq!(turns.take(false, 2 * SECOND, 49), Grant::Queued);
        assert!(turns.give_up_overdue(7 * SECOND - Duration::from_nanos(1)).is_empty());
        assert_eq!(turns.running(), 48);
        assert_eq!(turns.give_up_overdue(7 * SECOND), [48]);
        assert_eq!((turns.running(), turns.queued()), (0, 1));
        assert!(!turns.end(old[0]));
        assert_eq!(turns.next(7 * SECOND).map(|(_, _, value)| value), Some(49));
    }
}
