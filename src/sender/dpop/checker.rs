//! Confirms that the client has the key that its token is bound to (RFC 9449 §7.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;

use crate::credentials::{Presentation, ProofField};
use crate::error::Error;
use crate::observe::{Event, ReplayHealth, Stream};
use crate::replay::{Inserted, Insertion, Replays, UsedProof};
use crate::sender::dpop::header::ProofHeaders;
use crate::sender::dpop::nonce::NonceMaker;
use crate::sender::dpop::proof::{self, About, Proof};
use crate::sender::dpop::target::PublicUrl;
use crate::source_error::SourceError;
use crate::token::{Excerpt, NumericDate, Thumbprint};

/// How old a proof may be by default, by its `iat`.
pub(super) const DEFAULT_PAST: Duration = Duration::from_secs(60);

/// The maximum of `max_age`: RFC 9449 §11.1 requires a short time, and the store keeps each proof for that time.
pub(super) const MAX_PAST: Duration = Duration::from_secs(300);

/// The minimum of `max_age`: clients write `iat` in whole seconds.
pub(super) const MIN_PAST: Duration = Duration::from_secs(1);

/// How far in the future the `iat` of a proof may be, because clocks differ.
const AHEAD: Duration = Duration::from_secs(15);

/// How much longer a shared store keeps a proof, because the clocks of the servers that share the store differ.
const SKEW: Duration = Duration::from_secs(15);

/// The store of used proofs counts as recovered after this time without a failure, in seconds.
const RECOVERED_AFTER: u64 = 10;

/// When to try again if a client has used its share of the store: by then, some of its proofs have expired.
const SPACE_AFTER: Duration = Duration::from_secs(30);

/// When to try again if the store of used proofs fails.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Checks proofs.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(super) public_url: PublicUrl,
    pub(super) mounted_at: Box<str>,
    pub(super) replays: Replays,
    pub(super) required: bool,
    pub(super) headers: ProofHeaders,
    pub(super) past: Duration,
    /// Whether every proof needs a nonce.
    pub(super) always: bool,
    /// Whether the store of used proofs is in this process.
    pub(super) in_process: bool,
    pub(super) nonces: Option<NonceMaker>,
    /// When the store last failed, in seconds since the epoch. 0 if the store works.
    pub(super) last_failure: AtomicU64,
}

/// A proof that passed all checks. It must still be stored as used.
#[derive(Debug)]
pub(crate) struct Proven {
    used: UsedProof,
    key: Thumbprint,
    wants_nonce: bool,
    /// How far the client's clock is ahead of ours, in seconds.
    clock_offset: f64,
}

impl Proven {
    /// The key that the client has.
    pub(crate) fn key(&self) -> &Thumbprint {
        &self.key
    }

    /// Whether the client should get a fresh nonce.
    pub(crate) fn wants_nonce(&self) -> bool {
        self.wants_nonce
    }
}

/// When a proof can have been made, and how long it is kept.
struct Made {
    /// The earliest time at which the proof can have been made, since the epoch.
    earliest: Duration,
    /// The time from which the proof is refused, since the epoch. The store keeps the proof until then.
    until: Duration,
    wants_nonce: bool,
}

impl Checker {
    /// Whether all tokens must be bound to a key.
    pub(crate) fn is_required(&self) -> bool {
        self.required
    }

    /// A fresh nonce, if nonces are used.
    pub(crate) fn make_nonce(&self, now: Duration) -> Option<HeaderValue> {
        self.nonces.as_ref()?.make(now)
    }

    /// The state of the store of used proofs.
    pub(crate) fn health(&self, now: Duration) -> ReplayHealth {
        self.replays.health(now)
    }

    /// Checks the proof of a request whose token is bound to `key`. Returns `None` if an outer layer has already
    /// confirmed the proof of this request.
    ///
    /// # Errors
    /// If there is no proof, or if a check of the proof fails.
    pub(crate) fn confirm(
        &self,
        key: &Thumbprint,
        presentation: &Presentation<'_>,
        now: Duration,
    ) -> Result<Option<Proven>, Error> {
        let line = match &presentation.proof {
            ProofField::One(line) => line,
            ProofField::Absent => return Err(Error::MissingProof),
            ProofField::Several => {
                return Err(Error::InvalidProof { problem: "there are several `DPoP` fields" });
            }
            ProofField::Confirmed(own) if own == key => return Ok(None),
            ProofField::Confirmed(_) => return Err(Error::ForeignProofKey),
        };
        let no_url = Error::InvalidProof { problem: "the request has no URL that it could name" };
        let (method, uri, original) = presentation.target().ok_or_else(|| no_url.clone())?;
        let uri = if self.mounted_at.is_empty() { original.unwrap_or(uri) } else { uri };
        let target = self.public_url.target(&self.mounted_at, uri.path());
        let about = About {
            method: method.as_str(),
            target: &target.ok_or(no_url)?,
            is_root: matches!(uri.path(), "" | "/"),
            token: presentation.token.as_bytes(),
            key,
        };
        let proof = proof::verify(line, &self.headers, &about)?;
        let Made { earliest, until, wants_nonce } = self.made(&proof, now)?;
        let used = UsedProof::new(proof.id, *key.octets(), earliest, until, now);
        let clock_offset = proof.iat - now.as_secs_f64();
        Ok(Some(Proven { used, key: *key, wants_nonce, clock_offset }))
    }

