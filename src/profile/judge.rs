//! The judgement: type, times, audience, required claims; and what is read from them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Error;
#[cfg(feature = "remote")]
use crate::profile::claim::check_named_kind;
use crate::profile::claim::{
    check_audience, check_kind, check_value, date, is_absent, malformed, missing, text,
};
#[cfg(feature = "remote")]
use crate::profile::signs::is_answer_member;
use crate::profile::signs::{Acting, Sign, Signs, is_machine, other_client_claim, other_scope};
use crate::profile::{Expected, Profile};
#[cfg(feature = "remote")]
use crate::token::OtherScope;
use crate::token::header::media_type;
use crate::token::json::{Object, Value};
use crate::token::{Actor, Cnf, Excerpt, Facts, Names, NumericDate, ScopeSet};

/// The times of a token, to be held against the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
}

/// What an introspection answer may lack.
#[cfg(feature = "remote")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lacking {
    Nothing,
    Audience,
    /// It is about a JWT that was validated.
    WhatTheTokenHas,
}

impl Times {
    pub(crate) fn read(claims: &Object<'_>) -> Result<Self, Error> {
        Ok(Self { exp: date(claims, "exp")?, nbf: date(claims, "nbf")?, iat: date(claims, "iat")? })
    }

    /// RFC 7519 §4.1.4 to §4.1.6; of `iat`, that it may not lie further ahead than two clocks differ,
    /// which §4.1.6 leaves open. The leeway is in seconds.
    #[allow(
        clippy::neg_cmp_op_on_partial_ord,
        reason = "a NaN, which JSON cannot write, would fail each comparison closed"
    )]
    pub(crate) fn check(&self, now: NumericDate, leeway: u64) -> Result<(), Error> {
        let seconds = now.as_secs_f64();
        // The leeway moves our own time, never the token's number.
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
    /// Judges the header's `typ` (RFC 9068 §4, RFC 8725 §3.11 and §3.12), by allow-list.
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

    /// Judges the `typ` of a JWT that only its server judges: it need not be that of an access token,
    /// and must not be that of something else.
    #[cfg(feature = "remote")]
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

    /// Judges the claims of a verified JWT.
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

    /// Judges the members of an introspection answer (RFC 7662 §2.2), which may lack what a JWT
    /// has: `iss` and `exp` always, what RFC 9068 asks of a JWT alone, and the audience where it is
    /// optional. What the API asked for by name it must have, unless the token itself was found to
    /// have it. Of one that passes it hands out the times: they alone can fail later, when the same
    /// answer is judged again.
    #[cfg(feature = "remote")]
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
        // `aud` is RFC 7662's; what plays its part in JWTs stands in where it is absent, and has to be
        // ours, too, where it is not.
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
        // RFC 7662 §2.2: `token_type` as in RFC 6749 §5.1, where case does not count (§7.1). Any
        // other type than Bearer asks for a proof that nothing here can check.
        match claims.get("token_type") {
            None | Some(Value::Null) => {}
            Some(Value::String(kind))
                if kind.eq_ignore_ascii_case("bearer")
                    // Hydra before 2.0; the word of RFC 7009 §2.1 and RFC 8693 §3.
                    || kind.eq_ignore_ascii_case("access_token") => {}
            Some(Value::String(_)) => {
                return Err(Error::AnotherKind { sign: "`token_type` is not Bearer" });
            }
            Some(_) => return Err(malformed("token_type")),
        }
        check_named_kind(claims, &self.access)?;
        Ok(times)
    }

    /// RFC 7662's name for what this profile calls `name` in JWTs, where it has one. A name that is
    /// itself RFC 7662's means the same in both formats.
    #[cfg(feature = "remote")]
    fn answer_name(&self, name: &str) -> Option<&'static str> {
        match name {
            _ if is_answer_member(name) => None,
            _ if self.client == name => Some("client_id"),
            _ if self.scope == name => Some("scope"),
            _ if self.audience == name => Some("aud"),
            _ => None,
        }
    }

    /// The client that an introspection answer names (RFC 7662 §2.2).
    #[cfg(feature = "remote")]
    fn answer_client<'a>(&self, members: &'a Object<'_>) -> Result<Option<&'a str>, Error> {
        match (text(members, "client_id")?, &self.answers.client) {
            (None, Some(name)) => text(members, name),
            (client, _) => Ok(client),
        }
    }

    /// The scope that an introspection answer states, if it does (RFC 7662 §2.2).
    #[cfg(feature = "remote")]
    fn answer_scope(&self, members: &Object<'_>) -> Result<Option<ScopeSet>, Error> {
        let name = match &self.answers.scope {
            Some(name) if is_absent(members, "scope") => name,
            _ => "scope",
        };
        read_scope(members, name, Forms::Both)
    }

    /// Reads an answer that was judged.
    #[cfg(feature = "remote")]
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
        .noting(|| {
            // The name that is set is read.
            let set = self.answers.scope.as_deref().filter(|name| !is_absent(members, name));
            other_scope(members, "scope").filter(|_| set.is_none()).map(|_| OtherScope::InAnswer)
        }))
    }

    /// Takes from the facts of a JWT what an answer that was judged does not grant, too. It adds
    /// nothing: a token of which it is unknown who acts stays one, whatever the answer names.
    #[cfg(feature = "remote")]
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
        // A server may repeat a JWT's scope claim, too.
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
                || self.answer_signs().any(|sign| sign.is_positive() && sign.tells_client(acting))
                || (!self.any_subject && is_machine(members, subject))
        });
        if is_client {
            facts.actor = Actor::Client;
        }
        Ok(())
    }

    /// A JWT and an answer name one client, each in its own way. Where a profile takes the subject for
    /// the client, its JWTs name none.
    #[cfg(feature = "remote")]
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
                // Of the names of a client only this one may be an array (RFC 7519 §4.1.3).
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

    /// The signs by which an answer is a client's own: those of the profile that count in both
    /// formats, and those of answers.
    #[cfg(feature = "remote")]
    fn answer_signs(&self) -> impl Iterator<Item = &Sign> {
        let carried = self.signs.of_clients.iter().filter(|sign| sign.counts_in_answers());
        carried.chain(&self.answers.signs.of_clients)
    }

    /// The claim that plays the audience's part, and `aud` itself wherever it stands: a token that
    /// says whom it is for is for nobody else (RFC 7519 §4.1.3). `None` when the first is absent.
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
            // RFC 9068 §2.2 gives these a type; of a claim that the API named, presence counts.
            Some(Value::String(text)) if name != "iat" && !text.is_empty() => Ok(()),
            Some(_) if name != "sub" && name != self.client && name != "jti" => Ok(()),
            Some(_) => Err(malformed(name)),
        }
    }

    /// Reads claims without judging them: those of an injected token.
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
        .noting(|| other_scope(claims, &self.scope)))
    }

    /// RFC 9068 §2.2.3: the scope of a JWT by the RFC is a string, unless a setting says that it is an
    /// array. Servers that do not follow the RFC write a string for one and an array for several.
    fn scope_forms(&self) -> Forms {
        if self.strict && !self.scope_array { Forms::Words } else { Forms::Both }
    }

    /// Who acts: see the module `signs`.
    fn actor<'s>(
        &self,
        claims: &Object<'_>,
        subject: Option<&str>,
        client: Option<&str>,
        of_clients: impl IntoIterator<Item = &'s Sign>,
        of_users: &[Sign],
    ) -> Actor {
        let is_user = || of_users.iter().any(|sign| sign.tells_user(claims));
        let Some(subject) = subject else {
            // Servers leave `sub` out of a client's own token (PingOne, Kinde). A token of a user
            // can't be told from it by that, unless something else in it can only be a user's.
            return if is_user() { Actor::Unknown(None) } else { Actor::Client };
        };
        let acting = Acting { claims, subject, client, client_claim: &self.client };
        if client == Some(subject)
            || self.client == "sub"
            || of_clients.into_iter().any(|sign| sign.tells_client(acting))
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

/// In which forms a scope is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// A string.
    Words,
    /// Or an array of strings. A word in it has no space, so neither form can be taken for the other.
    Both,
}

/// The scope in the claim `name`; `None` where it is absent.
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
