//! Validation: type, times, audience, required claims. Also reads the facts from the claims.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Error;
use crate::profile::claim::{
    auth_time, check_audience, check_kind, check_value, is_absent, malformed, missing, text,
};
use crate::profile::roles::read_roles;
use crate::profile::signs::{Acting, Sign, Signs, is_machine, other_client_claim, other_scope};
use crate::profile::times::Times;
use crate::profile::{Expected, Profile};
use crate::token::header::media_type;
use crate::token::json::{Object, Value};
use crate::token::{Actor, Cnf, Excerpt, Facts, Names, NumericDate, ScopeSet};

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

    /// Checks the header's `typ` of a JWT that only its authorization server validates. The `typ`
    /// must be absent, `JWT` or `at+jwt`.
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
        self.facts(claims, Some(exp), times.iat, expected)
    }

    /// Checks the audience claim of the profile. If that claim replaces `aud`, also checks `aud` if
    /// it is present: a token with an `aud` is only for the audiences in it (RFC 7519 §4.1.3).
    /// Returns `None` if the audience claim of the profile is absent.
    pub(super) fn check_audience(
        &self,
        claims: &Object<'_>,
        expected: &Expected<'_>,
    ) -> Result<Option<()>, Error> {
        if self.audience != "aud" {
            check_audience("aud", claims, expected)?;
        }
        check_audience(&self.audience, claims, expected)
    }

    pub(super) fn check_required(&self, claims: &Object<'_>) -> Result<(), Error> {
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

    pub(super) fn check_named(
        &self,
        names: &[Cow<'static, str>],
        claims: &Object<'_>,
    ) -> Result<(), Error> {
        names.iter().try_for_each(|name| self.check_presence(name, claims))
    }

    pub(super) fn check_presence(&self, name: &str, claims: &Object<'_>) -> Result<(), Error> {
        match claims.get(name) {
            None | Some(Value::Null) => Err(missing(name)),
            // RFC 9068 §2.2 defines the types of these claims. For any other required claim,
            // presence is enough. The type of `iat` was checked before.
            Some(Value::String(text)) if !text.is_empty() => Ok(()),
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
        let times = Times::read(claims)?;
        self.facts(claims, times.exp, times.iat, expected)
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

    pub(super) fn facts(
        &self,
        claims: &Object<'_>,
        exp: Option<NumericDate>,
        iat: Option<NumericDate>,
        expected: &Expected<'_>,
    ) -> Result<Facts, Error> {
        let (subject, client) = (text(claims, "sub")?, text(claims, &self.client)?);
        let Signs { of_clients, of_users } = &self.signs;
        Ok(Facts {
            issuer: Arc::clone(&expected.issuer),
            audiences: Arc::clone(expected.audiences),
            actor: self.actor(claims, subject, client, of_clients, of_users),
            scope: read_scope(claims, &self.scope, self.scope_forms())?.unwrap_or_default(),
            other_scope: None,
            expires_at: exp,
            leeway: expected.leeway,
            cnf: Cnf::read(claims)?,
            issued_at: iat,
            authenticated_at: auth_time(claims),
            names: self.names(claims, subject, client, expected),
        }
        .with_other_scope(|| other_scope(claims, &self.scope)))
    }

    /// Stores the subject, the client, `acr` and the roles.
    pub(super) fn names(
        &self,
        claims: &Object<'_>,
        subject: Option<&str>,
        client: Option<&str>,
        expected: &Expected<'_>,
    ) -> Names {
        let acr = claims.get("acr").and_then(Value::as_str);
        Names::with_roles(subject, client, acr, |add| {
            read_roles(&self.roles, claims, expected.audiences, add)
        })
    }

    /// RFC 9068 §2.2.3: the scope of a JWT is a string, unless a setting allows an array. Some
    /// servers that do not follow the RFC write a string for one scope and an array for several.
    pub(super) fn scope_forms(&self) -> Forms {
        if self.strict && !self.scope_array { Forms::Words } else { Forms::Both }
    }

    /// Decides who acts: see the module `signs`.
    pub(super) fn actor<'s>(
        &self,
        claims: &Object<'_>,
        subject: Option<&str>,
        client: Option<&str>,
        of_clients: impl IntoIterator<Item = &'s Sign>,
        of_users: &[Sign],
    ) -> Actor {
        let is_user = || of_users.iter().any(|sign| sign.shows_user(claims));
        let Some(subject) = subject else {
            // Some servers omit `sub` in a client's own token (PingOne, Kinde). But if the token
            // has a claim that only tokens of users have, a missing `sub` does not prove that a
            // client acts.
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
pub(super) enum Forms {
    /// A string.
    Words,
    /// A string or an array of strings. A word of the array must not have a space, so both forms
    /// have the same meaning.
    Both,
}

/// The scope in the claim `name`. Returns `None` if the claim is absent.
pub(super) fn read_scope(
    claims: &Object<'_>,
    name: &str,
    forms: Forms,
) -> Result<Option<ScopeSet>, Error> {
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
