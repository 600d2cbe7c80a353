//! 20,000 tokens, good and mutated, judged by this crate and by `jsonwebtoken` with everything it
//! can require switched on. Every mutation of the list below says what either of them makes of a
//! token that has it, with the clause by which this crate decides; so the list of disagreements is
//! closed, and a mutation that changes nothing is found out.

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::TestIssuer;

use support::*;

const TOKENS: usize = 20_000;

/// A token as text, so that a mutation can write what no JSON library would.
struct Draft {
    header: Vec<(String, String)>,
    claims: Vec<(String, String)>,
}

impl Draft {
    fn set(members: &mut Vec<(String, String)>, name: &str, value: impl Into<String>) {
        members.retain(|(own, _)| own != name);
        members.push((name.to_owned(), value.into()));
    }

    fn claim(&mut self, name: &str, value: impl Into<String>) {
        Self::set(&mut self.claims, name, value);
    }

    fn head(&mut self, name: &str, value: impl Into<String>) {
        Self::set(&mut self.header, name, value);
    }

    /// Every member by name, with the texts that stand under it.
    fn members(&self) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (kind, members) in [("header", &self.header), ("claim", &self.claims)] {
            for (name, text) in members {
                found.entry(format!("{kind} {name}")).or_default().push(text.clone());
            }
        }
        found
    }

    fn text(members: &[(String, String)]) -> String {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// What is made of a token with one mutation: accepted here, and accepted there.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Verdicts {
    here: bool,
    there: bool,
}

const ACCEPTED: Verdicts = Verdicts { here: true, there: true };
const REFUSED: Verdicts = Verdicts { here: false, there: false };
const ONLY_THERE: Verdicts = Verdicts { here: false, there: true };

type Mutation = (&'static str, Verdicts, &'static str, fn(&mut Draft, &mut StdRng, u64));

