//! RFC 9449 §4.3: the method and the URL that a proof names.

use http::{Method, Uri};
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;

use super::*;

const INVALID: &str = "invalid_dpop_proof";

fn to(method: &str, uri: &str, token: &str, proof: &str) -> Request<Body> {
    let mut request = request(token, &[proof]);
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = uri.parse().unwrap();
    request
}

#[track_caller]
fn judge(reply: &Reply, name: &str, good: bool) {
    match good {
        true => reply.assert_ok(name),
        false => reply.assert_dpop(name, INVALID),
    }
}

#[tokio::test]
async fn id_9449_4_3_8_htm_is_the_method_exactly() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    for (method, htm, good) in [
        ("GET", "GET", true),
        ("GET", "POST", false),
        ("GET", "get", false),
        ("GET", "Get", false),
        ("GET", "GET ", false),
        ("GET", "", false),
        ("GET", "*", false),
        ("GET", "HEAD", false),
        ("HEAD", "GET", false),
        ("HEAD", "HEAD", true),
        ("POST", "POST", true),
        ("POST", "GET", false),
        ("DELETE", "DELETE", true),
        ("get", "get", true),
        ("get", "GET", false),
        ("PURGE", "PURGE", true),
    ] {
        let proof = world.client.proof(htm, URL).token(&world.token).sign();
        let request = with(to(method, URL, &world.token, &proof), "x-http-method-override", htm);
        judge(&api.send(request).await, &format!("{method}, {htm}"), good);
    }
}

#[tokio::test]
async fn id_9449_4_3_9_and_4_3_10_htu_is_the_url_in_normal_form_without_query() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let host = "https://api.example.com";
    for (path, htu, good) in [
        ("/notes", format!("{host}/notes"), true),
        ("/notes?x=1", format!("{host}/notes"), true),
        ("/notes?x=1", format!("{host}/notes?x=1"), true),
        ("/notes?x=1", format!("{host}/notes?y=2#f"), true),
        ("/notes", format!("{host}/notes#f"), true),
        ("/notes?", format!("{host}/notes"), true),
        ("/notes", format!("{host}/b"), false),
        ("/notes", format!("{host}/notes/b"), false),
        ("/notes", format!("{host}/note"), false),
        ("/notes", host.to_owned(), false),
        ("/notes", "https://other.example.com/notes".to_owned(), false),
        ("/notes", "https://api.example.com.evil.example/notes".to_owned(), false),
        ("/notes", "https://api.example.com@evil.example/notes".to_owned(), false),
        ("/notes", "https://evil.example?@api.example.com/notes".to_owned(), false),
        ("/notes", "http://api.example.com/notes".to_owned(), false),
        ("/notes", "https://api.example.com:8443/notes".to_owned(), false),
        ("/notes", "/notes".to_owned(), false),
        ("/notes", String::new(), false),
        ("/notes", format!(" {host}/notes"), false),
        ("/v1/~u", "HTTPS://API.Example.com:443/v1/%7Eu".to_owned(), true),
        ("/v1/%7eu", format!("{host}/v1/~u"), true),
        ("/", host.to_owned(), true),
        ("/", format!("{host}/"), true),
        ("/", format!("{host}?x"), true),
        ("/b", format!("{host}/a/../b"), true),
        ("/a/../b", format!("{host}/b"), true),
        ("/a/%2E%2e/b", format!("{host}/b"), true),
        ("/a/./b", format!("{host}/a/b"), true),
        ("/A", format!("{host}/a"), false),
        ("/a/", format!("{host}/a"), false),
        ("/a", format!("{host}/a/"), false),
        ("/a%2Fb", format!("{host}/a%2fb"), true),
        ("/a%2Fb", format!("{host}/a/b"), false),
        ("/a/b", format!("{host}/a%2Fb"), false),
        ("/a%20b", format!("{host}/a%20b"), true),
        ("/a%20b", format!("{host}/a b"), false),
        ("/a+b", format!("{host}/a%20b"), false),
        ("/a%3Fb", format!("{host}/a?b"), false),
        ("/a;x=1", format!("{host}/a"), false),
        ("//a", format!("{host}/a"), false),
        ("/a%", format!("{host}/a%"), true),
        ("/%C3%A9", format!("{host}/%c3%a9"), true),
        ("/%C3%A9", format!("{host}/\u{e9}"), false),
        ("*", format!("{host}/*"), false),
        ("*", format!("{host}*"), false),
    ] {
        let proof = world.client.proof("GET", &htu).token(&world.token).sign();
        let name = format!("{path}, {htu}");
        judge(&api.send(to("GET", path, &world.token, &proof)).await, &name, good);
    }
}

