//! The builder. An issuer and an audience are required, and all other settings have a default. `build`
//! lists every invalid setting. The builder uses no network and needs no runtime.

pub(crate) mod options;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::de::DeserializeOwned;

use crate::authenticator::{
    Authenticator, Invalid, ReadClaims, Validator, read_default, read_typed,
};
use crate::challenge::Challenges;
#[cfg(feature = "dpop")]
use crate::challenge::{ChallengeConfig, DpopChallenge};
use crate::config_error::ConfigError;
#[cfg(feature = "dpop")]
use crate::crypto::AlgorithmSet;
use crate::issuer::{Issuer, IssuerResolver};
use crate::observe::shown::AllShown;
use crate::rejection::EmptyBody;
#[cfg(feature = "dpop")]
use crate::sender::{Checker, Dpop};
use crate::server::handle::{ResourceServer, Shared};
use crate::server::metadata::Resource;
use crate::server::settings::Settings;
use crate::server_id::{Identity, ServerId};
use crate::token::header::Header;
use crate::token::{AccessToken, Claims};
#[cfg(feature = "dpop")]
use crate::trust::TrustSettings;

/// The state of a builder that needs its first issuer. Add the trusted authorization server with
/// `.issuer("https://as.example.com")`.
#[derive(Clone, Copy, Debug)]
pub struct NeedsIssuer(());

/// The state of a builder that needs its first audience. Add the name of this API, as tokens have it in
/// `aud`, with `.audience("https://api.example.com")`.
#[derive(Clone, Copy, Debug)]
pub struct NeedsAudience(());

/// The state of a builder that can build.
#[derive(Clone, Copy, Debug)]
pub struct Ready(());

/// Builds a [`ResourceServer`]. Set an issuer first and then an audience. A call of `build` compiles only
/// after both are set.
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
    pub(super) settings: Settings,
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
    /// Creates a builder with the default [`Claims`] and empty bodies. The builder can change both.
    ///
    /// Set an issuer before the audience. In the other order, the compiler finds no method `audience`.
    /// All other settings can come before or after them.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<C, R> Builder<NeedsIssuer, C, R> {
    /// Adds a trusted authorization server. A string is the URL of an issuer to
    /// [discover](Issuer::new).
    pub fn issuer(self, issuer: impl Into<Issuer>) -> Builder<NeedsAudience, C, R> {
        self.add_issuer(issuer.into())
    }

    /// Adds trusted authorization servers that are found at run time (tenants). See
    /// [`IssuerResolver`].
    pub fn issuer_resolver(self, resolver: impl IssuerResolver) -> Builder<NeedsAudience, C, R> {
        self.set_resolver(resolver)
    }
}

impl<C, R> Builder<NeedsAudience, C, R> {
    /// Adds another trusted authorization server.
    pub fn issuer(self, issuer: impl Into<Issuer>) -> Self {
        self.add_issuer(issuer.into())
    }

    /// Adds trusted authorization servers that are found at run time (tenants). See
    /// [`IssuerResolver`].
    pub fn issuer_resolver(self, resolver: impl IssuerResolver) -> Self {
        self.set_resolver(resolver)
    }

    /// Sets the name of this API. Tokens must have exactly this text in `aud` (RFC 9068 §4).
    pub fn audience(self, audience: impl Into<String>) -> Builder<Ready, C, R> {
        self.add_audience(audience.into())
    }

    /// Sets the resource identifier of this API: the URL that clients use for the API (RFC 8707 §2,
    /// RFC 9728 §1.2). It must be an absolute https URL without a fragment, in normal form.
    /// [`build`](Self::build) refuses any other text. It is also an [`audience`](Self::audience).
    ///
    /// Every challenge then has the parameter `resource_metadata`, with the URL of the API's metadata. Clients
    /// use the metadata to find the authorization server. To serve the metadata, see
    /// [`ResourceServer::metadata`].
    ///
    /// A server has one resource identifier. [`build`](Self::build) refuses a second one. If an API has two
    /// resources, each under its own path prefix, build one `ResourceServer` for each.
    ///
    /// ```
    /// use tower_resource_server::ResourceServer;
    ///
    /// let builder = |resource: &str| {
    ///     ResourceServer::builder().issuer("https://as.example.com").resource(resource)
    /// };
    /// assert!(builder("https://api.example.com/notes#part").build().is_err());
    /// assert!(builder("https://api.example.com/a").resource("https://api.example.com/b").build().is_err());
    /// # #[cfg(feature = "http-client")]
    /// assert!(builder("https://api.example.com/notes").build().is_ok());
    /// ```
    pub fn resource(self, resource: impl Into<String>) -> Builder<Ready, C, R> {
        self.add_resource(resource.into())
    }
}

