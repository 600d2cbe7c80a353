//! The builder: asks for what nobody can guess, has a default for the rest, and reports every
//! problem at once. No network, no runtime.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::authenticator::{
    Authenticator, Invalid, ReadClaims, Validator, read_default, read_typed,
};
use crate::challenge::{ChallengeConfig, Challenges, is_error_uri};
use crate::clock::{Clock, SystemClock};
use crate::config_error::ConfigError;
use crate::crypto::{AlgorithmSet, KeyFault, VerificationKey};
use crate::issuer::{Issuer, KeyConfig, Trust, TrustedIssuer, check_url};
use crate::keys::{KeySet, KeySetFault, Keys, RemoteKeys, Source};
use crate::rejection::EmptyBody;
use crate::server::{ResourceServer, Shared};
use crate::token::{AccessToken, Claims, ScopeToken, ServerId};

/// How far clocks may differ, unless set.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);

/// How far clocks may differ at most: "a few minutes" (RFC 9068 §4).
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// A builder that still needs its first issuer.
#[derive(Clone, Copy, Debug)]
pub struct NeedsIssuer(());

/// A builder that still needs its first audience.
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
///     .issuer(Issuer::new("http://as.example.com").jwks(jwks))
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

/// What does not depend on the types of claims and bodies.
pub(crate) struct Settings {
    issuers: Vec<Issuer>,
    audiences: Vec<String>,
    leeway: Duration,
    realm: Option<String>,
    challenge: ChallengeConfig,
    challenge_scope: Vec<String>,
    allow_http_loopback: bool,
    #[cfg(feature = "remote")]
    client: crate::fetch::ClientSettings,
    query_token: bool,
    clock: Arc<dyn Clock>,
    problems: Vec<String>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings {
                issuers: Vec::new(),
                audiences: Vec::new(),
                leeway: DEFAULT_LEEWAY,
                realm: None,
                challenge: ChallengeConfig { descriptions: true, ..ChallengeConfig::default() },
                challenge_scope: Vec::new(),
                allow_http_loopback: false,
                #[cfg(feature = "remote")]
                client: crate::fetch::ClientSettings::default(),
                query_token: false,
                clock: Arc::new(SystemClock::new()),
                problems: Vec::new(),
            },
            read_claims: read_default,
            validators: Vec::new(),
            body: EmptyBody,
            state: PhantomData,
        }
    }
}

impl<C, R> Builder<NeedsIssuer, C, R> {
    /// A trusted authorization server; a text is an issuer to [discover](Issuer::discover).
    pub fn issuer(self, issuer: impl Into<Issuer>) -> Builder<NeedsAudience, C, R> {
        self.add_issuer(issuer.into())
    }
}

impl<C, R> Builder<NeedsAudience, C, R> {
    /// One more trusted authorization server.
    pub fn issuer(self, issuer: impl Into<Issuer>) -> Self {
        self.add_issuer(issuer.into())
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

    fn add_audience<T>(mut self, audience: String) -> Builder<T, C, R> {
        self.settings.audiences.push(audience);
        self.with_state()
    }

    /// The type that handlers get the claims as. Claims that do not fit it are refused with 401
    /// `invalid_token`, and the log names the claim. Comes before [`validator`](Self::validator).
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

    /// How far the clocks of issuers and this server may differ, for `exp` and `nbf`: 60 s unless
    /// set, at most 300 s.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.settings.leeway = leeway;
        self
    }

    /// The `realm` of challenges (RFC 9110 §11.5): the first audience unless set.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.settings.realm = Some(realm.into());
        self
    }

    /// The `scope` that a 401 asks for, so that a client knows what to request (RFC 6750 §3). See
    /// also [`ResourceServer::protect`], which does it for a route.
    pub fn challenge_scope<T: Into<String>>(mut self, scope: impl IntoIterator<Item = T>) -> Self {
        self.settings.challenge_scope.extend(scope.into_iter().map(Into::into));
        self
    }

    /// One more parameter of every challenge.
    pub fn challenge_param(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.settings.challenge.params.push((name.into(), text.into()));
        self
    }

    /// An absolute URI of a page about errors, sent as `error_uri` (RFC 6750 §3).
    pub fn error_uri(mut self, uri: impl Into<String>) -> Self {
        self.settings.challenge.error_uri = Some(uri.into());
        self
    }

    /// Leaves out `error_description`, which is one fixed text for each code.
    pub fn without_error_descriptions(mut self) -> Self {
        self.settings.challenge.descriptions = false;
        self
    }

    /// Lets issuers and endpoints be `http://` on this very machine, for tests and development.
    pub fn allow_http_loopback(mut self) -> Self {
        self.settings.allow_http_loopback = true;
        self
    }

    /// Further root certificates to trust when keys are fetched: PEM text of one or more, beside
    /// those of the system.
    #[cfg(feature = "remote")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.settings.client.root_certificates.push(pem.into());
        self
    }

    /// The proxy for requests of this server's own; those of the environment are not used.
    #[cfg(feature = "remote")]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.settings.client.proxy = Some(url.into());
        self
    }

    /// The `User-Agent` of requests of this server's own.
    #[cfg(feature = "remote")]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.settings.client.user_agent = Some(user_agent.into());
        self
    }

    /// Accepts tokens in the query as `access_token`, too (RFC 6750 §2.3), and takes them out of
    /// the URI that the handler sees. OAuth 2.1 §5.1 dropped this method, because URLs are logged:
    /// leave it off unless a client can send nothing else.
    pub fn query_token(mut self) -> Self {
        self.settings.query_token = true;
        self
    }

    /// Another source of time, for tests; see [`TestClock`](crate::TestClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }
}

