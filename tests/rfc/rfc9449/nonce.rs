//! RFC 9449 §8, §9: nonces.

use std::collections::HashSet;
use std::convert::Infallible;

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_resource_server::Error;
use tower_resource_server::layer::exposed_headers;

use super::*;

const INVALID: &str = "invalid_dpop_proof";
const NONCE: &str = "use_dpop_nonce";

fn nonce_of(reply: &Reply) -> Option<String> {
    let mut lines = reply.headers.get_all("dpop-nonce").iter();
    let nonce = lines.next().map(|line| line.to_str().unwrap().to_owned());
    assert_eq!(lines.next(), None, "at most one: {reply:?}");
    nonce
}

fn fresh(reply: &Reply) -> String {
    nonce_of(reply).unwrap_or_else(|| panic!("no nonce: {reply:?}"))
}

#[tokio::test]
async fn id_9449_9_1_a_nonce_is_demanded_and_the_next_proof_passes() {
    let world = World::new();
    let api = api(world.server(with_nonces()).layer());
    let reply = api.send(world.good()).await;
    reply.assert_dpop("no nonce", NONCE);
    assert!(matches!(reply.error, Some(Error::NonceRequired { .. })));
    let [challenge] = reply.challenges.as_slice() else { panic!("{reply:?}") };
    let names: Vec<_> = challenge.params.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["realm", "error", "error_description", "algs"]);
    assert!(world.client.remember_nonce(&reply.headers));
    let reply = api.send(world.good()).await;
    reply.assert_ok("the nonce of the demand");
    assert_eq!(nonce_of(&reply), None, "it is still fresh");
    assert_eq!(reply.headers.get(CACHE_CONTROL), None);
    // The same nonce is good for many proofs, and each proof for one request.
    let proof = world.proof().sign();
    api.send(request(&world.token, &[&proof])).await.assert_ok("once more");
    api.send(request(&world.token, &[&proof])).await.assert_dpop("replayed", INVALID);
}

/// Whatever else is wrong with a proof comes first: a client must not sign again in vain.
#[tokio::test]
async fn id_9449_9_1_a_bad_proof_gets_no_nonce() {
    let world = World::new();
    let api = api(world.server(with_nonces()).layer());
    let other = world.another().proof("GET", URL).token(&world.token).sign();
    for (name, proof, error) in [
        (
            "another URL",
            world.client.proof("GET", "https://x.example").token(&world.token).sign(),
            INVALID,
        ),
        ("no ath", world.client.proof("GET", URL).sign(), INVALID),
        ("another key", other, "invalid_token"),
        ("not a proof", "x".to_owned(), INVALID),
        ("good but for its nonce", world.proof().sign(), NONCE),
    ] {
        api.send(request(&world.token, &[&proof])).await.assert_dpop(name, error);
    }
    let expired = world.issuer.token().bound_to_key(&world.client).expires_in(-600).sign();
    let proof = world.client.proof("GET", URL).token(&expired).sign();
    api.send(request(&expired, &[&proof])).await.assert_dpop("expired", "invalid_token");
}

#[tokio::test]
async fn id_9449_4_3_12_and_11_3_1_the_nonce_of_a_proof_is_ours() {
    let world = World::new();
    let server = world.server(with_nonces());
    let api_ = api(server.layer());
    let nonce = fresh(&api_.send(world.good()).await);
    // An authorization server gives nonces of its own (RFC 9449 §9).
    let other = fresh(&api(world.server(with_nonces()).layer()).send(world.good()).await);
    let last = if nonce.ends_with('A') { "B" } else { "A" };
    let changed = format!("{}{last}", &nonce[..nonce.len() - 1]);
    for (name, own, error) in [
        ("none", None, Some(NONCE)),
        ("of the authorization server", Some("eyJ7S_zG.eyJH0-Z.HX4w-7v".to_owned()), Some(NONCE)),
        ("of another server", Some(other), Some(NONCE)),
        ("changed", Some(changed), Some(NONCE)),
        ("longer", Some(format!("{nonce}A")), Some(NONCE)),
        ("shorter", Some(nonce[1..].to_owned()), Some(NONCE)),
        ("in another case", Some(nonce.to_lowercase()), Some(NONCE)),
        ("twice", Some(format!("{nonce}{nonce}")), Some(NONCE)),
        ("empty", Some(String::new()), Some(NONCE)),
        ("long", Some("A".repeat(2_000)), Some(NONCE)),
        ("ours", Some(nonce.clone()), None),
    ] {
        let proof = match own {
            Some(own) => world.proof().nonce(&own).sign(),
            None => world.proof().sign(),
        };
        let reply = api_.send(request(&world.token, &[&proof])).await;
        match error {
            Some(error) => {
                reply.assert_dpop(name, error);
                assert_ne!(fresh(&reply), nonce, "{name}: a fresh one");
            }
            None => reply.assert_ok(name),
        }
    }
    for value in [serde_json::json!(null), serde_json::json!(1), serde_json::json!([nonce])] {
        let proof = world.proof().claim("nonce", value.clone()).sign();
        let reply = api_.send(request(&world.token, &[&proof])).await;
        reply.assert_dpop(&value.to_string(), INVALID);
    }
    // After a client had a nonce, a proof without one is refused.
    api_.send(request(&world.token, &[&world.proof().sign()])).await.assert_dpop("none", NONCE);
}

