//! The token of a WebSocket: in a subprotocol of the handshake, and in a first message.

#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use serde_json::json;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_resource_server::policy::Requirement;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{ResourceServer, scope};

use support::*;

const NAME: &str = "api.example.com";

fn with_websocket(issuer: &TestIssuer) -> ResourceServer {
    builder(trusting(issuer)).websocket_token(NAME).build().unwrap()
}

/// The subprotocol with a token.
fn of(token: &str) -> String {
    of_name(NAME, token)
}

fn of_name(name: &str, token: &str) -> String {
    format!("base64url.bearer.authorization.{name}.{}", URL_SAFE_NO_PAD.encode(token))
}

fn handshake(lines: &[&str]) -> Request<Body> {
    let mut request = get().header(UPGRADE, "websocket").body(Body::default()).unwrap();
    for line in lines {
        let line = HeaderValue::from_str(line).unwrap();
        request.headers_mut().append(SEC_WEBSOCKET_PROTOCOL, line);
    }
    request
}

fn with_authorization(mut request: Request<Body>, value: &str) -> Request<Body> {
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    request
}

#[tokio::test]
async fn a_handshake_carries_its_token_in_a_subprotocol() {
    let issuer = issuer();
    let api = api(with_websocket(&issuer).layer());
    let good = issuer.token().subject("alice").sign();
    let expired = issuer.token().expires_in(-600).sign();

    for (name, lines) in [
        ("before the other", vec![format!("{}, chat", of(&good))]),
        ("behind the other", vec![format!("chat, {}", of(&good))]),
        ("two lines", vec!["chat".to_owned(), of(&good)]),
        ("among several", vec![format!("v1,\t{} ,v2", of(&good)), "v3".to_owned()]),
    ] {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let reply = api.send(handshake(&lines)).await;
        reply.assert_ok(name);
        assert_eq!(reply.json()["sub"], "alice", "{name}");
    }

    let reply = api.send(handshake(&[&format!("chat, {}", of(&expired))])).await;
    reply.assert_invalid_token("expired");
    api.send(handshake(&["chat"])).await.assert_invited("no token");
    api.send(handshake(&[])).await.assert_invited("no subprotocol");
    let other = format!("chat, {}", of_name("other.example.com", &good));
    api.send(handshake(&[&other])).await.assert_invited("the name of another API");
}

#[tokio::test]
async fn a_malformed_subprotocol_is_refused() {
    let issuer = issuer();
    let api = api(with_websocket(&issuer).layer());
    let good = issuer.token().sign();
    let own = of(&good);
    for (name, line) in [
        ("alone", own.clone()),
        ("alone, with empty elements", format!("{own}, ,")),
        ("twice", format!("{own}, chat, {own}")),
        ("not encoded", format!("chat, base64url.bearer.authorization.{NAME}.{good}")),
        ("padded", format!("chat, {own}=")),
        ("empty", format!("chat, {}", of(""))),
        ("two tokens", format!("chat, {}", of(&format!("{good} {good}")))),
        ("a scheme in it", format!("chat, {}", of(&format!("Bearer {good}")))),
        ("upper case", format!("chat, {}", own.replace("base64url.b", "Base64url.B"))),
        ("a blank instead of a comma", format!("chat {own}, v2")),
    ] {
        api.send(handshake(&[&line])).await.assert_invalid_request(name);
    }
    let line = format!("{own}, chat");
    api.send(handshake(&[&line, &own])).await.assert_invalid_request("twice, two lines");
    api.send(handshake(&[&line])).await.assert_ok("once");
    assert_eq!(api.runs(), 1);
}

