//! What is trusted right now: the issuers of one configuration, ready to judge.

mod prepare;
mod tenants;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::AlgorithmSet;
use crate::error::Error;
#[cfg(feature = "remote")]
use crate::introspection::{Answer, AnswerWait, Introspecting, Jwts, Lookup as AnswerLookup};
#[cfg(feature = "remote")]
use crate::issuer::Transport;
use crate::issuer::{KeyConfig, TenantRule};
use crate::keys::{KeyWait, Keys, KeysWaited, Lookup};
use crate::observe::shown::{AllShown, Shown};
use crate::observe::{IssuerHealth, KeyStage};
use crate::profile::{Expected, Profile};
#[cfg(feature = "remote")]
use crate::profile::{Lacking, Times};
use crate::runtime::Deadline;
use crate::token::header::Header;
use crate::token::json::{Object, Value};
use crate::token::jwt::{UnverifiedJwt, VerifiedJwt};
use crate::token::{Excerpt, Facts, NumericDate};
use crate::trust::tenants::{RESOLVE_RETRY, Search, Tenant};

pub(crate) use tenants::{IssuerWait, MAX_TENANTS, Resolution, TenantSettings, Tenants};

/// The issuers of one configuration.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Counts the configurations of one server; what was cached under another does not count.
    pub(crate) generation: u64,
    pub(crate) issuers: Vec<Arc<TrustedIssuer>>,
    /// Their names, for the log.
    pub(crate) names: Excerpt,
    pub(crate) tenants: Option<Arc<Tenants>>,
}

/// One issuer, with all that its tokens are judged by.
pub(crate) struct TrustedIssuer {
    pub(crate) name: Arc<str>,
    pub(crate) aliases: Vec<Box<str>>,
    pub(crate) audiences: Vec<Box<str>>,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) older_names: bool,
    pub(crate) tenants: Option<TenantRule>,
    pub(crate) profile: Profile,
    /// Seconds.
    pub(crate) leeway: u64,
    /// Where the keys come from, as it was configured.
    pub(crate) source: KeyConfig,
    /// And how the issuer is reached.
    #[cfg(feature = "remote")]
    pub(crate) transport: Transport,
    pub(crate) keys: Keys,
    #[cfg(feature = "remote")]
    pub(crate) introspection: Option<Introspecting>,
}

/// Why the walk stops before its end.
pub(crate) enum Pending {
    /// It is over.
    Refused(Error),
    /// It goes on when the issuer is known, or when waiting for that has taken too long.
    Issuer(IssuerWait),
    /// It goes on when keys have come, or when waiting for them has taken too long. A tenant that the
    /// request has found stays its own meanwhile.
    Keys(KeyWait, Option<Arc<Tenant>>),
    /// It goes on when the authorization server has answered; with the tenant as before.
    #[cfg(feature = "remote")]
    Answer(Box<AnswerWait>, Option<Arc<Tenant>>),
}

/// What a request has waited for already, since nobody waits for the same thing twice; and what it
/// insists on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waited {
    /// Whether the authorization server is to be asked now, whatever is remembered.
    #[cfg_attr(not(feature = "remote"), allow(dead_code))]
    pub(crate) asks_now: bool,
    /// When all its waits are over, from the first one on.
    pub(crate) deadline: Option<Deadline>,
    /// What the resolver said, and the generation that asked.
    pub(crate) issuer: Option<(u64, Resolution)>,
    pub(crate) keys: Option<KeysWaited>,
    /// What the authorization server said, and the generation that asked.
    #[cfg(feature = "remote")]
    pub(crate) answer: Option<(u64, Arc<Answer>)>,
}

impl Waited {
    /// Keeps the tenant that a request has found, so that it is not looked for again.
    pub(crate) fn keep(&mut self, tenant: Option<Arc<Tenant>>) {
        if let Some(tenant) = tenant {
            self.issuer = Some(tenant.resolution());
        }
    }
}

/// The issuer that a token is judged by.
pub(crate) enum Resolved<'a> {
    Configured(&'a TrustedIssuer),
    Tenant(Arc<Tenant>),
}

impl Deref for Resolved<'_> {
    type Target = TrustedIssuer;

    fn deref(&self) -> &TrustedIssuer {
        match self {
            Self::Configured(issuer) => issuer,
            Self::Tenant(tenant) => &tenant.issuer,
        }
    }
}

