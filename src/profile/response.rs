//! Validation of an introspection response, and of a JWT together with one (RFC 7662 §2.2).

use std::sync::Arc;

use crate::error::Error;
use crate::profile::claim::{
    auth_time, check_audience, check_named_kind, check_value, date, is_absent, malformed, missing,
    text,
};
use crate::profile::judge::{Forms, read_scope};
use crate::profile::roles::read_roles;
use crate::profile::signs::{
    Acting, Sign, is_answer_member, is_machine, other_client_claim, other_scope,
};
use crate::profile::times::Times;
use crate::profile::{Expected, Profile};
use crate::scheme::Scheme;
use crate::token::json::{Object, Value};
use crate::token::{Actor, Cnf, Excerpt, Facts, OtherScope, RoleList, ScopeHierarchy, ScopeSet};

/// What an introspection response may lack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lacking {
    Nothing,
    Audience,
    /// The response is about a JWT that was validated.
    WhatTheTokenHas,
}

impl Profile {
    /// Validates the members of an introspection response (RFC 7662 §2.2). A response may lack what
    /// a JWT has: `iss`, `exp`, the claims that only RFC 9068 requires, and the audience if it is
    /// optional. The claims that the API requires by name must be present, unless the JWT itself
    /// has them. Returns the times: they alone can fail later, when the same response is checked
    /// again.
    pub(crate) fn validate_introspected(
        &self,
        claims: &Object<'_>,
        expected: &Expected<'_>,
        is_issuer: impl Fn(&str) -> bool,
        lacking: Lacking,
    ) -> Result<Times, Error> {
        match claims.get("iss") {
            None => {}
            Some(Value::String(iss)) if is_issuer(iss) => {}
            Some(Value::String(iss)) => {
                let (found, trusted) = (Excerpt::of_url(iss), Excerpt::of_url(&expected.issuer));
                return Err(Error::UntrustedIssuer { found, trusted });
            }
            Some(_) => return Err(malformed("iss")),
        }
        let times = Times::read(claims)?;
        times.check(expected.now, expected.leeway)?;
        // RFC 7662 defines `aud`. If `aud` is absent, the claim that replaces it in JWTs is used.
        // If both are present, both must match.
        let mut audience = check_audience("aud", claims, expected)?;
        if self.audience != "aud" {
            audience = audience.or(check_audience(&self.audience, claims, expected)?);
        }
        if audience.is_none() && lacking == Lacking::Nothing {
            return Err(missing(&self.audience));
        }
        if lacking != Lacking::WhatTheTokenHas {
            for name in &self.named {
                let own = self.answer_name(name).filter(|own| !is_absent(claims, own));
                self.check_presence(own.unwrap_or(name), claims)?;
            }
        }
        for (name, values) in &self.required_values {
            let own = self.answer_name(name).filter(|own| !is_absent(claims, own));
            if let Some(own) = own {
                check_value(claims, own, values)?;
            }
            let said = own.is_some() || lacking == Lacking::WhatTheTokenHas;
            if !said || !is_absent(claims, name) {
                check_value(claims, name, values)?;
            }
        }
        token_type(claims)?;
        check_named_kind(claims, &self.access)?;
        Ok(times)
    }

    /// Checks that the `token_type` of a response does not contradict what the token is bound to: DPoP for a
    /// token that is bound to a key, and Bearer for any other token (RFC 9449 §6.2).
    pub(crate) fn check_binding(members: &Object<'_>, cnf: Option<&Cnf>) -> Result<(), Error> {
        let is_bound = cnf.is_some_and(|cnf| cnf.key.is_some());
        match token_type(members)? {
            Some(scheme) if (scheme == Scheme::Dpop) != is_bound => {
                Err(Error::ContradictedByIntrospection { claim: "token_type" })
            }
            _ => Ok(()),
        }
    }

