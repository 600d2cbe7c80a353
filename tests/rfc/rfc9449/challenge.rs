//! RFC 9449 §7: challenges, and the refusals of other documents under the scheme `DPoP`.

use std::time::Duration;

use serde_json::json;
use tower::ServiceBuilder;
use tower_resource_server::policy::{acr, all_of, dpop_bound, max_age, role, sender_constrained};
use tower_resource_server::{AccessToken, Claims, Error, scope};

use super::*;

const INVALID: &str = "invalid_dpop_proof";

/// The algorithms of the default, with both names of Ed25519.
const ALGS: &str = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 Ed25519 EdDSA";

/// The challenges as (scheme, error), and whether each has a description exactly beside an error.
fn shown(reply: &Reply) -> Vec<(&str, Option<&str>)> {
    let challenges = reply.challenges.iter();
    challenges
        .map(|one| {
            let error = one.param("error");
            assert_eq!(one.param("error_description").is_some(), error.is_some(), "{reply:?}");
            (&*one.scheme, error)
        })
        .collect()
}

#[tokio::test]
async fn id_9449_7_1_3_the_challenge_names_the_algorithms() {
    let world = World::new();
    let token = world.issuer.token().sign();
    for (name, dpop, algs) in [
        ("the default", optional(), ALGS),
        ("one", optional().algorithms([Algorithm::ES256]), "ES256"),
        ("two", optional().algorithms([Algorithm::PS256, Algorithm::ES256]), "PS256 ES256"),
        ("Ed25519", optional().algorithms([Algorithm::Ed25519]), "Ed25519 EdDSA"),
    ] {
        let api = api(world.server(dpop).layer());
        for (way, reply) in [
            ("no credentials", api.anonymous().await),
            ("no proof", api.send(request(&world.token, &[])).await),
            ("a bad token", api.send(request("x", &[])).await),
            ("unbound", api.send(request(&token, &[])).await),
            ("as Bearer", api.send(as_bearer(&world.token, &[])).await),
        ] {
            let dpop: Vec<_> = reply.challenges.iter().filter(|one| one.scheme == "DPoP").collect();
            let [challenge] = dpop.as_slice() else { panic!("{name}, {way}: {reply:?}") };
            assert_eq!(challenge.param("algs"), Some(algs), "{name}, {way}");
            assert_eq!(challenge.param("realm"), Some(AUDIENCE), "{name}, {way}");
        }
    }
}

#[tokio::test]
async fn id_9449_7_2_2_and_7_2_3_an_error_is_in_the_challenge_of_the_used_scheme() {
    let world = World::new();
    let optional = api(world.server(optional()).layer());
    let required = api(world.server(Dpop::required(AUDIENCE, Replay::in_process())).layer());
    let unbound = world.issuer.token().sign();
    let (bearer, dpop) = (("Bearer", None), ("DPoP", None));
    let (bad_bearer, bad_dpop) =
        (("Bearer", Some("invalid_token")), ("DPoP", Some("invalid_token")));
    let bad_proof = ("DPoP", Some(INVALID));
    let none = || get().body(Body::default()).unwrap();
    let other = || with(none(), "authorization", "Basic eDp5");
    for (name, request, of_optional, of_required) in [
        ("none", none(), vec![bearer, dpop], vec![dpop]),
        ("another scheme", other(), vec![bearer, dpop], vec![dpop]),
        ("Bearer bad", as_bearer("bad", &[]), vec![bad_bearer, dpop], vec![bad_bearer, dpop]),
        ("DPoP bad", request("bad", &[]), vec![bad_dpop, bearer], vec![bad_dpop]),
        ("DPoP bad, with a proof", request("bad", &["x"]), vec![bad_dpop, bearer], vec![bad_dpop]),
        (
            "bound as Bearer",
            as_bearer(&world.token, &[]),
            vec![bad_bearer, dpop],
            vec![bad_bearer, dpop],
        ),
        ("unbound under DPoP", request(&unbound, &[]), vec![bad_dpop, bearer], vec![bad_dpop]),
        ("no proof", request(&world.token, &[]), vec![bad_proof], vec![bad_proof]),
        ("a bad proof", request(&world.token, &["x"]), vec![bad_proof], vec![bad_proof]),
    ] {
        for (api, expected) in [(&optional, of_optional), (&required, of_required)] {
            let reply = api.send(request.clone()).await;
            assert_eq!(reply.status, 401, "{name}");
            assert_eq!(shown(&reply), expected, "{name}");
            assert_eq!(reply.headers.get("dpop-nonce"), None, "{name}");
        }
    }
    optional.bearer(&unbound).await.assert_ok("unbound");
    let reply = required.bearer(&unbound).await;
    assert_eq!(shown(&reply), [bad_bearer, dpop]);
    assert_eq!(reply.error, Some(Error::KeyNotBound));
    for api in [optional, required] {
        api.send(world.good()).await.assert_ok("bound");
    }
}

