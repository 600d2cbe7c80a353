//! The names of the signature algorithms, and sets of algorithms.

use std::fmt;
use std::str::FromStr;

use crate::config_error::ConfigError;

/// A JWS signature algorithm (RFC 7518 §3, RFC 8037 and RFC 9864, RFC 9964).
///
/// `none` has no variant. An unsecured token cannot be expressed, so it cannot be
/// accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256 and a salt of 32 octets.
    PS256,
    /// RSASSA-PSS with SHA-384 and a salt of 48 octets.
    PS384,
    /// RSASSA-PSS with SHA-512 and a salt of 64 octets.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519 (RFC 9864), whose older name is `EdDSA` (RFC 8037).
    Ed25519,
    /// HMAC with SHA-256. Works only with a secret that is configured in code.
    HS256,
    /// HMAC with SHA-384. Works only with a secret that is configured in code.
    HS384,
    /// HMAC with SHA-512. Works only with a secret that is configured in code.
    HS512,
    /// ML-DSA-44 (RFC 9964). Accepted only if it is configured.
    MlDsa44,
    /// ML-DSA-65 (RFC 9964). Accepted only if it is configured.
    MlDsa65,
    /// ML-DSA-87 (RFC 9964). Accepted only if it is configured.
    MlDsa87,
}

impl Algorithm {
    /// Every algorithm whose signatures this crate can verify.
    pub const ALL: &'static [Self] = &[
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::Ed25519,
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// The name in the IANA registry, as used in the header's `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::Ed25519 => "Ed25519",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
        }
    }

    /// The algorithm with this registered name. The name is compared exactly (RFC 7515 §4.1.1).
    /// `EdDSA` is the older name of `Ed25519` (RFC 9864 §4.1.2). No other algorithm has an alias.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == EDDSA {
            return Some(Self::Ed25519);
        }
        Self::ALL.iter().copied().find(|algorithm| algorithm.name() == name)
    }

    /// Whether the algorithm is a MAC with a shared secret.
    pub const fn is_hmac(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}

/// The older name of Ed25519 in JOSE (RFC 8037 §3.1).
pub(crate) const EDDSA: &str = "EdDSA";

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// For command lines and configuration files; see [`Algorithm::from_name`].
impl FromStr for Algorithm {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::from_name(name).ok_or_else(|| {
            let known =
                Self::ALL.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(", ");
            let name = name.escape_debug();
            ConfigError::one(format!("algorithm `{name}`: must be one of {known}"))
        })
    }
}

/// A set of algorithms: the allow-list of an issuer (RFC 8725 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AlgorithmSet(u32);

impl AlgorithmSet {
    pub(crate) const EMPTY: Self = Self(0);

    /// The algorithms that a resource server accepts by default: neither HMAC (RFC 8725 §3.2) nor
    /// ML-DSA. Both must be configured.
    pub(crate) const DEFAULT: Self = Self(
        1 << Algorithm::RS256 as u32
            | 1 << Algorithm::RS384 as u32
            | 1 << Algorithm::RS512 as u32
            | 1 << Algorithm::PS256 as u32
            | 1 << Algorithm::PS384 as u32
            | 1 << Algorithm::PS512 as u32
            | 1 << Algorithm::ES256 as u32
            | 1 << Algorithm::ES384 as u32
            | 1 << Algorithm::ES512 as u32
            | 1 << Algorithm::Ed25519 as u32,
    );

    /// The algorithms of the FAPI 2.0 Security Profile (§5.4.1).
    pub(crate) const FAPI: Self =
        Self::EMPTY.with(Algorithm::PS256).with(Algorithm::ES256).with(Algorithm::Ed25519);

    pub(crate) const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & (1 << algorithm as u32) != 0
    }

    pub(crate) const fn with(self, algorithm: Algorithm) -> Self {
        Self(self.0 | 1 << algorithm as u32)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.iter().copied().filter(move |algorithm| self.contains(*algorithm))
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        algorithms.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
