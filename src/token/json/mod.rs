//! Strict parsing of JSON from the network.
//!
//! RFC 7515 §4 and RFC 7519 §4 let a parser refuse duplicate member names or use the last one. This crate
//! refuses them at every depth, so that two parsers in one program cannot read the same token differently. The
//! nesting depth is limited while parsing. Only the size of the document limits the number of members, so the
//! caller must limit the size.

mod name;
#[cfg(test)]
mod oracle;
mod pointer;
mod shallow;
mod strict;
#[cfg(test)]
mod tests;
mod typed;
mod value;

use serde::de::DeserializeSeed as _;

use strict::{Budget, Strict};

pub(crate) use pointer::{Found, JsonPointer};
pub(crate) use shallow::{Members, members};
pub(crate) use strict::{Fault, MAX_DEPTH};
pub(crate) use value::{Object, Value};

/// Parses `bytes` as one JSON object within the limits. Refuses duplicate member names and anything
/// after the object.
pub(crate) fn parse(bytes: &[u8]) -> Result<Object<'_>, Fault> {
    // Check the whole text once. This is cheaper than checking each string.
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::Form)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let budget = Budget::new(MAX_DEPTH);
    let value = Strict(&budget).deserialize(&mut deserializer);
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Fault::Form),
        Err(_) => Err(budget.fault().unwrap_or_else(|| surrogate_or_form(text))),
    }
}

/// Parses `bytes` as one JSON value of any type, of at most this depth. Refuses duplicate member names and
/// anything after the value.
pub(crate) fn parse_value(bytes: &[u8], depth: u32) -> Result<Value<'_>, Fault> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let budget = Budget::new(depth);
    let value = Strict(&budget).deserialize(&mut deserializer);
    value
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|_| budget.fault().unwrap_or(Fault::Form))
}

/// Distinguishes a lone surrogate from other faults of form. The difference matters only for the log: the
/// document is refused in both cases.
#[cold]
fn surrogate_or_form(text: &str) -> Fault {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let escape = rest.get(at..).unwrap_or_default();
        let low = escape.get(6..).and_then(escaped_unit);
        let length = match (escaped_unit(escape), low) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => return Fault::Surrogate,
            (Some(_), _) => 6,
            // Another escape. Skip both characters, so that the second of two backslashes does not
            // begin an escape.
            (None, _) => 2,
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    Fault::Form
}

/// The code unit of an escape `\uXXXX` at the start of `text`.
fn escaped_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit: u16, digit| {
        Some(unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?)
    })
}
