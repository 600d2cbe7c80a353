//! RFC 6750, Bearer Token Usage.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE};
use http::{Method, Request, Response};
use tower::{Layer, ServiceBuilder};
use tower_resource_server::policy::{Policy, all_of};
use tower_resource_server::token::ScopeToken;
use tower_resource_server::{Issuer, ResourceServer, scope};

use crate::support::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn form(method: Method, content_type: &str, body: impl Into<bytes::Bytes>) -> Request<Body> {
    let request = Request::builder().method(method).uri("https://api.example.com/notes");
    request.header(CONTENT_TYPE, content_type).body(Body::new(body.into())).unwrap()
}

fn with_form(
    server: &ResourceServer,
    limit: usize,
) -> impl Layer<
    EchoService,
    Service: tower::Service<
        Request<Body>,
        Response = Response<Body>,
        Error = std::convert::Infallible,
    > + Clone,
> + use<> {
    ServiceBuilder::new().layer(server.form_token_layer(limit)).layer(server.layer()).into_inner()
}

#[tokio::test]
async fn id_6750_2_1_a_token_by_two_methods_is_an_error() {
    let issuer = issuer();
    let token = issuer.token().sign();
    let server = builder(trusting(&issuer)).query_token().build().unwrap();
    let api = api(with_form(&server, 10_000));
    let bearer = format!("Bearer {token}");
    let in_form = format!("access_token={token}");

    let mut request = form(Method::POST, FORM, in_form.clone());
    api.send(request.clone()).await.assert_ok("form alone");
    request.headers_mut().insert(AUTHORIZATION, bearer.parse().unwrap());
    api.send(request.clone()).await.assert_invalid_request("header and form, equal");

    // Another server's form layer between the two reads the same body.
    let other = crate::support::server(&issuer);
    let between = ServiceBuilder::new()
        .layer(server.form_token_layer(10_000))
        .layer(other.form_token_layer(10_000))
        .layer(server.layer());
    let between = crate::support::api(between);
    between.send(request.clone()).await.assert_invalid_request("header and form, two form layers");
    request.headers_mut().remove(AUTHORIZATION);
    between.send(request).await.assert_ok("form alone, two form layers");

    let uri = format!("https://api.example.com/?access_token={token}");
    let query = || Request::get(&uri);
    api.send(query().body(Body::default()).unwrap()).await.assert_ok("query alone");
    let both = query().header(AUTHORIZATION, &bearer).body(Body::default()).unwrap();
    api.send(both).await.assert_invalid_request("header and query, equal");

    let mut request = form(Method::POST, FORM, in_form);
    *request.uri_mut() = uri.parse().unwrap();
    api.send(request).await.assert_invalid_request("form and query, equal");
}

#[tokio::test]
async fn id_6750_2_1_1_and_2_the_header_method_with_the_scheme_in_any_case() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        api.authorization(&format!("{scheme} {token}")).await.assert_ok(scheme);
    }
    api.authorization(&format!("Bearers {token}")).await.assert_invited("another scheme");
}

#[tokio::test]
async fn id_6750_2_1_3_credentials_are_one_token68() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    for value in ["a b", "a,b", "\"a\"", "=", "a=b", "a\tb", "a;b", "a==b", "{\"alg\":\"none\"}"] {
        let reply = api.authorization(&format!("Bearer {value}")).await;
        reply.assert_invalid_request(value);
    }
    api.authorization("Bearer\ta").await.assert_invalid_request("tab");
    let umlaut = http::HeaderValue::from_bytes(b"Bearer \xc3\xa9").unwrap();
    let request = get().header(AUTHORIZATION, umlaut).body(Body::default()).unwrap();
    api.send(request).await.assert_invalid_request("not ASCII");
    let token = issuer.token().sign();
    api.authorization(&format!("Bearer    {token}")).await.assert_ok("several spaces");

    // Nobody is asked for keys on behalf of a request that is malformed.
    let keys = Counted { document: issuer.jwks(), fetches: Arc::default() };
    let fetches = Arc::clone(&keys.fetches);
    let fetched = builder(Issuer::new(ISSUER).key_source(keys)).build().unwrap();
    let fetched = crate::support::api(fetched.layer());
    for value in ["Bearer a b", "Bearer", "Bearer =", "Bearer\ta", &format!("Bearer {token},")] {
        fetched.authorization(value).await.assert_invalid_request(value);
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 0);
    fetched.bearer(&token).await.assert_ok("well-formed");
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn id_6750_2_1_5_a_scheme_without_a_token_is_malformed() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    api.authorization("Bearer").await.assert_invalid_request("alone");
    api.authorization("BearerT").await.assert_invited("another scheme");
    api.bearer(&issuer.token().sign()).await.assert_ok("with a token");
}

