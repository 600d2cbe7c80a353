//! How the layer reads a body, and the origin of a request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_resource_server::layer::McpBody;
use tower_resource_server::policy::{McpPolicy, authenticated};
use tower_resource_server::scope;

use crate::server::{Mcp, RESOURCE, api, call};
use crate::support::{Body, issuer};

const LIMIT: usize = 4 * 1024 * 1024;

fn guarded() -> McpPolicy {
    McpPolicy::new()
        .require(scope("mcp"))
        .tool("free", authenticated())
        .tool("guarded", scope("admin"))
}

/// A call of a tool that has exactly so many bytes.
fn sized(size: usize) -> String {
    let start = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"free","arguments":{"x":""#;
    let end = r#""}}}"#;
    format!("{start}{}{end}", "x".repeat(size - start.len() - end.len()))
}

#[tokio::test]
async fn a_body_over_the_bound_is_413_before_any_tool_runs() {
    let mcp = Mcp::new(guarded());
    let largest = sized(LIMIT);
    mcp.ask("mcp", &largest).await.assert_ok("at the bound");
    assert_eq!(mcp.bodies(), [Bytes::from(largest)]);
    let reply = mcp.ask("mcp", &sized(LIMIT + 1)).await;
    assert_eq!(reply.status, 413);
    assert_eq!(mcp.bodies(), Vec::<Bytes>::new());
    // Without requirements for single tools, the body is not read.
    let open = Mcp::new(McpPolicy::new().require(scope("mcp")));
    open.ask("mcp", &sized(LIMIT + 1)).await.assert_ok("not read");
}

#[tokio::test]
async fn the_body_is_passed_on_unchanged() {
    let mcp = Mcp::new(guarded());
    for body in [
        call("free"),
        format!(" \n{}\t ", call("free")),
        call("free").replace("free", "fr\\u0065e"),
        r#"{"jsonrpc":"2.0","id":1e2,"method":"ping","params":null}"#.to_owned(),
        r#"{"id":1,"method":"ping","params":{"x":1e400,"y":"\ud800","z":{"a":1,"a":2}}}"#
            .to_owned(),
    ] {
        mcp.ask("mcp", &body).await.assert_ok(&body);
        assert_eq!(mcp.bodies(), [Bytes::from(body)]);
    }
    // Without a body there is no message.
    for method in ["GET", "DELETE", "POST"] {
        let request = Request::builder().method(method).uri(RESOURCE);
        let request = request.header(AUTHORIZATION, format!("Bearer {}", mcp.token("mcp")));
        mcp.send(request.body(Body::default()).unwrap()).await.assert_ok(method);
    }
    // A body counts with any method and content type.
    for method in ["GET", "PUT", "DELETE", "PATCH", "QUERY"] {
        let request =
            Request::builder().method(method).uri(RESOURCE).header("content-type", "text/plain");
        let request = request.header(AUTHORIZATION, format!("Bearer {}", mcp.token("mcp")));
        let reply = mcp.send(request.body(Body::from(call("guarded"))).unwrap()).await;
        reply.assert_insufficient_scope(method, "mcp admin");
    }
}

#[tokio::test]
async fn a_body_that_is_not_a_message_is_400() {
    let mcp = Mcp::new(guarded());
    let many = format!("[{}]", vec![call("free"); 101].join(","));
    for body in [
        " ",
        "tools/call",
        "\"tools/call\"",
        "null",
        "[]",
        "[1]",
        "{}",
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"method":7}"#,
        r#"{"method":null}"#,
        r#"{"method":"tools/call"}"#,
        r#"{"method":"tools/call","params":7}"#,
        r#"{"method":"tools/call","params":{}}"#,
        r#"{"method":"tools/call","params":{"name":null}}"#,
        r#"{"method":"tools/call","params":{"name":"\ud800"}}"#,
        r#"{"method":"tools/call","params":{"name":"free"}"#,
        r#"{"method":"tools/call","params":{"name":"free"}}}"#,
        "name=free",
        "\u{1f}\u{8b}",
        &many,
    ] {
        let reply = mcp.ask("mcp admin", body).await;
        reply.assert_invalid_request(body);
        assert_eq!(reply.json()["error"]["code"], -32600, "{body}");
        assert_eq!(mcp.bodies(), Vec::<Bytes>::new(), "{body}");
    }
    mcp.ask("mcp", &format!("[{}]", vec![call("free"); 100].join(","))).await.assert_ok("100");
    // More members than a message has.
    let members = |count| {
        let more: String = (0..count).map(|n| format!(r#","m{n}":1"#)).collect();
        format!(r#"{{"id":1,"method":"tools/call","params":{{"name":"free"}}{more}}}"#)
    };
    mcp.ask("mcp", &members(61)).await.assert_ok("64 members");
    mcp.ask("mcp", &members(62)).await.assert_invalid_request("65 members");
}

#[tokio::test]
async fn id_mcp_11_the_body_is_not_read_before_the_token_is_valid() {
    /// A body that must not be read.
    struct Unread;
    impl http_body::Body for Unread {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            panic!("the body was read")
        }
    }
    let issuer = issuer();
    let inner = service_fn(|_: Request<McpBody<Unread>>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
    });
    let service = api(&issuer).protect_mcp(guarded()).layer(inner);
    let expired = issuer.token().audience(RESOURCE).scope("mcp").expires_in(-600).sign();
    let foreign = issuer.token().scope("mcp").sign();
    for (name, token, status) in [
        ("no token", None, 401),
        ("an expired token", Some(expired), 401),
        ("a token for another resource", Some(foreign), 401),
    ] {
        let mut request = Request::post(RESOURCE);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = service.clone().oneshot(request.body(Unread).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{name}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains(r#"scope="mcp""#), "{name}: {challenge}");
    }
}

/// A client that sends its body slowly, or never, costs only itself.
#[tokio::test(start_paused = true)]
async fn a_slow_body_ends_after_the_deadline_and_holds_no_permit() {
    let issuer = issuer();
    let inner = service_fn(|request: Request<McpBody<axum::body::Body>>| async move {
        request.into_body().collect().await.unwrap();
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::from("ran")))
    });
    let inner = tower::limit::ConcurrencyLimit::new(inner, 1);
    let service = api(&issuer).protect_mcp(guarded()).layer(inner);
    let bearer = format!(
        "Bearer {}",
        issuer.token().audience(RESOURCE).scope("mcp").expires_in(3600).sign()
    );
    let request = |body| Request::post(RESOURCE).header(AUTHORIZATION, &bearer).body(body).unwrap();
    let stuck =
        axum::body::Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let stuck = tokio::spawn(service.clone().oneshot(request(stuck)));
    tokio::task::yield_now().await;
    let response = service.clone().oneshot(request(call("free").into())).await.unwrap();
    assert_eq!(response.status(), 200);
    let response = stuck.await.unwrap().unwrap();
    assert_eq!(response.status(), 408);
    // A body that breaks off.
    let start = Ok(Bytes::from(&b"{\"jsonrpc\""[..]));
    let broken = futures::stream::iter([start, Err(std::io::Error::other("gone"))]);
    let response = service.oneshot(request(axum::body::Body::from_stream(broken))).await.unwrap();
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn id_mcp_18_a_foreign_origin_is_403() {
    let with = |policy: McpPolicy| Mcp::new(policy.require(scope("mcp")));
    let post = async |mcp: &Mcp, origins: &[&str], token: bool| {
        let mut request = Request::post(RESOURCE);
        for origin in origins {
            request = request.header("origin", *origin);
        }
        if token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", mcp.token("mcp")));
        }
        let reply = mcp.send(request.body(Body::from(call("any"))).unwrap()).await;
        (reply.status.as_u16(), mcp.ran().len())
    };
    let listed = with(McpPolicy::new().allow_origin("https://app.example.com"));
    let any = with(McpPolicy::new().allow_any_origin());
    for (name, origins, is_listed) in [
        ("none", &[][..], true),
        ("the resource's own", &["https://api.example.com"], true),
        ("a listed one", &["https://app.example.com"], true),
        ("http", &["http://app.example.com"], false),
        ("another port", &["https://app.example.com:8443"], false),
        ("another host", &["https://evil.example.com"], false),
        ("a longer host", &["https://app.example.com.evil.example"], false),
        ("in capitals", &["https://APP.example.com"], false),
        ("null", &["null"], false),
        ("empty", &[""], false),
        ("two", &["https://app.example.com", "https://app.example.com"], false),
        ("a list", &["https://app.example.com https://evil.example.com"], false),
    ] {
        let expected = if is_listed { (200, 1) } else { (403, 0) };
        assert_eq!(post(&listed, origins, true).await, expected, "{name}");
        assert_eq!(post(&any, origins, true).await, (200, 1), "{name}");
        // The origin comes first, so that a foreign page learns nothing.
        let expected = if is_listed { (401, 0) } else { (403, 0) };
        assert_eq!(post(&listed, origins, false).await, expected, "{name}, no token");
    }
}

#[tokio::test]
async fn id_mcp_14_the_token_does_not_reach_the_server_behind() {
    let issuer = issuer();
    for strips in [false, true] {
        let inner = service_fn(|request: Request<McpBody<Body>>| async move {
            let sees = request.headers().contains_key(AUTHORIZATION);
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(format!(
                "sees {sees}"
            ))))
        });
        let builder = tower_resource_server::ResourceServer::builder();
        let builder = builder.issuer(crate::support::trusting(&issuer)).resource(RESOURCE);
        let server = if strips { builder.strip_authorization() } else { builder }.build().unwrap();
        let service = server.protect_mcp(guarded()).layer(inner);
        let token = issuer.token().audience(RESOURCE).scope("mcp").sign();
        let request = Request::post(RESOURCE).header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(Body::from(call("free"))).unwrap();
        let response = service.oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("sees {}", !strips));
    }
}

