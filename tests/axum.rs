//! axum: extractors, and the traps of its order.

#![cfg(feature = "axum")]

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use tower::ServiceExt as _;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, Claims, Error, Issuer, ResourceServer, scope};

fn issuer() -> TestIssuer {
    TestIssuer::in_process("https://as.example.com")
}

fn server(issuer: &TestIssuer) -> ResourceServer {
    ResourceServer::builder()
        .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
        .audience("https://api.example.com")
        .build()
        .unwrap()
}

async fn whoami(token: AccessToken) -> String {
    token.subject().unwrap_or_default().to_owned()
}

async fn greet(token: Option<AccessToken>) -> String {
    token.map_or("anonymous".to_owned(), |token| token.subject().unwrap_or_default().to_owned())
}

struct Answer {
    status: StatusCode,
    body: String,
    error: Option<Error>,
    challenges: usize,
}

async fn send(app: &Router, method: &str, path: &str, token: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status,
        body: String::from_utf8(body.to_vec()).unwrap(),
        error: parts.extensions.get::<Error>().cloned(),
        challenges: parts.headers.get_all("www-authenticate").iter().count(),
    }
}

#[tokio::test]
async fn a_handler_gets_the_token() {
    let issuer = issuer();
    let app = Router::new().route("/", get(whoami)).layer(server(&issuer).layer());
    let answer = send(&app, "GET", "/", Some(&issuer.token().sign())).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "alice"));
    assert_eq!(send(&app, "GET", "/", None).await.status, 401);
}

#[tokio::test]
async fn an_optional_handler_gets_none_for_absent_credentials_only() {
    let issuer = issuer();
    let app = Router::new().route("/", get(greet)).layer(server(&issuer).optional_layer());
    assert_eq!(send(&app, "GET", "/", None).await.body, "anonymous");
    assert_eq!(send(&app, "GET", "/", Some(&issuer.token().sign())).await.body, "alice");
    let expired = issuer.token().expires_in(-600).sign();
    assert_eq!(send(&app, "GET", "/", Some(&expired)).await.status, 401);
}

#[tokio::test]
async fn an_anonymous_request_to_a_handler_that_needs_a_token_is_invited() {
    let issuer = issuer();
    let app = Router::new().route("/", get(whoami)).layer(server(&issuer).optional_layer());
    let answer = send(&app, "GET", "/", None).await;
    assert_eq!((answer.status, answer.challenges), (StatusCode::UNAUTHORIZED, 1));
}

#[tokio::test]
async fn an_extractor_without_a_layer_is_a_mistake_of_ours() {
    let issuer = issuer();
    let app = Router::new().route("/a", get(whoami)).route("/b", get(greet));
    for path in ["/a", "/b"] {
        let answer = send(&app, "GET", path, Some(&issuer.token().sign())).await;
        assert_eq!((answer.status, answer.challenges), (StatusCode::INTERNAL_SERVER_ERROR, 0));
        assert!(answer.body.is_empty());
        assert!(answer.error.unwrap().to_string().contains(".layer(api.layer())"));
    }
}

#[tokio::test]
async fn an_extractor_of_another_type_names_both() {
    let issuer = issuer();
    let app = Router::new()
        .route("/", get(async |token: AccessToken<serde_json::Value>| token["sub"].to_string()))
        .layer(server(&issuer).layer());
    let answer = send(&app, "GET", "/", Some(&issuer.token().sign())).await;
    assert_eq!(answer.status, 500);
    let told = answer.error.unwrap().to_string();
    assert!(told.contains("Claims") && told.contains("Value"), "{told}");
}

#[tokio::test]
async fn a_route_added_after_the_layer_is_not_covered_and_says_so() {
    let issuer = issuer();
    let api = server(&issuer);
    let token = issuer.token().scope("a").sign();
    let app = Router::new()
        .route("/inside", get(whoami))
        .layer(api.layer())
        .route("/outside", get(whoami))
        .route("/required", get(|| async { "reached" }).route_layer(api.require(scope("a"))));
    assert_eq!(send(&app, "GET", "/inside", Some(&token)).await.status, 200);
    // Not open: whatever asks for a token or a scope fails closed, and loudly.
    assert_eq!(send(&app, "GET", "/outside", Some(&token)).await.status, 500);
    assert_eq!(send(&app, "GET", "/required", Some(&token)).await.status, 500);
    // The form that can't miss a route.
    use tower::Layer as _;
    let whole = Router::new().route("/outside", get(|| async { "reached" }));
    let whole = Router::new().fallback_service(api.layer().layer(whole));
    assert_eq!(send(&whole, "GET", "/outside", None).await.status, 401);
    assert_eq!(send(&whole, "GET", "/outside", Some(&token)).await.status, 200);
    assert_eq!(send(&whole, "GET", "/nowhere", None).await.status, 401);
}