impl<C, R> Builder<Ready, C, R> {
    /// Adds another trusted authorization server.
    pub fn issuer(self, issuer: impl Into<Issuer>) -> Self {
        self.add_issuer(issuer.into())
    }

    /// Adds trusted authorization servers that are found at run time (tenants). See
    /// [`IssuerResolver`].
    pub fn issuer_resolver(self, resolver: impl IssuerResolver) -> Self {
        self.set_resolver(resolver)
    }

    /// Adds another name of this API. A token needs one of the names.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.add_audience(audience.into())
    }

    /// Sets the resource identifier of this API: the URL that clients use for the API (RFC 8707 §2,
    /// RFC 9728 §1.2). It must be an absolute https URL without a fragment, in normal form. It is also an
    /// [`audience`](Self::audience). A server has one resource identifier, so a second call is an error of
    /// [`build`](Self::build).
    pub fn resource(self, resource: impl Into<String>) -> Self {
        self.add_resource(resource.into())
    }
}

impl<S, C, R> Builder<S, C, R> {
    fn add_resource(mut self, resource: String) -> Builder<Ready, C, R> {
        if self.settings.resource.is_some() {
            let problem = "resource: is set twice; build one `ResourceServer` for each resource";
            self.settings.problems.push(problem.to_owned());
        }
        self.settings.resource = Some(resource.clone());
        self.add_audience(resource)
    }

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

    /// Sets the type of claims that handlers get. If the claims of a token do not fit this type, the
    /// response is 401 `invalid_token`, and the log names the claim. Call this method before
    /// [`validator`](Self::validator).
    ///
    /// The claims are read as by `serde_json`, with these differences:
    /// - A token with a repeated name, at any depth, is refused.
    /// - A map key that is a number or a boolean has only the spelling that Rust prints: `1`, but not
    ///   `+1`, `01` or `1.0`. A key of another type may have two spellings for one value (an alias of a
    ///   variant, an `IpAddr`). If both are present, the last entry is used, as in `serde_json`. To avoid
    ///   this, use `String` as the type of the key.
    /// - An integer of more than 64 bits is read as a double.
    /// - No claim can be read as a `serde_json::value::RawValue`.
    /// - The name of a variant must be a string. `serde_json` also accepts a number for a variant of a
    ///   tagged enum inside `flatten` and `untagged`, where serde buffers its input.
    /// - `()`, a unit struct and `PhantomData` accept any claims.
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

    /// Adds a user-supplied check of every token. The check runs after all other checks of the token. It
    /// can refuse a token with 401, but cannot accept a token that another check refused.
    ///
    /// ```
    /// use tower_resource_server::{AccessToken, Claims, ResourceServer};
    /// use tower_resource_server::builder::Invalid;
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

    /// Sets the bodies of refusals: [`EmptyBody`] (the default), [`ProblemJson`](crate::refusal::ProblemJson), or
    /// a function. See [`RefusalBody`](crate::refusal::RefusalBody).
    pub fn refusal_body<T>(self, body: T) -> Builder<S, C, T> {
        Builder {
            settings: self.settings,
            read_claims: self.read_claims,
            validators: self.validators,
            body,
            state: PhantomData,
        }
    }
}

