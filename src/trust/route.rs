//! Decides how to validate a token: by this crate, by the authorization server (introspection), or by
//! both.
//!
//! The decision depends on the configuration and on two properties of the token (RFC 7662 §2.1):
//!
//! - which trusted issuer the token names in `iss`, if any;
//! - whether the token has the form of a JWT. By default, this crate validates a JWT itself. There is
//!   one exception: if an issuer is configured for opaque tokens, a JWT without `iss` is introspected
//!   like an opaque token. Every token that does not have the form of a JWT is opaque.

use std::sync::Arc;

use crate::error::Error;
#[cfg(feature = "http-client")]
use crate::introspection::Jwts;
#[cfg(feature = "http-client")]
use crate::profile::Profile;
use crate::token::Excerpt;
use crate::token::header::Header;
#[cfg(feature = "http-client")]
use crate::token::jwt::is_jwt;
use crate::token::jwt::{JwtHead, UnverifiedJwt};
use crate::token::memo::Memo;
use crate::trust::Trust;
use crate::trust::issuer::TrustedIssuer;
use crate::trust::pending::{Pending, Waited};
use crate::trust::resolved::Resolved;

/// How to validate a token.
pub(crate) enum Route<'t, 'a> {
    /// This crate validates the token. This is the default for a JWT.
    Validate(Resolved<'t>, UnverifiedJwt<'a>),
    /// This crate validates the token, and the token is also introspected. A setting of the issuer, or
    /// the requirement `introspected_now` of the route, asks for this.
    #[cfg(feature = "http-client")]
    ValidateAndIntrospect(Resolved<'t>, UnverifiedJwt<'a>),
    /// The token is only introspected. This crate does not verify the signature. The token is opaque, is
    /// a JWT without `iss`, or belongs to an issuer whose JWTs are only introspected.
    #[cfg(feature = "http-client")]
    Introspect(Resolved<'t>),
}

impl Trust {
    /// Decides how to validate a token. Writes the decoded payload of a JWT to `buffer`. `known` is a
    /// cache of parsed headers.
    #[inline]
    pub(crate) fn route<'t, 'a>(
        &'t self,
        token: &'a [u8],
        buffer: &'a mut Vec<u8>,
        known: &Memo<Header>,
        waited: &Waited,
    ) -> Result<Route<'t, 'a>, Pending> {
        #[cfg(feature = "http-client")]
        if let Some(issuer) = self.introspects_all() {
            return Ok(Route::Introspect(issuer));
        }
        #[cfg(feature = "http-client")]
        if let Some(issuer) = self.introspects_opaque().filter(|_| !is_jwt(token)) {
            return Ok(Route::Introspect(issuer));
        }
        let head = JwtHead::parse(token, Some(known))?;
        self.refuse_early(&head.header)?;
        let jwt = head.open(buffer)?;
        #[cfg(feature = "http-client")]
        if let Some(issuer) = self.introspects_nameless(&jwt)? {
            return Ok(Route::Introspect(issuer));
        }
        let issuer = self.resolve(&jwt.claims, waited)?;
        #[cfg(feature = "http-client")]
        if issuer.introspects(Jwts::Introspect) {
            return Ok(Route::Introspect(issuer));
        }
        #[cfg(feature = "http-client")]
        if waited.asks_now || issuer.introspects(Jwts::ValidateAndIntrospect) {
            return Ok(Route::ValidateAndIntrospect(issuer, jwt));
        }
        Ok(Route::Validate(issuer, jwt))
    }

    /// Refuses some tokens before their claims are read, so that a flood of forged kids costs little.
    /// Without this function, a later step would refuse the same tokens, at three times the cost. A
    /// token with a kid is refused at this point if all these conditions are true:
    ///
    /// - there is at least one configured issuer, and there is no resolver;
    /// - no issuer introspects tokens without `iss`, and no issuer's JWTs are only introspected;
    /// - for every issuer, the key set is fresh, the kid is not in the set, and the rate limit allows
    ///   no fetch now.
    fn refuse_early(&self, header: &Header) -> Result<(), Error> {
        let Some(kid) = header.kid.as_deref() else {
            return Ok(());
        };
        let lost = |issuer: &Arc<TrustedIssuer>| {
            issuer.keys.is_flooded_with(kid) && !issuer.introspects_jwts()
        };
        if self.tenants.is_none() && !self.issuers.is_empty() && self.issuers.iter().all(lost) {
            // The claims are not read yet, so the token may have no `iss`. A token without `iss` must not
            // be refused at this point, because it may be introspected.
            #[cfg(feature = "http-client")]
            if self.introspects_opaque().is_some() {
                return Ok(());
            }
            let kid = Some(Excerpt::of(kid));
            return Err(Error::UnknownKey { kid, algorithm: header.algorithm });
        }
        Ok(())
    }
}

#[cfg(feature = "http-client")]
impl Trust {
    /// The issuer that introspects every token, whether the token is a JWT or opaque. There is such an
    /// issuer only if all these conditions are true: exactly one issuer is configured; there is no
    /// resolver; the issuer's JWTs are only introspected (`only`); and the issuer also introspects
    /// opaque tokens (no `not_for_opaque_tokens`).
    fn introspects_all(&self) -> Option<Resolved<'_>> {
        match (self.issuers.as_slice(), &self.tenants) {
            ([issuer], None) if issuer.introspects(Jwts::Introspect) => self.introspects_opaque(),
            _ => None,
        }
    }

    /// The issuer that introspects this JWT, if the JWT has no `iss`. There is at most one such issuer.
    /// A JWT without `iss` is refused if its `typ` shows that the JWT is not an access token.
    fn introspects_nameless(&self, jwt: &UnverifiedJwt<'_>) -> Result<Option<Resolved<'_>>, Error> {
        let Some(issuer) = self.introspects_opaque() else { return Ok(None) };
        if jwt.claims.contains("iss") {
            return Ok(None);
        }
        Profile::check_introspected_type(jwt.header.typ.as_deref())?;
        Ok(Some(issuer))
    }

    /// The issuer that introspects tokens without `iss`. There is at most one such issuer.
    fn introspects_opaque(&self) -> Option<Resolved<'_>> {
        let is_opaque = |issuer: &&Arc<TrustedIssuer>| {
            issuer.introspection.as_ref().is_some_and(|introspection| introspection.opaque)
        };
        self.issuers.iter().find(is_opaque).map(|issuer| Resolved::Configured(issuer))
    }
}
