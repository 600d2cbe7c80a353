//! `authorization_details` (RFC 9396): what a route requires of one entry.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::policy::value::ClaimValue;
use crate::token::json::{Object, Value};

type Matcher = Arc<dyn Fn(&Object<'_>) -> bool + Send + Sync>;

/// What one entry of `authorization_details` must be.
#[derive(Clone)]
pub(super) struct Details {
    pub(super) kind: Box<str>,
    pub(super) fields: Vec<(Box<str>, Vec<ClaimValue>)>,
    pub(super) ignored: Vec<Box<str>>,
    pub(super) matcher: Option<Matcher>,
}

/// The claim, and the members of an entry that are always checked (RFC 9396 §2, §2.2).
pub(super) const AUTHORIZATION_DETAILS: &str = "authorization_details";
const TYPE: &str = "type";
const LOCATIONS: &str = "locations";

impl Details {
    pub(super) fn of(kind: Box<str>) -> Self {
        Self { kind, fields: Vec::new(), ignored: Vec::new(), matcher: None }
    }

    pub(super) fn matching<T: DeserializeOwned>(
        test: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Matcher {
        Arc::new(move |entry| entry.to::<T>().is_ok_and(|entry| test(&entry)))
    }

    /// Whether one entry of the claim grants everything that is required. `audiences` are the names
    /// of this API.
    pub(super) fn allows(&self, claims: &Object<'_>, audiences: &[Box<str>]) -> bool {
        // RFC 9396 §2: an array of objects. Anything else grants nothing.
        let Some(Value::Array(entries)) = claims.get(AUTHORIZATION_DETAILS) else { return false };
        entries.iter().any(|entry| match entry {
            Value::Object(entry) => self.allows_entry(entry, audiences),
            _ => false,
        })
    }

    fn allows_entry(&self, entry: &Object<'_>, audiences: &[Box<str>]) -> bool {
        if entry.get(TYPE).and_then(Value::as_str) != Some(&*self.kind) {
            return false;
        }
        // RFC 9396 §2.2: an entry for other locations says nothing about this API.
        if !entry.get(LOCATIONS).is_none_or(|locations| names_one_of(locations, audiences)) {
            return false;
        }
        let is_granted = |(name, values): &(Box<str>, Vec<ClaimValue>)| {
            // An empty list of values refuses the entry, as an empty `one_of` refuses a token.
            let Some(field) = entry.get(name).filter(|_| !values.is_empty()) else { return false };
            values.iter().all(|value| grants(field, value))
        };
        self.fields.iter().all(is_granted)
            && match &self.matcher {
                Some(matcher) => matcher(entry),
                None => entry.iter().all(|(name, _)| self.knows(name)),
            }
    }

    /// Whether the requirement names the member. An unknown member may restrict what the entry
    /// grants, so an entry with one is refused.
    fn knows(&self, name: &str) -> bool {
        [TYPE, LOCATIONS].contains(&name)
            || self.fields.iter().any(|(own, _)| **own == *name)
            || self.ignored.iter().any(|own| **own == *name)
    }
}

/// Whether the member is the value, or an array that contains it.
fn grants(field: &Value<'_>, value: &ClaimValue) -> bool {
    match field {
        Value::Array(values) => values.iter().any(|own| value.is(own) == Some(true)),
        field => value.is(field) == Some(true),
    }
}

fn names_one_of(locations: &Value<'_>, audiences: &[Box<str>]) -> bool {
    let Value::Array(locations) = locations else { return false };
    locations
        .iter()
        .filter_map(Value::as_str)
        .any(|location| audiences.iter().any(|own| **own == *location))
}
