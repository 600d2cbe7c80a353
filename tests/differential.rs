//! 20,000 tokens, good and mutated, judged by this crate and by `jsonwebtoken` with everything it
//! can require switched on. Where the two disagree, the token has a mutation of the closed list
//! below, each with the clause by which this crate decides.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tower_resource_server::Algorithm;
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

    fn text(members: &[(String, String)]) -> String {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// On which side a mutation may part the two.
#[derive(Clone, Copy, PartialEq, Debug)]
enum May {
    /// Nowhere: both accept or both refuse.
    Agree,
    /// This crate may refuse what the other accepts.
    RefuseHere,
    /// This crate may accept what the other refuses.
    AcceptHere,
}

use May::{AcceptHere, Agree, RefuseHere};

type Mutation = (&'static str, May, &'static str, fn(&mut Draft, &mut StdRng, u64));

/// Name, what it may do, the clause, and the mutation.
const MUTATIONS: &[Mutation] = &[
    ("extra claim", Agree, "RFC 7519 §4", |d, _, _| d.claim("x", "{\"y\":[1,2]}")),
    ("extra header member", Agree, "RFC 7515 §4", |d, _, _| d.head("x", "1")),
    ("expired", Agree, "RFC 7519 §4.1.4", |d, r, now| {
        d.claim("exp", (now - r.random_range(120..10_000)).to_string());
    }),
    ("exp missing", Agree, "RFC 7519 §4.1.4", |d, _, _| d.claims.retain(|(n, _)| n != "exp")),
    ("exp as string", Agree, "RFC 7519 §2", |d, _, now| {
        d.claim("exp", format!("\"{}\"", now + 300))
    }),
    ("exp null", Agree, "RFC 7519 §2", |d, _, _| d.claim("exp", "null")),
    ("exp negative", Agree, "RFC 7519 §4.1.4", |d, _, _| d.claim("exp", "-5")),
    ("exp with a fraction", Agree, "RFC 7519 §2", |d, _, now| {
        d.claim("exp", format!("{}.5", now + 300))
    }),
    ("exp beyond 64 bits", AcceptHere, "RFC 7519 §2: any JSON number", |d, _, _| {
        d.claim("exp", "1e25")
    }),
    ("exp out of range", Agree, "RFC 8259 §6", |d, _, _| d.claim("exp", "1e400")),
    ("nbf ahead", Agree, "RFC 7519 §4.1.5", |d, r, now| {
        d.claim("nbf", (now + r.random_range(120..10_000)).to_string());
    }),
    ("nbf past", Agree, "RFC 7519 §4.1.5", |d, _, now| d.claim("nbf", (now - 5).to_string())),
    ("nbf as string", Agree, "RFC 7519 §2", |d, _, _| d.claim("nbf", "\"5\"")),
    ("iat ahead", RefuseHere, "RFC 7519 §4.1.6", |d, _, now| {
        d.claim("iat", (now + 600).to_string())
    }),
    ("iat as string", RefuseHere, "RFC 7519 §2", |d, _, _| d.claim("iat", "\"5\"")),
    ("iat missing", RefuseHere, "RFC 9068 §2.2", |d, _, _| d.claims.retain(|(n, _)| n != "iat")),
    ("jti missing", RefuseHere, "RFC 9068 §2.2", |d, _, _| d.claims.retain(|(n, _)| n != "jti")),
    ("client_id missing", RefuseHere, "RFC 9068 §2.2", |d, _, _| {
        d.claims.retain(|(n, _)| n != "client_id");
    }),
    ("sub missing", Agree, "RFC 9068 §2.2", |d, _, _| d.claims.retain(|(n, _)| n != "sub")),
    ("sub as number", Agree, "RFC 7519 §4.1.2", |d, _, _| d.claim("sub", "7")),
    ("aud missing", Agree, "RFC 9068 §4", |d, _, _| d.claims.retain(|(n, _)| n != "aud")),
    ("aud foreign", Agree, "RFC 7519 §4.1.3", |d, _, _| d.claim("aud", "\"https://other\"")),
    ("aud array", Agree, "RFC 7519 §4.1.3", |d, _, _| {
        d.claim("aud", format!("[\"x\",\"{AUDIENCE}\"]"))
    }),
    ("aud array foreign", Agree, "RFC 7519 §4.1.3", |d, _, _| d.claim("aud", "[\"x\",\"y\"]")),
    ("aud empty array", Agree, "RFC 7519 §4.1.3", |d, _, _| d.claim("aud", "[]")),
    ("aud with a number", Agree, "RFC 7519 §4.1.3", |d, _, _| {
        d.claim("aud", format!("[\"{AUDIENCE}\",1]"));
    }),
    ("aud with another case", Agree, "RFC 7519 §4.1.3", |d, _, _| {
        d.claim("aud", "\"https://API.example.com\"")
    }),
    ("iss missing", Agree, "RFC 9068 §4", |d, _, _| d.claims.retain(|(n, _)| n != "iss")),
    ("iss with a slash", Agree, "RFC 9068 §4", |d, _, _| d.claim("iss", format!("\"{ISSUER}/\""))),
    ("iss as array", RefuseHere, "RFC 7519 §4.1.1", |d, _, _| {
        d.claim("iss", format!("[\"{ISSUER}\"]"))
    }),
    ("iss null", Agree, "RFC 7519 §4.1.1", |d, _, _| d.claim("iss", "null")),
    ("scope as array", RefuseHere, "RFC 9068 §2.2.3", |d, _, _| d.claim("scope", "[\"a\"]")),
    ("cnf", RefuseHere, "RFC 7800 §3.1", |d, _, _| d.claim("cnf", "{\"jkt\":\"x\"}")),
    ("claim twice", RefuseHere, "RFC 7519 §4", |d, _, _| {
        d.claims.push(("jti".into(), "\"2\"".into()))
    }),
    ("unknown claim twice", RefuseHere, "RFC 7519 §4", |d, _, _| {
        d.claims.extend([("z".into(), "1".into()), ("z".into(), "1".into())]);
    }),
    ("too deep", RefuseHere, "a limit of this crate", |d, _, _| {
        d.claim("x", "[".repeat(40) + &"]".repeat(40));
    }),
    ("too many members", RefuseHere, "a limit of this crate", |d, _, _| {
        d.claim("x", format!("[{}0]", "0,".repeat(1_100)));
    }),
    ("typ JWT", RefuseHere, "RFC 9068 §4", |d, _, _| d.head("typ", "\"JWT\"")),
    ("typ missing", RefuseHere, "RFC 9068 §4", |d, _, _| d.header.retain(|(n, _)| n != "typ")),
    ("typ of another kind", RefuseHere, "RFC 8725 §3.12", |d, _, _| d.head("typ", "\"dpop+jwt\"")),
    ("typ with its prefix", Agree, "RFC 7515 §4.1.9", |d, _, _| {
        d.head("typ", "\"application/at+JWT\"")
    }),
    ("alg none", Agree, "RFC 7518 §3.6", |d, _, _| d.head("alg", "\"none\"")),
    ("alg in lower case", Agree, "RFC 7515 §4.1.1", |d, _, _| d.head("alg", "\"es256\"")),
    ("alg HS256", Agree, "RFC 8725 §3.1", |d, _, _| d.head("alg", "\"HS256\"")),
    ("alg missing", Agree, "RFC 7515 §4.1.1", |d, _, _| d.header.retain(|(n, _)| n != "alg")),
    ("alg twice", Agree, "RFC 7515 §4", |d, _, _| {
        let alg = d.header.iter().find(|(n, _)| n == "alg").map(|(_, v)| v.clone());
        d.header.extend(alg.map(|alg| ("alg".to_owned(), alg)));
    }),
    ("unknown header member twice", RefuseHere, "RFC 7515 §4", |d, _, _| {
        d.header.extend([("z".into(), "1".into()), ("z".into(), "1".into())]);
    }),
    ("kid unknown", RefuseHere, "RFC 7515 §4.1.4", |d, _, _| d.head("kid", "\"other\"")),
    ("kid as number", Agree, "RFC 7515 §4.1.4", |d, _, _| d.head("kid", "1")),
    ("kid null", RefuseHere, "RFC 7515 §4.1.4", |d, _, _| d.head("kid", "null")),
    ("kid missing", Agree, "RFC 7515 §4.1.4", |d, _, _| d.header.retain(|(n, _)| n != "kid")),
    ("crit", RefuseHere, "RFC 7515 §4.1.11", |d, _, _| {
        d.head("crit", "[\"x\"]");
        d.head("x", "1");
    }),
    ("crit empty", RefuseHere, "RFC 7515 §4.1.11", |d, _, _| d.head("crit", "[]")),
    ("b64", RefuseHere, "RFC 7797 §7", |d, _, _| d.head("b64", "false")),
    ("nested", RefuseHere, "RFC 7519 §5.2", |d, _, _| d.head("cty", "\"JWT\"")),
];

/// Changes of the finished text. None of them may part the two.
fn damage(token: &str, random: &mut StdRng) -> (&'static str, String) {
    let at = random.random_range(0..token.len());
    let flip = |at: usize| {
        let mut octets = token.as_bytes().to_vec();
        octets[at] = *b"ABCabc012-_".choose(&mut StdRng::seed_from_u64(at as u64)).unwrap();
        String::from_utf8(octets).unwrap()
    };
    match random.random_range(0..7) {
        0 => ("a character replaced", flip(at)),
        1 => ("cut", token[..at].to_owned()),
        2 => ("padded", format!("{token}=")),
        3 => ("a part more", format!("{token}.AAAA")),
        4 => ("without signature", token[..=token.rfind('.').unwrap()].to_owned()),
        5 => ("a dot moved", format!("{}.{}", &token[..at], &token[at..])),
        _ => ("a character doubled", format!("{}{}", &token[..=at], &token[at..])),
    }
}

#[tokio::test]
async fn every_disagreement_is_of_a_named_class() {
    let mut random = StdRng::seed_from_u64(9068);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut worlds = Vec::new();
    for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::PS256] {
        let issuer = TestIssuer::builder().algorithm(algorithm).in_process(ISSUER);
        let only = trusting(&issuer).algorithms([algorithm]);
        let server = builder(only).build().unwrap();
        let set: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
        let jwk: Jwk = serde_json::from_value(set["keys"][0].clone()).unwrap();
        let key = DecodingKey::from_jwk(&jwk).unwrap();
        let mut validation = Validation::new(algorithm.name().parse().unwrap());
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation.validate_nbf = true;
        worlds.push((issuer, server, key, validation));
    }

    let (mut both, mut neither) = (0, 0);
    let mut parted: BTreeMap<&str, usize> = BTreeMap::new();
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
        let mut applied = Vec::new();
        // One token in ten is good; most have one mutation, some have two.
        let mutations = *[0, 1, 1, 1, 1, 1, 1, 1, 2, 2].choose(&mut random).unwrap();
        for _ in 0..mutations {
            let mutation = MUTATIONS.choose(&mut random).unwrap();
            (mutation.3)(&mut draft, &mut random, now);
            applied.push((mutation.0, mutation.1));
        }
        let header = Draft::text(&draft.header);
        let token =
            issuer.token().raw_header(&header).raw_payload(Draft::text(&draft.claims)).sign();
        let token = if mutations == 1 && random.random_ratio(1, 5) {
            let (name, token) = damage(&token, &mut random);
            applied.push((name, Agree));
            token
        } else {
            token
        };

        let (parts, ()) = http::Request::get("/")
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .unwrap()
            .into_parts();
        let here = server.authenticate(&parts).await.is_ok();
        let there = jsonwebtoken::decode::<serde_json::Value>(&token, key, validation).is_ok();
        match (here, there) {
            (true, true) => both += 1,
            (false, false) => neither += 1,
            _ => {
                let side = if here { AcceptHere } else { RefuseHere };
                let class = applied.iter().find(|(_, may)| *may == side);
                let Some((name, _)) = class else {
                    let payload =
                        token.split('.').nth(1).and_then(|p| URL_SAFE_NO_PAD.decode(p).ok());
                    panic!(
                        "{side:?}, and no class explains it: {applied:?} {header} {:?}",
                        payload.map(|payload| String::from_utf8_lossy(&payload).into_owned())
                    );
                };
                *parted.entry(name).or_default() += 1;
            }
        }
    }

    println!("{both} accepted and {neither} refused by both; parted by class:");
    for (name, _, clause, _) in MUTATIONS {
        if let Some(count) = parted.get(name) {
            println!("{count:5}  {name} ({clause})");
        }
    }
    assert!(both > 1_000 && neither > 1_000, "{both} {neither}");
    // A class that parts nothing is no class: the list stays closed.
    for (name, may, ..) in MUTATIONS {
        assert_eq!(*may != Agree, parted.contains_key(name), "{name}");
    }
}
