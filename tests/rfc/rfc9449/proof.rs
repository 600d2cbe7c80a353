//! RFC 9449 §4.3: what is in a proof.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::HeaderValue;
use jsonwebtoken::crypto;
use serde_json::json;
use tower_resource_server::Error;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::{ProofBuilder, TestProver};

use super::*;

const INVALID: &str = "invalid_dpop_proof";

/// A change of a good proof.
type Change = fn(ProofBuilder<'_>) -> ProofBuilder<'_>;

/// Sends each proof. After each refused one, the same request passes with a good proof.
async fn check(rows: &[(&str, Change, bool)]) {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    for (name, change, good) in rows {
        let reply = api.send(request(&world.token, &[&change(world.proof()).sign()])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, INVALID),
        }
        api.send(world.good()).await.assert_ok(name);
    }
}

#[tokio::test]
async fn id_9449_4_3_1_there_is_one_field() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let (one, two) = (world.proof().sign(), world.proof().sign());
    let (comma, space) = (format!("{one},{two}"), format!("{one}, {two}"));
    let (trailing, leading) = (format!("{one},"), format!(", {one}"));
    for (name, lines) in [
        ("two lines", vec![&*one, &*two]),
        ("the same line twice", vec![&one, &one]),
        ("an empty line beside it", vec![&one, ""]),
        ("an empty line before it", vec!["", &one]),
        ("three lines", vec![&one, &two, "x"]),
        ("a comma", vec![&*comma]),
        ("a comma and a space", vec![&*space]),
        ("an empty element behind it", vec![&*trailing]),
        ("an empty element before it", vec![&*leading]),
    ] {
        api.send(request(&world.token, &lines)).await.assert_dpop(name, INVALID);
    }
    // None of these was used.
    for (name, line) in [("one", &one), ("two", &two)] {
        api.send(request(&world.token, &[line])).await.assert_ok(name);
    }
}

