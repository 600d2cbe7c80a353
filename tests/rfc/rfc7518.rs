//! RFC 7518, JSON Web Algorithms; RFC 8037 and RFC 9864 (Edwards curves); RFC 9964 (ML-DSA).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tower_resource_server::Issuer;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::TestIssuer;

use crate::support::*;
use crate::vectors;

fn issuer_of(algorithm: Algorithm) -> TestIssuer {
    TestIssuer::builder().algorithm(algorithm).in_process(ISSUER)
}

/// The token with another signature.
fn resigned(token: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = change(URL_SAFE_NO_PAD.decode(signature).unwrap());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn first_key(issuer: &TestIssuer) -> Value {
    let mut set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    set["keys"][0].take()
}

async fn reply_with(keys: Value, token: &str) -> Reply {
    let trusted = Issuer::new(ISSUER).jwks(json!({ "keys": keys }).to_string());
    api(builder(trusted).build().unwrap().layer()).bearer(token).await
}

#[tokio::test]
async fn every_algorithm_verifies_and_a_changed_signature_does_not() {
    for algorithm in Algorithm::ALL.iter().copied() {
        let issuer = issuer_of(algorithm);
        let trusted = match issuer.secret() {
            Some(secret) => Issuer::new(ISSUER).secret(secret, algorithm),
            None => trusting(&issuer).algorithms([algorithm]),
        };
        let api = api(builder(trusted).build().unwrap().layer());
        let token = issuer.token().sign();
        api.bearer(&token).await.assert_ok(algorithm.name());
        let flipped = resigned(&token, |mut signature| {
            signature[7] ^= 1;
            signature
        });
        api.bearer(&flipped).await.assert_invalid_token(algorithm.name());
    }
}

#[tokio::test]
async fn a_pem_key_verifies_as_its_jwk_does() {
    for algorithm in Algorithm::ALL.iter().copied().filter(|algorithm| !algorithm.is_hmac()) {
        let issuer = issuer_of(algorithm);
        let pem = issuer.public_key_pem().unwrap();
        let trusted = Issuer::new(ISSUER).pem(pem).algorithms([algorithm]);
        let api = api(builder(trusted).build().unwrap().layer());
        api.bearer(&issuer.token().sign()).await.assert_ok(algorithm.name());
        let stranger = issuer_of(algorithm);
        api.bearer(&stranger.token().sign()).await.assert_invalid_token(algorithm.name());
    }
    let bad = builder(Issuer::new(ISSUER).pem("-----BEGIN NOTHING-----")).build();
    assert!(bad.is_err());
    let pem = issuer().public_key_pem().unwrap();
    assert!(builder(Issuer::new(ISSUER).pem(format!("{pem}{pem}"))).build().is_err(), "two keys");
}

/// One DER value.
fn tlv(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let length = (contents.len() as u16).to_be_bytes();
    let length: &[u8] = match contents.len() {
        0..0x80 => &length[1..],
        0x80..0x100 => &[0x81, length[1]],
        _ => &[0x82, length[0], length[1]],
    };
    [&[tag], length, &contents].concat()
}

/// A certificate around a public key, whose signature is nobody's.
fn certificate(spki: &[u8]) -> Vec<u8> {
    // ecdsa-with-SHA256
    let algorithm = tlv(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]]);
    let name = tlv(0x30, &[]);
    let time = |text: &str| tlv(0x17, &[text.as_bytes()]);
    let validity = tlv(0x30, &[&time("200101000000Z"), &time("210101000000Z")]);
    let version_3 = [0xa0, 3, 2, 1, 2];
    let serial = [2, 1, 1];
    let fields: [&[u8]; 7] = [&version_3, &serial, &algorithm, &name, &validity, &name, spki];
    tlv(0x30, &[&tlv(0x30, &fields), &algorithm, &tlv(3, &[&[0, 1]])])
}

