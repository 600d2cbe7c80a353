//! One strict reading of JSON from the network.
//!
//! RFC 7515 §4 and RFC 7519 §4 let a parser refuse duplicate names or take the last. This crate
//! refuses, at every depth, so that two parsers of one program can never read one token in two
//! ways. Depth and the number of members are bounded before anything is kept.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Nesting of a token's JSON. Real tokens nest 4 deep (Keycloak's `resource_access`).
pub(crate) const MAX_DEPTH: u32 = 32;

/// Members and array elements of one document, all depths together. Real tokens have 15 to 60.
pub(crate) const MAX_MEMBERS: u32 = 1_000;

/// Up to here a list is compared name by name, which for a token's dozen is cheaper than hashing.
const LINEAR_NAMES: usize = 24;

/// Reads `bytes` as one JSON object without duplicate names, within the limits, and nothing after it.
pub(crate) fn check(bytes: &[u8]) -> Result<(), serde_json::Error> {
    read(bytes, |deserializer, budget| deserializer.deserialize_map(ObjectVisitor(budget)))
}

/// Runs `parse` over `bytes` with a fresh budget and refuses what follows the document.
pub(crate) fn read<'de, T>(
    bytes: &'de [u8],
    parse: impl FnOnce(
        &mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>,
        &Budget,
    ) -> Result<T, serde_json::Error>,
) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let budget = Budget::new();
    let value = parse(&mut deserializer, &budget)?;
    deserializer.end()?;
    Ok(value)
}

/// What is left of the limits while one document is read.
pub(crate) struct Budget {
    depth: Cell<u32>,
    members: Cell<u32>,
}

impl Budget {
    fn new() -> Self {
        Self { depth: Cell::new(MAX_DEPTH), members: Cell::new(MAX_MEMBERS) }
    }

    pub(crate) fn enter<E: serde::de::Error>(&self) -> Result<(), E> {
        let depth = self.depth.get().checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        self.depth.set(depth);
        Ok(())
    }

    pub(crate) fn leave(&self) {
        self.depth.set(self.depth.get() + 1);
    }

    pub(crate) fn member<E: serde::de::Error>(&self) -> Result<(), E> {
        let members =
            self.members.get().checked_sub(1).ok_or_else(|| E::custom("too many members"))?;
        self.members.set(members);
        Ok(())
    }
}

/// The names of one object, so that a second of the same is seen.
#[derive(Default)]
pub(crate) struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { few: Vec::with_capacity(capacity), many: HashSet::new() }
    }

    pub(crate) fn insert<E: serde::de::Error>(&mut self, name: Cow<'de, str>) -> Result<(), E> {
        let duplicate = if self.few.len() < LINEAR_NAMES && self.many.is_empty() {
            let seen = self.few.contains(&name);
            self.few.push(name);
            seen
        } else {
            self.many.extend(self.few.drain(..));
            !self.many.insert(name)
        };
        if duplicate { Err(E::custom("duplicate member name")) } else { Ok(()) }
    }
}

/// A member name: borrowed where the text has no escape.
pub(crate) struct Name<'de>(pub(crate) Cow<'de, str>);

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

/// Any value, read for its form only.
pub(crate) struct Checked<'b>(pub(crate) &'b Budget);

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.enter()?;
        while seq.next_element_seed(Checked(self.0))?.is_some() {
            self.0.member()?;
        }
        self.0.leave();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        ObjectVisitor(self.0).visit_map(map)
    }
}

struct ObjectVisitor<'b>(&'b Budget);

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.enter()?;
        let mut names = Names::default();
        while let Some(Name(name)) = map.next_key()? {
            self.0.member()?;
            names.insert::<A::Error>(name)?;
            map.next_value_seed(Checked(self.0))?;
        }
        self.0.leave();
        Ok(())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Err(E::custom("not an object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_late_duplicate_among_many_is_seen() {
        let mut many = members(200);
        many.pop();
        many.extend_from_slice(b",\"m7\":0}");
        assert!(check(&many).is_err());
    }
}
