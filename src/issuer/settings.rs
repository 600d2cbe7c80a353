//! The settings of an issuer, as the API's code sets them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::Algorithm;
#[cfg(feature = "http-client")]
use crate::introspection::Introspection;
use crate::issuer::template::TenantRule;
#[cfg(feature = "http-client")]
use crate::issuer::transport::Transport;
use crate::keys::{AnyKeySource, KeySeed, KeySource};
use crate::observe::shown::{AllShown, Shown};
use crate::profile::Profile;
#[cfg(feature = "dpop")]
use crate::sender::DpopUse;
use crate::url::PlainHttp;

/// A trusted authorization server.
///
/// `iss` is compared byte by byte. Write the name exactly as the server writes it into its tokens,
/// with or without the final slash.
///
/// If the URL of the metadata is made from the name, the name must be a URL that every parser reads in the same
/// way: https, and a path without dot segments, empty segments or encoded delimiters. If you set `metadata_url`, or
/// if you set the keys (and the introspection endpoint, if you use introspection), the name may be any text.
///
/// ```
/// use tower_resource_server::{Issuer, Profile};
/// use tower_resource_server::keys::Algorithm;
///
/// let issuer = Issuer::new("https://as.example.com")
///     .profile(Profile::jwt())
///     .algorithms([Algorithm::ES256]);
/// # let _ = issuer;
/// ```
///
/// `Debug` shows no keys and no secrets. It shows URLs without user name, password, query and fragment.
#[derive(Clone)]
pub struct Issuer {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: Option<Vec<Algorithm>>,
    pub(crate) older_names: bool,
    pub(crate) profile: Profile,
    pub(crate) leeway: Option<Duration>,
    pub(crate) tenants: Option<TenantRule>,
    pub(crate) seed: Option<KeySeed>,
    pub(crate) keys: KeyConfig,
    #[cfg(feature = "dpop")]
    pub(crate) dpop: DpopUse,
    #[cfg(feature = "http-client")]
    pub(crate) transport: Transport,
    #[cfg(feature = "http-client")]
    pub(crate) introspection: Option<Introspection>,
}

/// Where the issuer's keys come from.
#[derive(Clone)]
pub(crate) enum KeyConfig {
    Discover,
    /// One or more URLs. The keys of all URLs are used together.
    JwksUris(Vec<String>),
    Jwks(Vec<u8>),
    Pem(Vec<u8>),
    Der(Vec<u8>),
    File(PathBuf),
    Secret(Vec<u8>, Algorithm),
    Source(Arc<dyn AnyKeySource>),
}

