//! Rules for introspection responses that differ from RFC 7662.

use std::borrow::Cow;

use crate::profile::signs::{Sign, Signs};

/// How an authorization server writes its introspection responses (RFC 7662 §2.2); for
/// [`Profile::answers`](crate::Profile::answers).
///
/// A response is read with the names of RFC 7662: `scope`, a string of scope tokens; `client_id`;
/// `sub`; `aud`. The claim names that a profile sets for JWTs do not apply. Some servers omit
/// `scope` or `client_id` and use a name of their own. Set that name here. The member with this
/// name is read only if the member that RFC 7662 defines is absent.
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
    /// Some client settings of the profile also apply to responses: `client_if_value`,
    /// `client_if_subject_ends`, and `client_if_present` for a claim that RFC 7662 does not define
    /// for responses. `client_if_not_in_audience` applies to a response about an opaque token. The
    /// profile's `client_if_absent` applies only to JWTs.
    pub fn client_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Present(name.into()));
        self
    }

    /// Treats an opaque token as the token of a client that acts on its own behalf, if its response
    /// does not have the member `name`. This setting does not apply to a response about a JWT that
    /// was validated, because such a response may omit any member.
    pub fn client_if_absent(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Absent(name.into()));
        self
    }

    /// As [`Profile::user_if_present`](crate::Profile::user_if_present), for responses about opaque
    /// tokens. Note that some servers give service accounts a `username` too.
    pub fn user_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_users.push(Sign::Present(name.into()));
        self
    }

    /// As [`Profile::user_if_value`](crate::Profile::user_if_value), for responses about opaque
    /// tokens.
    pub fn user_if_value(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.signs.of_users.push(Sign::Value(name.into(), value.into()));
        self
    }
}