#[tokio::test]
async fn a_certificate_is_taken_for_its_key() {
    use base64::engine::general_purpose::STANDARD;
    for algorithm in Algorithm::ALL.iter().copied().filter(|algorithm| !algorithm.is_hmac()) {
        let issuer = issuer_of(algorithm);
        let pem = issuer.public_key_pem().unwrap();
        let spki: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let spki = STANDARD.decode(spki).unwrap();
        let certificate = certificate(&spki);
        let text = STANDARD.encode(&certificate);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        for (name, trusted) in [
            ("certificate, PEM", Issuer::new(ISSUER).pem(pem)),
            ("certificate, DER", Issuer::new(ISSUER).der(certificate.clone())),
            ("key, DER", Issuer::new(ISSUER).der(spki)),
        ] {
            let api = api(builder(trusted.algorithms([algorithm])).build().unwrap().layer());
            api.bearer(&issuer.token().sign()).await.assert_ok(name);
            let stranger = issuer_of(algorithm);
            api.bearer(&stranger.token().sign()).await.assert_invalid_token(name);
        }
        let cut = &certificate[..certificate.len() - 1];
        assert!(builder(Issuer::new(ISSUER).der(cut)).build().is_err(), "{algorithm}: cut");
    }
}

/// The text in lines of 64 characters, as MIME and PEM have it.
fn in_lines(text: &str, end: &str) -> String {
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
    lines.map(|line| format!("{line}{end}")).collect()
}

/// A key that is in `x5c` alone is read from the certificate.
#[tokio::test]
async fn a_key_in_x5c_alone_is_taken_from_the_certificate() {
    use base64::engine::general_purpose::STANDARD;
    for algorithm in Algorithm::ALL.iter().copied().filter(|algorithm| !algorithm.is_hmac()) {
        let issuer = issuer_of(algorithm);
        let pem = issuer.public_key_pem().unwrap();
        let spki: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = certificate(&STANDARD.decode(spki).unwrap());
        let own = first_key(&issuer);
        let x5c =
            |text: String| json!({ "kid": own["kid"], "x5c": [text, "the chain is not read"] });
        let with = |name: &str, value: Value| {
            let mut key = x5c(STANDARD.encode(&der));
            key[name] = value;
            key
        };
        let foreign = if own["kty"] == "RSA" { "EC" } else { "RSA" };
        let rows = [
            ("alone", x5c(STANDARD.encode(&der)), true),
            ("without padding", x5c(STANDARD.encode(&der).trim_end_matches('=').into()), true),
            ("base64url", x5c(URL_SAFE_NO_PAD.encode(&der)), true),
            ("in lines", x5c(in_lines(&STANDARD.encode(&der), "\r\n")), true),
            ("in lines of another character", x5c(in_lines(&STANDARD.encode(&der), "*")), false),
            ("its kty", with("kty", own["kty"].clone()), true),
            ("its alg", with("alg", json!(algorithm.name())), true),
            ("use", with("use", json!("sig")), true),
            ("null beside it", with("n", json!(null)), true),
            ("another kty", with("kty", json!(foreign)), false),
            ("oct", with("kty", json!("oct")), false),
            ("another crv", with("crv", json!("X25519")), false),
            ("another alg", with("alg", json!("HS256")), false),
            ("use enc", with("use", json!("enc")), false),
            ("private", with("d", json!("AQAB")), false),
            ("an own member beside it", with("e", json!("AQAB")), false),
            ("cut", x5c(STANDARD.encode(&der[..der.len() - 1])), false),
            ("more behind it", x5c(STANDARD.encode([der.as_slice(), &[0]].concat())), false),
            ("not base64", x5c("-----BEGIN CERTIFICATE-----".into()), false),
            ("empty", json!({ "kid": own["kid"], "x5c": [] }), false),
            ("a text", json!({ "kid": own["kid"], "x5c": STANDARD.encode(&der) }), false),
            ("a number", json!({ "kid": own["kid"], "x5c": [1] }), false),
        ];
        let mut other = first_key(&issuer_of(algorithm));
        other["kid"] = json!("other");
        for (name, key, good) in rows {
            let set = json!({ "keys": [key, other] }).to_string();
            let trusted = Issuer::new(ISSUER).jwks(set).algorithms([algorithm]);
            let api = api(builder(trusted).build().unwrap().layer());
            let reply = api.bearer(&issuer.token().sign()).await;
            let name = format!("{algorithm}: {name}");
            if good {
                reply.assert_ok(&name)
            } else {
                reply.assert_invalid_token(&name)
            }
            let stranger = issuer_of(algorithm);
            api.bearer(&stranger.token().sign()).await.assert_invalid_token(&name);
        }
    }
}