impl KeyConfig {
    /// Whether both settings give the same keys. Two user-supplied key sources are the same only if
    /// they are the same value (one allocation).
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Discover, Self::Discover) => true,
            (Self::JwksUris(own), Self::JwksUris(other)) => own == other,
            (Self::Jwks(own), Self::Jwks(other)) => own == other,
            (Self::Pem(own), Self::Pem(other)) => own == other,
            (Self::Der(own), Self::Der(other)) => own == other,
            (Self::File(own), Self::File(other)) => own == other,
            // Building the key again is cheap, so secrets are not compared.
            (Self::Secret(..), Self::Secret(..)) => false,
            (Self::Source(own), Self::Source(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}

impl Issuer {
    /// Creates an issuer with this name. The `iss` of its tokens is compared with this name.
    ///
    /// By default, the URL of the keys is found through the issuer's metadata (OpenID Connect Discovery 1.0 or RFC
    /// 8414). Nothing is fetched before a request or [`ready`](crate::ResourceServer::ready) needs keys. To set the
    /// keys or their source instead, call [`jwks_uri`](Self::jwks_uri), [`jwks`](Self::jwks), [`pem`](Self::pem),
    /// [`der`](Self::der), [`file`](Self::file), [`secret`](Self::secret) or [`key_source`](Self::key_source).
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            audiences: Vec::new(),
            algorithms: None,
            older_names: true,
            profile: Profile::default(),
            leeway: None,
            tenants: None,
            seed: None,
            keys: KeyConfig::Discover,
            #[cfg(feature = "dpop")]
            dpop: DpopUse::Optional,
            #[cfg(feature = "http-client")]
            transport: Transport::default(),
            #[cfg(feature = "http-client")]
            introspection: None,
        }
    }

    /// Fetches the key set from `uri`, without metadata. The token's `iss` must still be this
    /// issuer's name.
    pub fn jwks_uri(self, uri: impl Into<String>) -> Self {
        self.jwks_uris([uri])
    }

    /// Fetches the key sets from several URLs (at most 16) and uses all their keys. Use this setting for a server
    /// that publishes one set for each policy and uses the same `iss` for all policies, such as Azure AD B2C. Like
    /// [`jwks_uri`](Self::jwks_uri), this setting replaces an earlier key setting.
    ///
    /// Each fetch requests all URLs, each with its own `ETag`. If one URL fails and another succeeds, the last good
    /// keys of the failed URL stay in use, for as long as the keys of a single set would. This also holds for the
    /// keys that a reload or a [seed](Self::seed) has taken over. The next request after about 45 s starts another
    /// fetch.
    ///
    /// ```
    /// use tower_resource_server::Issuer;
    ///
    /// let keys = |policy: &str| {
    ///     format!("https://contoso.b2clogin.com/contoso.onmicrosoft.com/{policy}/discovery/v2.0/keys")
    /// };
    /// let issuer = Issuer::new("https://contoso.b2clogin.com/8a2a/v2.0/")
    ///     .jwks_uris([keys("b2c_1_signin"), keys("b2c_1_reset")]);
    /// # let _ = issuer;
    /// ```
    pub fn jwks_uris<T: Into<String>>(mut self, uris: impl IntoIterator<Item = T>) -> Self {
        self.keys = KeyConfig::JwksUris(uris.into_iter().map(Into::into).collect());
        self
    }

    /// Uses a fixed JWK set (RFC 7517 §5), as JSON text.
    pub fn jwks(mut self, document: impl Into<Vec<u8>>) -> Self {
        self.keys = KeyConfig::Jwks(document.into());
        self
    }

    /// Uses one fixed public key: PEM text with the label `PUBLIC KEY` (RFC 7468 §13) or `CERTIFICATE` (§5). From a
    /// certificate, only the key is used.
    pub fn pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.keys = KeyConfig::Pem(pem.into());
        self
    }

    /// Uses one fixed public key: a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) or certificate. From a
    /// certificate, only the key is used.
    pub fn der(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.keys = KeyConfig::Der(der.into());
        self
    }

    /// Uses the keys in a file, and reads the file again regularly, so a replaced file needs no reload. The file
    /// may have at most 512 KiB. It contains a JWK set (RFC 7517 §5), or one public key or certificate as PEM or
    /// DER, as for [`jwks`](Self::jwks), [`pem`](Self::pem) and [`der`](Self::der). The format is recognized from
    /// the content.
    ///
    /// The file is handled like a key set that is fetched from a server:
    ///
    /// - The file is read when the first request needs keys. The next request after about 45 s starts another read
    ///   in the background. An unknown `kid` causes a read at once, within a rate limit. The path is resolved at
    ///   each read, so the symbolic links of a mounted secret work.
    /// - If the file is missing, half written or contains no key, the last good keys stay in use, by default for
    ///   about an hour (see `Builder::stale_if_error`).
    /// - There is one read at a time, on a separate thread. A mount that hangs blocks nothing else. A tokio runtime
    ///   is needed to read the file.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys = KeyConfig::File(path.into());
        self
    }

    /// Uses one shared secret. The secret must be random, not a password, and at least as long as the output of the
    /// hash function (RFC 7518 §3.2). Everyone who can verify such tokens can also make such tokens.
    pub fn secret(mut self, secret: impl Into<Vec<u8>>, algorithm: Algorithm) -> Self {
        self.keys = KeyConfig::Secret(secret.into(), algorithm);
        self
    }

    /// Fetches the key set with your own code.
    pub fn key_source(mut self, source: impl KeySource) -> Self {
        self.keys = KeyConfig::Source(Arc::new(source));
        self
    }

    /// Introspects tokens at this server (RFC 7662). By default, only tokens that are not JWTs are introspected.
    #[cfg(feature = "http-client")]
    pub fn introspection(mut self, introspection: Introspection) -> Self {
        self.introspection = Some(introspection);
        self
    }

    /// Starts with the key set that another process [exported](crate::ResourceServer::export_keys). The seed is
    /// used until the first fetch succeeds, so an API can validate tokens even if its issuer is down at the start.
    /// If the issuer has several key sets, the seed has a copy of each. A copy is used until its set has been
    /// fetched, and it is ignored if the URL of its set has been removed from the configuration.
    ///
    /// A seed that can't be used is ignored, for example because it is too old or belongs to another issuer. An
    /// [`Event`](crate::observe::Event) reports an ignored seed.
    ///
    /// A seed has no effect if the keys are fixed in code. Anyone who can change the stored seed can add keys.
    /// Protect the seed like the rest of the configuration.
    pub fn seed(mut self, seed: KeySeed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Accepts another name in `iss`. Use an alias if the server uses two names, or if the name in its tokens is
    /// not a URL. The alias is compared byte by byte and is not used as a URL. Tokens with the alias are validated
    /// like the issuer's other tokens. [`AccessToken::issuer`](crate::AccessToken::issuer) returns the issuer's
    /// main name.
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    /// Trusts several tenants of one server that signs for all tenants with one key set, such as Microsoft Entra
    /// ID. The issuer's name contains the placeholder `{tenantid}` in the place of the tenant's name. The issuer's
    /// name must be a URL in normal form. You must set the keys or `metadata_url`, because the URL of the metadata
    /// can't be made from a name with a placeholder. A tenant's name consists of letters, digits, `-`, `_` and `.`,
    /// and is not `.` or `..`.
    ///
    /// `allow` is called with the tenant's name from `iss`, before the signature is verified. It returns whether
    /// the tenant is trusted. The claim with the name `claim` must name the same tenant. [`AccessToken::issuer`]
    /// returns the tenant's issuer, without a placeholder. So two users with the same subject in two tenants are
    /// different principals.
    ///
    /// If tenants have their own keys, use
    /// [`Builder::issuer_resolver`](crate::builder::Builder::issuer_resolver).
    ///
    /// [`AccessToken::issuer`]: crate::AccessToken::issuer
    pub fn tenants(
        mut self,
        claim: impl Into<String>,
        allow: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.tenants = Some(TenantRule { claim: claim.into(), allow: Arc::new(allow) });
        self
    }

    /// The hosts that may be reached by http for this issuer. `loopback` says whether http to this machine is
    /// allowed.
    pub(crate) fn plain_http(&self, loopback: bool) -> PlainHttp<'_> {
        #[cfg(feature = "http-client")]
        return PlainHttp { loopback, hosts: &self.transport.http_hosts };
        #[cfg(not(feature = "http-client"))]
        loopback.into()
    }

    /// Whether the URL of the metadata is made from the name.
    pub(crate) fn is_fetched_from(&self) -> bool {
        #[cfg(feature = "http-client")]
        if self.transport.metadata_url.is_some() {
            return false;
        }
        #[cfg(feature = "http-client")]
        if self.introspection.as_ref().is_some_and(Introspection::is_discovered) {
            return true;
        }
        matches!(self.keys, KeyConfig::Discover)
    }

    /// Adds an audience for this issuer's tokens. The audiences of the server then do not apply to this issuer's
    /// tokens.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Sets the algorithms that are accepted from this issuer (RFC 8725 §3.1). The default is every asymmetric
    /// algorithm of RFC 7518, and Ed25519. With `Builder::fapi2`, the default is PS256, ES256 and Ed25519. With
    /// [`secret`](Self::secret), it is the algorithm of the secret. ML-DSA is accepted only if it is listed here.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Refuses the deprecated name `EdDSA` for Ed25519 (RFC 9864 §4.1.2).
    pub fn refuse_older_algorithm_names(mut self) -> Self {
        self.older_names = false;
        self
    }

    /// Sets the profile (the format) of this issuer's tokens. The default is RFC 9068.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Changes the current profile, for example a profile that a function of [`providers`](crate::providers) has
    /// set. All settings of the profile that `change` does not touch stay.
    ///
    /// ```
    /// use tower_resource_server::providers;
    ///
    /// // The roles of a client of Keycloak count as well as those of the realm.
    /// let issuer = providers::keycloak("https://sso.example.com/realms/demo")
    ///     .map_profile(|profile| profile.client_roles("notes-api"));
    /// # let _ = issuer;
    /// ```
    pub fn map_profile(mut self, change: impl FnOnce(Profile) -> Profile) -> Self {
        self.profile = change(self.profile);
        self
    }

    /// Sets how far the clocks of the issuer and the API may differ when `exp`, `nbf` and `iat` are checked. The
    /// default is 60 s, the maximum is 300 s (RFC 9068 §4 allows "a few minutes").
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(leeway);
        self
    }

    /// Sets whether the tokens of this issuer must, may or must not be bound to a key of the client (DPoP). The
    /// default is [`DpopUse::Optional`]. [`DpopUse::Required`] needs
    /// [`Builder::dpop`](crate::builder::Builder::dpop). [`DpopUse::Off`] cannot be combined with
    /// [`Dpop::required`](crate::sender::Dpop::required). Otherwise, `build` fails.
    ///
    /// ```
    /// use tower_resource_server::Issuer;
    /// use tower_resource_server::sender::DpopUse;
    ///
    /// let issuer = Issuer::new("https://as.example.com").dpop(DpopUse::Required);
    /// # let _ = issuer;
    /// ```
    #[cfg(feature = "dpop")]
    pub fn dpop(mut self, dpop: DpopUse) -> Self {
        self.dpop = dpop;
        self
    }
}

