//! One table of requirements for a whole service: no handler runs under the requirement of another route.
//!
//! Each handler writes its own name, which is also the scope that its route requires. So a token that holds
//! one scope may reach one handler only, whatever the request looks like.

mod support;

#[path = "../examples/hyper/routes.rs"]
mod example;
#[path = "routes/hostile.rs"]
mod hostile;
#[path = "routes/wire.rs"]
mod wire;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use hostile::{HOSTILE, LISTED, Row};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use support::{AUDIENCE, Body, Counted, api, builder, issuer, server, trusting};
use tower::{Layer as _, service_fn};
use tower_resource_server::policy::{Routes, all_of, authenticated};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, Claims, Issuer, ResourceServer, scope};
use wire::{Answer, Wire};

/// The scopes of the listed routes.
const SCOPES: &[&str] = &[
    "root", "list", "create", "note", "erase", "export", "files", "users", "user", "tenant",
    "slash", "any", "action",
];

/// A token with one scope, for each scope.
fn tokens(issuer: &TestIssuer) -> Vec<(&'static str, String)> {
    SCOPES.iter().map(|scope| (*scope, issuer.token().scope(scope).sign())).collect()
}

fn all_scopes(issuer: &TestIssuer) -> String {
    issuer.token().scope(&SCOPES.join(" ")).sign()
}

/// The same routes for both readers. In axum's router, they are spread over nested and merged routers.
fn listed(routes: Routes) -> Routes {
    routes
        .get("/", scope("root"))
        .get("/notes", scope("list"))
        .post("/notes", scope("create"))
        .get("/notes/{id}", scope("note"))
        .delete("/notes/{id}", scope("erase"))
        .get("/notes/export", scope("export"))
        .get("/files/{*rest}", scope("files"))
        .get("/admin/users", scope("users"))
        .get("/admin/users/{id}", scope("user"))
        .get("/{tenant}", scope("tenant"))
        .get("/slash/", scope("slash"))
        .any("/any", scope("any"))
        .get("/v1/items:batch", scope("action"))
}

/// Each listed route answers a token of its own scope, and refuses a token of every other scope.
async fn listed_routes_work(wire: &Wire, issuer: &TestIssuer) {
    for (method, target, own) in LISTED {
        let row = Row { method, target, headers: "" };
        for (scope, token) in &tokens(issuer) {
            let answer = wire.send(&row, Some(token)).await;
            if scope == own {
                assert_eq!(
                    (answer.status, answer.handler()),
                    (200, Some(*own)),
                    "{method} {target}"
                );
            } else {
                assert_eq!(
                    (answer.status, answer.handler()),
                    (403, None),
                    "{method} {target} {scope}"
                );
                let challenge = answer.challenge();
                assert_eq!(
                    challenge.param("error"),
                    Some("insufficient_scope"),
                    "{method} {target}"
                );
                assert_eq!(challenge.param("scope"), Some(*own), "{method} {target}");
            }
        }
        let anonymous = wire.send(&row, None).await;
        assert_eq!((anonymous.status, anonymous.handler()), (401, None), "{method} {target}");
        assert_eq!(anonymous.challenge().param("scope"), Some(*own), "{method} {target}");
        assert_eq!(anonymous.challenge().param("error"), None, "{method} {target}");
    }
}

/// Whatever a request looks like: a handler runs only for a token with the scope of that very handler.
/// Returns how many requests reached a handler.
async fn no_route_under_another_requirement(wire: &Wire, issuer: &TestIssuer) -> usize {
    assert!(HOSTILE.len() >= 60, "{}", HOSTILE.len());
    let (tokens, all) = (tokens(issuer), all_scopes(issuer));
    let mut ran = 0;
    for row in HOSTILE {
        for (scope, token) in &tokens {
            let answer = wire.send(row, Some(token)).await;
            if let Some(handler) = answer.handler() {
                assert_eq!(handler, *scope, "{row:?}");
                ran += 1;
            }
        }
        // With all scopes, no handler runs that is not listed.
        let answer = wire.send(row, Some(&all)).await;
        assert!(
            answer.handler().is_none_or(|handler| SCOPES.contains(&handler)),
            "{row:?} {answer:?}"
        );
        if answer.handler().is_none() && answer.status == 403 {
            assert_unlisted(&answer, &format!("{row:?}"));
        }
        let anonymous = wire.send(row, None).await;
        assert_eq!(anonymous.handler(), None, "{row:?}");
        assert!([400, 401, 414, 431].contains(&anonymous.status), "{row:?} {anonymous:?}");
    }
    ran
}

