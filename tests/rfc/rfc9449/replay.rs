//! RFC 9449 §11.1, RFC 9700 §4.10.1: a proof is accepted once.

use std::collections::HashSet;
use std::sync::Arc;

use http::Method;
use tokio::sync::Barrier;
use tower_resource_server::Error;

use super::*;

const INVALID: &str = "invalid_dpop_proof";

#[tokio::test]
async fn id_9449_11_1_2_a_proof_is_accepted_once() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let proof = world.proof().sign();
    api.send(request(&world.token, &[&proof])).await.assert_ok("first");
    for _ in 0..3 {
        let reply = api.send(request(&world.token, &[&proof])).await;
        reply.assert_dpop("again", INVALID);
        assert_eq!(reply.error, Some(Error::ReplayedProof));
    }
    api.send(world.good()).await.assert_ok("another proof");
}

/// What makes a proof another one, and what does not.
#[tokio::test]
async fn id_9449_11_1_2_another_spelling_makes_no_new_proof() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let host = "https://api.example.com";
    // The very same proof, at another spelling of its URL.
    for uri in [
        "https://api.example.com/notes?x=1",
        "https://api.example.com/n%6ftes",
        "https://api.example.com/a/../notes",
        "https://api.example.com/./notes",
        "/notes",
        "https://127.0.0.1/notes",
    ] {
        let proof = world.proof().sign();
        api.send(request(&world.token, &[&proof])).await.assert_ok(uri);
        let mut again = request(&world.token, &[&proof]);
        *again.uri_mut() = uri.parse().unwrap();
        let reply = api.send(again).await;
        reply.assert_dpop(uri, INVALID);
        assert_eq!(reply.error, Some(Error::ReplayedProof), "{uri}");
    }
    // Another proof with the same `jti`.
    let (other, url) = (world.another(), format!("{host}/notes"));
    let others = world.issuer.token().bound_to_key(&other).sign();
    let second = world.issuer.token().bound_to_key(&world.client).sign();
    let mine = |method: &str, htu: &str, jti: &str| {
        world.client.proof(method, htu).token(&world.token).claim("jti", jti).sign()
    };
    for (name, method, uri, token, proof, good) in [
        ("first", "GET", &*url, &world.token, mine("GET", URL, "1"), true),
        ("signed again", "GET", &url, &world.token, mine("GET", URL, "1"), false),
        (
            "htu in another case",
            "GET",
            &url,
            &world.token,
            mine("GET", "HTTPS://API.Example.com:443/notes", "1"),
            false,
        ),
        (
            "htu with a query",
            "GET",
            &url,
            &world.token,
            mine("GET", &format!("{url}?y"), "1"),
            false,
        ),
        (
            "htu with an escape",
            "GET",
            &url,
            &world.token,
            mine("GET", &format!("{host}/%6eotes"), "1"),
            false,
        ),
        (
            "htu with dots",
            "GET",
            &url,
            &world.token,
            mine("GET", &format!("{host}/a/../notes"), "1"),
            false,
        ),
        (
            "another token of the client",
            "GET",
            &url,
            &second,
            world.client.proof("GET", URL).token(&second).claim("jti", "1").sign(),
            false,
        ),
        ("jti in another case", "GET", &url, &world.token, mine("GET", URL, "x"), true),
        ("jti in upper case", "GET", &url, &world.token, mine("GET", URL, "X"), true),
        ("another method", "POST", &url, &world.token, mine("POST", URL, "1"), true),
        (
            "another path",
            "GET",
            &format!("{host}/b"),
            &world.token,
            mine("GET", &format!("{host}/b"), "1"),
            true,
        ),
        (
            "another client",
            "GET",
            &url,
            &others,
            other.proof("GET", URL).token(&others).claim("jti", "1").sign(),
            true,
        ),
    ] {
        let mut request = request(token, &[&proof]);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = uri.parse().unwrap();
        let reply = api.send(request).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, INVALID),
        }
    }
}

/// Parts of a hashed text must not run into each other.
#[tokio::test]
async fn id_9449_11_1_2_no_two_proofs_are_taken_for_one() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let mut sent = HashSet::new();
    for (path, jti) in [
        ("/notes", "ab"),
        ("/notesa", "b"),
        ("/notesab", "c"),
        ("/note", "sab"),
        ("/notes", "a\0b"),
    ] {
        let url = format!("https://api.example.com{path}");
        let proof = world.client.proof("GET", &url).token(&world.token).claim("jti", jti).sign();
        let mut request = request(&world.token, &[&proof]);
        *request.uri_mut() = url.parse().unwrap();
        api.send(request).await.assert_ok(&format!("{path} {jti}"));
        assert!(sent.insert(proof));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn id_9449_11_1_2_of_many_at_once_one_passes() {
    const ROUNDS: usize = 200;
    const TASKS: usize = 64;

    let world = World::new();
    let api = api(world.server(optional()).layer());
    for round in 0..ROUNDS {
        let proof = world.proof().sign();
        let barrier = Arc::new(Barrier::new(TASKS));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (api, barrier) = (api.clone(), Arc::clone(&barrier));
                let request = request(&world.token, &[&proof]);
                tokio::spawn(async move {
                    barrier.wait().await;
                    api.send(request).await
                })
            })
            .collect();
        let mut passed = 0;
        for task in tasks {
            let reply = task.await.unwrap();
            match reply.ran {
                true => passed += 1,
                false => {
                    reply.assert_dpop("one of many", INVALID);
                    assert_eq!(reply.error, Some(Error::ReplayedProof));
                }
            }
        }
        assert_eq!(passed, 1, "round {round}");
    }
    assert_eq!(api.runs(), ROUNDS);
}

