//! A test of one claim.

use std::fmt;

use crate::policy::value::ClaimValue;
use crate::token::json::{Found, JsonPointer, Object, Value};

/// Where the claim is.
#[derive(Clone)]
pub(super) enum ClaimPath {
    Name(Box<str>),
    Pointer(JsonPointer),
}

/// What the claim must be.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Equals(ClaimValue),
    Contains(ClaimValue),
    OneOf(Vec<ClaimValue>),
    Exists,
    Absent,
}

/// A test of a claim. If `holds` is `false`, the test is negated.
#[derive(Clone, Debug)]
pub(super) struct ClaimTest {
    pub(super) path: ClaimPath,
    pub(super) wanted: Wanted,
    pub(super) holds: bool,
}

impl ClaimTest {
    /// A claim that is absent, null, or of another type passes neither the test nor its negation. Only
    /// `Absent` accepts an absent or null claim, and `Exists` accepts every type. These two are never
    /// negated.
    pub(super) fn allows(&self, claims: &Object<'_>) -> bool {
        let found = match &self.path {
            ClaimPath::Name(name) => Found::of(claims.get(name)),
            ClaimPath::Pointer(pointer) => pointer.find(claims),
        };
        let claim = match found {
            Found::Value(Value::Null) | Found::Absent => {
                return matches!(self.wanted, Wanted::Absent);
            }
            Found::Undecided => return false,
            Found::Value(claim) => claim,
        };
        let result = match &self.wanted {
            Wanted::Equals(value) => value.is(claim),
            Wanted::OneOf(values) => any(values.iter().map(|value| value.is(claim))),
            Wanted::Contains(value) => contains(claim, value, self.holds),
            Wanted::Exists => Some(true),
            Wanted::Absent => Some(false),
        };
        result == Some(self.holds)
    }
}

/// Whether one result is `true`. `None` if no value has the type of the claim.
fn any(results: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    results.flatten().reduce(|one, other| one || other)
}

/// Whether the array has the value. An element of another type can't be compared and may stand for the
/// value. So an array with such an element does not pass the negated test.
fn contains(claim: &Value<'_>, value: &ClaimValue, holds: bool) -> Option<bool> {
    let Value::Array(elements) = claim else { return None };
    let found = elements.iter().any(|element| value.is(element) == Some(true));
    let all_known = elements.iter().all(|element| value.is(element).is_some());
    (found || holds || all_known).then_some(found)
}

impl ClaimPath {
    /// The name of the top-level claim.
    pub(super) fn claim(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Pointer(pointer) => pointer.claim(),
        }
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Pointer(pointer) => fmt::Display::fmt(pointer, f),
        }
    }
}

impl fmt::Debug for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
