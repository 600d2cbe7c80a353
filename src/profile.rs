//! Step 6 of the walk: are these verified claims those of an access token for this server, now?
//!
//! Decides, as RFC 9068 §4 does: `typ`; the required claims and their types; `exp`, `nbf`, `iat`;
//! `aud`. Keys and signatures are no concern of this file. It is pure: `now` is an argument.
//!
//! The default, [`Profile::rfc9068`], takes what the RFC calls a JWT access token and nothing else.
//! [`Profile::jwt`] is for the many authorization servers that do not follow it. Whatever the
//! profile, `iss`, `aud` (or the one claim that plays its part) and `exp` are required.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Error;
use crate::token::json::{Object, Value};
use crate::token::jwt::media_type;
use crate::token::{Excerpt, Facts, NumericDate, ScopeSet};

/// How far ahead `iat` may lie, in seconds: what two clocks differ by, and no more (RFC 7519
/// §4.1.6 leaves it open).
pub(crate) const MAX_IAT_AHEAD: f64 = 60.0;

/// The claims that RFC 9068 §2.2 requires beyond `iss`, `aud` and `exp`.
const RFC9068_REQUIRED: [&str; 4] = ["sub", "client_id", "iat", "jti"];

/// How one authorization server writes its access tokens.
///
/// ```
/// use tower_resource_server::{Issuer, Profile};
///
/// // A server that types its tokens `JWT` and lists scopes in an array called `scp`.
/// let profile = Profile::jwt().scope_array_claim("scp").client_claim("cid");
/// let issuer = Issuer::discover("https://as.example.com").profile(profile);
/// ```
#[derive(Clone, Debug)]
pub struct Profile {
    strict: bool,
    required: Vec<Cow<'static, str>>,
    required_values: Vec<(Cow<'static, str>, Vec<Cow<'static, str>>)>,
    client_signs: Vec<ClientSign>,
    audience: Cow<'static, str>,
    client: Cow<'static, str>,
    scope: Cow<'static, str>,
    scope_shape: ScopeShape,
}

/// By what a client's own token is told from a user's, where `sub` is not the client.
#[derive(Clone, Debug)]
enum ClientSign {
    With(Cow<'static, str>),
    Without(Cow<'static, str>),
    SubjectSuffix(Cow<'static, str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScopeShape {
    Words,
    Array,
}

/// What the claims are compared with.
pub(crate) struct Expected<'a> {
    /// The issuer's configured name.
    pub(crate) issuer: &'a Arc<str>,
    pub(crate) audiences: &'a [Box<str>],
    /// Seconds.
    pub(crate) leeway: u64,
    pub(crate) now: NumericDate,
}

impl Profile {
    /// JWT access tokens by RFC 9068: typ `at+jwt`; `iss`, `exp`, `aud`, `sub`, `client_id`, `iat`
    /// and `jti` required; `scope` a string.
    pub fn rfc9068() -> Self {
        Self {
            strict: true,
            required: RFC9068_REQUIRED.into_iter().map(Cow::Borrowed).collect(),
            required_values: Vec::new(),
            client_signs: Vec::new(),
            audience: "aud".into(),
            client: "client_id".into(),
            scope: "scope".into(),
            scope_shape: ScopeShape::Words,
        }
    }

    /// Access tokens of a server that does not follow RFC 9068: typ `at+jwt`, `JWT` or absent;
    /// `iss`, `exp` and `aud` required.
    ///
    /// What it gives up: `typ` no longer tells an access token from an ID token (RFC 9068 §5), so
    /// the audience has to, and so do the claims that only other kinds of JWT carry. Use an
    /// audience that no client id equals.
    pub fn jwt() -> Self {
        Self { strict: false, required: Vec::new(), ..Self::rfc9068() }
    }

    /// Reads the scope from the string claim `name` instead of `scope`.
    pub fn scope_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope = name.into();
        self.scope_shape = ScopeShape::Words;
        self
    }

    /// Reads the scope from the claim `name`, an array of strings.
    pub fn scope_array_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope = name.into();
        self.scope_shape = ScopeShape::Array;
        self
    }

