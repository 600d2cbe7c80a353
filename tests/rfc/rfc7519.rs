//! RFC 7519, JSON Web Token.

use serde_json::{Value, json};

use crate::support::*;

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A good token's claims with `name` written as this text.
fn raw(name: &str, text: &str) -> Vec<u8> {
    let now = now();
    let mut members = vec![
        ("iss", format!("\"{ISSUER}\"")),
        ("sub", "\"alice\"".to_owned()),
        ("aud", format!("\"{AUDIENCE}\"")),
        ("client_id", "\"app\"".to_owned()),
        ("iat", now.to_string()),
        ("exp", (now + 300).to_string()),
        ("jti", "\"1\"".to_owned()),
    ];
    members.retain(|(own, _)| *own != name);
    members.push((name, text.to_owned()));
    let members: Vec<_> = members.iter().map(|(name, text)| format!("\"{name}\":{text}")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

#[tokio::test]
async fn id_7519_4_1_claim_names_are_unique() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let with = |extra: &str| {
        let mut payload = raw("x", "1");
        payload.pop();
        payload.extend_from_slice(extra.as_bytes());
        payload.push(b'}');
        issuer.token().raw_payload(payload).sign()
    };
    for (name, extra) in [
        ("aud", format!(",\"aud\":\"{AUDIENCE}\"")),
        ("exp", ",\"exp\":99999999999".to_owned()),
        ("unknown", ",\"x\":1".to_owned()),
        ("by an escape", ",\"\\u0061ud\":\"x\"".to_owned()),
        ("inside", ",\"y\":{\"a\":1,\"a\":2}".to_owned()),
        ("inside an array", ",\"y\":[{\"a\":1,\"a\":2}]".to_owned()),
    ] {
        api.bearer(&with(&extra)).await.assert_invalid_token(name);
    }
    api.bearer(&with(",\"y\":{\"x\":1}")).await.assert_ok("the same name in another object");
}

#[tokio::test]
async fn id_7519_4_2_unknown_claims_are_ignored_and_passed_on() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let reply = api.bearer(&issuer.token().claim("tenant", json!({ "id": 7 })).sign()).await;
    reply.assert_ok("unknown claim");
    assert_eq!(reply.json()["claims"]["tenant"]["id"], 7);
}

