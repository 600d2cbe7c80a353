//! Nonces for proofs (RFC 9449 §8, §9): made and checked without any stored state.
//!
//! A nonce contains the time at which it was made, random octets, and a keyed hash over both. So only a
//! server with the key can make a nonce, and nobody can guess one. Servers with the same key accept each
//! other's nonces.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::crypto::{MacKey, random_octets};

/// The length of a step. A nonce is accepted in the step in which it was made and in the next step, so for 60 to
/// 120 s. It is also accepted in the step before, because the clock of the server that made it may be ahead.
const STEP: Duration = Duration::from_secs(60);

/// The minimum length of a key in octets: the length of the hash (RFC 2104 §3).
pub(super) const MIN_KEY: usize = 32;

/// The lengths of the parts of a nonce, in octets. The time is in milliseconds since the epoch. 128 bits of
/// the hash can't be guessed.
const TIME: usize = 6;
const RANDOM: usize = 10;
const TAG: usize = 16;

/// What the hash is for, and the version of the format.
const PURPOSE: &[u8] = b"tower-resource-server DPoP nonce 1";

/// Makes and checks nonces.
#[derive(Debug)]
pub(crate) struct NonceMaker {
    /// The first key makes nonces. All keys check them.
    keys: Vec<MacKey>,
    /// The public URL of the API, so that an API does not accept the nonces of another API with the same key.
    context: Box<str>,
}

/// A nonce that this server, or another one with the same key, made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Nonce {
    /// When the nonce was made, since the epoch.
    pub(super) made: Duration,
}

impl NonceMaker {
    /// Creates a random key if `keys` is empty. Returns `None` if the system has no randomness.
    pub(super) fn new(keys: &[Vec<u8>], context: &str) -> Option<Self> {
        let keys = match keys {
            [] => vec![MacKey::new(&random_octets::<MIN_KEY>()?)],
            keys => keys.iter().map(|key| MacKey::new(key)).collect(),
        };
        Some(Self { keys, context: context.into() })
    }

    /// A fresh nonce. `None` if the system has no randomness.
    pub(crate) fn make(&self, now: Duration) -> Option<HeaderValue> {
        let key = self.keys.first()?;
        let millis = u64::try_from(now.as_millis()).ok()?.to_be_bytes();
        let time = millis.last_chunk::<TIME>()?;
        let random = random_octets::<RANDOM>()?;
        let tag: [u8; TAG] = key.tag(&[PURPOSE, self.context.as_bytes(), time, &random]);
        let nonce = URL_SAFE_NO_PAD.encode([&time[..], &random[..], &tag[..]].concat());
        HeaderValue::from_str(&nonce).ok()
    }

    /// Reads a nonce. Returns `None` if it was not made with one of the keys.
    pub(super) fn read(&self, nonce: &str) -> Option<Nonce> {
        let mut octets = [0; TIME + RANDOM + TAG];
        let length = URL_SAFE_NO_PAD.decode_slice(nonce, &mut octets).ok()?;
        let octets = octets.get(..length).filter(|octets| octets.len() == TIME + RANDOM + TAG)?;
        let (time, rest) = octets.split_first_chunk::<TIME>()?;
        let (random, tag) = rest.split_first_chunk::<RANDOM>()?;
        let tag = tag.first_chunk::<TAG>()?;
        let parts = [PURPOSE, self.context.as_bytes(), time, random];
        let is_ours = self.keys.iter().fold(false, |found, key| found | key.is_tag(&parts, tag));
        let millis = time.iter().fold(0, |millis, octet| millis << 8 | u64::from(*octet));
        is_ours.then_some(Nonce { made: Duration::from_millis(millis) })
    }
}

impl Nonce {
    fn step(self) -> u64 {
        step(self.made)
    }

    pub(super) fn is_accepted(self, now: Duration) -> bool {
        step(now).abs_diff(self.step()) <= 1
    }

    /// Whether the client should get a fresh nonce.
    pub(super) fn is_old(self, now: Duration) -> bool {
        self.step() < step(now)
    }

    /// The time from which the nonce is no longer accepted, since the epoch.
    pub(super) fn until(self) -> Duration {
        STEP.saturating_mul(u32::try_from(self.step().saturating_add(2)).unwrap_or(u32::MAX))
    }
}

fn step(time: Duration) -> u64 {
    time.as_secs() / STEP.as_secs()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_764_204_000);
    const URL: &str = "https://api.test";

    fn made(maker: &NonceMaker, now: Duration) -> String {
        maker.make(now).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_nonce_can_neither_repeat_nor_be_made_by_others() {
        let maker = NonceMaker::new(&[], URL).unwrap();
        let nonces: HashSet<_> = (0..10_000).map(|_| made(&maker, NOW)).collect();
        assert_eq!(nonces.len(), 10_000);
        for nonce in &nonces {
            // RFC 9449 §8: 1*NQCHAR.
            assert!(nonce.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
        }
        let nonce = made(&maker, NOW);
        assert_eq!(maker.read(&nonce), Some(Nonce { made: NOW }));
        for at in 0..nonce.len() {
            for other in ["A", "B", "", "=", " ", "."] {
                let changed = format!("{}{other}{}", &nonce[..at], &nonce[at + 1..]);
                assert!(changed == nonce || maker.read(&changed).is_none(), "{changed}");
            }
        }
        for other in ["", "x", "eyJ7S_zG.eyJH0-Z.HX4w-7v", &format!("{nonce}A"), &nonce.repeat(9)] {
            assert!(maker.read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn servers_with_one_key_accept_each_others_nonces() {
        let (one, two, three) = (vec![1; 32], vec![2; 32], vec![3; 32]);
        let maker = |keys: &[&Vec<u8>], url: &str| {
            let keys: Vec<_> = keys.iter().map(|key| (*key).clone()).collect();
            NonceMaker::new(&keys, url).unwrap()
        };
        let own = maker(&[&one], URL);
        for (name, other, expected) in [
            ("the same key", maker(&[&one], URL), true),
            ("rotated: its key is the second one", maker(&[&two, &one], URL), true),
            ("a key that is not used any more", maker(&[&three, &two], URL), false),
            ("another API", maker(&[&one], "https://other.test"), false),
            ("a random key", NonceMaker::new(&[], URL).unwrap(), false),
        ] {
            assert_eq!(other.read(&made(&own, NOW)).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn a_nonce_is_accepted_in_its_step_and_beside_it() {
        let second = Duration::from_secs(1);
        // The step begins at `NOW`.
        let nonce = |at| Nonce { made: at };
        for (name, made, now, accepted, old) in [
            ("at once", NOW, NOW, true, false),
            ("the end of its step", NOW, NOW + 59 * second, true, false),
            ("the next step", NOW, NOW + 60 * second, true, true),
            ("the end of the next step", NOW, NOW + 119 * second, true, true),
            ("two steps later", NOW, NOW + 120 * second, false, true),
            ("made late in its step", NOW + 59 * second, NOW + 119 * second, true, true),
            ("another server's clock is ahead", NOW + 60 * second, NOW, true, false),
            ("by too much", NOW + 120 * second, NOW, false, false),
        ] {
            assert_eq!(nonce(made).is_accepted(now), accepted, "{name}");
            assert_eq!(nonce(made).is_old(now), old, "{name}");
            assert!(!nonce(made).is_accepted(nonce(made).until()), "{name}");
        }
        assert_eq!(nonce(NOW).until(), NOW + 120 * second);
        let _ = nonce(Duration::MAX).until();
    }
}