/// Name, verdicts, the clause, and the mutation.
const MUTATIONS: &[Mutation] = &[
    ("extra claim", ACCEPTED, "RFC 7519 §4", |d, _, _| d.claim("x", "{\"y\":[1,2]}")),
    ("extra header member", ACCEPTED, "RFC 7515 §4", |d, _, _| d.head("x", "1")),
    ("expired", REFUSED, "RFC 7519 §4.1.4", |d, r, now| {
        d.claim("exp", (now - r.random_range(120..10_000)).to_string());
    }),
    ("exp missing", REFUSED, "RFC 7519 §4.1.4", |d, _, _| d.claims.retain(|(n, _)| n != "exp")),
    ("exp as string", REFUSED, "RFC 7519 §2", |d, _, now| {
        d.claim("exp", format!("\"{}\"", now + 300))
    }),
    ("exp null", REFUSED, "RFC 7519 §2", |d, _, _| d.claim("exp", "null")),
    ("exp negative", REFUSED, "RFC 7519 §4.1.4", |d, _, _| d.claim("exp", "-5")),
    ("exp with a fraction", ACCEPTED, "RFC 7519 §2", |d, _, now| {
        d.claim("exp", format!("{}.5", now + 300))
    }),
    ("exp beyond 64 bits", REFUSED, "beyond the year 5000: not in seconds", |d, _, _| {
        d.claim("exp", "1e25")
    }),
    ("exp out of range", REFUSED, "RFC 8259 §6", |d, _, _| d.claim("exp", "1e400")),
    ("nbf ahead", REFUSED, "RFC 7519 §4.1.5", |d, r, now| {
        d.claim("nbf", (now + r.random_range(120..10_000)).to_string());
    }),
    ("nbf past", ACCEPTED, "RFC 7519 §4.1.5", |d, _, now| d.claim("nbf", (now - 5).to_string())),
    ("nbf as string", REFUSED, "RFC 7519 §2", |d, _, _| d.claim("nbf", "\"5\"")),
    ("iat ahead", ONLY_THERE, "RFC 7519 §4.1.6", |d, _, now| {
        d.claim("iat", (now + 600).to_string())
    }),
    ("iat as string", ONLY_THERE, "RFC 7519 §2", |d, _, _| d.claim("iat", "\"5\"")),
    ("iat missing", ONLY_THERE, "RFC 9068 §2.2", |d, _, _| d.claims.retain(|(n, _)| n != "iat")),
    ("jti missing", ONLY_THERE, "RFC 9068 §2.2", |d, _, _| d.claims.retain(|(n, _)| n != "jti")),
    ("client_id missing", ONLY_THERE, "RFC 9068 §2.2", |d, _, _| {
        d.claims.retain(|(n, _)| n != "client_id");
    }),
    ("sub missing", REFUSED, "RFC 9068 §2.2", |d, _, _| d.claims.retain(|(n, _)| n != "sub")),
    ("sub as number", REFUSED, "RFC 7519 §4.1.2", |d, _, _| d.claim("sub", "7")),
    ("aud missing", REFUSED, "RFC 9068 §4", |d, _, _| d.claims.retain(|(n, _)| n != "aud")),
    ("aud foreign", REFUSED, "RFC 7519 §4.1.3", |d, _, _| d.claim("aud", "\"https://other\"")),
    ("aud array", ACCEPTED, "RFC 7519 §4.1.3", |d, _, _| {
        d.claim("aud", format!("[\"x\",\"{AUDIENCE}\"]"))
    }),
    ("aud array foreign", REFUSED, "RFC 7519 §4.1.3", |d, _, _| d.claim("aud", "[\"x\",\"y\"]")),
    ("aud empty array", REFUSED, "RFC 7519 §4.1.3", |d, _, _| d.claim("aud", "[]")),
    ("aud with a number", REFUSED, "RFC 7519 §4.1.3", |d, _, _| {
        d.claim("aud", format!("[\"{AUDIENCE}\",1]"));
    }),
    ("aud with another case", REFUSED, "RFC 7519 §4.1.3", |d, _, _| {
        d.claim("aud", "\"https://API.example.com\"")
    }),
    ("iss missing", REFUSED, "RFC 9068 §4", |d, _, _| d.claims.retain(|(n, _)| n != "iss")),
    ("iss with a slash", REFUSED, "RFC 9068 §4", |d, _, _| {
        d.claim("iss", format!("\"{ISSUER}/\""))
    }),
    ("iss as array", ONLY_THERE, "RFC 7519 §4.1.1", |d, _, _| {
        d.claim("iss", format!("[\"{ISSUER}\"]"))
    }),
    ("iss null", REFUSED, "RFC 7519 §4.1.1", |d, _, _| d.claim("iss", "null")),
    ("scope as array", ONLY_THERE, "RFC 9068 §2.2.3", |d, _, _| d.claim("scope", "[\"a\"]")),
    ("cnf", ONLY_THERE, "RFC 7800 §3.1", |d, _, _| {
        d.claim("cnf", "{\"jkt\":\"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}")
    }),
    ("cnf malformed", ONLY_THERE, "RFC 9449 §6.1", |d, _, _| d.claim("cnf", "{\"jkt\":\"x\"}")),
    ("claim twice", ONLY_THERE, "RFC 7519 §4", |d, _, _| {
        d.claims.push(("jti".into(), "\"2\"".into()))
    }),
    ("unknown claim twice", ONLY_THERE, "RFC 7519 §4", |d, _, _| {
        d.claims.extend([("z".into(), "1".into()), ("z".into(), "1".into())]);
    }),
    ("too deep", ONLY_THERE, "a limit of this crate", |d, _, _| {
        d.claim("x", "[".repeat(40) + &"]".repeat(40));
    }),
    ("many members", ACCEPTED, "size bounds a token", |d, _, _| {
        d.claim("x", format!("[{}0]", "0,".repeat(1_100)));
    }),
    ("typ JWT", ONLY_THERE, "RFC 9068 §4", |d, _, _| d.head("typ", "\"JWT\"")),
    ("typ missing", ONLY_THERE, "RFC 9068 §4", |d, _, _| d.header.retain(|(n, _)| n != "typ")),
    ("typ of another kind", ONLY_THERE, "RFC 8725 §3.12", |d, _, _| d.head("typ", "\"dpop+jwt\"")),
    ("typ with its prefix", ACCEPTED, "RFC 7515 §4.1.9", |d, _, _| {
        d.head("typ", "\"application/at+JWT\"")
    }),
    ("alg none", REFUSED, "RFC 7518 §3.6", |d, _, _| d.head("alg", "\"none\"")),
    ("alg in lower case", REFUSED, "RFC 7515 §4.1.1", |d, _, _| d.head("alg", "\"es256\"")),
    ("alg HS256", REFUSED, "RFC 8725 §3.1", |d, _, _| d.head("alg", "\"HS256\"")),
    ("alg missing", REFUSED, "RFC 7515 §4.1.1", |d, _, _| d.header.retain(|(n, _)| n != "alg")),
    ("alg twice", REFUSED, "RFC 7515 §4", |d, _, _| {
        let alg = d.header.iter().find(|(n, _)| n == "alg").map(|(_, v)| v.clone());
        d.header.extend(alg.map(|alg| ("alg".to_owned(), alg)));
    }),
    ("unknown header member twice", ONLY_THERE, "RFC 7515 §4", |d, _, _| {
        d.header.extend([("z".into(), "1".into()), ("z".into(), "1".into())]);
    }),
    ("kid unknown", ONLY_THERE, "RFC 7515 §4.1.4", |d, _, _| d.head("kid", "\"other\"")),
    ("kid as number", REFUSED, "RFC 7515 §4.1.4", |d, _, _| d.head("kid", "1")),
    ("kid null", ONLY_THERE, "RFC 7515 §4.1.4", |d, _, _| d.head("kid", "null")),
    ("kid missing", ACCEPTED, "RFC 7515 §4.1.4", |d, _, _| d.header.retain(|(n, _)| n != "kid")),
    ("crit", ONLY_THERE, "RFC 7515 §4.1.11", |d, _, _| {
        d.head("crit", "[\"x\"]");
        d.head("x", "1");
    }),
    ("crit empty", ONLY_THERE, "RFC 7515 §4.1.11", |d, _, _| d.head("crit", "[]")),
    ("b64", ONLY_THERE, "RFC 7797 §7", |d, _, _| d.head("b64", "false")),
    ("nested", ONLY_THERE, "RFC 7519 §5.2", |d, _, _| d.head("cty", "\"JWT\"")),
];

