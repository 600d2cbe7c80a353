//! Rules for introspection responses that differ from RFC 7662.

use std::borrow::Cow;

use crate::profile::signs::{Sign, Signs};

/// How an authorization server writes its introspection responses (RFC 7662 §2.2); for
/// [`Profile::answers`](crate::Profile::answers).
///
/// A response is read with the names of RFC 7662: `scope`, a string of scope tokens; `client_id`;
/// `sub`; `aud`. The claim names that a profile sets for JWTs do not apply. Some servers omit
/// `scope` or `client_id` and use a name of their own. Set that name here. It is only read if the
/// name of RFC 7662 is absent.
///
/// ```
/// use tower_resource_server::{Issuer, Profile};
/// use tower_resource_server::issuer::AnswerProfile;
///
/// // A server whose responses have the same claims as its JWTs.
/// let profile = Profile::jwt()
///     .client_claim("azp")
///     .answers(AnswerProfile::rfc7662().client_claim("azp"));
/// let issuer = Issuer::new("https://as.example.com").profile(profile);
/// # let _ = issuer;
/// ```
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "http-client"), allow(dead_code))]
pub struct AnswerProfile {
    pub(crate) client: Option<Cow<'static, str>>,
    pub(crate) scope: Option<Cow<'static, str>>,
    pub(crate) signs: Signs,
}

impl AnswerProfile {
    /// Responses that follow RFC 7662. This is the default.
    pub fn rfc7662() -> Self {
        Self::default()
    }

    /// Reads the client from the member `name` if `client_id` is absent.
    pub fn client_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.client = Some(name.into());
        self
    }

    /// Reads the scope from the member `name` if `scope` is absent. The value may be a string of
    /// scope tokens or an array of them, as for `scope`.
    pub fn scope_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope = Some(name.into());
        self
    }

    /// The same as [`scope_claim`](Self::scope_claim), for symmetry with
    /// [`Profile::scope_array_claim`](crate::Profile::scope_array_claim).
    pub fn scope_array_claim(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope_claim(name)
    }

    /// Treats a token as the token of a client that acts on its own behalf, if its response has the
    /// member `name`.
    ///
    /// Some settings of the profile for clients also apply to responses: a claim with a certain
    /// value, a `sub` with a certain end, and the presence of a claim that RFC 7662 does not define
    /// for responses. Settings about the absence of a claim apply only to JWTs.
    pub fn client_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Present(name.into()));
        self
    }

    /// Treats a token as the token of a client that acts on its own behalf, if its response does
    /// not have the member `name`.
    pub fn client_if_absent(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Absent(name.into()));
        self
    }

    /// As [`Profile::user_if_present`](crate::Profile::user_if_present), for responses. Note that
    /// some servers give service accounts a `username` too.
    pub fn user_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_users.push(Sign::Present(name.into()));
        self
    }

    /// As [`Profile::user_if_value`](crate::Profile::user_if_value), for responses.
    pub fn user_if_value(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.signs.of_users.push(Sign::Value(name.into(), value.into()));
        self
    }
}
