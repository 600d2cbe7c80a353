//! The trusted issuers of the current configuration, ready to validate tokens.

#[cfg(feature = "http-client")]
mod introspect;
mod issuer;
mod pending;
mod prepare;
mod resolved;
mod route;
mod settings;
mod tenants;

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::token::Excerpt;
use crate::token::json::{Object, Value};
use tenants::{RESOLVE_RETRY, Search, Tenants};

pub(crate) use issuer::TrustedIssuer;
pub(crate) use pending::{Pending, Waited};
pub(crate) use resolved::Resolved;
pub(crate) use route::Route;
pub(crate) use settings::TrustSettings;

/// The issuers of one configuration.
#[derive(Debug)]
pub(crate) struct Trust {
    /// The number of this configuration. Each reload increases the number. If a request waited for a
    /// resolver result or an introspection answer under an earlier configuration, that result has a
    /// different number and is not used.
    pub(crate) generation: u64,
    pub(crate) issuers: Vec<Arc<TrustedIssuer>>,
    /// The names of the issuers, for the log.
    pub(crate) names: Excerpt,
    /// The issuers that a resolver finds at run time, one for each tenant of a platform.
    pub(crate) tenants: Option<Arc<Tenants>>,
}

impl Trust {
    /// Reports each seed that was not used. Each seed is reported only once. A seed is a stored key set
    /// that the API's code passes in when the API starts.
    pub(crate) fn tell_of_seeds(&self) {
        self.issuers.iter().for_each(|issuer| issuer.keys.tell_of_seed());
        let tenants = self.tenants.as_ref().map_or_else(Vec::new, |tenants| tenants.known());
        tenants.iter().for_each(|tenant| tenant.issuer.keys.tell_of_seed());
    }

    /// Returns how much the longest introspection deadline of the configured issuers exceeds the
    /// default deadline. Returns zero if no configured issuer has a longer deadline than the default.
    /// The deadlines of tenants do not count.
    pub(crate) fn longer_calls(&self) -> Duration {
        #[cfg(feature = "http-client")]
        return self
            .issuers
            .iter()
            .filter_map(|issuer| Some(issuer.introspection.as_ref()?.engine.longer_calls()))
            .max()
            .unwrap_or_default();
        #[cfg(not(feature = "http-client"))]
        Duration::ZERO
    }

    /// Finds the issuer that the token names in `iss`. The names and aliases of configured issuers are
    /// compared exactly (RFC 9068 §4). A template matches the names of its tenants. If no configured
    /// issuer matches, this function looks for a tenant of the resolver.
    pub(crate) fn resolve(
        &self,
        claims: &Object<'_>,
        waited: &Waited,
    ) -> Result<Resolved<'_>, Pending> {
        let iss = match claims.get("iss") {
            Some(Value::String(iss)) => iss.as_ref(),
            Some(_) => return Err(Error::MalformedClaim { claim: "iss".into() }.into()),
            None => return Err(Error::MissingClaim { claim: "iss".into() }.into()),
        };
        if let Some(issuer) = self.issuers.iter().find(|issuer| issuer.is_named(iss)) {
            return Ok(Resolved::Configured(issuer));
        }
        let untrusted =
            || Error::UntrustedIssuer { found: Excerpt::of_url(iss), trusted: self.names.clone() };
        let Some(tenants) = &self.tenants else { return Err(untrusted().into()) };
        match tenants.find(iss, waited.issuer.as_ref()) {
            Search::Found(tenant) => Ok(Resolved::Tenant(tenant, tenants)),
            Search::Wait(wait) => Err(Pending::Issuer(wait)),
            Search::Unavailable => Err(Pending::Refused(Error::IssuerUnavailable {
                issuer: Excerpt::of_url(iss),
                retry_after: RESOLVE_RETRY,
            })),
            Search::Untrusted => Err(untrusted().into()),
        }
    }
}
