//! Step 6 of a request: checks that the verified claims are those of an access token for this
//! server at this time.
//!
//! The checks follow RFC 9068 §4: `typ`; the required claims and their types; `exp`, `nbf`, `iat`;
//! `aud`. Keys and signatures are checked elsewhere. The code is pure: `now` is an argument.
//!
//! The default, [`Profile::rfc9068`], accepts only JWT access tokens as defined in RFC 9068.
//! [`Profile::jwt`] is for the many authorization servers that do not follow that RFC. Every
//! profile requires `iss`, `exp`, and `aud` (or the claim that replaces `aud`).

mod answers;
mod claim;
mod expected;
mod judge;
#[cfg(feature = "http-client")]
mod judged;
#[cfg(feature = "http-client")]
mod response;
mod role_settings;
mod roles;
mod signs;
mod times;

use std::borrow::Cow;

use crate::profile::roles::{RFC9068_ROLES, RolePlace};
use crate::profile::signs::{Sign, Signs};

pub use answers::AnswerProfile;
pub(crate) use expected::Expected;
#[cfg(feature = "http-client")]
pub(crate) use judged::Judged;
#[cfg(feature = "http-client")]
pub(crate) use response::Lacking;
#[cfg(feature = "http-client")]
pub(crate) use times::Times;

/// The claims that RFC 9068 §2.2 requires in addition to `iss`, `aud` and `exp`.
const RFC9068_REQUIRED: [&str; 4] = ["sub", "client_id", "iat", "jti"];

/// How one authorization server writes its access tokens.
///
/// ```
/// use tower_resource_server::{Issuer, Profile};
///
/// // A server whose tokens have the type `JWT` and an array of scopes named `scp`.
/// let profile = Profile::jwt().scope_array_claim("scp").client_claim("cid");
/// let issuer = Issuer::new("https://as.example.com").profile(profile);
/// ```
#[derive(Clone, Debug)]
pub struct Profile {
    strict: bool,
    /// Claims that RFC 9068 requires. They are required only in JWTs.
    required: Vec<Cow<'static, str>>,
    /// Claims that a JWT may omit although RFC 9068 requires them. If present, they must have the
    /// right type.
    optional: Vec<Cow<'static, str>>,
    /// Claims that the API requires, also in introspection responses.
    named: Vec<Cow<'static, str>>,
    required_values: Vec<(Cow<'static, str>, Vec<Cow<'static, str>>)>,
    signs: Signs,
    /// Rules for introspection responses.
    #[cfg_attr(not(feature = "http-client"), allow(dead_code))]
    answers: AnswerProfile,
    /// Whether `sub` alone is enough for a user; see `danger::any_subject_is_a_user`.
    pub(crate) any_subject: bool,
    audience: Cow<'static, str>,
    client: Cow<'static, str>,
    scope: Cow<'static, str>,
    /// Whether the scope may be an array, even if the rest follows RFC 9068.
    scope_array: bool,
    /// The places with roles.
    roles: Vec<RolePlace>,
    /// What is wrong with places that were set.
    role_problems: Vec<String>,
    /// Further claims and values that identify an access token.
    access: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Profile {
    /// JWT access tokens as defined in RFC 9068: the `typ` is `at+jwt`, `scope` is a string, and
    /// `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are required.
    pub fn rfc9068() -> Self {
        Self {
            strict: true,
            required: RFC9068_REQUIRED.into_iter().map(Cow::Borrowed).collect(),
            optional: Vec::new(),
            named: Vec::new(),
            required_values: Vec::new(),
            signs: Signs::default(),
            answers: AnswerProfile::rfc7662(),
            any_subject: false,
            audience: "aud".into(),
            client: "client_id".into(),
            scope: "scope".into(),
            scope_array: false,
            roles: RFC9068_ROLES.map(|name| RolePlace::claim(name.into(), false)).into(),
            role_problems: Vec::new(),
            access: Vec::new(),
        }
    }

    /// Whether the `typ` of a JWT must be `at+jwt`.
    pub(crate) fn is_of_rfc9068(&self) -> bool {
        self.strict
    }

    /// Access tokens of a server that does not follow RFC 9068: the `typ` is `at+jwt`, `JWT` or
    /// absent. `iss`, `exp` and `aud` are required.
    ///
    /// This profile is weaker: `typ` no longer distinguishes an access token from an ID token (RFC
    /// 9068 §5). Only the audience distinguishes them, and the claims that only other kinds of JWT
    /// contain. Use an audience that is not the id of any client. The meaning of `sub` also differs
    /// between such servers: see [who acts](crate::manual::providers).
    pub fn jwt() -> Self {
        Self { strict: false, required: Vec::new(), ..Self::rfc9068() }
    }

    /// Reads the scope of JWTs from the string claim `name` instead of `scope`. For introspection
    /// responses, see [`answers`](Self::answers).
    ///
    /// [`rfc9068`](Self::rfc9068) requires a string and refuses an array. [`jwt`](Self::jwt) also
    /// accepts an array, because some servers write a string for one scope and an array for
    /// several.
    pub fn scope_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope = name.into();
        self.scope_array = false;
        self
    }