impl From<Error> for Pending {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Trust {
    /// Tells of seeds that are not used, once.
    pub(crate) fn tell_of_seeds(&self) {
        self.issuers.iter().for_each(|issuer| issuer.keys.tell_of_seed());
        let tenants = self.tenants.as_ref().map_or_else(Vec::new, |tenants| tenants.known());
        tenants.iter().for_each(|tenant| tenant.issuer.keys.tell_of_seed());
    }

    /// Refuses what is lost already, before the claims are read: in a flood of forged kids, a token
    /// whose kid no issuer has, while every issuer's set is fresh and its budget to look again is
    /// spent. It would be refused all the same, at thrice the cost.
    pub(crate) fn foresee(&self, header: &Header) -> Result<(), Error> {
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

    /// By how much the longest deadline of introspection exceeds the usual one.
    pub(crate) fn longer_calls(&self) -> Duration {
        #[cfg(feature = "remote")]
        return self
            .issuers
            .iter()
            .filter_map(|issuer| Some(issuer.introspection.as_ref()?.engine.longer_calls()))
            .max()
            .unwrap_or_default();
        #[cfg(not(feature = "remote"))]
        Duration::ZERO
    }

    /// The issuer that the token names, by exact comparison (RFC 9068 §4).
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
        match self.tenants.as_ref().map(|tenants| tenants.find(iss, waited.issuer.as_ref())) {
            Some(Search::Found(tenant)) => Ok(Resolved::Tenant(tenant)),
            Some(Search::Wait(wait)) => Err(Pending::Issuer(wait)),
            Some(Search::Unavailable) => Err(Pending::Refused(Error::IssuerUnavailable {
                issuer: Excerpt::of_url(iss),
                retry_after: RESOLVE_RETRY,
            })),
            Some(Search::Untrusted) | None => Err(Pending::Refused(Error::UntrustedIssuer {
                found: Excerpt::of_url(iss),
                trusted: self.names.clone(),
            })),
        }
    }
}

impl Resolved<'_> {
    /// Verifies the token's signature.
    pub(crate) fn verify<'a>(
        &self,
        jwt: UnverifiedJwt<'a>,
        waited: &Waited,
    ) -> Result<VerifiedJwt<'a>, Pending> {
        let verified =
            TrustedIssuer::verify(self, jwt, waited).map_err(|pending| match pending {
                Pending::Keys(wait, _) => Pending::Keys(wait, self.tenant()),
                pending => pending,
            })?;
        self.prove();
        Ok(verified)
    }

    fn tenant(&self) -> Option<Arc<Tenant>> {
        match self {
            Self::Configured(_) => None,
            Self::Tenant(tenant) => Some(Arc::clone(tenant)),
        }
    }

    /// The issuer vouched for a token.
    pub(crate) fn prove(&self) {
        if let Self::Tenant(tenant) = self {
            tenant.prove();
        }
    }
}

/// The ways of a token to introspection. The configuration decides; all that a token can do is to
/// name one of the trusted issuers, or none (RFC 7662 §2.1).
#[cfg(feature = "remote")]
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

#[cfg(feature = "remote")]
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

#[cfg(feature = "remote")]
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

impl TrustedIssuer {
    pub(crate) fn is_named(&self, iss: &str) -> bool {
        match &self.tenants {
            Some(rule) => rule.allows(&self.name, iss),
            None => *self.name == *iss || self.aliases.iter().any(|alias| **alias == *iss),
        }
    }