impl<C: Send + Sync + 'static, R> Builder<Ready, C, R> {
    /// Builds the server. Nothing is fetched yet.
    ///
    /// # Errors
    /// Every setting that can't be, by name and value.
    pub fn build(mut self) -> Result<ResourceServer<C, R>, ConfigError> {
        let mut problems = std::mem::take(&mut self.settings.problems);
        let settings = self.settings;
        let trust = build_trust(&settings, 0, &mut problems);
        let (challenge, challenges) = build_challenges(&settings, &mut problems);
        let (Some(challenges), []) = (challenges, problems.as_slice()) else {
            return Err(ConfigError { problems });
        };
        let authenticator = Authenticator {
            trust: arc_swap::ArcSwap::from_pointee(trust),
            clock: settings.clock,
            read_claims: self.read_claims,
            validators: self.validators,
        };
        Ok(ResourceServer::new(Shared {
            authenticator: Arc::new(authenticator),
            id: ServerId::new(challenges),
            challenge,
            body: self.body,
            query_token: settings.query_token,
        }))
    }
}

impl<S, C, R> fmt::Debug for Builder<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("issuers", &self.settings.issuers)
            .field("audiences", &self.settings.audiences)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "remote")]
impl Settings {
    fn client(&self, issuer: &Issuer) -> crate::fetch::ClientSettings {
        let url = match &issuer.keys {
            KeyConfig::JwksUri(uri) => uri,
            _ => &issuer.name,
        };
        crate::fetch::ClientSettings {
            allow_http_loopback: self.allow_http_loopback,
            needs_tls: url.starts_with("https:"),
            ..self.client.clone()
        }
    }
}

fn build_challenges(
    settings: &Settings,
    problems: &mut Vec<String>,
) -> (ChallengeConfig, Option<Challenges>) {
    let mut config = settings.challenge.clone();
    config.realm = match (&settings.realm, settings.audiences.first()) {
        (Some(realm), _) | (None, Some(realm)) => realm.clone(),
        (None, None) => String::new(),
    };
    if let Some(uri) = &config.error_uri
        && !is_error_uri(uri)
    {
        problems.push(format!("error_uri `{}`: must be an absolute URI", uri.escape_debug()));
    }
    let mut scope = Vec::new();
    for text in &settings.challenge_scope {
        match ScopeToken::parse(text) {
            Ok(token) => scope.push(token),
            Err(error) => {
                problems.push(format!("challenge_scope `{}`: {error}", text.escape_debug()));
            }
        }
    }
    match Challenges::build(&config, &scope) {
        Ok(challenges) => (config, Some(challenges)),
        Err(problem) => {
            problems.push(format!("challenge: {}", problem.escape_debug()));
            (config, None)
        }
    }
}

fn build_trust(settings: &Settings, generation: u64, problems: &mut Vec<String>) -> Trust {
    for audience in &settings.audiences {
        if audience.is_empty() {
            problems.push("audience ``: must not be empty".to_owned());
        }
        // OAuth 2.1 §1.5; another identifier than a URL (a URN, a name) is as good.
        let is_http = audience.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
        if is_http && check_url(audience, settings.allow_http_loopback).is_err() {
            problems.push(format!("audience `{}`: must be https", audience.escape_debug()));
        }
    }
    let mut names = HashSet::new();
    let mut issuers = Vec::new();
    for issuer in &settings.issuers {
        let name = issuer.name.escape_debug().to_string();
        let mut problem = |text: &str| problems.push(format!("issuer `{name}`: {text}"));
        for spelling in std::iter::once(&issuer.name).chain(&issuer.aliases) {
            if !names.insert(spelling.clone()) {
                problem("is trusted twice; an issuer is one value with one set of rules");
            }
        }
        if let Some(issuer) = build_issuer(issuer, settings, &mut problem) {
            issuers.push(Arc::new(issuer));
        }
    }
    Trust { generation, issuers }
}

