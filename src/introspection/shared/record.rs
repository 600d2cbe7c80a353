//! The record of a shared answer, and whether it is still valid. Pure.
//!
//! ```text
//! 1 octet     0: not active; 1: active
//! 8 octets    when the server was asked, in milliseconds since the epoch, big endian
//! the rest    if active: the answer, a JSON object; otherwise nothing
//! ```
//!
//! The first two fields give the record's version, and they are sealed with the rest. Of two
//! records, the one about the newer question wins; if both questions were asked at the same time,
//! "not active" wins. The store also gets the version, to compare records. A server that reads a
//! record uses only the sealed version.
//!
//! Two servers have two clocks. The time that another server wrote is compared with our clock, as
//! the times of claims are. An answer that is further in the future than the leeway is not used. An
//! answer that is less far in the future counts as new. So an answer lives no longer than ttl plus
//! leeway, whatever either clock shows.
//!
//! Clients get "not active" from the cache for 5 s. It overrides older answers for as long as one
//! of them could be used.

use std::time::Duration;

use crate::introspection::answer::Answer;

/// The number of octets before the JSON object.
const HEAD: usize = 9;

/// An answer that may be used.
#[derive(Debug)]
pub(crate) struct SharedAnswer {
    /// `None`: the token is not active.
    pub(crate) answer: Option<Answer>,
    /// The time since the server was asked.
    pub(crate) age: Duration,
    /// An upper bound of the age, because the clocks of two servers may differ by the leeway.
    pub(crate) age_at_most: Duration,
}

/// Why a record is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is not a record of this crate.
    Malformed,
    /// Its time is ahead of our clock by more than the leeway.
    Ahead,
    /// It is too old.
    Over,
}