#[tokio::test]
async fn id_9449_8_3_and_8_2_1_an_older_nonce_passes_with_a_fresh_one_and_then_not() {
    let world = World::new();
    let api = api(world.server(with_nonces()).layer());
    let first = fresh(&api.send(world.good()).await);
    for (name, wait, good, renewed) in [
        ("at once", 0, true, false),
        ("at the end of its window", 59, true, false),
        ("in the next window", 1, true, true),
        ("at the end of the next window", 59, true, true),
        ("two windows later", 1, false, true),
        ("an hour later", 3_000, false, true),
    ] {
        world.pass(wait);
        let proof = world.proof().nonce(&first).sign();
        let reply = api.send(request(&world.token, &[&proof])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, NONCE),
        }
        assert_eq!(nonce_of(&reply).is_some(), renewed, "{name}");
        let stored = reply.headers.get(CACHE_CONTROL).map(|value| value.to_str().unwrap());
        assert_eq!(stored, renewed.then_some("no-store"), "{name}");
        if let Some(next) = nonce_of(&reply) {
            assert_ne!(next, first, "{name}");
            let proof = world.proof().nonce(&next).sign();
            let reply = api.send(request(&world.token, &[&proof])).await;
            reply.assert_ok(name);
            assert_eq!(nonce_of(&reply), None, "{name}: the fresh one is fresh");
        }
    }
}

/// A nonce says when a proof was made, so the client's clock does not count.
#[tokio::test]
async fn id_9449_4_3_13_with_a_nonce_the_clients_clock_does_not_count() {
    let world = World::new();
    for (name, nonces) in [("always", Nonces::always()), ("on clock skew", Nonces::on_clock_skew())]
    {
        let api = api(world.server(optional().nonces(nonces)).layer());
        for seconds in [-86_400, -61, 0, 16, 86_400] {
            let late = world.proof().made_in(seconds).sign();
            let reply = api.send(request(&world.token, &[&late])).await;
            reply.assert_dpop(name, NONCE);
            let proof = world.proof().made_in(seconds).nonce(&fresh(&reply)).sign();
            api.send(request(&world.token, &[&proof])).await.assert_ok(name);
            api.send(request(&world.token, &[&proof])).await.assert_dpop(name, INVALID);
        }
    }
}

#[tokio::test]
async fn id_9449_9_1_on_clock_skew_a_nonce_is_demanded_for_the_time_alone() {
    let world = World::new();
    let api_of = |nonces| api(world.server(optional().nonces(nonces)).layer());
    let (off, skew) = (api_of(Nonces::off()), api_of(Nonces::on_clock_skew()));
    world.pass(600);
    for (name, seconds, in_time) in
        [("in time", 0, true), ("the oldest", -60, true), ("old", -61, false), ("ahead", 16, false)]
    {
        let line = || world.proof().made_in(seconds).sign();
        let (without, with) = (
            off.send(request(&world.token, &[&line()])).await,
            skew.send(request(&world.token, &[&line()])).await,
        );
        match in_time {
            true => {
                without.assert_ok(name);
                with.assert_ok(name);
            }
            false => {
                without.assert_dpop(name, INVALID);
                with.assert_dpop(name, NONCE);
                let retry = world.proof().made_in(seconds).nonce(&fresh(&with)).sign();
                skew.send(request(&world.token, &[&retry])).await.assert_ok(name);
            }
        }
    }
    // A nonce that is sent is checked.
    let foreign = world.proof().nonce("eyJ7S_zG.eyJH0-Z.HX4w-7v").sign();
    skew.send(request(&world.token, &[&foreign])).await.assert_dpop("foreign", NONCE);
    let foreign = world.proof().nonce("eyJ7S_zG.eyJH0-Z.HX4w-7v").sign();
    off.send(request(&world.token, &[&foreign])).await.assert_ok("foreign, and not read");
}

