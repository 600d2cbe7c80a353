//! Tests each rule of the state machine on both sides of its limit. The model test covers how the
//! rules work together.

use super::attempts::Attempts;
use super::life::{FRESHNESS, MAX_FRESHNESS, MAX_STALE_IF_ERROR, MIN_FRESHNESS};
use super::*;
use crate::budget::{Budget, Taken};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Seconds.
const YEAR: u64 = 365 * 24 * 60 * 60;

const KNOWN: RequestState = RequestState { known: true, since: None, may_wait: true };
const UNKNOWN: RequestState = RequestState { known: false, since: None, may_wait: true };
const IMPATIENT: RequestState = RequestState { known: false, since: None, may_wait: false };

fn machine() -> Freshness {
    Freshness::new(FreshnessSettings::default())
}

fn life(at: u64) -> Life {
    renewed(&machine(), s(at), None, 0.0)
}

/// The life of a set that was requested at this time.
fn renewed(machine: &Freshness, at: Duration, max_age: Option<Duration>, random: f64) -> Life {
    let ticket = machine.attempts.begin(machine.view(), at, Cause::Schedule).unwrap();
    let life = machine.renewed(&ticket, max_age, random);
    machine.succeeded(ticket);
    life
}

fn decide(
    machine: &Freshness,
    life: Option<&Life>,
    request: RequestState,
    now: Duration,
) -> Decision {
    machine.request(machine.view(), life, request, now).expect("no other thread changes the state")
}

/// The attempt that a decision starts.
fn started(decision: Decision) -> Ticket {
    decision.start.expect("an attempt starts")
}

#[test]
fn stages_of_a_life() {
    for (at, stage) in [
        (s(0), Stage::Fresh),
        (ms(239_999), Stage::Fresh),
        (s(240), Stage::Ahead),
        (ms(299_999), Stage::Ahead),
        (s(300), Stage::Stale),
        (ms(300_000 + 3_599_999), Stage::Stale),
        (s(300 + 3600), Stage::Expired),
    ] {
        assert_eq!(life(0).stage(at), stage, "{at:?}");
        assert_eq!(life(0).usable_for(at).is_some(), stage.is_usable(), "{at:?}");
    }
    assert_eq!(Stage::of(None, s(0)), Stage::Empty);
}

#[test]
fn freshness_is_kept_within_its_bounds() {
    assert_eq!((FRESHNESS, MIN_FRESHNESS, MAX_FRESHNESS), (s(300), s(60), s(3_600)));
    for (max_age, fresh) in [
        (None, 300),
        (Some(0), 60),
        (Some(59), 60),
        (Some(60), 60),
        (Some(1_000), 1_000),
        (Some(3_600), 3_600),
        (Some(3_601), 3_600),
        (Some(u64::MAX), 3_600),
    ] {
        let life = renewed(&machine(), s(10), max_age.map(s), 0.0);
        assert_eq!(life.stage(ms((10 + fresh) * 1_000 - 1)), Stage::Ahead, "{max_age:?}");
        assert_eq!(life.stage(s(10 + fresh)), Stage::Stale, "{max_age:?}");
    }
}

#[test]
fn the_refresh_comes_ahead_and_spread() {
    assert_eq!(life(0).refresh_at(), s(240));
    let first = renewed(&machine(), s(0), None, 0.999).refresh_at();
    assert!(first > s(209) && first < s(211), "{first:?}");
}

#[test]
fn stale_if_error_can_be_set_up_to_a_day() {
    for (stale_if_error, good) in
        [(s(0), true), (MAX_STALE_IF_ERROR, true), (MAX_STALE_IF_ERROR + ms(1), false)]
    {
        let settings = FreshnessSettings { stale_if_error };
        assert_eq!(settings.problem().is_none(), good, "{stale_if_error:?}");
        let life = renewed(&Freshness::new(settings), s(0), None, 0.0);
        let cap = s(300) + stale_if_error;
        assert!(life.stage(cap - ms(1)).is_usable(), "{stale_if_error:?}");
        assert_eq!(life.stage(cap), Stage::Expired, "{stale_if_error:?}");
    }
}

