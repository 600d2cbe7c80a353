//! Counts of fetches over time.

use std::fmt;
use std::time::Duration;

/// The number of time slots per second. Fetches are counted per slot.
const TENTHS: usize = 10;

#[derive(Default)]
pub(crate) struct Load {
    tenths: Vec<Tenth>,
}

#[derive(Clone, Copy, Default)]
struct Tenth {
    fetches: u32,
    answered: u32,
    not_modified: u32,
}

/// The load in a period of time.
pub(crate) struct Window {
    /// The mean number of fetches per second.
    pub(crate) mean: f64,
    /// The maximum number of fetches in any second.
    pub(crate) in_1s: u32,
    /// The maximum number of fetches in any 10 seconds.
    pub(crate) in_10s: u32,
    /// The share of the good answers that would be 304 if the issuer sends an ETag.
    pub(crate) not_modified: f64,
}

impl Load {
    pub(crate) fn fetched(&mut self, now: Duration) {
        self.at(now).fetches += 1;
    }

    pub(crate) fn answered(&mut self, now: Duration, not_modified: bool) {
        self.at(now).answered += 1;
        self.at(now).not_modified += u32::from(not_modified);
    }

    fn at(&mut self, now: Duration) -> &mut Tenth {
        let tenth = (now.as_millis() / 100) as usize;
        if tenth >= self.tenths.len() {
            self.tenths.resize(tenth + 1, Tenth::default());
        }
        &mut self.tenths[tenth]
    }

    /// The load from one second to another.
    pub(crate) fn window(&self, from: u64, to: u64) -> Window {
        let (from, to) = (from as usize * TENTHS, to as usize * TENTHS);
        let mut tenths = self.tenths.clone();
        tenths.resize(to.max(tenths.len()), Tenth::default());
        let tenths = &tenths[from..to];
        let sum = |tenths: &[Tenth], of: fn(&Tenth) -> u32| tenths.iter().map(of).sum::<u32>();
        let most = |seconds: usize| {
            let windows = tenths.windows(seconds * TENTHS);
            windows.map(|window| sum(window, |tenth| tenth.fetches)).max().unwrap_or(0)
        };
        let seconds = (tenths.len() / TENTHS) as f64;
        let answered = sum(tenths, |tenth| tenth.answered).max(1);
        Window {
            mean: f64::from(sum(tenths, |tenth| tenth.fetches)) / seconds,
            in_1s: most(1),
            in_10s: most(10),
            not_modified: f64::from(sum(tenths, |tenth| tenth.not_modified)) / f64::from(answered),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean, in_1s, in_10s, not_modified } = self;
        let digits = if *mean < 10.0 { 3 } else { 0 };
        write!(f, "{mean:9.digits$}{in_1s:9}{in_10s:9}{:5.0}%", not_modified * 100.0)
    }
}