#[tokio::test]
async fn id_6750_2_2_1_the_form_method_is_off_by_default() {
    let issuer = issuer();
    let request = form(Method::POST, FORM, format!("access_token={}", issuer.token().sign()));
    api(server(&issuer).layer()).send(request.clone()).await.assert_invited("off");
    api(with_form(&server(&issuer), 10_000)).send(request).await.assert_ok("on");
}

#[tokio::test]
async fn id_6750_2_2_2_a_form_is_a_form() {
    let issuer = issuer();
    let server = server(&issuer);
    let api = api(with_form(&server, 10_000));
    let body = format!("access_token={}", issuer.token().sign());
    for (name, request, used) in [
        ("POST", form(Method::POST, FORM, body.clone()), true),
        ("PUT", form(Method::PUT, FORM, body.clone()), true),
        ("PATCH", form(Method::PATCH, FORM, body.clone()), true),
        ("type in another case", form(Method::POST, &FORM.to_uppercase(), body.clone()), true),
        ("HEAD", form(Method::HEAD, FORM, body.clone()), false),
        ("plain text", form(Method::POST, "text/plain", body.clone()), false),
        ("a longer type", form(Method::POST, &format!("{FORM}x"), body.clone()), false),
        ("charset", form(Method::POST, &format!("{FORM}; charset=utf-8"), body.clone()), true),
        ("GET", form(Method::GET, FORM, body.clone()), false),
        ("DELETE", form(Method::DELETE, FORM, body.clone()), false),
        ("multipart", form(Method::POST, "multipart/form-data; boundary=x", body.clone()), false),
        ("JSON", form(Method::POST, "application/json", body.clone()), false),
        ("not ASCII", form(Method::POST, FORM, format!("{body}&a=é")), false),
    ] {
        let reply = api.send(request).await;
        if used { reply.assert_ok(name) } else { reply.assert_invited(name) }
    }
    // What one server's form layer notes, another server does not use.
    let other = crate::support::server(&issuer);
    let mixed = crate::support::api(
        ServiceBuilder::new().layer(server.form_token_layer(10_000)).layer(other.layer()),
    );
    mixed.send(form(Method::POST, FORM, body)).await.assert_invited("another server");
}

#[tokio::test]
async fn id_6750_2_2_3_the_body_is_replayed_and_its_buffer_bounded() {
    let issuer = issuer();
    let body = format!("a=%20+&access_token={}&b=", issuer.token().sign());
    let api = api(with_form(&server(&issuer), body.len()));
    let reply = api.send(form(Method::POST, FORM, body.clone())).await;
    reply.assert_ok("at the limit");
    assert_eq!(reply.json()["body"], body.as_str(), "byte for byte");
    let reply = api.send(form(Method::POST, FORM, body + "x")).await;
    assert_eq!(reply.status, 413);
    assert!(!reply.ran);
}

#[tokio::test]
async fn id_6750_2_3_1_the_query_method_is_off_by_default() {
    let issuer = issuer();
    let uri = format!("https://api.example.com/?access_token={}", issuer.token().sign());
    let request = || Request::get(&uri).body(Body::default()).unwrap();
    api(server(&issuer).layer()).send(request()).await.assert_invited("off");
    let on = builder(trusting(&issuer)).query_token().build().unwrap();
    api(on.layer()).send(request()).await.assert_ok("on");
}

