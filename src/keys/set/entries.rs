//! Splits the text of a key set into one raw value for each key, so that an error in one entry does
//! not affect the others.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::fetch::{raw_members, without_mark};

/// Maximum number of entries that are read. Real sets have 1 to 20 keys. The common set of Entra ID
/// has about 30, and the set of a server that signs for many tenants has about 100.
pub(crate) const MAX_KEYS: usize = 250;

/// Why a document is not a usable key set. The text is written by this crate; kids in it are
/// escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySetFault(pub(crate) Cow<'static, str>);

/// The raw entries of a set.
#[derive(Debug, PartialEq)]
pub(crate) struct Entries<'a> {
    /// The first [`MAX_KEYS`] entries.
    pub(crate) texts: Vec<&'a str>,
    /// Whether the document has more entries.
    pub(crate) has_more: bool,
}

/// The raw entries of the only array `keys` (RFC 7517 §5). Other members are skipped without a
/// check of their content.
///
/// # Errors
/// Fails if the document is not a JSON object with exactly one array `keys`.
pub(crate) fn entries(document: &[u8]) -> Result<Entries<'_>, KeySetFault> {
    let text = std::str::from_utf8(without_mark(document)).map_err(|_| NO_OBJECT)?;
    // If there were two members `keys`, another reader could use the other one.
    let members = raw_members(text, &["keys"]).filter(|members| !members.repeated);
    let [keys] = members.ok_or(NO_OBJECT)?.texts;
    let array = keys.filter(|text| text.starts_with('['));
    let array = array.ok_or(KeySetFault("no array `keys`".into()))?;
    // The syntax was checked together with the document.
    let Array(entries) = serde_json::from_str(array).map_err(|_| NO_OBJECT)?;
    Ok(entries)
}

const NO_OBJECT: KeySetFault =
    KeySetFault(Cow::Borrowed("not one JSON object with one member `keys`"));

struct Array<'a>(Entries<'a>);

impl<'de> Deserialize<'de> for Array<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Array<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while texts.len() < MAX_KEYS {
                    let Some(entry) = seq.next_element::<&'de RawValue>()? else { break };
                    texts.push(entry.get());
                }
                let mut has_more = false;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    has_more = true;
                }
                Ok(Array(Entries { texts, has_more }))
            }
        }
        deserializer.deserialize_seq(Items)
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
            ("a byte order mark", "\u{feff}{\"keys\":[1]}", Some(&["1"])),
            ("two byte order marks", "\u{feff}\u{feff}{\"keys\":[]}", None),
            ("a byte order mark behind a blank", " \u{feff}{\"keys\":[]}", None),
            ("a byte order mark alone", "\u{feff}", None),
            ("empty", "", None),
        ] {
            let texts = entries(document.as_bytes()).ok().map(|entries| entries.texts);
            assert_eq!(texts.as_deref(), expected, "{name}");
        }
        assert!(entries(b"{\"keys\":[],\"a\":\"\xff\"}").is_err(), "not UTF-8");
        assert!(entries(b"\xff\xfe{\0}\0").is_err(), "the mark of UTF-16");
    }

    #[test]
    fn nesting_of_any_depth_is_read_without_recursion() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let document = format!(r#"{{"x":{deep},"keys":[{deep},1]}}"#);
        assert_eq!(entries(document.as_bytes()).unwrap().texts, [deep.as_str(), "1"]);
    }

    #[test]
    fn keys_are_counted_on_both_sides_of_the_edge() {
        let document = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec!["{}"; count].join(","));
        for (count, has_more) in [(MAX_KEYS, false), (MAX_KEYS + 1, true), (10_000, true)] {
            let document = document(count);
            let read = entries(document.as_bytes()).unwrap();
            assert_eq!((read.texts.len(), read.has_more), (MAX_KEYS, has_more), "{count}");
        }
    }
}