/// However the numbers of an RSA key are written, they are the same; what is no number is refused.
#[tokio::test]
async fn an_rsa_key_is_the_same_however_its_numbers_are_written() {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    let issuer = issuer_of(Algorithm::RS256);
    let token = issuer.token().sign();
    let own = first_key(&issuer);
    let mut other = first_key(&issuer_of(Algorithm::RS256));
    other["kid"] = json!("other");
    for (member, first) in [("n", [0_u8].as_slice()), ("e", &[0])] {
        let number = URL_SAFE_NO_PAD.decode(own[member].as_str().unwrap()).unwrap();
        let zero = [first, &number].concat();
        let text = own[member].as_str().unwrap();
        let mut rows = vec![
            ("as published", text.to_owned(), true),
            ("padded", URL_SAFE.encode(&number), true),
            ("the other alphabet", STANDARD_NO_PAD.encode(&number), true),
            ("the other alphabet, padded", STANDARD.encode(&number), true),
            ("one zero octet before it", URL_SAFE_NO_PAD.encode(&zero), true),
            ("and the other alphabet", STANDARD.encode(&zero), true),
            ("two zero octets", URL_SAFE_NO_PAD.encode([&[0], zero.as_slice()].concat()), false),
            ("a zero octet behind it", URL_SAFE_NO_PAD.encode([&number, first].concat()), false),
            ("an octet less", URL_SAFE_NO_PAD.encode(&number[1..]), false),
            ("nothing", String::new(), false),
            ("zero alone", "AA".to_owned(), false),
            ("a blank in it", format!("{} {}", &text[..2], &text[2..]), false),
            ("a line feed behind it", format!("{text}\n"), false),
            ("too much padding", format!("{text}====="), false),
            ("hexadecimal", "0x".to_owned() + &text.to_lowercase(), false),
        ];
        if member == "n" {
            // Both alphabets in one text.
            rows.push(("both alphabets", format!("-/{}", &text[2..]), false));
        }
        for (name, text, good) in rows {
            let mut key = own.clone();
            key[member] = json!(text);
            let reply = reply_with(json!([key, other]), &token).await;
            let name = format!("{member}: {name}");
            if good { reply.assert_ok(&name) } else { reply.assert_invalid_token(&name) }
        }
    }
}