#[tokio::test]
async fn id_9449_4_3_2_the_value_is_one_jwt() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let good = world.proof().sign();
    let parts: Vec<_> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{good}") };
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for (name, value) in [
        ("empty", String::new()),
        ("text", "proof".to_owned()),
        ("dots", "..".to_owned()),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{good}.{claims}.{signature}")),
        ("a dot behind it", format!("{good}.")),
        ("a dot before it", format!(".{good}")),
        ("without its signature", format!("{header}.{claims}.")),
        ("its signature cut", good[..good.len() - 4].to_owned()),
        ("padding", format!("{good}==")),
        ("a space before it", format!(" {good}")),
        ("a space behind it", format!("{good} ")),
        ("a space inside", format!("{header}. {claims}.{signature}")),
        ("quotes", format!("\"{good}\"")),
        ("with a scheme", format!("DPoP {good}")),
        ("a parameter behind it", format!("{good};x=1")),
        ("no JSON", format!("{}.{claims}.{signature}", encode("{"))),
        ("claims that are no object", format!("{header}.{}.{signature}", encode("[]"))),
        ("JSON serialization", format!(r#"{{"payload":"{claims}","signature":"{signature}"}}"#)),
        ("the access token", world.token.clone()),
        ("too long", world.proof().claim("x", "x".repeat(4_096)).sign()),
    ] {
        api.send(request(&world.token, &[&value])).await.assert_dpop(name, INVALID);
    }
    let mut obs_text = request(&world.token, &[]);
    let line = [good.as_bytes(), b"\xe9"].concat();
    obs_text.headers_mut().insert("dpop", HeaderValue::from_bytes(&line).unwrap());
    api.send(obs_text).await.assert_dpop("not ASCII", INVALID);
    api.send(request(&world.token, &[&good])).await.assert_ok("whole");
    let long = world.proof().claim("x", "x".repeat(2_048)).sign();
    api.send(request(&world.token, &[&long])).await.assert_ok("long");
}

#[tokio::test]
async fn id_9449_4_3_3_each_member_is_there_and_of_its_type() {
    check(&[
        ("all", |proof| proof, true),
        ("no jti", |proof| proof.without("jti"), false),
        ("no htm", |proof| proof.without("htm"), false),
        ("no htu", |proof| proof.without("htu"), false),
        ("no iat", |proof| proof.without("iat"), false),
        ("no ath", |proof| proof.without("ath"), false),
        ("jti a number", |proof| proof.claim("jti", 1), false),
        ("jti null", |proof| proof.claim("jti", json!(null)), false),
        ("jti an array", |proof| proof.claim("jti", json!(["x"])), false),
        ("htm an array", |proof| proof.claim("htm", json!(["GET"])), false),
        ("htm null", |proof| proof.claim("htm", json!(null)), false),
        ("htu an array", |proof| proof.claim("htu", json!([URL])), false),
        ("htu null", |proof| proof.claim("htu", json!(null)), false),
        ("htu a boolean", |proof| proof.claim("htu", true), false),
        ("iat a text", |proof| proof.claim("iat", "1764204000"), false),
        ("iat null", |proof| proof.claim("iat", json!(null)), false),
        ("iat a boolean", |proof| proof.claim("iat", true), false),
        ("iat an array", |proof| proof.claim("iat", json!([1])), false),
        ("iat negative", |proof| proof.claim("iat", -1), false),
        ("iat zero", |proof| proof.claim("iat", 0), false),
        ("iat endless", |proof| proof.claim("iat", 1e300), false),
        ("iat beyond 64 bits", |proof| proof.claim("iat", 1.9e19), false),
        ("iat in milliseconds", |proof| proof.claim("iat", 1_764_204_000_000_u64), false),
        ("ath a number", |proof| proof.claim("ath", 1), false),
        ("ath null", |proof| proof.claim("ath", json!(null)), false),
        ("nonce a number", |proof| proof.claim("nonce", 1), false),
        ("nonce null", |proof| proof.claim("nonce", json!(null)), false),
        ("an unasked nonce", |proof| proof.nonce("eyJ7S_zG.eyJH0-Z.HX4w-7v"), true),
        ("exp in the past", |proof| proof.claim("exp", 1), true),
        ("unknown members", |proof| proof.claim("x", json!({ "a": [1] })).claim("y", 1), true),
    ])
    .await;
}

/// Proofs whose text is made by hand.
#[tokio::test]
async fn id_9449_4_3_3_a_member_stands_once() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let pair = rcgen::KeyPair::generate().unwrap();
    let private = jsonwebtoken::EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let point = pair.public_key_raw();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
    let jkt = tower_resource_server::keys::jwk_thumbprint(&jwk).unwrap();
    let token = world.issuer.token().claim("cnf", json!({ "jkt": jkt })).sign();
    let ath = URL_SAFE_NO_PAD.encode(sha256(&token));
    let iat = world.clock.wall().as_secs();
    let header = format!(r#""typ":"dpop+jwt","alg":"ES256","jwk":{jwk}"#);
    let claims =
        |jti: &str| format!(r#""jti":"{jti}","htm":"GET","htu":"{URL}","iat":{iat},"ath":"{ath}""#);
    let twice = jwk.replacen('{', &format!(r#"{{"x":"{x}","#), 1);
    let (own, more) = (header.clone(), |text: &str| format!("{header},{text}"));
    for (name, header, claims, good) in [
        ("as it is", own.clone(), claims("1"), true),
        ("with white space", format!(" {own} "), format!("\n{}\t", claims("2")), true),
        ("typ twice", more(r#""typ":"dpop+jwt""#), claims("3"), false),
        ("alg twice", more(r#""alg":"ES256""#), claims("4"), false),
        ("jwk twice", more(&format!(r#""jwk":{jwk}"#)), claims("5"), false),
        ("x twice in jwk", own.replace(&jwk, &twice), claims("6"), false),
        ("htm twice", own.clone(), format!(r#"{},"htm":"GET""#, claims("7")), false),
        ("htu twice", own.clone(), format!(r#"{},"htu":"{URL}""#, claims("8")), false),
        ("jti twice", own.clone(), format!(r#"{},"jti":"9""#, claims("9")), false),
        ("iat twice", own.clone(), format!(r#"{},"iat":{iat}"#, claims("10")), false),
        ("ath by escapes", own.clone(), format!(r#"{},"\u0061th":"x""#, claims("11")), false),
        ("crit", more(r#""crit":["jwk"]"#), claims("12"), false),
        ("b64", more(r#""b64":false"#), claims("13"), false),
        ("a member of JWE", more(r#""zip":"DEF""#), claims("14"), true),
        ("another member", more(r#""kid":"x","x5u":"https://x.example""#), claims("15"), true),
        ("a byte order mark", own.clone(), format!("BOM{}", claims("16")), false),
    ] {
        let object = |text: String| match text.strip_prefix("BOM") {
            Some(text) => URL_SAFE_NO_PAD.encode(format!("\u{feff}{{{text}}}")),
            None => URL_SAFE_NO_PAD.encode(format!("{{{text}}}")),
        };
        let input = format!("{}.{}", object(header), object(claims));
        let algorithm = jsonwebtoken::Algorithm::ES256;
        let signature = crypto::sign(input.as_bytes(), &private, algorithm).unwrap();
        let reply = api.send(request(&token, &[&format!("{input}.{signature}")])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, INVALID),
        }
    }
}

#[tokio::test]
async fn id_9449_4_3_4_typ_is_dpop_jwt() {
    check(&[
        ("dpop+jwt", |proof| proof.header("typ", "dpop+jwt"), true),
        ("in another case", |proof| proof.header("typ", "DPoP+JWT"), true),
        ("with its prefix", |proof| proof.header("typ", "application/dpop+jwt"), true),
        ("absent", |proof| proof.without_header("typ"), false),
        ("JWT", |proof| proof.header("typ", "JWT"), false),
        ("an access token", |proof| proof.header("typ", "at+jwt"), false),
        ("dpop", |proof| proof.header("typ", "dpop"), false),
        ("a space behind it", |proof| proof.header("typ", "dpop+jwt "), false),
        ("another prefix", |proof| proof.header("typ", "text/dpop+jwt"), false),
        ("empty", |proof| proof.header("typ", ""), false),
        ("null", |proof| proof.header("typ", json!(null)), false),
        ("a list", |proof| proof.header("typ", json!(["dpop+jwt"])), false),
    ])
    .await;
}

#[tokio::test]
async fn id_9449_4_3_5_alg_is_asymmetric_and_accepted() {
    check(&[
        ("ES256", |proof| proof.header("alg", "ES256"), true),
        ("none", |proof| proof.header("alg", "none"), false),
        ("None", |proof| proof.header("alg", "None"), false),
        ("absent", |proof| proof.without_header("alg"), false),
        ("null", |proof| proof.header("alg", json!(null)), false),
        ("in another case", |proof| proof.header("alg", "es256"), false),
        ("HS256", |proof| proof.header("alg", "HS256"), false),
        ("of another curve", |proof| proof.header("alg", "ES384"), false),
        ("of another kind of key", |proof| proof.header("alg", "RS256"), false),
        ("for encryption", |proof| proof.header("alg", "ECDH-ES"), false),
        ("unknown", |proof| proof.header("alg", "XS256"), false),
    ])
    .await;

    let world = World::new();
    let all = api(world.server(optional()).layer());
    let only = |algorithm| api(world.server(optional().algorithms([algorithm])).layer());
    // `none` without a signature.
    let unsigned = world.proof().header("alg", "none").sign();
    let unsigned = unsigned.rsplit_once('.').map(|(input, _)| format!("{input}.")).unwrap();
    all.send(request(&world.token, &[&unsigned])).await.assert_dpop("unsigned", INVALID);
    for algorithm in [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::Ed25519,
    ] {
        let name = &algorithm.to_string();
        let client = TestProver::generate(algorithm).clock(world.clock.clone());
        let token = world.issuer.token().bound_to_key(&client).sign();
        let proof = || client.proof("GET", URL).token(&token).sign();
        all.send(request(&token, &[&proof()])).await.assert_ok(name);
        only(algorithm).send(request(&token, &[&proof()])).await.assert_ok(name);
        let other = match algorithm {
            Algorithm::ES256 => Algorithm::ES384,
            _ => Algorithm::ES256,
        };
        let reply = only(other).send(request(&token, &[&proof()])).await;
        reply.assert_dpop(name, INVALID);
        let challenge = reply.challenges.iter().find(|one| one.scheme == "DPoP").unwrap();
        assert_eq!(challenge.param("algs"), Some(other.name()), "{name}");
    }
    // The older name of the algorithm (RFC 9864 §2.2).
    let client = TestProver::generate(Algorithm::Ed25519).clock(world.clock.clone());
    let token = world.issuer.token().bound_to_key(&client).sign();
    let proof = client.proof("GET", URL).token(&token).header("alg", "EdDSA").sign();
    all.send(request(&token, &[&proof])).await.assert_ok("EdDSA");
    // A secret is no key that a client could prove, whatever its thumbprint.
    let client = TestProver::generate(Algorithm::HS256).clock(world.clock.clone());
    for jwk in [client.jwk(), world.client.jwk()] {
        let proof = client.proof("GET", URL).token(&world.token).header("jwk", jwk).sign();
        all.send(request(&world.token, &[&proof])).await.assert_dpop("HS256, oct", INVALID);
    }
    all.send(world.good()).await.assert_ok("ES256");
}

#[tokio::test]
async fn id_9449_4_3_6_the_signature_is_that_of_the_key_in_the_header() {
    check(&[
        ("no jwk", |proof| proof.without_header("jwk"), false),
        ("kid instead", |proof| proof.without_header("jwk").header("kid", "1"), false),
        ("jku instead", |proof| proof.without_header("jwk").header("jku", URL), false),
        ("a text", |proof| proof.header("jwk", "x"), false),
        ("null", |proof| proof.header("jwk", json!(null)), false),
        ("a set", |proof| proof.header("jwk", json!({ "keys": [] })), false),
        ("empty", |proof| proof.header("jwk", json!({})), false),
        ("kid beside it", |proof| proof.header("kid", "1"), true),
    ])
    .await;
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let jwk = world.client.jwk();
    let without = |name: &str| {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().remove(name);
        jwk
    };
    let changed = |name: &str, value: serde_json::Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let other = world.another();
    let text = |name: &str| jwk[name].as_str().unwrap().to_owned();
    for (name, jwk, good) in [
        ("its own", jwk.clone(), true),
        ("with more members", changed("use", json!("sig")), true),
        ("another's", other.jwk(), false),
        ("no kty", without("kty"), false),
        ("no crv", without("crv"), false),
        ("no x", without("x"), false),
        ("no y", without("y"), false),
        ("another curve", changed("crv", json!("P-384")), false),
        ("off the curve", changed("y", json!(text("x"))), false),
        ("padded", changed("x", json!(format!("{}=", text("x")))), false),
        ("an array", changed("x", json!([text("x")])), false),
    ] {
        let proof = world.proof().header("jwk", jwk).sign();
        let reply = api.send(request(&world.token, &[&proof])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, INVALID),
        }
    }
    // Signed by another, in the name of the client's key.
    let forged = other.proof("GET", URL).token(&world.token).header("jwk", jwk).sign();
    api.send(request(&world.token, &[&forged])).await.assert_dpop("forged", INVALID);
    // Each part is signed.
    let (one, two) = (world.proof().sign(), world.proof().sign());
    let (input, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = two.rsplit_once('.').unwrap();
    let mixed = format!("{input}.{signature}");
    api.send(request(&world.token, &[&mixed])).await.assert_dpop("of another proof", INVALID);
    api.send(request(&world.token, &[&one])).await.assert_ok("its own signature");
}

#[tokio::test]
async fn id_9449_4_3_7_the_key_in_the_header_is_public() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for value in [json!("AQAB"), json!(null)] {
            let mut jwk = world.client.jwk();
            jwk[name] = value;
            let proof = world.proof().header("jwk", jwk).sign();
            api.send(request(&world.token, &[&proof])).await.assert_dpop(name, INVALID);
        }
    }
    let oct = json!({ "kty": "oct", "k": "c2VjcmV0" });
    let proof = world.proof().header("jwk", oct).sign();
    api.send(request(&world.token, &[&proof])).await.assert_dpop("oct", INVALID);
    api.send(world.good()).await.assert_ok("public");
}

#[tokio::test]
async fn id_9449_4_3_14_ath_is_the_hash_of_the_token() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let other = world.issuer.token().bound_to_key(&world.client).sign();
    let hash = sha256(&world.token);
    let hex: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
    let upper = world.token.to_uppercase();
    for (name, ath, good) in [
        ("its own", URL_SAFE_NO_PAD.encode(hash), true),
        ("of another token", URL_SAFE_NO_PAD.encode(sha256(&other)), false),
        (
            "with the scheme",
            URL_SAFE_NO_PAD.encode(sha256(&format!("DPoP {}", world.token))),
            false,
        ),
        ("in another case", URL_SAFE_NO_PAD.encode(sha256(&upper)), false),
        ("in hex", hex.clone(), false),
        ("hex in base64url", URL_SAFE_NO_PAD.encode(&hex), false),
        ("padded", URL_SAFE.encode(hash), false),
        ("cut", URL_SAFE_NO_PAD.encode(&hash[..16]), false),
        ("longer", URL_SAFE_NO_PAD.encode([&hash[..], &[0]].concat()), false),
        ("empty", String::new(), false),
        ("the token itself", world.token.clone(), false),
    ] {
        let proof = world.client.proof("GET", URL).claim("ath", ath).sign();
        let reply = api.send(request(&world.token, &[&proof])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, INVALID),
        }
    }
    // The other alphabet, for a token whose hash has one of the four characters.
    let standard = (0..).find_map(|_| {
        let token = world.issuer.token().bound_to_key(&world.client).sign();
        let ath = STANDARD_NO_PAD.encode(sha256(&token));
        ath.contains(['+', '/']).then_some((token, ath))
    });
    let (token, ath) = standard.unwrap();
    let proof = world.client.proof("GET", URL).claim("ath", ath).sign();
    api.send(request(&token, &[&proof])).await.assert_dpop("the other alphabet", INVALID);
    // A proof for another token of the same client.
    let proof = world.client.proof("GET", URL).token(&other).sign();
    api.send(request(&world.token, &[&proof])).await.assert_dpop("for another token", INVALID);
    api.send(request(&other, &[&proof])).await.assert_ok("with its own token");
}

fn sha256(text: &str) -> [u8; 32] {
    use aws_lc_rs::digest::{SHA256, digest};
    digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap()
}

#[tokio::test]
async fn id_9449_4_3_15_the_key_is_the_one_that_the_token_is_bound_to() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let other = world.another();
    let proof = other.proof("GET", URL).token(&world.token).sign();
    let reply = api.send(request(&world.token, &[&proof])).await;
    reply.assert_dpop("another key", "invalid_token");
    assert_eq!(reply.error, Some(Error::ForeignProofKey));
    // The other key's own token.
    let token = world.issuer.token().bound_to_key(&other).sign();
    let proof = other.proof("GET", URL).token(&token).sign();
    api.send(request(&token, &[&proof])).await.assert_ok("its own token");
    api.send(world.good()).await.assert_ok("its own key");
}

/// The layer caches the headers of verified proofs, with their keys.
#[tokio::test]
async fn id_9449_4_3_7_a_cached_key_verifies_its_own_proofs_only() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let other = world.another();
    let other_token = world.issuer.token().bound_to_key(&other).sign();
    let other_proof = || other.proof("GET", URL).token(&world.token).sign();
    let parts = |proof: String| -> [String; 3] {
        let parts: Vec<_> = proof.split('.').map(str::to_owned).collect();
        parts.try_into().unwrap()
    };
    // From the second round on, the headers of both clients are cached.
    for round in ["not cached", "cached", "still cached"] {
        let [header, claims, signature] = parts(world.proof().sign());
        let [_, more_claims, more_signature] = parts(world.proof().sign());
        let [other_header, other_claims, other_signature] = parts(other_proof());
        for (name, proof) in [
            ("claims and signature of another", [&header, &other_claims, &other_signature]),
            ("signature of another", [&header, &claims, &other_signature]),
            ("header of another", [&other_header, &claims, &signature]),
            ("signature of another proof", [&header, &claims, &more_signature]),
            ("claims of another proof", [&header, &more_claims, &signature]),
        ] {
            let proof = proof.map(String::as_str).join(".");
            let reply = api.send(request(&world.token, &[&proof])).await;
            reply.assert_dpop(&format!("{name}, {round}"), INVALID);
        }
        // Good proofs, each of the key that the other token is bound to.
        let stolen = world.client.proof("GET", URL).token(&other_token).sign();
        for (token, proof) in [(&world.token, other_proof()), (&other_token, stolen)] {
            let reply = api.send(request(token, &[&proof])).await;
            reply.assert_dpop(round, "invalid_token");
            assert_eq!(reply.error, Some(Error::ForeignProofKey));
        }
        api.send(world.good()).await.assert_ok(round);
        let own = other.proof("GET", URL).token(&other_token).sign();
        api.send(request(&other_token, &[&own])).await.assert_ok(round);
    }
}
