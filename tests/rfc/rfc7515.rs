//! RFC 7515, JSON Web Signature, and RFC 7797; RFC 7516 where it touches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Error, Issuer};

use crate::support::*;

#[tokio::test]
async fn id_7515_3_1_1_three_parts_of_base64url() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    let (header, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    for (name, bad) in [
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{token}.{signature}")),
        ("empty header", format!(".{payload}.{signature}")),
        ("empty payload", format!("{header}..{signature}")),
        ("empty signature", format!("{header}.{payload}.")),
        ("padding", format!("{token}==")),
        ("plus", format!("{header}.+{payload}.{signature}")),
        ("slash", format!("{header}.{payload}/.{signature}")),
        ("tilde", format!("{header}.{payload}~.{signature}")),
        // 64 octets leave four spare bits in the last character, which must be zero.
        ("spare bits", format!("{}{}", &token[..token.len() - 1], spare(&token))),
    ] {
        api.bearer(&bad).await.assert_invalid_token(name);
    }
    for (name, bad) in [
        ("padding of the header", format!("{header}=.{payload}.{signature}")),
        ("a space inside", format!("{header}.{payload} .{signature}")),
        ("a line break, as a sender would fold it", format!("{header}.\t{payload}.{signature}")),
    ] {
        api.bearer(&bad).await.assert_invalid_request(name);
    }
    api.bearer(&token).await.assert_ok("three parts");
}

/// The last character of the token with its lowest bit set.
fn spare(token: &str) -> char {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = ALPHABET.find(token.chars().last().unwrap()).unwrap();
    assert_eq!(at % 16, 0, "four spare bits, all zero");
    ALPHABET.chars().nth(at + 1).unwrap()
}

#[tokio::test]
async fn id_7515_4_1_header_names_are_unique() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for (name, header, good) in [
        ("once", r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1"}"#, true),
        ("alg twice", r#"{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"key-1"}"#, false),
        ("equal", r#"{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"key-1"}"#, false),
        (
            "by an escape",
            r#"{"alg":"ES256","\u0061lg":"ES256","typ":"at+jwt","kid":"key-1"}"#,
            false,
        ),
        ("an unknown one", r#"{"alg":"ES256","x":1,"x":1,"typ":"at+jwt","kid":"key-1"}"#, false),
    ] {
        let reply = api.bearer(&issuer.token().raw_header(header).sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn id_7515_4_2_unknown_header_parameters_are_ignored() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    api.bearer(&issuer.token().header("x", 1).sign()).await.assert_ok("x");
}

#[tokio::test]
async fn id_7515_4_1_1_1_alg_is_required_and_case_sensitive() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    api.bearer(&issuer.token().without_header("alg").sign()).await.assert_invalid_token("absent");
    for alg in ["es256", "Es256", "ES256 ", " ES256", "NONE", "noNe", "", "ES2560"] {
        api.bearer(&issuer.token().header("alg", alg).sign()).await.assert_invalid_token(alg);
    }
    for alg in [json!(null), json!(1), json!(["ES256"]), json!({"alg": "ES256"})] {
        let header = json!({ "alg": alg, "typ": "at+jwt", "kid": "key-1" }).to_string();
        let reply = api.bearer(&issuer.token().raw_header(&header).sign()).await;
        reply.assert_invalid_token(&header);
    }
    api.bearer(&issuer.token().header("alg", "ES256").sign()).await.assert_ok("ES256");
}

#[tokio::test]
async fn id_7515_4_1_2_1_keys_are_never_taken_from_the_token() {
    let issuer = issuer();
    let stranger = crate::support::issuer();
    let api = api(server(&issuer).layer());
    let own: serde_json::Value = serde_json::from_str(&stranger.jwks()).unwrap();
    let jwk = own["keys"][0].clone();

    // A listener that nobody must ask.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/keys");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    for (name, token) in [
        ("jwk", stranger.token().header("jwk", jwk.clone()).sign()),
        ("jwk, no kid", stranger.token().header("jwk", jwk).without_header("kid").sign()),
        ("jku", stranger.token().header("jku", url.as_str()).sign()),
        ("x5u", stranger.token().header("x5u", url.as_str()).sign()),
        ("x5c", stranger.token().header("x5c", json!(["MIIB"])).sign()),
    ] {
        api.bearer(&token).await.assert_invalid_token(name);
    }
    api.bearer(&issuer.token().header("jku", url.as_str()).sign()).await.assert_ok("own key");
    // Whoever connects now is counted after whoever connected before.
    std::net::TcpStream::connect(address).unwrap();
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "this test alone");
}

#[tokio::test]
async fn id_7515_4_1_4_1_kid_is_a_case_sensitive_hint() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let long = "k".repeat(8 * 1024);
    for kid in ["KEY-1", "key-1 ", "../../x", "' OR '1'='1", "", long.as_str()] {
        api.bearer(&issuer.token().header("kid", kid).sign()).await.assert_invalid_token(kid);
    }
    for kid in [json!(1), json!(["key-1"]), json!({})] {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }).to_string();
        let reply = api.bearer(&issuer.token().raw_header(&header).sign()).await;
        reply.assert_invalid_token(&header);
    }
    let null = r#"{"alg":"ES256","typ":"at+jwt","kid":null}"#;
    api.bearer(&issuer.token().raw_header(null).sign()).await.assert_invalid_token("null");
    api.bearer(&issuer.token().without_header("kid").sign()).await.assert_ok("absent, one key");

    // Nor does any of them cost more fetches than the budget has: two beyond the first.
    let keys = Counted { document: issuer.jwks(), fetches: Arc::default() };
    let fetches = Arc::clone(&keys.fetches);
    let fetched = builder(Issuer::new(ISSUER).key_source(keys)).build().unwrap();
    let fetched = crate::support::api(fetched.layer());
    fetched.bearer(&issuer.token().sign()).await.assert_ok("fetched");
    for n in 0..50 {
        let long = format!("{n}{long}");
        for kid in ["KEY-1", "../../x", "' OR '1'='1", &format!("forged-{n}"), &long] {
            let reply = fetched.bearer(&issuer.token().header("kid", kid).sign()).await;
            reply.assert_invalid_token(kid);
        }
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 3);

    issuer.add_key(Algorithm::ES256);
    let two = crate::support::api(server(&issuer).layer());
    let token = issuer.token().without_header("kid").sign();
    two.bearer(&token).await.assert_ok("absent, two keys fit");
    two.bearer(&issuer.token().sign()).await.assert_ok("named, two keys");
    issuer.withdraw("key-2");
    issuer.add_key(Algorithm::Ed25519);
    let kinds = crate::support::api(server(&issuer).layer());
    let token = issuer.token().key("key-1").without_header("kid").sign();
    kinds.bearer(&token).await.assert_ok("absent, one key of its kind");
}

