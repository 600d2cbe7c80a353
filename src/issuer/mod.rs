//! Step 3 of the walk: trusted issuers, each a world of its own.
//!
//! Decides which issuer a token is judged by. The token's unverified `iss` only selects; keys,
//! audiences, algorithms, profile and leeway are then those of that issuer alone (RFC 8725 §3.8).
//! There is no shared pool of keys and no fall-through to another issuer.

pub mod providers;
#[cfg(feature = "remote")]
mod reach;
mod resolver;
mod template;
#[cfg(feature = "remote")]
mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::Algorithm;
#[cfg(feature = "remote")]
use crate::introspection::Introspection;
use crate::keys::{AnyKeySource, KeySeed, KeySource};
use crate::observe::shown::{AllShown, Shown};
use crate::profile::Profile;
use crate::url::PlainHttp;

pub(crate) use resolver::AnyIssuerResolver;
pub use resolver::IssuerResolver;
pub(crate) use template::{PLACEHOLDER, TENANT, TenantRule, tenant_of};
#[cfg(feature = "remote")]
pub(crate) use transport::Transport;

/// A trusted authorization server.
///
/// `iss` is compared byte by byte, so the name is given exactly as the server writes it into its
/// tokens: with or without the final slash. A name that metadata is fetched from is a URL which every
/// reader takes for the same: https, without dot segments, empty segments or encoded delimiters in
/// its path. Where the keys are given (and the introspection endpoint, if there is introspection), or
/// where `metadata_url` says where the metadata is, nothing is fetched from the name, and it
/// may be any text.
///
/// ```
/// use tower_resource_server::{Algorithm, Issuer, Profile};
///
/// let issuer = Issuer::discover("https://as.example.com")
///     .profile(Profile::jwt())
///     .algorithms([Algorithm::ES256]);
/// # let _ = issuer;
/// ```
///
/// `Debug` shows no key and no secret, and of a URL neither user and password nor query and fragment.
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
    #[cfg(feature = "remote")]
    pub(crate) transport: Transport,
    #[cfg(feature = "remote")]
    pub(crate) introspection: Option<Introspection>,
}

/// Where the issuer's keys come from.
#[derive(Clone)]
pub(crate) enum KeyConfig {
    Discover,
    /// One URL, or several whose keys count together.
    JwksUris(Vec<String>),
    Jwks(Vec<u8>),
    Pem(Vec<u8>),
    Der(Vec<u8>),
    File(PathBuf),
    Secret(Vec<u8>, Algorithm),
    Source(Arc<dyn AnyKeySource>),
}

impl KeyConfig {
    /// Whether keys from here are those from there. Two sources of the API's own are the same when
    /// they are one value.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Discover, Self::Discover) => true,
            (Self::JwksUris(own), Self::JwksUris(other)) => own == other,
            (Self::Jwks(own), Self::Jwks(other)) => own == other,
            (Self::Pem(own), Self::Pem(other)) => own == other,
            (Self::Der(own), Self::Der(other)) => own == other,
            (Self::File(own), Self::File(other)) => own == other,
            // Made anew, which costs nothing; secrets are not compared.
            (Self::Secret(..), Self::Secret(..)) => false,
            (Self::Source(own), Self::Source(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}

impl Issuer {
    /// An issuer whose keys are found through its metadata: OpenID Connect Discovery 1.0 or RFC
    /// 8414, whichever it serves. Nothing is fetched before the first request needs it.
    pub fn discover(name: impl Into<String>) -> Self {
        Self::new(name)
    }

    /// An issuer; without one of [`jwks_uri`](Self::jwks_uri), [`jwks`](Self::jwks),
    /// [`pem`](Self::pem), [`der`](Self::der), [`file`](Self::file), [`secret`](Self::secret) or
    /// [`key_source`](Self::key_source) it is [discovered](Self::discover).
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
            #[cfg(feature = "remote")]
            transport: Transport::default(),
            #[cfg(feature = "remote")]
            introspection: None,
        }
    }

    /// Fetches the key set from `uri`, without metadata. The token's `iss` still has to be this
    /// issuer's name.
    pub fn jwks_uri(self, uri: impl Into<String>) -> Self {
        self.jwks_uris([uri])
    }

    /// Fetches the key sets at several URLs, and uses their keys together: for a server that publishes
    /// a set for each policy, as Azure AD B2C does, and signs with all of them under one `iss`. At most
    /// 16 URLs. Like [`jwks_uri`](Self::jwks_uri), it takes the place of what was set before.
    ///
    /// All are asked each time, each by its own `ETag`. Where one fails and another answers, the last
    /// good keys of the one that fails stay in use for as long as those of a single set would, and it
    /// is asked again within a minute.
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

