//! The builder: asks for what nobody can guess, has a default for the rest, and reports every
//! problem at once. No network, no runtime.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::authentication::ServerId;
use crate::authenticator::{
    Authenticator, Invalid, ReadClaims, Validator, read_default, read_typed,
};
use crate::clock::Clock;
use crate::config_error::ConfigError;
use crate::issuer::{Issuer, IssuerResolver};
use crate::observe::shown::AllShown;
use crate::observe::{Event, Stream};
use crate::rejection::EmptyBody;
use crate::server::settings::Settings;
use crate::server::{ResourceServer, Shared};
use crate::token::header::HeaderMemo;
use crate::token::{AccessToken, Claims};

/// A builder that still needs its first issuer: `.issuer("https://as.example.com")` is missing, the
/// authorization server that is trusted.
#[derive(Clone, Copy, Debug)]
pub struct NeedsIssuer(());

/// A builder that still needs its first audience: `.audience("https://api.example.com")` is missing,
/// the name of this API that tokens have in `aud`.
#[derive(Clone, Copy, Debug)]
pub struct NeedsAudience(());

/// A builder that can build.
#[derive(Clone, Copy, Debug)]
pub struct Ready(());

/// Builds a [`ResourceServer`]. It asks for an issuer, then for an audience; `build` exists only
/// after both.
///
/// ```
/// use tower_resource_server::{Issuer, ResourceServer};
///
/// # let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// let api = ResourceServer::builder()
///     .issuer(Issuer::new("https://as.example.com").jwks(jwks))
///     .audience("https://api.example.com")
///     .build()?;
///
/// // Every problem is reported at once.
/// let error = ResourceServer::builder()
///     .issuer(Issuer::new("https://as.example.com").jwks("{}"))
///     .audience("")
///     .build()
///     .unwrap_err();
/// assert_eq!(error.problems().len(), 2);
/// # Ok::<(), tower_resource_server::ConfigError>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<S = NeedsIssuer, C = Claims, R = EmptyBody> {
    settings: Settings,
    read_claims: ReadClaims<C>,
    validators: Vec<Validator<C>>,
    body: R,
    state: PhantomData<S>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::new(),
            read_claims: read_default,
            validators: Vec::new(),
            body: EmptyBody,
            state: PhantomData,
        }
    }
}

impl ResourceServer {
    /// Starts with the default [`Claims`] and empty bodies; the builder can change both.
    ///
    /// An issuer comes before the audience: with the two the other way round, the compiler finds no
    /// method `audience`. All other settings can stand before or after them.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<C, R> Builder<NeedsIssuer, C, R> {
    /// A trusted authorization server; a text is an issuer to [discover](Issuer::discover).
    pub fn issuer(self, issuer: impl Into<Issuer>) -> Builder<NeedsAudience, C, R> {
        self.add_issuer(issuer.into())
    }

    /// Trusted authorization servers that are found while requests come in: tenants. See
    /// [`IssuerResolver`].
    pub fn issuer_resolver(self, resolver: impl IssuerResolver) -> Builder<NeedsAudience, C, R> {
        self.set_resolver(resolver)
    }
}

impl<C, R> Builder<NeedsAudience, C, R> {
    /// One more trusted authorization server.
    pub fn issuer(self, issuer: impl Into<Issuer>) -> Self {
        self.add_issuer(issuer.into())
    }

    /// Trusted authorization servers beside those named here; see [`IssuerResolver`].
    pub fn issuer_resolver(self, resolver: impl IssuerResolver) -> Self {
        self.set_resolver(resolver)
    }

    /// Who this API is: tokens must name it in `aud` (RFC 9068 §4), exactly as spelled here.
    pub fn audience(self, audience: impl Into<String>) -> Builder<Ready, C, R> {
        self.add_audience(audience.into())
    }
}

impl<C, R> Builder<Ready, C, R> {
    /// One more trusted authorization server.
    pub fn issuer(self, issuer: impl Into<Issuer>) -> Self {
        self.add_issuer(issuer.into())
    }

    /// Trusted authorization servers beside those named here; see [`IssuerResolver`].
    pub fn issuer_resolver(self, resolver: impl IssuerResolver) -> Self {
        self.set_resolver(resolver)
    }

    /// One more name of this API: a token needs one of them.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.add_audience(audience.into())
    }
}

impl<S, C, R> Builder<S, C, R> {
    fn with_state<T>(self) -> Builder<T, C, R> {
        Builder {
            settings: self.settings,
            read_claims: self.read_claims,
            validators: self.validators,
            body: self.body,
            state: PhantomData,
        }
    }

    fn add_issuer<T>(mut self, issuer: Issuer) -> Builder<T, C, R> {
        self.settings.issuers.push(issuer);
        self.with_state()
    }

    fn set_resolver<T>(mut self, resolver: impl IssuerResolver) -> Builder<T, C, R> {
        if self.settings.trust.resolver.replace(Arc::new(resolver)).is_some() {
            let problem = "issuer_resolver: is set twice; one resolver has one allow rule";
            self.settings.problems.push(problem.to_owned());
        }
        self.with_state()
    }

    fn add_audience<T>(mut self, audience: String) -> Builder<T, C, R> {
        self.settings.audiences.push(audience);
        self.with_state()
    }