#[tokio::test]
async fn id_7515_4_1_9_1_typ_is_a_media_type() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for typ in ["at+jwt", "at+JWT", "AT+JWT", "application/at+jwt", "APPLICATION/AT+JWT"] {
        api.bearer(&issuer.token().header("typ", typ).sign()).await.assert_ok(typ);
    }
    for typ in ["text/at+jwt", "application/application/at+jwt", "at+jwt ", "application/"] {
        api.bearer(&issuer.token().header("typ", typ).sign()).await.assert_invalid_token(typ);
    }
}

#[tokio::test]
async fn id_7515_4_1_11_1_and_2_crit_is_refused() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for crit in [
        json!(["x"]),
        json!([]),
        json!(["x", "x"]),
        json!(["alg"]),
        json!(["y"]),
        json!(["b64"]),
        json!(["exp"]),
        json!([""]),
        json!([1]),
        json!("x"),
        json!({}),
        json!(1),
    ] {
        let token = issuer.token().header("crit", crit.clone()).header("x", 1).sign();
        api.bearer(&token).await.assert_invalid_token(&crit.to_string());
    }
    // A member that is null is left out by the token builder, so this header is written by hand.
    let null = r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1","crit":null}"#;
    api.bearer(&issuer.token().raw_header(null).sign()).await.assert_invalid_token("null");
    let without = null.replace(r#","crit":null"#, "");
    api.bearer(&issuer.token().raw_header(&without).sign()).await.assert_ok("without it");
    api.bearer(&issuer.token().header("x", 1).sign()).await.assert_ok("x without crit");
}

#[tokio::test]
async fn id_7515_5_2_1_the_header_is_one_json_object_in_utf_8() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let good = r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1"}"#;
    for (name, header) in [
        ("array", r#"[{"alg":"ES256"}]"#.to_owned()),
        ("string", r#""ES256""#.to_owned()),
        ("number", "1".to_owned()),
        ("null", "null".to_owned()),
        ("empty", String::new()),
        ("trailing object", format!("{good}{{}}")),
        ("trailing text", format!("{good} x")),
        ("byte order mark", format!("\u{feff}{good}")),
        ("comment", format!("{good}//")),
        (
            "deep",
            format!(
                r#"{{"alg":"ES256","typ":"at+jwt","kid":"key-1","x":{}}}"#,
                "[".repeat(40) + &"]".repeat(40)
            ),
        ),
    ] {
        let reply = api.bearer(&issuer.token().raw_header(&header).sign()).await;
        reply.assert_invalid_token(name);
    }
    // Octets that are no UTF-8, signed by hand of a good token's payload.
    let token = issuer.token().sign();
    let payload = token.split('.').nth(1).unwrap();
    let latin = URL_SAFE_NO_PAD.encode(b"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"x\":\"\xe9\"}");
    let reply = api.bearer(&format!("{latin}.{payload}.AAAA")).await;
    reply.assert_invalid_token("Latin-1");
    let problem = "the header is not one strict JSON object";
    assert_eq!(reply.error, Some(Error::MalformedToken { problem }), "not for its signature");
    api.bearer(&issuer.token().raw_header(good).sign()).await.assert_ok("good");
}

#[tokio::test]
async fn id_7515_5_2_2_one_flipped_bit_in_any_part_is_refused() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    let parts: Vec<Vec<u8>> =
        token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    for part in 0..3 {
        for at in [0, parts[part].len() / 2, parts[part].len() - 1] {
            let mut flipped = parts.clone();
            flipped[part][at] ^= 1;
            let flipped: Vec<_> = flipped.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
            let reply = api.bearer(&flipped.join(".")).await;
            reply.assert_invalid_token(&format!("part {part}, octet {at}"));
        }
    }
    api.bearer(&token).await.assert_ok("unflipped");
}

