//! Where an authorization server writes the roles of a token.

use std::borrow::Cow;

use crate::profile::Profile;
use crate::token::RoleList;
use crate::token::json::{JsonPointer, Object, Value};

/// The claims with roles that RFC 9068 §2.2.3.1 names.
pub(super) const RFC9068_ROLES: [&str; 3] = ["roles", "groups", "entitlements"];

/// Stands for the audiences of the server in the name of a claim.
const AUDIENCE: &str = "{audience}";

impl Profile {
    /// Reads no roles, until [`roles_claim`](Self::roles_claim) or one of the next methods adds a place.
    ///
    /// Without this setting, [`role`](crate::policy::role) reads the claims `roles`, `groups` and
    /// `entitlements` (RFC 9068 §2.2.3.1).
    pub fn without_roles(mut self) -> Self {
        self.roles.clear();
        self
    }

    /// Also reads roles from the claim `name`: an array of strings, or one string for one role. An
    /// element may also be a SCIM object with the role as its `value` (RFC 7643 §4.1.2). All places
    /// with roles count together.
    ///
    /// A string is never split. But a string with a space, `,`, `;` or `|` may be a list that the
    /// server joined. So `not(role(..))` refuses a token with such a string.
    ///
    /// If `name` contains `{audience}`, this text stands for each audience that is configured for
    /// the issuer. See [`role_names_claim`](Self::role_names_claim).
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// let profile = Profile::jwt().without_roles().roles_claim("permissions");
    /// # let _ = profile;
    /// ```
    pub fn roles_claim(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.role_place("roles_claim", name.into(), false)
    }

    /// Also reads roles from the place that a JSON pointer names (RFC 6901), as
    /// [`roles_claim`](Self::roles_claim) does from a claim.
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// // A custom claim of Ory Hydra.
    /// let profile = Profile::jwt().without_roles().roles_at("/ext/roles");
    /// # let _ = profile;
    /// ```
    pub fn roles_at(mut self, pointer: &str) -> Self {
        match JsonPointer::parse(pointer) {
            Ok(found) => self.roles.push(RolePlace { at: At::Pointer(found), are_names: false }),
            Err(problem) => {
                self.role_problems
                    .push(format!("roles_at `{}`: {problem}", pointer.escape_debug()));
            }
        }
        self
    }

    /// Also reads the roles of one client of Keycloak: `resource_access.<client_id>.roles`. The id
    /// is compared exactly, and may contain any character, such as the slashes of a URL.
    ///
    /// Pass the id of the client that stands for this API in Keycloak. A role of a client and a role
    /// of the realm count as the same role if they have the same name. To read only the roles of the
    /// client, call [`without_roles`](Self::without_roles) first.
    ///
    /// ```
    /// use tower_resource_server::providers;
    ///
    /// let issuer = providers::keycloak("https://sso.example.com/realms/demo")
    ///     .map_profile(|profile| profile.without_roles().client_roles("notes-api"));
    /// # let _ = issuer;
    /// ```
    pub fn client_roles(mut self, client_id: &str) -> Self {
        if client_id.is_empty() {
            self.role_problems.push("client_roles ``: must not be empty".to_owned());
        } else {
            let at = JsonPointer::of(["resource_access", client_id, "roles"]);
            self.roles.push(RolePlace { at: At::Pointer(at), are_names: false });
        }
        self
    }

    /// Also reads roles from the claim `name`, an object whose member names are the roles (Zitadel).
    /// The values of the members are not read.
    ///
    /// If `name` contains `{audience}`, this text stands for each audience that is configured for
    /// the issuer. This is for a server that writes one claim for each API. Only the roles of this
    /// API are read.
    ///
    /// ```
    /// use tower_resource_server::Profile;
    ///
    /// // Zitadel: the id of the API's project is the audience.
    /// let profile = Profile::jwt()
    ///     .without_roles()
    ///     .role_names_claim("urn:zitadel:iam:org:project:{audience}:roles");
    /// # let _ = profile;
    /// ```
    pub fn role_names_claim(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.role_place("role_names_claim", name.into(), true)
    }

