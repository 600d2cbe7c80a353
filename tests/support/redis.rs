//! A real Redis or Valkey for a test.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use ::redis::Value;
use ::redis::aio::MultiplexedConnection;

static SKIPPED: Once = Once::new();

/// A Redis that keeps nothing when it is killed, unless a test says `SAVE` before.
pub struct Redis {
    child: Child,
    binary: &'static str,
    pub address: SocketAddr,
    folder: std::path::PathBuf,
}

impl Redis {
    /// `None` without a `redis-server` or `valkey-server` on the path. It says so.
    pub async fn start() -> Option<Self> {
        let binary = ["redis-server", "valkey-server"].into_iter().find(|binary| {
            let version = Command::new(binary).arg("--version").stdout(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        });
        let Some(binary) = binary else {
            // Directly, because the test harness captures `eprintln!`.
            SKIPPED.call_once(|| {
                let _ = std::io::stderr().write_all(b"SKIPPED: no redis-server\n");
            });
            return None;
        };
        // Free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let folder = std::env::temp_dir().join(format!("trs-replay-{}", address.port()));
        std::fs::create_dir_all(&folder).unwrap();
        let child = launch(binary, address, &folder);
        let mut own = Self { child, binary, address, folder };
        own.is_up().await;
        Some(own)
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn restart(&mut self) {
        self.child = launch(self.binary, self.address, &self.folder);
        self.is_up().await;
    }

    /// Waits for it, and tries again where another process was quicker to take the port.
    async fn is_up(&mut self) {
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            if self.child.try_wait().unwrap().is_some() {
                self.child = launch(self.binary, self.address, &self.folder);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub async fn connect(&self) -> MultiplexedConnection {
        let client = ::redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    pub async fn run(&self, command: &[&str]) -> Value {
        let mut connection = self.connect().await;
        ::redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await.unwrap()
    }

    pub async fn number(&self, command: &[&str]) -> i64 {
        ::redis::FromRedisValue::from_redis_value(self.run(command).await).unwrap()
    }

    /// How much memory it uses.
    pub async fn used(&self) -> u64 {
        let Value::BulkString(text) = self.run(&["INFO", "memory"]).await else { panic!("INFO") };
        let text = String::from_utf8(text).unwrap();
        text.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap()
    }
}

fn launch(binary: &str, address: SocketAddr, folder: &std::path::Path) -> Child {
    Command::new(binary)
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