#[test]
fn a_clock_at_its_end_overflows_nothing() {
    let machine = machine();
    let life = renewed(&machine, Duration::MAX, None, 0.5);
    assert_eq!(life.stage(Duration::MAX), Stage::Expired, "never used for ever");
    let ticket = started(decide(&machine, None, UNKNOWN, Duration::MAX));
    machine.failed(ticket, None, Duration::MAX, 1.0, Some(Duration::MAX));
}

/// A clock may count from any point in time, for example the Unix epoch. No pause may be lost for
/// want of bits for the time.
#[test]
fn a_failure_pauses_whatever_a_clock_counts_from() {
    for now in [s(0), s(56 * YEAR), s(500 * YEAR)] {
        let machine = machine();
        let ticket = started(decide(&machine, None, UNKNOWN, now));
        machine.failed(ticket, None, now, 1.0, None);
        let before = machine.view().phase(now + ms(999));
        assert_eq!(before, Phase::Paused { until: now + s(1) }, "{now:?}");
        assert_eq!(machine.view().phase(now + s(1)), Phase::Idle, "{now:?}");
    }
}

#[test]
fn a_seed_is_stale_from_the_start_and_ends_at_the_cap_of_its_own_time() {
    for (age, rest) in [(0, Some(3_900)), (100, Some(3_800)), (3_899, Some(1)), (3_900, None)] {
        let life = machine().seeded(s(5), s(age), s(300));
        assert_eq!(life.and_then(|life| life.usable_for(s(5))), rest.map(s), "{age}");
        if let Some(life) = life {
            assert_eq!(life.stage(s(5)), Stage::Stale, "{age}");
            assert_eq!(life.age(s(6)), s(age + 1));
        }
    }
    // A seed may ask for more freshness than a server can. Its value is capped too.
    let life = machine().seeded(s(0), s(0), s(u64::MAX)).unwrap();
    assert_eq!(life.usable_for(s(0)), Some(s(2 * 3_600)));
}

#[test]
fn a_failure_postpones_the_next_attempt() {
    let machine = machine();
    let mut now = s(0);
    for bound in [1, 2, 4, 8, 16, 30, 30] {
        let ticket = started(decide(&machine, None, UNKNOWN, now));
        machine.failed(ticket, None, now, 1.0, None);
        let early = decide(&machine, None, UNKNOWN, now + s(bound) - ms(1));
        assert!(early.start.is_none(), "{bound}");
        let Outcome::Unavailable { retry_after } = early.outcome else { panic!("{early:?}") };
        assert_eq!(retry_after, s(1), "at least a second");
        now += s(bound);
    }
    let ticket = started(decide(&machine, None, UNKNOWN, now));
    assert_eq!(machine.succeeded(ticket), 7);
    assert_eq!(machine.failures(), 0);
    let ticket = started(decide(&machine, None, UNKNOWN, now));
    machine.failed(ticket, None, now, 0.0, None);
    assert!(decide(&machine, None, UNKNOWN, now + ms(499)).start.is_none(), "half a second");
    assert!(decide(&machine, None, UNKNOWN, now + ms(500)).start.is_some());
}

#[test]
fn a_pause_counts_from_the_start_of_the_attempt() {
    let machine = machine();
    for _ in 0..6 {
        let ticket = started(decide(&machine, None, UNKNOWN, s(0)));
        machine.failed(ticket, None, s(0), 0.0, None);
        // Resets the pause, so that only the failures add up.
        let ticket = machine.attempts.begin(machine.view(), s(0), Cause::Schedule).unwrap();
        assert!(machine.attempts.cancel(&ticket));
    }
    let ticket = started(decide(&machine, None, UNKNOWN, s(100)));
    machine.failed(ticket, None, s(110), 1.0, None);
    assert!(decide(&machine, None, UNKNOWN, ms(129_999)).start.is_none());
    let ticket = started(decide(&machine, None, UNKNOWN, s(130)));
    machine.failed(ticket, None, ms(141_999), 0.0, None);
    assert!(decide(&machine, None, UNKNOWN, ms(142_498)).start.is_none(), "it hung: half a second");
    assert!(decide(&machine, None, UNKNOWN, ms(142_499)).start.is_some());
}