/// The URL is the configured one and the path, whatever the request says of its host.
#[tokio::test]
async fn id_9449_4_3_11_no_field_of_the_request_names_the_host() {
    let world = World::new();
    let api = api(world.server(optional()).layer());
    let evil = "https://evil.example/notes";
    for (name, uri, fields, htu, good) in [
        ("origin form", "/notes", &[][..], URL, true),
        ("Host", "/notes", &[("host", "evil.example")], evil, false),
        ("Host, of ours", "/notes", &[("host", "evil.example")], URL, true),
        ("X-Forwarded-Host", "/notes", &[("x-forwarded-host", "evil.example")], evil, false),
        ("X-Forwarded-Host, of ours", "/notes", &[("x-forwarded-host", "evil.example")], URL, true),
        (
            "X-Forwarded-Proto",
            "/notes",
            &[("x-forwarded-proto", "http"), ("x-forwarded-port", "80")],
            "http://api.example.com/notes",
            false,
        ),
        ("X-Forwarded-Proto, of ours", "/notes", &[("x-forwarded-proto", "http")], URL, true),
        ("Forwarded", "/notes", &[("forwarded", "host=evil.example;proto=https")], evil, false),
        ("Forwarded, of ours", "/notes", &[("forwarded", "host=evil.example")], URL, true),
        (
            "X-Forwarded-Prefix",
            "/notes",
            &[("x-forwarded-prefix", "/v1"), ("x-original-url", "/v1/notes")],
            "https://api.example.com/v1/notes",
            false,
        ),
        // HTTP/2: the URI has the scheme and the authority.
        ("absolute", URL, &[], URL, true),
        ("absolute, of a proxy", "http://127.0.0.1:3000/notes", &[], URL, true),
        ("absolute, of another", evil, &[], evil, false),
        ("absolute, with a user", "https://a@evil.example/notes", &[], evil, false),
        ("absolute, without a path", "https://api.example.com", &[], AUDIENCE, true),
    ] {
        let proof = world.client.proof("GET", htu).token(&world.token).sign();
        let request = to("GET", uri, &world.token, &proof);
        let request = fields.iter().fold(request, |own, (name, value)| with(own, name, value));
        judge(&api.send(request).await, name, good);
    }
}

#[tokio::test]
async fn id_9449_4_3_11_a_service_behind_a_stripped_prefix_names_it() {
    let strip = || {
        MapRequestLayer::new(|mut request: Request<Body>| {
            let rest = request.uri().path().strip_prefix("/v1").unwrap_or_default().to_owned();
            *request.uri_mut() = Uri::try_from(if rest.is_empty() { "/" } else { &rest }).unwrap();
            request
        })
    };
    let world = World::new();
    let below = "https://api.example.com/v1";
    for (name, dpop) in [
        ("mounted_at", optional().mounted_at("/v1")),
        ("mounted_at with a slash", optional().mounted_at("/v1/")),
        ("in the public URL", Dpop::optional(below, Replay::in_process())),
        (
            "in the public URL, with a slash",
            Dpop::optional(format!("{below}/"), Replay::in_process()),
        ),
    ] {
        let server = world.server(dpop);
        let api = api(ServiceBuilder::new().layer(strip()).layer(server.layer()));
        for (htu, good) in [
            ("https://api.example.com/v1/notes", true),
            ("https://api.example.com/v1/notes?x", true),
            ("https://api.example.com/v1/../v1/notes", true),
            (URL, false),
            ("https://api.example.com/v2/notes", false),
            ("https://api.example.com/v1/v1/notes", false),
        ] {
            let proof = world.client.proof("GET", htu).token(&world.token).sign();
            let uri = "https://api.example.com/v1/notes";
            let reply = api.send(to("GET", uri, &world.token, &proof)).await;
            judge(&reply, &format!("{name}, {htu}"), good);
        }
        // The path of a request cannot leave the prefix.
        let proof = world.client.proof("GET", URL).token(&world.token).sign();
        let uri = "https://api.example.com/v1/../notes";
        api.send(to("GET", uri, &world.token, &proof)).await.assert_dpop(name, INVALID);
    }
    // Without the setting, the shorter path counts.
    let api = api(ServiceBuilder::new().layer(strip()).layer(world.server(optional()).layer()));
    let uri = "https://api.example.com/v1/notes";
    let long = world.client.proof("GET", uri).token(&world.token).sign();
    api.send(to("GET", uri, &world.token, &long)).await.assert_dpop("whole", INVALID);
    let short = world.proof().sign();
    api.send(to("GET", uri, &world.token, &short)).await.assert_ok("short");
}

