//! Parses one value within the limits.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};

use crate::token::json::value::{Object, Value};

/// Maximum nesting depth of JSON. Real tokens have a depth of 4 (Keycloak's `resource_access`).
pub(crate) const MAX_DEPTH: u32 = 32;

/// Why a document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The document is nested deeper than the limit, usually [`MAX_DEPTH`].
    Depth,
    /// An object has two members with the same name.
    Duplicate,
    /// A string has half of a surrogate pair (`\ud800`), which is not a character. RFC 8259 §8.2
    /// calls the behavior of parsers unpredictable: some replace it, some drop it, some keep it. To
    /// ignore only the affected member would not be safe: it could be a display name, but also a
    /// `cnf`.
    Surrogate,
    /// The text is not one JSON object, or it is not UTF-8.
    Form,
}

/// Up to this number of members, names are compared one by one. For the dozen names of a token,
/// this is cheaper than hashing.
const LINEAR_NAMES: usize = 24;

/// Capacity for the members of a typical object, reserved in one allocation.
const USUAL_MEMBERS: usize = 16;

/// With the feature `arbitrary_precision`, `serde_json` presents a number as a map with only this
/// member name. Any crate of a program can enable that feature. No document may contain this name:
/// otherwise, the feature would decide which `serde_json::Value` or number such a claim becomes.
const ARBITRARY_PRECISION: &str = "$serde_json::private::Number";

/// With the feature `raw_value`, `serde_json` presents raw text as a map with only this member
/// name. This crate enables that feature. A `serde_json::Value` made from such a claim would
/// contain the parsed text, which no check has seen.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// The error for a document with one of these two names.
const RESERVED: &str = "reserved member name";

/// The remaining depth while one document is parsed, and the fault that was found.
pub(super) struct Budget {
    deepest: u32,
    depth: Cell<u32>,
    fault: Cell<Option<Fault>>,
}

impl Budget {
    pub(super) fn new(depth: u32) -> Self {
        Self { deepest: depth, depth: Cell::new(depth), fault: Cell::new(None) }
    }

    /// The fault that ended the parsing. `None` for a fault of form.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    #[cold]
    fn refuse<E: serde::de::Error>(&self, fault: Fault) -> E {
        self.fault.set(Some(fault));
        // The message is never shown.
        E::custom("refused")
    }

    fn enter<E: serde::de::Error>(&self) -> Result<(), E> {
        let left = self.depth.get().checked_sub(1).ok_or_else(|| self.refuse(Fault::Depth))?;
        self.depth.set(left);
        Ok(())
    }

    /// Whether the value that is being parsed is the outermost one.
    fn is_outermost(&self) -> bool {
        self.depth.get() + 1 == self.deepest
    }

    fn leave(&self) {
        self.depth.set(self.depth.get() + 1);
    }
}

/// Parses one value under a budget.
pub(super) struct Strict<'b>(pub(super) &'b Budget);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Signed(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        self.0.enter()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Strict(self.0))? {
            values.push(value);
        }
        self.0.leave();
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut next = map.next_key()?;
        // `serde_json` may present a number as a map. Such a map is treated as a number: it adds no
        // depth and has no members.
        if let Some(Name(name)) = &next
            && name == ARBITRARY_PRECISION
        {
            let Digits(digits) = map.next_value()?;
            return number(&digits);
        }
        self.0.enter()?;
        let mut members: Vec<(Cow<'de, str>, Value<'de>)> = Vec::new();
        let (mut many, mut marks): (Option<HashSet<_>>, u64) = (None, 0);
        while let Some(Name(name)) = next {
            if name.starts_with('$') && (name == RAW_VALUE || name == ARBITRARY_PRECISION) {
                return Err(A::Error::custom(RESERVED));
            }
            let mark = mark(&name);
            let duplicate = if members.len() < LINEAR_NAMES {
                let alike = marks & mark != 0;
                marks |= mark;
                alike && members.iter().any(|(seen, _)| *seen == name)
            } else {
                let seen = || members.iter().map(|(seen, _)| seen.clone()).collect();
                !many.get_or_insert_with(seen).insert(name.clone())
            };
            if duplicate {
                return Err(self.0.refuse(Fault::Duplicate));
            }
            // Only for the outermost object: inner objects are usually small. If memory were
            // reserved for each inner object, an attacker could send many of them, and the result
            // would need a hundred times the memory of the document.
            if members.is_empty() && self.0.is_outermost() {
                members.reserve_exact(USUAL_MEMBERS);
            }
            let value = map.next_value_seed(Strict(self.0))?;
            members.push((name, value));
            next = map.next_key()?;
        }
        self.0.leave();
        Ok(Value::Object(Object::new(members)))
    }
}

/// One of 64 bits, chosen by the length, the first and the last byte of a name. Equal names have
/// the same bit, so names with different bits are different.
fn mark(name: &str) -> u64 {
    let (first, last) = match name.as_bytes() {
        [] => (0, 0),
        [only] => (*only, *only),
        [first, .., last] => (*first, *last),
    };
    1 << ((name.len() as u64 ^ u64::from(first) ^ (u64::from(last) << 2)) & 63)
}

/// Parses a number that `serde_json` passes as text. The result is the same as without the feature
/// `arbitrary_precision`: a number beyond the range of a double is an error, and the integer -0
/// becomes a double.
pub(super) fn number<'a, E: serde::de::Error>(digits: &str) -> Result<Value<'a>, E> {
    if let Ok(number) = digits.parse() {
        return Ok(Value::Unsigned(number));
    }
    if digits != "-0"
        && let Ok(number) = digits.parse()
    {
        return Ok(Value::Signed(number));
    }
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        _ => Err(E::custom("number out of range")),
    }
}

/// The text of a number from `serde_json`. `serde_json` passes a `String` with digits that it has
/// checked. If a document itself contains the reserved name, `serde_json` passes the text of the
/// value as a `str`. Such text is refused.
struct Digits(String);

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DigitsVisitor;
        impl Visitor<'_> for DigitsVisitor {
            type Value = Digits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_string<E>(self, text: String) -> Result<Digits, E> {
                Ok(Digits(text))
            }

            fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Digits, E> {
                Err(E::custom(RESERVED))
            }
        }
        deserializer.deserialize_string(DigitsVisitor)
    }
}

/// The name of a member. The name is borrowed if it has no escapes in the document.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
