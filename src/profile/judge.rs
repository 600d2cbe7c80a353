//! Validation: type, times, audience, required claims. Also reads the facts from the claims.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Error;
#[cfg(feature = "http-client")]
use crate::profile::claim::check_named_kind;
use crate::profile::claim::{
    check_audience, check_kind, check_value, date, is_absent, malformed, missing, text,
};
#[cfg(feature = "http-client")]
use crate::profile::signs::is_answer_member;
use crate::profile::signs::{Acting, Sign, Signs, is_machine, other_client_claim, other_scope};
use crate::profile::{Expected, Profile};
#[cfg(feature = "http-client")]
use crate::token::OtherScope;
use crate::token::header::media_type;
use crate::token::json::{Object, Value};
use crate::token::{Actor, Cnf, Excerpt, Facts, Names, NumericDate, ScopeSet};

/// The times of a token, to be compared with the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
}

/// What an introspection response may lack.
#[cfg(feature = "http-client")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lacking {
    Nothing,
    Audience,
    /// The response is about a JWT that was validated.
    WhatTheTokenHas,
}

impl Times {
    pub(crate) fn read(claims: &Object<'_>) -> Result<Self, Error> {
        Ok(Self { exp: date(claims, "exp")?, nbf: date(claims, "nbf")?, iat: date(claims, "iat")? })
    }

    /// RFC 7519 §4.1.4 to §4.1.6. §4.1.6 does not limit `iat`. Here it must not be further in the
    /// future than clocks may differ. The leeway is in seconds.
    #[allow(
        clippy::neg_cmp_op_on_partial_ord,
        reason = "a NaN, which JSON cannot write, would fail each comparison closed"
    )]
    pub(crate) fn check(&self, now: NumericDate, leeway: u64) -> Result<(), Error> {
        let seconds = now.as_secs_f64();
        // The leeway changes our own time, never the number in the token.
        if let Some(exp) = self.exp
            && !(exp.as_secs_f64() > seconds - leeway as f64)
        {
            return Err(Error::Expired { exp, now, leeway });
        }
        if let Some(nbf) = self.nbf
            && !(nbf.as_secs_f64() <= seconds + leeway as f64)
        {
            return Err(Error::NotYetValid { nbf, now, leeway });
        }
        if let Some(iat) = self.iat
            && !(iat.as_secs_f64() <= seconds + leeway as f64)
        {
            return Err(Error::IssuedAhead { iat, now, leeway });
        }
        Ok(())
    }
}

impl Profile {
    /// Checks the header's `typ` against an allow-list (RFC 9068 §4, RFC 8725 §3.11 and §3.12).
    pub(crate) fn check_type(&self, typ: Option<&str>) -> Result<(), Error> {
        let plain = match typ.map(media_type) {
            Some(found) if found.eq_ignore_ascii_case("at+jwt") => return Ok(()),
            Some(found) => found.eq_ignore_ascii_case("jwt"),
            None => true,
        };
        if plain && !self.strict {
            return Ok(());
        }
        let hint = plain
            .then_some("this authorization server does not follow RFC 9068; see `Profile::jwt`");
        Err(Error::UnexpectedType { found: typ.map(Excerpt::of), hint })
    }

