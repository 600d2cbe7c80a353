//! A read value becomes a type of the API's own.
//!
//! From the very value that was validated, and not from its text again: what a handler gets can't
//! differ from what was judged, and nothing is read twice.

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::token::json::{Object, Value};

impl<'a> Object<'a> {
    /// The object as another type.
    pub(crate) fn to<'de, T: Deserialize<'de>>(&'de self) -> Result<T, Error> {
        T::deserialize(self.node())
    }

    /// The object as serde reads it.
    pub(crate) fn node<'de>(&'de self) -> Node<'de> {
        Node::Object(self)
    }
}

/// A value as serde reads it.
#[derive(Clone, Copy)]
pub(crate) enum Node<'de> {
    Object(&'de Object<'de>),
    Value(&'de Value<'de>),
}

impl<'de> From<&'de Value<'_>> for Node<'de> {
    fn from(value: &'de Value<'_>) -> Self {
        match value {
            Value::Object(object) => Self::Object(object),
            value => Self::Value(value),
        }
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Object(object) | Self::Value(Value::Object(object)) => {
                let members = object.members.iter();
                visitor.visit_map(MapDeserializer::new(
                    members.map(|(name, value)| (Name(name), Node::from(value))),
                ))
            }
            Self::Value(Value::Null) => visitor.visit_unit(),
            Self::Value(Value::Bool(value)) => visitor.visit_bool(*value),
            Self::Value(Value::Unsigned(number)) => visitor.visit_u64(*number),
            Self::Value(Value::Signed(number)) => visitor.visit_i64(*number),
            Self::Value(Value::Float(number)) => visitor.visit_f64(*number),
            Self::Value(Value::String(text)) => visitor.visit_borrowed_str(text),
            Self::Value(Value::Array(values)) => {
                let mut values = SeqDeserializer::new(values.iter().map(Node::from));
                let seen = visitor.visit_seq(&mut values)?;
                values.end()?;
                Ok(seen)
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Value(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// Externally tagged: a string, or an object whose one member names the variant.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Value(Value::String(name)) => visitor.visit_enum(Variant { name, value: None }),
            Self::Object(object) | Self::Value(Value::Object(object)) => {
                match object.members.as_slice() {
                    [(name, value)] => visitor.visit_enum(Variant { name, value: Some(value) }),
                    _ => Err(Error::invalid_value(Unexpected::Map, &"an object with one member")),
                }
            }
            Self::Value(_) => Err(Error::custom("neither a string nor an object with one member")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A member's name: text, and a number or a boolean where a map has such keys.
struct Name<'de>(&'de str);

macro_rules! parsed {
    ($($method:ident $visit:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Name<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(Variant { name: self.0, value: None })
    }

    parsed! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
        deserialize_i64 visit_i64 deserialize_i128 visit_i128
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
    }

    forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Name<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A variant of an enum, with its content if it has one.
struct Variant<'de> {
    name: &'de str,
    value: Option<&'de Value<'de>>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Error> {
        Ok((seed.deserialize(Name(self.name))?, self))
    }
}

impl<'de> Variant<'de> {
    fn content(self) -> Result<&'de Value<'de>, Error> {
        self.value
            .ok_or_else(|| Error::invalid_type(Unexpected::UnitVariant, &"a variant with content"))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            None | Some(Value::Null) => Ok(()),
            Some(_) => {
                Err(Error::invalid_type(Unexpected::NewtypeVariant, &"a variant without content"))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Node::from(self.content()?))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        Node::from(self.content()?).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        Node::from(self.content()?).deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use crate::token::json;

    #[derive(serde::Deserialize, Debug)]
    #[allow(dead_code, reason = "compared by `Debug`")]
    struct Nested {
        name: String,
        level: Option<u8>,
        #[serde(default)]
        tags: Vec<String>,
        #[serde(flatten)]
        rest: BTreeMap<String, serde_json::Value>,
    }

    #[derive(serde::Deserialize, Debug)]
    #[allow(dead_code, reason = "compared by `Debug`")]
    enum Kind {
        Unit,
        Newtype(u32),
        Tuple(u8, String),
        Struct { a: bool },
    }

    #[derive(serde::Deserialize, Debug)]
    #[serde(untagged)]
    #[allow(dead_code, reason = "compared by `Debug`")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }

    #[derive(serde::Deserialize, Debug)]
    #[allow(dead_code, reason = "compared by `Debug`")]
    struct Wrapped(f64);

    #[derive(serde::Deserialize, Debug)]
    struct Empty;

    /// Reads member `x` as `T` here and by `serde_json`; they agree, errors included.
    fn agree<T: DeserializeOwned + Debug>(good: &[&str], bad: &[&str]) {
        #[derive(serde::Deserialize, Debug)]
        #[allow(dead_code, reason = "compared by `Debug`")]
        struct Holder<T> {
            x: T,
        }
        for (text, is_good) in good.iter().map(|g| (g, true)).chain(bad.iter().map(|b| (b, false)))
        {
            let text = format!("{{\"x\":{text}}}");
            let object = json::parse(text.as_bytes()).unwrap();
            let ours = object.to::<Holder<T>>().ok().map(|held| format!("{held:?}"));
            let theirs = serde_json::from_str::<Holder<T>>(&text).ok();
            assert_eq!(ours, theirs.map(|held| format!("{held:?}")), "{text}");
            assert_eq!(ours.is_some(), is_good, "{text}");
        }
    }

    #[test]
    fn types_are_read_as_serde_json_reads_them() {
        agree::<u8>(&["0", "255"], &["256", "-1", "1.0", "\"1\"", "null", "[]", "{}"]);
        agree::<i128>(&["-5", "18446744073709551615"], &["1.5"]);
        agree::<f64>(&["1", "-1", "1.5", "1e300"], &["\"1\"", "null"]);
        agree::<char>(&["\"é\""], &["\"ab\"", "1"]);
        agree::<()>(&["null"], &["0"]);
        agree::<Empty>(&["null"], &["1"]);
        agree::<Wrapped>(&["1.5", "2"], &["\"x\""]);
        agree::<Option<String>>(&["null", "\"a\\n\""], &["1"]);
        agree::<(u8, String)>(&["[1,\"a\"]"], &["[1]", "[1,\"a\",2]", "{}"]);
        agree::<serde_json::Value>(&["{\"a\":[1,-1,0.5,null,true,\"s\"]}"], &[]);
        agree::<Nested>(
            &[
                r#"{"name":"n","level":1,"tags":["a"],"other":{"deep":[1]}}"#,
                r#"{"name":"n","level":null}"#,
            ],
            &[r#"{"level":1}"#, r#"{"name":"n","level":"1"}"#, "[]"],
        );
        agree::<Kind>(
            &[
                "\"Unit\"",
                r#"{"Unit":null}"#,
                r#"{"Newtype":1}"#,
                r#"{"Tuple":[1,"a"]}"#,
                r#"{"Struct":{"a":true}}"#,
            ],
            &[
                "\"Newtype\"",
                "\"Other\"",
                "{}",
                r#"{"Unit":1}"#,
                r#"{"Newtype":1,"Unit":null}"#,
                r#"{"Tuple":[1]}"#,
                "1",
            ],
        );
        agree::<OneOrMany>(&["\"a\"", "[\"a\",\"b\"]"], &["1", "[1]"]);
        agree::<BTreeMap<u64, bool>>(&[r#"{"1":true,"2":false}"#], &[r#"{"a":true}"#]);
        agree::<BTreeMap<i8, u8>>(&[r#"{"-1":1}"#], &[r#"{"200":1}"#]);
        agree::<BTreeMap<bool, u8>>(&[r#"{"true":1}"#], &[r#"{"yes":1}"#]);
        agree::<BTreeMap<String, Kind>>(&[r#"{"k":"Unit"}"#], &[r#"{"k":"unit"}"#]);
    }
}