impl From<&str> for Issuer {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<&String> for Issuer {
    fn from(name: &String) -> Self {
        Self::new(name)
    }
}

impl From<String> for Issuer {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Issuer");
        shown
            .field("name", &Shown(&self.name))
            .field("aliases", &AllShown(&self.aliases))
            .field("audiences", &AllShown(&self.audiences))
            .field("algorithms", &self.algorithms)
            .field("older_names", &self.older_names)
            .field("profile", &self.profile)
            .field("leeway", &self.leeway)
            .field("tenants", &self.tenants)
            .field("seed", &self.seed)
            .field("keys", &self.keys);
        #[cfg(feature = "dpop")]
        shown.field("dpop", &self.dpop);
        #[cfg(feature = "http-client")]
        shown.field("transport", &self.transport).field("introspection", &self.introspection);
        // A field that is not listed here is not shown.
        shown.finish_non_exhaustive()
    }
}

impl std::fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Discover => "Discover",
            Self::JwksUris(uris) => return write!(f, "JwksUris({:?})", AllShown(uris)),
            Self::Jwks(_) => "Jwks(..)",
            Self::Pem(_) => "Pem(..)",
            Self::Der(_) => "Der(..)",
            Self::File(path) => return write!(f, "File({path:?})"),
            Self::Secret(..) => "Secret(..)",
            Self::Source(_) => "Source(..)",
        })
    }
}