#[test]
fn a_server_may_ask_for_a_pause_and_a_fleet_that_was_told_the_same_spreads() {
    for (asked, random, until) in [
        (0, 0.0, ms(500)),
        (0, 1.0, ms(1_000)),
        (7, 0.0, ms(7_000)),
        (7, 1.0, ms(10_500)),
        (20, 0.0, ms(20_000)),
        (21, 0.0, ms(20_000)),
        (20, 1.0, ms(30_000)),
        (u64::MAX, 1.0, MAX_BACKOFF),
    ] {
        let machine = machine();
        let ticket = started(decide(&machine, None, UNKNOWN, s(0)));
        machine.failed(ticket, None, s(0), random, Some(s(asked)));
        assert!(decide(&machine, None, UNKNOWN, until - ms(1)).start.is_none(), "{asked} {random}");
        assert!(decide(&machine, None, UNKNOWN, until).start.is_some(), "{asked} {random}");
    }
}

#[test]
fn an_attempt_that_was_given_back_is_no_failure() {
    let machine = machine();
    for first in [true, false] {
        let ticket = started(decide(&machine, None, UNKNOWN, s(0)));
        assert_eq!(machine.could_not_start(ticket), first);
    }
    assert_eq!(machine.failures(), 0);
    let ticket = started(decide(&machine, None, UNKNOWN, s(0)));
    machine.launched();
    assert!(machine.could_not_start(ticket), "a new series");
}

#[test]
fn a_budget_has_a_burst_and_refills() {
    let budget = Budget::new(2, s(10));
    let taken: Vec<bool> = [0, 0, 0, 9, 10, 10, 19, 20, 100, 100, 100]
        .map(|at| budget.take(s(at)) == Taken::Granted)
        .into();
    assert_eq!(taken, [true, true, false, false, true, false, false, true, true, true, false]);
    budget.give_back();
    assert_eq!(budget.take(s(100)), Taken::Granted);
}

#[test]
fn a_flood_that_spends_a_budget_is_told_once() {
    let budget = Budget::new(2, s(10));
    let mut told = 0;
    for tenth in 0..600 {
        told += u32::from(budget.take(ms(tenth * 100)) == Taken::Spent { first: true });
    }
    assert_eq!(told, 1, "a minute of it");
    // The budget is full again, so the next flood is reported too.
    for _ in 0..4 {
        told += u32::from(budget.take(s(1_000)) == Taken::Spent { first: true });
    }
    assert_eq!(told, 2);
}

