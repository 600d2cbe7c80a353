//! Redis or Valkey as a store of shared answers.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, RedisError, RedisResult, Value};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::clock::{Clock as _, SystemClock};
use crate::config_error::ConfigError;
use crate::crypto::tls_client;
use crate::flight::{self, Ended, Flights, Waiter};
use crate::introspection::AnswerStore;
use crate::introspection::MAX_VALUE;
use crate::runtime;
use crate::source_error::SourceError;

/// The deadline for a connection attempt. A separate task connects, so that a distant server can be
/// used as soon as it is connected. No request waits for a connection longer than it would wait for
/// an answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Redis or Valkey, for [`SharedCache`](crate::introspection::SharedCache).
///
/// It uses `GETRANGE` and `SET` with keys that begin with `tower-resource-server:introspection:`.
/// It also uses a script (`EVALSHA`, `EVAL`) that runs only these commands, because comparing and
/// writing must be one step. A user with only these rights is enough:
///
/// ```text
/// ACL SETUSER notes-api on >password ~tower-resource-server:introspection:* \
///     +getrange +set +evalsha +eval
/// ```
///
/// Values expire after `cache_ttl` at the latest. If stale answers are accepted, "inactive" ones
/// are kept longer by that time. A Redis that is used only for caches should evict the least
/// recently used values (`maxmemory-policy allkeys-lru`). All calls share one connection. It is
/// made at the first call, and again after it breaks. A background task makes it within 5 s, so
/// that requests to a distant server do not wait longer than for an answer. `Debug` shows the
/// address, never a password.
///
/// ```
/// use tower_resource_server::introspection::{ClientAuth, Introspection, RedisStore, SharedCache};
///
/// # fn main() -> Result<(), tower_resource_server::ConfigError> {
/// # let secret = [7; 32];
/// let store = RedisStore::new("rediss://notes-api:password@redis.example.com:6379")?;
/// let introspection = Introspection::new(ClientAuth::client_secret_basic("notes-api", "secret"))
///     .shared_cache(SharedCache::new(store, secret)?);
/// # let _ = introspection;
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    client: Client,
    tls: Option<Arc<Tls>>,
    connection: Arc<Mutex<Slot>>,
    clock: SystemClock,
}

/// The number of octets before each value in Redis: its version, big endian.
const VERSION: usize = 8;

/// Writes a value unless the stored value has the same version or a higher one. Versions are
/// compared octet by octet: Lua's numbers are doubles, and Lua compares text by the locale. A
/// stored value that is too short or of another type is not from this crate, and is replaced.
const SCRIPT: &str = "\
local known = redis.pcall('GETRANGE', KEYS[1], 0, 7)
if type(known) == 'table' then
  if not string.find(known.err or '', 'WRONGTYPE', 1, true) then return known end
elseif #known == 8 then
  local newer = false
  for i = 1, 8 do
    local old, new = string.byte(known, i), string.byte(ARGV[1], i)
    if old ~= new then
      newer = new > old
      break
    end
  end
  if not newer then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1
";

/// The name under which Redis keeps the script after its first use.
const SCRIPT_SHA1: &str = "34b4fd8d1f2387fda500044bfdfc23f85fb50564";

struct Tls {
    connector: TlsConnector,
    host: String,
    port: u16,
    name: ServerName<'static>,
}

struct Slot {
    connection: Option<MultiplexedConnection>,
    /// The number of connections so far. It identifies the current connection, so that only a
    /// connection that broke is dropped.
    made: u64,
    connecting: Flights<(), RedisResult<()>>,
}