#[tokio::test]
async fn id_6750_2_3_2_answers_to_query_tokens_are_private() {
    let issuer = issuer();
    let server = builder(trusting(&issuer)).query_token().build().unwrap();
    let uri = format!("https://api.example.com/?access_token={}", issuer.token().sign());
    let request = || Request::get(&uri).body(Body::default()).unwrap();
    for (own, status, expected) in [
        (None, 200, Some("private")),
        (Some("max-age=60"), 200, Some("private, max-age=60")),
        (Some("public, s-maxage=60"), 200, Some("private")),
        (Some("no-store"), 200, Some("no-store")),
        (Some("private=\"set-cookie\", max-age=3600"), 200, Some("private, max-age=3600")),
        (Some("private, max-age=3600"), 200, Some("private, max-age=3600")),
        (None, 404, None),
    ] {
        let inner = tower::service_fn(move |_: Request<Body>| async move {
            let mut response = Response::builder().status(status);
            if let Some(own) = own {
                response = response.header(CACHE_CONTROL, own);
            }
            Ok::<_, std::convert::Infallible>(response.body(Body::default()).unwrap())
        });
        use tower::ServiceExt as _;
        let response = server.layer().layer(inner).oneshot(request()).await.unwrap();
        let found = response.headers().get(CACHE_CONTROL).map(|value| value.to_str().unwrap());
        assert_eq!(found, expected, "{own:?} {status}");
    }
    let reply = api(server.layer()).bearer(&issuer.token().sign()).await;
    assert!(!reply.headers.contains_key(CACHE_CONTROL), "a token in the header changes nothing");
}

#[tokio::test]
async fn id_6750_2_3_3_the_token_is_gone_from_the_uri_behind_the_layer() {
    let issuer = issuer();
    let server = builder(trusting(&issuer)).query_token().build().unwrap();
    let token = issuer.token().sign();
    let uri = format!("https://api.example.com/notes?a=1&access_token={token}&b=%202");
    let request = Request::get(uri).body(Body::default()).unwrap();
    let reply = api(server.layer()).send(request).await;
    assert_eq!(reply.json()["uri"], "https://api.example.com/notes?a=1&b=%202");
}

#[tokio::test]
async fn id_6750_3_1_to_3_3_every_refusal_has_a_challenge_with_parameters() {
    // The support module asserts for every answer of every test: a challenge on 400, 401 and 403,
    // never a bare one, each parameter once. Here, with nothing configured: a realm.
    let issuer = issuer();
    let reply = api(server(&issuer).layer()).anonymous().await;
    reply.assert_invited("nothing configured");
    assert_eq!(reply.challenges[0].scheme, "Bearer");
    assert_eq!(reply.challenges[0].param("realm"), Some(AUDIENCE));
    let reply = api(server(&issuer).layer()).bearer(&issuer.token().sign()).await;
    reply.assert_ok("neighbour");
    assert!(reply.challenges.is_empty());
}

#[test]
fn id_6750_3_4_a_scope_outside_the_grammar_is_a_build_error() {
    for (scope, good) in [
        ("read", true),
        ("a\"b", false),
        ("a\\b", false),
        ("a\u{7}", false),
        ("é", false),
        ("", false),
    ] {
        assert_eq!(ScopeToken::parse(scope).is_ok(), good, "{scope:?}");
        let built = builder(trusting(&issuer())).challenge_scope([scope]).build();
        assert_eq!(built.is_ok(), good, "{scope:?}");
        // What a route asks for: an error from outside, a panic where the text stands in code.
        assert_eq!(Policy::try_scope(scope).is_ok(), good, "{scope:?}");
        let written = std::panic::catch_unwind(|| tower_resource_server::scope(scope));
        assert_eq!(written.is_ok(), good, "{scope:?}");
    }
}

#[tokio::test]
async fn id_6750_3_5_nothing_of_a_token_is_echoed() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let evil = "evil\"\\\r\nset-cookie: a=b\u{e9}";
    for (name, token) in [
        ("kid", issuer.token().header("kid", evil).sign()),
        ("iss", issuer.token().claim("iss", evil).sign()),
        ("aud", issuer.token().audience(evil).sign()),
        ("jti", issuer.token().claim("jti", evil).expires_in(-600).sign()),
        ("typ", issuer.token().header("typ", evil).sign()),
        ("alg", issuer.token().header("alg", evil).sign()),
    ] {
        let reply = api.bearer(&token).await;
        reply.assert_invalid_token(name);
        assert!(!format!("{:?}", reply.headers).contains("evil"), "{name}");
        assert!(reply.body.is_empty(), "{name}");
    }
    api.bearer(&issuer.token().claim("jti", evil).sign()).await.assert_ok("neighbour");
}