/// MCP-21: a stream of events ends with its token.
#[tokio::test(start_paused = true)]
async fn id_mcp_21_a_stream_of_events_ends_when_the_token_expires() {
    use std::time::Duration;
    use tower_resource_server::clock::TestClock;

    for (content_type, ends) in [
        ("text/event-stream", true),
        ("Text/Event-Stream; charset=utf-8", true),
        ("application/json", false),
    ] {
        let inner = service_fn(move |_: Request<McpBody<Body>>| async move {
            let events = futures::stream::once(async { Ok(Bytes::from("data: 1\n\n")) });
            let events = futures::StreamExt::chain(
                events,
                futures::stream::pending::<Result<Bytes, std::io::Error>>(),
            );
            let response = http::Response::builder().header("content-type", content_type);
            Ok::<_, std::convert::Infallible>(
                response.body(axum::body::Body::from_stream(events)).unwrap(),
            )
        });
        for policy in [guarded(), McpPolicy::new().require(scope("mcp"))] {
            let (issuer, clock) = (issuer(), TestClock::starting_now());
            let server = tower_resource_server::ResourceServer::builder()
                .issuer(crate::support::trusting(&issuer))
                .resource(RESOURCE)
                .clock(clock.clone())
                .leeway(Duration::ZERO)
                .build()
                .unwrap();
            let service = server.protect_mcp(policy).layer(inner);
            let token = issuer.token().audience(RESOURCE).scope("mcp").expires_in(300).sign();
            let request = Request::post(RESOURCE).header(AUTHORIZATION, format!("Bearer {token}"));
            let request = request.body(Body::from(call("free"))).unwrap();
            let mut body = service.oneshot(request).await.unwrap().into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first, "data: 1\n\n");
            clock.advance(Duration::from_secs(299));
            assert!(tokio::time::timeout(Duration::from_millis(500), body.frame()).await.is_err());
            clock.advance(Duration::from_secs(2));
            let end = tokio::time::timeout(Duration::from_secs(60), body.frame()).await;
            assert_eq!(end.is_ok_and(|frame| frame.is_none()), ends, "{content_type}");
        }
    }
}

