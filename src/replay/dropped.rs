//! The time buckets that were dropped.

/// How many spans are stored exactly. Normal time makes one span, and each jump of the clock makes
/// another, so this limit is not reached in practice.
const MAX_SPANS: usize = 8;

/// The numbers of the buckets that were dropped. A proof that belongs to one of them may have been
/// used.
///
/// The wall clock can jump ahead and back. Then a bucket may have been dropped although the clock
/// accepts its proofs again. A bucket that was dropped once stays here, so that a proof is never new
/// twice, whatever the clock does.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    /// First and last number, ascending, with gaps in between.
    spans: Vec<(u64, u64)>,
}

impl Dropped {
    pub(super) fn contains(&self, number: u64) -> bool {
        self.spans.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    pub(super) fn add(&mut self, number: u64) {
        self.spans.push((number, number));
        self.spans.sort_unstable();
        self.join(1);
        // The memory is limited: if there are too many spans, the smallest gap between two of them
        // counts as dropped, too. This can only refuse more proofs, never accept one.
        if self.spans.len() > MAX_SPANS {
            let gap = |pair: &[(u64, u64)]| match pair {
                [(_, last), (first, _)] => first.saturating_sub(*last),
                _ => u64::MAX,
            };
            self.join(self.spans.windows(2).map(gap).min().unwrap_or(u64::MAX));
        }
    }

    /// Joins spans whose distance is at most `gap`.
    fn join(&mut self, gap: u64) {
        self.spans.dedup_by(|next, span| {
            let near = next.0 <= span.1.saturating_add(gap);
            if near {
                span.1 = span.1.max(next.1);
            }
            near
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_joined() {
        let eight = [10, 20, 30, 40, 50, 60, 70, 80];
        type Numbers<'a> = &'a [u64];
        let rows: [(&str, Numbers<'_>, Numbers<'_>, Numbers<'_>); 8] = [
            ("nothing", &[], &[], &[0, 1, u64::MAX]),
            ("one", &[5], &[5], &[4, 6]),
            ("time flows", &[5, 6, 7], &[5, 6, 7], &[4, 8]),
            ("and flows back", &[7, 6, 5], &[5, 6, 7], &[4, 8]),
            ("the gap is filled", &[5, 7, 6], &[5, 6, 7], &[4, 8]),
            ("twice", &[5, 5], &[5], &[4, 6]),
            ("the ends", &[0, u64::MAX], &[0, u64::MAX], &[1, u64::MAX - 1]),
            ("as many as are exact", &eight, &eight, &[9, 11, 45, 79, 81]),
        ];
        for (name, added, inside, outside) in rows {
            let mut dropped = Dropped::default();
            added.iter().for_each(|number| dropped.add(*number));
            assert!(inside.iter().all(|number| dropped.contains(*number)), "{name}: {dropped:?}");
            assert!(!outside.iter().any(|number| dropped.contains(*number)), "{name}: {dropped:?}");
        }
    }

    #[test]
    fn beyond_the_limit_the_smallest_gap_counts_as_dropped() {
        let mut dropped = Dropped::default();
        for number in [10, 20, 30, 40, 50, 54, 70, 80, 1_000_000] {
            dropped.add(number);
        }
        assert_eq!(dropped.spans.len(), MAX_SPANS);
        for (number, expected) in [(50, true), (52, true), (54, true), (49, false), (55, false)] {
            assert_eq!(dropped.contains(number), expected, "{number}");
        }
        assert!(!dropped.contains(500_000), "the jump of a clock stays apart");
    }
}
