//! The connections of one client, and when each connection is dropped.
//!
//! Without this module, some connections would be used forever or would make a good request fail:
//!
//! | connection | what is done |
//! |---|---|
//! | HTTP/2 whose peer is gone | the peer does not answer PING, so the connection is closed after 3 s, before the default deadline of a request |
//! | HTTP/2 whose peer answers PING but no request | the attempt ends at its deadline; later attempts use a new pool |
//! | of another tokio runtime, which may have ended | each runtime has its own connections |
//! | closed by its server while it is idle | this client usually closes the connection first; if a request fails because the server has closed it, the request is sent again on a new connection |

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

/// The connection timeout, including the name lookup. A server that needs longer counts as down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an idle connection is kept. This must be less than the idle timeout of servers and load
/// balancers, which is usually at least 60 s, but only 20 s for some.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The time after which a PING is sent on a silent HTTP/2 connection (RFC 9113 §6.7), and how long the
/// answer to the PING may take. The sum of both is less than [`TOTAL_TIMEOUT`] and leaves enough time to
/// send the request again on a new connection.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// If an attempt ends without an answer after at least this time, or after half of its deadline if that is
/// less, the connection counts as hung. A
/// shorter attempt may have been dropped for another reason, for example because its `ResourceServer` was
/// dropped.
const HUNG_AFTER: Duration = Duration::from_secs(1);

/// The minimum lifetime of a pool. If a server is down, a new pool is made at most once in this time.
const RENEWAL_PERIOD: Duration = Duration::from_secs(5);

/// The maximum number of runtimes whose connections are kept. Almost every program has one runtime. Some
/// have one for each core.
const MAX_RUNTIMES: usize = 64;

/// The connections of one client.
pub(super) struct Pool {
    deadline: Duration,
    http: HttpSettings,
    /// A client that never uses a connection twice.
    single_use: reqwest::Client,
    present: Mutex<Present>,
}

/// The settings for new HTTP clients. It is cheap to make a client.
struct HttpSettings {
    tls: Arc<TlsConfig>,
    proxy: Option<Proxy>,
    user_agent: HeaderValue,
    names: Names,
}

struct Present {
    /// One client for each runtime. The most recently used client is the last.
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
    /// Fails if no client can be made. The text is for a `ConfigError`.
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
        // A client could be made at startup, so this call should not fail. If it fails, no connection is
        // kept.
        let Ok(client) = self.http.client(Reuse::WhileFresh) else {
            return (self.single_use.clone(), number);
        };
        if present.clients.len() == MAX_RUNTIMES {
            present.clients.remove(0);
        }
        present.clients.push((id, client.clone()));
        (client, number)
    }

    /// Replaces the pool that has this number. Requests in progress keep the old pool.
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
            // Only `Attempt::send` repeats requests, because the content of some requests can be used
            // only once.
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
    /// Sends a request. If the connection breaks before an answer arrives, sends a second request on a
    /// new connection. `request` is called for each of the two, because the content of a request may be
    /// usable only once.
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
                // The failure says nothing about the server. The runtime drops this task now. Requests on
                // another runtime that wait for this task start another attempt there.
                std::future::pending::<()>().await;
            }
            result
        };
        let result = runtime::within(self.pool.deadline, exchange).await;
        self.ended = result.is_some();
        result.unwrap_or(Err(FetchError::Timeout))
    }
}

/// If the caller's own deadline is earlier, the caller drops the attempt. So an attempt that lasted at
/// least [`HUNG_AFTER`], or half of its deadline, without an answer is detected when it is dropped.
impl Drop for Attempt {
    fn drop(&mut self) {
        // A caller's deadline may be a little earlier than that of the attempt.
        let hung_after = HUNG_AFTER.min(self.pool.deadline / 2);
        if !self.ended && real_time().saturating_duration_since(self.began) >= hung_after {
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

/// Whether a connection was made and then broke before an answer arrived. An answer that is not HTTP
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