#[tokio::test]
async fn id_7518_3_2_1_a_secret_is_as_long_as_the_hash() {
    for (algorithm, length) in
        [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
    {
        let built = |length| {
            let secret: Vec<u8> = vec![7; length];
            builder(Issuer::new(ISSUER).secret(secret, algorithm)).build()
        };
        assert!(built(length - 1).is_err(), "{algorithm}");
        assert!(built(length).is_ok(), "{algorithm}");
    }
}

fn published(kid: &str, n: &str) -> Value {
    json!({ "kty": "RSA", "kid": kid, "n": n, "e": "AQAB" })
}

fn published_token(header: &str, signature: &str) -> String {
    format!("{header}.{}.{signature}", vectors::CLAIMS)
}

#[tokio::test]
async fn id_7518_3_3_1_rsa_keys_have_2048_bits_or_more() {
    let [header, signature] = vectors::RS256_BY_1024;
    let short = published_token(header, signature);
    // The signature is a good one, so that the length of its key is all that can refuse it.
    let (n, input) = (URL_SAFE_NO_PAD.decode(vectors::RSA_1024).unwrap(), short.rsplit_once('.'));
    let key = aws_lc_rs::rsa::PublicKeyComponents { n: n.as_slice(), e: &[1, 0, 1][..] };
    let legacy = &aws_lc_rs::signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
    let octets = URL_SAFE_NO_PAD.decode(signature).unwrap();
    key.verify(legacy, input.unwrap().0.as_bytes(), &octets).unwrap();

    let keys =
        json!([published("rsa-1024", vectors::RSA_1024), published("rsa-2048", vectors::RSA_2048)]);
    reply_with(keys.clone(), &short).await.assert_invalid_token("1024 bits");
    let [header, signature] = vectors::RS256_BY_2048;
    reply_with(keys, &published_token(header, signature)).await.assert_ok("2048 bits");
}

#[tokio::test]
async fn id_7518_3_5_1_the_salt_and_the_mask_of_pss_go_with_the_hash() {
    let keys = json!([published("rsa-2048", vectors::RSA_2048)]);
    let token = |signature| published_token(vectors::PS256_HEADER, signature);
    for (name, signature) in [
        ("no salt", vectors::PS256_NO_SALT),
        ("a salt of 20 octets", vectors::PS256_SHORT_SALT),
        ("MGF1 with SHA-1", vectors::PS256_OTHER_MASK),
    ] {
        reply_with(keys.clone(), &token(signature)).await.assert_invalid_token(name);
    }
    reply_with(keys, &token(vectors::PS256)).await.assert_ok("a salt of 32 octets");
}

#[tokio::test]
async fn id_7518_3_4_1_ecdsa_signatures_have_a_fixed_length() {
    for (algorithm, length) in
        [(Algorithm::ES256, 64), (Algorithm::ES384, 96), (Algorithm::ES512, 132)]
    {
        let issuer = issuer_of(algorithm);
        let api = api(server(&issuer).layer());
        let token = issuer.token().sign();
        type Change = fn(Vec<u8>) -> Vec<u8>;
        let changes: [(&str, Change); 4] = [
            ("one less", |signature| signature[1..].to_vec()),
            ("one more", |signature| [&[0], signature.as_slice()].concat()),
            ("junk behind", |signature| [signature.as_slice(), &[0; 8]].concat()),
            ("DER", der),
        ];
        for (name, change) in changes {
            let reply = api.bearer(&resigned(&token, change)).await;
            reply.assert_invalid_token(&format!("{algorithm}, {name}"));
        }
        let same = resigned(&token, |signature| {
            assert_eq!(signature.len(), length);
            signature
        });
        api.bearer(&same).await.assert_ok(algorithm.name());
    }
}

/// The signature as an ASN.1 SEQUENCE of two INTEGERs, as TLS has it.
fn der(signature: Vec<u8>) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let mut number = number[zeros..].to_vec();
        if number[0] & 0x80 != 0 {
            number.insert(0, 0);
        }
        [&[2, number.len() as u8], number.as_slice()].concat()
    };
    let body = [integer(r), integer(s)].concat();
    let length =
        if body.len() < 128 { vec![body.len() as u8] } else { vec![0x81, body.len() as u8] };
    [&[0x30], length.as_slice(), &body].concat()
}

#[tokio::test]
async fn id_7518_3_4_2_a_curve_goes_with_its_hash() {
    for (own, others) in [
        (Algorithm::ES256, ["ES384", "ES512"]),
        (Algorithm::ES384, ["ES256", "ES512"]),
        (Algorithm::ES512, ["ES256", "ES384"]),
    ] {
        let issuer = issuer_of(own);
        let other = first_key(&issuer_of(Algorithm::Ed25519));
        let open = {
            let mut key = first_key(&issuer);
            key.as_object_mut().unwrap().remove("alg");
            key
        };
        let good = issuer.token().sign();
        for alg in others {
            let token = issuer.token().header("alg", alg).sign();
            let name = format!("a key of {own}, a token of {alg}");
            reply_with(json!([open]), &token).await.assert_invalid_token(&name);
            let mut wrong = open.clone();
            wrong["alg"] = json!(alg);
            let name = format!("a key of {own} that calls itself one of {alg}");
            reply_with(json!([wrong, other]), &token).await.assert_invalid_token(&name);
            reply_with(json!([wrong, other]), &good).await.assert_invalid_token(&name);
        }
        reply_with(json!([open]), &good).await.assert_ok(own.name());
    }
}

