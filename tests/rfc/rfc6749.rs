//! RFC 6749, The OAuth 2.0 Authorization Framework; OAuth 2.1 (draft 16).

use http::Request;
use http::header::AUTHORIZATION;
use tower_resource_server::policy::all_of;
use tower_resource_server::{Issuer, ResourceServer, scope};

use crate::support::*;

#[tokio::test]
async fn id_6749_7_1_every_token_is_checked_and_expired_ones_are_refused() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    api.bearer(&issuer.token().expires_in(-61).sign()).await.assert_invalid_token("expired");
    api.bearer(&issuer.token().expires_in(1).sign()).await.assert_ok("not expired");
}

#[tokio::test]
async fn id_6749_7_2_a_token_whose_scope_does_not_cover_the_resource_is_refused() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(scope("b")));
    api.bearer(&issuer.token().scope("a").sign()).await.assert_insufficient_scope("scope a", "b");
    api.bearer(&issuer.token().scope("b").sign()).await.assert_ok("scope b");
}

#[tokio::test]
async fn id_6749_7_2_1_the_client_is_told_why() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(scope("b")));
    api.anonymous().await.assert_invited("no credentials");
    api.authorization("Bearer a b").await.assert_invalid_request("malformed");
    api.bearer("abc").await.assert_invalid_token("no JWT");
    api.bearer(&issuer.token().sign()).await.assert_insufficient_scope("no scope", "b");
    api.bearer(&issuer.token().scope("b").sign()).await.assert_ok("good");
}

#[tokio::test]
async fn id_6749_3_3_1_scope_is_a_set_of_case_sensitive_tokens() {
    let issuer = issuer();
    let both = api(server(&issuer).protect(all_of(["a", "b"])));
    let a = api(server(&issuer).protect(scope("a")));
    both.bearer(&issuer.token().scope("b a").sign()).await.assert_ok("any order");
    for (name, held) in [("tab", "a\tb"), ("comma", "a,b"), ("no-break space", "a\u{a0}b")] {
        let reply = both.bearer(&issuer.token().scope(held).sign()).await;
        reply.assert_insufficient_scope(name, "a b");
    }
    for (name, held) in [("case", "A"), ("prefix", "a:all"), ("empty", ""), ("quoted", "\"a\"")] {
        let reply = a.bearer(&issuer.token().scope(held).sign()).await;
        reply.assert_insufficient_scope(name, "a");
    }
    a.bearer(&issuer.token().scope("a").sign()).await.assert_ok("the scope itself");
}

#[test]
fn id_6749_10_3_2_and_2_1_1_5_1_urls_are_https() {
    for (name, issuer, good) in [
        ("https", Issuer::new("https://as.example.com"), true),
        ("http issuer", Issuer::new("http://as.example.com"), false),
        ("http on loopback, not switched on", Issuer::new("http://127.0.0.1:1"), false),
        ("http jwks_uri", Issuer::new(ISSUER).jwks_uri("http://as.example.com/jwks"), false),
        ("https jwks_uri", Issuer::new(ISSUER).jwks_uri("https://as.example.com/jwks"), true),
    ] {
        let built = builder(issuer.clone()).build();
        if cfg!(not(feature = "http-client")) {
            assert!(built.is_err(), "{name}: keys can't be fetched at all");
        } else if good {
            assert!(built.is_ok(), "{name}: {built:?}");
        } else {
            let error = built.unwrap_err().to_string();
            assert!(error.contains("must be https"), "{name}: {error}");
        }
    }
    let issuer = issuer();
    let with_audience = |audience: &str| {
        ResourceServer::builder().issuer(trusting(&issuer)).audience(audience).build()
    };
    let of_issuer = |audience: &str| builder(trusting(&issuer).audience(audience)).build();
    for (audience, good) in [
        ("https://api.example.com", true),
        ("urn:example:api", true),
        ("http://api.example.com", false),
    ] {
        assert_eq!(with_audience(audience).is_ok(), good, "{audience}");
        assert_eq!(of_issuer(audience).is_ok(), good, "{audience} of an issuer");
    }
    for (audience, good) in [
        ("http://127.0.0.1:8080/api", true),
        ("http://localhost", true),
        ("http://api.example.com", false),
        ("HTTP://api.example.com", false),
        ("https://api.example.com", true),
    ] {
        let server = ResourceServer::builder().issuer(trusting(&issuer)).audience(audience);
        let built = server.allow_http_loopback().build();
        assert_eq!(built.is_ok(), good, "{audience}, with the switch for this machine");
    }
}

#[tokio::test]
async fn id_2_1_5_1_1_a_token_in_the_query_is_ignored() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    let with_query = || Request::get(format!("https://api.example.com/?access_token={token}"));
    api.send(with_query().body(Body::default()).unwrap()).await.assert_invited("query alone");
    let both = with_query().header(AUTHORIZATION, format!("Bearer {token}"));
    api.send(both.body(Body::default()).unwrap()).await.assert_ok("query beside the header");
}

#[tokio::test]
async fn id_2_1_5_1_1_1_the_header_method_rules_are_those_of_rfc_6750() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    api.authorization(&format!("bEARER {token}")).await.assert_ok("scheme in any case");
    api.authorization(&format!("Bearer {token},")).await.assert_invalid_request("not token68");
}

/// Over one connection that is kept alive: what was true of its first request is not of its second.
#[tokio::test]
async fn id_2_1_5_2_1_expiry_is_checked_on_every_request() {
    let issuer = issuer();
    let clock = tower_resource_server::clock::TestClock::starting_now();
    let server = builder(trusting(&issuer)).clock(clock.clone()).build().unwrap();
    let served = serve(server.layer()).await;
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).build().unwrap();
    let status = async |token: &str| {
        let request = client.get(&served.url).header(AUTHORIZATION, format!("Bearer {token}"));
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        response.bytes().await.unwrap();
        status
    };
    let (short, long) =
        (issuer.token().expires_in(100).sign(), issuer.token().expires_in(1_000).sign());
    assert_eq!(status(&short).await, 200, "first request");
    clock.advance(std::time::Duration::from_secs(200));
    assert_eq!(status(&short).await, 401, "the same token after its expiry");
    assert_eq!(status(&long).await, 200, "a token that lives longer");
    assert_eq!(served.connections(), 1);
}
