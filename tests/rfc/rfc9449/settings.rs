//! The settings for RFC 9449: per issuer, and mistakes.

use tower_resource_server::issuer::SourceError;
use tower_resource_server::sender::{DpopUse, Insertion, ReplayStore, UsedProof};
use tower_resource_server::{ConfigError, Error};

use super::*;

const INVALID: &str = "invalid_dpop_proof";

#[tokio::test]
async fn id_9449_6_1_each_issuer_says_whether_its_tokens_are_bound() {
    let world = World::new();
    for (name, uses, bound, unbound) in [
        ("the default", None, None, None),
        ("off", Some(DpopUse::Off), Some("unconfirmed_sender"), None),
        ("optional", Some(DpopUse::Optional), None, None),
        ("required", Some(DpopUse::Required), None, Some("key_not_bound")),
    ] {
        let other = TestIssuer::in_process("https://other.example.com");
        let own = trusting(&world.issuer);
        let own = uses.map_or(own.clone(), |uses| own.dpop(uses));
        let server = builder(own.clone()).issuer(trusting(&other)).clock(world.clock.clone());
        let server = server.dpop(optional()).build().unwrap();
        for round in ["built", "reloaded"] {
            let api = api(server.layer());
            let name = &format!("{name}, {round}");
            let reply = api.send(world.good()).await;
            match bound {
                None => reply.assert_ok(name),
                Some(_) => reply.assert_dpop(name, "invalid_token"),
            }
            assert_eq!(reply.error.as_ref().map(Error::code), bound, "{name}");
            let reply = api.bearer(&world.issuer.token().sign()).await;
            assert_eq!(reply.error.as_ref().map(Error::code), unbound, "{name}");
            assert_eq!(reply.ran, unbound.is_none(), "{name}");
            // What one issuer says does not count for another one.
            api.bearer(&other.token().sign()).await.assert_ok(name);
            let token = other.token().bound_to_key(&world.client).sign();
            let proof = world.client.proof("GET", URL).token(&token).sign();
            api.send(request(&token, &[&proof])).await.assert_ok(name);
            api.send(request(&token, &[])).await.assert_dpop(name, INVALID);
            server.reload([own.clone(), trusting(&other)], [AUDIENCE]).unwrap();
        }
    }
    // An issuer cannot relax what the server requires.
    let required = Dpop::required(AUDIENCE, Replay::in_process());
    let relaxed = trusting(&world.issuer).dpop(DpopUse::Optional);
    let server = builder(relaxed).clock(world.clock.clone()).dpop(required).build().unwrap();
    let api = api(server.layer());
    api.bearer(&world.issuer.token().sign()).await.assert_invalid_token("relaxed");
    api.send(world.good()).await.assert_ok("relaxed");
    // An issuer without proofs has no place in a server that requires them, also after a reload.
    let required = || Dpop::required(AUDIENCE, Replay::in_process());
    let off = || trusting(&world.issuer).dpop(DpopUse::Off);
    let refused = builder(off()).dpop(required()).build().unwrap_err();
    assert!(refused.to_string().contains("Dpop::required"), "{refused}");
    assert!(server.reload([off()], [AUDIENCE]).is_err());
    assert!(builder(off()).dpop(optional()).build().is_ok());
}

/// A store that several servers share.
struct Elsewhere;

impl ReplayStore for Elsewhere {
    async fn insert_if_absent(&self, _: &UsedProof) -> Result<Insertion, SourceError> {
        Ok(Insertion::New)
    }
}

