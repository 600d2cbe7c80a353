//! JSON values, as produced by the strict parser.

use std::borrow::Cow;

/// A JSON value. A string is borrowed if it has no escapes in the document.
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

    /// The value as a double, if it is a number. Integers beyond 2^53 may be rounded.
    pub(crate) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(*number as f64),
            Self::Signed(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The same value without borrows, for storage.
    #[cfg(feature = "http-client")]
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

    /// The same value as a `serde_json::Value`.
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

/// The members of a JSON object. Each name occurs once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object<'a> {
    pub(super) members: Vec<(Cow<'a, str>, Value<'a>)>,
    /// The marks of all names. Marks of removed names may remain.
    marks: u64,
}

impl<'a> Object<'a> {
    pub(super) fn new(members: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        let marks = members.iter().fold(0, |marks, (name, _)| marks | mark(name));
        Self { members, marks }
    }

    /// Inlined, so that the mark of a constant name is computed at compile time. For most names
    /// that are looked up, the mark alone shows that they are absent.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        if self.marks & mark(name) == 0 {
            return None;
        }
        self.find(name)
    }

    fn find(&self, name: &str) -> Option<&Value<'a>> {
        self.members.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// The same members without the member `name`.
    pub(crate) fn without(&self, name: &str) -> Self {
        let others = self.members.iter().filter(|(own, _)| own != name);
        Self { members: others.cloned().collect(), marks: self.marks }
    }

    /// Keeps the members for which `keep` returns `true`. `keep` may change them.
    #[cfg(feature = "http-client")]
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value<'a>) -> bool) {
        self.members.retain_mut(|(name, value)| keep(name, value));
    }

    /// Removes a member and returns it.
    #[cfg(feature = "http-client")]
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let at = self.members.iter().position(|(own, _)| own == name)?;
        Some(self.members.swap_remove(at).1)
    }

    /// The same members without borrows, for storage.
    #[cfg(feature = "http-client")]
    pub(crate) fn into_owned(self) -> Object<'static> {
        let owned = |(name, value): (Cow<'a, str>, Value<'a>)| {
            (Cow::Owned(name.into_owned()), value.into_owned())
        };
        Object { members: self.members.into_iter().map(owned).collect(), marks: self.marks }
    }
}

/// One of 64 bits, the mark of a name. If the set of marks of an object lacks the mark of a name,
/// the object does not have this name. Most names that are looked up in a token are absent.
#[inline]
fn mark(name: &str) -> u64 {
    let first = name.as_bytes().first().copied().unwrap_or_default();
    let last = name.as_bytes().last().copied().unwrap_or_default();
    let mixed = usize::from(first) + 3 * usize::from(last) + 7 * name.len();
    1 << (mixed % 64)
}