#[tokio::test]
async fn id_9449_7_2_4_two_schemes_in_one_request_are_400() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let unbound = world.issuer.token().sign();
    let (dpop, bearer) = (format!("DPoP {}", world.token), format!("Bearer {unbound}"));
    for (name, lines, scheme) in [
        ("DPoP and Bearer", [&dpop, &bearer], "DPoP"),
        ("Bearer and DPoP", [&bearer, &dpop], "Bearer"),
        ("DPoP twice", [&dpop, &dpop], "DPoP"),
    ] {
        let mut own = world.good();
        own.headers_mut().remove("authorization");
        let own = lines.iter().fold(own, |own, line| with(own, "authorization", line));
        let reply = api.send(own).await;
        reply.assert_invalid_request(name);
        assert_eq!(reply.challenges[0].scheme, scheme, "{name}");
        let mut joined = world.good();
        joined.headers_mut().remove("authorization");
        let line = format!("{}, {}", lines[0], lines[1]);
        api.send(with(joined, "authorization", &line)).await.assert_invalid_request(name);
    }
    // A token of the scheme behind another one is not taken for anonymous.
    for line in [format!("Basic eDp5, {dpop}"), format!(" {dpop}"), format!(", {dpop}")] {
        let mut own = world.good();
        own.headers_mut().insert("authorization", line.parse().unwrap());
        api.send(own).await.assert_invalid_request(&line);
    }
    api.send(world.good()).await.assert_ok("one");
}

#[tokio::test]
async fn id_9449_7_1_6_proxy_authorization_is_not_read() {
    let world = World::new();
    let server = world.server(optional());
    let strict = api(server.layer());
    let mut own = world.good();
    let value = own.headers_mut().remove("authorization").unwrap();
    own.headers_mut().insert("proxy-authorization", value);
    let reply = strict.send(own.clone()).await;
    reply.assert_invited("Proxy-Authorization");
    assert_eq!(reply.headers.get("proxy-authenticate"), None);
    let reply = api(server.optional_layer()).send(own.clone()).await;
    reply.assert_ok("anonymous");
    assert_eq!(reply.json()["anonymous"], true);
    // Its proof was not used.
    let value = own.headers_mut().remove("proxy-authorization").unwrap();
    own.headers_mut().insert("authorization", value);
    strict.send(own).await.assert_ok("Authorization");
}

#[tokio::test]
async fn id_9449_7_1_3_an_error_names_no_part_of_the_proof() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let secret = "s3cr3t-marker";
    let proof = world.client.proof(secret, &format!("https://{secret}.example/{secret}"));
    let proof = proof.claim("jti", secret).claim("ath", secret).claim("nonce", secret);
    let reply = api.send(request(&world.token, &[&proof.sign()])).await;
    reply.assert_dpop("everything is wrong", INVALID);
    let shown = format!("{:?} {:?}", reply.headers, reply.body);
    assert!(!shown.contains(secret), "{shown}");
}