    /// Reads the scope of JWTs from the claim `name`, an array of strings. A string is also
    /// accepted, because some of these servers write a string for a single scope. A token is
    /// refused if a word of the array contains a space.
    pub fn scope_array_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope = name.into();
        self.scope_array = true;
        self
    }

    /// Treats a token as an access token if its claim `name` is the string `value`, ignoring case.
    /// Use this setting for a server that has its own names for the kinds of token, for example
    /// `access` in the claim `typ`.
    ///
    /// Without this setting, the claim `typ` may be `Bearer`, `DPoP`, `JWT` or `at+jwt`, and
    /// `token_use` may be `access` or `access_token`. Any other value means another kind of token.
    /// A token that declares itself an access token may also have a `nonce`, which otherwise marks
    /// an ID token. Values for refresh, offline, ID and logout tokens are refused even if they are
    /// set here. This setting also applies to introspection responses, except to their
    /// `token_type`, which RFC 7662 defines. With [`rfc9068`](Self::rfc9068), it does not apply to
    /// JWTs, because the header's `typ` shows their kind.
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// let profile = Profile::jwt().access_if_value("typ", "access");
    /// # let _ = profile;
    /// ```
    pub fn access_if_value(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.access.push((name.into(), value.into()));
        self
    }

    /// Reads the client of JWTs from the claim `name` instead of `client_id`. RFC 9068 requires
    /// `client_id`, so the profile [`rfc9068`](Self::rfc9068) then requires `name` instead.
    ///
    /// A token whose `sub` differs from the client then belongs to a user, unless another claim
    /// shows that a client acts.
    pub fn client_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        let required = self.required.iter_mut().chain(&mut self.optional);
        for required in required.chain(&mut self.named) {
            if *required == self.client {
                required.clone_from(&name);
            }
        }
        self.client = name;
        self
    }

    /// Uses the claim `name` instead of `aud`, for a server whose access tokens have no `aud`. The
    /// claim is required and compared with the configured audiences, as `aud` is. If a token also
    /// has an `aud`, the `aud` must also contain one of the audiences (RFC 7519 §4.1.3). An
    /// introspection response needs one of the two claims. If the response has both, both must
    /// match.
    pub fn audience_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.audience = name.into();
        self
    }

    /// Accepts JWTs without the claim `name`, although RFC 9068 §2.2 requires it: `sub`, the
    /// client, `iat` or `jti`. This is for a server whose tokens have the type `at+jwt` but omit
    /// one of these claims. In contrast to [`jwt`](Self::jwt), `typ` still excludes ID tokens.
    ///
    /// `iss`, `exp` and the audience stay required, and so do the claims of
    /// [`require_claim`](Self::require_claim). If the claim is present, it must have the right
    /// type. A token without `sub` belongs to a client ([`Principal::Client`]), unless a sign of
    /// [`user_if_present`](Self::user_if_present) or [`user_if_value`](Self::user_if_value) makes
    /// the principal unknown. If the token does not name its client, a `sub` alone does not
    /// identify a user.
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// // A client's own token has no `sub`.
    /// let profile = Profile::rfc9068().claim_optional("sub");
    /// # let _ = profile;
    /// ```
    ///
    /// [`Principal::Client`]: crate::token::Principal::Client
    pub fn claim_optional(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        let before = self.required.len();
        self.required.retain(|required| *required != name);
        if self.required.len() < before {
            self.optional.push(name);
        }
        self
    }

    /// Refuses tokens and introspection responses without the claim `name`. In an introspection
    /// response, the client, the scope or the audience may have its RFC 7662 name instead.
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

    /// Refuses tokens whose claim `name` is not one of the strings `values`. If `values` is empty,
    /// all tokens are refused.
    pub fn require_one_of<V: Into<Cow<'static, str>>>(
        mut self,
        name: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.required_values.push((name.into(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// Treats a token with the claim `name` as the token of a client that acts on its own behalf.
    ///
    /// This method and the next four are for servers that give a client its own `sub`. Such a token
    /// would look like a user's token (RFC 9068 §5). These methods can only change the result to
    /// [`Principal::Client`]. If several are set, one match is enough. Well-known signs need no
    /// setting, for example: `aut`, `gty`, `grant_type`, `idtyp`, `sub_type`, Keycloak's
    /// `clientHost` and its names with `service-account-`, Auth0's `@clients`, and a `sub` that
    /// equals one of the usual claims for the client.
    ///
    /// [`Principal::Client`]: crate::token::Principal::Client
    pub fn client_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Present(name.into()));
        self
    }

    /// Treats a token without the claim `name` as the token of a client that acts on its own
    /// behalf.
    pub fn client_if_absent(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Absent(name.into()));
        self
    }

    /// Treats a token as the token of a client that acts on its own behalf, if its claim `name` is
    /// the string `value` or an array that contains it.
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// let profile = Profile::jwt().client_claim("azp").client_if_value("kind", "machine");
    /// # let _ = profile;
    /// ```
    pub fn client_if_value(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.signs.of_clients.push(Sign::Value(name.into(), value.into()));
        self
    }

    /// Treats a token whose `sub` ends with `suffix` as the token of a client that acts on its own
    /// behalf.
    pub fn client_if_subject_ends(mut self, suffix: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::SubjectEnds(suffix.into()));
        self
    }

    /// Treats a token as the token of a client that acts on its own behalf, if its `aud` does not
    /// contain the client, or if the token does not name its client. This is for servers that add
    /// the client to `aud` only when a user signs in.
    pub fn client_if_not_in_audience(mut self) -> Self {
        self.signs.of_clients.push(Sign::ClientNotInAudience);
        self
    }

    /// Treats a token with the claim `name` as a user's token. Use an identity claim that only
    /// users have. The claim must have a value: null, false, and an empty string, array or object
    /// do not count.
    ///
    /// This method and the next one are for servers whose tokens do not name the client. These
    /// methods decide only if nothing else shows who acts. A token is never a user's token if any
    /// sign shows a client, if the token has no `sub`, or if its `sub` is the client. These methods
    /// apply to JWTs. For introspection responses, see [`answers`](Self::answers).
    ///
    /// Choose a claim that no service account has. Some service accounts have an e-mail address
    /// too.
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// // Supabase does not name the client. Only the sessions of its users have this role.
    /// let profile = Profile::jwt().user_if_value("role", "authenticated");
    /// # let _ = profile;
    /// ```
    pub fn user_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_users.push(Sign::Present(name.into()));
        self
    }

    /// Treats a token as a user's token if its claim `name` is the string `value` or an array that
    /// contains it. See [`user_if_present`](Self::user_if_present).
    pub fn user_if_value(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.signs.of_users.push(Sign::Value(name.into(), value.into()));
        self
    }

    /// Sets how the server writes its introspection responses, if they differ from RFC 7662. The
    /// claim names of this profile for JWTs do not apply to them.
    pub fn answers(mut self, answers: AnswerProfile) -> Self {
        self.answers = answers;
        self
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::rfc9068()
    }
}