fn build_issuer(
    issuer: &Issuer,
    settings: &Settings,
    problem: &mut impl FnMut(&str),
) -> Option<TrustedIssuer> {
    match check_url(&issuer.name, settings.allow_http_loopback) {
        Ok(uri) if uri.query().is_some() => problem("must have no query (RFC 8414 section 2)"),
        Ok(_) => {}
        Err(text) => problem(text),
    }
    // An alias is compared and never fetched from; servers write other things than URLs.
    if issuer.aliases.iter().any(String::is_empty) {
        problem("alias ``: must not be empty");
    }
    let leeway = issuer.leeway.unwrap_or(settings.leeway);
    if leeway > MAX_LEEWAY {
        problem(&format!("leeway {leeway:?}: at most {MAX_LEEWAY:?} (RFC 9068 section 4)"));
    }
    if issuer.audiences.iter().any(String::is_empty) {
        problem("audience ``: must not be empty");
    }
    let algorithms = accepted_algorithms(issuer, problem);
    let keys = build_keys(issuer, algorithms, settings, problem)?;
    let audiences =
        if issuer.audiences.is_empty() { &settings.audiences } else { &issuer.audiences };
    Some(TrustedIssuer {
        name: issuer.name.as_str().into(),
        aliases: issuer.aliases.iter().map(|alias| alias.as_str().into()).collect(),
        audiences: audiences.iter().map(|audience| audience.as_str().into()).collect(),
        algorithms,
        older_names: issuer.older_names,
        profile: issuer.profile.clone(),
        leeway: leeway.as_secs(),
        keys,
    })
}

/// The allow-list (RFC 8725 §3.1): that of the issuer, or what its kind of key allows.
fn accepted_algorithms(issuer: &Issuer, problem: &mut impl FnMut(&str)) -> AlgorithmSet {
    let secret = match &issuer.keys {
        KeyConfig::Secret(_, algorithm) => Some(*algorithm),
        _ => None,
    };
    let Some(listed) = &issuer.algorithms else {
        return secret.map_or(AlgorithmSet::DEFAULT, |own| AlgorithmSet::EMPTY.with(own));
    };
    let algorithms: AlgorithmSet = listed.iter().copied().collect();
    if algorithms.is_empty() {
        problem("algorithms: an empty list accepts nothing");
    }
    for algorithm in algorithms.iter() {
        match secret {
            None if algorithm.is_hmac() => problem(&format!(
                "algorithm {algorithm}: only with a secret configured by `Issuer::secret`"
            )),
            Some(own) if own != algorithm => {
                problem(&format!("algorithm {algorithm}: the secret serves {own}"));
            }
            _ => {}
        }
    }
    algorithms
}

fn build_keys(
    issuer: &Issuer,
    algorithms: AlgorithmSet,
    settings: &Settings,
    problem: &mut impl FnMut(&str),
) -> Option<Keys> {
    let remote = |source| {
        let clock = Arc::clone(&settings.clock);
        Keys::Remote(Arc::new(RemoteKeys::new(&issuer.name, algorithms, source, clock)))
    };
    let keys = match &issuer.keys {
        KeyConfig::Jwks(document) => KeySet::parse(document, algorithms)
            .map(|set| Keys::Static(Arc::new(set)))
            .map_err(|KeySetFault(text)| format!("jwks: {text}")),
        KeyConfig::Pem(pem) => one_key(crate::keys::pem(pem, algorithms), "pem"),
        KeyConfig::Secret(secret, algorithm) => {
            one_key(VerificationKey::secret(secret, *algorithm), "secret")
        }
        KeyConfig::Source(source) => Ok(remote(Source::User(Arc::clone(source)))),
        KeyConfig::Discover | KeyConfig::JwksUri(_) => remote_source(issuer, settings).map(remote),
    };
    keys.map_err(|text| problem(&text)).ok()
}

#[cfg(feature = "remote")]
fn remote_source(issuer: &Issuer, settings: &Settings) -> Result<Source, String> {
    let client = crate::fetch::Client::new(&settings.client(issuer))?;
    match &issuer.keys {
        KeyConfig::JwksUri(uri) => match check_url(uri, settings.allow_http_loopback) {
            Ok(_) => Ok(Source::JwksUri(client, uri.clone())),
            Err(text) => Err(format!("jwks_uri `{}`: {text}", uri.escape_debug())),
        },
        _ => {
            let discovery = crate::issuer::Discovery::new(&issuer.name, client.clone());
            Ok(Source::Discovery(client, discovery))
        }
    }
}

#[cfg(not(feature = "remote"))]
fn remote_source(_: &Issuer, _: &Settings) -> Result<Source, String> {
    Err("its keys are remote: give them in code, or turn on the feature `remote`".to_owned())
}

fn one_key(key: Result<VerificationKey, KeyFault>, setting: &str) -> Result<Keys, String> {
    key.map(|key| Keys::Static(Arc::new(KeySet::single(key))))
        .map_err(|KeyFault(text)| format!("{setting}: {text}"))
}
