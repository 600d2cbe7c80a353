//! One trusted issuer: its names, its keys, and the validation of its tokens.
//!
//! An issuer can be a template for many tenants. The name of a template contains a placeholder. In the
//! `iss` of a token, the id of a tenant replaces the placeholder. Each template has a tenant rule
//! (`TenantRule`), which decides whether an `iss` matches the name. An `iss` matches if it has a valid tenant
//! id at the place of the placeholder, and if the API allows this tenant.

use std::fmt;
use std::sync::Arc;

use crate::crypto::AlgorithmSet;
use crate::error::Error;
#[cfg(feature = "http-client")]
use crate::introspection::{Introspecting, Jwts};
#[cfg(feature = "http-client")]
use crate::issuer::Transport;
use crate::issuer::{KeyConfig, TenantRule};
use crate::keys::{KeyLookup, KeyWait, Keys, KeysWaited};
use crate::observe::shown::{AllShown, Shown};
use crate::observe::{IssuerHealth, KeyStage};
use crate::profile::{Expected, Profile};
use crate::token::header::Header;
use crate::token::json::{Object, Value};
use crate::token::jwt::{UnverifiedJwt, VerifiedJwt};
use crate::token::{Excerpt, Facts, NumericDate};

/// One issuer, with everything that is needed to validate its tokens.
pub(crate) struct TrustedIssuer {
    pub(crate) name: Arc<str>,
    pub(crate) aliases: Vec<Box<str>>,
    pub(crate) audiences: Arc<[Box<str>]>,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) older_names: bool,
    pub(crate) tenants: Option<TenantRule>,
    pub(crate) profile: Profile,
    /// The allowed difference between clocks, in seconds.
    pub(crate) leeway: u64,
    /// Whether tokens that are bound to a key are accepted.
    pub(crate) accepts_dpop: bool,
    /// Whether all tokens must be bound to a key.
    pub(crate) requires_dpop: bool,
    /// The source of the keys, as configured.
    pub(crate) source: KeyConfig,
    /// The transport settings, as configured.
    #[cfg(feature = "http-client")]
    pub(crate) transport: Transport,
    pub(crate) keys: Keys,
    #[cfg(feature = "http-client")]
    pub(crate) introspection: Option<Introspecting>,
}

/// The reason why a signature was not verified.
pub(crate) enum Unverified {
    /// The token is refused, or the keys are unavailable.
    Refused(Error),
    /// The key is not cached. The request can wait for a fetch, which may return the key.
    Wait(KeyWait),
}

impl From<Error> for Unverified {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl TrustedIssuer {
    pub(crate) fn is_named(&self, iss: &str) -> bool {
        match &self.tenants {
            Some(rule) => rule.allows(&self.name, iss),
            None => *self.name == *iss || self.aliases.iter().any(|alias| **alias == *iss),
        }
    }