#[test]
fn requests_and_what_becomes_of_them() {
    let fresh = life(0);
    // (name, life, now, in flight, asked, starts, answer)
    for (name, life, now, flying, asked, starts, expected) in [
        ("cold", None, 0, false, UNKNOWN, true, "wait 3s"),
        ("cold, joined", None, 0, true, UNKNOWN, false, "wait 3s"),
        ("cold, impatient", None, 0, true, IMPATIENT, false, "503"),
        ("fresh, known", Some(&fresh), 1, false, KNOWN, false, "serve"),
        ("fresh, unknown", Some(&fresh), 1, false, UNKNOWN, true, "wait 2s"),
        ("fresh, unknown, joined", Some(&fresh), 1, true, UNKNOWN, false, "wait 2s"),
        ("fresh, unknown, impatient", Some(&fresh), 1, false, IMPATIENT, false, "401"),
        ("asked 10 s ago, impatient", Some(&fresh), 10, false, IMPATIENT, false, "401"),
        ("asked 11 s ago, impatient", Some(&fresh), 11, false, IMPATIENT, false, "503"),
        ("impatient, in flight", Some(&fresh), 1, true, IMPATIENT, false, "503"),
        ("ahead, known", Some(&fresh), 250, false, KNOWN, true, "serve"),
        ("ahead, known, in flight", Some(&fresh), 250, true, KNOWN, false, "serve"),
        ("ahead, unknown, impatient", Some(&fresh), 250, true, IMPATIENT, false, "503"),
        ("stale, known", Some(&fresh), 1_000, false, KNOWN, true, "serve"),
        ("stale, known, in flight", Some(&fresh), 1_000, true, KNOWN, false, "serve"),
        ("stale, unknown", Some(&fresh), 1_000, false, UNKNOWN, true, "wait 2s"),
        ("stale, unknown, impatient", Some(&fresh), 1_000, true, IMPATIENT, false, "503"),
        ("expired, known", Some(&fresh), 4_000, false, KNOWN, true, "wait 3s"),
        ("expired, impatient", Some(&fresh), 4_000, true, IMPATIENT, false, "503"),
    ] {
        let machine = machine();
        let begun = machine.attempts.view().last().next();
        let begin = || machine.attempts.begin(machine.view(), s(now), Cause::Schedule).unwrap();
        let _flight = flying.then(begin);
        let decision = decide(&machine, life, asked, s(now));
        assert_eq!(decision.start.is_some(), starts, "{name}");
        let answer = match decision.outcome {
            Outcome::Serve => "serve".to_owned(),
            Outcome::Unknown => "401".to_owned(),
            Outcome::Unavailable { .. } => "503".to_owned(),
            Outcome::Wait(wait) => {
                assert_eq!(wait.counted, flying, "{name}");
                let since = if flying { begun.next() } else { begun };
                assert_eq!((wait.attempt, wait.since), (begun, since), "{name}");
                format!("wait {}s", wait.limit.as_secs())
            }
        };
        assert_eq!(answer, expected, "{name}");
    }
}

#[test]
fn only_so_many_wait_for_unknown_kids_at_one_time() {
    assert_eq!(MAX_WAITING, 4_096);
    let (machine, set) = (machine(), life(0));
    let ticket = started(decide(&machine, Some(&set), UNKNOWN, s(1)));
    for n in 0..4_096 {
        let answer = decide(&machine, Some(&set), UNKNOWN, s(1)).outcome;
        assert!(matches!(answer, Outcome::Wait(Wait { counted: true, .. })), "{n}: {answer:?}");
    }
    let refused = |life| decide(&machine, life, UNKNOWN, s(1)).outcome;
    let unavailable = Outcome::Unavailable { retry_after: s(1) };
    assert_eq!(refused(Some(&set)), unavailable, "the server could not be asked");
    machine.wait_ended();
    assert!(
        matches!(refused(Some(&set)), Outcome::Wait(_)),
        "one wait ended, so another may start"
    );
    assert_eq!(refused(Some(&set)), unavailable);
    assert_eq!(refused(None), unavailable, "the limit applies to every wait");
    // Requests that have a key are not affected.
    assert_eq!(decide(&machine, Some(&set), KNOWN, s(1)).outcome, Outcome::Serve);
    machine.succeeded(ticket);
}

#[test]
fn unknown_kids_and_bad_signatures_have_budgets_of_their_own() {
    let (machine, set) = (machine(), life(0));
    let mut notes = Vec::new();
    for _ in 0..4 {
        let decision = decide(&machine, Some(&set), UNKNOWN, s(1));
        notes.push(decision.note);
        if let Some(ticket) = decision.start {
            machine.succeeded(ticket);
        }
    }
    let kid = Some(Note::UnknownKid);
    assert_eq!(notes, [kid, kid, Some(Note::BudgetSpent), None]);
    let mut granted = |at| match machine.signature_failed(machine.view(), s(at)) {
        None => false,
        Some(ticket) => {
            machine.succeeded(ticket);
            true
        }
    };
    assert_eq!([1, 2, 60, 61, 61].map(&mut granted), [true, false, false, true, false]);
    // While an attempt is in progress, or after a failure, a bad signature takes nothing from the
    // budget.
    let ticket = machine.attempts.begin(machine.view(), s(200), Cause::Schedule).unwrap();
    assert!(machine.signature_failed(machine.view(), s(200)).is_none());
    machine.failed(ticket, Some(&set), s(200), 0.0, None);
    assert!(machine.signature_failed(machine.view(), s(200)).is_none());
    assert!(machine.signature_failed(machine.view(), s(201)).is_some());
}