#[tokio::test]
async fn a_route_layer_covers_only_the_methods_before_it() {
    let issuer = issuer();
    let api = server(&issuer);
    let read = async || "read";
    let write = async || "written";
    let trap = Router::new()
        .route("/", get(read).route_layer(api.require(scope("a"))).post(write))
        .layer(api.layer());
    let good = Router::new()
        .route("/", get(read).post(write).route_layer(api.require(scope("a"))))
        .layer(api.layer());
    let token = issuer.token().sign();
    assert_eq!(send(&trap, "GET", "/", Some(&token)).await.status, 403);
    assert_eq!(send(&trap, "POST", "/", Some(&token)).await.status, 200, "the trap");
    assert_eq!(send(&good, "GET", "/", Some(&token)).await.status, 403);
    assert_eq!(send(&good, "POST", "/", Some(&token)).await.status, 403);
    assert_eq!(
        send(&trap, "POST", "/", None).await.status,
        401,
        "the layer is around it all the same"
    );
}

#[tokio::test]
async fn two_servers_in_one_router() {
    let a = TestIssuer::in_process("https://a.example.com");
    let b = TestIssuer::in_process("https://b.example.com");
    let (api_a, api_b) = (server(&a), server(&b));
    let of = |api: &ResourceServer| {
        Router::new()
            .route("/", get(whoami).route_layer(api.require(scope("x"))))
            .route("/write", post(whoami).route_layer(api.require(scope("y"))))
            .layer(api.layer())
    };
    let app = Router::new().nest("/a", of(&api_a)).nest("/b", of(&api_b));
    let (token_a, token_b) = (a.token().scope("x").sign(), b.token().scope("x").sign());
    for (path, token, status) in
        [("/a", &token_a, 200), ("/b", &token_b, 200), ("/a", &token_b, 401), ("/b", &token_a, 401)]
    {
        assert_eq!(send(&app, "GET", path, Some(token)).await.status, status, "{path}");
    }
    assert_eq!(send(&app, "POST", "/a/write", Some(&token_a)).await.status, 403);
}

#[tokio::test]
async fn the_query_token_is_gone_from_the_original_uri() {
    use axum::extract::OriginalUri;
    let issuer = issuer();
    let api = ResourceServer::builder()
        .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
        .audience("https://api.example.com")
        .query_token()
        .build()
        .unwrap();
    let handler = async |OriginalUri(uri): OriginalUri, token: AccessToken<Claims>| {
        format!("{uri} {}", token.subject().unwrap_or_default())
    };
    let app = Router::new().nest("/v1", Router::new().route("/x", get(handler)).layer(api.layer()));
    let path = format!("/v1/x?access_token={}&a=1", issuer.token().sign());
    assert_eq!(send(&app, "GET", &path, None).await.body, "/v1/x?a=1 alice");
}

#[tokio::test]
async fn the_refusal_of_an_extractor_or_a_handler_has_the_body_of_the_server() {
    use axum::response::IntoResponse as _;
    use http::header::{CONTENT_TYPE, HeaderValue};
    use tower_resource_server::refusal::{ProblemJson, Refusal};

    let issuer = issuer();
    let builder = || {
        ResourceServer::builder()
            .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
            .audience("https://api.example.com")
    };
    let own = |refusal: &Refusal| {
        let text = format!("own {}", refusal.status().as_u16());
        (Some(HeaderValue::from_static("text/plain")), Body::from(text))
    };
    let wrong = async |token: AccessToken<serde_json::Value>| token["sub"].to_string();
    // What another party made of a refusal stays as it is.
    let mapped = async |token: Result<AccessToken, Refusal>| match token {
        Ok(_) => "reached".into_response(),
        Err(refusal) => {
            let mut response = refusal.into_response();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            *response.body_mut() = Body::from("<p>");
            response
        }
    };
    let open = Router::new().route("/", get(whoami));
    let routes = || {
        Router::new().route("/", get(whoami)).route("/wrong", get(wrong)).route("/own", get(mapped))
    };
    let token = issuer.token().sign();
    let problem = r#"{"title":"Unauthorized","status":401}"#;
    let fault = r#"{"title":"Internal Server Error","status":500}"#;
    let json = builder().refusal_body(ProblemJson).build().unwrap();
    let text = builder().refusal_body(own).build().unwrap();
    let empty = builder().build().unwrap();
    for (name, app, path, token, status, body) in [
        ("by the layer", routes().layer(json.layer()), "/", None, 401, problem),
        ("by the extractor", routes().layer(json.optional_layer()), "/", None, 401, problem),
        ("and it passes", routes().layer(json.optional_layer()), "/", Some(&token), 200, "alice"),
        ("a wrong type", routes().layer(json.layer()), "/wrong", Some(&token), 500, fault),
        ("mapped", routes().layer(json.optional_layer()), "/own", None, 401, "<p>"),
        ("mapped, passes", routes().layer(json.layer()), "/own", Some(&token), 200, "reached"),
        ("a function", routes().layer(text.optional_layer()), "/", None, 401, "own 401"),
        ("no body", routes().layer(empty.optional_layer()), "/", None, 401, ""),
        ("no layer", open, "/", None, 500, ""),
    ] {
        let answer = send(&app, "GET", path, token.map(String::as_str)).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (status, body), "{name}");
        assert_eq!(answer.challenges, usize::from(status == 401), "{name}");
        assert_eq!(answer.error.is_some(), status != 200, "{name}");
    }
}

