//! An API that also accepts another scheme: the challenges of both stand in one answer (RFC 9110 §11.6.1).

mod support;

use support::{Body, Reply, api, builder, issuer, trusting};
use tower_resource_server::policy::{acr, role};
use tower_resource_server::{ConfigError, ResourceServer, scope};

const OTHER: &str = r#"ApiKey realm="partners""#;

fn server(issuer: &tower_resource_server::test_issuer::TestIssuer) -> ResourceServer {
    builder(trusting(issuer)).other_challenge(OTHER).build().unwrap()
}

fn schemes(reply: &Reply) -> Vec<&str> {
    reply.challenges.iter().map(|challenge| challenge.scheme.as_str()).collect()
}

#[tokio::test]
async fn every_401_names_both_schemes_and_no_other_answer_does() {
    let issuer = issuer();
    let server = server(&issuer);
    let old = issuer.token().expires_in(-600).sign();
    let token = issuer.token().scope("a").sign();
    let both = &["Bearer", "ApiKey"][..];
    for (name, layer, value, status, expected) in [
        ("no token", server.layer(), None, 401, both),
        ("another scheme", server.layer(), Some("ApiKey 123".to_owned()), 401, both),
        ("a bad token", server.layer(), Some(format!("Bearer {old}")), 401, both),
        ("a login", server.protect(acr(["high"])), Some(format!("Bearer {token}")), 401, both),
        ("malformed", server.layer(), Some("Bearer a b".to_owned()), 400, &["Bearer"][..]),
        ("scope", server.protect(scope("b")), Some(format!("Bearer {token}")), 403, &["Bearer"]),
        ("role", server.protect(role("x")), Some(format!("Bearer {token}")), 403, &["Bearer"]),
        ("neighbour", server.protect(scope("a")), Some(format!("Bearer {token}")), 200, &[]),
    ] {
        let mut request = http::Request::get("/").body(Body::default()).unwrap();
        if let Some(value) = value {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        let reply = api(layer).send(request).await;
        assert_eq!(reply.status, status, "{name}");
        assert_eq!(schemes(&reply), expected, "{name}");
    }
}

#[tokio::test]
async fn another_scheme_passes_an_optional_layer_and_a_bad_token_does_not() {
    let issuer = issuer();
    let api = api(server(&issuer).optional_layer());
    let with = |value: &str| {
        let request = http::Request::get("/").header("authorization", value);
        request.body(Body::default()).unwrap()
    };
    let reply = api.send(with("ApiKey 123")).await;
    assert_eq!((reply.status.as_u16(), reply.ran), (200, true));
    let reply = api.send(with("Bearer garbage")).await;
    assert_eq!((reply.status.as_u16(), reply.ran), (401, false));
    assert_eq!(schemes(&reply), ["Bearer", "ApiKey"]);
}

#[test]
fn a_challenge_that_is_ours_or_malformed_is_a_config_error() {
    let issuer = issuer();
    let build = |challenge: &str| -> Result<_, ConfigError> {
        builder(trusting(&issuer)).other_challenge(challenge).build()
    };
    for challenge in ["", "Bearer realm=\"x\"", "dpop", "a,b", "ApiKey \u{e9}", "ApiKey a\nb"] {
        let error = build(challenge).expect_err(challenge);
        assert!(error.problems()[0].starts_with("other_challenge"), "{error}");
    }
    assert!(build(OTHER).is_ok());
}
