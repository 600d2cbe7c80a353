//! Step 6 of the walk: are these verified claims those of an access token for this server, now?
//!
//! Decides, as RFC 9068 §4 does: `typ`; the required claims and their types; `exp`, `nbf`, `iat`;
//! `aud`. Keys and signatures are no concern of this file. It is pure: `now` is an argument.
//!
//! The default, [`Profile::rfc9068`], takes what the RFC calls a JWT access token and nothing else.
//! [`Profile::jwt`] is for the many authorization servers that do not follow it. Whatever the
//! profile, `iss`, `aud` (or the one claim that plays its part) and `exp` are required.

mod claim;
mod judge;

use std::borrow::Cow;
use std::sync::Arc;

use crate::token::NumericDate;

#[cfg(feature = "remote")]
pub(crate) use judge::{Lacking, Times};

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
    /// By RFC 9068, of a JWT alone.
    required: Vec<Cow<'static, str>>,
    /// By the API, of introspection answers, too.
    named: Vec<Cow<'static, str>>,
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
    /// The issuer's own name.
    pub(crate) issuer: Arc<str>,
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
            named: Vec::new(),
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
        for required in self.required.iter_mut().chain(&mut self.named) {
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

    /// Refuses tokens without the claim `name`, be it in an introspection answer.
    pub fn require_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.named.push(name.into());
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
}

impl Default for Profile {
    fn default() -> Self {
        Self::rfc9068()
    }
}
