//! Introspection: asks the authorization server whether a token is valid, and validates the server's
//! answer.

use std::sync::Arc;

use crate::credentials::Token68;
use crate::error::Error;
use crate::introspection::{Answer, AnswerLookup, Jwts};
use crate::profile::{Lacking, Times};
use crate::token::json::Object;
use crate::token::{Facts, NumericDate, ScopeHierarchy};
use crate::trust::issuer::TrustedIssuer;
use crate::trust::pending::{Pending, Waited};
use crate::trust::resolved::Resolved;

impl Resolved<'_> {
    /// Returns the introspection answer about an active token. If the request has already waited for an
    /// answer under the current configuration, returns this answer. Otherwise, returns the cached
    /// answer, unless the request requires a new answer (`asks_now`). If there is no such answer,
    /// returns [`Pending::Answer`]. Returns [`Pending::Refused`] if the token is known to be inactive,
    /// if the server cannot be asked now, or if the issuer has no introspection.
    pub(crate) fn introspect(
        &self,
        token: &Token68<'_>,
        generation: u64,
        waited: &Waited,
        now: NumericDate,
    ) -> Result<Arc<Answer>, Pending> {
        if let Some((own, answer)) = &waited.answer
            && *own == generation
        {
            return Ok(Arc::clone(answer));
        }
        let Some(introspection) = &self.introspection else {
            let fix = "the route has `introspected_now`, but the issuer of the token has no introspection: \
                       set `Issuer::introspection`, or remove `introspected_now` from the route";
            return Err(Error::Wiring { fix: fix.into() }.into());
        };
        match introspection.engine.lookup(token, now, waited.asks_now) {
            AnswerLookup::Active(answer) => Ok(answer),
            AnswerLookup::Refused(error) => Err(error.into()),
            AnswerLookup::Wait(wait) => Err(Pending::Answer(Box::new(wait), self.tenant())),
        }
    }
}

impl TrustedIssuer {
    /// Returns `true` if the issuer has introspection, and if its setting for JWTs is equal to `jwts`.
    pub(crate) fn introspects(&self, jwts: Jwts) -> bool {
        self.introspection.as_ref().is_some_and(|introspection| introspection.jwts == jwts)
    }

    /// Validates an answer. `vouched` means that the token is a JWT, and that this crate has already
    /// validated the JWT and all its required claims. The answer may then lack these claims.
    pub(crate) fn validate_introspected(
        &self,
        answer: &Object<'_>,
        now: NumericDate,
        vouched: bool,
    ) -> Result<Times, Error> {
        let lacking = match &self.introspection {
            _ if vouched => Lacking::WhatTheTokenHas,
            Some(own) if own.audience_optional => Lacking::Audience,
            _ => Lacking::Nothing,
        };
        self.profile.validate_introspected(
            answer,
            &self.expected(answer, now),
            |iss| self.is_named(iss),
            lacking,
        )
    }

    /// Reads an answer that was validated.
    pub(crate) fn read_answer(
        &self,
        members: &Object<'_>,
        now: NumericDate,
    ) -> Result<Facts, Error> {
        self.profile.read_answer(members, &self.expected(members, now))
    }

    /// Combines the claims of a validated JWT with the introspection answer about the same token. If
    /// the answer contradicts the JWT, the token is refused. Otherwise, the answer can only restrict
    /// the token. A member that is missing in the answer restricts nothing. The result is:
    ///
    /// - the scope is the intersection of the JWT's scope and the answer's scope;
    /// - the expiry is the earlier of the JWT's expiry and the answer's expiry;
    /// - the token counts as a user's token only if the JWT shows a user, and the answer does not show
    ///   that the token belongs to a client;
    /// - the token is bound to everything that the `cnf` of the JWT or of the answer names;
    /// - the token keeps only the roles that are in the JWT and in the answer;
    /// - the token loses its `acr` if the answer has another `acr`;
    /// - `auth_time` is the earlier of the two, or absent if one of the two is not a time.
    pub(crate) fn narrow(
        &self,
        facts: &mut Facts,
        claims: &Object<'_>,
        answer: &Answer,
        scopes: &ScopeHierarchy,
        now: NumericDate,
    ) -> Result<(), Error> {
        let Some(members) = answer.members() else {
            let fix = "an introspection answer about a JWT was treated as an answer about an opaque token";
            return Err(Error::Wiring { fix: fix.into() });
        };
        self.validate_introspected(&members, now, true)?;
        Answer::check_against(&members, claims)?;
        self.profile.narrow(facts, claims, &members, scopes, &self.audiences)?;
        if let Some(exp) = answer.expires_at().map(NumericDate::from_secs_f64)
            && facts.expires_at.is_none_or(|own| exp.as_secs_f64() < own.as_secs_f64())
        {
            facts.expires_at = Some(exp);
        }
        Ok(())
    }
}