/// RFC 9470 §3 under the scheme `DPoP`.
#[tokio::test]
async fn id_9470_3_1_an_unmet_login_is_told_in_the_challenge_of_dpop() {
    let world = World::new();
    let server = world.server(optional());
    let policy = || all_of([acr(["high", "higher"]), max_age(Duration::from_secs(60)), scope("a")]);
    let layered = ServiceBuilder::new().layer(server.layer()).layer(server.require(policy()));
    let (layered, protected) = (api(layered), api(server.protect(policy())));
    let now = world.clock.wall().as_secs();
    for (name, acr, auth_time, good) in [
        ("too low", "low", now, false),
        ("too old", "high", now - 61, false),
        ("high", "higher", now - 60, true),
    ] {
        let token = world.issuer.token().bound_to_key(&world.client).scope("a");
        let token = token.claim("acr", acr).claim("auth_time", auth_time).sign();
        let bearer = world.issuer.token().scope("a").claim("acr", acr);
        let bearer = bearer.claim("auth_time", auth_time).sign();
        let proof = || world.client.proof("GET", URL).token(&token).sign();
        for (way, reply, other) in [
            (
                "require",
                layered.send(request(&token, &[&proof()])).await,
                layered.bearer(&bearer).await,
            ),
            (
                "protect",
                protected.send(request(&token, &[&proof()])).await,
                protected.bearer(&bearer).await,
            ),
        ] {
            let name = format!("{name}, {way}");
            if good {
                reply.assert_ok(&name);
                other.assert_ok(&name);
                continue;
            }
            for (scheme, reply) in [("DPoP", reply), ("Bearer", other)] {
                assert_eq!((reply.status.as_u16(), reply.ran), (401, false), "{name}");
                let [challenge] = reply.challenges.as_slice() else { panic!("{name}: {reply:?}") };
                assert_eq!(challenge.scheme, scheme, "{name}");
                let error = challenge.param("error");
                assert_eq!(error, Some("insufficient_user_authentication"), "{name}");
                assert_eq!(challenge.param("acr_values"), Some("high higher"), "{name}");
                assert_eq!(challenge.param("max_age"), Some("60"), "{name}");
                assert_eq!(challenge.param("scope"), Some("a"), "{name}");
            }
        }
    }
}

/// RFC 6750 §3.1 under the scheme `DPoP`: 403, with the scope and the algorithms.
#[tokio::test]
async fn id_9449_7_1_3_too_little_scope_is_403_in_the_challenge_of_dpop() {
    let world = World::new();
    let server = world.server(optional());
    let policy = || all_of([scope("a"), scope("b")]);
    let layered = ServiceBuilder::new().layer(server.layer()).layer(server.require(policy()));
    let (layered, protected) = (api(layered), api(server.protect(policy())));
    let denied = api(server.protect(role("editor")));
    let of = |scope: &str| world.issuer.token().bound_to_key(&world.client).scope(scope).sign();
    let send = |token: &str| request(token, &[&world.client.proof("GET", URL).token(token).sign()]);
    let (little, enough) = (of("a"), of("a b"));
    for (way, reply) in [
        ("require", layered.send(send(&little)).await),
        ("protect", protected.send(send(&little)).await),
    ] {
        reply.assert_insufficient_scope(way, "a b");
        let [challenge] = reply.challenges.as_slice() else { panic!("{way}: {reply:?}") };
        assert_eq!((&*challenge.scheme, challenge.param("algs")), ("DPoP", Some(ALGS)), "{way}");
    }
    layered.send(send(&enough)).await.assert_ok("require");
    protected.send(send(&enough)).await.assert_ok("protect");
    let reply = denied.send(send(&enough)).await;
    assert_eq!((reply.status.as_u16(), shown(&reply)), (403, vec![("DPoP", None)]));
    // A request that is refused by a policy has used up its proof.
    let proof = world.client.proof("GET", URL).token(&little).sign();
    protected.send(request(&little, &[&proof])).await.assert_insufficient_scope("first", "a b");
    protected.send(request(&little, &[&proof])).await.assert_dpop("again", INVALID);
}

/// A handler that asks refuses in the same way.
#[tokio::test]
async fn id_9449_7_1_3_the_refusal_of_a_handler_is_in_the_challenge_of_dpop() {
    use std::convert::Infallible;

    use http::Response;
    use tower::{Layer as _, ServiceExt as _, service_fn};

    let world = World::new();
    let server = world.server(optional());
    let service = server.layer().layer(service_fn(async |request: Request<Body>| {
        let token = AccessToken::<Claims>::from_extensions(request.extensions()).unwrap();
        Ok::<_, Infallible>(match token.require(&scope("a").into()) {
            Ok(()) => Response::new(Body::default()),
            Err(refusal) => refusal.into_response(),
        })
    }));
    for (name, own, scheme, status) in [
        ("too little", "b", "DPoP", 403),
        ("too little", "b", "Bearer", 403),
        ("enough", "a", "DPoP", 200),
        ("enough", "a", "Bearer", 200),
    ] {
        let token = world.issuer.token().scope(own);
        let (token, request) = match scheme {
            "DPoP" => {
                let token = token.bound_to_key(&world.client).sign();
                let proof = world.client.proof("GET", URL).token(&token).sign();
                (token.clone(), request(&token, &[&proof]))
            }
            _ => {
                let token = token.sign();
                (token.clone(), as_bearer(&token, &[]))
            }
        };
        let reply = Reply::read(service.clone().oneshot(request).await.unwrap(), false).await;
        assert_eq!(reply.status, status, "{name}, {scheme}");
        if status == 403 {
            assert_eq!(shown(&reply), [(scheme, Some("insufficient_scope"))], "{name}");
        }
        drop(token);
    }
}

