//! What of an answer is shared, and whether it still holds. Pure.
//!
//! ```text
//! 1 octet     0: not active; 1: active
//! 8 octets    when the server was asked, in milliseconds since the epoch, big endian
//! the rest    of an active one: its members, a JSON object
//! ```
//!
//! Two servers have two clocks. What the other one noted is held against ours, as claims are: an
//! answer from further ahead than the leeway is not used, and one from within it is taken for new.
//! So it lives no longer than ttl and leeway together, whatever either clock shows.

use std::time::Duration;

use crate::introspection::answer::Answer;
use crate::introspection::cache::{INACTIVE_TTL, is_past};
use crate::token::NumericDate;

/// Octets in front of the members.
const HEAD: usize = 9;

/// An answer that may be used.
#[derive(Debug)]
pub(crate) struct Shared {
    /// `None`: the token is not active.
    pub(crate) answer: Option<Answer>,
    /// The time since the server was asked.
    pub(crate) age: Duration,
}

/// Why a record is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is none of ours.
    Malformed,
    /// Its clock is ahead of ours by more than the leeway.
    Ahead,
    /// It is too old, or the token has expired.
    Over,
}

/// What is shared of an answer that was asked for at `asked`, by the wall clock.
pub(crate) fn write(answer: Option<&Answer>, asked: Duration) -> Vec<u8> {
    let millis = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
    let mut record = vec![u8::from(answer.is_some())];
    record.extend(millis.to_be_bytes());
    if let Some(answer) = answer {
        record.extend(answer.document());
    }
    record
}

/// Reads a record, and judges whether it holds at `now`, by the wall clock.
pub(crate) fn read(
    record: &[u8],
    now: Duration,
    ttl: Duration,
    leeway: Duration,
) -> Result<Shared, Unusable> {
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
        Some(answer) => age < ttl && !is_past(answer, NumericDate::now(now)),
        None => age < ttl.min(INACTIVE_TTL),
    };
    if holds { Ok(Shared { answer, age }) } else { Err(Unusable::Over) }
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
        let shared = read(&record, at(107), TTL, at(0)).unwrap();
        assert_eq!(shared.age, at(7));
        let (written, read) = (answer.unwrap(), shared.answer.unwrap());
        let sorted = |answer: &Answer| {
            let mut members: Vec<_> = answer.members().iter().collect();
            members.sort_by_key(|(name, _)| name.to_owned());
            format!("{members:?}")
        };
        assert_eq!(sorted(&written), sorted(&read));
        assert!(super::read(&write(None, at(100)), at(101), TTL, at(0)).unwrap().answer.is_none());
    }

    #[test]
    fn how_long_a_record_holds() {
        for (name, json, leeway, from, to) in [
            ("active", Some(r#"{"active":true}"#), 0, 100, 160),
            ("inactive", None, 0, 100, 105),
            ("exp earlier", Some(r#"{"active":true,"exp":130}"#), 0, 100, 130),
            ("exp later", Some(r#"{"active":true,"exp":1000}"#), 0, 100, 160),
            ("from ahead, within the leeway", Some(r#"{"active":true}"#), 30, 70, 160),
            ("inactive, from ahead", None, 30, 70, 105),
        ] {
            let record = write(json.and_then(active).as_ref(), at(100));
            for now in 60..170 {
                let read = read(&record, at(now), TTL, at(leeway));
                assert_eq!(read.is_ok(), (from..to).contains(&now), "{name}, second {now}");
                let expected = if now < from { Unusable::Ahead } else { Unusable::Over };
                assert!(read.is_ok() || read.is_err_and(|why| why == expected), "{name}, {now}");
            }
        }
        let record = write(None, at(100));
        assert!(read(&record, at(102), at(2), at(0)).is_err(), "nothing holds longer than the ttl");
    }

    #[test]
    fn what_is_no_record_is_not_used() {
        let good = write(active(r#"{"active":true}"#).as_ref(), at(100));
        assert!(read(&good, at(100), TTL, at(0)).is_ok());
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
            let read = read(&record, at(100), TTL, at(0));
            assert_eq!(read.unwrap_err(), Unusable::Malformed, "{name}");
        }
        let mut far = good;
        far[1..9].fill(0xff);
        assert_eq!(read(&far, at(100), TTL, at(0)).unwrap_err(), Unusable::Ahead);
        assert!(read(&far, Duration::MAX, TTL, at(300)).is_err(), "no overflow");
    }
}
