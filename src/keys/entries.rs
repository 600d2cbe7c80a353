//! A key set's text, taken apart: one raw value per key, so that what is wrong inside one entry costs
//! no other.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::keys::set::KeySetFault;

/// Entries of one set. Real sets have 1 to 20, Entra ID's common one about 30.
pub(crate) const MAX_KEYS: usize = 100;

/// The entries of the one array `keys`, unread (RFC 7517 §5). Other members are skipped, whatever
/// they hold.
///
/// # Errors
/// When the document is no JSON object with one array `keys` of at most 100 entries.
pub(crate) fn entries(document: &[u8]) -> Result<Vec<&str>, KeySetFault> {
    let text = std::str::from_utf8(document).map_err(|_| NO_OBJECT)?;
    let Document(keys) = serde_json::from_str(text).map_err(|_| NO_OBJECT)?;
    let array = keys.map(RawValue::get).filter(|text| text.starts_with('['));
    let array = array.ok_or(KeySetFault("no array `keys`".into()))?;
    // Its form was checked as a part of the document, so what fails here is the count.
    let Array(entries) =
        serde_json::from_str(array).map_err(|_| KeySetFault("more than 100 keys".into()))?;
    Ok(entries)
}

const NO_OBJECT: KeySetFault =
    KeySetFault(Cow::Borrowed("not one JSON object with one member `keys`"));

struct Document<'a>(Option<&'a RawValue>);

impl<'de> Deserialize<'de> for Document<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Document<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys = None;
                while let Some(name) = map.next_key::<Cow<'_, str>>()? {
                    if name != "keys" {
                        map.next_value::<IgnoredAny>()?;
                    } else if keys.replace(map.next_value()?).is_some() {
                        // Two readers could take one each.
                        return Err(A::Error::custom("duplicate member name"));
                    }
                }
                Ok(Document(keys))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

struct Array<'a>(Vec<&'a str>);

impl<'de> Deserialize<'de> for Array<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Array<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element::<&'de RawValue>()? {
                    if entries.len() == MAX_KEYS {
                        return Err(A::Error::custom("too many"));
                    }
                    entries.push(entry.get());
                }
                Ok(Array(entries))
            }
        }
        deserializer.deserialize_seq(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        for (name, document, expected) in [
            ("none", r#"{"keys":[]}"#, Some(&[][..])),
            ("kept as they are", r#"{"keys":[ {"a":1} , 2]}"#, Some(&[r#"{"a":1}"#, "2"])),
            ("the name by an escape", r#"{"\u006beys":[1]}"#, Some(&["1"])),
            (
                "a duplicate inside an entry",
                r#"{"keys":[{"a":1,"a":2}]}"#,
                Some(&[r#"{"a":1,"a":2}"#]),
            ),
            ("a number out of range in one", r#"{"keys":[1e400]}"#, Some(&["1e400"])),
            ("members beside it", r#"{"a":{"keys":[2]},"keys":[1],"a":1e400}"#, Some(&["1"])),
            ("keys twice", r#"{"keys":[1],"keys":[1]}"#, None),
            ("keys twice, once by an escape", r#"{"keys":[1],"\u006beys":[1]}"#, None),
            ("an object", r#"{"keys":{}}"#, None),
            ("null", r#"{"keys":null}"#, None),
            ("a string", r#"{"keys":"[]"}"#, None),
            ("missing", "{}", None),
            ("an array", "[]", None),
            ("something behind it", r#"{"keys":[]} {}"#, None),
            ("an entry that is no JSON", r#"{"keys":[{"a":}]}"#, None),
            ("cut off", r#"{"keys":[1"#, None),
            ("a byte order mark", "\u{feff}{\"keys\":[]}", None),
            ("empty", "", None),
        ] {
            assert_eq!(entries(document.as_bytes()).ok().as_deref(), expected, "{name}");
        }
        assert!(entries(b"{\"keys\":[],\"a\":\"\xff\"}").is_err(), "not UTF-8");
    }

    #[test]
    fn nesting_of_any_depth_is_read_without_recursion() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let document = format!(r#"{{"x":{deep},"keys":[{deep},1]}}"#);
        assert_eq!(entries(document.as_bytes()).unwrap(), [deep.as_str(), "1"]);
    }

    #[test]
    fn keys_are_counted_on_both_sides_of_the_edge() {
        let document = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec!["{}"; count].join(","));
        assert_eq!(entries(document(MAX_KEYS).as_bytes()).unwrap().len(), MAX_KEYS);
        assert!(entries(document(MAX_KEYS + 1).as_bytes()).is_err());
    }
}