/// A refusal that comes too late is reported to the tool.
#[tokio::test]
async fn a_refusal_after_the_response_has_begun_is_reported() {
    use tower_resource_server::AccessToken;
    use tower_resource_server::policy::Requirement;

    let issuer = issuer();
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let inner = service_fn(move |request: Request<McpBody<Body>>| {
        let send = send.clone();
        async move {
            let extensions = request.extensions().clone();
            let token: AccessToken = AccessToken::from_extensions(&extensions).unwrap();
            let late = request.headers().contains_key("x-late");
            let refuse = move || {
                let refusal = token.require(&Requirement::from(scope("more"))).unwrap_err();
                send.send(refusal.respond_instead(&extensions)).unwrap();
            };
            match late {
                true => drop(tokio::spawn(async move {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    refuse();
                })),
                false => refuse(),
            }
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::from("ran")))
        }
    });
    let service = api(&issuer).protect_mcp(guarded()).layer(inner);
    for (late, status) in [(false, 403), (true, 200)] {
        let token = issuer.token().audience(RESOURCE).scope("mcp").sign();
        let mut request = Request::post(RESOURCE).header(AUTHORIZATION, format!("Bearer {token}"));
        if late {
            request = request.header("x-late", "1");
        }
        let request = request.body(Body::from(call("free"))).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(receive.recv().await, Some(!late));
    }
    // Without the layer, there is nothing to respond to.
    let (head, ()) = Request::get("/").body(()).unwrap().into_parts();
    let token =
        api(&issuer).authenticate_token(&issuer.token().audience(RESOURCE).sign()).await.unwrap();
    let refusal = token.require(&Requirement::from(scope("more"))).unwrap_err();
    assert!(!refusal.respond_instead(&head.extensions));
}
