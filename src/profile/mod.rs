//! Step 6 of the walk: are these verified claims those of an access token for this server, now?
//!
//! Decides, as RFC 9068 §4 does: `typ`; the required claims and their types; `exp`, `nbf`, `iat`;
//! `aud`. Keys and signatures are no concern of this file. It is pure: `now` is an argument.
//!
//! The default, [`Profile::rfc9068`], takes what the RFC calls a JWT access token and nothing else.
//! [`Profile::jwt`] is for the many authorization servers that do not follow it. Whatever the
//! profile, `iss`, `aud` (or the one claim that plays its part) and `exp` are required.

mod answers;
mod claim;
mod expected;
mod judge;
#[cfg(feature = "remote")]
mod judged;
mod signs;

use std::borrow::Cow;

use crate::profile::signs::{Sign, Signs};

pub use answers::AnswerProfile;
pub(crate) use expected::Expected;
#[cfg(feature = "remote")]
pub(crate) use judge::{Lacking, Times};
#[cfg(feature = "remote")]
pub(crate) use judged::Judged;

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
    /// Of those, what a JWT may lack; what is there has to have its type.
    optional: Vec<Cow<'static, str>>,
    /// By the API, of introspection answers, too.
    named: Vec<Cow<'static, str>>,
    required_values: Vec<(Cow<'static, str>, Vec<Cow<'static, str>>)>,
    signs: Signs,
    /// Of introspection answers.
    #[cfg_attr(not(feature = "remote"), allow(dead_code))]
    answers: AnswerProfile,
    /// Whether `sub` alone makes a user; see `danger::any_subject_is_a_user`.
    pub(crate) any_subject: bool,
    audience: Cow<'static, str>,
    client: Cow<'static, str>,
    scope: Cow<'static, str>,
    /// Whether the scope may be an array, where RFC 9068 is followed in all else.
    scope_array: bool,
    /// Claims and their values that an access token is known by, beside the usual ones.
    access: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Profile {
    /// JWT access tokens by RFC 9068: typ `at+jwt`; `iss`, `exp`, `aud`, `sub`, `client_id`, `iat`
    /// and `jti` required; `scope` a string.
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
            access: Vec::new(),
        }
    }

    /// Access tokens of a server that does not follow RFC 9068: typ `at+jwt`, `JWT` or absent;
    /// `iss`, `exp` and `aud` required.
    ///
    /// What it gives up: `typ` no longer tells an access token from an ID token (RFC 9068 §5), so
    /// the audience has to, and so do the claims that only other kinds of JWT carry. Use an
    /// audience that no client id equals. What else such a server does with `sub` is not known either:
    /// see [who acts](crate::manual::providers).
    pub fn jwt() -> Self {
        Self { strict: false, required: Vec::new(), ..Self::rfc9068() }
    }

    /// Reads the scope of JWTs from the string claim `name` instead of `scope`. Of introspection
    /// answers, see [`answers`](Self::answers).
    ///
    /// With [`rfc9068`](Self::rfc9068), which has a string, an array is refused. With
    /// [`jwt`](Self::jwt) it is read, too: servers write a string for one and an array for several.
    pub fn scope_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope = name.into();
        self.scope_array = false;
        self
    }

    /// Reads the scope of JWTs from the claim `name`, an array of strings; or a string, which such
    /// servers write for one scope. A word with a space in an array has no reading and is refused.
    pub fn scope_array_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.scope = name.into();
        self.scope_array = true;
        self
    }

    /// Takes a token whose claim `name` is the string `value` for an access token, for a server that
    /// names the kinds of its tokens in words of its own: `typ: access`, say. Case does not count.
    ///
    /// Without it, the claim `typ` may be `Bearer`, `DPoP`, `JWT` or `at+jwt`, and `token_use` may be
    /// `access` or `access_token`; another value is a token of another kind. A token that says so of
    /// itself may also have a `nonce`, by which an ID token is known otherwise. Words for refresh, ID
    /// and logout tokens are refused whatever is set here. It counts in introspection answers, too, but
    /// for their `token_type`, which RFC 7662 defines.
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

    /// Reads the client of JWTs from the claim `name` instead of `client_id`; RFC 9068 requires that
    /// claim under its own name, so with that profile the new name is required in its place.
    ///
    /// A `sub` that is another than the client then tells a user, unless a sign says otherwise.
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

    /// Lets the claim `name` play the part of `aud`, for a server that sends no `aud` in access
    /// tokens. It is required as `aud` is, and compared with the same configured audiences; a token
    /// that has `aud` all the same needs one of them there, too (RFC 7519 §4.1.3). An introspection
    /// answer needs one of the two, and both to be ours where it has both.
    pub fn audience_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.audience = name.into();
        self
    }

    /// Takes JWTs without the claim `name`, which RFC 9068 §2.2 requires: `sub`, the client, `iat` or
    /// `jti`. For a server that types its tokens `at+jwt` and leaves one of them out; `typ` then goes
    /// on to keep ID tokens out, which [`jwt`](Self::jwt) gives up.
    ///
    /// `iss`, `exp` and the audience stay required, and so does what
    /// [`require_claim`](Self::require_claim) asks for. Where the claim is there, it has to have its
    /// type. Without `sub`, a token is a client's ([`Principal::Client`]); without the client, a `sub`
    /// alone makes no user.
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// // A client's own token has no `sub`.
    /// let profile = Profile::rfc9068().claim_optional("sub");
    /// # let _ = profile;
    /// ```
    ///
    /// [`Principal::Client`]: crate::Principal::Client
    pub fn claim_optional(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        let before = self.required.len();
        self.required.retain(|required| *required != name);
        if self.required.len() < before {
            self.optional.push(name);
        }
        self
    }

    /// Refuses tokens without the claim `name`, and introspection answers without it. What this
    /// profile calls the client, the scope or the audience may have RFC 7662's name there.
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
    /// This and the next four are for servers that give a client a `sub` of its own: such a token
    /// would look like a user's (RFC 9068 §5). They only ever make a [`Principal::Client`] of what
    /// would be something else; of several, one is enough. The well-known ones need no setting:
    /// `aut`, `gty`, `grant_type`, `idtyp`, `sub_type`, Keycloak's `clientHost` and
    /// `service-account-` names, Auth0's `@clients`, and a `sub` that any of the usual claims for
    /// the client repeats.
    ///
    /// [`Principal::Client`]: crate::Principal::Client
    pub fn client_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Present(name.into()));
        self
    }

    /// Takes a token without the claim `name` for that of a client on its own behalf.
    pub fn client_if_absent(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::Absent(name.into()));
        self
    }

    /// Takes a token whose claim `name` is the string `value`, or an array with it, for that of a
    /// client on its own behalf.
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

    /// Takes a token whose `sub` ends in `suffix` for that of a client on its own behalf.
    pub fn client_if_subject_ends(mut self, suffix: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_clients.push(Sign::SubjectEnds(suffix.into()));
        self
    }

    /// Takes a token whose client is not one of its audiences (`aud`) for that of a client on its
    /// own behalf. For servers that put the client into `aud` when a user signs in, and not
    /// otherwise.
    pub fn client_if_not_in_audience(mut self) -> Self {
        self.signs.of_clients.push(Sign::ClientNotInAudience);
        self
    }

    /// Takes a token with the claim `name` for a user's: an identity claim that only users have.
    /// The claim must hold something: null, false, and an empty text, array or object do not count.
    ///
    /// This and the next one are for servers whose tokens name no client. They decide only where
    /// nothing else does: they never make a user of a token that any sign calls a client's, that has
    /// no `sub`, or whose `sub` is the client. They are about JWTs; for introspection answers, see
    /// [`answers`](Self::answers).
    ///
    /// Choose a claim that no service account has: some of them have an e-mail address, too.
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// // Supabase writes no client; only the sessions of its users have this role.
    /// let profile = Profile::jwt().user_if_value("role", "authenticated");
    /// # let _ = profile;
    /// ```
    pub fn user_if_present(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signs.of_users.push(Sign::Present(name.into()));
        self
    }

    /// Takes a token whose claim `name` is the string `value`, or an array with it, for a user's; as
    /// [`user_if_present`](Self::user_if_present).
    pub fn user_if_value(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.signs.of_users.push(Sign::Value(name.into(), value.into()));
        self
    }

    /// How the server writes its introspection answers, where that is not as RFC 7662 says. The names
    /// that this profile has for JWTs do not count in answers.
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
    /// What can't be: a claim without a name is in no token, so that each would be refused, or none.
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
            .collect()
    }
}

/// What a token has to be like, for one that is made for a test.
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

    /// Claims that need one of these values.
    pub(crate) fn asked_values(&self) -> impl Iterator<Item = (&str, &[Cow<'static, str>])> {
        self.required_values.iter().map(|(name, values)| (name.as_ref(), values.as_slice()))
    }

    /// Claims that have to be there.
    pub(crate) fn asked_names(&self) -> impl Iterator<Item = &str> {
        let usual = ["iss", "sub", "iat", "exp", "jti"];
        let named = self.required.iter().chain(&self.named).map(AsRef::as_ref);
        named.filter(move |name| {
            !usual.contains(name) && *name != self.audience && *name != self.client
        })
    }
}