#[tokio::test]
async fn id_6750_3_6_and_3_8_error_uri_and_descriptions() {
    let issuer = issuer();
    for (uri, good) in [
        ("https://docs.example.com/e", true),
        ("/e", false),
        ("https://docs.example.com/ e", false),
        ("https://docs.example.com/\"e", false),
        ("https://docs.example.com/\\e", false),
        ("https://docs.example.com/é", false),
        ("https:", false),
    ] {
        let built = builder(trusting(&issuer)).error_uri(uri).build();
        assert_eq!(built.is_ok(), good, "{uri}");
    }
    let uri = "https://docs.example.com/e";
    let server = builder(trusting(&issuer)).error_uri(uri).without_error_descriptions();
    let reply = api(server.build().unwrap().layer()).bearer("abc").await;
    reply.assert_invalid_token("with a page");
    assert_eq!(reply.challenges[0].param("error_uri"), Some(uri));
    assert_eq!(reply.challenges[0].param("error_description"), None);
    let reply = api(crate::support::server(&issuer).layer()).bearer("abc").await;
    assert!(reply.challenges[0].param("error_description").is_some());
}

#[tokio::test]
async fn id_6750_3_7_and_3_1_2_a_token_that_fails_has_an_error() {
    let issuer = issuer();
    let stranger = crate::support::issuer();
    let api = api(server(&issuer).layer());
    let good = issuer.token().sign();
    for (name, token) in [
        ("malformed", "abc".to_owned()),
        ("expired", issuer.token().expires_in(-600).sign()),
        ("another key", stranger.token().sign()),
        ("cut", good[..good.len() - 4].to_owned()),
    ] {
        api.bearer(&token).await.assert_invalid_token(name);
    }
    api.bearer(&good).await.assert_ok("good");
}

#[tokio::test]
async fn id_6750_3_1_1_repeated_credentials_are_an_invalid_request() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let bearer = format!("Bearer {}", issuer.token().sign());
    let once = get().header(AUTHORIZATION, &bearer);
    api.send(once.body(Body::default()).unwrap()).await.assert_ok("once");
    let twice = get().header(AUTHORIZATION, &bearer).header(AUTHORIZATION, &bearer);
    api.send(twice.body(Body::default()).unwrap()).await.assert_invalid_request("twice");
}

#[tokio::test]
async fn id_6750_3_1_3_insufficient_scope_names_all_scopes_of_the_route() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(all_of(["a", "b"])));
    let token = issuer.token().scope("a").sign();
    api.bearer(&token).await.assert_insufficient_scope("one of two", "a b");
    api.bearer(&issuer.token().scope("a b").sign()).await.assert_ok("both");
}

#[tokio::test]
async fn id_6750_3_1_4_without_credentials_there_is_no_error_code() {
    let issuer = issuer();
    let api = api(server(&issuer).protect(scope("a")));
    for (name, value) in [("basic", "Basic YTpi"), ("digest", "Digest a=\"b\""), ("empty", "")] {
        api.authorization(value).await.assert_invited(name);
    }
    let reply = api.anonymous().await;
    reply.assert_invited("none");
    assert_eq!(reply.challenges[0].param("scope"), Some("a"), "`protect` names the scope");
}

#[tokio::test]
async fn id_6750_3_1_5_a_repeated_parameter_is_an_invalid_request() {
    let issuer = issuer();
    let api = api(with_form(&server(&issuer), 10_000));
    let one = format!("access_token={}", issuer.token().sign());
    api.send(form(Method::POST, FORM, one.clone())).await.assert_ok("one");
    let two = form(Method::POST, FORM, format!("{one}&{one}"));
    api.send(two).await.assert_invalid_request("two");
    let server = builder(trusting(&issuer)).query_token().build().unwrap();
    let api = crate::support::api(server.layer());
    for (name, query, good) in [("one", one.clone(), true), ("two", format!("{one}&{one}"), false)]
    {
        let request = Request::get(format!("https://api.example.com/?{query}"));
        let reply = api.send(request.body(Body::default()).unwrap()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_request(name) }
    }
}

#[tokio::test]
async fn id_6750_5_3_1_a_cookie_is_no_credential() {
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let token = issuer.token().sign();
    for cookie in [format!("access_token={token}"), format!("Authorization=Bearer {token}")] {
        let request = get().header(COOKIE, cookie).body(Body::default()).unwrap();
        api.send(request).await.assert_invited("cookie");
    }
    api.bearer(&token).await.assert_ok("header");
}