impl RedisStore {
    /// Uses the server at a URL such as `rediss://user:password@host:6379/0`, with TLS, or
    /// `redis://`, without TLS. Use the latter only in a network where nobody can read the
    /// password. The server's certificate is checked against the system's root certificates. This
    /// function does not connect.
    ///
    /// # Errors
    /// When the URL is invalid, or when the system has no root certificates for TLS.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::with_root_certificates(url, "")
    }

    /// The same, with additional root certificates (PEM).
    ///
    /// # Errors
    /// As for [`new`](Self::new), or when `pem` does not hold PEM certificates.
    pub fn with_root_certificates(url: &str, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let problem = |text: &str| ConfigError::one(format!("RedisStore: {text}"));
        // The error shows nothing of the URL: it may hold a password.
        let no_url = || problem("not a URL such as rediss://user:password@host:6379/0");
        let (encrypted, plain) = match url.split_once(':') {
            Some(("rediss" | "valkeys", rest)) => (true, format!("redis:{rest}")),
            _ => (false, url.to_owned()),
        };
        // A fragment can switch off the check of the certificate, so URLs with a fragment are
        // refused.
        if plain.contains('#') {
            return Err(no_url());
        }
        let client = Client::open(plain).map_err(|_| no_url())?;
        let tls = match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) if encrypted => Some(Arc::new(Tls {
                connector: tls_client(pem.as_ref()).map_err(|text| problem(&text))?,
                host: host.clone(),
                port: *port,
                name: ServerName::try_from(host.clone()).map_err(|_| no_url())?,
            })),
            _ if encrypted => return Err(no_url()),
            _ if !pem.as_ref().is_empty() => {
                return Err(problem("root certificates: the URL must begin with `rediss`"));
            }
            _ => None,
        };
        let slot = Slot { connection: None, made: 0, connecting: Flights::new(CONNECT_DEADLINE) };
        let connection = Arc::new(Mutex::new(slot));
        Ok(Self { client, tls, connection, clock: SystemClock::new() })
    }

    /// Sends a command. If an existing connection turns out to be dead, as an idle one may be, it
    /// sends the command once more on a new connection.
    async fn run(&self, command: &Cmd) -> RedisResult<Value> {
        let (mut used, existed) = self.connection().await?;
        let mut sent = used.send(command).await;
        if existed && sent.as_ref().is_err_and(RedisError::is_unrecoverable_error) {
            drop(used);
            (used, _) = self.connection().await?;
            sent = used.send(command).await;
        }
        sent
    }

    /// The connection, and whether it existed before.
    async fn connection(&self) -> RedisResult<(Used<'_>, bool)> {
        if let Some(used) = self.existing() {
            return Ok((used, true));
        }
        let io = |text: &'static str| RedisError::from(std::io::Error::other(text));
        let connected = self.connecting().map_err(io)?.outcome().await;
        connected.unwrap_or_else(|| Err(io("the connection was given up")))?;
        // Another call may have found it broken meanwhile.
        let used = self.existing().ok_or_else(|| io("the connection broke"))?;
        Ok((used, false))
    }

    /// Joins the connection attempt in progress, or begins one. It is a task that no caller can
    /// cancel, because callers have less time than a connection may need.
    fn connecting(&self) -> Result<Waiter<RedisResult<()>>, &'static str> {
        let runtime = runtime::current().map_err(runtime::Unfit::problem)?;
        let now = self.clock.monotonic();
        let (completion, waiter) = {
            let mut slot = self.slot();
            if let Some(waiter) = slot.connecting.join(&(), now) {
                return Ok(waiter);
            }
            slot.connecting.begin((), now)
        };
        let work = connect(self.client.clone(), self.tls.clone());
        let slot = Arc::downgrade(&self.connection);
        flight::launch(&runtime, CONNECT_DEADLINE, work, move |ended| {
            let Some(slot) = slot.upgrade() else { return };
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.connecting.complete(&(), &completion);
            let outcome = match ended {
                Ended::Done(Ok(connection)) => {
                    slot.made += 1;
                    slot.connection = Some(connection);
                    Ok(())
                }
                Ended::Done(Err(error)) => Err(error),
                Ended::Late | Ended::Panicked => {
                    Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)))
                }
                // This says nothing about the server. The next caller tries again.
                Ended::Gone => return,
            };
            drop(slot);
            completion.send(outcome);
        });
        Ok(waiter)
    }

    fn existing(&self) -> Option<Used<'_>> {
        let slot = self.slot();
        let connection = slot.connection.clone()?;
        Some(Used { store: self, connection, number: slot.made, keep: false })
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(client: Client, tls: Option<Arc<Tls>>) -> RedisResult<MultiplexedConnection> {
    // One deadline covers the whole attempt.
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let Some(tls) = tls else {
        return client.get_multiplexed_async_connection_with_config(&config).await;
    };
    let stream = TcpStream::connect((tls.host.as_str(), tls.port)).await?;
    stream.set_nodelay(true)?;
    let stream = tls.connector.connect(tls.name.clone(), stream).await?;
    let settings = client.get_connection_info().redis_settings();
    let (connection, driver) =
        MultiplexedConnection::new_with_config(settings, stream, config).await?;
    tokio::spawn(driver);
    Ok(connection)
}

