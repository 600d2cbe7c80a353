//! The connections of one client, and when they are dropped.
//!
//! Without this module, three kinds of connection would be used forever or would make a good
//! request fail:
//!
//! | connection | what is done |
//! |---|---|
//! | HTTP/2 whose peer is gone | it does not answer PING, and is closed before the deadline of a request |
//! | HTTP/2 whose peer answers PING but no request | the attempt ends by its deadline; later attempts use a new pool |
//! | of another tokio runtime | each runtime has its own connections: those of a runtime end with it |
//! | closed by its server while it is idle | this client closes it first; a request that broke on it is sent again on a new connection |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;

use crate::clock::real_time;
use crate::crypto::TlsConfig;
use crate::fetch::error::FetchError;
use crate::fetch::names::Names;
use crate::fetch::proxy::Proxy;
use crate::fetch::settings::{ClientSettings, TOTAL_TIMEOUT};
use crate::runtime;

/// The connection timeout. A server that needs longer counts as down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an idle connection is kept. This must be less than the idle timeout of servers and load
/// balancers. That is usually at least 60 s; some have 20 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// When a PING is sent on a silent HTTP/2 connection (RFC 9113 §6.7), and how long its answer may
/// take. Their sum is less than [`TOTAL_TIMEOUT`], and leaves enough time to ask again on a new
/// connection.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an attempt must have lasted before its end without an answer counts against the
/// connection. An attempt is also dropped when its server is dropped.
const HUNG_AFTER: Duration = Duration::from_secs(1);

/// The minimum lifetime of a pool: if a server is down, a new pool is made at most this often.
const RENEWAL_PERIOD: Duration = Duration::from_secs(5);

/// For so many runtimes, connections are kept. Almost every program has one; some have one for each core.
const MAX_RUNTIMES: usize = 64;

/// The connections of one client.
pub(super) struct Pool {
    deadline: Duration,
    http: HttpSettings,
    /// A client that never uses a connection twice.
    single_use: reqwest::Client,
    present: Mutex<Present>,
}

/// The settings for new clients. Making a client is cheap.
struct HttpSettings {
    tls: Arc<TlsConfig>,
    proxy: Option<Proxy>,
    user_agent: HeaderValue,
    names: Names,
}

struct Present {
    /// A client for each runtime, the last used at the end.
    clients: Vec<(runtime::Id, reqwest::Client)>,
    /// The number of this pool.
    number: u64,
    since: Option<Instant>,
}

/// One attempt to get an answer.
pub(super) struct Attempt {
    pool: Arc<Pool>,
    client: reqwest::Client,
    number: u64,
    began: Instant,
    ended: bool,
}

impl Pool {
    /// # Errors
    /// What is wrong, for a `ConfigError`.
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, String> {
        const OWN: HeaderValue = HeaderValue::from_static(concat!(
            env!("CARGO_PKG_NAME"),
            "/",
            env!("CARGO_PKG_VERSION")
        ));
        let http = HttpSettings {
            tls: settings.configs.get(&settings.tls)?,
            proxy: settings.proxy.clone(),
            user_agent: settings.user_agent.clone().unwrap_or(OWN),
            names: settings.names.clone(),
        };
        let failed = |error: reqwest::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!("the HTTPS client can't be built: {}", cause.unwrap_or_default())
        };
        let single_use = http.client(Reuse::Never).map_err(failed)?;
        let present = Mutex::new(Present { clients: Vec::new(), number: 0, since: None });
        let deadline = settings.deadline.unwrap_or(TOTAL_TIMEOUT);
        Ok(Self { deadline, http, single_use, present })
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn attempt(self: &Arc<Self>) -> Attempt {
        let (client, number) = self.client();
        Attempt { pool: Arc::clone(self), client, number, began: real_time(), ended: false }
    }

