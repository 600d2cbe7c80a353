//! The trusted issuer of a token. Its settings decide how this crate validates the token.

use std::ops::Deref;
use std::sync::Arc;

use crate::token::jwt::{UnverifiedJwt, VerifiedJwt};
use crate::trust::issuer::{TrustedIssuer, Unverified};
use crate::trust::pending::{Pending, Waited};
use crate::trust::tenants::{Tenant, Tenants};

/// The trusted issuer of a token: a configured issuer, or a tenant that the resolver found.
pub(crate) enum Resolved<'a> {
    /// An issuer of the configuration.
    Configured(&'a TrustedIssuer),
    /// A tenant that the resolver found, and the cache that contains the tenant.
    Tenant(Arc<Tenant>, &'a Tenants),
}

impl Deref for Resolved<'_> {
    type Target = TrustedIssuer;

    fn deref(&self) -> &TrustedIssuer {
        match self {
            Self::Configured(issuer) => issuer,
            Self::Tenant(tenant, _) => &tenant.issuer,
        }
    }
}

impl Resolved<'_> {
    /// Verifies the token's signature. If the issuer is a tenant, also marks the tenant as confirmed.
    pub(crate) fn verify<'a>(
        &self,
        jwt: UnverifiedJwt<'a>,
        waited: &Waited,
    ) -> Result<VerifiedJwt<'a>, Pending> {
        let verified = TrustedIssuer::verify(self, jwt, waited.keys.as_ref());
        let verified = verified.map_err(|unverified| match unverified {
            Unverified::Refused(error) => Pending::Refused(error),
            Unverified::Wait(wait) => Pending::Keys(wait, self.tenant()),
        })?;
        self.confirm();
        Ok(verified)
    }

    pub(crate) fn tenant(&self) -> Option<Arc<Tenant>> {
        match self {
            Self::Configured(_) => None,
            Self::Tenant(tenant, _) => Some(Arc::clone(tenant)),
        }
    }

    /// Marks a tenant as confirmed, because the signature of one of its tokens was verified, or because
    /// one of its tokens was introspected and accepted. Does nothing for a configured issuer.
    pub(crate) fn confirm(&self) {
        if let Self::Tenant(tenant, tenants) = self
            && tenant.confirm()
        {
            tenants.confirmed(tenant);
        }
    }
}
