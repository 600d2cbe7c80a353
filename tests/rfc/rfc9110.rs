//! RFC 9110 and RFC 9111, HTTP Semantics and Caching; the Fetch standard where it touches; RFC 7638.

use http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tower::{Layer, ServiceExt as _};
use tower_resource_server::refusal::{ProblemJson, Refusal};
use tower_resource_server::scope;

use crate::support::*;

#[test]
fn id_9110_11_2_1_a_parameter_stands_once() {
    let issuer = issuer();
    // A `scope` of all challenges would stand beside that of a route, and win.
    for (name, good) in [("Realm", false), ("ERROR", false), ("Scope", false), ("resource", true)] {
        let built = builder(trusting(&issuer)).challenge_param(name, "x").build();
        assert_eq!(built.is_ok(), good, "{name}");
    }
    let twice = builder(trusting(&issuer)).challenge_param("x", "1").challenge_param("X", "2");
    assert!(twice.build().is_err(), "a parameter of ours twice");
}

#[tokio::test]
async fn id_9110_11_5_1_the_realm_is_a_quoted_string() {
    let issuer = issuer();
    for (realm, good) in [(r#"a"b\c, d=e"#, true), ("é", false), ("a\nb", false)] {
        let built = builder(trusting(&issuer)).realm(realm).build();
        assert_eq!(built.is_ok(), good, "{realm:?}");
        if let Ok(server) = built {
            let reply = api(server.layer()).anonymous().await;
            assert_eq!(reply.challenges[0].param("realm"), Some(realm), "it survives a parser");
        }
    }
}

#[tokio::test]
async fn id_9110_11_6_1_1_every_401_has_a_challenge_whatever_shapes_the_body() {
    let issuer = issuer();
    let text = builder(trusting(&issuer)).refusal_body(|refusal: &Refusal| {
        let status = refusal.status().to_string();
        (Some(HeaderValue::from_static("text/plain")), Body::from(status))
    });
    let text = api(text.build().unwrap().protect(scope("a")));
    let problem = builder(trusting(&issuer)).refusal_body(ProblemJson).build().unwrap();
    let problem = api(problem.protect(scope("a")));
    let token = issuer.token().sign();
    for (name, value, status) in [
        ("anonymous", "", 401),
        ("invalid", "Bearer x", 401),
        ("malformed", "Bearer", 400),
        ("scope", &format!("Bearer {token}"), 403),
    ] {
        let reply = text.authorization(value).await;
        assert_eq!(reply.status.as_u16(), status, "{name}");
        assert_eq!(reply.challenges.len(), 1, "{name}");
        assert!(reply.body.starts_with(status.to_string().as_bytes()));

        let reply = problem.authorization(value).await;
        assert_eq!(reply.headers["content-type"], "application/problem+json");
        assert_eq!(reply.json()["status"], status, "{name}");
        assert_eq!(reply.challenges.len(), 1, "{name}");
    }
    let good = issuer.token().scope("a").sign();
    text.bearer(&good).await.assert_ok("good");
}

#[tokio::test]
async fn id_9110_11_6_1_3_challenges_of_the_inner_service_are_kept() {
    let issuer = issuer();
    let inner = tower::service_fn(async |_: Request<Body>| {
        Ok::<_, std::convert::Infallible>(
            Response::builder()
                .status(401)
                .header(WWW_AUTHENTICATE, "Basic realm=\"legacy\"")
                .body(Body::default())
                .unwrap(),
        )
    });
    let bearer = format!("Bearer {}", issuer.token().sign());
    let request = get().header(AUTHORIZATION, bearer).body(Body::default()).unwrap();
    let response = server(&issuer).layer().layer(inner).oneshot(request).await.unwrap();
    let lines: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().collect();
    assert_eq!(lines, ["Basic realm=\"legacy\""]);
}

#[tokio::test]
async fn id_9110_11_6_2_1_authorization_stands_once() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let good = format!("Bearer {}", issuer.token().sign());
    for (name, first, second) in [
        ("equal", good.as_str(), good.as_str()),
        ("good, then bad", &good, "Bearer x"),
        ("bad, then good", "Bearer x", &good),
        ("other scheme first", "Basic eDp5", &good),
        ("other scheme last", &good, "Basic eDp5"),
    ] {
        let request = get().header(AUTHORIZATION, first).header(AUTHORIZATION, second);
        api.send(request.body(Body::default()).unwrap()).await.assert_invalid_request(name);
    }
    let merged = format!("{good}, {good}");
    api.authorization(&merged).await.assert_invalid_request("merged into one line");
    api.authorization(&good).await.assert_ok("once");
}

#[tokio::test]
async fn id_9110_5_5_1_no_control_character_reaches_a_field() {
    let issuer = issuer();
    assert!(builder(trusting(&issuer)).realm("a b").challenge_param("x", "a b").build().is_ok());
    for bad in ["a\r\nset-cookie: x", "a\0b", "a\u{7f}"] {
        assert!(builder(trusting(&issuer)).realm(bad).build().is_err(), "{bad:?}");
        assert!(builder(trusting(&issuer)).challenge_param("x", bad).build().is_err(), "{bad:?}");
        assert!(builder(trusting(&issuer)).challenge_param(bad, "x").build().is_err(), "{bad:?}");
        assert!(builder(trusting(&issuer)).error_uri(bad).build().is_err(), "{bad:?}");
        let api = api(server(&issuer).layer());
        api.bearer(&issuer.token().header("kid", bad).sign()).await.assert_invalid_token(bad);
    }
}