    /// The type that handlers get the claims as. Claims that do not fit it are refused with 401
    /// `invalid_token`, and the log names the claim. Comes before [`validator`](Self::validator).
    ///
    /// The type is read as `serde_json` reads it, but:
    /// - A name that stands twice, at any depth, refuses the token before.
    /// - A map's key that is a number or a boolean has one spelling, the one that Rust prints: `1`, and
    ///   not `+1`, `01` or `1.0`. A key of another type with two spellings for one value (an alias of a
    ///   variant, an `IpAddr`) keeps the last, as everywhere in serde: read such names as `String`.
    /// - An integer beyond 64 bits is a double, and `serde_json::value::RawValue` fits nothing.
    /// - The name of a variant is text. Inside `flatten` and `untagged`, where serde keeps what it reads
    ///   in a buffer, `serde_json` lets a number stand for a variant of a tagged enum.
    /// - `()`, a unit struct and `PhantomData` take any claims.
    pub fn claims<T: DeserializeOwned + Send + Sync + 'static>(mut self) -> Builder<S, T, R> {
        if !self.validators.is_empty() {
            let problem = "claims: comes before `validator`, whose claims are of the type set here";
            self.settings.problems.push(problem.to_owned());
        }
        Builder {
            settings: self.settings,
            read_claims: read_typed::<T>,
            validators: Vec::new(),
            body: self.body,
            state: PhantomData,
        }
    }

    /// A check of the API's own on every token, after all others; it can refuse with 401, never
    /// admit.
    ///
    /// ```
    /// use tower_resource_server::{AccessToken, Claims, Invalid, ResourceServer};
    ///
    /// let builder = ResourceServer::builder()
    ///     .issuer("https://as.example.com")
    ///     .audience("https://api.example.com")
    ///     .validator(|token: &AccessToken<Claims>| match token.extra.get("tenant") {
    ///         Some(_) => Ok(()),
    ///         None => Err(Invalid::because("no tenant")),
    ///     });
    /// # let _ = builder;
    /// ```
    pub fn validator(
        mut self,
        validator: impl Fn(&AccessToken<C>) -> Result<(), Invalid> + Send + Sync + 'static,
    ) -> Self {
        self.validators.push(Arc::new(validator));
        self
    }

    /// The bodies of refusals: [`EmptyBody`] unless set, [`ProblemJson`](crate::ProblemJson), or a
    /// function. See [`RefusalBody`](crate::RefusalBody).
    pub fn refusal_body<T>(self, body: T) -> Builder<S, C, T> {
        Builder {
            settings: self.settings,
            read_claims: self.read_claims,
            validators: self.validators,
            body,
            state: PhantomData,
        }
    }

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
    /// also [`ResourceServer::protect`], which does it for a route.
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

    /// How many tenants of an [`IssuerResolver`] are kept, each with its keys: 1,000 unless set. Beyond
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

/// A builder that has what nobody can guess: an issuer, and an audience.
#[diagnostic::on_unimplemented(
    message = "`build` needs `.issuer(..)` and then `.audience(..)`, and the builder is at `{Self}`",
    label = "add what is missing before `build`",
    note = "`.issuer(\"https://as.example.com\")` is the authorization server that is trusted, and \
            `.audience(\"https://api.example.com\")` is the name of this API that tokens have in `aud`"
)]
pub trait Complete: sealed::Sealed {}

impl Complete for Ready {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Ready {}
}

impl<S, C: Send + Sync + 'static, R> Builder<S, C, R> {
    /// Builds the server. Nothing is fetched yet, and no runtime is needed.
    ///
    /// Requests are served in a tokio runtime whose timer is on (`enable_time`), as that of
    /// `#[tokio::main]` is: without it no fetch can have a deadline, so none is made, and requests
    /// that need one are answered 503.
    ///
    /// # Errors
    /// Every setting that can't be, by name and value.
    pub fn build(self) -> Result<ResourceServer<C, R>, ConfigError>
    where
        S: Complete,
    {
        let Settings { issuers, audiences, trust: settings, challenge, query_token, mut problems } =
            self.settings;
        let settings = Arc::new(settings);
        problems.extend(settings.problems());
        let trust = settings.trust(&issuers, &audiences, None, &mut problems);
        let (challenge, challenges) = challenge.build(&audiences, &mut problems);
        let (Some(challenges), []) = (challenges, problems.as_slice()) else {
            return Err(ConfigError { problems });
        };
        let authenticator = Authenticator {
            trust: arc_swap::ArcSwap::from_pointee(trust),
            clock: Arc::clone(&settings.clock),
            read_claims: self.read_claims,
            validators: self.validators,
            headers: HeaderMemo::default(),
        };
        authenticator.trust.load().tell_of_seeds();
        Ok(ResourceServer::new(Shared {
            authenticator: Arc::new(authenticator),
            id: ServerId::new(challenges, settings.stream.clone()),
            challenge,
            body: self.body,
            trust: settings,
            query_token,
            keeps_tokens: AtomicBool::new(false),
        }))
    }
}

impl<S, C, R> fmt::Debug for Builder<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("issuers", &self.settings.issuers)
            .field("audiences", &AllShown(&self.settings.audiences))
            .finish_non_exhaustive()
    }
}
