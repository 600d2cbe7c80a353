//! The judgement: type, times, audience, required claims; and what is read from them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Error;
#[cfg(feature = "remote")]
use crate::profile::claim::check_named_kind;
use crate::profile::claim::{
    check_audience, check_kind, check_value, date, is_absent, malformed, missing, text,
};
use crate::profile::{ClientSign, Expected, Profile, ScopeShape};
use crate::token::header::media_type;
use crate::token::json::{Object, Value};
use crate::token::{Excerpt, Facts, Names, NumericDate, ScopeSet};

/// How far ahead `iat` may lie, in seconds: what two clocks differ by, and no more (RFC 7519
/// §4.1.6 leaves it open).
const MAX_IAT_AHEAD: f64 = 60.0;

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

    /// RFC 7519 §4.1.4 to §4.1.6. The leeway is in seconds.
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
            && !(iat.as_secs_f64() <= seconds + MAX_IAT_AHEAD)
        {
            return Err(Error::IssuedAhead { iat, now });
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
            check_kind(claims)?;
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
                return Err(Error::UntrustedIssuer { found: Excerpt::of_url(iss) });
            }
            Some(_) => return Err(malformed("iss")),
        }
        let times = Times::read(claims)?;
        times.check(expected.now, expected.leeway)?;
        match self.check_audience(claims, expected)? {
            None if lacking == Lacking::Nothing => return Err(missing(&self.audience)),
            _ => {}
        }
        if lacking != Lacking::WhatTheTokenHas {
            self.check_named(&self.named, claims)?;
        }
        for (name, values) in &self.required_values {
            if lacking != Lacking::WhatTheTokenHas || !is_absent(claims, name) {
                check_value(claims, name, values)?;
            }
        }
        // RFC 7662 §2.2: `token_type` as in RFC 6749 §5.1, where case does not count (§7.1). Any
        // other type than Bearer asks for a proof that nothing here can check.
        match claims.get("token_type") {
            None | Some(Value::Null) => {}
            Some(Value::String(kind))
                if kind.eq_ignore_ascii_case("bearer")
                    || kind.eq_ignore_ascii_case("access_token") => {}
            Some(Value::String(_)) => {
                return Err(Error::AnotherKind { sign: "`token_type` is not Bearer" });
            }
            Some(_) => return Err(malformed("token_type")),
        }
        check_named_kind(claims)?;
        Ok(times)
    }

    /// The scope that an introspection answer states, if it does.
    #[cfg(feature = "remote")]
    pub(crate) fn introspected_scope(
        &self,
        claims: &Object<'_>,
    ) -> Result<Option<ScopeSet>, Error> {
        if is_absent(claims, &self.scope) {
            return Ok(None);
        }
        self.read_scope(claims).map(Some)
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
        self.check_named(&self.named, claims)?;
        for (name, values) in &self.required_values {
            check_value(claims, name, values)?;
        }
        Ok(())
    }

    fn check_named(&self, names: &[Cow<'static, str>], claims: &Object<'_>) -> Result<(), Error> {
        for name in names {
            match claims.get(name) {
                None | Some(Value::Null) => return Err(missing(name)),
                // RFC 9068 §2.2 gives these a type; of a claim that the API named, presence counts.
                Some(Value::String(text)) if *name != "iat" && !text.is_empty() => {}
                Some(_) if *name != "sub" && *name != self.client && *name != "jti" => {}
                Some(_) => return Err(malformed(name)),
            }
        }
        Ok(())
    }

    /// Reads claims without judging them: those of an answer that was judged, and of an injected
    /// token.
    #[cfg(any(feature = "remote", feature = "test-issuer"))]
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
        let subject = text(claims, "sub")?;
        let client_alone = self.client_signs.iter().any(|sign| match sign {
            ClientSign::With(name) => !is_absent(claims, name),
            ClientSign::Without(name) => is_absent(claims, name),
            ClientSign::SubjectSuffix(suffix) => {
                subject.is_some_and(|sub| sub.ends_with(suffix.as_ref()))
            }
        });
        Ok(Facts {
            issuer: Arc::clone(&expected.issuer),
            client_alone,
            scope: self.read_scope(claims)?,
            expires_at: exp,
            names: Names::new(subject, text(claims, &self.client)?),
        })
    }

    fn read_scope(&self, claims: &Object<'_>) -> Result<ScopeSet, Error> {
        let scope = match (claims.get(&self.scope), self.scope_shape) {
            (None | Some(Value::Null), _) => return Ok(ScopeSet::default()),
            (Some(Value::String(words)), ScopeShape::Words) => Some(ScopeSet::new(words)),
            (Some(Value::Array(values)), ScopeShape::Array) => values
                .iter()
                .map(Value::as_str)
                .collect::<Option<Vec<_>>>()
                .and_then(ScopeSet::from_words),
            (Some(_), _) => None,
        };
        scope.ok_or_else(|| malformed(&self.scope))
    }
}