#[test]
fn an_outage_turns_a_set_stale_once() {
    let (machine, set) = (machine(), life(0));
    let fail = |at| {
        let ticket = machine.due(machine.view(), Some(&set), s(at)).expect("due");
        machine.failed(ticket, Some(&set), s(at), 0.0, None).expect("in time")
    };
    let expected =
        [(250, false, true), (300, true, true), (400, false, true), (3_900, false, false)];
    for (failures, (at, turned_stale, usable)) in (1..).zip(expected) {
        let setback = fail(at);
        assert_eq!((setback.failures, setback.turned_stale), (failures, turned_stale), "{at}");
        assert_eq!(setback.usable_for.is_some(), usable, "{at}");
    }
}

#[test]
fn the_schedule_says_when() {
    let (machine, set) = (machine(), life(0));
    let due_in = |life, at| machine.due_in(machine.view(), life, s(at));
    assert_eq!(due_in(None, 5), s(0));
    assert_eq!(due_in(Some(&set), 5), s(235));
    assert_eq!(due_in(Some(&set), 240), s(0));
    assert!(machine.due(machine.view(), Some(&set), s(239)).is_none());
    let ticket = machine.due(machine.view(), Some(&set), s(240)).unwrap();
    assert_eq!(due_in(Some(&set), 240), ms(500), "in progress");
    machine.failed(ticket, Some(&set), s(240), 1.0, None);
    assert_eq!(due_in(Some(&set), 240), s(1), "paused");
}

#[test]
fn a_view_that_is_out_of_date_decides_nothing() {
    let (machine, set) = (machine(), life(0));
    let old = machine.view();
    machine.succeeded(machine.due(old, None, s(0)).unwrap());
    assert_eq!(machine.request(old, None, UNKNOWN, s(0)).err(), Some(ViewOutdated), "needed");
    assert_eq!(machine.request(old, Some(&set), KNOWN, s(250)).err(), Some(ViewOutdated), "due");
    for _ in 0..5 {
        let unknown = machine.request(old, Some(&set), UNKNOWN, s(1));
        assert_eq!(unknown.err(), Some(ViewOutdated), "unknown kid, whose budget is given back");
    }
    assert!(machine.signature_failed(old, s(1)).is_none());
    assert!(machine.signature_failed(machine.view(), s(1)).is_some());
}

#[test]
fn of_many_threads_one_starts() {
    use std::sync::atomic::AtomicUsize;
    let machine = machine();
    let (out, tickets) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let view = machine.view();
                    if let Some(ticket) = machine.due(view, None, s(0)) {
                        assert_eq!(out.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                        tickets.fetch_add(1, Ordering::SeqCst);
                        assert!(machine.is_in_progress(ticket.attempt()));
                        out.fetch_sub(1, Ordering::SeqCst);
                        let attempt = ticket.attempt();
                        machine.succeeded(ticket);
                        assert!(!machine.is_in_progress(attempt));
                    }
                }
            });
        }
    });
    assert!(tickets.into_inner() > 0);
}

#[test]
fn a_flood_is_on_when_an_unknown_kid_is_refused_and_somebody_knows() {
    let (machine, mut life) = (machine(), life(0));
    for _ in 0..2 {
        assert!(!machine.is_flooded(machine.view(), &life, s(1)));
        let ticket = started(decide(&machine, Some(&life), UNKNOWN, s(1)));
        assert!(!machine.is_flooded(machine.view(), &life, s(1)), "an attempt is in progress");
        life = machine.renewed(&ticket, None, 0.0);
        machine.succeeded(ticket);
    }
    let is_flooded = |now| machine.is_flooded(machine.view(), &life, now);
    assert!(!is_flooded(s(1)), "not reported yet");
    assert_eq!(decide(&machine, Some(&life), UNKNOWN, s(1)).note, Some(Note::BudgetSpent));
    for now in [s(1), ms(10_999)] {
        assert!(is_flooded(now), "{now:?}");
        let decision = decide(&machine, Some(&life), UNKNOWN, now);
        assert_eq!(decision.outcome, Outcome::Unknown, "it predicts the decision");
    }
    assert!(!is_flooded(s(11)), "one more may be fetched");
    assert!(!is_flooded(s(299)), "not fresh any more");
}