/// RFC 9068 §4 under the scheme `DPoP`: one response for every failure.
#[tokio::test]
async fn id_9068_4_7_every_failure_looks_the_same_under_dpop() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let token = || world.issuer.token().bound_to_key(&world.client);
    let forged = TestIssuer::in_process(ISSUER).token().bound_to_key(&world.client).sign();
    let mut answers = Vec::new();
    for (name, token) in [
        ("no JWT", "abc".to_owned()),
        ("encrypted", "a.b.c.d.e".to_owned()),
        ("typ", token().header("typ", "JWT").sign()),
        ("no typ", token().without_header("typ").sign()),
        ("a proof", world.proof().sign()),
        ("alg none", token().header("alg", "none").sign()),
        ("iss", token().claim("iss", "https://other").sign()),
        ("kid", token().header("kid", "other").sign()),
        ("signature", forged),
        ("missing claim", token().without("jti").sign()),
        ("malformed claim", token().claim("sub", 1).sign()),
        ("exp", token().expires_in(-600).sign()),
        ("nbf", token().claim("nbf", 99_999_999_999_u64).sign()),
        ("aud", token().audience("other").sign()),
        ("cnf", token().claim("cnf", json!({ "jkt": "x" })).sign()),
        ("unbound", token().without("cnf").sign()),
        ("bound to another key", token().claim("cnf", json!({ "jkt": KEY })).sign()),
        ("bound to something unknown", token().claim("cnf", json!({ "kid": "x" })).sign()),
    ] {
        let proof = world.client.proof("GET", URL).token(&token).sign();
        let reply = api.send(request(&token, &[&proof])).await;
        reply.assert_dpop(name, "invalid_token");
        answers.push((name, format!("{:?} {:?}", reply.headers, reply.body)));
    }
    for (name, answer) in &answers {
        assert_eq!(*answer, answers[0].1, "{name}");
    }
    api.send(world.good()).await.assert_ok("good");
}

/// RFC 9700 §2.2.1, and the same for one route.
#[tokio::test]
async fn id_9700_2_2_1_1_bound_tokens_can_be_required() {
    let world = World::new();
    let everywhere = builder(trusting(&world.issuer)).clock(world.clock.clone());
    let everywhere = everywhere.dpop(optional()).require_bound_tokens().build().unwrap();
    let required = world.server(Dpop::required(AUDIENCE, Replay::in_process()));
    let free = world.server(optional());
    let unbound = world.issuer.token().sign();
    let error = |reply: &Reply| reply.error.as_ref().map(Error::code);
    macro_rules! check {
        ($name:expr, $layer:expr, $key:expr, $certificate:expr) => {
            let api = api($layer);
            let reply = api.bearer(&unbound).await;
            reply.assert_invalid_token($name);
            assert_eq!(error(&reply), Some($key), "{}", $name);
            api.send(world.good()).await.assert_ok($name);
            #[cfg(feature = "mtls")]
            {
                use tower_resource_server::sender::ClientCertificate;
                let own = crate::rfc8705::certificate();
                let token = world.issuer.token().bound_to_certificate(&own).sign();
                let mut request = as_bearer(&token, &[]);
                request.extensions_mut().insert(ClientCertificate::from_der(&own));
                let reply = api.send(request).await;
                assert_eq!(error(&reply), $certificate, "{}", $name);
                assert_eq!(reply.ran, $certificate.is_none(), "{}", $name);
            }
        };
    }
    let (bound, key) = ("sender_not_constrained", "key_not_bound");
    check!("the server", everywhere.layer(), bound, None::<&str>);
    check!("the optional layer", everywhere.optional_layer(), bound, None::<&str>);
    check!("the server, a key", required.layer(), key, Some(key));
    check!("a route", free.protect(sender_constrained()), bound, None::<&str>);
    check!("a route, a key", free.protect(dpop_bound()), key, Some(key));
    let inside = || ServiceBuilder::new().layer(free.layer()).layer(free.require(dpop_bound()));
    check!("an inner route, a key", inside(), key, Some(key));
    api(free.layer()).bearer(&unbound).await.assert_ok("free");
    api(everywhere.optional_layer()).anonymous().await.assert_ok("anonymous");
}
