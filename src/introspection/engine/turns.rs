//! Whose turn is it to call the endpoint? Pure.
//!
//! So many calls at once, some of them only for tokens that were active before; the rest wait their
//! turn in the order in which they came, and their number has a bound. A flood of made-up tokens then
//! delays new tokens, and never those that the endpoint vouched for.
//!
//! A call that is overdue is counted no longer: its task may sit on a runtime that nobody drives.

use std::collections::VecDeque;
use std::time::Duration;

/// Calls under way at one endpoint: what an authorization server bears from one of its clients.
pub(crate) const MAX_IN_FLIGHT: usize = 64;

/// Those of them that only tokens that were active before may have.
pub(crate) const RESERVED: usize = 16;

/// Tokens that wait for their turn. At 64 calls of 50 ms it comes to the last after 0.8 s.
pub(crate) const MAX_QUEUED: usize = 1024;

/// So many more that were active before, or a flood of new ones would keep them out of the queue.
pub(crate) const MAX_QUEUED_KNOWN: usize = 256;

/// The calls under way, and who waits for one.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    overdue_after: Duration,
    running: Vec<Running>,
    /// Tokens that were never active, and those that were.
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

/// What became of a wish to call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grant<T> {
    /// Its turn is now; the number is to be [ended](Turns::end).
    Turn(u64),
    Queued,
    /// Too many wait already.
    Full(T),
}

impl<T> Turns<T> {
    pub(crate) fn new(overdue_after: Duration) -> Self {
        let (new, known) = (VecDeque::new(), VecDeque::new());
        Self { overdue_after, running: Vec::new(), new, known, count: 0 }
    }

    /// Calls under way.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// How many wait.
    pub(crate) fn queued(&self) -> usize {
        self.new.len() + self.known.len()
    }

    /// Whether a call could begin now, by the number of those under way.
    pub(crate) fn is_free(&self, known: bool) -> bool {
        let new = self.running.iter().filter(|running| !running.known).count();
        self.running.len() < MAX_IN_FLIGHT && (known || new < MAX_IN_FLIGHT - RESERVED)
    }

    /// Takes a turn, or a place in the queue with `value`.
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

    /// Begins a call without a look at the queue, for a probe; `None` where there is no room.
    pub(crate) fn take_first(&mut self, now: Duration) -> Option<u64> {
        self.is_free(true).then(|| self.begin(true, now))
    }

    /// A call ended. Whether it was still counted.
    pub(crate) fn end(&mut self, number: u64) -> bool {
        let found = self.running.iter().position(|running| running.number == number);
        found.map(|at| self.running.swap_remove(at)).is_some()
    }

    /// The next whose turn it is, with its number and whether it was active before.
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

    /// Takes out who waits.
    #[cfg(test)]
    fn drain(&mut self) -> impl Iterator<Item = T> {
        let queues = [std::mem::take(&mut self.known), std::mem::take(&mut self.new)];
        queues.into_iter().flatten().map(|queued| queued.value)
    }

    /// Counts calls no longer that are overdue, and takes out who waits for longer than that.
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
        // Alone, they may have all.
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