#[tokio::test]
async fn id_7518_3_4_3_r_and_s_are_in_range() {
    let issuer = issuer_of(Algorithm::ES256);
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    // SEC 2 §2.4.2: the order of the group of P-256.
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (none, most) = ([0; 32], [0xff; 32]);
    type Part<'a> = Option<&'a [u8; 32]>;
    let cases: [(&str, Part<'_>, Part<'_>); 8] = [
        ("both 0", Some(&none), Some(&none)),
        ("r 0", Some(&none), None),
        ("s 0", None, Some(&none)),
        ("both of all ones", Some(&most), Some(&most)),
        ("r the order", Some(&order), None),
        ("s the order", None, Some(&order)),
        ("r the order, s 0", Some(&order), Some(&none)),
        ("both the order", Some(&order), Some(&order)),
    ];
    for (name, r, s) in cases {
        let other = resigned(&token, |signature| {
            let (own_r, own_s) = signature.split_at(32);
            [r.map_or(own_r, |r| r), s.map_or(own_s, |s| s)].concat()
        });
        api.bearer(&other).await.assert_invalid_token(name);
    }
    api.bearer(&token).await.assert_ok("in range");
}

#[tokio::test]
async fn id_7518_3_6_1_unsecured_tokens_are_refused() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for alg in ["none", "None", "NONE", "nOnE"] {
        let token = issuer.token().header("alg", alg).sign();
        api.bearer(&token).await.assert_invalid_token("with a signature");
        api.bearer(&resigned(&token, |_| Vec::new())).await.assert_invalid_token("without");
    }
    api.bearer(&issuer.token().sign()).await.assert_ok("signed");
}

#[tokio::test]
async fn id_7518_6_2_1_1_coordinates_have_the_length_of_the_curve() {
    let issuer = issuer();
    let token = issuer.token().sign();
    let key = first_key(&issuer);
    let other = {
        let mut other = first_key(&crate::support::issuer());
        other["kid"] = json!("other");
        other
    };
    let x = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    for (name, x) in [
        ("31 octets", x[1..].to_vec()),
        ("33 octets", [&[0], x.as_slice()].concat()),
        ("off the curve", x.iter().map(|byte| byte ^ 1).collect()),
    ] {
        let mut bad = key.clone();
        bad["x"] = json!(URL_SAFE_NO_PAD.encode(x));
        reply_with(json!([bad, other]), &token).await.assert_invalid_token(name);
    }
    let y = URL_SAFE_NO_PAD.decode(key["y"].as_str().unwrap()).unwrap();
    for (name, y) in
        [("31 octets of y", &y[1..]), ("33 octets of y", &[&[0], y.as_slice()].concat())]
    {
        let mut bad = key.clone();
        bad["y"] = json!(URL_SAFE_NO_PAD.encode(y));
        reply_with(json!([bad, other]), &token).await.assert_invalid_token(name);
    }
    reply_with(json!([key, other]), &token).await.assert_ok("32 octets");
}

