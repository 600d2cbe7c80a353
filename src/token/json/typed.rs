//! Deserializes a parsed value into a user-defined type.
//!
//! The input is the value that was validated, not its text. So a handler cannot get anything that
//! differs from what was checked, and nothing is parsed twice.

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer,
    Unexpected, VariantAccess, Visitor,
};

use crate::token::json::name::Name;
use crate::token::json::value::{Object, Value};

impl<'a> Object<'a> {
    /// Deserializes the object into another type.
    pub(crate) fn to<'de, T: Deserialize<'de>>(&'de self) -> Result<T, Error> {
        T::deserialize(self.node())
    }

    /// The object as a serde deserializer.
    pub(crate) fn node<'de>(&'de self) -> Node<'de> {
        Node::Whole(self)
    }
}

/// A value as a serde deserializer.
///
/// A type requests a kind of value. The type gets a value of that kind or an error, as with
/// `serde_json`. To pass any other kind of value would be wrong. For example, the name of a variant
/// or a field is text, but serde's visitor for names also accepts a number: the position in the
/// list of names.
#[derive(Clone, Copy)]
pub(crate) enum Node<'de> {
    /// The whole document. A type without content ignores it. For example, an API that reads no
    /// claims uses `()`.
    Whole(&'de Object<'de>),
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

impl<'de> Node<'de> {
    fn is_bool(self) -> bool {
        matches!(self, Self::Value(Value::Bool(_)))
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Value(Value::Unsigned(_) | Value::Signed(_) | Value::Float(_)))
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Value(Value::String(_)))
    }

    fn is_array(self) -> bool {
        matches!(self, Self::Value(Value::Array(_)))
    }

    fn is_object(self) -> bool {
        matches!(self, Self::Whole(_) | Self::Object(_) | Self::Value(Value::Object(_)))
    }

    /// Passes the value to the visitor if it has the requested kind.
    fn only<V: Visitor<'de>>(self, is_so: bool, visitor: V) -> Result<V::Value, Error> {
        if is_so { self.deserialize_any(visitor) } else { Err(self.unexpected(&visitor)) }
    }

    fn unexpected(self, expected: &dyn Expected) -> Error {
        let found = match self {
            Self::Whole(_) | Self::Object(_) | Self::Value(Value::Object(_)) => Unexpected::Map,
            Self::Value(Value::Null) => Unexpected::Unit,
            Self::Value(Value::Bool(value)) => Unexpected::Bool(*value),
            Self::Value(Value::Unsigned(number)) => Unexpected::Unsigned(*number),
            Self::Value(Value::Signed(number)) => Unexpected::Signed(*number),
            Self::Value(Value::Float(number)) => Unexpected::Float(*number),
            Self::Value(Value::String(text)) => Unexpected::Str(text),
            Self::Value(Value::Array(_)) => Unexpected::Seq,
        };
        Error::invalid_type(found, expected)
    }
}