#[cfg(feature = "axum")]
mod in_axum {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::OriginalUri;
    use axum::routing::{any, get};
    use http::{HeaderMap, StatusCode};
    use tower::ServiceExt as _;

    use super::super::*;

    async fn send(app: &Router, world: &World, path: &str, htu: &str) -> (StatusCode, HeaderMap) {
        let proof = world.client.proof("GET", htu).token(&world.token).sign();
        let request = http::Request::get(path)
            .header("authorization", format!("DPoP {}", world.token))
            .header("dpop", proof)
            .body(Body::empty())
            .unwrap();
        let (head, _) = app.clone().oneshot(request).await.unwrap().into_parts();
        (head.status, head.headers)
    }

    async fn uri(OriginalUri(uri): OriginalUri) -> String {
        uri.to_string()
    }

    #[tokio::test]
    async fn id_9449_4_3_11_nested_routers_see_the_url_of_the_client() {
        let world = World::new();
        let server = world.server(optional());
        let mounted = world.server(optional().mounted_at("/v1"));
        let routes = || Router::new().route("/notes", get(uri)).route("/", get(uri));
        let inside = || routes().layer(server.layer());
        let plain = tower::ServiceBuilder::new().layer(server.layer()).service(any(uri));
        let fallback = || Router::new().fallback(uri);
        for (name, app) in [
            ("inside", Router::new().nest("/v1", inside())),
            ("around", Router::new().nest("/v1", routes()).layer(server.layer())),
            ("route_layer", Router::new().nest("/v1", routes().route_layer(server.layer()))),
            (
                "on a method",
                Router::new()
                    .nest("/v1", Router::new().route("/notes", get(uri).layer(server.layer()))),
            ),
            ("nest_service", Router::new().nest_service("/v1", inside())),
            ("nest_service, plain", Router::new().nest_service("/v1", plain)),
            ("a fallback", fallback().layer(server.layer())),
            ("a fallback inside", Router::new().nest("/v1", fallback().layer(server.layer()))),
            ("fallback_service", Router::new().fallback_service(inside().nest("/v1", inside()))),
            ("merged", Router::new().nest("/v1", Router::new().merge(inside()))),
            ("a parameter", Router::new().nest("/{version}", inside())),
        ] {
            for (path, htu, status) in [
                ("/v1/notes", "https://api.example.com/v1/notes", 200),
                ("/v1/notes?x=1", "https://api.example.com/v1/notes", 200),
                ("/v1/notes", "https://api.example.com/notes", 401),
                ("/v1/notes", "https://api.example.com/v1/v1/notes", 401),
                ("/v1/notes", "https://api.example.com/v1", 401),
            ] {
                let (found, headers) = send(&app, &world, path, htu).await;
                assert_eq!(found, status, "{name}: {path}, {htu} {headers:?}");
            }
        }
        // Something before axum has removed the path, so axum's own record of it is not whole.
        let stripped = routes().layer(mounted.layer());
        for (htu, status) in
            [("https://api.example.com/v1/notes", 200), ("https://api.example.com/notes", 401)]
        {
            assert_eq!(send(&stripped, &world, "/notes", htu).await.0, status, "stripped: {htu}");
        }
        let twice = Router::new().nest("/v1", Router::new().nest("/a", inside()));
        for (htu, status) in [
            ("https://api.example.com/v1/a/notes", 200),
            ("https://api.example.com/a/notes", 401),
            ("https://api.example.com/notes", 401),
        ] {
            assert_eq!(send(&twice, &world, "/v1/a/notes", htu).await.0, status, "twice: {htu}");
        }
    }
}