#[tokio::test]
async fn id_7519_2_1_a_numeric_date_is_a_number() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let far = now() + 300;
    for (name, claim, text, good) in [
        ("integer", "exp", far.to_string(), true),
        ("fraction", "exp", format!("{far}.5"), true),
        ("exponent", "exp", "4e9".to_owned(), true),
        ("the year 5000", "exp", "95617584000".to_owned(), true),
        ("beyond the year 5000", "exp", "95617584001".to_owned(), false),
        ("milliseconds", "exp", format!("{far}000"), false),
        ("2^53 + 0.5", "exp", "9007199254740992.5".to_owned(), false),
        ("beyond 64 bits", "exp", "99999999999999999999999".to_owned(), false),
        ("1e300", "exp", "1e300".to_owned(), false),
        ("1e400", "exp", "1e400".to_owned(), false),
        ("string", "exp", format!("\"{far}\""), false),
        ("null", "exp", "null".to_owned(), false),
        ("array", "exp", format!("[{far}]"), false),
        ("true", "exp", "true".to_owned(), false),
        ("negative", "exp", "-1".to_owned(), false),
        ("very negative", "exp", "-1e300".to_owned(), false),
        ("NaN", "exp", "NaN".to_owned(), false),
        ("zero", "exp", "0".to_owned(), false),
        ("fractional iat", "iat", format!("{}.25", now()), true),
        ("iat as string", "iat", format!("\"{}\"", now()), false),
        ("nbf as string", "nbf", "\"1\"".to_owned(), false),
        ("nbf null", "nbf", "null".to_owned(), false),
        ("nbf negative", "nbf", "-1e300".to_owned(), true),
        ("nbf huge", "nbf", "1e300".to_owned(), false),
    ] {
        let reply = api.bearer(&issuer.token().raw_payload(raw(claim, &text)).sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn id_7519_4_1_3_1_aud_is_a_string_or_an_array_of_strings() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for (name, aud, good) in [
        ("string", json!(AUDIENCE), true),
        ("array", json!([AUDIENCE]), true),
        ("one of several", json!(["https://other.example.com", AUDIENCE]), true),
        ("foreign", json!("https://other.example.com"), false),
        ("foreign array", json!(["https://other.example.com"]), false),
        ("empty array", json!([]), false),
        ("empty string", json!(""), false),
        ("number", json!(1), false),
        ("null", Value::Null, false),
        ("object", json!({ "aud": AUDIENCE }), false),
        ("nested array", json!([[AUDIENCE]]), false),
        ("array with a number", json!([AUDIENCE, 1]), false),
    ] {
        let reply = api.bearer(&issuer.token().claim("aud", aud).sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
    api.bearer(&issuer.token().without("aud").sign()).await.assert_invalid_token("absent");
}

#[tokio::test]
async fn id_7519_4_1_3_2_audiences_compare_exactly() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for aud in [
        "https://API.example.com",
        "HTTPS://api.example.com",
        "https://api.example.com/",
        "https://api.example.com:443",
        "https://api.example.co",
        "https://api.example.com ",
        "api.example.com",
    ] {
        api.bearer(&issuer.token().audience(aud).sign()).await.assert_invalid_token(aud);
    }
    api.bearer(&issuer.token().audience(AUDIENCE).sign()).await.assert_ok("exact");
}

#[tokio::test]
async fn id_7519_4_1_4_1_and_4_1_5_1_and_4_1_6_1_times_with_a_leeway() {
    let clock = tower_resource_server::clock::TestClock::at(1_700_000_000);
    let issuer = tower_resource_server::test_issuer::TestIssuer::builder()
        .clock(clock.clone())
        .in_process(ISSUER);
    let server = builder(trusting(&issuer)).clock(clock).build().unwrap();
    let api = api(server.layer());
    let now = 1_700_000_000_i64;
    for (name, claim, time, good) in [
        ("exp, a second ahead", "exp", now + 1, true),
        ("exp, now", "exp", now, true),
        ("exp, at the end of the leeway", "exp", now - 59, true),
        ("exp, past the leeway", "exp", now - 60, false),
        ("exp, further past", "exp", now - 61, false),
        ("nbf, past", "nbf", now - 1, true),
        ("nbf, within the leeway", "nbf", now + 60, true),
        ("nbf, past the leeway", "nbf", now + 61, false),
        ("iat, a little ahead", "iat", now + 5, true),
        ("iat, at the limit", "iat", now + 60, true),
        ("iat, past the limit", "iat", now + 61, false),
        ("iat, an hour ahead", "iat", now + 3600, false),
        ("iat, long ago", "iat", 0, true),
    ] {
        let reply = api.bearer(&issuer.token().claim(claim, time).sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn the_leeway_is_that_of_the_issuer_and_may_be_none() {
    let clock = tower_resource_server::clock::TestClock::at(1_700_000_000);
    let issuer = tower_resource_server::test_issuer::TestIssuer::builder()
        .clock(clock.clone())
        .in_process(ISSUER);
    let trusted = trusting(&issuer).leeway(std::time::Duration::ZERO);
    let api = api(builder(trusted).clock(clock).build().unwrap().layer());
    let at = |exp: u64| issuer.token().claim("exp", exp).sign();
    api.bearer(&at(1_700_000_000)).await.assert_invalid_token("at exp");
    api.bearer(&at(1_700_000_001)).await.assert_ok("before exp");
}

/// No time and no leeway makes the arithmetic wrap, or panic.
#[tokio::test]
async fn a_clock_at_its_ends_accepts_nothing_that_it_should_not() {
    for (seconds, far) in [(0, true), (10, true), (u64::from(u32::MAX), true), (1 << 53, false)] {
        let clock = tower_resource_server::clock::TestClock::at(seconds);
        let issuer = issuer();
        let trusted = trusting(&issuer).leeway(std::time::Duration::from_secs(300));
        let api = api(builder(trusted).clock(clock).build().unwrap().layer());
        let at = |name: &str, time: Value| {
            issuer.token().claim("iat", 0).claim("exp", 9e10).claim(name, time).sign()
        };
        let name = format!("the clock shows {seconds}");
        let reply = api.bearer(&at("exp", json!(9e10))).await;
        if far {
            reply.assert_ok(&name)
        } else {
            reply.assert_invalid_token(&name)
        }
        for (claim, time) in [
            ("exp", json!(1e12)),
            ("exp", json!(1e300)),
            ("exp", json!(-301)),
            ("exp", json!(i64::MIN)),
            ("exp", json!(-1e300)),
            ("nbf", json!(1e300)),
            ("nbf", json!(u64::MAX)),
            ("iat", json!(u64::MAX)),
        ] {
            let reply = api.bearer(&at(claim, time.clone())).await;
            reply.assert_invalid_token(&format!("{name}, {claim} {time}"));
        }
    }
}

#[tokio::test]
async fn id_7519_7_2_1_claims_are_one_json_object_and_no_nested_token() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let good = raw("x", "1");
    for (name, payload) in [
        ("array", b"[]".to_vec()),
        ("string", b"\"x\"".to_vec()),
        ("empty", Vec::new()),
        ("trailing", [good.as_slice(), b"{}"].concat()),
        ("byte order mark", [b"\xef\xbb\xbf", good.as_slice()].concat()),
        (
            "not UTF-8",
            raw("x", "\"?\"").iter().map(|b| if *b == b'?' { 0xff } else { *b }).collect(),
        ),
        ("half a surrogate pair", raw("x", "\"\\ud800\"")),
        ("deep", raw("x", &("[".repeat(32) + &"]".repeat(32)))),
        ("a nested token", issuer.token().sign().into_bytes()),
    ] {
        let reply = api.bearer(&issuer.token().raw_payload(payload).sign()).await;
        reply.assert_invalid_token(name);
    }
    for cty in ["JWT", "jwt", "application/jwt"] {
        api.bearer(&issuer.token().header("cty", cty).sign()).await.assert_invalid_token(cty);
    }
    api.bearer(&issuer.token().raw_payload(good).sign()).await.assert_ok("an object");
    let wide = raw("x", &("[".repeat(31) + &"]".repeat(31)));
    api.bearer(&issuer.token().raw_payload(wide).sign()).await.assert_ok("32 deep");
    let many = raw("x", &format!("[{}0]", "0,".repeat(4_000)));
    api.bearer(&issuer.token().raw_payload(many).sign()).await.assert_ok("4,000 numbers");
}

#[tokio::test]
async fn a_token_has_at_most_16_kib() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let of_length = |length: usize| {
        let token = issuer.token().claim("pad", "").sign();
        // Three octets make four characters; the last few are tried one by one.
        let mut pad = (length - token.len()) / 4 * 3;
        loop {
            let token = issuer.token().claim("pad", "x".repeat(pad)).sign();
            if token.len() >= length {
                return token;
            }
            pad += 1;
        }
    };
    let (fits, exceeds) = (of_length(16 * 1024 - 4), of_length(16 * 1024 + 1));
    assert!(fits.len() <= 16 * 1024);
    api.bearer(&fits).await.assert_ok("at the limit");
    api.bearer(&exceeds).await.assert_invalid_token("over the limit");
}

#[tokio::test]
async fn the_leeway_covers_iat() {
    let clock = tower_resource_server::clock::TestClock::at(1_700_000_000);
    let issuer = tower_resource_server::test_issuer::TestIssuer::builder()
        .clock(clock.clone())
        .in_process(ISSUER);
    for (leeway, ahead, good) in
        [(300, 300, true), (300, 301, false), (60, 61, false), (10, 10, true), (10, 11, false)]
    {
        let trusted = trusting(&issuer).leeway(std::time::Duration::from_secs(leeway));
        let api = api(builder(trusted).clock(clock.clone()).build().unwrap().layer());
        let reply = api.bearer(&issuer.token().claim("iat", 1_700_000_000 + ahead).sign()).await;
        let name = format!("{ahead} s ahead, leeway {leeway} s");
        if good {
            reply.assert_ok(&name)
        } else {
            reply.assert_invalid_token(&name);
            let text = reply.error.unwrap().to_string();
            assert!(text.contains(&format!("leeway {leeway}")), "{text}");
        }
    }
}

#[tokio::test]
async fn a_time_in_milliseconds_is_refused_as_that() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for (claim, good) in [("exp", now() + 300), ("nbf", now()), ("iat", now())] {
        let token = |time: u64| issuer.token().claim(claim, time).sign();
        let reply = api.bearer(&token(good * 1000)).await;
        reply.assert_invalid_token(claim);
        let text = reply.error.unwrap().to_string();
        assert!(text.contains(claim) && text.contains("milliseconds"), "{text}");
        api.bearer(&token(good)).await.assert_ok(claim);
    }
}

#[tokio::test]
async fn size_and_depth_bound_a_token_and_a_limit_that_is_hit_names_itself() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let groups: Vec<_> = (0..1_000).map(|n| format!("g{n:03}")).collect();
    let reply = api.bearer(&issuer.token().claim("groups", json!(groups)).sign()).await;
    reply.assert_ok("1,000 short groups");
    assert_eq!(reply.json()["claims"]["groups"].as_array().unwrap().len(), 1_000);
    let deep = |depth: usize| raw("x", &("[".repeat(depth) + &"]".repeat(depth)));
    for (name, payload, words) in [
        ("deep", deep(32), "deeper than 32"),
        ("a duplicate", raw("x", "{\"a\":1,\"a\":2}"), "two members of one name"),
        ("half a surrogate pair", raw("name", "\"Bj\\ud83d rn\""), "surrogate"),
        ("half a surrogate pair in a name", raw("x", "{\"\\udc00\":1}"), "surrogate"),
        ("no object", b"[]".to_vec(), "one strict JSON object"),
    ] {
        let reply = api.bearer(&issuer.token().raw_payload(payload).sign()).await;
        reply.assert_invalid_token(name);
        let text = reply.error.unwrap().to_string();
        assert!(text.contains(words), "{name}: {text}");
    }
    let long = issuer.token().claim("groups", "x".repeat(16 * 1024)).sign();
    let text = api.bearer(&long).await.error.unwrap().to_string();
    assert!(text.contains("more than the 16384 allowed"), "{text}");
    let kid = issuer.token().header("kid", "k".repeat(1025)).sign();
    let text = api.bearer(&kid).await.error.unwrap().to_string();
    assert!(text.contains("longer than 1 KiB"), "{text}");
    for (name, text) in [("32 deep", "[[1]]"), ("a pair", "\"Bj\\ud83d\\ude00rn\"")] {
        let payload = if name == "32 deep" { deep(31) } else { raw("name", text) };
        api.bearer(&issuer.token().raw_payload(payload).sign()).await.assert_ok(name);
    }
}
