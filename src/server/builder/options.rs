//! The settings that have a default.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::observe::{Event, Stream};
use crate::server::builder::Builder;

impl<S, C, R> Builder<S, C, R> {
    /// How far the clocks of issuers and this server may differ, for `exp`, `nbf` and `iat`: 60 s
    /// unless set, at most 300 s.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.settings.trust.leeway = leeway;
        self
    }

    /// The `realm` of challenges (RFC 9110 §11.5): the first audience unless set.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.settings.challenge.realm = Some(realm.into());
        self
    }

    /// The `scope` that a 401 asks for, so that a client knows what to request (RFC 6750 §3). See
    /// also [`ResourceServer::protect`](crate::ResourceServer::protect), which does it for a route.
    pub fn challenge_scope<T: Into<String>>(mut self, scope: impl IntoIterator<Item = T>) -> Self {
        self.settings.challenge.scope.extend(scope.into_iter().map(Into::into));
        self
    }

    /// One more parameter of every challenge; those of RFC 6750 §3 have settings of their own.
    pub fn challenge_param(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.settings.challenge.config.params.push((name.into(), text.into()));
        self
    }

    /// An absolute URI of a page about errors, sent as `error_uri` (RFC 6750 §3).
    pub fn error_uri(mut self, uri: impl Into<String>) -> Self {
        self.settings.challenge.config.error_uri = Some(uri.into());
        self
    }

    /// Leaves out `error_description`, which is one fixed text for each code.
    pub fn without_error_descriptions(mut self) -> Self {
        self.settings.challenge.config.descriptions = false;
        self
    }

    /// Lets issuers and endpoints be `http://` on this very machine, for tests and development.
    pub fn allow_http_loopback(mut self) -> Self {
        self.settings.trust.allow_http_loopback = true;
        self
    }

    /// Further root certificates to trust when keys are fetched: PEM text of one or more, beside
    /// those of the system.
    #[cfg(feature = "remote")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        let set = self.settings.trust.client.add_root_certificates(pem.into());
        self.settings.problems.extend(set.err().map(str::to_owned));
        self
    }

    /// The proxy for requests of this server's own; those of the environment are not used.
    ///
    /// Its URL begins with `http://` or `https://`. A user name and a password in it, percent-encoded,
    /// are shown to the proxy as Basic (RFC 7617). Anything else is refused by [`build`](Self::build),
    /// SOCKS too, and nothing is ever fetched past a proxy because it was not understood. What is asked
    /// by http is on this very machine, or inside a network, and goes to no proxy; neither does what is asked of an issuer
    /// with [`Issuer::no_proxy`](crate::Issuer::no_proxy).
    #[cfg(feature = "remote")]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        let set = self.settings.trust.client.set_proxy(&url.into());
        self.settings.problems.extend(set.err().map(str::to_owned));
        self
    }

    /// The `User-Agent` of requests of this server's own.
    #[cfg(feature = "remote")]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        let set = self.settings.trust.client.set_user_agent(&user_agent.into());
        self.settings.problems.extend(set.err().map(str::to_owned));
        self
    }

    /// Accepts tokens in the query as `access_token`, too (RFC 6750 §2.3), and takes them out of
    /// the URI that the handler sees. The answer is `Cache-Control: private`, and fields that some
    /// caches obey instead, such as `CDN-Cache-Control`, are removed. OAuth 2.1 §5.1 dropped this
    /// method, because URLs are logged: leave it off unless a client can send nothing else.
    pub fn query_token(mut self) -> Self {
        self.settings.query_token = true;
        self
    }

    /// How long past their freshness keys are used while their issuer does not answer: 1 h unless set,
    /// at most 24 h. Longer bridges longer outages; it also is how long a key that was withdrawn
    /// because it leaked can be kept alive by whoever can block the fetch.
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.settings.trust.stale_if_error = time;
        self
    }

    /// Refreshes keys by a timer, too, and not only when requests come in: for an API with so few of
    /// them that its keys would lapse in between. The timer starts with the first fetch, and ends with
    /// the server. Of tenants that a resolver finds, it is for those that had a valid token.
    pub fn keep_warm(mut self) -> Self {
        self.settings.trust.keep_warm = true;
        self
    }

    /// How many tenants of an [`IssuerResolver`](crate::IssuerResolver) are kept, each with its keys: 1,000 unless set. Beyond
    /// them the least recently used has to be resolved again with its next token.
    ///
    /// It counts tenants that had a valid token. Others are on probation, beside them: a tenth as many,
    /// and at least 16. Where a tenant has a key set of 10 KiB, it takes some 40 KiB of memory, and a
    /// thousand of them 40 MB.
    pub fn max_tenants(mut self, most: usize) -> Self {
        self.settings.trust.max_tenants = most;
        self
    }

    /// Tells of what happens to the keys of issuers: to count, or to raise an alarm. The same facts
    /// are in the log. `observer` runs where the event happened, perhaps within a request, so it must
    /// not block. No lock is held while it runs: it may ask for the health of the server, or reload
    /// it.
    ///
    /// ```
    /// use tower_resource_server::{Event, ResourceServer};
    ///
    /// let builder = ResourceServer::builder()
    ///     .issuer("https://as.example.com")
    ///     .audience("https://api.example.com")
    ///     .on_event(|event| {
    ///         if let Event::Stale { issuer, usable_for } = event {
    ///             eprintln!("{issuer} is down; its keys hold for {} s", usable_for.as_secs());
    ///         }
    ///     });
    /// # let _ = builder;
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.settings.trust.stream = Stream::new(Arc::new(observer));
        self
    }

    /// Another source of time, for tests; see [`TestClock`](crate::TestClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.trust.clock = Arc::new(clock);
        self
    }
}