/// The octets are the same in either alphabet of base64, padded or not. As octets they count to the
/// last one.
#[tokio::test]
async fn members_of_a_key_are_read_in_either_base64() {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    let other = first_key(&issuer_of(Algorithm::ES256));
    for (algorithm, names) in [
        (Algorithm::ES256, &["x", "y"][..]),
        (Algorithm::ES512, &["x", "y"]),
        (Algorithm::Ed25519, &["x"]),
        (Algorithm::MlDsa44, &["pub"]),
        (Algorithm::RS256, &["n", "e"]),
    ] {
        let issuer = issuer_of(algorithm);
        let (token, key) = (issuer.token().sign(), first_key(&issuer));
        for name in names {
            let octets = URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
            for (form, text, good) in [
                ("as RFC 7518 has it", URL_SAFE_NO_PAD.encode(&octets), true),
                ("padded", URL_SAFE.encode(&octets), true),
                ("the other alphabet", STANDARD_NO_PAD.encode(&octets), true),
                ("the other alphabet, padded", STANDARD.encode(&octets), true),
                ("one octet more", STANDARD.encode([octets.as_slice(), &[1]].concat()), false),
                ("a blank", format!(" {}", URL_SAFE_NO_PAD.encode(&octets)), false),
            ] {
                let mut written = key.clone();
                written[name] = json!(text);
                let set = json!({ "keys": [written, other] }).to_string();
                let trusted = Issuer::new(ISSUER).jwks(set).algorithms([algorithm, ALSO]);
                let server = builder(trusted).build().unwrap();
                let reply = api(server.layer()).bearer(&token).await;
                let name = format!("{algorithm:?}, {name}, {form}");
                if good { reply.assert_ok(&name) } else { reply.assert_invalid_token(&name) }
            }
        }
    }
    /// That of the key beside it.
    const ALSO: Algorithm = Algorithm::ES256;
}

#[tokio::test]
async fn id_8037_2_1_an_ed25519_key_has_32_octets() {
    let issuer = issuer_of(Algorithm::Ed25519);
    let token = issuer.token().sign();
    let key = first_key(&issuer);
    let other = first_key(&issuer_of(Algorithm::ES256));
    let x = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    for (name, x) in [
        ("31", x[1..].to_vec()),
        ("33", [x.as_slice(), &[0]].concat()),
        ("small order", vec![0; 32]),
    ] {
        let mut bad = key.clone();
        bad["x"] = json!(URL_SAFE_NO_PAD.encode(x));
        reply_with(json!([bad, other]), &token).await.assert_invalid_token(name);
    }
    reply_with(json!([key, other]), &token).await.assert_ok("32");
}