#[tokio::test]
async fn a_second_method_beside_the_subprotocol_is_refused() {
    let issuer = issuer();
    let builder = builder(trusting(&issuer)).websocket_token(NAME).query_token();
    let api = api(builder.build().unwrap().layer());
    let good = issuer.token().sign();
    let line = format!("chat, {}", of(&good));

    let both = with_authorization(handshake(&[&line]), &format!("Bearer {good}"));
    api.send(both).await.assert_invalid_request("the same token in Authorization");
    let both = with_authorization(handshake(&[&of(&good)]), &format!("Bearer {good}"));
    api.send(both).await.assert_invalid_request("one of them malformed");
    let mut both = handshake(&[&line]);
    *both.uri_mut() = format!("https://api.example.com/notes?access_token={good}").parse().unwrap();
    api.send(both).await.assert_invalid_request("the same token in the query");

    let other = with_authorization(handshake(&[&line]), "Basic eA==");
    api.send(other).await.assert_ok("beside another scheme");
    let header = with_authorization(handshake(&["chat"]), &format!("Bearer {good}"));
    api.send(header).await.assert_ok("Authorization alone");
}

#[tokio::test]
async fn without_the_setting_or_a_handshake_the_field_is_not_read() {
    let issuer = issuer();
    let line = format!("chat, {}", of(&issuer.token().sign()));
    let off = api(server(&issuer).layer());
    off.send(handshake(&[&line])).await.assert_invited("off");
    let off = api(server(&issuer).optional_layer());
    assert_eq!(off.send(handshake(&[&line])).await.json()["anonymous"], true);

    let on = api(with_websocket(&issuer).layer());
    let mut plain = handshake(&[&line]);
    plain.headers_mut().remove(UPGRADE);
    on.send(plain).await.assert_invited("no upgrade");
    let mut post = handshake(&[&line]);
    *post.method_mut() = http::Method::POST;
    on.send(post).await.assert_invited("another method");
    on.send(handshake(&[&line])).await.assert_ok("a handshake");

    // HTTP/2 (RFC 8441 section 4).
    let mut connect = handshake(&[&line]);
    connect.headers_mut().remove(UPGRADE);
    *connect.method_mut() = http::Method::CONNECT;
    on.send(connect).await.assert_ok("extended CONNECT");
}

/// A handler that answers with the subprotocols that it sees, and with all extensions of the request.
async fn echo_protocols(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let lines = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
    let mut response = Response::new(Full::new(Bytes::from(lines.join("|"))));
    *response.extensions_mut() = request.extensions().clone();
    Ok(response)
}

#[tokio::test]
async fn no_handler_sees_the_subprotocol_with_the_token() {
    let issuer = issuer();
    let good = issuer.token().sign();
    let own = of(&good);
    for (name, layers) in [("one layer", 1), ("the same server twice", 2)] {
        let server = with_websocket(&issuer);
        let route =
            server.require(Requirement::from(scope("read"))).layer(service_fn(echo_protocols));
        let scoped = of(&issuer.token().scope("read").sign());
        let service = match layers {
            1 => tower::util::BoxCloneSyncService::new(
                server.layer().layer(service_fn(echo_protocols)),
            ),
            _ => tower::util::BoxCloneSyncService::new(
                server.layer().layer(server.layer().layer(route)),
            ),
        };
        for (lines, expected) in [
            (vec![format!("chat, {scoped}, v2")], "chat, v2"),
            (vec!["v1,  chat".to_owned(), scoped.clone(), "v2".to_owned()], "v1,  chat|v2"),
        ] {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let response = service.clone().oneshot(handshake(&lines)).await.unwrap();
            assert_eq!(response.headers()[CACHE_CONTROL], "private", "{name}");
            let reply = Reply::read(response, true).await;
            assert_eq!(reply.body, expected, "{name}");
        }
    }

    // An element for another API stays; that API may be behind this one.
    let service = with_websocket(&issuer).layer().layer(service_fn(echo_protocols));
    let other = of_name("other", &good);
    let response = service.oneshot(handshake(&[&format!("{other}, {own}")])).await.unwrap();
    assert_eq!(Reply::read(response, true).await.body, other);
}