    /// Reads the client from the claim `name` instead of `client_id`; RFC 9068 requires that claim
    /// under its own name, so with that profile the new name is required in its place.
    pub fn client_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        for required in &mut self.required {
            if *required == self.client {
                required.clone_from(&name);
            }
        }
        self.client = name;
        self
    }

    /// Lets the claim `name` play the part of `aud`, for a server that sends no `aud` in access
    /// tokens. It is required as `aud` is, and compared with the same configured audiences; a token
    /// that has `aud` all the same needs one of them there, too (RFC 7519 §4.1.3).
    pub fn audience_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.audience = name.into();
        self
    }

    /// Refuses tokens without the claim `name`.
    pub fn require_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.required.push(name.into());
        self
    }

    /// Refuses tokens whose claim `name` is not the string `value`.
    pub fn require_value(
        self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.require_one_of(name, [value])
    }

    /// Refuses tokens whose claim `name` is none of the strings `values`; all of them, where there
    /// are no values.
    pub fn require_one_of<V: Into<Cow<'static, str>>>(
        mut self,
        name: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.required_values.push((name.into(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// Takes a token with the claim `name` for that of a client on its own behalf.
    ///
    /// This and the next two are for servers that give a client a `sub` of its own: such a token
    /// would look like a user's (RFC 9068 §5). They only ever make a [`Principal::Client`] of what
    /// would be a user; of several, one is enough.
    ///
    /// [`Principal::Client`]: crate::Principal::Client
    pub fn client_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.client_signs.push(ClientSign::With(name.into()));
        self
    }

    /// Takes a token without the claim `name` for that of a client on its own behalf.
    pub fn client_if_absent(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.client_signs.push(ClientSign::Without(name.into()));
        self
    }

    /// Takes a token whose `sub` ends in `suffix` for that of a client on its own behalf.
    pub fn client_if_subject_ends(mut self, suffix: impl Into<Cow<'static, str>>) -> Self {
        self.client_signs.push(ClientSign::SubjectSuffix(suffix.into()));
        self
    }

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
        let exp = date(claims, "exp")?.ok_or_else(|| missing("exp"))?;
        self.check_times(claims, Some(exp), expected)?;
        self.check_audience(claims, expected)?.ok_or_else(|| missing(&self.audience))?;
        self.check_required(claims)?;
        if !self.strict {
            check_kind(claims)?;
        }
        self.facts(claims, Some(exp), expected)
    }

    /// Judges the members of an introspection answer (RFC 7662 §2.2), which may lack what a JWT
    /// has: `iss` and `exp` always, `aud` where `audience_optional` says so.
    #[allow(dead_code, reason = "introspection is the next to use it")]
    pub(crate) fn validate_introspected(
        &self,
        claims: &Object<'_>,
        expected: &Expected<'_>,
        is_issuer: impl Fn(&str) -> bool,
        audience_optional: bool,
    ) -> Result<Facts, Error> {
        match claims.get("iss") {
            None => {}
            Some(Value::String(iss)) if is_issuer(iss) => {}
            Some(Value::String(iss)) => {
                return Err(Error::UntrustedIssuer { found: Excerpt::of(iss) });
            }
            Some(_) => return Err(malformed("iss")),
        }
        let exp = date(claims, "exp")?;
        self.check_times(claims, exp, expected)?;
        match self.check_audience(claims, expected)? {
            None if !audience_optional => return Err(missing(&self.audience)),
            _ => {}
        }
        for (name, values) in &self.required_values {
            check_value(claims, name, values)?;
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
        self.facts(claims, exp, expected)
    }

    #[allow(
        clippy::neg_cmp_op_on_partial_ord,
        reason = "a NaN, which JSON cannot write, would fail each comparison closed"
    )]
    fn check_times(
        &self,
        claims: &Object<'_>,
        exp: Option<NumericDate>,
        expected: &Expected<'_>,
    ) -> Result<(), Error> {
        let (now, leeway) = (expected.now, expected.leeway);
        let seconds = now.as_secs_f64();
        // The leeway moves our own time, never the token's number.
        if let Some(exp) = exp
            && !(exp.as_secs_f64() > seconds - leeway as f64)
        {
            return Err(Error::Expired { exp, now, leeway });
        }
        if let Some(nbf) = date(claims, "nbf")?
            && !(nbf.as_secs_f64() <= seconds + leeway as f64)
        {
            return Err(Error::NotYetValid { nbf, now, leeway });
        }
        if let Some(iat) = date(claims, "iat")?
            && !(iat.as_secs_f64() <= seconds + MAX_IAT_AHEAD)
        {
            return Err(Error::IssuedAhead { iat, now });
        }
        Ok(())
    }

    /// The claim that plays the audience's part, and `aud` itself wherever it stands: a token that
    /// says whom it is for is for nobody else (RFC 7519 §4.1.3). `None` when the first is absent.
    fn check_audience(
        &self,
        claims: &Object<'_>,
        expected: &Expected<'_>,
    ) -> Result<Option<()>, Error> {
        if self.audience != "aud" {
            check_audience_claim("aud", claims, expected)?;
        }
        check_audience_claim(&self.audience, claims, expected)
    }

    fn check_required(&self, claims: &Object<'_>) -> Result<(), Error> {
        for name in &self.required {
            match claims.get(name) {
                None | Some(Value::Null) => return Err(missing(name)),
                // RFC 9068 §2.2 gives these a type; of a claim that the API named, presence counts.
                Some(Value::String(_)) if *name != "iat" => {}
                Some(_) if *name != "sub" && *name != self.client && *name != "jti" => {}
                Some(_) => return Err(malformed(name)),
            }
        }
        for (name, values) in &self.required_values {
            check_value(claims, name, values)?;
        }
        Ok(())
    }

    /// Reads claims without judging them, for an injected token.
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
        let subject = text(claims, "sub")?;
        let client_alone = self.client_signs.iter().any(|sign| match sign {
            ClientSign::With(name) => !is_absent(claims, name),
            ClientSign::Without(name) => is_absent(claims, name),
            ClientSign::SubjectSuffix(suffix) => {
                subject.is_some_and(|sub| sub.ends_with(suffix.as_ref()))
            }
        });
        Ok(Facts {
            issuer: Arc::clone(expected.issuer),
            subject: subject.map(Into::into),
            client_alone,
            client_id: text(claims, &self.client)?.map(Into::into),
            scope: self.read_scope(claims)?,
            expires_at: exp,
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

impl Default for Profile {
    fn default() -> Self {
        Self::rfc9068()
    }
}

/// Tells other kinds of JWT by what only they carry, where `typ` does not (RFC 8725 §3.12).
fn check_kind(claims: &Object<'_>) -> Result<(), Error> {
    // Sources: OpenID Connect Core §2 and §3.1.3.6 (ID token), Back-Channel Logout §2.4 and RFC
    // 8417 §2.2 (`events`), RFC 9449 §4.2 (proof), RFC 9701 §5, Token Status List §5.1.
    const SIGNS: [(&str, &str); 9] = [
        ("nonce", "`nonce` is a claim of ID tokens"),
        ("at_hash", "`at_hash` is a claim of ID tokens"),
        ("c_hash", "`c_hash` is a claim of ID tokens"),
        ("s_hash", "`s_hash` is a claim of ID tokens"),
        ("events", "`events` is a claim of security event and logout tokens"),
        ("htm", "`htm` is a claim of DPoP proofs"),
        ("token_introspection", "`token_introspection` is a claim of introspection answers"),
        ("status_list", "`status_list` is a claim of status list tokens"),
        ("req_wl", "`req_wl` is a claim of transaction tokens"),
    ];
    for (claim, sign) in SIGNS {
        if claims.contains(claim) {
            return Err(Error::AnotherKind { sign });
        }
    }
    // Servers that name the kind in a claim: Keycloak's `typ`, Cognito's `token_use`.
    if claims.get("typ").is_some_and(|typ| {
        !typ.as_str().is_some_and(|typ| {
            ["bearer", "dpop", "jwt", "at+jwt"].iter().any(|kind| typ.eq_ignore_ascii_case(kind))
        })
    }) {
        return Err(Error::AnotherKind { sign: "claim `typ` names another kind" });
    }
    if claims.get("token_use").is_some_and(|used| used.as_str() != Some("access")) {
        return Err(Error::AnotherKind { sign: "claim `token_use` is not `access`" });
    }
    // RFC 7523 §3: a client assertion is issued by its own subject, an access token never is.
    if claims.get("sub").is_some_and(|sub| Some(sub) == claims.get("iss")) {
        return Err(Error::AnotherKind { sign: "`sub` is the issuer, as in a client assertion" });
    }
    Ok(())
}

/// RFC 7519 §4.1.3: one string or an array of strings, one of them exactly ours. `None` when
/// the claim is absent.
fn check_audience_claim(
    name: &str,
    claims: &Object<'_>,
    expected: &Expected<'_>,
) -> Result<Option<()>, Error> {
    let ours = |found: &str| expected.audiences.iter().any(|own| **own == *found);
    let (held, found) = match claims.get(name) {
        None => return Ok(None),
        Some(Value::String(found)) => (ours(found), found.as_ref().to_owned()),
        Some(Value::Array(values)) => {
            let mut held = false;
            for value in values {
                held |= ours(value.as_str().ok_or_else(|| malformed(name))?);
            }
            if held {
                return Ok(Some(()));
            }
            (held, values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        Some(_) => return Err(malformed(name)),
    };
    if held {
        return Ok(Some(()));
    }
    if name != "aud" {
        // What the operator's log may quote is `aud`, and not the claim of a client.
        return Err(Error::UnacceptedValue { claim: name.to_owned().into() });
    }
    Err(Error::ForeignAudience {
        found: Excerpt::of(&found),
        expected: Excerpt::of(&expected.audiences.join(" ")),
    })
}

fn check_value(
    claims: &Object<'_>,
    name: &str,
    accepted: &[Cow<'static, str>],
) -> Result<(), Error> {
    match claims.get(name) {
        None | Some(Value::Null) => Err(missing(name)),
        Some(Value::String(found)) if accepted.iter().any(|value| value == found) => Ok(()),
        Some(Value::String(_)) => Err(Error::UnacceptedValue { claim: name.to_owned().into() }),
        Some(_) => Err(malformed(name)),
    }
}

/// A NumericDate claim: absent, or a JSON number (RFC 7519 §2); `null` is neither.
fn date(claims: &Object<'_>, name: &'static str) -> Result<Option<NumericDate>, Error> {
    claims
        .get(name)
        .map(|value| value.as_f64().map(NumericDate::from_secs_f64).ok_or_else(|| malformed(name)))
        .transpose()
}

/// A string claim. Servers write `null` for a subject that a client's own token does not have.
fn text<'a>(claims: &'a Object<'_>, name: &str) -> Result<Option<&'a str>, Error> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed(name)),
    }
}

fn is_absent(claims: &Object<'_>, name: &str) -> bool {
    matches!(claims.get(name), None | Some(Value::Null))
}

fn missing(claim: &str) -> Error {
    Error::MissingClaim { claim: claim.to_owned().into() }
}

fn malformed(claim: &str) -> Error {
    Error::MalformedClaim { claim: claim.to_owned().into() }
}
