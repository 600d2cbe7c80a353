//! Where an authorization server writes the roles of a token.

use std::borrow::Cow;

use crate::token::RoleList;
use crate::token::json::{Found, JsonPointer, Object, Value};

/// The claims with roles that RFC 9068 §2.2.3.1 names.
pub(super) const RFC9068_ROLES: [&str; 3] = ["roles", "groups", "entitlements"];

/// In the name of a claim, this text stands for each configured audience.
const AUDIENCE: &str = "{audience}";

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
    /// Whether this claim belongs to one of the audiences.
    fn is_of_audience(&self, claim: &str, audiences: &[Box<str>]) -> bool {
        let Self::OfAudience { before, after } = self else { return false };
        let between = claim.strip_prefix(&**before).and_then(|rest| rest.strip_suffix(&**after));
        between.is_some_and(|own| audiences.iter().any(|audience| **audience == *own))
    }
}

impl RolePlace {
    pub(super) fn claim(name: Cow<'static, str>, are_names: bool) -> Self {
        let at = match name.split_once(AUDIENCE) {
            Some((before, after)) => At::OfAudience { before: before.into(), after: after.into() },
            None => At::Claim(name),
        };
        Self { at, are_names }
    }

    pub(super) fn pointer(pointer: JsonPointer) -> Self {
        Self { at: At::Pointer(pointer), are_names: false }
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
            At::Claim(name) => Found::of(claims.get(name)),
            At::Pointer(pointer) => pointer.find(claims),
            At::OfAudience { .. } => {
                let own = claims.iter().filter(|(name, _)| self.at.is_of_audience(name, audiences));
                return own
                    .fold(RoleList::Absent, |list, (_, value)| list.with(self.read(value, add)));
            }
        };
        match found {
            Found::Value(value) => self.read(value, add),
            Found::Absent => RoleList::Absent,
            Found::Undecided => RoleList::Incomplete,
        }
    }

    /// Calls `add` for each role at this place.
    fn read(&self, value: &Value<'_>, add: &mut dyn FnMut(&str)) -> RoleList {
        match value {
            Value::Null => RoleList::Absent,
            Value::Object(members) if self.are_names => {
                members.iter().for_each(|(name, _)| add(name));
                RoleList::Complete
            }
            // Some servers write a single role as a string. The whole string is one role, including its
            // spaces.
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

/// Whether a string may be a list of roles: some servers join several roles. The string may contain the
/// role that `not(role(..))` forbids, so the list of roles is not complete.
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