#[tokio::test]
async fn every_server_with_the_name_sees_the_token() {
    let issuer = issuer();
    let (alice, bob) =
        (issuer.token().subject("alice").sign(), issuer.token().subject("bob").sign());
    let one = with_websocket(&issuer);
    let same = with_websocket(&issuer);
    let other = builder(trusting(&issuer)).websocket_token("other").build().unwrap();
    let nested = api(tower::ServiceBuilder::new()
        .layer(one.layer())
        .layer(other.layer())
        .layer(same.layer()));
    let line = format!("chat, {}, {}", of(&alice), of_name("other", &bob));
    let reply = nested.send(handshake(&[&line])).await;
    reply.assert_ok("each has its token");
    assert_eq!(reply.json()["sub"], "alice", "the innermost layer reads the name of the outermost");

    let reply = nested.send(handshake(&[&format!("chat, {}", of(&alice))])).await;
    reply.assert_invited("the server in the middle has no token");

    // A middleware that puts another token back adds a second token.
    for (name, again, good) in [("the same", &alice, true), ("another", &bob, false)] {
        let again = HeaderValue::from_str(&format!("chat, {}", of(again))).unwrap();
        let put_back = tower::util::MapRequestLayer::new(move |mut request: Request<Body>| {
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, again.clone());
            request
        });
        let nested = api(tower::ServiceBuilder::new()
            .layer(one.layer())
            .layer(put_back)
            .layer(same.layer()));
        let reply = nested.send(handshake(&[&format!("chat, {}", of(&alice))])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_invalid_request(name),
        }
    }
}

#[tokio::test]
async fn an_optional_layer_refuses_a_bad_token_in_a_subprotocol() {
    let issuer = issuer();
    let api = api(with_websocket(&issuer).optional_layer());
    let bad = issuer.token().audience("https://other.example.com").sign();
    let good = issuer.token().subject("alice").sign();
    let send = |token: &str| api.send(handshake(&[&format!("chat, {}", of(token))]));
    send(&bad).await.assert_invalid_token("for another API");
    assert_eq!(send(&good).await.json()["sub"], "alice");
    assert_eq!(api.send(handshake(&["chat"])).await.json()["anonymous"], true);
    api.send(handshake(&[&of(&good)])).await.assert_invalid_request("alone");
}

#[test]
fn a_name_that_no_subprotocol_can_have_is_reported() {
    let issuer = issuer();
    for name in ["", "a b", "a,b", "a/b", "\u{e9}"] {
        let error = builder(trusting(&issuer)).websocket_token(name).build().unwrap_err();
        assert!(error.problems()[0].starts_with("websocket_token `"), "{error}");
    }
    assert!(builder(trusting(&issuer)).websocket_token("a-b_c.d").build().is_ok());
}

#[tokio::test]
async fn a_token_without_a_request_passes_the_same_checks() {
    let issuer = issuer();
    let server = server(&issuer);
    let token = server.authenticate_token(&issuer.token().scope("read").sign()).await.unwrap();
    assert!(token.require(&Requirement::from(scope("read"))).is_ok());
    assert_eq!(token.require(&Requirement::from(scope("write"))).unwrap_err().status(), 403);

    let good = issuer.token().sign();
    let (head, _) = good.rsplit_once('.').unwrap();
    for (name, text, code) in [
        ("empty", String::new(), "malformed_token"),
        ("a message", "hello world".to_owned(), "malformed_token"),
        ("with its scheme", format!("Bearer {good}"), "malformed_token"),
        ("a line behind it", format!("{good}\n"), "malformed_token"),
        ("not ASCII", format!("{good}\u{e9}"), "malformed_token"),
        ("opaque", "opaque".to_owned(), "not_a_jwt"),
        ("too large", "a".repeat(16 * 1024 + 1), "token_too_large"),
        ("expired", issuer.token().expires_in(-600).sign(), "expired"),
        ("for another API", issuer.token().audience("other").sign(), "foreign_audience"),
        ("without a signature", format!("{head}."), "bad_signature"),
        (
            "bound to a key",
            issuer.token().claim("cnf", json!({ "jkt": KEY })).sign(),
            "unconfirmed_sender",
        ),
        (
            "bound to no thumbprint",
            issuer.token().claim("cnf", json!({ "jkt": "x" })).sign(),
            "malformed_claim",
        ),
        (
            "bound to a certificate",
            issuer.token().bound_to_certificate("any").sign(),
            "missing_certificate",
        ),
    ] {
        let refusal = server.authenticate_token(&text).await.unwrap_err();
        assert_eq!(refusal.error().code(), code, "{name}");
        assert_eq!(refusal.status(), 401, "{name}");
        let challenge = parse_challenge(refusal.challenges()[0].to_str().unwrap());
        assert_eq!(challenge.param("error"), Some("invalid_token"), "{name}");
        let shown = format!("{refusal:?} {}", refusal.error());
        assert!(text.len() < 16 || !shown.contains(&text), "{name}: {shown}");
    }
    assert!(server.authenticate_token(&good).await.is_ok());
}

