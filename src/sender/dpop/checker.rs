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

/// The longest setting: RFC 9449 §11.1 wants a short time, and the store keeps each proof that long.
pub(super) const MAX_PAST: Duration = Duration::from_secs(300);

/// The shortest setting: clients write whole seconds.
pub(super) const MIN_PAST: Duration = Duration::from_secs(1);

/// How far in the future the `iat` of a proof may be, since clocks differ.
const AHEAD: Duration = Duration::from_secs(15);

/// How much longer than necessary the store keeps a proof, since the clocks of servers that share a store
/// differ.
const SKEW: Duration = Duration::from_secs(15);

/// How long the store of used proofs must not have failed until it counts as recovered, in seconds.
const RECOVERED_AFTER: u64 = 10;

/// When to try again if a client has used its share of the store: some of its proofs have ended then.
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
    /// When the store failed last, in seconds since the epoch. 0 if it works.
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

/// When a proof was made, as far as it is known.
struct Made {
    /// The earliest possible time.
    earliest: Duration,
    /// The time from which it is refused.
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

    /// Checks the proof of a request whose token is bound to `key`. Returns `None` if this very proof was
    /// confirmed before, by an outer layer.
    ///
    /// # Errors
    /// If there is no proof, or the proof does not pass.
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

    /// Judges when a proof was made: by its nonce, or else by the client's clock (RFC 9449 §4.3, §11.1).
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
        // If the client's clock is ahead, it has made the proof before its `iat`. So in the first seconds of a store,
        // every proof without a nonce is refused. Only for a store in the process, and without nonces, this would be
        // an outage after each start, so a gap remains, which the manual describes.
        let has_gap = self.in_process && self.nonces.is_none();
        let ahead = if has_gap { Duration::ZERO } else { AHEAD };
        Ok(Made {
            earliest: made.saturating_sub(ahead),
            until: made.saturating_add(self.past).saturating_add(self.skew()),
            wants_nonce: false,
        })
    }

    /// How much longer than necessary a proof is kept.
    fn skew(&self) -> Duration {
        if self.in_process { Duration::ZERO } else { SKEW }
    }

    /// Stores a proof as used. This is the last step: nothing else may refuse the request after it, and no
    /// other request may pass with the same proof.
    pub(crate) fn use_up(&self, proven: &Proven) -> Inserted {
        self.replays.insert(proven.used.clone())
    }

    /// What the store's answer means. `issuer` is the issuer of the token.
    ///
    /// # Errors
    /// If the proof was used before, or if the store cannot tell.
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

    /// The event about the store, if its state has changed. A store that fails now and then is down until it has not
    /// failed for some time.
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