    /// The RFC 7662 name for the claim that this profile calls `name` in JWTs, if there is one. A
    /// name that RFC 7662 defines has the same meaning in both formats.
    fn answer_name(&self, name: &str) -> Option<&'static str> {
        match name {
            _ if is_answer_member(name) => None,
            _ if self.client == name => Some("client_id"),
            _ if self.scope == name => Some("scope"),
            _ if self.audience == name => Some("aud"),
            _ => None,
        }
    }

    /// The client that an introspection response names (RFC 7662 §2.2).
    fn answer_client<'a>(&self, members: &'a Object<'_>) -> Result<Option<&'a str>, Error> {
        match (text(members, "client_id")?, &self.answers.client) {
            (None, Some(name)) => text(members, name),
            (client, _) => Ok(client),
        }
    }

    /// The scope that an introspection response states, if any (RFC 7662 §2.2).
    fn answer_scope(&self, members: &Object<'_>) -> Result<Option<ScopeSet>, Error> {
        let name = match &self.answers.scope {
            Some(name) if is_absent(members, "scope") => name,
            _ => "scope",
        };
        read_scope(members, name, Forms::Both)
    }

    /// Reads the facts from a validated response.
    pub(crate) fn read_answer(
        &self,
        members: &Object<'_>,
        expected: &Expected<'_>,
    ) -> Result<Facts, Error> {
        let (subject, client) = (text(members, "sub")?, self.answer_client(members)?);
        let of_users = &self.answers.signs.of_users;
        Ok(Facts {
            issuer: Arc::clone(&expected.issuer),
            audiences: Arc::clone(expected.audiences),
            actor: self.actor(members, subject, client, self.answer_signs(), of_users),
            scope: self.answer_scope(members)?.unwrap_or_default(),
            other_scope: None,
            expires_at: date(members, "exp")?,
            leeway: expected.leeway,
            cnf: Cnf::read(members)?,
            issued_at: date(members, "iat")?,
            authenticated_at: auth_time(members),
            names: self.names(members, subject, client, expected),
        }
        .with_other_scope(|| {
            // A name that is set in the profile is read.
            let set = self.answers.scope.as_deref().filter(|name| !is_absent(members, name));
            other_scope(members, "scope").filter(|_| set.is_none()).map(|_| OtherScope::InAnswer)
        }))
    }

    /// Removes from the facts of a JWT what a validated response does not grant. A response never adds rights:
    /// an unknown actor stays unknown or becomes a client.
    pub(crate) fn narrow(
        &self,
        facts: &mut Facts,
        claims: &Object<'_>,
        members: &Object<'_>,
        scopes: &ScopeHierarchy,
        audiences: &[Box<str>],
    ) -> Result<(), Error> {
        facts.cnf = Cnf::both(facts.cnf, Cnf::read(members)?)?;
        Self::check_binding(members, facts.cnf.as_ref())?;
        self.check_same_client(facts, claims, members)?;
        if let Some(scope) = self.answer_scope(members)? {
            facts.scope = scopes.common(&facts.scope, &scope);
        }
        // Some servers also repeat the scope claim of the JWT.
        if self.scope != "scope"
            && let Some(scope) = read_scope(members, &self.scope, Forms::Both)?
        {
            facts.scope = scopes.common(&facts.scope, &scope);
        }
        let client = self.answer_client(members)?;
        let is_client = facts.subject().is_some_and(|subject| {
            let client_claim = self.client.as_ref();
            let acting = Acting { claims: members, subject, client, client_claim };
            client == Some(subject)
                || self.answer_signs().any(|sign| sign.is_positive() && sign.shows_client(acting))
                || (!self.any_subject && is_machine(members, subject))
        });
        if is_client {
            facts.actor = Actor::Client;
        }
        self.narrow_login(facts, members, audiences);
        Ok(())
    }

    /// As [`narrow`](Self::narrow), for the roles and the login. A response may omit them.
    fn narrow_login(&self, facts: &mut Facts, members: &Object<'_>, audiences: &[Box<str>]) {
        let mut granted = Vec::new();
        let list =
            read_roles(&self.roles, members, audiences, &mut |role| granted.push(role.to_owned()));
        let acr = members.get("acr").filter(|acr| !matches!(acr, Value::Null));
        let same_acr = acr.is_none_or(|acr| acr.as_str() == facts.acr());
        if list != RoleList::Absent || !same_acr {
            let granted = (list != RoleList::Absent).then_some((list, granted.as_slice()));
            facts.retain(same_acr, granted);
        }
        if members.get("auth_time").is_some_and(|said| !matches!(said, Value::Null)) {
            // The earlier one. A value of another type shows no login.
            let both = facts.authenticated_at.zip(auth_time(members));
            facts.authenticated_at = both.map(|(own, said)| if said < own { said } else { own });
        }
    }

    /// Checks that a JWT and its response name the same client. The JWT and the response each have their own
    /// names for this claim. The check is skipped if the JWT does not name its client. That is always so if the
    /// profile uses the subject as the client.
    fn check_same_client(
        &self,
        facts: &Facts,
        claims: &Object<'_>,
        members: &Object<'_>,
    ) -> Result<(), Error> {
        let named = facts.client_id().or_else(|| {
            let name = other_client_claim(claims, &self.client)?;
            claims.get(name)?.as_str()
        });
        let Some(own) = named.filter(|_| self.client != "sub") else {
            return Ok(());
        };
        let names = ["client_id", self.client.as_ref()];
        let said = names.into_iter().chain(self.answers.client.as_deref());
        for name in said {
            let said = match members.get(name) {
                None | Some(Value::Null) => continue,
                // `aud` is the only claim for the client that may be an array (RFC 7519 §4.1.3).
                Some(Value::Array(values)) if name == "aud" => match values.as_slice() {
                    [value] => value.as_str(),
                    _ => None,
                },
                Some(value) => value.as_str(),
            };
            if said != Some(own) {
                return Err(Error::ContradictedByIntrospection { claim: "client_id" });
            }
        }
        Ok(())
    }

    /// The signs that a response is about a client's own token: the signs for JWTs that also apply to
    /// responses, and the signs for responses.
    fn answer_signs(&self) -> impl Iterator<Item = &Sign> {
        let carried = self.signs.of_clients.iter().filter(|sign| sign.counts_in_answers());
        carried.chain(&self.answers.signs.of_clients)
    }
}

/// The scheme of the token, by the response's `token_type` (RFC 7662 §2.2, RFC 6749 §5.1), without regard to
/// case (RFC 6749 §7.1). `None` if the response does not name the scheme. Any other type is refused: it may
/// need a proof that this crate cannot check.
fn token_type(members: &Object<'_>) -> Result<Option<Scheme>, Error> {
    let kind = match members.get("token_type") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(malformed("token_type")),
    };
    match kind {
        _ if kind.eq_ignore_ascii_case("bearer") => Ok(Some(Scheme::Bearer)),
        _ if kind.eq_ignore_ascii_case("dpop") => Ok(Some(Scheme::Dpop)),
        // Used by Hydra before 2.0. The value comes from RFC 7009 §2.1 and RFC 8693 §3. It says nothing about
        // the scheme.
        _ if kind.eq_ignore_ascii_case("access_token") => Ok(None),
        _ => Err(Error::AnotherKind { sign: "`token_type` is neither Bearer nor DPoP" }),
    }
}