#[tokio::test]
async fn an_optional_token_without_a_layer_names_the_optional_layer() {
    use axum::extract::OptionalFromRequestParts as _;

    let mut parts = Request::new(()).into_parts().0;
    let refusal = AccessToken::<Claims>::from_request_parts(&mut parts, &()).await.unwrap_err();
    assert_eq!(refusal.status(), 500);
    let text = refusal.error().to_string();
    assert!(text.contains("api.optional_layer()"), "{text}");

    let api = server(&issuer());
    let hello = async |token: Option<AccessToken>| token.map_or("anonymous", |_| "known");
    let app = Router::new().route("/x", get(hello)).layer(api.optional_layer());
    assert_eq!(send(&app, "GET", "/x", None).await.status, 200);
}

/// `manual::axum` says so, too.
#[tokio::test]
async fn what_unknown_paths_answer() {
    let issuer = issuer();
    let api = server(&issuer);
    let hello = async || "hello";
    let routes = || Router::new().route("/x", get(hello));
    let open = || Router::new().route("/open", get(hello));
    let inner = || routes().layer(api.layer());
    let own = || routes().fallback(hello).layer(api.layer());
    for (name, app, path, status) in [
        ("alone", inner(), "/nowhere", 401),
        ("merged into an open one", open().merge(inner()), "/nowhere", 401),
        ("an open one merged into it", inner().merge(open()), "/nowhere", 404),
        ("nested", open().nest("/n", inner()), "/n/nowhere", 404),
        ("nested, outside of it", open().nest("/n", inner()), "/nowhere", 404),
        (
            "nested, the layer outside",
            Router::new().nest("/n", routes()).layer(api.layer()),
            "/n/y",
            401,
        ),
        ("a fallback, then the layer", own(), "/nowhere", 401),
        ("nested with its fallback", open().nest("/n", own()), "/n/nowhere", 401),
        ("a fallback after the layer", inner().fallback(hello), "/nowhere", 200),
        ("a fallback outside", open().merge(inner()).fallback(hello), "/nowhere", 200),
        ("route_layer", routes().route_layer(api.layer()), "/nowhere", 404),
        ("route_layer, merged", open().merge(routes().route_layer(api.layer())), "/nowhere", 404),
        (
            "route_layer, merged into",
            routes().route_layer(api.layer()).merge(open()),
            "/nowhere",
            404,
        ),
        ("another method", inner(), "/x", 401),
    ] {
        let method = if name == "another method" { "POST" } else { "GET" };
        assert_eq!(send(&app, method, path, None).await.status, status, "{name}");
    }
    assert_eq!(send(&open().merge(inner()), "GET", "/open", None).await.status, 200, "a webhook");
    assert_eq!(send(&open().merge(inner()), "GET", "/x", None).await.status, 401);
}

#[tokio::test]
async fn a_route_without_scopes_keeps_the_scope_of_the_servers_challenge() {
    use tower_resource_server::policy::authenticated;
    let issuer = issuer();
    let api = ResourceServer::builder()
        .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
        .audience("https://api.example.com")
        .challenge_scope(["notes:read"])
        .build()
        .unwrap();
    for (name, layer, expected) in [
        ("the server", api.layer(), "scope=\"notes:read\""),
        ("no scope", api.protect(authenticated()), "scope=\"notes:read\""),
        ("a scope", api.protect(scope("notes:write")), "scope=\"notes:write\""),
        ("two", api.protect(["a", "b"]), "scope=\"a b\""),
    ] {
        let app = Router::new().route("/", get(whoami)).layer(layer);
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains(expected), "{name}: {challenge}");
    }
}
