//! One strict reading of JSON from the network.
//!
//! RFC 7515 §4 and RFC 7519 §4 let a parser refuse duplicate names or take the last. This crate
//! refuses, at every depth, so that two parsers of one program can never read one token in two
//! ways. Depth and the number of members are bounded before anything is kept.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};

/// Nesting of a token's JSON. Real tokens nest 4 deep (Keycloak's `resource_access`).
pub(crate) const MAX_DEPTH: u32 = 32;

/// Members and array elements of one document, all depths together. Real tokens have 15 to 60.
pub(crate) const MAX_MEMBERS: u32 = 1_000;

/// Up to here names are compared one by one, which for a token's dozen is cheaper than hashing.
const LINEAR_NAMES: usize = 24;

/// Room for the members of a usual object, taken in one allocation.
const USUAL_MEMBERS: usize = 16;

/// With its feature `arbitrary_precision`, which any crate of a program can turn on, `serde_json`
/// presents a number as a map with this one name.
const ARBITRARY_PRECISION: &str = "$serde_json::private::Number";

/// Reads `bytes` as one JSON object without duplicate names, within the limits, and nothing after it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Object<'_>, serde_json::Error> {
    parse_up_to(bytes, MAX_MEMBERS)
}

/// As [`parse`], with room for a document that is larger than a token.
pub(crate) fn parse_up_to(bytes: &[u8], members: u32) -> Result<Object<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let budget = Budget { depth: Cell::new(MAX_DEPTH), members: Cell::new(members) };
    let value = Strict(&budget).deserialize(&mut deserializer)?;
    deserializer.end()?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(serde_json::Error::custom("not an object")),
    }
}

/// A JSON value that borrows its text where the text has no escapes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    String(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Object<'a>),
}

impl Value<'_> {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A number of any size; those beyond 2^53 lose their last digits.
    pub(crate) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(*number as f64),
            Self::Signed(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The same value without borrows, to be kept.
    #[cfg(feature = "remote")]
    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Unsigned(number) => Value::Unsigned(number),
            Self::Signed(number) => Value::Signed(number),
            Self::Float(number) => Value::Float(number),
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Array(values) => {
                Value::Array(values.into_iter().map(Value::into_owned).collect())
            }
            Self::Object(object) => Value::Object(object.into_owned()),
        }
    }

    /// The same value without borrows, as the rest of the ecosystem knows it.
    pub(crate) fn to_owned_value(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Unsigned(number) => (*number).into(),
            Self::Signed(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::String(text) => serde_json::Value::String(text.as_ref().to_owned()),
            Self::Array(values) => values.iter().map(Value::to_owned_value).collect(),
            Self::Object(object) => object
                .members
                .iter()
                .map(|(name, value)| (name.as_ref().to_owned(), value.to_owned_value()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// The members of a JSON object, each name once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object<'a> {
    members: Vec<(Cow<'a, str>, Value<'a>)>,
    /// The marks of all names, and perhaps of some that were taken out.
    marks: u64,
}

impl<'a> Object<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        if self.marks & mark(name) == 0 {
            return None;
        }
        self.members.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Takes a member out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let at = self.members.iter().position(|(own, _)| own == name)?;
        Some(self.members.swap_remove(at).1)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// The same members without borrows, to be kept.
    #[cfg(feature = "remote")]
    pub(crate) fn into_owned(self) -> Object<'static> {
        let owned = |(name, value): (Cow<'a, str>, Value<'a>)| {
            (Cow::Owned(name.into_owned()), value.into_owned())
        };
        Object { members: self.members.into_iter().map(owned).collect(), marks: self.marks }
    }

    /// The members as JSON text.
    #[cfg(feature = "remote")]
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let members: serde_json::Map<_, _> =
            self.iter().map(|(name, value)| (name.to_owned(), value.to_owned_value())).collect();
        serde_json::Value::Object(members).to_string().into_bytes()
    }
}

/// One of 64 marks, for a set of names that says at once what is not in it: most of the names that
/// are looked for in a token are not there.
fn mark(name: &str) -> u64 {
    let first = name.as_bytes().first().copied().unwrap_or_default();
    let last = name.as_bytes().last().copied().unwrap_or_default();
    let mixed = usize::from(first) + 3 * usize::from(last) + 7 * name.len();
    1 << (mixed % 64)
}

/// What is left of the limits while one document is read.
struct Budget {
    depth: Cell<u32>,
    members: Cell<u32>,
}

impl Budget {
    fn enter<E: serde::de::Error>(&self) -> Result<(), E> {
        let left = self.depth.get().checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        self.depth.set(left);
        Ok(())
    }

    fn leave(&self) {
        self.depth.set(self.depth.get() + 1);
    }

    fn member<E: serde::de::Error>(&self) -> Result<(), E> {
        let left =
            self.members.get().checked_sub(1).ok_or_else(|| E::custom("too many members"))?;
        self.members.set(left);
        Ok(())
    }
}

/// Reads one value under a budget.
struct Strict<'b>(&'b Budget);

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
            self.0.member()?;
            values.push(value);
        }
        self.0.leave();
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        self.0.enter()?;
        let mut members: Vec<(Cow<'de, str>, Value<'de>)> = Vec::new();
        let mut many = HashSet::new();
        while let Some(Name(name)) = map.next_key()? {
            self.0.member()?;
            let duplicate = if members.len() < LINEAR_NAMES {
                members.iter().any(|(seen, _)| *seen == name)
            } else {
                if many.is_empty() {
                    many.extend(members.iter().map(|(seen, _)| seen.clone()));
                }
                !many.insert(name.clone())
            };
            if duplicate {
                return Err(A::Error::custom("duplicate member name"));
            }
            if members.is_empty() {
                members.reserve_exact(USUAL_MEMBERS);
            }
            let value = map.next_value_seed(Strict(self.0))?;
            members.push((name, value));
        }
        self.0.leave();
        Ok(match members.as_slice() {
            [(name, Value::String(digits))] if name == ARBITRARY_PRECISION => number(digits)?,
            _ => {
                let marks = members.iter().fold(0, |marks, (name, _)| marks | mark(name));
                Value::Object(Object { members, marks })
            }
        })
    }
}