/// The methods that request one kind of value.
macro_rules! only {
    ($($is:ident: $($method:ident)*;)*) => {
        $($(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.only(self.$is(), visitor)
        })*)*
    };
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Whole(object) | Self::Object(object) | Self::Value(Value::Object(object)) => {
                let members = object.members.iter();
                let mut members = MapDeserializer::new(
                    members.map(|(name, value)| (Name(name), Node::from(value))),
                );
                let seen = visitor.visit_map(&mut members)?;
                members.end()?;
                Ok(seen)
            }
            Self::Value(Value::Null) => visitor.visit_unit(),
            Self::Value(Value::Bool(value)) => visitor.visit_bool(*value),
            Self::Value(Value::Unsigned(number)) => match i64::try_from(*number) {
                Ok(number) if is_buffer::<V::Value>() => visitor.visit_i64(number),
                _ => visitor.visit_u64(*number),
            },
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

    only! {
        is_bool: deserialize_bool;
        is_number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f64;
        is_text: deserialize_char deserialize_str deserialize_string deserialize_identifier;
        is_array: deserialize_seq;
        is_object: deserialize_map;
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Value(Value::Unsigned(number)) => visitor.visit_i128((*number).into()),
            Self::Value(Value::Signed(number)) => visitor.visit_i128((*number).into()),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Value(Value::Unsigned(number)) => visitor.visit_u128((*number).into()),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // A number out of range would become infinity, which JSON cannot express.
        let fits = !matches!(self, Self::Value(Value::Float(n)) if (*n as f32).is_infinite());
        self.only(fits && self.is_number(), visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Value(Value::String(text)) => visitor.visit_borrowed_bytes(text.as_bytes()),
            _ => self.only(self.is_array(), visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Value(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Whole(_) | Self::Value(Value::Null) => visitor.visit_unit(),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.only(self.is_object() || self.is_array(), visitor)
    }

    /// Externally tagged: a string, or an object with exactly one member that names the variant.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Value(Value::String(name)) => visitor.visit_enum(Variant { name, value: None }),
            Self::Whole(object) | Self::Object(object) | Self::Value(Value::Object(object)) => {
                match object.members.as_slice() {
                    [(name, value)] => visitor.visit_enum(Variant { name, value: Some(value) }),
                    _ => Err(Error::invalid_value(Unexpected::Map, &"an object with one member")),
                }
            }
            Self::Value(_) => Err(Error::custom("neither a string nor an object with one member")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// Whether serde requests a value for its buffer. For `flatten` and `untagged`, serde first stores
/// a value in a buffer, and later may read the name of a variant from the buffer. In the buffer,
/// serde accepts a `u64` as the position of a variant, but not an `i64`. An `i64` also works for
/// every type of number.
///
/// The type of the buffer is private, so this function can recognize it only by its name. If serde
/// renames the type, values are read as `serde_json` reads them, and a test fails.
fn is_buffer<T>() -> bool {
    std::any::type_name::<T>().contains("::content::Content")
}

impl<'de> IntoDeserializer<'de, Error> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A variant of an enum, with its content if there is any.
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
    fn content(self) -> Result<Node<'de>, Error> {
        self.value
            .map(Node::from)
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
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.content()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.content()?.deserialize_struct("", fields, visitor)
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

    /// Reads the member `x` as `T` with this crate and with `serde_json`. The results must be
    /// equal, including errors.
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
        agree::<f32>(&["1.5", "3e38", "1e-50"], &["1e39", "-1e300"]);
    }

    #[derive(serde::Deserialize, Debug)]
    #[serde(tag = "level")]
    enum Internal {
        Admin,
        Reader,
    }

    #[derive(serde::Deserialize, Debug)]
    #[serde(tag = "level", content = "of")]
    enum Adjacent {
        Admin,
        Reader,
    }

    #[test]
    fn the_name_of_a_variant_is_text() {
        let bad = |level: &str| format!(r#"{{"level":{level}}}"#);
        let bad: Vec<_> =
            ["0", "1", "0.0", "\"admin\"", "\"0\"", "null", "true", "[]", "[\"Admin\"]", "{}"]
                .map(bad)
                .into();
        let bad: Vec<_> = bad.iter().map(String::as_str).collect();
        let good = [r#"{"level":"Admin"}"#, r#"{"level":"Reader"}"#];
        agree::<Internal>(&good, &bad);
        // Serde accepts an object with only the variant's name. It treats the content as null.
        let bad: Vec<_> = bad.into_iter().filter(|bad| !bad.ends_with("{}}")).collect();
        agree::<Adjacent>(&good, &bad);
        agree::<Kind>(&["\"Unit\""], &["0", "[0]", r#"{"0":null}"#]);
    }

    /// `serde_json` accepts the number in this case.
    #[test]
    fn the_name_of_a_variant_is_text_behind_a_buffer_too() {
        #[derive(serde::Deserialize, Debug)]
        #[allow(dead_code, reason = "what is read shows that it was read")]
        struct Flat {
            #[serde(flatten)]
            role: Internal,
        }
        #[derive(serde::Deserialize, Debug)]
        #[allow(dead_code, reason = "what is read shows that it was read")]
        struct Optional {
            #[serde(flatten)]
            role: Option<Internal>,
        }
        #[derive(serde::Deserialize, Debug)]
        #[serde(untagged)]
        #[allow(dead_code, reason = "compared by `Debug`")]
        enum Untagged {
            Role(Internal),
            Of { of: Vec<Internal> },
        }
        fn read<T: DeserializeOwned + Debug>(text: &str) -> Option<String> {
            let object = json::parse(text.as_bytes()).unwrap();
            object.to::<T>().ok().map(|read| format!("{read:?}"))
        }
        for (level, good) in [("\"Admin\"", true), ("0", false), ("1", false), ("0.0", false)] {
            let own = format!(r#"{{"level":{level}}}"#);
            let deep = format!(r#"{{"of":[{own}]}}"#);
            let name = if good { "Admin" } else { "None" };
            assert_eq!(read::<Flat>(&own).is_some(), good, "{own}");
            assert!(read::<Optional>(&own).unwrap().contains(name), "{own}");
            assert_eq!(read::<Untagged>(&own).is_some(), good, "{own}");
            assert_eq!(read::<Untagged>(&deep).is_some(), good, "{deep}");
        }
    }

    #[test]
    fn numbers_behind_a_buffer_are_read_as_serde_json_reads_them() {
        #[derive(serde::Deserialize, Debug)]
        #[allow(dead_code, reason = "compared by `Debug`")]
        struct Numbers {
            a: Option<u8>,
            b: Option<u64>,
            c: Option<i64>,
            d: Option<f64>,
            e: Option<f32>,
            f: Option<serde_json::Value>,
            g: Option<std::num::NonZeroU16>,
        }
        #[derive(serde::Deserialize, Debug)]
        #[allow(dead_code, reason = "compared by `Debug`")]
        struct Flat {
            #[serde(flatten)]
            numbers: Numbers,
        }
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let numbers = ["0", "1", "255", "256", "-1", "65535", "9007199254740993"];
        let wide = ["9223372036854775807", "9223372036854775808", "18446744073709551615"];
        for number in numbers.iter().chain(&wide) {
            for name in names {
                let text = format!(r#"{{"{name}":{number}}}"#);
                let object = json::parse(text.as_bytes()).unwrap();
                let ours = object.to::<Flat>().ok().map(|read| format!("{read:?}"));
                let theirs = serde_json::from_str::<Flat>(&text).ok();
                assert_eq!(ours, theirs.map(|read| format!("{read:?}")), "{text}");
            }
        }
    }

    #[test]
    fn a_key_has_one_spelling() {
        /// Whether the names can be read as keys, each with a number as its value.
        fn reads<K: DeserializeOwned + Ord>(names: &[&str]) -> bool {
            let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":1")).collect();
            let text = format!("{{{}}}", members.join(","));
            let object = json::parse(text.as_bytes()).unwrap();
            let read = object.to::<BTreeMap<K, u64>>();
            read.is_ok_and(|map| {
                assert_eq!(map.len(), names.len(), "{text}");
                true
            })
        }
        #[derive(serde::Deserialize, PartialEq, PartialOrd)]
        struct Float<F>(F);
        impl<F: PartialEq> Eq for Float<F> {}
        #[allow(clippy::derive_ord_xor_partial_ord, reason = "keys are finite")]
        impl<F: PartialOrd> Ord for Float<F> {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.partial_cmp(other).expect("finite")
            }
        }
        assert!(reads::<u32>(&["1", "0", "4294967295"]));
        assert!(reads::<i64>(&["1", "-1", "0"]));
        assert!(reads::<i128>(&["-170141183460469231731687303715884105728"]));
        assert!(reads::<u128>(&["340282366920938463463374607431768211455"]));
        assert!(reads::<bool>(&["true", "false"]));
        assert!(reads::<Option<u8>>(&["1"]));
        assert!(reads::<Float<f64>>(&["1", "0.5", "-2.25", "0", "0.1"]));
        assert!(reads::<Float<f32>>(&["1", "0.5", "-2.25", "0", "0.1"]));
        assert!(reads::<String>(&["1", "+1", "01", "-0"]));
        for name in ["+1", "01", "+0", "-0", "00", "1.0", "1e0", " 1", "1 ", "", "-", "0x1", "١"] {
            for pair in [&[name][..], &["1", name], &[name, "1"]] {
                assert!(!reads::<u8>(pair), "{pair:?}");
                assert!(!reads::<u32>(pair), "{pair:?}");
                assert!(!reads::<u64>(pair), "{pair:?}");
                assert!(!reads::<u128>(pair), "{pair:?}");
                assert!(!reads::<i8>(pair), "{pair:?}");
                assert!(!reads::<i64>(pair), "{pair:?}");
                assert!(!reads::<i128>(pair), "{pair:?}");
                assert!(!reads::<Option<u8>>(pair), "{pair:?}");
                assert!(!reads::<Float<f64>>(pair), "{pair:?}");
                assert!(!reads::<Float<f32>>(pair), "{pair:?}");
            }
        }
        for name in ["True", "TRUE", "1", "0", " true", "yes", ""] {
            assert!(!reads::<bool>(&[name]), "{name}");
        }
        for name in ["NaN", "inf", "-inf", "infinity", "1e2", "1E2", ".5", "0.50", "1."] {
            assert!(!reads::<Float<f64>>(&[name]), "{name}");
        }
        assert!(!reads::<Float<f32>>(&["0.1", "0.10000000149011612"]), "one key of 32 bits");
        assert!(reads::<Float<f64>>(&["0.1", "0.10000000149011612"]));
    }

    #[test]
    fn a_type_without_content_is_read_from_the_document_alone() {
        let object = json::parse(br#"{"sub":"alice","n":{}}"#).unwrap();
        object.to::<()>().unwrap();
        object.to::<Empty>().unwrap();
        object.to::<std::marker::PhantomData<u8>>().unwrap();
        object.to::<Option<Empty>>().unwrap();
        object.to::<serde::de::IgnoredAny>().unwrap();
        json::parse(b"{}").unwrap().to::<()>().unwrap();
        // An inner value is not null.
        assert!(object.to::<BTreeMap<String, ()>>().is_err());
        assert!(object.to::<bool>().is_err());
        assert!(object.to::<String>().is_err());
        agree::<()>(&["null"], &["{}", "[]", "\"\""]);
        agree::<std::marker::PhantomData<u8>>(&["null"], &["{}", "[]"]);
    }
}
