use super::*;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::replay::tests::assert_one_of_many_passes;

/// The default age of proofs: so far back, and so far ahead.
const PAST: Duration = Duration::from_secs(60);
const AHEAD: Duration = Duration::from_secs(15);

const START: Duration = Duration::from_secs(1_700_000_000);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A proof of `client` that was made at `iat` and is used at `now`.
fn used(id: u64, client: u8, iat: Duration, now: Duration) -> UsedProof {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&id.to_be_bytes());
    UsedProof::new(octets, [client; 32], iat.saturating_sub(AHEAD), iat + PAST, now)
}

/// A proof that was made just now.
fn fresh(id: u64, client: u8, now: Duration) -> UsedProof {
    used(id, client, now, now)
}

#[test]
fn a_proof_is_new_once() {
    let now = START + HOUR;
    let mut other = [0; 32];
    other[15] = 1;
    let until = now + PAST;
    let first = UsedProof::new([0; 32], [1; 32], now, until, now);
    for (name, second, expected) in [
        ("the same", first.clone(), Insertion::Known),
        (
            "later",
            UsedProof::new([0; 32], [1; 32], now, until, now + 59 * SECOND),
            Insertion::Known,
        ),
        ("another", UsedProof::new(other, [1; 32], now, until, now), Insertion::New),
    ] {
        let memory = Memory::new(1_000, START);
        assert_eq!(memory.insert(&first), Ok(Insertion::New), "{name}");
        assert_eq!(memory.insert(&second), Ok(expected), "{name}");
        assert_eq!(memory.insert(&second), Ok(Insertion::Known), "{name}");
    }
}

#[test]
fn what_can_have_been_used_before_the_start_is_forgotten() {
    let nano = Duration::from_nanos(1);
    for (name, earliest, expected) in [
        ("before", START - nano, Insertion::Forgotten),
        ("at the start", START, Insertion::New),
        ("long before", Duration::ZERO, Insertion::Forgotten),
        ("after", START + SECOND, Insertion::New),
    ] {
        let memory = Memory::new(10, START);
        let proof = UsedProof::new([1; 32], [1; 32], earliest, START + PAST, START);
        assert_eq!(memory.insert(&proof), Ok(expected), "{name}");
        assert_eq!(memory.entries(), usize::from(expected == Insertion::New), "{name}");
    }
}

#[test]
fn a_proof_is_kept_until_it_is_refused_for_its_age_and_not_much_longer() {
    // The width of a bucket, and each place of `until` in it.
    for offset in 0..=BUCKET_SECONDS {
        let memory = Memory::new(10, START);
        let iat = START + HOUR + Duration::from_secs(offset);
        assert_eq!(memory.insert(&fresh(1, 1, iat)), Ok(Insertion::New));
        for later in 0..60 {
            let now = iat + later * SECOND;
            assert_eq!(memory.insert(&used(1, 1, iat, now)), Ok(Insertion::Known), "{later}");
        }
        let now = iat + PAST + Duration::from_secs(BUCKET_SECONDS);
        assert_eq!(memory.insert(&fresh(2, 2, now)), Ok(Insertion::New));
        assert_eq!(memory.entries(), 1, "{offset}: the first has gone, from another shard");
        let again = memory.insert(&used(1, 1, iat, now));
        assert_eq!(again, Ok(Insertion::Forgotten), "{offset}: it is not new again");
    }
}

#[test]
fn a_full_store_refuses_and_has_space_once_proofs_have_expired() {
    let (memory, now) = (Memory::new(100, START), START + HOUR);
    for id in 0..100 {
        assert_eq!(memory.problem(), None, "{id}");
        let client = u8::try_from(id / 10).unwrap();
        assert_eq!(memory.insert(&fresh(id, client, now)), Ok(Insertion::New), "{id}");
    }
    let full = "the replay store is full: it holds 100 proofs";
    assert_eq!(memory.insert(&fresh(100, 99, now)), Err(SourceError::new(full)));
    assert_eq!(memory.problem().as_deref(), Some(full));
    assert_eq!(memory.insert(&fresh(0, 0, now)), Ok(Insertion::Known), "it still knows");
    let now = now + PAST + Duration::from_secs(BUCKET_SECONDS);
    assert_eq!(memory.insert(&fresh(100, 99, now)), Ok(Insertion::New));
    assert_eq!((memory.entries(), memory.problem()), (1, None));
}

#[test]
fn one_client_has_a_tenth() {
    for (capacity, share) in [(100, 10), (109, 10), (110, 11), (19, 1), (10, 1), (9, 1), (1, 1)] {
        let (memory, now) = (Memory::new(capacity, START), START + HOUR);
        for id in 0..share {
            // In two buckets.
            let iat = now + u32::try_from(id % 2).unwrap() * AHEAD;
            assert_eq!(memory.insert(&used(id, 1, iat, now)), Ok(Insertion::New), "{capacity}");
        }
        assert_eq!(memory.insert(&fresh(share, 1, now)), Ok(Insertion::OverShare), "{capacity}");
        assert_eq!(memory.insert(&fresh(0, 1, now)), Ok(Insertion::Known), "{capacity}");
        // Another client of the same shard.
        let other = memory.insert(&fresh(1_000, 65, now));
        assert_eq!(other.is_ok(), capacity > 1, "{capacity}: {other:?}");
        let now = now + PAST + 2 * AHEAD + SECOND;
        assert_eq!(memory.insert(&fresh(share, 1, now)), Ok(Insertion::New), "{capacity}: later");
    }
}