    /// The name of the issuer that the API's code sees. If this issuer is a template, the result is the
    /// token's `iss`, which names a tenant. Otherwise, the result is the configured name, even if the
    /// token's `iss` is an alias.
    fn own_name<'a>(&'a self, claims: &'a Object<'_>) -> &'a str {
        let iss = claims.get("iss").and_then(Value::as_str);
        iss.filter(|_| self.tenants.is_some()).unwrap_or(&self.name)
    }

    /// Whether the issuer's keys are needed, for tokens or for signed introspection answers.
    #[cfg_attr(not(feature = "http-client"), allow(clippy::unused_self))]
    fn needs_keys(&self) -> bool {
        #[cfg(feature = "http-client")]
        if let Some(introspection) = &self.introspection {
            return introspection.jwts != Jwts::Introspect || introspection.engine.is_signed();
        }
        true
    }

    /// Whether this issuer's JWTs are only introspected. In this case, the issuer's keys are not used for
    /// JWTs.
    #[cfg_attr(not(feature = "http-client"), allow(clippy::unused_self))]
    pub(super) fn introspects_jwts(&self) -> bool {
        #[cfg(feature = "http-client")]
        return self.introspects(Jwts::Introspect);
        #[cfg(not(feature = "http-client"))]
        false
    }

    /// The state of the issuer.
    pub(crate) fn health(&self) -> IssuerHealth {
        let mut health = self.keys.health(&self.name);
        if !self.needs_keys() {
            health.keys = KeyStage::Unused;
        }
        #[cfg(feature = "http-client")]
        if let Some(introspection) = &self.introspection {
            health.introspection = Some(introspection.engine.health());
        }
        health
    }

    /// Waits until the issuer has usable keys, if it needs keys. If it has introspection, also waits
    /// while the circuit breaker of the endpoint is open.
    pub(crate) async fn ready(&self) {
        if self.needs_keys() {
            self.keys.ready().await;
        }
        #[cfg(feature = "http-client")]
        if let Some(introspection) = &self.introspection {
            introspection.engine.ready().await;
        }
    }

    /// Starts a fetch of keys if keys are needed and a fetch is due. Sends a probe to the introspection
    /// endpoint if a probe is due. A probe is a call that shows whether an endpoint has recovered after
    /// failures.
    pub(crate) fn wake(&self) {
        if self.needs_keys() {
            self.keys.wake();
        }
        #[cfg(feature = "http-client")]
        if let Some(introspection) = &self.introspection {
            let _ = introspection.engine.probe();
        }
    }

    /// Checks the header: the type of the token and the algorithm.
    pub(crate) fn check_header(&self, header: &Header) -> Result<(), Error> {
        self.profile.check_type(header.typ.as_deref())?;
        let old = header.legacy_name && !self.older_names;
        if old || !self.algorithms.contains(header.algorithm) {
            let name =
                if header.legacy_name { crate::crypto::EDDSA } else { header.algorithm.name() };
            return Err(Error::UnacceptedAlgorithm { found: Excerpt::of(name), known: true });
        }
        Ok(())
    }

    /// Finds the keys that fit the token's header, and verifies the signature. One of these keys must
    /// verify it.
    pub(crate) fn verify<'a>(
        &self,
        jwt: UnverifiedJwt<'a>,
        waited: Option<&KeysWaited>,
    ) -> Result<VerifiedJwt<'a>, Unverified> {
        let (header, iss) = (&jwt.header, self.own_name(&jwt.claims));
        match self.keys.find(header.key(), header.algorithm, iss, waited) {
            KeyLookup::Found(found) => {
                let algorithm = header.algorithm;
                let verify = |_: &Header, input: &[u8], signature: &[u8]| {
                    found.verify(algorithm, input, signature)
                };
                jwt.verify(verify).ok_or_else(|| {
                    self.keys.signature_failed();
                    Unverified::Refused(Error::BadSignature { algorithm })
                })
            }
            KeyLookup::Unknown => Err(Unverified::Refused(Error::UnknownKey {
                kid: header.kid.as_deref().map(Excerpt::of),
                algorithm: header.algorithm,
            })),
            KeyLookup::Unavailable { retry_after } => {
                Err(Unverified::Refused(Error::KeysUnavailable {
                    issuer: Excerpt::of_url(&self.name),
                    problem: self.keys.last_error(),
                    retry_after,
                }))
            }
            KeyLookup::Wait(wait) => Err(Unverified::Wait(wait)),
        }
    }

    /// Whether a URL for the metadata is configured. Without such a URL, the metadata is fetched from a
    /// well-known URL.
    #[cfg_attr(not(feature = "http-client"), allow(clippy::unused_self))]
    pub(crate) fn has_metadata_url(&self) -> bool {
        #[cfg(feature = "http-client")]
        return self.transport.metadata_url.is_some();
        #[cfg(not(feature = "http-client"))]
        false
    }

    /// Validates the claims of a verified token.
    pub(crate) fn validate(&self, claims: &Object<'_>, now: NumericDate) -> Result<Facts, Error> {
        if let Some(rule) = &self.tenants {
            rule.check(&self.name, claims)?;
        }
        self.profile.validate(claims, &self.expected(claims, now))
    }

    /// If the issuer is a template, each of its tokens has two claims with the id of the tenant: `iss`
    /// and a second claim. Returns the name of the second claim, and the value that this claim must
    /// have for this `iss`. Returns `None` if the issuer is not a template, or if `iss` does not fit
    /// the template.
    #[cfg(feature = "test-issuer")]
    pub(crate) fn tenant_claim(&self, iss: &str) -> Option<(String, String)> {
        let rule = self.tenants.as_ref()?;
        let tenant = crate::tenant::tenant_of(&self.name, iss)?;
        Some((rule.claim.clone(), tenant.to_owned()))
    }

    /// Reads the claims of a token that a test injects, without validating them. Such a token has no
    /// signature.
    #[cfg(feature = "test-issuer")]
    pub(crate) fn read(&self, claims: &Object<'_>, now: NumericDate) -> Result<Facts, Error> {
        self.profile.read(claims, &self.expected(claims, now))
    }

    pub(super) fn expected(&self, claims: &Object<'_>, now: NumericDate) -> Expected<'_> {
        let issuer = match self.tenants {
            None => Arc::clone(&self.name),
            Some(_) => self.own_name(claims).into(),
        };
        Expected { issuer, audiences: &self.audiences, leeway: self.leeway, now }
    }
}

impl fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TrustedIssuer");
        shown
            .field("name", &Shown(&self.name))
            .field("aliases", &AllShown(&self.aliases))
            .field("audiences", &AllShown(&self.audiences))
            .field("algorithms", &self.algorithms)
            .field("older_names", &self.older_names)
            .field("tenants", &self.tenants)
            .field("profile", &self.profile)
            .field("leeway", &self.leeway)
            .field("accepts_dpop", &self.accepts_dpop)
            .field("requires_dpop", &self.requires_dpop)
            .field("source", &self.source)
            .field("keys", &self.keys);
        #[cfg(feature = "http-client")]
        shown.field("transport", &self.transport).field("introspection", &self.introspection);
        // A new field is shown only if it is added to this list.
        shown.finish_non_exhaustive()
    }
}