#[tokio::test]
async fn id_9110_11_4_1_bad_credentials_are_401_and_inadequate_ones_403() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(scope("a")));
    let expired = issuer.token().scope("a").expires_in(-600).sign();
    api.bearer(&expired).await.assert_invalid_token("expired, with the scope");
    let both = issuer.token().expires_in(-600).sign();
    api.bearer(&both).await.assert_invalid_token("expired, without the scope");
    api.bearer(&issuer.token().sign()).await.assert_insufficient_scope("without the scope", "a");
    api.bearer(&issuer.token().scope("a").sign()).await.assert_ok("valid, with the scope");
}

#[tokio::test]
async fn id_9111_3_5_1_the_layer_adds_no_leave_to_cache() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(scope("a")));
    let reply = api.bearer(&issuer.token().scope("a").sign()).await;
    reply.assert_ok("good");
    assert!(!reply.headers.contains_key(CACHE_CONTROL));
    assert_eq!(api.anonymous().await.headers[CACHE_CONTROL], "no-store");
    let reply = api.bearer(&issuer.token().sign()).await;
    reply.assert_insufficient_scope("no scope", "a");
    assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn fetch_1_a_preflight_is_answered_by_a_cors_layer_outside() {
    let issuer = issuer();
    let cors = tower_http::cors::CorsLayer::new()
        .allow_origin(["https://app.example.com".parse().unwrap()])
        .allow_headers([AUTHORIZATION])
        .expose_headers([WWW_AUTHENTICATE]);
    let api = api(tower::ServiceBuilder::new().layer(cors).layer(server(&issuer).layer()));
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri("https://api.example.com/notes")
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization")
        .body(Body::default())
        .unwrap();
    let reply = api.send(preflight).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers["access-control-allow-headers"], "authorization");
    assert!(!reply.ran);
    let from_page = get().header("origin", "https://app.example.com").body(Body::default());
    let reply = api.send(from_page.unwrap()).await;
    reply.assert_invited("the request itself");
    assert_eq!(reply.headers["access-control-expose-headers"], "www-authenticate");
}

/// The layer leaves `Date` to the server around it, so this one speaks over a socket.
#[tokio::test]
async fn id_9110_6_6_1_1_refusals_have_a_date() {
    let issuer = issuer();
    let served = serve(server(&issuer).protect(scope("a"))).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (authorization, status) in [
        (format!("Bearer {}", issuer.token().scope("a").sign()), 200),
        (format!("Bearer {}", issuer.token().sign()), 403),
        ("Bearer x".to_owned(), 401),
        ("Bearer".to_owned(), 400),
    ] {
        let request = client.get(&served.url).header("authorization", authorization);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.headers().contains_key("date"), "{status}");
    }
}

/// Hiding is a decision of the API: the error in the extensions tells it which answers to replace.
#[tokio::test]
async fn id_9110_15_5_4_1_a_404_can_stand_for_a_403() {
    use tower_resource_server::Error;
    let issuer = issuer();
    let not_found = || {
        let mut response = http::Response::new(Body::from("no such page"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    };
    let hide = tower::util::MapResponseLayer::new(move |response: http::Response<Body>| {
        match response.extensions().get::<Error>() {
            Some(Error::InsufficientScope { .. }) => not_found(),
            _ => response,
        }
    });
    let server = server(&issuer);
    let api = api(tower::ServiceBuilder::new()
        .layer(hide)
        .layer(server.layer())
        .layer(server.require(scope("admin"))));
    let hidden = api.bearer(&issuer.token().sign()).await;
    assert_eq!((hidden.status, hidden.ran), (StatusCode::NOT_FOUND, false));
    assert_eq!(hidden.body, "no such page");
    assert!(!hidden.headers.contains_key(WWW_AUTHENTICATE));
    api.bearer(&issuer.token().scope("admin").sign()).await.assert_ok("the scope");
    api.anonymous().await.assert_invited("a 401 stays one");
}

#[test]
fn id_7638_3_1_and_3_2_1_thumbprints() {
    use tower_resource_server::keys::jwk_thumbprint;
    // RFC 7638 §3.1, RFC 8037 A.3.
    let rsa = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    let okp = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    assert_eq!(jwk_thumbprint(rsa).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(jwk_thumbprint(okp).unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // RFC 9449 §6.1.
    let ec = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
    assert_eq!(jwk_thumbprint(ec).unwrap(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    let plain = rsa.replace(r#","alg":"RS256","kid":"2011-04-29""#, "");
    assert_eq!(jwk_thumbprint(&plain), jwk_thumbprint(rsa), "other members don't count");
    // No vector of a manageable size is published for these: the digest of the text as the RFCs
    // have it, names sorted, without a space.
    for (jwk, canonical) in [
        (
            r#"{"kid":"1","use":"sig", "pub":"AAAA","kty":"AKP","alg":"ML-DSA-44"}"#,
            r#"{"alg":"ML-DSA-44","kty":"AKP","pub":"AAAA"}"#,
        ),
        (r#"{"kty":"oct","alg":"HS256","k":"AAAA"}"#, r#"{"k":"AAAA","kty":"oct"}"#),
    ] {
        use base64::Engine as _;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canonical.as_bytes());
        let expected = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
        assert_eq!(jwk_thumbprint(jwk), Some(expected), "{jwk}");
    }
    for (name, other) in [("use", "enc"), ("kid", "x"), ("alg", "PS256"), ("x5t", "x")] {
        let more = plain.replacen('{', &format!("{{\"{name}\":\"{other}\","), 1);
        assert_eq!(jwk_thumbprint(&more), jwk_thumbprint(rsa), "{name} does not count");
    }
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"kty":"XYZ"}"#,
        r#"{"kty":"OKP","crv":"Ed25519"}"#,
        r#"{"kty":"oct","k":1}"#,
    ] {
        assert_eq!(jwk_thumbprint(bad), None, "{bad}");
    }
}