    fn role_place(mut self, setting: &str, name: Cow<'static, str>, are_names: bool) -> Self {
        if name.is_empty() {
            self.role_problems.push(format!("{setting} ``: must not be empty"));
            return self;
        }
        let at = match name.split_once(AUDIENCE) {
            Some((before, after)) => At::OfAudience { before: before.into(), after: after.into() },
            None => At::Claim(name),
        };
        self.roles.push(RolePlace { at, are_names });
        self
    }
}

/// One place with roles.
#[derive(Clone, Debug)]
pub(super) struct RolePlace {
    at: At,
    /// Whether the roles are the member names of an object.
    are_names: bool,
}

#[derive(Clone, Debug)]
enum At {
    Claim(Cow<'static, str>),
    /// A claim with one of the audiences in its name, between two texts.
    OfAudience {
        before: Box<str>,
        after: Box<str>,
    },
    Pointer(JsonPointer),
}

impl At {
    /// Whether this claim is the one of an audience.
    fn is_of_audience(&self, claim: &str, audiences: &[Box<str>]) -> bool {
        let Self::OfAudience { before, after } = self else { return false };
        let between = claim.strip_prefix(&**before).and_then(|rest| rest.strip_suffix(&**after));
        between.is_some_and(|own| audiences.iter().any(|audience| **audience == *own))
    }
}

impl RolePlace {
    pub(super) fn claim(name: &'static str) -> Self {
        Self { at: At::Claim(name.into()), are_names: false }
    }

    /// Calls `add` for each role of the token at this place.
    #[inline]
    fn read_from(
        &self,
        claims: &Object<'_>,
        audiences: &[Box<str>],
        add: &mut dyn FnMut(&str),
    ) -> RoleList {
        let found = match &self.at {
            At::Claim(name) => claims.get(name),
            At::Pointer(pointer) => pointer.find(claims),
            At::OfAudience { .. } => {
                let own = claims.iter().filter(|(name, _)| self.at.is_of_audience(name, audiences));
                return own
                    .fold(RoleList::Absent, |list, (_, value)| list.with(self.read(value, add)));
            }
        };
        found.map_or(RoleList::Absent, |value| self.read(value, add))
    }

    /// Calls `add` for each role at this place.
    fn read(&self, value: &Value<'_>, add: &mut dyn FnMut(&str)) -> RoleList {
        match value {
            Value::Null => RoleList::Absent,
            Value::Object(members) if self.are_names => {
                members.iter().for_each(|(name, _)| add(name));
                RoleList::Complete
            }
            // Some servers write a single role as a string. It is one role, with all its spaces.
            Value::String(role) if !self.are_names => {
                add(role);
                if may_be_list(role) { RoleList::Incomplete } else { RoleList::Complete }
            }
            Value::Array(values) if !self.are_names => {
                let mut list = RoleList::Complete;
                for value in values {
                    match role_of(value) {
                        Some(role) => add(role),
                        None => list = RoleList::Incomplete,
                    }
                }
                list
            }
            _ => RoleList::Incomplete,
        }
    }
}

/// A role: a string, or a SCIM object with the role as its `value` (RFC 7643 §4.1.2).
fn role_of<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::String(role) => Some(role),
        Value::Object(object) => object.get("value").and_then(Value::as_str),
        _ => None,
    }
}

/// Whether a string may also be a list: some servers join several roles. It may contain the role that
/// `not(role(..))` forbids, so it is not a complete list.
fn may_be_list(text: &str) -> bool {
    text.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|'))
}

/// Calls `add` for each role of the token.
#[inline]
pub(super) fn read_roles(
    places: &[RolePlace],
    claims: &Object<'_>,
    audiences: &[Box<str>],
    add: &mut dyn FnMut(&str),
) -> RoleList {
    places
        .iter()
        .fold(RoleList::Absent, |list, place| list.with(place.read_from(claims, audiences, add)))
}
