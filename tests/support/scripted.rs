//! A key server that says exactly what a test wants.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub const OAUTH: &str = "/.well-known/oauth-authorization-server";
pub const OPENID: &str = "/.well-known/openid-configuration";

/// A server that answers each path with the very octets that a test gave it, once a connection.
pub struct Scripted {
    pub url: String,
    answers: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    /// How long an answer takes.
    delays: Arc<Mutex<HashMap<String, Duration>>>,
    /// The paths that were asked for.
    pub requests: Arc<Mutex<Vec<String>>>,
    /// The heads of these requests.
    heads: Arc<Mutex<Vec<String>>>,
    pub sent: Arc<AtomicUsize>,
    task: tokio::task::AbortHandle,
}

/// Instead of the end of an answer: octets without end.
pub const ENDLESS: &[u8] = b"<endless>";

/// Instead of the end of an answer: nothing, and the connection stays.
pub const HANGING: &[u8] = b"<hanging>";

impl Scripted {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let sent: Arc<AtomicUsize> = Arc::default();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (shared, log, count) = (Arc::clone(&answers), Arc::clone(&requests), Arc::clone(&sent));
        let whole = Arc::clone(&heads);
        let delays: Arc<Mutex<HashMap<String, Duration>>> = Arc::default();
        let waits = Arc::clone(&delays);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (shared, log, count) =
                    (Arc::clone(&shared), Arc::clone(&log), Arc::clone(&count));
                let (whole, waits) = (Arc::clone(&whole), Arc::clone(&waits));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await?);
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    log.lock().unwrap().push(path.clone());
                    whole.lock().unwrap().push(head);
                    let answer = shared.lock().unwrap().get(&path).cloned();
                    let answer = answer.unwrap_or_else(|| Self::answer("404 Not Found", "", ""));
                    let delay = waits.lock().unwrap().get(&path).copied();
                    if let Some(delay) = delay {
                        tokio::time::sleep(delay).await;
                    }
                    if let Some(start) = answer.strip_suffix(ENDLESS) {
                        stream.write_all(start).await?;
                        loop {
                            stream.write_all(&[b' '; 4_096]).await?;
                            count.fetch_add(4_096, Ordering::SeqCst);
                        }
                    }
                    if let Some(start) = answer.strip_suffix(HANGING) {
                        stream.write_all(start).await?;
                        std::future::pending::<()>().await;
                    }
                    stream.write_all(&answer).await?;
                    stream.shutdown().await
                });
            }
        });
        Self { url, answers, delays, requests, heads, sent, task: task.abort_handle() }
    }

    pub fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
        )
        .into_bytes()
    }

    pub fn set(&self, path: &str, answer: Vec<u8>) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub fn set_delay(&self, path: &str, delay: Duration) {
        self.delays.lock().unwrap().insert(path.to_owned(), delay);
    }

    pub fn set_json(&self, path: &str, body: &str) {
        self.set(path, Self::answer("200 OK", "content-type: application/json\r\n", body));
    }

    /// The metadata of `issuer` at this path, with keys at that URL.
    pub fn set_metadata(&self, path: &str, issuer: &str, jwks_uri: &str) {
        let document = serde_json::json!({ "issuer": issuer, "jwks_uri": jwks_uri });
        self.set_json(path, &document.to_string());
    }

    pub fn asked(&self, path: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    /// The `Authorization` of each request so far, with the path.
    pub fn authorizations(&self) -> Vec<(String, Option<String>)> {
        self.fields("authorization")
    }

    /// The same for any field.
    pub fn fields(&self, field: &str) -> Vec<(String, Option<String>)> {
        let paths = self.requests.lock().unwrap().clone();
        let heads = self.heads.lock().unwrap();
        let of = |head: &String| {
            let fields = head.lines().filter_map(|line| line.split_once(": "));
            let mut found = fields.filter(|(name, _)| name.eq_ignore_ascii_case(field));
            found.next().map(|(_, value)| value.to_owned())
        };
        paths.into_iter().zip(heads.iter().map(of)).collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}