#[test]
fn the_lifetime_has_a_limit() {
    let (memory, now) = (Memory::new(10, START), START);
    let nano = Duration::from_nanos(1);
    for (name, until, good) in [
        ("the limit", now + MAX_LIFETIME, true),
        ("beyond", now + MAX_LIFETIME + nano, false),
        ("for ever", Duration::MAX, false),
        ("none", now, true),
        ("negative", Duration::ZERO, true),
    ] {
        let mut id = [0; 32];
        id[0] = u8::try_from(name.len()).unwrap();
        let client = [id[0]; 32];
        assert_eq!(
            memory.insert(&UsedProof::new(id, client, now, until, now)).is_ok(),
            good,
            "{name}"
        );
    }
}

#[test]
fn a_clock_that_jumps_admits_no_proof_twice() {
    let now = START + 10 * HOUR;
    for (name, jump) in [
        ("back an hour", now - HOUR),
        ("ahead an hour", now + HOUR),
        ("back a minute", now - PAST),
        ("ahead a minute", now + PAST),
        ("to the start", START),
        ("before the start", START - HOUR),
        ("to the epoch", Duration::ZERO),
        ("to the end", Duration::MAX - HOUR),
    ] {
        let memory = Memory::new(1_000, START);
        let insert = |id, iat, now| memory.insert(&used(id, 1, iat, now)).unwrap();
        assert_eq!(insert(1, now, now), Insertion::New, "{name}");
        // Meanwhile it drops what has expired by the wrong clock.
        memory.insert(&used(2, 2, jump, jump)).unwrap();
        insert(3, jump, jump);
        assert_ne!(insert(3, jump, jump), Insertion::New, "{name}");
        // The clock is right again, or the first proof is accepted again.
        assert_ne!(insert(1, now, now + SECOND), Insertion::New, "{name}");
        // After the time for which the answer may be `Forgotten`, all is as before.
        let later = now + PAST + AHEAD + 2 * Duration::from_secs(BUCKET_SECONDS);
        assert_eq!(insert(4, later, later), Insertion::New, "{name}");
        assert_eq!(insert(4, later, later), Insertion::Known, "{name}");
        assert!(memory.entries() <= 4, "{name}");
    }
}

#[test]
fn proofs_from_a_wrong_time_do_not_fill_the_store() {
    let (now, wrong) = (START + HOUR, START + 1_000 * HOUR);
    let memory = Memory::new(100, START);
    let fill = |ids: std::ops::Range<u64>, now| {
        ids.filter(|id| memory.insert(&fresh(*id, u8::try_from(*id).unwrap(), now)).is_ok()).count()
    };
    assert_eq!(fill(0..100, wrong), 100);
    assert_eq!(fill(100..101, wrong), 0, "it is full");
    assert_eq!(fill(101..201, now), 100, "the clock is right");
    assert_eq!((memory.entries(), memory.problem()), (100, Some(full(100))));
    // As the clock gets there, they have been used.
    for id in 0..100 {
        let again = memory.insert(&fresh(id, u8::try_from(id).unwrap(), wrong));
        assert_eq!(again, Ok(Insertion::Forgotten), "{id}");
    }
}

#[test]
fn a_clock_before_the_start_is_a_problem() {
    let memory = Memory::new(10, START);
    assert_eq!(memory.insert(&fresh(1, 1, START + SECOND + AHEAD)), Ok(Insertion::New));
    assert_eq!(memory.problem(), None);
    assert_eq!(memory.insert(&fresh(2, 1, START - HOUR)), Ok(Insertion::Forgotten));
    assert!(memory.problem().is_some_and(|text| text.contains("set back")));
    assert_eq!(memory.insert(&fresh(3, 3, START + HOUR)), Ok(Insertion::New));
    assert_eq!(memory.problem(), None);
}

/// Clocks and proofs at random: no proof is new twice, whatever the clock does.
#[test]
fn no_proof_is_new_twice_whatever_the_clock_does() {
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let memory = Memory::new(random.random_range(20..400), START);
        let (mut now, mut admitted) = (START + HOUR, HashSet::new());
        let mut known: Vec<(u64, u8, Duration)> = Vec::new();
        for id in 0..1_000 {
            now = match random.random_range(0..100) {
                0 => now + HOUR,
                1 => now.saturating_sub(HOUR),
                2 => now + random.random_range(0..300) * SECOND,
                3 => now.saturating_sub(random.random_range(0..300) * SECOND),
                4 => START + HOUR,
                _ => now + Duration::from_millis(random.random_range(0..2_000)),
            };
            let (id, client, iat) = match random.random_range(0..3) {
                0 if !known.is_empty() => known[random.random_range(0..known.len())],
                1 if !known.is_empty() => known[known.len() - 1],
                _ => {
                    let ahead = random.random_range(0..15) * SECOND;
                    (id, random.random_range(0..20), now + ahead)
                }
            };
            known.push((id, client, iat));
            // What the caller's clock refuses never gets here.
            if iat + PAST <= now || iat > now + AHEAD {
                continue;
            }
            if memory.insert(&used(id, client, iat, now)) == Ok(Insertion::New) {
                assert!(admitted.insert(id), "{id} of seed {seed}");
            }
            let shards = memory.shards.iter().map(|shard| {
                lock(shard).buckets.values().map(|bucket| bucket.proofs.len()).sum::<usize>()
            });
            assert_eq!(shards.sum::<usize>(), memory.entries());
            assert!(memory.entries() <= memory.capacity());
        }
        assert!(admitted.len() > 10, "seed {seed}: {}", admitted.len());
    }
}

/// RFC 9449 §11.1: of many requests at once with one proof, one passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_tasks_with_one_proof_one_passes() {
    let memory = Memory::new(1_000_000, START);
    assert_one_of_many_passes(move |_, round| {
        let now = START + HOUR + Duration::from_millis(round as u64);
        std::future::ready(memory.insert(&fresh(round as u64, (round % 100) as u8, now)))
    })
    .await;
}
