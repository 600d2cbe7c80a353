//! The settings that have a default.

use std::sync::Arc;
use std::time::Duration;

use crate::challenge::parse_other;
use crate::clock::Clock;
use crate::credentials::TokenProtocol;
use crate::observe::{Event, Stream};
#[cfg(feature = "dpop")]
use crate::sender::Dpop;
#[cfg(feature = "mtls")]
use crate::sender::{CertificateHeader, ProxyHeader, TrustedPeers};
use crate::server::builder::Builder;
use crate::token::ScopeToken;

/// How an API with [`fapi2`](Builder::fapi2) notices that a token was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// Every token is introspected: the `Issuer::introspection` of each issuer has `also_for_jwts` or `only`.
    /// A revoked token is refused when the cached answer expires, by default after at most 60 s.
    Introspection,
}

impl<S, C, R> Builder<S, C, R> {
    /// The allowed difference between the clocks of issuers and this server, for `exp`, `nbf` and
    /// `iat`. The default is 60 s, the maximum 300 s.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.settings.trust.leeway = leeway;
        self
    }

    /// The `realm` of challenges (RFC 9110 §11.5). The default is the first audience.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.settings.challenge.realm = Some(realm.into());
        self
    }

    /// The `scope` in the challenge of a 401, so that a client knows which scope to request (RFC 6750
    /// §3). [`ResourceServer::protect`](crate::ResourceServer::protect) sets the `scope` for one route.
    pub fn challenge_scope<T: Into<String>>(mut self, scope: impl IntoIterator<Item = T>) -> Self {
        self.settings.challenge.scope.extend(scope.into_iter().map(Into::into));
        self
    }

    /// Removes the fields `Authorization` and `DPoP` after a layer has accepted a token in `Authorization`.
    /// Then the token is hidden from the inner service, its logs and the services that it calls. Inner layers
    /// of the same server still work. An inner layer of another server does not see the token either.
    pub fn strip_authorization(mut self) -> Self {
        self.settings.strip_authorization = true;
        self
    }

    /// Keeps the text of each token, for an API that calls another API on behalf of the client. Read the
    /// text through [`RawToken`](crate::token::RawToken).
    pub fn keep_raw_tokens(mut self) -> Self {
        self.settings.keep_raw_tokens = true;
        self
    }

    /// Adds a rule: a token with `scope` also has the scopes `implies`. The rule applies wherever a policy
    /// requires a scope. Without a rule, no scope implies another one, whatever their names are (RFC 6749
    /// §3.3).
    ///
    /// Rules are transitive. A challenge names the scopes that the policy names, without implied ones.
    /// [`AccessToken::scope`](crate::AccessToken::scope) returns the scopes that the token names, without
    /// implied ones.
    ///
    /// ```
    /// use tower_resource_server::ResourceServer;
    ///
    /// let builder = ResourceServer::builder()
    ///     .issuer("https://as.example.com")
    ///     .audience("https://api.example.com")
    ///     .scope_implies("files", ["files:read", "files:write"]);
    /// # let _ = builder;
    /// ```
    pub fn scope_implies<'a>(
        mut self,
        scope: &str,
        implies: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut parse = |text: &str| match ScopeToken::parse(text) {
            Ok(token) => Some(token),
            Err(error) => {
                let problem = format!("scope_implies `{}`: {error}", text.escape_debug());
                self.settings.problems.push(problem);
                None
            }
        };
        let scope = parse(scope);
        let implies: Vec<_> = implies.into_iter().filter_map(parse).collect();
        if let Some(scope) = scope {
            self.settings.scopes.add(&scope, &implies);
        }
        self
    }

    /// Adds a parameter to every challenge. The parameters of RFC 6750 §3 have their own settings.
    pub fn challenge_param(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.settings.challenge.config.params.push((name.into(), text.into()));
        self
    }

    /// Adds a challenge of another scheme to each 401, for an API that also accepts other credentials (RFC
    /// 9110 §11.6.1). A 401 for a DPoP proof does not have it, because other credentials would not help. The
    /// layers of this crate do not read those credentials. See the [manual](crate::manual::policies#a-second-scheme).
    ///
    /// ```
    /// use tower_resource_server::ResourceServer;
    ///
    /// let builder = ResourceServer::builder()
    ///     .issuer("https://as.example.com")
    ///     .audience("https://api.example.com")
    ///     .other_challenge(r#"ApiKey realm="partners""#);
    /// # let _ = builder;
    /// ```
    pub fn other_challenge(mut self, challenge: &str) -> Self {
        match parse_other(challenge) {
            Ok(value) => self.settings.challenge.config.others.push(value),
            Err(problem) => {
                let problem = format!("other_challenge `{}`: {problem}", challenge.escape_debug());
                self.settings.problems.push(problem);
            }
        }
        self
    }

    /// The absolute URI of a page about errors, sent as `error_uri` (RFC 6750 §3).
    pub fn error_uri(mut self, uri: impl Into<String>) -> Self {
        self.settings.challenge.config.error_uri = Some(uri.into());
        self
    }

    /// Omits `error_description` from challenges. By default, it is a fixed text for each error code.
    pub fn without_error_descriptions(mut self) -> Self {
        self.settings.challenge.config.descriptions = false;
        self
    }

    /// Allows `http://` in URLs of this machine, for tests and development: issuers, endpoints, the resource
    /// identifier and other public URLs of the API.
    pub fn allow_http_loopback(mut self) -> Self {
        self.settings.trust.allow_http_loopback = true;
        self
    }

    /// Root certificates to trust for requests to issuers, in addition to those of the system: PEM text
    /// of one or more certificates.
    #[cfg(feature = "http-client")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        let set = self.settings.trust.client.add_root_certificates(pem.into());
        self.settings.problems.extend(set.err().map(str::to_owned));
        self
    }

    /// The proxy for requests to issuers. Proxy variables of the environment are ignored.
    ///
    /// The URL begins with `http://` or `https://`. A percent-encoded user name and password in it are
    /// sent to the proxy as Basic credentials (RFC 7617). [`build`](Self::build) refuses any other URL,
    /// such as SOCKS, so that no request bypasses a misconfigured proxy. Two kinds of requests do not
    /// use the proxy: requests to `http://` URLs, which are on this machine or in a private network, and
    /// requests to an issuer with [`Issuer::no_proxy`](crate::Issuer::no_proxy).
    #[cfg(feature = "http-client")]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        let set = self.settings.trust.client.set_proxy(&url.into());
        self.settings.problems.extend(set.err().map(str::to_owned));
        self
    }

    /// The `User-Agent` of requests to issuers.
    #[cfg(feature = "http-client")]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        let set = self.settings.trust.client.set_user_agent(&user_agent.into());
        self.settings.problems.extend(set.err().map(str::to_owned));
        self
    }

    /// Also accepts tokens in the query parameter `access_token` (RFC 6750 §2.3). The handler sees the
    /// URI without the token. A successful response gets `Cache-Control: private`, and loses the fields that
    /// some caches obey instead, such as `CDN-Cache-Control`. OAuth 2.1 §5.1 dropped tokens in the query,
    /// because URLs are logged. Use this setting only for clients that cannot send a header.
    pub fn query_token(mut self) -> Self {
        self.settings.query_token = true;
        self
    }

    /// Also accepts the token of a WebSocket handshake in the field `Sec-WebSocket-Protocol`, for browsers,
    /// which cannot send `Authorization` there. `name` is the name of this API: one or more characters of an
    /// HTTP token, such as `api.example.com`.
    ///
    /// A client offers the subprotocol `base64url.bearer.authorization.<name>.<base64url of the token,
    /// without padding>`, and at least one other subprotocol, which the server selects in its response. The
    /// token's subprotocol is removed before the inner service runs, so no handler can see it or select it. The
    /// response is 400 if the token is malformed or repeated, if the request has a second token elsewhere, or
    /// if the client offers no other subprotocol. A successful response without an upgrade gets
    /// `Cache-Control: private`. The [manual](crate::manual::streams) has a complete program.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use base64::Engine as _;
    /// use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .websocket_token("api.example.com")
    ///     .build()?;
    ///
    /// let token = URL_SAFE_NO_PAD.encode(issuer.token().subject("alice").sign());
    /// let token = format!("base64url.bearer.authorization.api.example.com.{token}");
    /// let handshake = |protocols: String| {
    ///     let request = http::Request::get("/events").header("upgrade", "websocket");
    ///     let request = request.header("sec-websocket-protocol", protocols).body(());
    ///     request.map(|request| request.into_parts().0)
    /// };
    /// let authenticated = api.authenticate(&handshake(format!("chat, {token}"))?).await.unwrap();
    /// assert_eq!(authenticated.token.subject(), Some("alice"));
    ///
    /// // Without another subprotocol, the server could only answer with the token.
    /// assert_eq!(api.authenticate(&handshake(token)?).await.unwrap_err().status(), 400);
    /// # Ok(())
    /// # }
    /// ```
    pub fn websocket_token(mut self, name: &str) -> Self {
        match TokenProtocol::new(name) {
            Ok(protocol) => self.settings.websocket = Some(protocol),
            Err(problem) => {
                let problem = format!("websocket_token `{}`: {problem}", name.escape_debug());
                self.settings.problems.push(problem);
            }
        }
        self
    }

    /// Reads the client's certificate from a header that a proxy sets, for tokens that are bound to a client
    /// certificate (RFC 8705 §3). Without this setting, no header is read, and only the certificate of the TLS
    /// connection counts: see [`ClientCertificate`](crate::sender::ClientCertificate).
    ///
    /// | the peer | the header | the request |
    /// |---|---|---|
    /// | is one of `peers` | has a certificate | has that certificate |
    /// | is one of `peers` | is absent | has no certificate; a certificate of the TLS connection is the proxy's |
    /// | is one of `peers` | is malformed or repeated | is refused with 400 `invalid_request`, with any token |
    /// | is another one | is removed and ignored | has the certificate of its TLS connection, if any |
    ///
    /// A token that is bound to a certificate is refused without that certificate. A token that is not bound
    /// to a certificate passes in the first, second and fourth case.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use base64::Engine as _;
    /// use base64::engine::general_purpose::STANDARD;
    /// use tower_resource_server::sender::{PeerAddress, ProxyHeader, TrustedPeers};
    /// use tower_resource_server::test_issuer::{TestCertificate, TestIssuer};
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .client_certificate_header(ProxyHeader::client_cert(), TrustedPeers::cidrs(["10.0.0.7"]))
    ///     .build()?;
    ///
    /// let certificate = TestCertificate::generate("client");
    /// let token = issuer.token().bound_to_certificate(&certificate).sign();
    /// let head = |peer: [u8; 4]| {
    ///     let request = http::Request::get("/")
    ///         .header("authorization", format!("Bearer {token}"))
    ///         .header("client-cert", format!(":{}:", STANDARD.encode(certificate.der())))
    ///         .extension(PeerAddress::Ip(peer.into()));
    ///     request.body(()).unwrap().into_parts().0
    /// };
    /// assert!(api.authenticate(&head([10, 0, 0, 7])).await.is_ok());
    /// let refusal = api.authenticate(&head([10, 0, 0, 8])).await.unwrap_err();
    /// assert_eq!((refusal.status().as_u16(), refusal.error().code()), (401, "untrusted_proxy"));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "mtls")]
    pub fn client_certificate_header(mut self, header: ProxyHeader, peers: TrustedPeers) -> Self {
        match CertificateHeader::new(&header, peers) {
            Ok(header) => {
                if self.settings.certificates.header.replace(header).is_some() {
                    let problem = "client_certificate_header: is set twice";
                    self.settings.problems.push(problem.to_owned());
                }
            }
            Err(problems) => self.settings.problems.extend(problems),
        }
        self
    }

    /// Accepts tokens that are bound to a key of the client (DPoP, RFC 9449), with the scheme `DPoP`. Without this
    /// setting, such tokens are refused. See [`Dpop`] and the [manual](crate::manual::dpop).
    ///
    /// The scheme must fit the token: a token that is bound to a key is refused with the scheme `Bearer`, and a
    /// token that is not bound to a key is refused with the scheme `DPoP`.
    #[cfg(feature = "dpop")]
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        if self.settings.dpop.replace(dpop).is_some() {
            self.settings.problems.push("dpop: is set twice".to_owned());
        }
        self
    }

    /// Accepts only tokens that are bound to a key or to a client certificate (RFC 9700 §2.2.1). Other tokens
    /// get 401 `invalid_token`. To require a key, see `Dpop::required`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_resource_server::test_issuer::TestIssuer;
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// let issuer = TestIssuer::in_process("https://as.example.com");
    /// let api = ResourceServer::builder()
    ///     .issuer(Issuer::new(issuer.url()).jwks(issuer.jwks()))
    ///     .audience("https://api.example.com")
    ///     .require_bound_tokens()
    ///     .build()?;
    ///
    /// let bearer = format!("Bearer {}", issuer.token().sign());
    /// let request = http::Request::get("/").header("authorization", bearer).body(())?;
    /// let refusal = api.authenticate(&request.into_parts().0).await.unwrap_err();
    /// assert_eq!((refusal.status().as_u16(), refusal.error().code()), (401, "sender_not_constrained"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn require_bound_tokens(mut self) -> Self {
        self.settings.requires_bound_tokens = true;
        self
    }

    /// Applies the FAPI 2.0 Security Profile (§5.3.4, §5.4.1):
    ///
    /// - every token must be bound to a key or to a client certificate;
    /// - tokens and proofs are signed with PS256, ES256 or Ed25519;
    /// - the `typ` of a JWT is `at+jwt`;
    /// - tokens come in the field `Authorization` only;
    /// - revocation is checked in the way that `revocation` selects.
    ///
    /// [`build`](Self::build) reports every setting that violates this profile. To accept tokens that are bound
    /// to a key, also set `dpop`.
    ///
    /// ```
    /// use tower_resource_server::builder::Revocation;
    /// use tower_resource_server::{Issuer, ResourceServer};
    ///
    /// # #[cfg(feature = "http-client")]
    /// # fn example() -> Result<(), tower_resource_server::ConfigError> {
    /// use tower_resource_server::introspection::{ClientAuth, Introspection};
    ///
    /// let auth = ClientAuth::client_secret_basic("notes-api", "secret");
    /// let asked = Issuer::new("https://as.example.com")
    ///     .introspection(Introspection::new(auth).also_for_jwts());
    /// let build = |issuer: Issuer| {
    ///     let builder = ResourceServer::builder().issuer(issuer).audience("https://api.example.com");
    ///     builder.fapi2(Revocation::Introspection).build()
    /// };
    /// assert!(build(asked).is_ok());
    /// // Nobody would notice that a token was revoked.
    /// assert!(build("https://as.example.com".into()).is_err());
    /// # Ok(())
    /// # }
    /// # #[cfg(feature = "http-client")]
    /// # example().unwrap();
    /// ```
    pub fn fapi2(mut self, revocation: Revocation) -> Self {
        match revocation {
            Revocation::Introspection => self.settings.trust.is_fapi = true,
        }
        self.require_bound_tokens()
    }

    /// How long stale keys are used while their issuer does not answer. The default is 1 h, the maximum
    /// 24 h. A longer time covers longer outages. But during this time, an attacker who blocks the fetch can
    /// still use a leaked key that the issuer has withdrawn.
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.settings.trust.stale_if_error = time;
        self
    }

    /// Also refreshes keys by a timer, not only when requests arrive. Use this setting if the API gets so
    /// few requests that its keys would expire between two requests. The timer starts with the first
    /// fetch and ends with the server. For an issuer resolver, the timer also refreshes the keys of each tenant
    /// that had a valid token.
    pub fn keep_warm(mut self) -> Self {
        self.settings.trust.keep_warm = true;
        self
    }

    /// The maximum number of tenants of an [`IssuerResolver`](crate::issuer::IssuerResolver) that are kept, each
    /// with its keys. The default is 1,000. Beyond this limit, the least recently used tenant is evicted
    /// and must be resolved again.
    ///
    /// The limit is for tenants that had a valid token. Tenants that had no valid token yet have a
    /// separate limit: a tenth of this limit, and at least 16. A tenant with a key set of 10 KiB takes
    /// about 40 KiB of memory, so 1,000 such tenants take 40 MB.
    pub fn max_tenants(mut self, most: usize) -> Self {
        self.settings.trust.max_tenants = most;
        self
    }

    /// Registers a callback for events about keys and proofs (DPoP), for example for metrics or alerts. The
    /// log has the same facts. `observer` may run inside a request, so it must not block. No lock is held
    /// while `observer` runs, so it may read the health of the server or reload the server. A second call
    /// replaces the first callback.
    ///
    /// ```
    /// use tower_resource_server::ResourceServer;
    /// use tower_resource_server::observe::Event;
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

    /// Sets the clock, for tests; see [`TestClock`](crate::clock::TestClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.trust.clock = Arc::new(clock);
        self
    }
}