/// The version of a record. Of two records, the newer one has the higher version: the time of the
/// question in milliseconds since the epoch, times two, plus one for a token that is not active.
pub(crate) fn version(is_active: bool, asked: Duration) -> u64 {
    millis(asked).saturating_mul(2).saturating_add(u64::from(!is_active))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Writes the record of an answer to a question that was asked at `asked`, by the wall clock.
pub(crate) fn write(answer: Option<&Answer>, asked: Duration) -> Vec<u8> {
    let mut record = vec![u8::from(answer.is_some())];
    record.extend(millis(asked).to_be_bytes());
    if let Some(answer) = answer {
        record.extend(answer.document());
    }
    record
}

/// Reads a record and decides whether it is valid at `now`, by the wall clock. A record that says
/// "not active" is valid for as long as older answers can be used: the ttl plus `stale`. This
/// function does not check whether the token has expired, because the record of an expired token
/// also overrides older answers.
pub(crate) fn read(
    record: &[u8],
    now: Duration,
    ttl: Duration,
    stale: Duration,
    leeway: Duration,
) -> Result<SharedAnswer, Unusable> {
    let (head, document) = record.split_first_chunk::<HEAD>().ok_or(Unusable::Malformed)?;
    let [kind, millis @ ..] = *head;
    let asked = Duration::from_millis(u64::from_be_bytes(millis));
    let answer = match kind {
        0 if document.is_empty() => None,
        1 => Some(Answer::parse(document).ok().flatten().ok_or(Unusable::Malformed)?),
        _ => return Err(Unusable::Malformed),
    };
    if asked > now.saturating_add(leeway) {
        return Err(Unusable::Ahead);
    }
    let age = now.saturating_sub(asked);
    let holds = match &answer {
        Some(_) => age < ttl,
        None => age < ttl.saturating_add(stale),
    };
    let age_at_most = age.saturating_add(leeway);
    if holds { Ok(SharedAnswer { answer, age, age_at_most }) } else { Err(Unusable::Over) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn active(json: &str) -> Option<Answer> {
        Answer::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let json = r#"{"active":true,"sub":"é\n","n":[1,-2,1.5,null,true],"o":{"exp":7}}"#;
        let answer = active(json);
        let record = write(answer.as_ref(), at(100));
        let shared = read(&record, at(107), TTL, at(0), at(3)).unwrap();
        assert_eq!((shared.age, shared.age_at_most), (at(7), at(10)));
        let (written, read) = (answer.unwrap(), shared.answer.unwrap());
        let sorted = |answer: &Answer| {
            let all = answer.members().unwrap();
            let mut members: Vec<_> = all.iter().collect();
            members.sort_by_key(|(name, _)| name.to_owned());
            format!("{members:?}")
        };
        assert_eq!(sorted(&written), sorted(&read));
        let dead = super::read(&write(None, at(100)), at(101), TTL, at(0), at(0)).unwrap();
        assert!(dead.answer.is_none());
    }

    #[test]
    fn how_long_a_record_holds() {
        for (name, json, stale, leeway, from, to) in [
            ("active", Some(r#"{"active":true}"#), 0, 0, 100, 160),
            ("active, stale", Some(r#"{"active":true}"#), 5, 0, 100, 160),
            ("inactive", None, 0, 0, 100, 160),
            ("inactive, stale", None, 5, 0, 100, 165),
            ("past exp", Some(r#"{"active":true,"exp":130}"#), 0, 0, 100, 160),
            ("from ahead, within the leeway", Some(r#"{"active":true}"#), 0, 30, 70, 160),
            ("inactive, from ahead", None, 0, 30, 70, 160),
        ] {
            let record = write(json.and_then(active).as_ref(), at(100));
            for now in 60..170 {
                let read = read(&record, at(now), TTL, at(stale), at(leeway));
                assert_eq!(read.is_ok(), (from..to).contains(&now), "{name}, second {now}");
                let expected = if now < from { Unusable::Ahead } else { Unusable::Over };
                assert!(read.is_ok() || read.is_err_and(|why| why == expected), "{name}, {now}");
            }
        }
        let record = write(None, at(100));
        let read = read(&record, at(102), at(2), at(0), at(0));
        assert!(read.is_err(), "nothing holds longer than the ttl");
    }

    #[test]
    fn the_newer_question_has_the_higher_version_and_inactive_wins_a_tie() {
        let ms = Duration::from_millis;
        let ascending = [
            ("active", version(true, ms(1_000))),
            ("inactive, at the same time", version(false, ms(1_000))),
            ("active, later", version(true, ms(1_001))),
            ("inactive, later", version(false, ms(1_001))),
            ("a clock that is wrong", version(true, Duration::MAX)),
        ];
        for pair in ascending.windows(2) {
            assert!(pair[0].1 < pair[1].1, "{} < {}", pair[0].0, pair[1].0);
        }
        assert_eq!(version(true, at(1_700_000_000)), 3_400_000_000_000);
    }

    #[test]
    fn what_is_no_record_is_not_used() {
        let good = write(active(r#"{"active":true}"#).as_ref(), at(100));
        assert!(read(&good, at(100), TTL, at(0), at(0)).is_ok());
        let dead = write(None, at(100));
        let mut other_kind = good.clone();
        other_kind[0] = 2;
        for (name, record) in [
            ("empty", vec![]),
            ("the head cut", dead[..8].to_vec()),
            ("active without members", good[..9].to_vec()),
            ("members cut", good[..good.len() - 1].to_vec()),
            ("inactive with members", [&dead, &good[9..]].concat()),
            ("another kind", other_kind),
            ("says inactive", [&good[..9], br#"{"active":false}"#].concat()),
            ("no JSON", [&good[..9], b"x"].concat()),
        ] {
            let read = read(&record, at(100), TTL, at(0), at(0));
            assert_eq!(read.unwrap_err(), Unusable::Malformed, "{name}");
        }
        let mut far = good;
        far[1..9].fill(0xff);
        assert_eq!(read(&far, at(100), TTL, at(0), at(0)).unwrap_err(), Unusable::Ahead);
        let read = read(&far, Duration::MAX, TTL, Duration::MAX, at(300));
        assert!(read.is_err(), "no overflow");
    }
}
