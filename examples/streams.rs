//! Long responses that end when their token expires: server-sent events, and WebSockets with the token in a
//! subprotocol or in the first message. `cargo run --example streams`, then run the lines that the program
//! prints. The optional argument is the address to listen on. The default is 127.0.0.1:3000, or any free port.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{Stream, stream};
use http::header::AUTHORIZATION;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tower_http::cors::{Any, CorsLayer};
use tower_resource_server::layer::exposed_headers;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, ResourceServer};

/// How long a client of `/by-message` may stay connected without a token.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();
    let issuer = TestIssuer::start().await?;

    let api = ResourceServer::builder()
        .issuer(issuer.url())
        .resource("https://api.example.com")
        .websocket_token("api.example.com")
        .leeway(Duration::ZERO) // so that a stream ends at `exp`; an API in production keeps the default
        .allow_http_loopback() // because the issuer of this example uses http on this machine
        .build()?;

    let closed =
        Router::new().route("/events", get(events)).route("/ws", get(ws)).layer(api.layer());
    let by_message = Router::new().route("/by-message", get(by_message)).with_state(api.clone());
    // This route replaces the login of the user.
    let login = Router::new().route("/token/{seconds}", get(token)).with_state(issuer.clone());
    // The challenges name this document. Scripts of every origin may read it.
    let metadata = api.metadata().build()?.into_router();
    // A script of another origin may send a token, and may read the challenge of a refusal.
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_headers([AUTHORIZATION])
        .expose_headers(exposed_headers());
    let app = closed.merge(by_message).merge(login).layer(cors).merge(metadata);

    let listener = match std::env::args().nth(1) {
        Some(address) => TcpListener::bind(address).await?,
        None => match TcpListener::bind("127.0.0.1:3000").await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("127.0.0.1:0").await?,
        },
    };
    print_commands(&format!("http://{}", listener.local_addr()?));
    axum::serve(listener, app).await?;
    Ok(())
}

/// A token that is valid for the given number of seconds.
async fn token(State(issuer): State<TestIssuer>, Path(seconds): Path<u32>) -> String {
    issuer.token().subject("alice").expires_in(seconds.into()).sign()
}

/// An event every 200 ms, until the token expires.
async fn events(token: AccessToken) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = stream::unfold(0_u32, async |count| {
        sleep(Duration::from_millis(200)).await;
        Some((Ok(Event::default().data(count.to_string())), count + 1))
    });
    // After the last event, the client gets a new token and connects again. The last event has data, because
    // `EventSource` ignores an event without data.
    Sse::new(
        token
            .stream_until_expiry(ticks)
            .last_item(|_| Ok(Event::default().event("expired").data("the token expired"))),
    )
}

/// The layer has read the token, and has removed its subprotocol. The server selects the other subprotocol.
async fn ws(token: AccessToken, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["echo.v1"]).on_upgrade(move |socket| echo(socket, token))
}

/// No layer is around this route. The first message is the token.
async fn by_message(State(api): State<ResourceServer>, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.max_message_size(64 * 1024);
    let upgraded = upgrade.on_upgrade(async move |mut socket| {
        let Ok(Some(Ok(Message::Text(text)))) = timeout(FIRST_MESSAGE, socket.recv()).await else {
            return close(socket, "no token").await;
        };
        match api.authenticate_token(&text).await {
            Ok(token) => echo(socket, token).await,
            Err(refusal) if refusal.status().is_server_error() => close(socket, "try again").await,
            Err(_) => close(socket, "invalid token").await,
        }
    });
    upgraded.into_response()
}

/// Answers each message, until the token expires.
async fn echo(mut socket: WebSocket, token: AccessToken) {
    let subject = token.subject().unwrap_or("nobody");
    if socket.send(Message::text(format!("hello, {subject}"))).await.is_err() {
        return;
    }
    let mut expired = token.expired();
    loop {
        tokio::select! {
            biased;
            () = &mut expired => return close(socket, "the token expired").await,
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

async fn close(mut socket: WebSocket, reason: &'static str) {
    let frame = CloseFrame { code: close_code::POLICY, reason: reason.into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
    // Read until the client has answered (RFC 6455 §7.1.1). If the connection ended with unread messages, the
    // client might not get the frame.
    let answered = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = timeout(Duration::from_secs(1), answered).await;
}

fn print_commands(base: &str) {
    println!("The API listens on {base}. A token that is valid for 5 s: curl {base}/token/5\n");
    let token = format!("$(curl -s {base}/token/2)");
    let encoded = format!("$(curl -s {base}/token/2 | base64 -w 0 | tr +/ -_ | tr -d =)");
    let protocol = format!("base64url.bearer.authorization.api.example.com.{encoded}");
    let ws = |protocols: &str| {
        format!(
            "curl -sN -i --http1.1 --max-time 10 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H \
             'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' -H \
             \"Sec-WebSocket-Protocol: {protocols}\" {base}/ws"
        )
    };
    for (what, command) in [
        (
            "200: events, and `expired` as the last one, after 2 s",
            format!("curl -siN -H \"Authorization: Bearer {token}\" {base}/events"),
        ),
        ("401: no token", format!("curl -siN {base}/events")),
        (
            "101: a WebSocket, closed after 2 s; the answer names `echo.v1`",
            ws(&format!("echo.v1, {protocol}")),
        ),
        ("401: a WebSocket without a token", ws("echo.v1")),
        ("400: no other subprotocol, so the API could answer only with the token", ws(&protocol)),
    ] {
        println!("# {what}\n{command}\n");
    }
    println!("Below is the API's log: it tells why each refused request was refused.");
}