#[tokio::test]
async fn id_9449_11_1_3_the_length_of_a_jti_is_limited() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    for (name, jti, good) in [
        ("empty", String::new(), false),
        ("one", "x".to_owned(), true),
        ("256 bytes", "x".repeat(256), true),
        ("257 bytes", "x".repeat(257), false),
        ("256 bytes in 128 characters", "é".repeat(128), true),
        ("258 bytes in 129 characters", "é".repeat(129), false),
        ("4 KiB", "x".repeat(4_096), false),
    ] {
        let proof = world.proof().claim("jti", jti).sign();
        let reply = api.send(request(&world.token, &[&proof])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, INVALID),
        }
    }
}

/// A new store does not know the proofs of before. Clients write whole seconds, so those of its first second pass.
#[tokio::test]
async fn id_9449_11_1_2_a_store_refuses_proofs_that_are_older_than_itself() {
    let world = World::new();
    world.clock.advance(Duration::from_millis(500));
    let of = |nonces| api(world.server(optional().nonces(nonces)).layer());
    let (off, skew) = (of(Nonces::off()), of(Nonces::on_clock_skew()));
    let demand = "use_dpop_nonce";
    for (name, wait, made_in, of_off, of_skew) in [
        ("made before", 0, -1, Some(INVALID), Some(demand)),
        ("made at once", 0, 0, None, Some(demand)),
        ("ahead", 0, 15, None, Some(demand)),
        ("soon, and made before", 10, -11, Some(INVALID), Some(demand)),
        ("soon", 0, 0, None, Some(demand)),
        ("soon, ahead", 0, 10, None, None),
        ("later", 6, 0, None, None),
        ("later, and made before", 0, -17, Some(INVALID), Some(demand)),
        ("much later", 60, -59, None, None),
    ] {
        world.pass(wait);
        for (mode, api, error) in [("off", &off, of_off), ("on clock skew", &skew, of_skew)] {
            let name = format!("{name}, {mode}");
            let proof = world.proof().made_in(made_in).sign();
            let reply = api.send(request(&world.token, &[&proof])).await;
            match error {
                None => reply.assert_ok(&name),
                Some(error) => reply.assert_dpop(&name, error),
            }
            let nonce = reply.headers.get("dpop-nonce").and_then(|own| own.to_str().ok());
            if let Some(nonce) = nonce {
                let retry = world.proof().made_in(made_in).nonce(nonce).sign();
                api.send(request(&world.token, &[&retry])).await.assert_ok(&name);
            }
        }
    }
}

/// Nobody can use up the proof of another: all checks come before the store.
#[tokio::test]
async fn id_9449_11_1_2_a_refused_request_uses_up_no_proof() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use tower_resource_server::builder::Invalid;

    let world = World::new();
    let closed = Arc::new(AtomicBool::new(true));
    let is_closed = Arc::clone(&closed);
    let server = builder(trusting(&world.issuer))
        .clock(world.clock.clone())
        .dpop(optional())
        .validator(move |_| match is_closed.load(Ordering::SeqCst) {
            true => Err(Invalid::because("closed")),
            false => Ok(()),
        })
        .build()
        .unwrap();
    let api = api(server.layer());
    let proof = world.proof().sign();
    let again = || request(&world.token, &[&proof]);
    api.send(again()).await.assert_dpop("by a validator", "invalid_token");
    let mut elsewhere = again();
    *elsewhere.uri_mut() = "https://api.example.com/other".parse().unwrap();
    api.send(elsewhere).await.assert_dpop("at another URL", INVALID);
    let mut posted = again();
    *posted.method_mut() = Method::POST;
    api.send(posted).await.assert_dpop("with another method", INVALID);
    let another = world.issuer.token().bound_to_key(&world.client).sign();
    api.send(request(&another, &[&proof])).await.assert_dpop("with another token", INVALID);
    api.send(as_bearer(&world.token, &[&proof])).await.assert_invalid_token("as Bearer");
    let forged = world.another().proof("GET", URL).token(&world.token).sign();
    api.send(request(&world.token, &[&forged])).await.assert_dpop("forged", "invalid_token");
    closed.store(false, Ordering::SeqCst);
    api.send(again()).await.assert_ok("at last");
    api.send(again()).await.assert_dpop("again", INVALID);
}
