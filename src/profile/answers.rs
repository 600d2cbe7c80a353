//! How a server writes its introspection answers, where that is not as RFC 7662 says.

use std::borrow::Cow;

use crate::profile::signs::{Sign, Signs};

/// How an authorization server writes its introspection answers (RFC 7662 §2.2); for
/// [`Profile::answers`](crate::Profile::answers).
///
/// An answer is read by RFC 7662's names: `scope`, a string of scope tokens; `client_id`; `sub`;
/// `aud`. A profile's names for JWTs do not count in it. Where a server leaves one of the first two
/// out and has the same under a name of its own, this says so: the RFC's name comes first, the other
/// counts only where that is absent.
///
/// ```
/// use tower_resource_server::{AnswerProfile, Issuer, Profile};
///
/// // A server that repeats a JWT's claims in its answers.
/// let profile = Profile::jwt()
///     .client_claim("azp")
///     .answers(AnswerProfile::rfc7662().client_claim("azp"));
/// let issuer = Issuer::discover("https://as.example.com").profile(profile);
/// # let _ = issuer;
/// ```
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "remote"), allow(dead_code))]
pub struct AnswerProfile {
    pub(crate) client: Option<Cow<'static, str>>,
    pub(crate) scope: Option<Cow<'static, str>>,
    pub(crate) signs: Signs,
}

impl AnswerProfile {
    /// Answers as RFC 7662 says, and nothing else: the default.
    pub fn rfc7662() -> Self {
        Self::default()
    }

    /// Reads the client from the member `name` where `client_id` is absent.
    pub fn client_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.client = Some(name.into());
        self
    }

    /// Reads the scope from the member `name` where `scope` is absent: a string of scope tokens, or an
    /// array of them, as with `scope` itself.
    pub fn scope_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope = Some(name.into());
        self
    }

    /// The same as [`scope_claim`](Self::scope_claim), for symmetry with
    /// [`Profile::scope_array_claim`](crate::Profile::scope_array_claim).
    pub fn scope_array_claim(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope_claim(name)
    }

    /// Takes a token whose answer has the member `name` for that of a client on its own behalf.
    ///
    /// Beside this and the next one, the signs of a client that the profile has count: by value, by
    /// the end of `sub`, and by the presence of a claim that RFC 7662 does not itself give to
    /// answers. That a claim of JWTs is absent says nothing about an answer.
    pub fn client_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Present(name.into()));
        self
    }

    /// Takes a token whose answer lacks the member `name` for that of a client on its own behalf.
    pub fn client_if_absent(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Absent(name.into()));
        self
    }

    /// As [`Profile::user_if_present`](crate::Profile::user_if_present), for answers. Note that
    /// servers give service accounts a `username`, too.
    pub fn user_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_users.push(Sign::Present(name.into()));
        self
    }

    /// As [`Profile::user_if_value`](crate::Profile::user_if_value), for answers.
    pub fn user_if_value(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.signs.of_users.push(Sign::Value(name.into(), value.into()));
        self
    }
}
