//! Requests as octets, because `http::Uri` does not build all of them.

use std::convert::Infallible;
use std::net::SocketAddr;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::Service;

use crate::hostile::Row;
use crate::support::{Challenge, parse_challenge};

/// A service on a port of this machine.
pub struct Wire {
    address: SocketAddr,
    task: tokio::task::AbortHandle,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Wire {
    pub async fn hyper<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
        B: http_body::Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // A request that hyper refuses ends the connection with an error.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, task: task.abort_handle() }
    }

    #[cfg(feature = "axum")]
    pub async fn axum(app: axum::Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, task: task.abort_handle() }
    }

    /// Sends the row with this token as Bearer, in a connection of its own.
    pub async fn send(&self, row: &Row, token: Option<&str>) -> Answer {
        let Row { method, target, headers } = row;
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n");
        request.push_str(headers);
        if let Some(token) = token {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        request.push_str("\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // The server may reset a connection whose request it refuses to read.
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(400);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Answer {
    /// The name of the handler that ran.
    pub fn handler(&self) -> Option<&str> {
        self.header("x-handler")
    }

    #[track_caller]
    pub fn challenge(&self) -> Challenge {
        parse_challenge(self.header("www-authenticate").expect("a challenge"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