#[tokio::test]
async fn id_7515_5_2_3_an_algorithm_that_is_not_accepted_is_refused() {
    let issuer = issuer();
    let kid = issuer.add_key(Algorithm::ES384);
    let only = trusting(&issuer).algorithms([Algorithm::ES256]);
    let api = api(builder(only).build().unwrap().layer());
    api.bearer(&issuer.token().key(&kid).sign()).await.assert_invalid_token("ES384");
    api.bearer(&issuer.token().key("key-1").sign()).await.assert_ok("ES256");
    let both = trusting(&issuer).algorithms([Algorithm::ES256, Algorithm::ES384]);
    let both = crate::support::api(builder(both).build().unwrap().layer());
    both.bearer(&issuer.token().key(&kid).sign()).await.assert_ok("ES384 where it is listed");
}

#[tokio::test]
async fn id_7515_7_2_1_the_json_serialization_is_no_token() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    let parts: Vec<_> = token.split('.').collect();
    let json = json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] });
    api.bearer(&json.to_string()).await.assert_invalid_request("flattened");
    api.bearer(&token).await.assert_ok("compact");
}

#[tokio::test]
async fn id_7797_7_1_b64_is_refused() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for b64 in [false, true] {
        let token = issuer.token().header("b64", b64).sign();
        api.bearer(&token).await.assert_invalid_token(&format!("b64 {b64}"));
        let token = issuer.token().header("b64", b64).header("crit", json!(["b64"])).sign();
        api.bearer(&token).await.assert_invalid_token(&format!("b64 {b64}, critical"));
    }
    api.bearer(&issuer.token().header("b65", false).sign()).await.assert_ok("another name");
}

#[tokio::test]
async fn id_7516_9_1_an_encrypted_token_is_refused() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM","p2c":2147483647}"#);
    for token in [format!("{header}.AAAA.AAAA.AAAA.AAAA"), "a.b.c.d.e".to_owned()] {
        let reply = api.bearer(&token).await;
        reply.assert_invalid_token(&token);
        assert_eq!(reply.error, Some(tower_resource_server::Error::EncryptedToken));
    }
    api.bearer(&issuer.token().sign()).await.assert_ok("signed");
}

#[tokio::test]
async fn without_a_kid_up_to_four_keys_that_fit_are_tried() {
    // A server that names no keys has two of them in each rotation.
    let issuer = issuer();
    let nameless = |key: &str| issuer.token().key(key).without_header("kid").sign();
    for key in ["key-2", "key-3", "key-4"] {
        issuer.add_key(Algorithm::ES256);
        let api = api(server(&issuer).layer());
        for known in ["key-1", key] {
            api.bearer(&nameless(known)).await.assert_ok(known);
        }
    }
    issuer.add_key(Algorithm::Ed25519);
    let api_of = |issuer: &TestIssuer| api(server(issuer).layer());
    api_of(&issuer).bearer(&nameless("key-4")).await.assert_ok("the fourth, beside another kind");
    let stranger = TestIssuer::in_process(ISSUER);
    let forged = stranger.token().without_header("kid").sign();
    api_of(&issuer).bearer(&forged).await.assert_invalid_token("none of them");
    // A fifth makes no more work, and takes nothing from the first four.
    issuer.add_key(Algorithm::ES256);
    api_of(&issuer).bearer(&nameless("key-1")).await.assert_ok("the first of five");
    api_of(&issuer).bearer(&nameless("key-6")).await.assert_invalid_token("the fifth");
    api_of(&issuer).bearer(&issuer.token().key("key-6").sign()).await.assert_ok("named");
}

