//! A JSON pointer (RFC 6901).

use std::fmt;

use crate::token::json::value::{Object, Value};

/// A pointer to a value inside the claims: `/realm_access/roles`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JsonPointer {
    text: Box<str>,
    names: Box<[Box<str>]>,
}

impl JsonPointer {
    /// Parses a pointer that is not empty: the empty pointer is the whole document.
    ///
    /// # Errors
    /// The problem, as a fixed text.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a JSON pointer begins with `/` (RFC 6901 section 3)");
        };
        let names = rest.split('/').map(unescaped).collect::<Option<_>>();
        let names = names.ok_or("in a JSON pointer, `~` is followed by `0` or `1` (RFC 6901)")?;
        Ok(Self { text: text.into(), names })
    }

    /// The pointer with these names, from the outermost member to the innermost. The names are not
    /// escaped.
    pub(crate) fn of<const N: usize>(names: [&str; N]) -> Self {
        // RFC 6901 §4: `~` first, so that the `~` of `~1` is not escaped again.
        let escaped = names.map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
        Self { text: escaped.concat().into(), names: names.map(Into::into).into() }
    }

    /// The value that the pointer names.
    pub(crate) fn find<'v, 'a>(&self, claims: &'v Object<'a>) -> Found<'v, 'a> {
        let Some((first, rest)) = self.names.split_first() else { return Found::Undecided };
        let Some(mut value) = claims.get(first) else { return Found::Absent };
        for name in rest {
            let next = match value {
                Value::Object(object) => object.get(name),
                Value::Array(values) => match index(name) {
                    Some(index) => values.get(index),
                    // The name is no index, but the token has an array here.
                    None => return Found::Undecided,
                },
                Value::Null => None,
                _ => return Found::Undecided,
            };
            match next {
                Some(next) => value = next,
                None => return Found::Absent,
            }
        }
        Found::Value(value)
    }

    /// The name of the top-level claim that contains the target of the pointer.
    pub(crate) fn claim(&self) -> &str {
        self.names.first().map_or("", |name| name)
    }
}

/// The result of looking up a pointer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Found<'v, 'a> {
    Value(&'v Value<'a>),
    Absent,
    /// A value on the path of the pointer has another type than expected, so the token does not show
    /// whether the target exists.
    Undecided,
}

impl<'v, 'a> Found<'v, 'a> {
    /// A claim at the top level.
    pub(crate) fn of(claim: Option<&'v Value<'a>>) -> Self {
        claim.map_or(Self::Absent, Self::Value)
    }
}

/// RFC 6901 §4: `~1` is `/`, and `~0` is `~`.
fn unescaped(name: &str) -> Option<Box<str>> {
    let mut parts = name.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first()? {
            b'0' => ('~', part.get(1..)?),
            b'1' => ('/', part.get(1..)?),
            _ => return None,
        };
        text.push(escaped);
        text.push_str(rest);
    }
    Some(text.into())
}

/// RFC 6901 §4: digits without a leading zero.
fn index(name: &str) -> Option<usize> {
    let is_number =
        name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    name.parse().ok().filter(|_| is_number)
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::json;

    #[test]
    fn pointers() {
        let claims =
            br#"{"a":{"b":["x","y"],"":1,"c/d":2,"m~n":3,"01":4},"":5,"http://x/y":6,"~1":7}"#;
        let claims = json::parse(claims).unwrap();
        for (name, pointer, found) in [
            ("a member", "/a/b/1", Some(r#""y""#)),
            ("the first element", "/a/b/0", Some(r#""x""#)),
            ("beyond the end", "/a/b/2", None),
            ("the element after the last", "/a/b/-", Some("undecided")),
            ("an index with a leading zero", "/a/b/01", Some("undecided")),
            ("an index with a sign", "/a/b/+1", Some("undecided")),
            ("a number as a name", "/a/01", Some("4")),
            ("an empty name inside", "/a/", Some("1")),
            ("an empty name", "/", Some("5")),
            ("a slash", "/a/c~1d", Some("2")),
            ("a tilde", "/a/m~0n", Some("3")),
            ("a URL", "/http:~1~1x~1y", Some("6")),
            ("an escaped tilde before a digit", "/~01", Some("7")),
            ("absent", "/x", None),
            ("inside a number", "/a/01/x", Some("undecided")),
            ("inside a string", "/a/b/0/x", Some("undecided")),
            ("a member of an array", "/a/b/x", Some("undecided")),
        ] {
            let value = JsonPointer::parse(pointer).unwrap();
            let value = match value.find(&claims) {
                Found::Value(value) => Some(value.to_owned_value().to_string()),
                Found::Absent => None,
                Found::Undecided => Some("undecided".to_owned()),
            };
            assert_eq!(value.as_deref(), found, "{name}");
        }
        for names in [["a", "b"], ["a", "c/d"], ["a", "m~n"], ["a", ""], ["~1", "/~0"]] {
            let made = JsonPointer::of(names);
            assert!(JsonPointer::parse(&made.text).is_ok_and(|parsed| parsed == made), "{made}");
        }
        assert_eq!(JsonPointer::of(["a/b", "~1"]).to_string(), "/a~1b/~01");
        for (name, pointer) in [
            ("empty", ""),
            ("no slash", "a/b"),
            ("a fragment", "#/a"),
            ("a tilde alone", "/a~"),
            ("a tilde before another digit", "/a~2b"),
            ("a tilde before a slash", "/a~/b"),
        ] {
            assert!(JsonPointer::parse(pointer).is_err(), "{name}");
        }
    }
}