    /// Uses one fixed public key: PEM text with the label `PUBLIC KEY` (RFC 7468 §13), or
    /// `CERTIFICATE` (§5), of which only the key counts.
    pub fn pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.keys = KeyConfig::Pem(pem.into());
        self
    }

    /// Uses one fixed public key: a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), or a certificate,
    /// of which only the key counts.
    pub fn der(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.keys = KeyConfig::Der(der.into());
        self
    }

    /// Uses the keys in a file, and what replaces it: a JWK set (RFC 7517 §5), or one public key or
    /// certificate as PEM or DER, as for [`jwks`](Self::jwks), [`pem`](Self::pem) and
    /// [`der`](Self::der); which of them is told by the content. At most 512 KiB.
    ///
    /// It is kept as a fetched set is: read when the first request needs it, again within a minute,
    /// and at once for a `kid` that it does not have. The name is looked up each time, so a mounted
    /// secret, whose link is swapped, is followed. A file that is missing, half written or no key
    /// leaves the last good keys in use, for an hour at most. Each read is on a thread of its own, one
    /// at a time, so that a mount that hangs holds up nothing else; what it brings is waited for in a
    /// tokio runtime.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys = KeyConfig::File(path.into());
        self
    }

    /// Uses one shared secret: bytes from a random source, never a password, at least as long as
    /// the hash (RFC 7518 §3.2). Everyone who can check such tokens can make them.
    pub fn secret(mut self, secret: impl Into<Vec<u8>>, algorithm: Algorithm) -> Self {
        self.keys = KeyConfig::Secret(secret.into(), algorithm);
        self
    }

    /// Fetches the key set through a source of the API's own.
    pub fn key_source(mut self, source: impl KeySource) -> Self {
        self.keys = KeyConfig::Source(Arc::new(source));
        self
    }

    /// Asks this server about tokens (RFC 7662): those that are no JWT, unless the value says more.
    #[cfg(feature = "remote")]
    pub fn introspection(mut self, introspection: Introspection) -> Self {
        self.introspection = Some(introspection);
        self
    }

    /// Starts from the key set that another process
    /// [exported](crate::ResourceServer::export_keys), until the first fetch succeeds: so that an API
    /// starts while its issuer is down. A seed of another issuer, or older than keys may be, is
    /// ignored, and an [`Event`](crate::Event) tells so.
    ///
    /// It counts for keys that are fetched. Whoever can write where seeds are kept can put keys into
    /// them: keep them as safe as the rest of the configuration.
    pub fn seed(mut self, seed: KeySeed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Accepts another name in `iss`, for a server that uses two, or whose tokens name it by
    /// something that is no URL. It is compared byte by byte and never fetched from; tokens under
    /// it are judged as this issuer's, and [`AccessToken::issuer`](crate::AccessToken::issuer) is
    /// the issuer's own name.
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    /// Trusts the tenants of a server that signs for all of them with one key set, as Microsoft Entra
    /// ID does. The issuer's name has the word `{tenantid}` in the tenant's place, and the keys are
    /// given, since such a name has no metadata of its own. It is a URL in normal form; the tenant's
    /// name has letters, digits, `-`, `_` and `.`, and is not `.` or `..`.
    ///
    /// `allow` decides by the tenant's name in `iss`, before anything else is done with the token.
    /// The token's `claim` has to be that very tenant. [`AccessToken::issuer`] is then the issuer of
    /// the tenant, so that equal subjects of two tenants are two principals.
    ///
    /// Tenants that have keys of their own are for
    /// [`Builder::issuer_resolver`](crate::Builder::issuer_resolver).
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

    /// Where http is allowed for this issuer, given whether it is on this machine.
    pub(crate) fn plain_http(&self, loopback: bool) -> PlainHttp<'_> {
        #[cfg(feature = "remote")]
        return PlainHttp { loopback, hosts: &self.transport.http_hosts };
        #[cfg(not(feature = "remote"))]
        loopback.into()
    }

    /// Whether anything is fetched from a URL made of the name.
    pub(crate) fn is_fetched_from(&self) -> bool {
        #[cfg(feature = "remote")]
        if self.transport.metadata_url.is_some() {
            return false;
        }
        #[cfg(feature = "remote")]
        if self.introspection.as_ref().is_some_and(Introspection::is_discovered) {
            return true;
        }
        matches!(self.keys, KeyConfig::Discover)
    }

    /// An audience for this issuer's tokens. Given once or more, it replaces the server's.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// The algorithms accepted from this issuer (RFC 8725 §3.1). The default is every asymmetric
    /// one of RFC 7518 and Ed25519; ML-DSA only when listed here.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Refuses the deprecated name `EdDSA` for Ed25519 (RFC 9864 §4.1.2).
    pub fn refuse_older_algorithm_names(mut self) -> Self {
        self.older_names = false;
        self
    }

    /// How this server writes its tokens; RFC 9068 unless said otherwise.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// How far the clocks of the two servers may differ, for `exp`, `nbf` and `iat`: 60 s unless
    /// set, at most 300 s (RFC 9068 §4 allows "a few minutes").
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(leeway);
        self
    }
}

impl From<&str> for Issuer {
    fn from(name: &str) -> Self {
        Self::discover(name)
    }
}

impl From<&String> for Issuer {
    fn from(name: &String) -> Self {
        Self::discover(name)
    }
}

impl From<String> for Issuer {
    fn from(name: String) -> Self {
        Self::discover(name)
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
        #[cfg(feature = "remote")]
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