#[tokio::test]
async fn id_9449_8_1_nonces_are_unique_and_of_nqchar() {
    let world = World::new();
    let api = api(world.server(with_nonces()).layer());
    let mut nonces = HashSet::new();
    for _ in 0..1_000 {
        let nonce = fresh(&api.send(world.good()).await);
        assert!(nonce.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{nonce}");
        // 80 random bits, and a hash of 128.
        assert!(nonce.len() >= 40, "{nonce}");
        nonces.insert(nonce);
    }
    assert_eq!(nonces.len(), 1_000);
}

#[tokio::test]
async fn id_9449_8_2_a_response_has_one_nonce_field() {
    let world = World::new();
    let server = world.server(with_nonces());
    let inner = service_fn(async |_: Request<Body>| {
        let response = Response::builder()
            .header("dpop-nonce", "inner-1")
            .header("dpop-nonce", "inner-2")
            .header(CACHE_CONTROL, "public, max-age=60")
            .header("cdn-cache-control", "max-age=60");
        Ok::<_, Infallible>(response.body(Body::default()).unwrap())
    });
    let service = server.layer().layer(inner);
    let first = fresh(&api(server.layer()).send(world.good()).await);
    for (name, wait, ours) in [("a fresh nonce", 0, false), ("an old nonce", 60, true)] {
        world.pass(wait);
        let proof = world.proof().nonce(&first).sign();
        let response = service.clone().oneshot(request(&world.token, &[&proof])).await.unwrap();
        assert_eq!(response.status(), 200, "{name}");
        let lines: Vec<_> = response.headers().get_all("dpop-nonce").iter().collect();
        if ours {
            assert_eq!(lines.len(), 1, "{name}");
            assert!(!lines[0].as_bytes().starts_with(b"inner"), "{name}");
            let stored: Vec<_> = response.headers().get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(stored, ["no-store"], "{name}");
            assert_eq!(response.headers().get("cdn-cache-control"), None, "{name}");
        } else {
            assert_eq!(lines, ["inner-1", "inner-2"], "{name}: the API's own");
        }
    }
}

#[tokio::test]
async fn id_9449_9_2_servers_with_one_key_take_each_others_nonces() {
    let world = World::new();
    let (one, two) = (vec![1_u8; 32], vec![2_u8; 32]);
    let of = |keys: Vec<Vec<u8>>| {
        api(world.server(optional().nonces(Nonces::always().keys(keys))).layer())
    };
    let own = of(vec![one.clone()]);
    let nonce = fresh(&own.send(world.good()).await);
    for (name, other, good) in [
        ("the same key", of(vec![one.clone()]), true),
        ("rotated", of(vec![two.clone(), one.clone()]), true),
        ("to be rotated", of(vec![one, two.clone()]), true),
        ("another key", of(vec![two]), false),
        ("a random key", api(world.server(with_nonces()).layer()), false),
    ] {
        let proof = world.proof().nonce(&nonce).sign();
        let reply = other.send(request(&world.token, &[&proof])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, NONCE),
        }
    }
    // An API with another public URL, although its key is the same.
    let foreign = Dpop::optional("https://other.example.com", Replay::in_process());
    let foreign = foreign.nonces(Nonces::always().keys([vec![1_u8; 32]]));
    let foreign = api(world.server(foreign).layer());
    let proof = world.client.proof("GET", "https://other.example.com/notes").token(&world.token);
    let reply = foreign.send(request(&world.token, &[&proof.nonce(&nonce).sign()])).await;
    reply.assert_dpop("another API", NONCE);
}

#[tokio::test]
async fn id_9449_7_1_5_a_script_can_read_the_nonce() {
    use tower_http::cors::{Any, CorsLayer};

    let names = exposed_headers();
    assert!(names.iter().any(|name| name == "dpop-nonce"));
    assert!(names.iter().any(|name| name == "www-authenticate"));
    let world = World::new();
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_headers([http::header::AUTHORIZATION, http::HeaderName::from_static("dpop")])
        .expose_headers(exposed_headers());
    let api = api((cors, world.server(with_nonces()).layer()));
    let reply = api.send(with(world.good(), "origin", "https://app.example")).await;
    reply.assert_dpop("a demand", NONCE);
    let exposed = reply.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.split(',').any(|name| name.trim() == "dpop-nonce"), "{exposed}");
    let mut preflight = Request::options(URL).body(Body::default()).unwrap();
    for (name, value) in [
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization,dpop"),
    ] {
        preflight.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let reply = api.send(preflight).await;
    assert_eq!(reply.status, 200);
    assert!(reply.headers["access-control-allow-headers"].to_str().unwrap().contains("dpop"));
}

#[tokio::test]
async fn id_9449_8_2_1_authenticate_returns_the_nonce_for_the_response() {
    let world = World::new();
    let server = world.server(with_nonces());
    let head = |request: Request<Body>| request.into_parts().0;
    let refusal = server.authenticate(&head(world.good())).await.unwrap_err();
    let response: Response<Body> = refusal.into_response();
    assert!(world.client.remember_nonce(response.headers()));
    let passed = server.authenticate(&head(world.good())).await.unwrap();
    assert!(passed.response_headers.is_empty(), "{passed:?}");
    world.pass(60);
    let passed = server.authenticate(&head(world.good())).await.unwrap();
    assert_eq!(passed.response_headers.get_all("dpop-nonce").iter().count(), 1);
    assert_eq!(passed.response_headers[CACHE_CONTROL], "no-store");
}
