//! The way of a token: whether it is validated here, its authorization server is asked, or both.
//!
//! The configuration decides. All that a token can do is to name one of the trusted issuers, or none
//! (RFC 7662 §2.1), and to be a JWT by its form or not. What is one is judged strictly or refused; only
//! the rest is opaque.

use std::sync::Arc;

use crate::error::Error;
#[cfg(feature = "remote")]
use crate::introspection::Jwts;
#[cfg(feature = "remote")]
use crate::profile::Profile;
use crate::token::Excerpt;
use crate::token::header::{Header, HeaderMemo};
#[cfg(feature = "remote")]
use crate::token::jwt::is_jwt;
use crate::token::jwt::{JwtHead, UnverifiedJwt};
use crate::trust::Trust;
use crate::trust::issuer::TrustedIssuer;
use crate::trust::pending::{Pending, Waited};
use crate::trust::resolved::Resolved;

/// What is done with a token.
pub(crate) enum Route<'t, 'a> {
    /// It is validated here.
    Validate(Resolved<'t>, UnverifiedJwt<'a>),
    /// It is validated here, and the authorization server is asked as well.
    #[cfg(feature = "remote")]
    ValidateAndIntrospect(Resolved<'t>, UnverifiedJwt<'a>),
    /// The authorization server alone is asked.
    #[cfg(feature = "remote")]
    Introspect(Resolved<'t>),
}

impl Trust {
    /// Decides the way of a token. `room` is for what the reading borrows from, `known` has headers
    /// that were read before.
    pub(crate) fn route<'t, 'a>(
        &'t self,
        token: &'a str,
        room: &'a mut Vec<u8>,
        known: &HeaderMemo,
        waited: &Waited,
    ) -> Result<Route<'t, 'a>, Pending> {
        #[cfg(feature = "remote")]
        if let Some(issuer) = self.introspects_all() {
            return Ok(Route::Introspect(issuer));
        }
        #[cfg(feature = "remote")]
        if let Some(issuer) = self.introspects_opaque().filter(|_| !is_jwt(token.as_bytes())) {
            return Ok(Route::Introspect(issuer));
        }
        let head = JwtHead::parse(token.as_bytes(), Some(known))?;
        self.refuse_early(&head.header)?;
        let jwt = head.open(room)?;
        #[cfg(feature = "remote")]
        if let Some(issuer) = self.introspects_nameless(&jwt)? {
            return Ok(Route::Introspect(issuer));
        }
        let issuer = self.resolve(&jwt.claims, waited)?;
        #[cfg(feature = "remote")]
        if issuer.introspects(Jwts::Introspect) {
            return Ok(Route::Introspect(issuer));
        }
        #[cfg(feature = "remote")]
        if waited.asks_now || issuer.introspects(Jwts::ValidateAndIntrospect) {
            return Ok(Route::ValidateAndIntrospect(issuer, jwt));
        }
        Ok(Route::Validate(issuer, jwt))
    }

    /// Refuses what is lost already, before the claims are read: in a flood of forged kids, a token
    /// whose kid no issuer has, while every issuer's set is fresh and its budget to look again is
    /// spent. It would be refused all the same, at thrice the cost.
    fn refuse_early(&self, header: &Header) -> Result<(), Error> {
        let Some(kid) = header.kid.as_deref() else {
            return Ok(());
        };
        let lost = |issuer: &Arc<TrustedIssuer>| {
            issuer.keys.is_flooded_with(kid) && !issuer.introspects_jwts()
        };
        if self.tenants.is_none() && !self.issuers.is_empty() && self.issuers.iter().all(lost) {
            // A token that names no issuer is judged by none of their keys.
            #[cfg(feature = "remote")]
            if self.introspects_opaque().is_some() {
                return Ok(());
            }
            let kid = Some(Excerpt::of(kid));
            return Err(Error::UnknownKey { kid, algorithm: header.algorithm });
        }
        Ok(())
    }
}

#[cfg(feature = "remote")]
impl Trust {
    /// The issuer that is asked about every token, whatever it looks like: the only one, and it
    /// validates none here.
    fn introspects_all(&self) -> Option<Resolved<'_>> {
        match (self.issuers.as_slice(), &self.tenants) {
            ([issuer], None) if issuer.introspects(Jwts::Introspect) => self.introspects_opaque(),
            _ => None,
        }
    }

    /// The one issuer that is asked about a JWT that names none. A JWT of another kind, by its `typ`,
    /// is nothing to ask about.
    fn introspects_nameless(&self, jwt: &UnverifiedJwt<'_>) -> Result<Option<Resolved<'_>>, Error> {
        if jwt.claims.contains("iss") {
            return Ok(None);
        }
        let issuer = self.introspects_opaque();
        if issuer.is_some() {
            Profile::check_introspected_type(jwt.header.typ.as_deref())?;
        }
        Ok(issuer)
    }

    /// The one issuer that is asked about a token that names none.
    fn introspects_opaque(&self) -> Option<Resolved<'_>> {
        let is_opaque = |issuer: &&Arc<TrustedIssuer>| {
            issuer.introspection.as_ref().is_some_and(|introspection| introspection.opaque)
        };
        self.issuers.iter().find(is_opaque).map(|issuer| Resolved::Configured(issuer))
    }
}