#[test]
fn mistakes_in_the_settings_for_proofs_are_build_errors() {
    let issuer = issuer();
    let build = |dpop: Dpop| builder(trusting(&issuer)).dpop(dpop).build().map(drop);
    let at = |url: &str| Dpop::optional(url, Replay::in_process());
    let second = Duration::from_secs;
    let aged = |age| optional().max_age(age);
    let keyed = |length: usize| optional().nonces(Nonces::always().keys([vec![7; length]]));
    for (name, dpop, problem) in [
        ("good", optional(), None),
        ("no public URL", at(""), Some("dpop: the public URL ``")),
        ("no scheme", at("api.example.com"), Some("dpop: the public URL `api.example.com`")),
        (
            "http",
            at("http://api.example.com"),
            Some("dpop: the public URL `http://api.example.com`"),
        ),
        ("http of this machine", at("http://127.0.0.1:3000"), Some("dpop: the public URL")),
        ("another case", at("https://API.example.com"), Some("dpop: the public URL")),
        ("its default port", at("https://api.example.com:443"), Some("dpop: the public URL")),
        ("a query", at("https://api.example.com/?x"), Some("dpop: the public URL")),
        ("a fragment", at("https://api.example.com/#x"), Some("dpop: the public URL")),
        ("a user", at("https://user@api.example.com"), Some("dpop: the public URL")),
        ("dots", at("https://api.example.com/a/../b"), Some("dpop: the public URL")),
        ("white space", at("https://api.example.com "), Some("dpop: the public URL")),
        ("a path", at("https://api.example.com/v1"), None),
        ("a slash", at("https://api.example.com/v1/"), None),
        ("mounted", optional().mounted_at("/v1"), None),
        ("mounted at nothing", optional().mounted_at(""), None),
        ("mounted at the root", optional().mounted_at("/"), None),
        ("mounted at no path", optional().mounted_at("v1"), Some("dpop: mounted_at `v1`")),
        ("mounted at a URL", optional().mounted_at(URL), Some("dpop: mounted_at `https://")),
        ("mounted at dots", optional().mounted_at("/a/../b"), Some("dpop: mounted_at `/a/../b`")),
        ("mounted at a query", optional().mounted_at("/a?x"), Some("dpop: mounted_at `/a?")),
        ("mounted at an escape", optional().mounted_at("/%61"), Some("dpop: mounted_at `/%61`")),
        ("mounted at no ASCII", optional().mounted_at("/\u{e9}"), Some("dpop: mounted_at")),
        ("mounted at a space", optional().mounted_at("/a b"), Some("dpop: mounted_at `/a b`")),
        ("no algorithms", optional().algorithms([]), Some("dpop: algorithms: is empty")),
        ("HMAC", optional().algorithms([Algorithm::HS256]), Some("dpop: algorithm HS256")),
        ("ML-DSA", optional().algorithms([Algorithm::MlDsa44]), Some("dpop: algorithm ML-DSA-44")),
        ("some", optional().algorithms([Algorithm::ES256, Algorithm::PS256]), None),
        ("no age", aged(Duration::ZERO), Some("dpop: max_age 0ns")),
        ("a second", aged(second(1)), None),
        ("less than a second", aged(Duration::from_millis(500)), Some("dpop: max_age 500ms")),
        ("five minutes", aged(second(300)), None),
        ("more than five minutes", aged(second(301)), Some("dpop: max_age 301s")),
        ("endless", aged(Duration::MAX), Some("dpop: max_age")),
        (
            "no keys",
            optional().nonces(Nonces::always().keys(Vec::<Vec<u8>>::new())),
            Some("dpop: nonces: the list of keys is empty"),
        ),
        (
            "a shared store, and each process has a key of its own",
            Dpop::optional(AUDIENCE, Replay::store(Elsewhere)).nonces(Nonces::on_clock_skew()),
            Some("dpop: nonces: the store of used proofs is shared"),
        ),
        (
            "a shared store, and a shared key",
            Dpop::optional(AUDIENCE, Replay::store(Elsewhere))
                .nonces(Nonces::on_clock_skew().keys([vec![7; 32]])),
            None,
        ),
        ("a shared store without nonces", Dpop::optional(AUDIENCE, Replay::store(Elsewhere)), None),
        ("a short key", keyed(31), Some("dpop: nonces: a key has 31 octets")),
        ("no octets", keyed(0), Some("dpop: nonces: a key has 0 octets")),
        ("a key", keyed(32), None),
        ("a long key", keyed(64), None),
    ] {
        let found: Result<(), ConfigError> = build(dpop);
        match (found, problem) {
            (Ok(()), None) => {}
            (Err(error), Some(start)) => {
                assert_eq!(error.problems().len(), 1, "{name}: {error}");
                assert!(error.problems()[0].starts_with(start), "{name}: {error}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
    // One short key among good ones, and every problem at once.
    let all = Dpop::optional("x", Replay::in_process())
        .mounted_at("v1")
        .algorithms([])
        .max_age(Duration::ZERO)
        .nonces(Nonces::always().keys([vec![7; 32], vec![7; 3]]));
    assert_eq!(build(all).unwrap_err().problems().len(), 5);
    let loopback = at("http://127.0.0.1:3000");
    let allowed = builder(trusting(&issuer)).allow_http_loopback().dpop(loopback);
    assert!(allowed.build().is_ok(), "where http of this machine is allowed");
}

#[test]
fn proofs_are_set_once_and_an_issuer_that_requires_them_needs_the_setting() {
    let issuer = issuer();
    let twice = builder(trusting(&issuer)).dpop(optional()).dpop(optional()).build().unwrap_err();
    assert_eq!(twice.problems(), ["dpop: is set twice"]);
    for (name, uses, good) in [
        ("off", DpopUse::Off, true),
        ("optional", DpopUse::Optional, true),
        ("required", DpopUse::Required, false),
    ] {
        let own = || trusting(&issuer).dpop(uses);
        let without = builder(own()).build();
        assert_eq!(without.is_ok(), good, "{name}");
        if let Err(error) = without {
            let [problem] = error.problems() else { panic!("{error}") };
            assert!(problem.contains(ISSUER) && problem.contains("dpop: is required"), "{error}");
        }
        assert!(builder(own()).dpop(optional()).build().is_ok(), "{name}");
        // The same in a reload.
        let server = builder(trusting(&issuer)).build().unwrap();
        assert_eq!(server.reload([own()], [AUDIENCE]).is_ok(), good, "{name}");
    }
}

#[test]
fn debug_shows_no_key_of_nonces() {
    let secret = "a secret of thirty-two octets ...";
    let nonces = Nonces::always().keys([secret]);
    let dpop = optional().nonces(nonces.clone());
    let issuer = issuer();
    let server = builder(trusting(&issuer)).dpop(dpop.clone()).build().unwrap();
    let octets = format!("{:?}", &secret.as_bytes()[..8]);
    for shown in [format!("{nonces:?}"), format!("{dpop:?}"), format!("{server:?}")] {
        assert!(
            !shown.contains(secret) && !shown.contains(octets.trim_matches(['[', ']'])),
            "{shown}"
        );
    }
}