    /// Checks the `typ` of a JWT that only its server validates. It need not be the type of an
    /// access token, but it must not be the type of anything else.
    #[cfg(feature = "http-client")]
    pub(crate) fn check_introspected_type(typ: Option<&str>) -> Result<(), Error> {
        match typ.map(media_type) {
            Some(found)
                if !found.eq_ignore_ascii_case("at+jwt") && !found.eq_ignore_ascii_case("jwt") =>
            {
                Err(Error::UnexpectedType { found: typ.map(Excerpt::of), hint: None })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Validates the claims of a verified JWT.
    pub(crate) fn validate(
        &self,
        claims: &Object<'_>,
        expected: &Expected<'_>,
    ) -> Result<Facts, Error> {
        let times = Times::read(claims)?;
        let exp = times.exp.ok_or_else(|| missing("exp"))?;
        times.check(expected.now, expected.leeway)?;
        self.check_audience(claims, expected)?.ok_or_else(|| missing(&self.audience))?;
        self.check_required(claims)?;
        if !self.strict {
            check_kind(claims, &self.access)?;
        }
        self.facts(claims, Some(exp), expected)
    }

    /// Validates the members of an introspection response (RFC 7662 §2.2). A response may lack what
    /// a JWT has: `iss`, `exp`, the claims that only RFC 9068 requires, and the audience if it is
    /// optional. The claims that the API requires by name must be present, unless the JWT itself
    /// has them. Returns the times: they alone can fail later, when the same response is checked
    /// again.
    #[cfg(feature = "http-client")]
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
        // RFC 7662 §2.2: `token_type` as in RFC 6749 §5.1, without regard to case (§7.1). Any type
        // other than Bearer needs a proof that this crate cannot check.
        match claims.get("token_type") {
            None | Some(Value::Null) => {}
            Some(Value::String(kind))
                if kind.eq_ignore_ascii_case("bearer")
                    // Used by Hydra before 2.0. The value comes from RFC 7009 §2.1 and RFC 8693 §3.
                    || kind.eq_ignore_ascii_case("access_token") => {}
            Some(Value::String(_)) => {
                return Err(Error::AnotherKind { sign: "`token_type` is not Bearer" });
            }
            Some(_) => return Err(malformed("token_type")),
        }
        check_named_kind(claims, &self.access)?;
        Ok(times)
    }

    /// The RFC 7662 name for the claim that this profile calls `name` in JWTs, if there is one. A
    /// name that RFC 7662 defines has the same meaning in both formats.
    #[cfg(feature = "http-client")]
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
    #[cfg(feature = "http-client")]
    fn answer_client<'a>(&self, members: &'a Object<'_>) -> Result<Option<&'a str>, Error> {
        match (text(members, "client_id")?, &self.answers.client) {
            (None, Some(name)) => text(members, name),
            (client, _) => Ok(client),
        }
    }

    /// The scope that an introspection response states, if any (RFC 7662 §2.2).
    #[cfg(feature = "http-client")]
    fn answer_scope(&self, members: &Object<'_>) -> Result<Option<ScopeSet>, Error> {
        let name = match &self.answers.scope {
            Some(name) if is_absent(members, "scope") => name,
            _ => "scope",
        };
        read_scope(members, name, Forms::Both)
    }

    /// Reads the facts from a validated response.
    #[cfg(feature = "http-client")]
    pub(crate) fn read_answer(
        &self,
        members: &Object<'_>,
        expected: &Expected<'_>,
    ) -> Result<Facts, Error> {
        let (subject, client) = (text(members, "sub")?, self.answer_client(members)?);
        let of_users = &self.answers.signs.of_users;
        Ok(Facts {
            issuer: Arc::clone(&expected.issuer),
            actor: self.actor(members, subject, client, self.answer_signs(), of_users),
            scope: self.answer_scope(members)?.unwrap_or_default(),
            other_scope: None,
            expires_at: date(members, "exp")?,
            cnf: Cnf::read(members),
            names: Names::new(subject, client),
        }
        .with_other_scope(|| {
            // A name that is set in the profile is read.
            let set = self.answers.scope.as_deref().filter(|name| !is_absent(members, name));
            other_scope(members, "scope").filter(|_| set.is_none()).map(|_| OtherScope::InAnswer)
        }))
    }

    /// Removes from the facts of a JWT what a validated response does not grant. It never adds
    /// rights: an unknown actor stays unknown or becomes a client.
    #[cfg(feature = "http-client")]
    pub(crate) fn narrow(
        &self,
        facts: &mut Facts,
        claims: &Object<'_>,
        members: &Object<'_>,
    ) -> Result<(), Error> {
        facts.cnf = facts.cnf.or(Cnf::read(members));
        self.check_same_client(facts, claims, members)?;
        if let Some(scope) = self.answer_scope(members)? {
            facts.scope = facts.scope.common_with(&scope);
        }
        // Some servers also repeat the scope claim of the JWT.
        if self.scope != "scope"
            && let Some(scope) = read_scope(members, &self.scope, Forms::Both)?
        {
            facts.scope = facts.scope.common_with(&scope);
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
        Ok(())
    }

    /// Checks that a JWT and its response name the same client, each with its own claim names. If
    /// the profile uses the subject as the client, a JWT does not name its client.
    #[cfg(feature = "http-client")]
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
                // Only this one of the client's names may be an array (RFC 7519 §4.1.3).
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

    /// The signs that a response is about a client's own token: those of the profile that apply to
    /// both formats, and those for responses.
    #[cfg(feature = "http-client")]
    fn answer_signs(&self) -> impl Iterator<Item = &Sign> {
        let carried = self.signs.of_clients.iter().filter(|sign| sign.counts_in_answers());
        carried.chain(&self.answers.signs.of_clients)
    }

    /// Checks the claim that replaces `aud`, and also `aud` itself if it is present: a token with
    /// an `aud` is only for the audiences in it (RFC 7519 §4.1.3). Returns `None` if the first
    /// claim is absent.
    fn check_audience(
        &self,
        claims: &Object<'_>,
        expected: &Expected<'_>,
    ) -> Result<Option<()>, Error> {
        if self.audience != "aud" {
            check_audience("aud", claims, expected)?;
        }
        check_audience(&self.audience, claims, expected)
    }

    fn check_required(&self, claims: &Object<'_>) -> Result<(), Error> {
        self.check_named(&self.required, claims)?;
        for name in &self.optional {
            if !is_absent(claims, name) {
                self.check_presence(name, claims)?;
            }
        }
        self.check_named(&self.named, claims)?;
        for (name, values) in &self.required_values {
            check_value(claims, name, values)?;
        }
        Ok(())
    }

    fn check_named(&self, names: &[Cow<'static, str>], claims: &Object<'_>) -> Result<(), Error> {
        names.iter().try_for_each(|name| self.check_presence(name, claims))
    }

    fn check_presence(&self, name: &str, claims: &Object<'_>) -> Result<(), Error> {
        match claims.get(name) {
            None | Some(Value::Null) => Err(missing(name)),
            // RFC 9068 §2.2 defines the types of these claims. For any other required claim,
            // presence is enough.
            Some(Value::String(text)) if name != "iat" && !text.is_empty() => Ok(()),
            Some(_) if name != "sub" && name != self.client && name != "jti" => Ok(()),
            Some(_) => Err(malformed(name)),
        }
    }

    /// Reads claims without validating them, for an injected token.
    #[cfg(feature = "test-issuer")]
    pub(crate) fn read(
        &self,
        claims: &Object<'_>,
        expected: &Expected<'_>,
    ) -> Result<Facts, Error> {
        self.facts(claims, date(claims, "exp")?, expected)
    }

    /// The claim that is compared with the audiences.
    #[cfg(feature = "test-issuer")]
    pub(crate) fn audience_name(&self) -> &str {
        &self.audience
    }

    /// The claim that names the client.
    #[cfg(feature = "test-issuer")]
    pub(crate) fn client_name(&self) -> &str {
        &self.client
    }

    fn facts(
        &self,
        claims: &Object<'_>,
        exp: Option<NumericDate>,
        expected: &Expected<'_>,
    ) -> Result<Facts, Error> {
        let (subject, client) = (text(claims, "sub")?, text(claims, &self.client)?);
        let Signs { of_clients, of_users } = &self.signs;
        Ok(Facts {
            issuer: Arc::clone(&expected.issuer),
            actor: self.actor(claims, subject, client, of_clients, of_users),
            scope: read_scope(claims, &self.scope, self.scope_forms())?.unwrap_or_default(),
            other_scope: None,
            expires_at: exp,
            cnf: Cnf::read(claims),
            names: Names::new(subject, client),
        }
        .with_other_scope(|| other_scope(claims, &self.scope)))
    }

    /// RFC 9068 §2.2.3: the scope of a JWT is a string, unless a setting allows an array. Some
    /// servers that do not follow the RFC write a string for one scope and an array for several.
    fn scope_forms(&self) -> Forms {
        if self.strict && !self.scope_array { Forms::Words } else { Forms::Both }
    }

    /// Decides who acts: see the module `signs`.
    fn actor<'s>(
        &self,
        claims: &Object<'_>,
        subject: Option<&str>,
        client: Option<&str>,
        of_clients: impl IntoIterator<Item = &'s Sign>,
        of_users: &[Sign],
    ) -> Actor {
        let is_user = || of_users.iter().any(|sign| sign.shows_user(claims));
        let Some(subject) = subject else {
            // Some servers omit `sub` in a client's own token (PingOne, Kinde). A missing `sub`
            // does not prove that a client acts, if another claim only occurs in tokens of users.
            return if is_user() { Actor::Unknown(None) } else { Actor::Client };
        };
        let acting = Acting { claims, subject, client, client_claim: &self.client };
        if client == Some(subject)
            || self.client == "sub"
            || of_clients.into_iter().any(|sign| sign.shows_client(acting))
        {
            return Actor::Client;
        }
        if self.any_subject {
            return Actor::User;
        }
        if is_machine(claims, subject) {
            return Actor::Client;
        }
        // RFC 9068 §2.2 and §5: in a client's own token, `sub` stands for the client.
        if client.is_some() || is_user() {
            return Actor::User;
        }
        Actor::Unknown(other_client_claim(claims, &self.client))
    }
}

/// The accepted forms of a scope.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// A string.
    Words,
    /// A string or an array of strings. A word in the array has no space, so the two forms cannot
    /// be confused.
    Both,
}

/// The scope in the claim `name`. Returns `None` if the claim is absent.
fn read_scope(claims: &Object<'_>, name: &str, forms: Forms) -> Result<Option<ScopeSet>, Error> {
    let scope = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(words)) => Some(ScopeSet::new(words)),
        Some(Value::Array(values)) if forms == Forms::Both => values
            .iter()
            .map(Value::as_str)
            .collect::<Option<Vec<_>>>()
            .and_then(ScopeSet::from_words),
        Some(_) => None,
    };
    scope.map(Some).ok_or_else(|| malformed(name))
}