/// A number that `serde_json` handed over as text; beyond the range of a double it is an error, as
/// it is without `arbitrary_precision`.
fn number<'a, E: serde::de::Error>(digits: &str) -> Result<Value<'a>, E> {
    if let Ok(number) = digits.parse() {
        return Ok(Value::Unsigned(number));
    }
    if let Ok(number) = digits.parse() {
        return Ok(Value::Signed(number));
    }
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        _ => Err(E::custom("number out of range")),
    }
}

/// A member name: borrowed where the text has no escape.
struct Name<'de>(Cow<'de, str>);

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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
        parse(bytes).map(drop)
    }

    fn nested(depth: usize) -> Vec<u8> {
        format!("{}{}", r#"{"a":"#.repeat(depth - 1) + "{", "}".repeat(depth)).into_bytes()
    }

    fn members(count: usize) -> Vec<u8> {
        let members: Vec<_> = (0..count).map(|n| format!("\"m{n}\":{n}")).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    }

    #[test]
    fn forms() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("empty object", b"{}", true),
            ("nested", br#"{"a":[1,-2,0.5,"x",null,true,{"b":{}}]}"#, true),
            ("same name in two objects", br#"{"a":{"x":1},"b":{"x":1}}"#, true),
            ("duplicate", br#"{"a":1,"a":1}"#, false),
            ("duplicate by escape", br#"{"a":1,"\u0061":1}"#, false),
            ("duplicate inside", br#"{"cnf":{"jkt":1,"jkt":2}}"#, false),
            ("duplicate in an array", br#"{"a":[{"x":1,"x":2}]}"#, false),
            ("array", b"[]", false),
            ("string", b"\"{}\"", false),
            ("null", b"null", false),
            ("trailing", b"{} {}", false),
            ("trailing text", b"{}x", false),
            ("not UTF-8", b"{\"a\":\"\xff\"}", false),
            ("byte order mark", b"\xef\xbb\xbf{}", false),
            ("number out of range", br#"{"a":1e400}"#, false),
            ("truncated", br#"{"a":"#, false),
            ("empty", b"", false),
        ];
        for (name, bytes, good) in cases {
            assert_eq!(check(bytes).is_ok(), *good, "{name}");
        }
    }

    #[test]
    fn depth_and_members_are_bounded_on_both_sides_of_the_edge() {
        assert!(check(&nested(MAX_DEPTH as usize)).is_ok());
        assert!(check(&nested(MAX_DEPTH as usize + 1)).is_err());
        assert!(check(&members(MAX_MEMBERS as usize)).is_ok());
        assert!(check(&members(MAX_MEMBERS as usize + 1)).is_err());
    }

    #[test]
    fn names_are_found_whatever_their_marks() {
        // More names than there are marks, so that many share one.
        let text = members(200);
        let object = parse(&text).unwrap();
        for n in 0..200 {
            assert_eq!(object.get(&format!("m{n}")), Some(&Value::Unsigned(n)));
        }
        for absent in ["", "m", "m200", "m1a", "n1", "é"] {
            assert_eq!(object.get(absent), None, "{absent}");
        }
        let mut object = parse(br#"{"":1,"\u00e9":2}"#).unwrap();
        assert!(object.contains("") && object.contains("é"));
        assert_eq!(object.take("é"), Some(Value::Unsigned(2)));
        assert!(!object.contains("é"));
    }

    #[test]
    fn a_late_duplicate_among_many_is_seen() {
        let mut many = members(200);
        many.pop();
        many.extend_from_slice(b",\"m7\":0}");
        assert!(check(&many).is_err());
    }

    #[test]
    fn numbers_keep_their_kind() {
        let object = parse(br#"{"a":1,"b":-1,"c":1.5,"d":18446744073709551615}"#).unwrap();
        assert_eq!(object.get("a"), Some(&Value::Unsigned(1)));
        assert_eq!(object.get("b"), Some(&Value::Signed(-1)));
        assert_eq!(object.get("c"), Some(&Value::Float(1.5)));
        assert_eq!(object.get("d"), Some(&Value::Unsigned(u64::MAX)));
        assert_eq!(number::<serde_json::Error>("1.5").unwrap(), Value::Float(1.5));
        assert!(number::<serde_json::Error>("1e400").is_err());
    }

    #[cfg(feature = "remote")]
    #[test]
    fn members_that_are_kept_are_the_same() {
        let text = br#"{"a":[1,-2,0.5,"x",null,true,{"b":"\u0041"}],"c":18446744073709551615}"#;
        let object = parse(text).unwrap();
        assert_eq!(object.clone().into_owned(), object);
        assert_eq!(parse(&object.to_json()).unwrap(), object);
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let object = parse(br#"{"a":"plain","b":"\u0041"}"#).unwrap();
        assert!(matches!(object.get("a"), Some(Value::String(Cow::Borrowed("plain")))));
        assert!(matches!(object.get("b"), Some(Value::String(Cow::Owned(text))) if text == "A"));
    }
}