fn assert_unlisted(answer: &Answer, name: &str) {
    assert_eq!((answer.status, answer.handler()), (403, None), "{name}");
    assert_eq!(answer.challenge().param("error"), None, "{name}");
    assert_eq!(answer.challenge().param("scope"), None, "{name}");
}

// ---- any Tower service ------------------------------------------------------------------------------

/// A hand-written `match` on the method and the path.
fn by_match(method: &str, path: &str) -> &'static str {
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    match (method, segments.as_slice()) {
        (_, ["any"]) => "any",
        ("POST", ["notes"]) => "create",
        ("DELETE", ["notes", _]) => "erase",
        ("GET" | "HEAD", segments) => match segments {
            [""] => "root",
            ["notes"] => "list",
            ["notes", "export"] => "export",
            ["notes", _] => "note",
            ["files", _, ..] => "files",
            ["admin", "users"] => "users",
            ["admin", "users", _] => "user",
            ["slash", ""] => "slash",
            ["v1", "items:batch"] => "action",
            ["hidden", ..] => "hidden",
            [_] => "tenant",
            _ => "fallback",
        },
        _ => "fallback",
    }
}

/// A reader that repairs what it can: it decodes twice, takes a backslash for a slash, drops parameters,
/// empty segments and dot segments, and ignores letter case, blanks, and dots and slashes at the end.
fn by_lenient_match(method: &str, path: &str) -> &'static str {
    let decode = |text: &str| -> String {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            let octet = tail
                .get(..2)
                .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
            match octet {
                Some(octet) if *first == b'%' => {
                    bytes.push(octet);
                    rest = &tail[2..];
                }
                _ => {
                    bytes.push(*first);
                    rest = tail;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let path = decode(&decode(path)).replace('\\', "/").to_lowercase();
    let path = path.split(['?', '#', '\0']).next().unwrap();
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        let name = segment.split(';').next().unwrap().trim();
        match name.trim_end_matches(['.', ' ']) {
            "" if name == ".." => {
                segments.pop();
            }
            "" => {}
            segment => segments.push(segment),
        }
    }
    let path = match segments.as_slice() {
        ["slash"] => "/slash/".to_owned(),
        segments => format!("/{}", segments.join("/")),
    };
    by_match(&method.to_uppercase(), &path)
}

fn service(
    read: fn(&str, &str) -> &'static str,
) -> impl tower::Service<
    Request<hyper::body::Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    service_fn(move |request: Request<hyper::body::Incoming>| async move {
        let handler = read(request.method().as_str(), request.uri().path());
        let mut response = Response::new(Body::from(handler));
        response.headers_mut().insert("x-handler", handler.parse().unwrap());
        Ok(response)
    })
}

#[tokio::test]
async fn a_hand_written_match_runs_no_route_under_another_requirement() {
    let issuer = issuer();
    let layer = server(&issuer).protect_routes(listed(Routes::for_raw_paths()));
    for (name, read) in [("exact", by_match as fn(&str, &str) -> _), ("lenient", by_lenient_match)]
    {
        let wire = Wire::hyper(layer.layer(service(read))).await;
        listed_routes_work(&wire, &issuer).await;
        let ran = no_route_under_another_requirement(&wire, &issuer).await;
        assert!(ran >= 8, "{name}: hardly a row reaches its own handler: {ran}");
    }
    // Without the table, the lenient reader runs other handlers: the rows are hostile.
    let confused = HOSTILE.iter().filter(|row| {
        let path = row.target.split('?').next().unwrap();
        by_match(row.method, path) != by_lenient_match(row.method, path)
    });
    assert!(confused.count() >= 30);
}