impl Profile {
    /// Lists invalid settings. In practice, no token has a claim with an empty name. So a rule
    /// about such a claim would apply either to every token or to none.
    pub(crate) fn problems(&self) -> Vec<String> {
        let names = [
            ("audience_claim", &self.audience),
            ("client_claim", &self.client),
            ("scope_claim", &self.scope),
        ];
        let named = self.named.iter().map(|name| ("require_claim", name));
        let valued = self.required_values.iter().map(|(name, _)| ("require_value", name));
        let access = self.access.iter().map(|(name, _)| ("access_if_value", name));
        let all = names.into_iter().chain(named).chain(valued).chain(access);
        let all = all.chain(self.signs.texts());
        let nameless = all.filter(|(_, name)| name.is_empty());
        let of_jwts = nameless.map(|(setting, _)| format!("profile: {setting}"));
        let answers = &self.answers;
        let names = [("client_claim", &answers.client), ("scope_claim", &answers.scope)];
        let names = names.into_iter().filter_map(|(setting, name)| Some((setting, name.as_ref()?)));
        let nameless = names.chain(answers.signs.texts()).filter(|(_, name)| name.is_empty());
        let of_answers = nameless.map(|(setting, _)| format!("profile: answers: {setting}"));
        of_jwts
            .chain(of_answers)
            .map(|setting| format!("{setting} ``: must not be empty"))
            .chain(self.role_problems.iter().map(|problem| format!("profile: {problem}")))
            .collect()
    }
}

/// The requirements on a token. A test uses them to make a token that fits.
#[cfg(feature = "test-issuer")]
impl Profile {
    pub(crate) fn is_rfc9068(&self) -> bool {
        self.strict
    }

    pub(crate) fn scope_name(&self) -> &str {
        &self.scope
    }

    pub(crate) fn writes_scope_array(&self) -> bool {
        self.scope_array
    }

    /// Claims that must have one of these values.
    pub(crate) fn asked_values(&self) -> impl Iterator<Item = (&str, &[Cow<'static, str>])> {
        self.required_values.iter().map(|(name, values)| (name.as_ref(), values.as_slice()))
    }

    /// Claims that are required, without the usual ones.
    pub(crate) fn asked_names(&self) -> impl Iterator<Item = &str> {
        let usual = ["iss", "sub", "iat", "exp", "jti"];
        let named = self.required.iter().chain(&self.named).map(AsRef::as_ref);
        named.filter(move |name| {
            !usual.contains(name) && *name != self.audience && *name != self.client
        })
    }
}