#[tokio::test]
async fn an_ed25519_key_is_a_point_of_the_curve() {
    let issuer = issuer_of(Algorithm::Ed25519);
    let token = issuer.token().sign();
    let key = first_key(&issuer);
    let point = |y: u8, last: u8, middle: u8| {
        let mut x = vec![middle; 32];
        (x[0], x[31]) = (y, last);
        x
    };
    for (name, x, good) in [
        ("y = 2", point(2, 0, 0), false),
        ("y = 2, the other sign", point(2, 0x80, 0), false),
        ("y = p + 3", point(0xf0, 0x7f, 0xff), false),
        ("y = 3", point(3, 0, 0), true),
    ] {
        let mut other = key.clone();
        other["x"] = json!(URL_SAFE_NO_PAD.encode(x));
        other["kid"] = json!("other");
        // Beside a good key it is skipped; alone it makes a set without keys.
        reply_with(json!([key, other]), &token).await.assert_ok(name);
        let alone = Issuer::new(ISSUER).jwks(json!({ "keys": [other] }).to_string());
        let built = builder(alone.algorithms([Algorithm::Ed25519])).build();
        assert_eq!(built.is_ok(), good, "{name}");
        if let Err(error) = built {
            assert!(error.to_string().contains("no usable key"), "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn id_8037_3_2_1_key_agreement_curves_verify_nothing() {
    let issuer = issuer_of(Algorithm::Ed25519);
    let token = issuer.token().sign();
    let other = first_key(&issuer_of(Algorithm::ES256));
    for crv in ["X25519", "X448", "Ed448", "ed25519", ""] {
        let mut bad = first_key(&issuer);
        bad["crv"] = json!(crv);
        reply_with(json!([bad, other]), &token).await.assert_invalid_token(crv);
    }
    reply_with(json!([first_key(&issuer), other]), &token).await.assert_ok("Ed25519");
}

#[tokio::test]
async fn id_9864_2_2_1_and_4_1_2_1_both_names_of_ed25519_and_one_curve() {
    let issuer = issuer_of(Algorithm::Ed25519);
    let only = trusting(&issuer).algorithms([Algorithm::Ed25519]);
    let old = issuer.token().header("alg", "EdDSA").sign();
    let both = api(builder(only.clone()).build().unwrap().layer());
    both.bearer(&issuer.token().sign()).await.assert_ok("Ed25519");
    both.bearer(&old).await.assert_ok("EdDSA");
    let new = api(builder(only.refuse_older_algorithm_names()).build().unwrap().layer());
    new.bearer(&issuer.token().sign()).await.assert_ok("Ed25519, switched");
    new.bearer(&old).await.assert_invalid_token("EdDSA, switched off");

    // RFC 8032 §7.4, the public key of its first test.
    let ed448 = "X9dEm1m0Yf0s54fsYWrUah2hNCSFpw4fig6nXYDpZ3jt8SR2m0bHBhvWeD3x5Q9s0foavq_oJWGA";
    assert_eq!(URL_SAFE_NO_PAD.decode(ed448).unwrap().len(), 57);
    let es256 = first_key(&issuer_of(Algorithm::ES256));
    let named = |alg: &str| issuer.token().header("alg", alg).sign();
    for (name, crv, x) in [
        ("an Ed448 key", "Ed448", json!(ed448)),
        ("an Ed448 key that says Ed25519", "Ed25519", json!(ed448)),
        ("an Ed25519 key that says Ed448", "Ed448", first_key(&issuer)["x"].clone()),
        ("an Ed25519 key that says P-256", "P-256", first_key(&issuer)["x"].clone()),
    ] {
        let key = json!({ "kty": "OKP", "kid": "key-1", "crv": crv, "x": x });
        for alg in ["Ed25519", "EdDSA", "Ed448"] {
            let reply = reply_with(json!([key, es256]), &named(alg)).await;
            reply.assert_invalid_token(&format!("{alg} with {name}"));
        }
    }
    let keys = json!([first_key(&issuer), es256]);
    reply_with(keys.clone(), &named("Ed448")).await.assert_invalid_token("Ed448");
    reply_with(keys, &named("EdDSA")).await.assert_ok("EdDSA with an Ed25519 key");
    // A JWK under the old name serves a header under the new one, and the other way round.
    let mut named = first_key(&issuer);
    named["alg"] = json!("EdDSA");
    reply_with(json!([named]), &issuer.token().sign()).await.assert_ok("old name in the JWK");
}

#[tokio::test]
async fn id_9964_5_1_the_header_names_the_algorithm_of_the_key() {
    let issuer = issuer_of(Algorithm::MlDsa44);
    let all = [Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::MlDsa87];
    let api = api(builder(trusting(&issuer).algorithms(all)).build().unwrap().layer());
    let token = issuer.token().sign();
    api.bearer(&token).await.assert_ok("ML-DSA-44");
    for alg in ["ML-DSA-65", "ML-DSA-87", "ml-dsa-44"] {
        api.bearer(&issuer.token().header("alg", alg).sign()).await.assert_invalid_token(alg);
    }
    let cut = resigned(&token, |signature| signature[1..].to_vec());
    api.bearer(&cut).await.assert_invalid_token("a signature of 2419 octets");
    let longer = resigned(&token, |signature| [signature.as_slice(), &[0]].concat());
    api.bearer(&longer).await.assert_invalid_token("a signature of 2421 octets");
    let of_65 = issuer_of(Algorithm::MlDsa65).token().sign();
    api.bearer(&of_65).await.assert_invalid_token("ML-DSA-65 under the kid of an ML-DSA-44 key");

    // RFC 9964 §5: 1312, 1952 and 2592 octets.
    for (algorithm, octets) in
        [(Algorithm::MlDsa44, 1312), (Algorithm::MlDsa65, 1952), (Algorithm::MlDsa87, 2592)]
    {
        let issuer = issuer_of(algorithm);
        let token = issuer.token().sign();
        let key = first_key(&issuer);
        let public = URL_SAFE_NO_PAD.decode(key["pub"].as_str().unwrap()).unwrap();
        assert_eq!(public.len(), octets);
        let reply = async |public: &[u8]| {
            let mut key = key.clone();
            key["pub"] = json!(URL_SAFE_NO_PAD.encode(public));
            let keys = json!({ "keys": [key, first_key(&issuer_of(Algorithm::ES256))] });
            let trusted = Issuer::new(ISSUER).jwks(keys.to_string());
            let trusted = trusted.algorithms([algorithm, Algorithm::ES256]);
            crate::support::api(builder(trusted).build().unwrap().layer()).bearer(&token).await
        };
        reply(&public).await.assert_ok(algorithm.name());
        reply(&public[1..]).await.assert_invalid_token("an octet less");
        reply(&[public.as_slice(), &[0]].concat()).await.assert_invalid_token("an octet more");
    }
}

#[tokio::test]
async fn id_9964_x_1_ml_dsa_is_an_opt_in() {
    let issuer = issuer_of(Algorithm::ES256);
    let kid = issuer.add_key(Algorithm::MlDsa87);
    let token = issuer.token().key(&kid).claim("pad", "x".repeat(1_200)).sign();
    assert!(token.len() > 8_000, "a token of its size passes the limit");
    let off = api(server(&issuer).layer());
    off.bearer(&token).await.assert_invalid_token("off");
    off.bearer(&issuer.token().key("key-1").sign()).await.assert_ok("ES256 in the same set");
    let listed = trusting(&issuer).algorithms([Algorithm::MlDsa87]);
    api(builder(listed).build().unwrap().layer()).bearer(&token).await.assert_ok("on");
}

/// `a + b` of equally long big-endian numbers, unless the sum is longer.
fn sum(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    let mut sum = vec![0; a.len()];
    let mut carry = 0;
    for index in (0..a.len()).rev() {
        carry += u16::from(a[index]) + u16::from(b[index]);
        sum[index] = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    (carry == 0).then_some(sum)
}

/// RFC 8017 §5.2.2: a representative out of range is another spelling of the same signature.
#[tokio::test]
async fn an_rsa_value_not_below_the_modulus_is_refused() {
    for algorithm in [Algorithm::RS256, Algorithm::PS256] {
        let issuer = issuer_of(algorithm);
        let api = api(server(&issuer).layer());
        let n = URL_SAFE_NO_PAD.decode(first_key(&issuer)["n"].as_str().unwrap()).unwrap();
        // The sum fits into as many octets for a part of all signatures only.
        let mut tokens = std::iter::repeat_with(|| issuer.token().sign());
        let (token, longer) = tokens
            .find_map(|token| {
                let mut longer = None;
                resigned(&token, |signature| {
                    longer = sum(&signature, &n);
                    signature
                });
                Some((token, longer?))
            })
            .unwrap();
        let other = resigned(&token, |_| longer);
        api.bearer(&other).await.assert_invalid_token(&format!("{algorithm}: plus n"));
        api.bearer(&token).await.assert_ok(&format!("{algorithm}: as signed"));
    }
}

/// RFC 8032 §5.1.7: S is below the order of the group, or a signature has a second spelling.
#[tokio::test]
async fn an_ed25519_signature_with_s_plus_the_order_is_refused() {
    let order = [
        0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7,
        0x9c, 0xd6, 0x58, 0x12, 0x63, 0x1a, 0x5c, 0xf5, 0xd3, 0xed,
    ];
    let issuer = issuer_of(Algorithm::Ed25519);
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    let other = resigned(&token, |mut signature| {
        signature[32..].reverse();
        let s = sum(&signature[32..], &order).unwrap();
        signature[32..].copy_from_slice(&s);
        signature[32..].reverse();
        signature
    });
    api.bearer(&other).await.assert_invalid_token("plus the order");
    api.bearer(&token).await.assert_ok("as signed");
}