    /// Determines when a proof was made: by its nonce, or without a nonce by its `iat` (RFC 9449 §4.3, §11.1).
    fn made(&self, proof: &Proof, now: Duration) -> Result<Made, Error> {
        let Some(maker) = &self.nonces else { return self.made_by_clock(proof, now) };
        let demand = |problem| Error::NonceRequired { problem };
        match &proof.nonce {
            Some(nonce) => {
                let nonce = maker.read(nonce).ok_or(demand("its nonce is not one of ours"))?;
                if !nonce.is_accepted(now) {
                    return Err(demand("its nonce is too old"));
                }
                Ok(Made {
                    earliest: nonce.made,
                    until: nonce.until().saturating_add(self.skew()),
                    wants_nonce: nonce.is_old(now),
                })
            }
            None if self.always => Err(demand("it has no nonce")),
            None => {
                let by_clock = self.made_by_clock(proof, now);
                by_clock.map_err(|_| demand("its `iat` is out of time, and it has no nonce"))
            }
        }
    }

    fn made_by_clock(&self, proof: &Proof, now: Duration) -> Result<Made, Error> {
        let (iat, wall) = (proof.iat, now.as_secs_f64());
        let earliest = wall - self.past.as_secs_f64();
        let in_time = (earliest..=wall + AHEAD.as_secs_f64()).contains(&iat);
        let made = Duration::try_from_secs_f64(iat).ok().filter(|_| in_time);
        let made = made.ok_or(Error::ProofOutOfTime {
            iat: NumericDate::from_secs_f64(iat),
            now: NumericDate::now(now),
            past: self.past.as_secs(),
            ahead: AHEAD.as_secs(),
        })?;
        // If the client's clock is ahead, the client made the proof before the time in `iat`. Such a proof may be
        // older than a new store. So for `AHEAD` after the start of a store, every proof without a nonce is refused.
        // For a store in this process and without nonces, that would be an outage after each start. So there, such
        // proofs are accepted, which leaves a gap that the manual describes.
        let has_gap = self.in_process && self.nonces.is_none();
        let ahead = if has_gap { Duration::ZERO } else { AHEAD };
        Ok(Made {
            earliest: made.saturating_sub(ahead),
            until: made.saturating_add(self.past).saturating_add(self.skew()),
            wants_nonce: false,
        })
    }

    /// How much longer the store keeps a proof because of other servers' clocks.
    fn skew(&self) -> Duration {
        if self.in_process { Duration::ZERO } else { SKEW }
    }

    /// Stores a proof as used. This is the last step of authentication, so that a token that is refused for another
    /// reason does not use up its proof. No other request passes with the same proof.
    pub(crate) fn use_up(&self, proven: &Proven) -> Inserted {
        self.replays.insert(proven.used.clone())
    }

    /// Accepts or refuses the proof by the store's answer, and reports the events. `issuer` is the issuer of the
    /// token.
    ///
    /// # Errors
    /// If the proof was used before, if the store cannot tell, or if the client has used its share of the store.
    pub(crate) fn judge(
        &self,
        inserted: Result<Insertion, SourceError>,
        proven: &Proven,
        issuer: &Arc<str>,
        stream: &Stream,
        now: Duration,
    ) -> Result<(), Error> {
        let failed = inserted.is_err();
        let judged = self.judge_insertion(inserted);
        let issuer = || Arc::clone(issuer);
        match &judged {
            Ok(()) => stream.tell_of(|| Event::ProofAccepted {
                issuer: issuer(),
                clock_offset: proven.clock_offset,
            }),
            Err(Error::ReplayedProof) => {
                stream.tell_of(|| Event::ProofReplayed { issuer: issuer() });
            }
            Err(Error::NonceRequired { problem }) => {
                stream.tell_of(|| Event::NonceDemanded { issuer: issuer(), reason: problem });
            }
            Err(_) => {}
        }
        if let Some(event) = self.outage(&judged, failed, now) {
            stream.tell_of(|| event);
        }
        judged
    }

    /// The event about the store, if its state has changed. A store that fails from time to time counts as failed
    /// until there was no failure for [`RECOVERED_AFTER`].
    fn outage(&self, judged: &Result<(), Error>, failed: bool, now: Duration) -> Option<Event> {
        let now = now.as_secs().max(1);
        let last = match failed {
            true => self.last_failure.swap(now, Ordering::Relaxed),
            false => self.last_failure.load(Ordering::Relaxed),
        };
        match judged {
            Err(Error::ReplayStoreUnavailable { problem, .. }) if failed && last == 0 => {
                Some(Event::ReplayStoreFailed { problem: problem.clone() })
            }
            _ if !failed && last > 0 && now.abs_diff(last) >= RECOVERED_AFTER => {
                let ours = self.last_failure.compare_exchange(
                    last,
                    0,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                ours.is_ok().then_some(Event::ReplayStoreRecovered)
            }
            _ => None,
        }
    }

    fn judge_insertion(&self, inserted: Result<Insertion, SourceError>) -> Result<(), Error> {
        match inserted {
            Ok(Insertion::New) => Ok(()),
            Ok(Insertion::Known) => Err(Error::ReplayedProof),
            Ok(Insertion::Forgotten) => {
                let problem = "it was made before the store of used proofs began";
                Err(match self.nonces {
                    Some(_) => Error::NonceRequired { problem },
                    None => Error::InvalidProof { problem },
                })
            }
            Ok(Insertion::OverShare) => Err(Error::TooManyProofs { retry_after: SPACE_AFTER }),
            Err(error) => Err(unavailable(&error.to_string())),
        }
    }
}

fn unavailable(problem: &str) -> Error {
    Error::ReplayStoreUnavailable { problem: Excerpt::of(problem), retry_after: RETRY_AFTER }
}