#[tokio::test]
async fn id_7515_4_1_7_without_a_kid_the_certificate_tells_the_key() {
    let issuer = issuer();
    for _ in 0..5 {
        issuer.add_key(Algorithm::ES256);
    }
    let with = |member: &str, text: &dyn Fn(usize) -> String| {
        let mut set: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
        for (index, key) in set["keys"].as_array_mut().unwrap().iter_mut().enumerate() {
            key[member] = json!(text(index + 1));
        }
        set.to_string()
    };
    let thumbprint = |number: usize| format!("thumb-print_{number}");
    let trusting =
        |set: String| api(builder(Issuer::new(ISSUER).jwks(set)).build().unwrap().layer());
    let token = |member: &str, value: serde_json::Value| {
        let token = issuer.token().key("key-6").without_header("kid");
        token.header(member, value).sign()
    };
    for member in ["x5t", "x5t#S256"] {
        // The sixth of six keys is not one of the four that would be tried.
        let api = trusting(with(member, &thumbprint));
        for (name, value, good) in [
            ("its own", json!("thumb-print_6"), true),
            ("another's", json!("thumb-print_1"), false),
            ("nobody's", json!("thumb-print_7"), false),
            ("padded", json!("thumb-print_6=="), true),
            ("in the other alphabet", json!("thumb+print/6"), true),
            ("in another case", json!("THUMB-print_6"), false),
            ("none", json!(null), false),
            ("no text", json!(6), false),
        ] {
            let name = format!("{member}, {name}");
            let reply = api.bearer(&token(member, value)).await;
            if good { reply.assert_ok(&name) } else { reply.assert_invalid_token(&name) }
        }
        let named = issuer.token().key("key-6").header(member, "thumb-print_1").sign();
        api.bearer(&named).await.assert_ok("the kid counts");
        let stranger = TestIssuer::in_process(ISSUER);
        let forged = stranger.token().without_header("kid");
        let forged = forged.header(member, "thumb-print_6").sign();
        api.bearer(&forged).await.assert_invalid_token("a stranger's");
    }
    // Keys without a thumbprint of that kind are as good as before.
    for (name, set, member) in [
        ("no thumbprints", issuer.jwks(), "x5t"),
        ("of the other kind", with("x5t", &thumbprint), "x5t#S256"),
    ] {
        let api = trusting(set);
        let reply = api.bearer(&token(member, json!("thumb-print_6"))).await;
        reply.assert_invalid_token(name);
        let first = issuer.token().key("key-1").without_header("kid");
        api.bearer(&first.header(member, "thumb-print_1").sign()).await.assert_ok(name);
    }
    // A token may have both, and a set one of them.
    for (member, other) in [("x5t", "x5t#S256"), ("x5t#S256", "x5t")] {
        let api = trusting(with(member, &thumbprint));
        for (own, good) in [("thumb-print_6", true), ("thumb-print_7", false)] {
            let token = issuer.token().key("key-6").without_header("kid").header(member, own);
            let reply = api.bearer(&token.header(other, "not in the set").sign()).await;
            let name = format!("{own} as {member}, and the other");
            if good { reply.assert_ok(&name) } else { reply.assert_invalid_token(&name) }
        }
    }
    // One of no characters names nothing.
    for (first, good) in [("", true), ("another", false)] {
        let named = with("x5t", &|number| if number == 1 { first.to_owned() } else { "x".into() });
        let token = issuer.token().key("key-1").without_header("kid").header("x5t", "its-own");
        let reply = trusting(named).bearer(&token.sign()).await;
        if good {
            reply.assert_ok("empty in the set")
        } else {
            reply.assert_invalid_token(first)
        }
        let token = issuer.token().key("key-1").without_header("kid").header("x5t", first);
        let reply = trusting(with("x5t", &thumbprint)).bearer(&token.sign()).await;
        if good { reply.assert_ok("empty in the token") } else { reply.assert_invalid_token(first) }
    }
    // One that is longer than any hash names nothing, as a long kid does: it may wait for keys.
    let long = |length: usize| "x".repeat(length);
    for (length, good) in [(128, true), (129, false)] {
        let named = with("x5t", &|number| if number == 6 { long(length) } else { "x".into() });
        let reply = trusting(named).bearer(&token("x5t", json!(long(length)))).await;
        let name = format!("{length} characters");
        if good { reply.assert_ok(&name) } else { reply.assert_invalid_token(&name) }
    }
    // One that no key has is looked for, as an unknown kid is.
    let keys = Counted { document: with("x5t", &thumbprint), fetches: Arc::default() };
    let fetches = Arc::clone(&keys.fetches);
    let fetched = api(builder(Issuer::new(ISSUER).key_source(keys)).build().unwrap().layer());
    fetched.bearer(&token("x5t", json!("thumb-print_6"))).await.assert_ok("fetched");
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    fetched.bearer(&token("x5t", json!("thumb-print_7"))).await.assert_invalid_token("nobody's");
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
}
