//! RFC 9449 §4.3, §11.1: when a proof was made.

use super::*;

const INVALID: &str = "invalid_dpop_proof";

#[tokio::test]
async fn id_9449_4_3_13_a_proof_is_of_a_short_window() {
    let world = World::new();
    let api_of = |dpop| api(world.server(dpop).layer());
    let default = api_of(optional());
    let short = api_of(optional().max_age(Duration::from_secs(1)));
    let long = api_of(optional().max_age(Duration::from_secs(300)));
    // The stores are older than every proof.
    world.pass(600);
    for (name, api, seconds, good) in [
        ("now", &default, 0, true),
        ("the oldest", &default, -60, true),
        ("too old", &default, -61, false),
        ("five minutes old", &default, -303, false),
        ("a day old", &default, -86_400, false),
        ("a little ahead", &default, 5, true),
        ("the latest", &default, 15, true),
        ("too far ahead", &default, 16, false),
        ("five minutes ahead", &default, 303, false),
        ("a day ahead", &default, 86_400, false),
        ("a short window", &short, -1, true),
        ("out of a short window", &short, -2, false),
        ("ahead of a short window", &short, 15, true),
        ("far ahead of a short window", &short, 16, false),
        ("the longest window", &long, -300, true),
        ("out of the longest window", &long, -301, false),
        ("ahead of the longest window", &long, 16, false),
    ] {
        let proof = world.proof().made_in(seconds).sign();
        let reply = api.send(request(&world.token, &[&proof])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, INVALID),
        }
    }
    let now = world.clock.wall().as_secs() as f64;
    for (name, iat, good) in [
        ("a fraction", now - 0.25, true),
        ("a fraction in time", now - 59.5, true),
        ("a fraction too old", now - 60.5, false),
        ("a fraction ahead", now + 14.5, true),
        ("a fraction too far ahead", now + 15.5, false),
    ] {
        let proof = world.proof().claim("iat", iat).sign();
        let reply = default.send(request(&world.token, &[&proof])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, INVALID),
        }
    }
}

/// A used proof stays used for as long as it could pass.
#[tokio::test]
async fn id_9449_11_1_1_a_proof_passes_once_in_its_whole_window() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    world.pass(600);
    for ahead in [0, 15] {
        let proof = world.proof().made_in(ahead).sign();
        api.send(request(&world.token, &[&proof])).await.assert_ok("first");
        for _ in 0..(60 + ahead) / 5 + 2 {
            let reply = api.send(request(&world.token, &[&proof])).await;
            reply.assert_dpop("again", INVALID);
            world.pass(5);
        }
    }
    api.send(world.good()).await.assert_ok("a new one");
}

/// A clock that goes back makes no used proof a new one.
#[tokio::test]
async fn id_9449_11_1_1_a_clock_that_is_set_back_revives_no_proof() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    world.pass(600);
    let then = world.clock.wall().as_secs();
    let proof = world.proof().sign();
    api.send(request(&world.token, &[&proof])).await.assert_ok("first");
    world.clock.set_wall(then + 200);
    api.send(world.good()).await.assert_ok("another, later");
    world.clock.set_wall(then);
    let reply = api.send(request(&world.token, &[&proof])).await;
    reply.assert_dpop("after the clock was set back", INVALID);
}