/// The outcome at `now` for a request that waited for an attempt. `end` ended the attempt.
fn waited_for(
    end: impl FnOnce(&Freshness, Ticket, Duration) -> Option<Life>,
    joined: bool,
    now: Duration,
) -> Outcome {
    let machine = machine();
    let old = renewed(&machine, s(0), None, 0.0);
    let ask = |life: &Life, since, may_wait, now| {
        let request = RequestState { known: false, since, may_wait };
        machine.request(machine.view(), Some(life), request, now).unwrap()
    };
    let first = ask(&old, None, true, s(100));
    let Outcome::Wait(own) = first.outcome else { panic!("{:?}", first.outcome) };
    let Outcome::Wait(other) = ask(&old, None, true, s(100)).outcome else { panic!("it joins") };
    let life = end(&machine, first.start.unwrap(), now).unwrap_or(old);
    let since = if joined { other.since } else { own.since };
    ask(&life, Some(since), false, now).outcome
}

#[test]
fn unknown_is_said_only_where_somebody_looked() {
    let succeeded = |machine: &Freshness, ticket: Ticket, _| {
        let life = machine.renewed(&ticket, None, 0.0);
        machine.succeeded(ticket);
        Some(life)
    };
    let failed = |machine: &Freshness, ticket: Ticket, now| {
        machine.failed(ticket, None, now, 0.0, None);
        None
    };
    let dropped = |machine: &Freshness, ticket: Ticket, _| {
        machine.cancelled(ticket);
        None
    };
    let hangs = |_: &Freshness, _: Ticket, _| None;
    let unavailable = Outcome::Unavailable { retry_after: s(1) };
    for (name, answer, expected) in [
        ("an attempt of its own", waited_for(succeeded, false, s(101)), Outcome::Unknown),
        ("and long ago", waited_for(succeeded, false, s(300)), Outcome::Unknown),
        ("and so late that it is due", waited_for(succeeded, false, s(350)), Outcome::Unknown),
        ("and past its freshness", waited_for(succeeded, false, s(500)), unavailable),
        ("one that it joined, 10 s ago", waited_for(succeeded, true, s(110)), Outcome::Unknown),
        ("one that it joined, 11 s ago", waited_for(succeeded, true, s(111)), unavailable),
        ("one that failed", waited_for(failed, false, s(101)), unavailable),
        ("one that failed, joined", waited_for(failed, true, s(101)), unavailable),
        ("one that died with its runtime", waited_for(dropped, false, s(101)), unavailable),
        ("one that hangs", waited_for(hangs, false, s(102)), unavailable),
        ("one that never reports", waited_for(hangs, false, s(120)), unavailable),
    ] {
        assert_eq!(answer, expected, "{name}");
    }
}

#[test]
fn a_failure_takes_the_word_of_the_attempt_before_it() {
    let machine = machine();
    let life = renewed(&machine, s(0), None, 0.0);
    assert_eq!(decide(&machine, Some(&life), IMPATIENT, s(5)).outcome, Outcome::Unknown);
    let ticket = started(decide(&machine, Some(&life), UNKNOWN, s(5)));
    machine.failed(ticket, Some(&life), s(5), 0.0, None);
    for now in [5, 6, 9] {
        let answer = decide(&machine, Some(&life), IMPATIENT, s(now)).outcome;
        assert_eq!(
            answer,
            Outcome::Unavailable { retry_after: s(1) },
            "{now}: the server could not be asked"
        );
        assert!(!machine.is_flooded(machine.view(), &life, s(now)));
    }
    let ticket = started(decide(&machine, Some(&life), UNKNOWN, s(6)));
    let life = machine.renewed(&ticket, None, 0.0);
    machine.succeeded(ticket);
    assert_eq!(decide(&machine, Some(&life), IMPATIENT, s(6)).outcome, Outcome::Unknown);
}