/// Changes of the finished text. Whatever it was before, it is refused by both.
fn damage(token: &str, random: &mut StdRng) -> String {
    let at = random.random_range(0..token.len());
    let flip = |at: usize| {
        let mut octets = token.as_bytes().to_vec();
        octets[at] = *b"ABCabc012-_".choose(&mut StdRng::seed_from_u64(at as u64)).unwrap();
        String::from_utf8(octets).unwrap()
    };
    match random.random_range(0..7) {
        0 => flip(at),
        1 => token[..at].to_owned(),
        2 => format!("{token}="),
        3 => format!("{token}.AAAA"),
        4 => token[..=token.rfind('.').unwrap()].to_owned(),
        5 => format!("{}.{}", &token[..at], &token[at..]),
        _ => format!("{}{}", &token[..=at], &token[at..]),
    }
}

#[tokio::test]
async fn every_disagreement_is_of_a_named_class() {
    let mut random = StdRng::seed_from_u64(9068);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut worlds = Vec::new();
    for (algorithm, oracle) in [
        (Algorithm::ES256, jsonwebtoken::Algorithm::ES256),
        (Algorithm::ES384, jsonwebtoken::Algorithm::ES384),
        (Algorithm::Ed25519, jsonwebtoken::Algorithm::EdDSA),
        (Algorithm::RS256, jsonwebtoken::Algorithm::RS256),
        (Algorithm::PS256, jsonwebtoken::Algorithm::PS256),
    ] {
        let issuer = TestIssuer::builder().algorithm(algorithm).in_process(ISSUER);
        let only = trusting(&issuer).algorithms([algorithm]);
        let server = builder(only).build().unwrap();
        let mut set: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
        // It knows Ed25519 by its older name alone.
        set["keys"][0].as_object_mut().unwrap().remove("alg");
        let jwk: Jwk = serde_json::from_value(set["keys"][0].clone()).unwrap();
        let key = DecodingKey::from_jwk(&jwk).unwrap();
        let mut validation = Validation::new(oracle);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation.validate_nbf = true;
        worlds.push((issuer, server, key, validation));
    }

    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut judged, mut accepted, mut damaged) = (0, 0, 0);
    for number in 0..TOKENS {
        let (issuer, server, key, validation) = worlds.choose(&mut random).unwrap();
        let mut draft = Draft {
            header: vec![
                ("alg".into(), format!("\"{:?}\"", validation.algorithms[0])),
                ("typ".into(), "\"at+jwt\"".into()),
                ("kid".into(), "\"key-1\"".into()),
            ],
            claims: vec![
                ("iss".into(), format!("\"{ISSUER}\"")),
                ("sub".into(), "\"alice\"".into()),
                ("aud".into(), format!("\"{AUDIENCE}\"")),
                ("client_id".into(), "\"app\"".into()),
                ("iat".into(), now.to_string()),
                ("exp".into(), (now + 3_600).to_string()),
                ("jti".into(), format!("\"{number}\"")),
            ],
        };
        // One token in ten is good; most have one mutation, some have two.
        let mutations = *[0, 1, 1, 1, 1, 1, 1, 1, 2, 2].choose(&mut random).unwrap();
        let mut applied = Vec::new();
        for _ in 0..mutations {
            let mutation = MUTATIONS.choose(&mut random).unwrap();
            let before = draft.members();
            (mutation.3)(&mut draft, &mut random, now);
            let after = draft.members();
            let names = before.keys().chain(after.keys());
            let touched: BTreeSet<_> =
                names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect();
            applied.push((mutation, touched));
        }
        let header = Draft::text(&draft.header);
        let whole =
            issuer.token().raw_header(&header).raw_payload(Draft::text(&draft.claims)).sign();
        let mut token = whole.clone();
        if mutations < 2 && random.random_ratio(1, 5) {
            token = damage(&whole, &mut random);
        }

        let expected = match applied.as_slice() {
            _ if token != whole => Some(REFUSED),
            [] => Some(ACCEPTED),
            [(only, _)] => Some(only.1),
            // Two mutations of different members add up. Of those of one member the last may undo
            // the first, so that nothing is known beforehand but what may not happen.
            [(first, a), (second, b), ..] => a.is_disjoint(b).then_some(Verdicts {
                here: first.1.here && second.1.here,
                there: first.1.there && second.1.there,
            }),
        };

        let (parts, ()) = http::Request::get("/")
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .unwrap()
            .into_parts();
        let here = server.authenticate(&parts).await;
        let there = jsonwebtoken::decode::<serde_json::Value>(&token, key, validation);
        let found = Verdicts { here: here.is_ok(), there: there.is_ok() };
        let names: Vec<_> = applied.iter().map(|(mutation, _)| mutation.0).collect();
        match expected {
            Some(expected) => assert_eq!(found, expected, "{names:?} {token} {here:?} {there:?}"),
            None => {
                let may = |side: Verdicts| applied.iter().any(|(mutation, _)| mutation.1 == side);
                let explained = found.here == found.there || may(found);
                assert!(explained, "{names:?} {token} {here:?} {there:?}");
            }
        }
        judged += 1;
        accepted += usize::from(found == ACCEPTED);
        if token != whole {
            damaged += 1;
        } else if let [(only, _)] = applied.as_slice() {
            *seen.entry(only.0).or_default() += 1;
        }
    }

    println!("{accepted} accepted by both, {damaged} damaged; of those with one mutation:");
    for (name, verdicts, clause, _) in MUTATIONS {
        let count = seen.get(name).copied().unwrap_or_default();
        println!("{count:5}  {name} ({clause}): {verdicts:?}");
        assert!(count > 50, "{name} was tried {count} times");
    }
    assert_eq!(judged, TOKENS);
    assert!(accepted > 3_000 && damaged > 2_000, "{accepted} {damaged}");
}