/// Implemented for the state of a builder that has an issuer and an audience.
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
    /// Builds the server. This method fetches nothing and needs no runtime.
    ///
    /// Serve requests in a tokio runtime with a timer (`enable_time`), such as the runtime of
    /// `#[tokio::main]`. Without a timer, a fetch cannot have a deadline. So no fetch is made, and
    /// requests that need a fetch get 503.
    ///
    /// # Errors
    /// Lists every invalid setting with its value.
    pub fn build(self) -> Result<ResourceServer<C, R>, ConfigError>
    where
        S: Complete,
    {
        let Settings {
            issuers,
            audiences,
            #[cfg_attr(not(feature = "dpop"), allow(unused_mut))]
                trust: mut settings,
            mut challenge,
            query_token,
            websocket,
            scopes,
            resource,
            certificates,
            keep_raw_tokens,
            strip_authorization,
            requires_bound_tokens,
            #[cfg(feature = "dpop")]
            dpop,
            mut problems,
        } = self.settings;
        if settings.is_fapi && (query_token || websocket.is_some()) {
            let problem = "fapi2: a token may only come in the field `Authorization`, so \
                           `query_token` and `websocket_token` are not allowed";
            problems.push(problem.to_owned());
        }
        #[cfg(feature = "dpop")]
        let dpop = dpop.and_then(|dpop| {
            settings.has_dpop = true;
            settings.requires_dpop = dpop.is_required();
            proofs(dpop, &settings, &mut challenge.config, &mut problems)
        });
        #[cfg(not(feature = "dpop"))]
        let dpop = None;
        let header_only = settings.is_fapi;
        let settings = Arc::new(settings);
        problems.extend(settings.problems());
        let resource = resource.and_then(|identifier| {
            let checked = Resource::new(identifier, settings.allow_http_loopback);
            checked.map_err(|problem| problems.push(problem)).ok()
        });
        challenge.config.resource_metadata =
            resource.as_ref().map(|resource| resource.metadata_url.clone());
        let trust = settings.trust(&issuers, &audiences, None, &mut problems);
        let (challenge, challenges) = challenge.build(&audiences, &mut problems);
        let (Some(challenges), []) = (challenges, problems.as_slice()) else {
            return Err(ConfigError { problems });
        };
        let server = ServerId::new(Identity {
            without_scope: Challenges::build(&challenge, &[])
                .unwrap_or_else(|_| challenges.clone()),
            challenges,
            challenge,
            stream: settings.stream.clone(),
            clock: Arc::clone(&settings.clock),
            scopes,
            gives_raw_tokens: keep_raw_tokens,
            requires_bound_tokens,
            dpop: dpop.map(Arc::new),
        });
        let authenticator = Authenticator {
            trust: arc_swap::ArcSwap::from_pointee(trust),
            clock: Arc::clone(&settings.clock),
            read_claims: self.read_claims,
            validators: self.validators,
            headers: Header::memo(),
            server: server.clone(),
        };
        authenticator.trust.load().tell_of_seeds();
        Ok(ResourceServer::new(Shared {
            authenticator: Arc::new(authenticator),
            id: server,
            body: self.body,
            trust: settings,
            resource: resource.map(Arc::new),
            query_token,
            header_only,
            websocket,
            certificates,
            strips_authorization: strip_authorization,
            keeps_tokens: AtomicBool::new(keep_raw_tokens || strip_authorization),
        }))
    }
}

/// Checks the settings for proofs, and prepares their challenges.
#[cfg(feature = "dpop")]
fn proofs(
    mut dpop: Dpop,
    settings: &TrustSettings,
    challenge: &mut ChallengeConfig,
    problems: &mut Vec<String>,
) -> Option<Checker> {
    if settings.is_fapi {
        dpop.set_algorithms_unless_set(AlgorithmSet::FAPI);
        for other in dpop.algorithms_beyond(AlgorithmSet::FAPI) {
            problems.push(format!("fapi2: algorithm {other} is not allowed for proofs"));
        }
    }
    let (algs, alone) = (dpop.algorithm_names().join(" "), dpop.is_required());
    challenge.dpop = Some(DpopChallenge { algs, alone });
    dpop.build(settings.allow_http_loopback, settings.clock.wall(), problems)
}

impl<S, C, R> fmt::Debug for Builder<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("issuers", &self.settings.issuers)
            .field("audiences", &AllShown(&self.settings.audiences))
            .finish_non_exhaustive()
    }
}