    /// The issuer's own name, whatever alias the token uses; for a tenant, the tenant's.
    fn own_name<'a>(&'a self, claims: &'a Object<'_>) -> &'a str {
        let iss = claims.get("iss").and_then(Value::as_str);
        iss.filter(|_| self.tenants.is_some()).unwrap_or(&self.name)
    }

    /// Whether tokens or answers of this issuer are verified with its keys.
    #[cfg_attr(not(feature = "remote"), allow(clippy::unused_self))]
    fn needs_keys(&self) -> bool {
        #[cfg(feature = "remote")]
        if let Some(introspection) = &self.introspection {
            return introspection.jwts != Jwts::Introspect || introspection.engine.is_signed();
        }
        true
    }

    /// Whether the authorization server alone is asked about its JWTs, whose keys then don't count.
    #[cfg_attr(not(feature = "remote"), allow(clippy::unused_self))]
    fn introspects_jwts(&self) -> bool {
        #[cfg(feature = "remote")]
        return self.introspects(Jwts::Introspect);
        #[cfg(not(feature = "remote"))]
        false
    }

    /// How the issuer stands.
    pub(crate) fn health(&self) -> IssuerHealth {
        let mut health = self.keys.health(&self.name);
        if !self.needs_keys() {
            health.keys = KeyStage::Unused;
        }
        #[cfg(feature = "remote")]
        if let Some(introspection) = &self.introspection {
            health.introspection = Some(introspection.engine.health());
        }
        health
    }

    /// Returns when the issuer's tokens can be judged.
    pub(crate) async fn ready(&self) {
        if self.needs_keys() {
            self.keys.ready().await;
        }
        #[cfg(feature = "remote")]
        if let Some(introspection) = &self.introspection {
            introspection.engine.ready().await;
        }
    }

    /// Starts a fetch of keys if that is due, and a probe of an introspection endpoint that failed.
    pub(crate) fn wake(&self) {
        if self.needs_keys() {
            self.keys.wake();
        }
        #[cfg(feature = "remote")]
        if let Some(introspection) = &self.introspection {
            let _ = introspection.engine.probe();
        }
    }

    /// Judges what the header says about the token: its kind and its algorithm.
    pub(crate) fn admit(&self, header: &Header) -> Result<(), Error> {
        self.profile.check_type(header.typ.as_deref())?;
        let old = header.legacy_name && !self.older_names;
        if old || !self.algorithms.contains(header.algorithm) {
            let name =
                if header.legacy_name { crate::crypto::EDDSA } else { header.algorithm.name() };
            return Err(Error::UnacceptedAlgorithm { found: Excerpt::of(name), known: true });
        }
        Ok(())
    }

    /// Finds the key that the header names and verifies the signature with it.
    fn verify<'a>(
        &self,
        jwt: UnverifiedJwt<'a>,
        waited: &Waited,
    ) -> Result<VerifiedJwt<'a>, Pending> {
        let (header, iss) = (&jwt.header, self.own_name(&jwt.claims));
        match self.keys.find(header.key(), header.algorithm, iss, waited.keys.as_ref()) {
            Lookup::Found(found) => {
                let verified = jwt.verify(|algorithm, input, signature| {
                    found.verify(algorithm, input, signature)
                });
                if verified.is_err() {
                    self.keys.signature_failed();
                }
                Ok(verified?)
            }
            Lookup::Unknown => Err(Pending::Refused(Error::UnknownKey {
                kid: header.kid.as_deref().map(Excerpt::of),
                algorithm: header.algorithm,
            })),
            Lookup::Unavailable { retry_after } => Err(Pending::Refused(Error::KeysUnavailable {
                issuer: Excerpt::of_url(&self.name),
                problem: self.keys.last_error(),
                retry_after,
            })),
            Lookup::Wait(wait) => Err(Pending::Keys(wait, None)),
        }
    }

    /// Judges the claims of a verified token.
    pub(crate) fn validate(&self, claims: &Object<'_>, now: NumericDate) -> Result<Facts, Error> {
        // RFC 7800 §3.1, RFC 9449 §7.2, RFC 8705 §3: a bound token is worth nothing without the
        // proof of its sender, and nothing here can check one. Whatever `cnf` holds, it is refused.
        if claims.contains("cnf") {
            return Err(Error::UnconfirmedSender);
        }
        if let Some(rule) = &self.tenants {
            rule.check(&self.name, claims)?;
        }
        self.profile.validate(claims, &self.expected(claims, now))
    }

    /// Reads an answer that was judged.
    #[cfg(feature = "remote")]
    pub(crate) fn read_answer(
        &self,
        members: &Object<'_>,
        now: NumericDate,
    ) -> Result<Facts, Error> {
        self.profile.read_answer(members, &self.expected(members, now))
    }

    /// The claim that names the tenant of this `iss`, and what it has to be.
    #[cfg(feature = "test-issuer")]
    pub(crate) fn tenant_claim(&self, iss: &str) -> Option<(String, String)> {
        let rule = self.tenants.as_ref()?;
        let tenant = crate::issuer::tenant_of(&self.name, iss)?;
        Some((rule.claim.clone(), tenant.to_owned()))
    }

    /// Reads the claims of an injected token.
    #[cfg(feature = "test-issuer")]
    pub(crate) fn read(&self, claims: &Object<'_>, now: NumericDate) -> Result<Facts, Error> {
        self.profile.read(claims, &self.expected(claims, now))
    }

    fn expected(&self, claims: &Object<'_>, now: NumericDate) -> Expected<'_> {
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
            .field("source", &self.source)
            .field("keys", &self.keys);
        #[cfg(feature = "remote")]
        shown.field("transport", &self.transport).field("introspection", &self.introspection);
        // A field that is not listed here is not shown.
        shown.finish_non_exhaustive()
    }
}
