//! The end of an attempt: checks the result, publishes it, and emits events.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use arc_swap::Guard;

use crate::crypto::random_unit;
use crate::fetch::Failure;
use crate::flight::Ended;
use crate::keys::engine::remote::RemoteKeys;
use crate::keys::engine::snapshot::Snapshot;
use crate::keys::freshness::Ticket;
use crate::keys::set::KeySetFault;
use crate::keys::source::Fetched;
use crate::observe::Event;
use crate::token::Excerpt;

impl RemoteKeys {
    /// Handles the end of an attempt. `known` is the set that was in use when the attempt began. A
    /// "not modified" answer refers to that set.
    pub(crate) fn attempt_ended(
        &self,
        ticket: Ticket,
        ended: Ended<Result<Fetched, Failure>>,
        known: Option<&Snapshot>,
    ) {
        if matches!(ended, Ended::Gone) {
            // The runtime shut down during the attempt. The server is not at fault.
            self.freshness.cancelled(ticket);
            self.ended.send_replace(());
            return;
        }
        let fetched = ended.done().unwrap_or_else(|problem| Err(problem.into()));
        let now = self.clock.monotonic();
        if !self.freshness.is_current(&ticket) {
            // Another attempt has replaced this attempt, so this result may be older than the
            // result of the other attempt.
            return;
        }
        let before = Guard::into_inner(self.current(now));
        let partial = fetched.as_ref().ok().and_then(|fetched| fetched.partial.as_ref());
        let missing = partial.map(|partial| Excerpt::of_own(partial.problem.as_str()));
        match fetched.and_then(|fetched| self.renew(&ticket, fetched, known)) {
            Ok(snapshot) => {
                let snapshot = Arc::new(snapshot);
                // Keep this order: a thread that sees that the attempt has ended must also see its
                // set.
                self.publish(&snapshot);
                self.last_error.store(missing.clone().map(Arc::new));
                // The failures of a part are counted until the set is complete again. Count them
                // before another attempt may begin.
                let before_this = self.incomplete.load(Ordering::Relaxed);
                let incomplete = if missing.is_some() { before_this.saturating_add(1) } else { 0 };
                self.incomplete.store(incomplete, Ordering::Relaxed);
                let failures = self.freshness.succeeded(ticket);
                self.ended.send_replace(());
                let ended = if missing.is_some() { 0 } else { before_this };
                let recovered_from = failures.saturating_add(ended);
                self.report_success(before.as_deref(), &snapshot, recovered_from);
                if let Some(problem) = missing {
                    let usable_for = snapshot.life.usable_for(now);
                    let failures = incomplete;
                    self.emit(|issuer| Event::RefreshFailed {
                        issuer,
                        problem,
                        failures,
                        usable_for,
                    });
                }
            }
            Err(Failure { problem, retry_after }) => {
                let problem = Excerpt::of_own(problem);
                let life = before.as_ref().map(|before| &before.life);
                let setback = self.freshness.failed(ticket, life, now, random_unit(), retry_after);
                if setback.is_some() {
                    self.last_error.store(Some(Arc::new(problem.clone())));
                }
                self.ended.send_replace(());
                let Some(setback) = setback else { return };
                let usable_for = setback.usable_for;
                let failures =
                    setback.failures.saturating_add(self.incomplete.load(Ordering::Relaxed));
                self.emit(|issuer| Event::RefreshFailed { issuer, problem, failures, usable_for });
                if let (true, Some(usable_for)) = (setback.turned_stale, usable_for) {
                    self.emit(|issuer| Event::Stale { issuer, usable_for });
                }
            }
        }
    }

    /// Publishes a set, unless the set of a later attempt is already published. In that case, a
    /// later attempt replaced this attempt a moment ago.
    fn publish(&self, set: &Arc<Snapshot>) {
        self.snapshot.rcu(|present| match present {
            Some(present) if !set.life.is_newer(&present.life) => Some(Arc::clone(present)),
            _ => Some(Arc::clone(set)),
        });
    }

    /// The set that a fetch returned or confirmed.
    fn renew(
        &self,
        ticket: &Ticket,
        fetched: Fetched,
        known: Option<&Snapshot>,
    ) -> Result<Snapshot, Failure> {
        let (keys, document) = match (fetched.document, known) {
            (None, None) => {
                return Err(
                    "key set: the answer is 304 (not modified), but no set is cached".into()
                );
            }
            (None, Some(known)) => (Arc::clone(&known.keys), known.document.clone()),
            (Some(document), Some(known)) if document == known.document => {
                (Arc::clone(&known.keys), document)
            }
            (Some(document), _) => match self.source.parse(&document, self.accepted) {
                Ok(keys) => (Arc::new(keys), document),
                Err(KeySetFault(problem)) => return Err(format!("key set: {problem}").into()),
            },
        };
        let life = self.freshness.renewed(ticket, fetched.max_age, random_unit());
        Ok(Snapshot {
            keys,
            life: match fetched.partial {
                None => life,
                Some(partial) => life.as_partial(partial.usable_until),
            },
            document,
            validator: fetched.validator,
            seed: false,
            replacement_tried: Mutex::default(),
        })
    }

    fn report_success(&self, before: Option<&Snapshot>, set: &Snapshot, failures: u32) {
        if failures > 0 {
            self.emit(|issuer| Event::Recovered { issuer, failures });
        }
        let first = before.is_none_or(|before| before.seed);
        let changed = before.is_none_or(|before| before.document != set.document);
        let keys = set.keys.len();
        self.emit(|issuer| Event::Refreshed { issuer, keys, first, changed });
        if !changed {
            return;
        }
        for skipped in set.keys.skipped() {
            let (kid, reason) = (skipped.kid.clone(), skipped.reason);
            self.emit(|issuer| Event::KeySkipped { issuer, kid, reason });
        }
        if let Some(before) = before {
            self.report_rotation(before, set);
        }
    }
}