/// A connection in use. It is dropped unless the server answered on it: a host that is gone sends
/// nothing, and the operating system would wait for it for minutes.
struct Used<'a> {
    store: &'a RedisStore,
    connection: MultiplexedConnection,
    number: u64,
    keep: bool,
}

impl Used<'_> {
    async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        // The server's errors arrive as a value.
        let sent = self.connection.send_packed_command(command).await;
        let sent = sent.and_then(Value::extract_error);
        self.keep = !sent.as_ref().is_err_and(RedisError::is_unrecoverable_error);
        sent
    }
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        if !self.keep {
            let mut slot = self.store.slot();
            if slot.made == self.number {
                slot.connection = None;
            }
        }
    }
}

impl AnswerStore for RedisStore {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        // Reads at most the largest possible value. For a missing key, Redis returns nothing.
        let mut command = redis::cmd("GETRANGE");
        command.arg(key).arg(0).arg(VERSION + MAX_VALUE);
        match self.run(&command).await.map_err(source_error)? {
            // Only the script uses the version: anyone who can write to Redis can set it.
            Value::BulkString(mut stored) => {
                let value = stored.split_off(stored.len().min(VERSION));
                Ok(Some(value).filter(|_| !stored.is_empty()))
            }
            Value::Nil => Ok(None),
            _ => Err(SourceError::new("the server's answer is not a value")),
        }
    }

    async fn put_if_newer(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), SourceError> {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let call = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(1).arg(key);
            command.arg(version.to_be_bytes().as_slice()).arg(value.as_slice()).arg(millis);
            command
        };
        let done = match self.run(&call("EVALSHA", SCRIPT_SHA1)).await {
            // A server that was restarted does not know the script. `EVAL` makes it known.
            Err(error) if error.code() == Some("NOSCRIPT") => self.run(&call("EVAL", SCRIPT)).await,
            done => done,
        };
        done.map(drop).map_err(source_error)
    }
}

/// In the client's fixed words and with the server's error code. The server's text may quote what
/// it was sent.
fn source_error(error: RedisError) -> SourceError {
    SourceError::new(match error.code() {
        Some(code) => format!("the server says {}", code.escape_debug()),
        None if error.is_connection_refusal() => "can't connect".to_owned(),
        None => error.category().to_owned(),
    })
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("address", &self.client.get_connection_info().addr().to_string())
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_the_name_by_which_it_is_called() {
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            SCRIPT.as_bytes(),
        );
        let name: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(name, SCRIPT_SHA1);
    }

    #[test]
    fn urls_are_checked_and_passwords_are_not_shown() {
        for (url, shown) in [
            ("redis://127.0.0.1", Some("127.0.0.1:6379")),
            ("redis://user:hunter2@redis.example.com:7000/2", Some("redis.example.com:7000")),
            ("rediss://user:hunter2@redis.example.com", Some("redis.example.com:6379")),
            ("valkeys://:hunter2@[::1]:7000", Some("::1:7000")),
            ("rediss://user:hunter2@redis.example.com#insecure", None),
            ("rediss://user:hunter2@", None),
            ("https://user:hunter2@redis.example.com", None),
            ("hunter2", None),
            ("", None),
        ] {
            let built = RedisStore::new(url);
            let text = format!("{built:?}");
            assert!(!text.contains("hunter2"), "{text}");
            match (&built, shown) {
                (Ok(store), Some(shown)) => {
                    assert!(text.contains(&format!("{shown:?}")), "{url}: {text}");
                    let encrypted = url.starts_with("rediss") || url.starts_with("valkeys");
                    assert_eq!(store.tls.is_some(), encrypted, "{url}");
                }
                (Err(_), None) => {}
                _ => panic!("{url}: {text}"),
            }
        }
        for (url, pem) in [("rediss://127.0.0.1", "no PEM"), ("redis://127.0.0.1", "PEM")] {
            let problem = RedisStore::with_root_certificates(url, pem).unwrap_err().to_string();
            assert!(problem.contains("root certificates"), "{problem}");
        }
    }
}