#[test]
fn a_seed_is_no_word_of_the_server() {
    let machine = machine();
    let life = machine.seeded(s(0), s(0), s(300)).unwrap();
    let ticket = started(decide(&machine, Some(&life), UNKNOWN, s(0)));
    machine.cancelled(ticket);
    let answer = decide(&machine, Some(&life), IMPATIENT, s(0)).outcome;
    assert_eq!(answer, Outcome::Unavailable { retry_after: s(1) });
}

#[test]
fn an_attempt_that_never_reports_counts_as_ended() {
    assert_eq!((DEADLINE, LOST_AFTER), (s(10), s(12)));
    for end in ["succeeded", "failed", "cancelled"] {
        let machine = machine();
        let lost = started(decide(&machine, None, UNKNOWN, s(1)));
        let before = decide(&machine, None, UNKNOWN, ms(12_999));
        assert!(matches!(before.outcome, Outcome::Wait(wait) if wait.attempt == lost.attempt()));
        assert!(before.start.is_none());
        let next = started(decide(&machine, None, UNKNOWN, s(13)));
        assert!(!machine.is_in_progress(lost.attempt()) && machine.is_in_progress(next.attempt()));
        // Its late result changes nothing.
        assert!(!machine.is_current(&lost) && machine.is_current(&next));
        match end {
            "succeeded" => assert_eq!(machine.succeeded(lost), 0),
            "failed" => assert!(machine.failed(lost, None, s(13), 1.0, None).is_none()),
            _ => machine.cancelled(lost),
        }
        assert!(machine.is_in_progress(next.attempt()), "{end}");
        assert_eq!(machine.failures(), 0, "{end}");
        assert_eq!(machine.failed(next, None, s(13), 0.0, None).unwrap().failures, 1, "{end}");
    }
}

#[test]
fn a_late_failure_is_no_fault_of_the_server_and_a_late_set_is_as_old_as_its_question() {
    for (now, counts) in [(ms(11_999), true), (s(12), false)] {
        let machine = machine();
        let ticket = started(decide(&machine, None, UNKNOWN, s(0)));
        assert_eq!(machine.failed(ticket, None, now, 0.0, None).is_some(), counts, "{now:?}");
        assert_eq!(machine.failures(), u32::from(counts), "{now:?}");
    }
    let machine = machine();
    let ticket = started(decide(&machine, None, UNKNOWN, s(0)));
    assert!(machine.is_current(&ticket), "no other attempt has begun");
    let life = machine.renewed(&ticket, None, 0.0);
    assert_eq!(life.stage(s(1_000)), Stage::Stale);
    assert_eq!(life.age(s(1_000)), s(1_000));
}

#[test]
fn a_budget_is_given_back_with_an_attempt_that_could_not_be_made() {
    let (machine, set) = (machine(), life(0));
    for _ in 0..10 {
        let decision = decide(&machine, Some(&set), UNKNOWN, s(1));
        assert_eq!(decision.note, Some(Note::UnknownKid));
        machine.cancelled(started(decision));
    }
    for _ in 0..5 {
        machine.cancelled(machine.signature_failed(machine.view(), s(1)).expect("given back"));
    }
}

#[test]
fn numbers_of_attempts_wrap() {
    let attempts = Attempts::default();
    let first = attempts.view().last().next();
    let mut last = first;
    for _ in 0..300_000 {
        let ticket = attempts.begin(attempts.view(), s(0), Cause::Schedule).unwrap();
        assert!(ticket.attempt().is_from(last) && ticket.attempt() == attempts.view().last());
        assert!(!last.is_from(ticket.attempt()) || last == ticket.attempt());
        last = ticket.attempt();
        attempts.succeeded(&ticket);
    }
}