    /// The client of this runtime, and the number of the pool.
    fn client(&self) -> (reqwest::Client, u64) {
        let mut present = self.present();
        let number = present.number;
        // Without a runtime, no connection can be kept.
        let Some(id) = runtime::id() else { return (self.single_use.clone(), number) };
        if let Some(at) = present.clients.iter().position(|(own, _)| *own == id) {
            let own = present.clients.remove(at);
            let client = own.1.clone();
            present.clients.push(own);
            return (client, number);
        }
        // A client could be made at startup, so this should not fail. If it does, no connection is kept.
        let Ok(client) = self.http.client(Reuse::WhileFresh) else {
            return (self.single_use.clone(), number);
        };
        if present.clients.len() == MAX_RUNTIMES {
            present.clients.remove(0);
        }
        present.clients.push((id, client.clone()));
        (client, number)
    }

    /// Replaces the pool with this number by a new one. Requests in progress keep the old pool.
    fn renew(&self, number: u64) {
        let now = real_time();
        let mut present = self.present();
        let is_young = present
            .since
            .is_some_and(|since| now.saturating_duration_since(since) < RENEWAL_PERIOD);
        if present.number != number || is_young {
            return;
        }
        present.since = Some(now);
        present.number += 1;
        present.clients.clear();
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Reuse {
    WhileFresh,
    Never,
}

impl HttpSettings {
    fn client(&self, reuse: Reuse) -> Result<reqwest::Client, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(TlsConfig::clone(&self.tls))
            .redirect(reqwest::redirect::Policy::none())
            // Only `Attempt::send` sends a request again, because some requests can be used only
            // once.
            .retry(reqwest::retry::never())
            .dns_resolver(self.names.clone())
            // This includes the name lookup.
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .no_proxy()
            .referer(false)
            .user_agent(self.user_agent.clone());
        if let Reuse::Never = reuse {
            builder = builder.pool_max_idle_per_host(0);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.to_client()?);
        }
        builder.build()
    }
}

impl Attempt {
    /// Sends a request. If the connection breaks before an answer comes, it sends another request
    /// on a new connection. `request` makes that one anew, because its content may be usable only
    /// once.
    pub(super) async fn send(
        &self,
        request: impl Fn(&reqwest::Client) -> Result<reqwest::RequestBuilder, FetchError>,
    ) -> Result<reqwest::Response, FetchError> {
        match request(&self.client)?.send().await {
            Err(error) if is_broken(&error) => Ok(request(&self.pool.single_use)?.send().await?),
            sent => Ok(sent?),
        }
    }

    /// Waits for the whole exchange, until the deadline.
    pub(super) async fn whole<T>(
        mut self,
        exchange: impl AsyncFnOnce(&Self) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let exchange = async {
            let result = exchange(&self).await;
            if matches!(result, Err(FetchError::Transport | FetchError::Connect(_)))
                && is_runtime_ending().await
            {
                // The failure says nothing about the server. The runtime drops this task now, and those
                // who wait for it on another runtime start again there.
                std::future::pending::<()>().await;
            }
            result
        };
        let result = runtime::within(self.pool.deadline, exchange).await;
        self.ended = result.is_some();
        result.unwrap_or(Err(FetchError::Timeout))
    }
}

/// A caller whose own deadline passes first drops the attempt.
impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended && real_time().saturating_duration_since(self.began) >= HUNG_AFTER {
            self.pool.renew(self.number);
        }
    }
}

/// Whether the runtime of this task is shutting down. Its connections then break before its tasks end.
async fn is_runtime_ending() -> bool {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn(async {}).await.is_err(),
        Err(_) => true,
    }
}

/// Whether a connection was made and then broke before an answer came. An answer that is not HTTP
/// counts as an answer.
fn is_broken(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(error) = cause {
        let hyper = error.downcast_ref::<hyper::Error>();
        if hyper.is_some_and(|error| error.is_parse() || error.is_user()) {
            return false;
        }
        cause = error.source();
    }
    error.is_request() && !error.is_connect()
}