#[cfg(feature = "axum")]
mod over_the_wire {
    use axum::Router;
    use axum::extract::ws::{Message, WebSocketUpgrade};
    use axum::routing::get;
    use futures::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::connect_async;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    use tokio_tungstenite::tungstenite::{Error, Message as Sent};
    use tower_resource_server::AccessToken;

    use super::*;

    async fn events(token: AccessToken, upgrade: WebSocketUpgrade) -> axum::response::Response {
        // The answer is the first of these that the client offers.
        upgrade.protocols(["notes.v1", "notes.v2"]).on_upgrade(async move |mut socket| {
            let subject = token.subject().unwrap_or("nobody").to_owned();
            let _ = socket.send(Message::text(subject)).await;
        })
    }

    /// The first message is a token.
    async fn by_message(
        server: ResourceServer,
        upgrade: WebSocketUpgrade,
    ) -> axum::response::Response {
        upgrade.on_upgrade(async move |mut socket| {
            let Some(Ok(Message::Text(token))) = socket.recv().await else { return };
            let text = match server.authenticate_token(&token).await {
                Ok(token) => token.subject().unwrap_or("nobody").to_owned(),
                Err(refusal) => refusal.status().to_string(),
            };
            let _ = socket.send(Message::text(text)).await;
        })
    }

    #[tokio::test]
    async fn a_client_gets_the_other_subprotocol_back() {
        let issuer = issuer();
        let server = with_websocket(&issuer);
        let closed = Router::new().route("/events", get(events)).layer(server.layer());
        let open = server.clone();
        let open = get(move |upgrade| by_message(open.clone(), upgrade));
        let app = Router::new().route("/open", open).merge(closed);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("ws://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move { axum::serve(listener, app).await });

        let connect = async |protocols: &str| {
            let mut request = format!("{base}/events").into_client_request().unwrap();
            let value = HeaderValue::from_str(protocols).unwrap();
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
            connect_async(request).await
        };
        let good = of(&issuer.token().subject("alice").sign());
        let (mut socket, response) = connect(&format!("notes.v2, {good}")).await.unwrap();
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "notes.v2");
        assert!(!format!("{response:?}").contains("bearer"));
        assert_eq!(socket.next().await.unwrap().unwrap(), Sent::text("alice"));

        let expired = of(&issuer.token().expires_in(-600).sign());
        for (name, protocols, status) in [
            ("expired", format!("notes.v2, {expired}"), 401),
            ("alone", good.clone(), 400),
            ("no token", "notes.v2".to_owned(), 401),
        ] {
            match connect(&protocols).await {
                Err(Error::Http(response)) => assert_eq!(response.status(), status, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }

        for (token, expected) in [
            (issuer.token().subject("bob").sign(), "bob"),
            (issuer.token().expires_in(-600).sign(), "401 Unauthorized"),
        ] {
            let (mut socket, _) = connect_async(format!("{base}/open")).await.unwrap();
            socket.send(Sent::text(token)).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), Sent::text(expected));
        }
        served.abort();
    }
}
