//! Tokens that the authorization server is asked about: which go there, and what its answers are worth.

use std::sync::Arc;

use crate::error::Error;
use crate::introspection::{Answer, AnswerLookup, Jwts};
use crate::profile::{Lacking, Profile, Times};
use crate::token::json::Object;
use crate::token::jwt::UnverifiedJwt;
use crate::token::{Facts, NumericDate};
use crate::trust::Trust;
use crate::trust::issuer::TrustedIssuer;
use crate::trust::pending::{Pending, Waited};
use crate::trust::resolved::Resolved;

/// The ways of a token to introspection. The configuration decides; all that a token can do is to
/// name one of the trusted issuers, or none (RFC 7662 §2.1).
impl Trust {
    /// The issuer that is asked about every token, whatever it looks like: the only one, and it
    /// validates none here.
    pub(crate) fn introspects_all(&self) -> Option<Resolved<'_>> {
        match (self.issuers.as_slice(), &self.tenants) {
            ([issuer], None) if issuer.introspects(Jwts::Introspect) => self.introspects_opaque(),
            _ => None,
        }
    }

    /// The one issuer that is asked about a JWT that names none. A JWT of another kind, by its `typ`,
    /// is nothing to ask about.
    pub(crate) fn introspects_nameless(
        &self,
        jwt: &UnverifiedJwt<'_>,
    ) -> Result<Option<Resolved<'_>>, Error> {
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
    pub(crate) fn introspects_opaque(&self) -> Option<Resolved<'_>> {
        let is_opaque = |issuer: &&Arc<TrustedIssuer>| {
            issuer.introspection.as_ref().is_some_and(|introspection| introspection.opaque)
        };
        self.issuers.iter().find(is_opaque).map(|issuer| Resolved::Configured(issuer))
    }
}

impl Resolved<'_> {
    /// What the authorization server says about a token: what was waited for, unless the
    /// configuration has changed since; else what is at hand, or what is to come.
    pub(crate) fn introspect(
        &self,
        token: &str,
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
            let fix = "`introspected_now` on the token of an issuer without introspection: give it \
                       `Issuer::introspection`, or leave the condition out";
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
    /// Whether this is what is done with its JWTs.
    pub(crate) fn introspects(&self, jwts: Jwts) -> bool {
        self.introspection.as_ref().is_some_and(|introspection| introspection.jwts == jwts)
    }

    /// Judges an answer. `vouched` says that the token itself was found to have what is asked for.
    pub(crate) fn validate_introspected(
        &self,
        answer: &Object<'_>,
        now: NumericDate,
        vouched: bool,
    ) -> Result<Times, Error> {
        if answer.contains("cnf") {
            return Err(Error::UnconfirmedSender);
        }
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

    /// Judges anew what can fail of an answer that passed before: its times.
    pub(crate) fn recheck(&self, times: &Times, now: NumericDate) -> Result<(), Error> {
        times.check(now, self.leeway)
    }

    /// Reads an answer that was judged.
    pub(crate) fn read_answer(
        &self,
        members: &Object<'_>,
        now: NumericDate,
    ) -> Result<Facts, Error> {
        self.profile.read_answer(members, &self.expected(members, now))
    }

    /// Judges what is said of a token that was validated here. It takes away and never adds: the
    /// scope is what both say, the token expires by what is earlier, and a user acts only where the
    /// token says so and the answer does not deny it.
    pub(crate) fn narrow(
        &self,
        facts: &mut Facts,
        claims: &Object<'_>,
        answer: &Answer,
        now: NumericDate,
    ) -> Result<(), Error> {
        let Some(members) = answer.members() else {
            let fix = "an answer about a JWT was read as one about an opaque token";
            return Err(Error::Wiring { fix: fix.into() });
        };
        self.validate_introspected(&members, now, true)?;
        Answer::check_against(&members, claims)?;
        self.profile.narrow(facts, claims, &members)?;
        if let Some(exp) = answer.expires_at().map(NumericDate::from_secs_f64)
            && facts.expires_at.is_none_or(|own| exp.as_secs_f64() < own.as_secs_f64())
        {
            facts.expires_at = Some(exp);
        }
        Ok(())
    }
}
