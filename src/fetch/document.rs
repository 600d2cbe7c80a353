//! What all kinds of fetched documents have in common: size limits, and the raw text of members.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The maximum size in bytes of a metadata document, or of a key set from any source. Real
/// documents have 1 to 20 KiB. A set of 250 keys with their certificates has 400 KiB.
pub(crate) const MAX_DOCUMENT: usize = 512 * 1024;

#[cfg(feature = "http-client")]
/// The maximum size in bytes of an answer to a form, such as an introspection answer. Real answers
/// have 1 KiB. The limit is smaller than [`MAX_DOCUMENT`], because documents are fetched rarely,
/// but a client can cause introspection at any time.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// The document without a byte order mark, which RFC 8259 §8.1 allows a reader to ignore.
pub(crate) fn without_mark(document: &[u8]) -> &[u8] {
    document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document)
}

/// The raw text of some members of a JSON object. The content, size and number of the other members
/// never make the document invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawMembers<'a, const N: usize> {
    /// The members in the order of the names that were searched for.
    pub(crate) texts: [Option<&'a str>; N],
    /// Whether one of these members occurs more than once, so that two readers could use different
    /// values.
    pub(crate) repeated: bool,
}

/// Reads the members with these names. Returns `None` if `text` is not one JSON object.
pub(crate) fn raw_members<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> Option<RawMembers<'a, N>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = Names(names).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok().map(|()| members)
}

struct Names<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Names<'_, N> {
    type Value = RawMembers<'de, N>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Names<'_, N> {
    type Value = RawMembers<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = RawMembers { texts: [None; N], repeated: false };
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            let Some(at) = self.0.iter().position(|own| *own == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let text = map.next_value::<&'de RawValue>()?.get();
            let place = members.texts.get_mut(at);
            let place = place.ok_or_else(|| A::Error::custom("no such member"))?;
            members.repeated |= place.replace(text).is_some();
        }
        Ok(members)
    }
}