/// The `match` of the example `hyper`, whose handlers are known by what they write.
#[tokio::test]
async fn the_match_of_the_example_runs_no_route_under_another_requirement() {
    let issuer = issuer();
    let layer = server(&issuer).protect_routes(example::requirements());
    let wire = Wire::hyper(layer.layer(service_fn(example::answer))).await;
    let token = |scope: &str| issuer.token().subject("alice").scope(scope).sign();
    let (reader, writer, both) =
        (token("notes:read"), token("notes:write"), token("notes:read notes:write"));

    // Each route passes with its own scope, and is refused with the other.
    for (method, target, body, passes, refused, scope) in [
        ("GET", "/", "hello, alice\n", &reader, &writer, "notes:read"),
        ("GET", "/notes/7", "note 7\n", &reader, &writer, "notes:read"),
        ("DELETE", "/notes/7", "note 7 is deleted\n", &writer, &reader, "notes:write"),
    ] {
        let row = Row { method, target, headers: "" };
        let answer = wire.send(&row, Some(passes)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{method} {target}");
        let answer = wire.send(&row, Some(refused)).await;
        assert_eq!((answer.status, answer.body.as_str()), (403, ""), "{method} {target}");
        let challenge = answer.challenge();
        assert_eq!(challenge.param("error"), Some("insufficient_scope"), "{method} {target}");
        assert_eq!(challenge.param("scope"), Some(scope), "{method} {target}");
    }

    let mut ran = 0;
    for row in HOSTILE {
        for (name, token) in [
            ("reader", Some(&reader)),
            ("writer", Some(&writer)),
            ("both", Some(&both)),
            ("nobody", None),
        ] {
            let answer = wire.send(row, token.map(String::as_str)).await;
            if answer.status != 200 {
                assert!(
                    !answer.body.contains("note") && !answer.body.contains("hello"),
                    "{row:?} {answer:?}"
                );
                continue;
            }
            ran += 1;
            // Answers to HEAD have no body, and the requests for them need the scope of GET.
            let deletes = answer.body.ends_with("is deleted\n") || row.method == "DELETE";
            let allowed = match deletes {
                true => ["writer", "both"],
                false => ["reader", "both"],
            };
            assert!(allowed.contains(&name), "{name} {row:?} {answer:?}");
            assert!(!answer.body.contains("no such route"), "{name} {row:?}");
        }
    }
    assert!(ran >= 4, "hardly a row reaches its own handler: {ran}");
}

#[tokio::test]
async fn a_route_that_is_not_listed_is_refused_outside_axum() {
    let issuer = issuer();
    let layer = server(&issuer).protect_routes(listed(Routes::for_raw_paths()));
    let wire = Wire::hyper(layer.layer(service(by_match))).await;
    unlisted_is_refused(&wire, &issuer).await;
}

async fn unlisted_is_refused(wire: &Wire, issuer: &TestIssuer) {
    let (all, expired) = (all_scopes(issuer), issuer.token().expires_in(-600).sign());
    let rows = [
        ("GET", "/hidden/route"),
        ("GET", "/nothing/here"),
        ("POST", "/notes/7"),
        ("PATCH", "/notes"),
        ("OPTIONS", "/notes"),
        ("TRACE", "/notes"),
        ("get", "/notes"),
        ("POST", "/notes/export"),
        ("DELETE", "/notes/export"),
        ("GET", "/notes/"),
        ("GET", "/slash/more"),
        ("GET", "/files/"),
        ("HEAD", "/hidden/route"),
    ];
    for (method, target) in rows {
        let row = Row { method, target, headers: "" };
        let name = format!("{method} {target}");
        assert_unlisted(&wire.send(&row, Some(&all)).await, &name);
        let anonymous = wire.send(&row, None).await;
        assert_eq!((anonymous.status, anonymous.handler()), (401, None), "{name}");
        assert_eq!(anonymous.challenge().param("error"), None, "{name}");
        assert_eq!(anonymous.challenge().param("scope"), None, "{name}");
        let bad = wire.send(&row, Some(&expired)).await;
        assert_eq!((bad.status, bad.handler()), (401, None), "{name}");
        assert_eq!(bad.challenge().param("error"), Some("invalid_token"), "{name}");
    }
}

// ---- axum -------------------------------------------------------------------------------------------

#[cfg(feature = "axum")]
mod in_axum {
    use axum::Router;
    use axum::routing::{any, delete, get};

    use super::*;

    /// A handler that writes its own name.
    macro_rules! handler {
        ($name:literal) => {
            async || ([("x-handler", $name)], $name)
        };
    }

    /// Nested and merged routers, a nested service, a tail, fallbacks, and routes that are not listed.
    fn router() -> Router {
        let users = Router::new()
            .route("/", get(handler!("users")))
            .route("/{id}", get(handler!("user")))
            .fallback(handler!("fallback of users"));
        let admin = Router::new().nest("/users", users).route("/hidden", get(handler!("hidden")));
        let notes = Router::new()
            .route("/notes", get(handler!("list")).post(handler!("create")))
            .route("/notes/{id}", delete(handler!("erase")).get(handler!("note")))
            .route("/notes/export", get(handler!("export")));
        let inner = Router::new()
            .route("/", any(handler!("root of a service")))
            .route("/notes", any(handler!("a service")))
            .fallback(handler!("fallback of a service"));
        Router::new()
            .route("/", get(handler!("root")))
            .merge(notes)
            .route("/files/{*rest}", get(handler!("files")))
            .nest("/admin", admin)
            .route("/{tenant}", get(handler!("tenant")))
            .route("/slash/", get(handler!("slash")))
            .route("/any", any(handler!("any")))
            .route("/v1/items:batch", get(handler!("action")))
            .route("/hidden/{*rest}", any(handler!("hidden")))
            .nest_service("/service", inner)
            .fallback(handler!("fallback"))
            .method_not_allowed_fallback(handler!("method not allowed"))
    }

    #[tokio::test]
    async fn a_router_runs_no_route_under_another_requirement() {
        let issuer = issuer();
        let layer = server(&issuer).protect_routes(listed(Routes::for_axum()));
        let wire = Wire::axum(router().layer(layer)).await;
        listed_routes_work(&wire, &issuer).await;
        let ran = no_route_under_another_requirement(&wire, &issuer).await;
        assert!(ran >= 20, "hardly a row reaches its own handler: {ran}");
    }

    #[tokio::test]
    async fn a_route_that_is_not_listed_is_refused_in_axum() {
        let issuer = issuer();
        let layer = server(&issuer).protect_routes(listed(Routes::for_axum()));
        let wire = Wire::axum(router().layer(layer)).await;
        unlisted_is_refused(&wire, &issuer).await;
        // What axum has and the table can't know.
        for target in
            ["/service/notes", "/service", "/service/", "/admin/users/1/2", "/admin/hidden"]
        {
            let row = Row { method: "GET", target, headers: "" };
            assert_unlisted(&wire.send(&row, Some(&all_scopes(&issuer))).await, target);
        }
    }

    /// Without a matched pattern there is no requirement, so that nothing passes.
    #[tokio::test]
    async fn a_layer_around_the_router_refuses_all() {
        let issuer = issuer();
        let layer = server(&issuer).protect_routes(listed(Routes::for_axum()));
        let wire = Wire::hyper(layer.layer(router())).await;
        for (method, target, _) in LISTED {
            let row = Row { method, target, headers: "" };
            assert_unlisted(&wire.send(&row, Some(&all_scopes(&issuer))).await, target);
        }
    }

    /// The pattern that axum gives for each way of nesting: a layer inside sees the prefix, too.
    #[tokio::test]
    async fn a_layer_inside_a_nested_router_sees_the_whole_pattern() {
        let issuer = issuer();
        let api = server(&issuer);
        let inner = |routes: Routes| {
            Router::new()
                .route("/", get(handler!("inner root")))
                .route("/{id}", get(handler!("inner")))
                .fallback(handler!("inner fallback"))
                .layer(api.protect_routes(routes))
        };
        let token = issuer.token().scope("root inner").sign();
        let nested = Routes::for_axum().get("/in", scope("root")).get("/in/{id}", scope("inner"));
        // axum appends the inner pattern to the prefix.
        let service = Routes::for_axum().get("/in/", scope("root")).get("/in/{id}", scope("inner"));
        let wrong = Routes::for_axum().get("/", scope("root")).get("/{id}", scope("inner"));
        let outer = Router::new;
        let rows = [
            ("nest", outer().nest("/in", inner(nested.clone())), "/in", Some("inner root")),
            ("nest", outer().nest("/in", inner(nested.clone())), "/in/7", Some("inner")),
            ("nest, no prefix", outer().nest("/in", inner(wrong.clone())), "/in/7", None),
            ("nest, fallback", outer().nest("/in", inner(nested)), "/in/7/8", None),
            (
                "service",
                outer().nest_service("/in", inner(service.clone())),
                "/in",
                Some("inner root"),
            ),
            (
                "service",
                outer().nest_service("/in", inner(service.clone())),
                "/in/7",
                Some("inner"),
            ),
            ("service, no prefix", outer().nest_service("/in", inner(wrong)), "/in/7", None),
            ("service, fallback", outer().nest_service("/in", inner(service)), "/in/7/8", None),
        ];
        for (name, app, target, expected) in rows {
            let wire = Wire::axum(app).await;
            let answer = wire.send(&Row { method: "GET", target, headers: "" }, Some(&token)).await;
            assert_eq!(answer.handler(), expected, "{name}: {target}");
            assert_eq!(
                answer.status,
                if expected.is_some() { 200 } else { 403 },
                "{name}: {target}"
            );
            let other = issuer.token().scope("other").sign();
            let answer = wire.send(&Row { method: "GET", target, headers: "" }, Some(&other)).await;
            assert_eq!((answer.status, answer.handler()), (403, None), "{name}: {target}");
        }
    }

    #[tokio::test]
    async fn a_preflight_reaches_a_cors_layer_inside_and_no_handler() {
        let issuer = issuer();
        let cors = tower_http::cors::CorsLayer::new()
            .allow_origin(["https://app.example.com".parse().unwrap()])
            .allow_methods([Method::GET]);
        let table = listed(Routes::for_axum());
        let app =
            |routes| router().layer(cors.clone()).layer(server(&issuer).protect_routes(routes));
        let open = Wire::axum(app(table.clone().allow_preflight())).await;
        let closed = Wire::axum(app(table)).await;
        let headers = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n";
        for target in ["/notes", "/notes/7", "/files/a/b", "/admin/users", "/any"] {
            let row = Row { method: "OPTIONS", target, headers };
            let answer = open.send(&row, None).await;
            assert_eq!((answer.status, answer.handler()), (200, None), "{target}");
            assert!(answer.head.contains("access-control-allow-methods: GET"), "{answer:?}");
            // The same with a table that does not allow it, and for routes that are not listed.
            assert_eq!(closed.send(&row, None).await.status, 401, "{target}");
        }
        for target in ["/hidden/route", "/service/notes", "/no/such/route"] {
            let row = Row { method: "OPTIONS", target, headers };
            assert_eq!(open.send(&row, None).await.status, 401, "{target}");
        }
    }
}

// ---- preflight --------------------------------------------------------------------------------------

#[tokio::test]
async fn fetch_1_a_preflight_passes_only_when_asked_for_by_name() {
    let issuer = issuer();
    let routes = || {
        Routes::for_raw_paths()
            .get("/notes", scope("list"))
            .any("/any", scope("any"))
            .get("/options", scope("list"))
            .route(Method::OPTIONS, "/options", scope("options"))
    };
    let open = api(server(&issuer).protect_routes(routes().allow_preflight()));
    let closed = api(server(&issuer).protect_routes(routes()));
    const ORIGIN: (&str, &str) = ("origin", "https://app.example.com");
    const METHOD: (&str, &str) = ("access-control-request-method", "PUT");
    const EMPTY: (&str, &str) = ("origin", "");
    const BAD: (&str, &str) = ("authorization", "Bearer not.a.token");
    type Headers = &'static [(&'static str, &'static str)];
    let rows: [(&str, &str, &str, Headers, bool); 17] = [
        ("preflight", "OPTIONS", "/notes", &[ORIGIN, METHOD], true),
        ("of a route for all methods", "OPTIONS", "/any", &[ORIGIN, METHOD], true),
        ("with a query", "OPTIONS", "/notes?a=b", &[ORIGIN, METHOD], true),
        ("of an opaque origin", "OPTIONS", "/notes", &[("origin", "null"), METHOD], true),
        ("with credentials, not read", "OPTIONS", "/notes", &[ORIGIN, METHOD, BAD], true),
        ("no origin", "OPTIONS", "/notes", &[METHOD], false),
        ("an empty origin", "OPTIONS", "/notes", &[EMPTY, METHOD], false),
        ("two origins", "OPTIONS", "/notes", &[ORIGIN, ORIGIN, METHOD], false),
        ("no method", "OPTIONS", "/notes", &[ORIGIN], false),
        ("two methods", "OPTIONS", "/notes", &[ORIGIN, METHOD, METHOD], false),
        ("GET", "GET", "/notes", &[ORIGIN, METHOD], false),
        ("POST", "POST", "/any", &[ORIGIN, METHOD], false),
        ("lower case", "options", "/any", &[ORIGIN, METHOD], false),
        (
            "overridden",
            "GET",
            "/any",
            &[("x-http-method-override", "OPTIONS"), ORIGIN, METHOD],
            false,
        ),
        ("not listed", "OPTIONS", "/hidden", &[ORIGIN, METHOD], false),
        ("two readings", "OPTIONS", "/any/../notes", &[ORIGIN, METHOD], false),
        ("listed by name", "OPTIONS", "/options", &[ORIGIN, METHOD], false),
    ];
    for (name, method, path, headers, passes) in rows {
        let request = || {
            let mut request = Request::builder().method(method).uri(path);
            for (header, value) in headers {
                request = request.header(*header, *value);
            }
            request.body(Body::default()).unwrap()
        };
        let reply = open.send(request()).await;
        if passes {
            reply.assert_ok(name);
            assert_eq!(reply.json()["anonymous"], true, "{name}");
        } else {
            reply.assert_invited(name);
        }
        let reply = closed.send(request()).await;
        assert_eq!((reply.status.as_u16(), reply.ran), (401, false), "{name}");
    }
}

/// Nobody is authenticated: neither by the preflight itself nor by a layer around the table.
#[tokio::test]
async fn a_preflight_is_anonymous_whatever_an_outer_layer_has_found() {
    let (first, second) = (issuer(), TestIssuer::in_process("https://other.example.com"));
    let table = || Routes::for_raw_paths().get("/notes", scope("list")).allow_preflight();
    let other = builder(trusting(&second)).build().unwrap();
    let own = server(&first);
    let preflight = |token: &str| {
        Request::options("/notes")
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", "GET")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::default())
            .unwrap()
    };
    let stack = |outer: &ResourceServer, inner: &ResourceServer| {
        let layers = (outer.layer(), inner.protect_routes(table()));
        api(tower::ServiceBuilder::new().layer(layers.0).layer(layers.1).into_inner())
    };
    let token = first.token().scope("list").sign();
    let reply = stack(&own, &own).send(preflight(&token)).await;
    reply.assert_ok("the same server");
    assert_eq!(reply.json()["anonymous"], true);
    let reply = stack(&other, &own).send(preflight(&second.token().scope("list").sign())).await;
    reply.assert_ok("another server");
    assert_eq!(reply.json()["anonymous"], true);
    // The neighbour: GET is authenticated.
    let get = Request::get("/notes").header("authorization", format!("Bearer {token}"));
    let reply = stack(&own, &own).send(get.body(Body::default()).unwrap()).await;
    reply.assert_ok("GET");
    assert_eq!(reply.json()["anonymous"], false);
    assert_eq!(reply.json()["sub"], "alice");
}

#[tokio::test]
async fn a_preflight_loses_its_token_where_the_header_is_stripped() {
    let issuer = issuer();
    let seen = service_fn(|request: Request<Body>| async move {
        let shown = request.headers().contains_key("authorization").to_string();
        Ok::<_, Infallible>(Response::new(Body::from(shown)))
    });
    for (strips, expected) in [(true, "false"), (false, "true")] {
        let builder = builder(trusting(&issuer));
        let builder = if strips { builder.strip_authorization() } else { builder };
        let table = Routes::for_raw_paths().get("/notes", scope("list")).allow_preflight();
        let layer = builder.build().unwrap().protect_routes(table);
        let request = Request::options("/notes")
            .header("origin", "null")
            .header("access-control-request-method", "GET")
            .header("authorization", "Bearer abc");
        let request = request.body(Body::default()).unwrap();
        let response = tower::ServiceExt::oneshot(layer.layer(seen), request).await.unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        assert_eq!(body, expected, "strips: {strips}");
    }
}

// ---- the rest of a layer ----------------------------------------------------------------------------

fn request(path: &str, token: &str) -> Request<Body> {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    request.body(Body::default()).unwrap()
}

#[tokio::test]
async fn authenticated_lists_a_route_for_every_token() {
    let issuer = issuer();
    let table =
        Routes::for_raw_paths().get("/me", authenticated()).get("/notes", all_of(["a", "b"]));
    let api = api(server(&issuer).protect_routes(table));
    let token = issuer.token().sign();
    api.send(request("/me", &token)).await.assert_ok("/me");
    api.send(request("/notes", &token)).await.assert_insufficient_scope("/notes", "a b");
    api.send(Request::get("/me").body(Body::default()).unwrap()).await.assert_invited("anonymous");
}

/// The decision continues after a wait for keys, with the requirement of the same route.
#[tokio::test]
async fn a_wait_for_keys_does_not_change_the_requirement() {
    let issuer = issuer();
    let fresh = || {
        let source =
            Counted { document: issuer.jwks().to_string(), fetches: Arc::new(AtomicUsize::new(0)) };
        let issuer = Issuer::new(issuer.url()).key_source(source);
        let server = ResourceServer::builder().issuer(issuer).audience(AUDIENCE).build().unwrap();
        let table = Routes::for_raw_paths()
            .get("/notes", scope("list"))
            .get("/files/{*rest}", scope("files"));
        api(server.protect_routes(table))
    };
    let token = issuer.token().scope("list").sign();
    let rows = [("/notes", 200), ("/files/a", 403), ("/other", 403), ("/notes/..", 403)];
    for (path, status) in rows {
        let reply = fresh().send(request(path, &token)).await;
        assert_eq!((reply.status.as_u16(), reply.ran), (status, status == 200), "{path}");
    }
    let forged = "Bearer ".len();
    let reply = fresh().send(request("/files/a", &token[..token.len() - forged])).await;
    reply.assert_invalid_token("a bad signature");
}

#[tokio::test]
async fn a_hidden_route_can_not_be_told_from_one_that_is_not_listed() {
    let issuer = issuer();
    let hidden = || tower_resource_server::policy::Requirement::from(scope("audit")).hidden();
    let table = || Routes::for_raw_paths().get("/audit", hidden()).get("/notes", scope("list"));
    let token = issuer.token().scope("other").sign();
    let secret = server(&issuer).protect_routes(table().hide_unlisted());
    let shown = async |path: &str| {
        let inner =
            service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::<Body>::default()));
        let service = secret.layer(inner);
        let response = tower::ServiceExt::oneshot(service, request(path, &token)).await.unwrap();
        (response.status(), response.headers().clone())
    };
    assert_eq!(shown("/audit").await, (StatusCode::NOT_FOUND, HeaderMap::new()));
    assert_eq!(shown("/none").await, (StatusCode::NOT_FOUND, HeaderMap::new()));
    // An anonymous client, and one with a bad token, learn no scope of it.
    let invited = api(server(&issuer).protect_routes(table().hide_unlisted()));
    let anonymous = async |path: &str| {
        let reply = invited.send(Request::get(path).body(Body::default()).unwrap()).await;
        reply.assert_invited(path);
        reply.challenges[0].param("scope").map(str::to_owned)
    };
    assert_eq!(anonymous("/audit").await, None);
    assert_eq!(anonymous("/none").await, None);
    assert_eq!(anonymous("/notes").await.as_deref(), Some("list"));
    // Neighbours: another route is 403, and so is one that is not listed, without the setting.
    let secret = api(secret);
    secret.send(request("/notes", &token)).await.assert_insufficient_scope("/notes", "list");
    let open = api(server(&issuer).protect_routes(table()));
    assert_eq!(open.send(request("/none", &token)).await.status, 403);
}

#[tokio::test]
async fn checks_of_a_listed_route_see_the_request() {
    use http::request::Parts;
    let issuer = issuer();
    let own = scope("list").and_check_request(|parts: &Parts, token: &AccessToken<Claims>| {
        parts.uri.path().strip_prefix("/users/") == token.subject()
    });
    let slow = scope("list").and_check_async(|parts: &Parts, _: &AccessToken<Claims>| {
        let passes = parts.uri.path().ends_with("/yes");
        async move {
            tokio::task::yield_now().await;
            match passes {
                true => Ok(()),
                false => Err(tower_resource_server::policy::LookupError::refused("no")),
            }
        }
    });
    let table = Routes::for_raw_paths().get("/users/{name}", own).get("/slow/{answer}", slow);
    let api = api(server(&issuer).protect_routes(table));
    let token = issuer.token().subject("alice").scope("list").sign();
    let rows = [("/users/alice", 200), ("/users/bob", 403), ("/slow/yes", 200), ("/slow/no", 403)];
    for (path, status) in rows {
        let reply = api.send(request(path, &token)).await;
        assert_eq!((reply.status.as_u16(), reply.ran), (status, status == 200), "{path}");
    }
}
