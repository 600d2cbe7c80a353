//! The connection to Redis that all calls of a store share.

use std::fmt::{self, DebugStruct};
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
use crate::runtime;
use crate::source_error::SourceError;

/// The deadline for a connection attempt. It is longer than that of a call: a separate task
/// connects, so the connection to a distant server can still be made after the first call has given
/// up.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// If a call is dropped without an answer after at least this time, its connection counts as
/// broken. This is less than the deadline of any call. If a call is dropped earlier, for example
/// because its client disconnected, the other calls keep the connection.
const SILENCE: Duration = Duration::from_millis(200);

/// A connection to a replica is dropped only from this age on. Then the next call connects again,
/// to find the primary.
const REPLICA_AGE: Duration = Duration::from_secs(1);

/// One server and the connection to it. The connection is made at the first call, and again after it
/// breaks.
pub(super) struct Connection {
    client: Client,
    tls: Option<Arc<Tls>>,
    slot: Arc<Mutex<Slot>>,
    clock: SystemClock,
}

struct Tls {
    connector: TlsConnector,
    host: String,
    port: u16,
    name: ServerName<'static>,
}

struct Slot {
    connection: Option<MultiplexedConnection>,
    /// The number of connections so far. It identifies the current connection, so that a call drops
    /// only the connection that it used.
    made: u64,
    made_at: Duration,
    connecting: Flights<(), RedisResult<()>>,
}

impl Connection {
    /// For the server at a URL, with additional root certificates (PEM). It does not connect.
    /// `store` is the name of the caller's type, for the error.
    pub(super) fn new(store: &str, url: &str, pem: &[u8]) -> Result<Self, ConfigError> {
        let problem = |text: &str| ConfigError::one(format!("{store}: {text}"));
        // The error shows nothing of the URL, because the URL may contain a password.
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
                connector: tls_client(pem).map_err(|text| problem(&text))?,
                host: host.clone(),
                port: *port,
                name: ServerName::try_from(host.clone()).map_err(|_| no_url())?,
            })),
            _ if encrypted => return Err(no_url()),
            _ if !pem.is_empty() => {
                return Err(problem("root certificates: the URL must begin with `rediss`"));
            }
            _ => None,
        };
        let slot = Slot {
            connection: None,
            made: 0,
            made_at: Duration::ZERO,
            connecting: Flights::new(CONNECT_DEADLINE),
        };
        let slot = Arc::new(Mutex::new(slot));
        Ok(Self { client, tls, slot, clock: SystemClock::new() })
    }

    /// Shows the address, never a password.
    pub(super) fn describe(&self, mut shown: DebugStruct<'_, '_>) -> fmt::Result {
        shown
            .field("address", &self.client.get_connection_info().addr().to_string())
            .field("tls", &self.is_encrypted())
            .finish_non_exhaustive()
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Sends a command. If an existing connection turns out to be dead, as an idle one may be, it
    /// sends the command once more on a new connection.
    pub(super) async fn run(&self, command: &Cmd) -> RedisResult<Value> {
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
        // Another call may have found the connection broken meanwhile.
        let used = self.existing().ok_or_else(|| io("the connection broke"))?;
        Ok((used, false))
    }

    /// Joins the connection attempt in progress, or begins one. The attempt is a task that no
    /// caller can cancel, because a connection may take longer than the deadline of a call.
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
        let (slot, clock) = (Arc::downgrade(&self.slot), self.clock.clone());
        flight::launch(&runtime, CONNECT_DEADLINE, work, move |ended| {
            let Some(slot) = slot.upgrade() else { return };
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.connecting.complete(&(), &completion);
            let outcome = match ended {
                Ended::Done(Ok(connection)) => {
                    slot.made += 1;
                    slot.made_at = clock.monotonic();
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
        let now = self.clock.monotonic();
        let slot = self.slot();
        let connection = slot.connection.clone()?;
        let age = now.saturating_sub(slot.made_at);
        Some(Used { owner: self, connection, number: slot.made, age, asked_at: now, keep: None })
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A connection in use by one call. If the server does not answer, the connection is closed: a host
/// that is gone sends nothing, and the operating system would notice that only after minutes.
struct Used<'a> {
    owner: &'a Connection,
    connection: MultiplexedConnection,
    number: u64,
    age: Duration,
    asked_at: Duration,
    /// Whether to keep the connection. `None` until there is an answer or an error.
    keep: Option<bool>,
}

impl Used<'_> {
    async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        // The server's errors arrive as a value.
        let sent = self.connection.send_packed_command(command).await;
        let sent = sent.and_then(Value::extract_error);
        self.keep = Some(match &sent {
            Ok(_) => true,
            // The primary became a replica and stays connected. By now the host name may lead to
            // the new primary.
            Err(error) if error.code() == Some("READONLY") => self.age < REPLICA_AGE,
            Err(error) => !error.is_unrecoverable_error(),
        });
        sent
    }
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        let waited = || self.owner.clock.monotonic().saturating_sub(self.asked_at);
        if !self.keep.unwrap_or_else(|| waited() < SILENCE) {
            let mut slot = self.owner.slot();
            if slot.made == self.number {
                slot.connection = None;
            }
        }
    }
}

/// Shows the server's error code, or fixed words of the client library. The server's own text is
/// left out, because it may quote the command.
pub(super) fn source_error(error: RedisError) -> SourceError {
    SourceError::new(match error.code() {
        Some(code) => format!("the server says {}", code.escape_debug()),
        None if error.is_connection_refusal() => "can't connect".to_owned(),
        None => error.category().to_owned(),
    })
}
