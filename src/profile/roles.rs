//! Where an authorization server writes the roles of a token.

use std::borrow::Cow;

use crate::token::RoleList;
use crate::token::json::{JsonPointer, Object, Value};

/// The claims with roles that RFC 9068 §2.2.3.1 names.
pub(super) const RFC9068_ROLES: [&str; 3] = ["roles", "groups", "entitlements"];

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
    Pointer(JsonPointer),
}

impl RolePlace {
    pub(super) fn claim(name: impl Into<Cow<'static, str>>, are_names: bool) -> Self {
        Self { at: At::Claim(name.into()), are_names }
    }

    pub(super) fn pointer(pointer: &str) -> Result<Self, &'static str> {
        Ok(Self { at: At::Pointer(JsonPointer::parse(pointer)?), are_names: false })
    }

    /// Whether no claim can be at this place.
    pub(super) fn is_nameless(&self) -> bool {
        matches!(&self.at, At::Claim(name) if name.is_empty())
    }

    #[inline]
    fn find<'v, 'a>(&self, claims: &'v Object<'a>) -> Option<&'v Value<'a>> {
        match &self.at {
            At::Claim(name) => claims.get(name),
            At::Pointer(pointer) => pointer.find(claims),
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
            // Some servers write a single role as a string. It is one role, with all its spaces.
            Value::String(role) if !self.are_names => {
                add(role);
                RoleList::Complete
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

/// Calls `add` for each role of the token.
#[inline]
pub(super) fn read_roles(
    places: &[RolePlace],
    claims: &Object<'_>,
    add: &mut dyn FnMut(&str),
) -> RoleList {
    let mut list = RoleList::Absent;
    for place in places {
        let Some(value) = place.find(claims) else { continue };
        match place.read(value, add) {
            RoleList::Absent => {}
            RoleList::Complete if list == RoleList::Absent => list = RoleList::Complete,
            RoleList::Complete => {}
            RoleList::Incomplete => list = RoleList::Incomplete,
        }
    }
    list
}
