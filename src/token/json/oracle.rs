//! Compares this crate with `serde_json`: user-defined types are read from 400,000 random
//! documents.
//!
//! Documents are made from the shape of a type and then changed. So many documents fit the type,
//! and many almost fit. Both results must be equal, except for the differences that [`excuse`]
//! lists with their reasons. The result of this crate does not depend on the features of
//! `serde_json`. [`DIGEST`] checks that.

#![allow(dead_code, reason = "compared by `Debug`")]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, SeqAccess, Visitor};

use crate::token::json::{self, Object, strict};

const DOCUMENTS: usize = 400_000;

/// A digest of everything that this crate read. Update it if shapes, changes, or a `Debug` output
/// change. It must not differ between sets of features.
const DIGEST: u64 = 0x8741_3d59_f269_7d91;

/// SplitMix64, so that the documents are the same with every version of every dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// A document as a tree of text, so that a number keeps its spelling and a name can occur twice.
#[derive(Clone)]
enum Doc {
    /// A number, a boolean or null.
    Bare(String),
    Text(String),
    Array(Vec<Doc>),
    Object(Vec<(String, Doc)>),
}

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "7",
    "127",
    "128",
    "255",
    "256",
    "-1",
    "-128",
    "-129",
    "65535",
    "65536",
    "4294967296",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "-0",
    "0.0",
    "-0.0",
    "1.0",
    "1.5",
    "0.1",
    "1e2",
    "1E2",
    "1e-7",
    "1e39",
    "1e300",
    "5e-324",
    "1e-400",
    "1e400",
    "1.7976931348623158e308",
    "0.30000000000000004",
    "123456789.123456789012345678901234567890",
    "340282366920938463463374607431768211455",
    "16777217",
    "7.0385307e-26",
];
const TEXTS: &[&str] = &[
    "", "a", "é", "ab", "1", "0", "-1", "+1", "true", "null", "Admin", "Reader", "Unit", "New",
    "\"q\\", "ok:x",
];
const NAMES: &[&str] = &[
    "a",
    "b",
    "x",
    "y",
    "id",
    "name",
    "level",
    "t",
    "c",
    "0",
    "1",
    "01",
    "+1",
    "-0",
    "-1",
    "1.0",
    "1e2",
    "256",
    "true",
    "True",
    "é",
    "",
    "Admin",
    "Owner",
    "Unit",
    "New",
    "Tup",
    "Str",
    "extra",
    "$serde_json::private::Numbe",
];
const RESERVED: &[&str] = &["$serde_json::private::Number", "$serde_json::private::RawValue"];

impl Doc {
    /// Makes a document from a pattern. Texts and names in angle brackets are placeholders.
    fn of(pattern: &serde_json::Value, random: &mut Random) -> Self {
        match pattern {
            serde_json::Value::String(text) => match text.as_str() {
                "<u8>" => Self::Bare((random.next() as u8).to_string()),
                "<u16>" => Self::Bare((random.next() as u16).to_string()),
                "<u64>" => Self::Bare((random.next() >> random.below(64)).to_string()),
                "<i8>" => Self::Bare((random.next() as i8).to_string()),
                "<i64>" => Self::Bare((random.next() as i64 >> random.below(64)).to_string()),
                "<f64>" => Self::Bare(match f64::from_bits(random.next()) {
                    number if number.is_finite() => format!("{number:e}"),
                    _ => "0.5".to_owned(),
                }),
                "<bool>" => Self::Bare((random.below(2) == 1).to_string()),
                "<null>" => Self::Bare("null".to_owned()),
                "<char>" => Self::Text(random.one(&["a", "é", "1", "\"", "\u{1f600}"]).to_owned()),
                "<text>" => Self::Text(random.one(TEXTS).to_owned()),
                "<any>" => Self::any(random),
                text => Self::Text(text.to_owned()),
            },
            serde_json::Value::Array(values) => {
                Self::Array(values.iter().map(|value| Self::of(value, random)).collect())
            }
            serde_json::Value::Object(members) => {
                let mut made: Vec<(String, Self)> = Vec::new();
                // In the order of their names, because the feature `preserve_order` would change
                // the order.
                for (name, value) in members.iter().collect::<BTreeMap<_, _>>() {
                    let optional = name.strip_suffix('?');
                    if optional.is_some() && random.below(3) == 0 {
                        continue;
                    }
                    let name = match optional.unwrap_or(name) {
                        "<u8>" => (random.next() as u8).to_string(),
                        "<i8>" => (random.next() as i8).to_string(),
                        "<u64>" => random.next().to_string(),
                        "<f64>" => format!("{}.5", random.next() as i8),
                        "<name>" => random.one(NAMES).to_owned(),
                        name => name.to_owned(),
                    };
                    let value = Self::of(value, random);
                    if made.iter().all(|(own, _)| *own != name) {
                        made.push((name, value));
                    }
                }
                Self::Object(made)
            }
            other => Self::Bare(other.to_string()),
        }
    }

    fn any(random: &mut Random) -> Self {
        match random.below(9) {
            0 => Self::Bare(random.one(&["null", "true", "false"]).to_owned()),
            1 | 2 => Self::Text(random.one(TEXTS).to_owned()),
            3 => Self::Array(Vec::new()),
            4 => Self::Array(vec![Self::any(random), Self::any(random)]),
            5 => Self::Object(vec![(random.one(NAMES).to_owned(), Self::any(random))]),
            // A number out of range refuses the whole document, so use it rarely.
            _ => Self::Bare(match random.one(NUMBERS) {
                "1e400" if random.below(4) > 0 => "3".to_owned(),
                number => number.to_owned(),
            }),
        }
    }

    /// Changes the value at a random place in the document.
    fn change(&mut self, random: &mut Random) {
        match self {
            Self::Array(values) if !values.is_empty() && random.below(3) > 0 => {
                let at = random.below(values.len());
                return values[at].change(random);
            }
            Self::Object(members) if !members.is_empty() && random.below(3) > 0 => {
                let at = random.below(members.len());
                return members[at].1.change(random);
            }
            _ => {}
        }
        match (random.below(8), &mut *self) {
            (0 | 1, Self::Object(members)) => {
                members.push((random.one(NAMES).to_owned(), Self::any(random)));
            }
            (2, Self::Object(members)) if !members.is_empty() => {
                members.remove(random.below(members.len()));
            }
            (3, Self::Object(members)) if !members.is_empty() => {
                let at = random.below(members.len());
                members[at].0 = match random.below(12) {
                    0 => random.one(RESERVED).to_owned(),
                    1 => members[0].0.clone(),
                    _ => random.one(NAMES).to_owned(),
                };
            }
            (4, Self::Object(members)) => {
                *self = Self::Array(members.drain(..).map(|(_, value)| value).collect());
            }
            (5, Self::Object(members)) => members.reverse(),
            (0 | 1, Self::Array(values)) => values.push(Self::any(random)),
            (2 | 3, Self::Array(values)) if !values.is_empty() => {
                values.remove(random.below(values.len()));
            }
            (6, old) => *self = Self::Array(vec![old.clone()]),
            (7, Self::Bare(text)) => *self = Self::Text(text.clone()),
            (7, Self::Text(text)) => *self = Self::Object(vec![(text.clone(), Self::any(random))]),
            _ => *self = Self::any(random),
        }
    }

    fn write(&self, out: &mut String, random: &mut Random) {
        match self {
            Self::Bare(text) => out.push_str(text),
            Self::Text(text) => write_text(text, out, random),
            Self::Array(values) => {
                out.push('[');
                for (at, value) in values.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    value.write(out, random);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { ", " } else { "" });
                    write_text(name, out, random);
                    out.push(':');
                    value.write(out, random);
                }
                out.push('}');
            }
        }
    }

    /// Whether `is_so` returns `true` for any value or member.
    fn any_of(&self, is_so: &dyn Fn(Option<&str>, &Self) -> bool) -> bool {
        match self {
            Self::Array(values) => {
                values.iter().any(|value| is_so(None, value) || value.any_of(is_so))
            }
            Self::Object(members) => {
                members.iter().any(|(name, value)| is_so(Some(name), value) || value.any_of(is_so))
            }
            _ => false,
        }
    }

    /// Whether the document is readable at all: an object, no duplicate names, none of
    /// `serde_json`'s own names, and no number outside the range of doubles.
    fn is_strict(&self) -> bool {
        let once = |value: &Self| match value {
            Self::Object(members) => {
                members.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len() == members.len()
            }
            _ => true,
        };
        let bad = |name: Option<&str>, value: &Self| {
            name.is_some_and(|name| RESERVED.contains(&name))
                || matches!(value, Self::Bare(text) if text == "1e400")
                || !once(value)
        };
        matches!(self, Self::Object(_)) && once(self) && !self.any_of(&bad)
    }
}

fn write_text(text: &str, out: &mut String, random: &mut Random) {
    out.push('"');
    let escaped = random.below(8) == 0;
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            character if escaped && character.is_ascii() => {
                out.push_str(&format!("\\u{:04x}", character as u32));
            }
            character => out.push(character),
        }
    }
    out.push('"');
}

/// A `serde_json::Value` that prints the same with every set of features.
#[derive(Deserialize)]
#[serde(transparent)]
struct Json(serde_json::Value);

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            serde_json::Value::Number(number) => {
                let value = strict::number::<serde_json::Error>(&number.to_string());
                value.map_err(|_| fmt::Error)?.fmt(f)
            }
            serde_json::Value::Array(values) => {
                f.debug_list().entries(values.iter().cloned().map(Json)).finish()
            }
            serde_json::Value::Object(members) => {
                let members: BTreeMap<_, _> = members.iter().collect();
                let member = |(name, value): (_, &serde_json::Value)| (name, Json(value.clone()));
                f.debug_map().entries(members.into_iter().map(member)).finish()
            }
            other => other.fmt(f),
        }
    }
}

/// A type that asks for bytes.
#[derive(Debug)]
struct Octets(Vec<u8>);

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OctetsVisitor;
        impl<'de> Visitor<'de> for OctetsVisitor {
            type Value = Octets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("octets")
            }

            fn visit_bytes<E>(self, octets: &[u8]) -> Result<Octets, E> {
                Ok(Octets(octets.to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Octets, A::Error> {
                let mut octets = Vec::new();
                while let Some(octet) = seq.next_element()? {
                    octets.push(octet);
                }
                Ok(Octets(octets))
            }
        }
        deserializer.deserialize_bytes(OctetsVisitor)
    }
}

/// A key with a fraction. The standard library has no map with such keys.
#[derive(Deserialize, Debug, PartialEq, PartialOrd)]
struct FloatKey(f64);

impl Eq for FloatKey {}

#[allow(clippy::derive_ord_xor_partial_ord, reason = "keys are finite")]
impl Ord for FloatKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[derive(Deserialize, Debug)]
struct Plain {
    name: String,
    level: u8,
    ok: bool,
    ratio: f64,
}

#[derive(Deserialize, Debug)]
struct Optional {
    a: Option<u32>,
    b: Option<Option<String>>,
    #[serde(default)]
    c: Vec<String>,
    #[serde(rename = "d-e", alias = "de")]
    d: i16,
}

#[derive(Deserialize, Debug)]
struct Inner {
    x: Option<i8>,
    y: String,
}

#[derive(Deserialize, Debug)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    rest: BTreeMap<String, Json>,
}

#[derive(Deserialize, Debug)]
struct FlatTagged {
    id: u8,
    #[serde(flatten)]
    role: Internal,
}

#[derive(Deserialize, Debug)]
#[serde(untagged)]
enum Untagged {
    Small(u8),
    Number(f64),
    Text(String),
    List(Vec<u16>),
    Tagged(Internal),
    Struct { a: bool },
    Nothing(()),
}

#[derive(Deserialize, Debug)]
struct HasUntagged {
    v: Untagged,
    w: Option<Untagged>,
}

#[derive(Deserialize, Debug)]
#[serde(tag = "level")]
enum Internal {
    Admin,
    Reader,
    Owner { id: u32 },
    Like(Inner),
}

#[derive(Deserialize, Debug)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    New(u32),
    Tup(u8, String),
    Str { a: bool },
}

#[derive(Deserialize, Debug)]
enum External {
    Unit,
    New(u32),
    Tup(u8, String),
    Str { a: bool },
    Deep(Box<External>),
}

#[derive(Deserialize, Debug)]
struct Tagged {
    a: Internal,
    b: Adjacent,
    c: External,
    d: Vec<External>,
}

#[derive(Deserialize, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Admin,
    #[serde(rename = "true")]
    Reader,
    #[serde(other)]
    Other,
}

#[derive(Deserialize, Debug)]
struct Pair(u8, String);

#[derive(Deserialize, Debug)]
struct Newtype(f32);

#[derive(Deserialize, Debug)]
struct Generic {
    unit: Option<UnitStruct>,
    new: Newtype,
    pair: Pair,
    nothing: (),
    phantom: PhantomData<u8>,
    level: Level,
}

#[derive(Deserialize, Debug)]
struct Keys {
    i: BTreeMap<i8, bool>,
    c: BTreeMap<char, Option<u8>>,
    e: BTreeMap<Level, u8>,
    o: BTreeMap<Option<u16>, u8>,
    s: BTreeMap<String, External>,
}

#[derive(Deserialize, Debug)]
struct WideKeys {
    f: BTreeMap<FloatKey, u8>,
    i: BTreeMap<i128, u8>,
    u: BTreeMap<u128, u8>,
}

#[derive(Deserialize, Debug)]
struct Lists {
    v: Vec<i64>,
    t: (u8, bool, Option<char>),
    a: [u16; 3],
    b: Box<[u32]>,
    s: BTreeSet<String>,
}

#[derive(Deserialize, Debug)]
struct Numbers {
    a: Option<u8>,
    b: Option<i8>,
    c: Option<u16>,
    d: Option<i16>,
    e: Option<u32>,
    f: Option<i32>,
    g: Option<u64>,
    h: Option<i64>,
    i: Option<u128>,
    j: Option<i128>,
    k: Option<f32>,
    l: Option<f64>,
}

#[derive(Deserialize, Debug)]
struct Texts {
    a: Cow<'static, str>,
    b: char,
    c: Box<str>,
    d: Octets,
    e: Option<Octets>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Closed {
    id: u32,
    #[serde(default)]
    a: Option<bool>,
}

#[derive(Deserialize, Debug)]
#[serde(try_from = "Inner")]
struct Tried(String);

#[derive(Deserialize, Debug)]
#[serde(try_from = "String")]
struct TriedText(String);

#[derive(Deserialize, Debug)]
struct HasTried {
    a: Tried,
    b: TriedText,
}

#[derive(Deserialize, Debug)]
struct Roles {
    roles: Vec<String>,
}

#[derive(Deserialize, Debug)]
struct Keycloak {
    realm_access: Option<Roles>,
    resource_access: BTreeMap<String, Roles>,
}

#[derive(Deserialize, Debug)]
struct Raw {
    id: u8,
    raw: Option<Box<serde_json::value::RawValue>>,
}

#[derive(Deserialize, Debug)]
struct UnitStruct;

impl TryFrom<Inner> for Tried {
    type Error = &'static str;

    fn try_from(inner: Inner) -> Result<Self, Self::Error> {
        inner.x.map(|x| Self(format!("{x} {}", inner.y))).ok_or("no x")
    }
}

impl TryFrom<String> for TriedText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.strip_prefix("ok:").map(|rest| Self(rest.to_owned())).ok_or("no ok")
    }
}

/// A map that keeps the order of its keys.
#[derive(Deserialize)]
#[serde(transparent)]
struct Hashed(HashMap<u32, u64>);

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().collect::<BTreeMap<_, _>>().fmt(f)
    }
}

/// A user-defined type, with patterns of documents that fit it.
struct Shape {
    name: &'static str,
    patterns: &'static [&'static str],
    here: fn(&Object<'_>) -> Option<String>,
    there: fn(&str) -> Option<String>,
}

impl Shape {
    fn of<T: DeserializeOwned + fmt::Debug>(
        name: &'static str,
        patterns: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            patterns,
            here: |object| object.to::<T>().ok().map(|read| format!("{read:?}")),
            there: |text| serde_json::from_str::<T>(text).ok().map(|read| format!("{read:?}")),
        }
    }
}

fn shapes() -> Vec<Shape> {
    vec![
        Shape::of::<Plain>(
            "struct",
            &[r#"{"name":"<text>","level":"<u8>","ok":"<bool>","ratio":"<f64>"}"#],
        ),
        Shape::of::<Optional>(
            "Option, default, rename, alias",
            &[
                r#"{"a?":"<u16>","b?":"<text>","c?":["<text>","a"],"d-e":"<i8>"}"#,
                r#"{"a":"<null>","b":"<null>","de":"<u8>"}"#,
            ],
        ),
        Shape::of::<Flat>(
            "flatten",
            &[r#"{"id":"<u8>","x?":"<i8>","y":"<text>","<name>?":"<any>","z?":{"a":"<any>"}}"#],
        ),
        Shape::of::<FlatTagged>(
            "flatten of a tagged enum",
            &[
                r#"{"id":"<u8>","level":"Owner"}"#,
                r#"{"id":"<u8>","level":"Admin"}"#,
                r#"{"id":"<u8>","level":"Like","x":"<i8>","y":"<text>"}"#,
            ],
        ),
        Shape::of::<HasUntagged>(
            "untagged",
            &[
                r#"{"v":"<any>","w?":"<u8>"}"#,
                r#"{"v":["<u8>","<u16>"],"w?":"<f64>"}"#,
                r#"{"v":{"a":"<bool>"},"w?":{"level":"Reader"}}"#,
            ],
        ),
        Shape::of::<Internal>(
            "internally tagged",
            &[
                r#"{"level":"Admin","a?":"<any>"}"#,
                r#"{"level":"Reader"}"#,
                r#"{"level":"Owner","id":"<u8>"}"#,
                r#"{"level":"Like","x":"<i8>","y":"<text>"}"#,
                r#"{"level":"<u8>"}"#,
            ],
        ),
        Shape::of::<Adjacent>(
            "adjacently tagged",
            &[
                r#"{"t":"Unit","c?":"<null>"}"#,
                r#"{"c":"<u8>","t":"New"}"#,
                r#"{"t":"Tup","c":["<u8>","<text>"]}"#,
                r#"{"t":"Str","c":{"a":"<bool>"}}"#,
            ],
        ),
        Shape::of::<External>(
            "externally tagged",
            &[
                r#"{"Unit":"<null>"}"#,
                r#"{"New":"<u8>"}"#,
                r#"{"Tup":["<u8>","<text>"]}"#,
                r#"{"Str":{"a":"<bool>"}}"#,
                r#"{"Deep":{"Deep":"Unit"}}"#,
            ],
        ),
        Shape::of::<Tagged>(
            "enums as members",
            &[r#"{"a":{"level":"Admin"},"b":{"t":"New","c":"<u16>"},"c":"Unit",
                "d":["Unit",{"New":"<u8>"},{"Str":["<bool>"]}]}"#],
        ),
        Shape::of::<Generic>(
            "unit, newtype and tuple structs",
            &[r#"{"unit":"<null>","new":"<u16>","pair":["<u8>","<text>"],"nothing":"<null>",
                "phantom":"<null>","level":"Admin"}"#],
        ),
        Shape::of::<BTreeMap<String, External>>(
            "map of enums",
            &[r#"{"<name>":"Unit","b":{"New":"<u8>"}}"#],
        ),
        Shape::of::<BTreeMap<u32, u64>>(
            "map with numbers",
            &[r#"{"<u8>":"<u64>","1?":"<u8>","7?":"<u8>"}"#],
        ),
        Shape::of::<Hashed>(
            "HashMap with numbers",
            &[r#"{"<u8>":"<u64>","1?":"<u8>","7?":"<u8>"}"#],
        ),
        Shape::of::<Keys>(
            "map with keys of other types",
            &[
                r#"{"i":{"<i8>":"<bool>","1?":"<bool>"},"c":{"é":"<u8>"},"e":{"Admin":"<u8>","true":"<u8>","<name>?":"<u8>"},
                "o":{"<u8>":"<u8>"},"s":{"<name>":"Unit"}}"#,
            ],
        ),
        Shape::of::<BTreeMap<bool, u8>>(
            "map with booleans",
            &[r#"{"true":"<u8>","false?":"<u8>"}"#],
        ),
        Shape::of::<WideKeys>(
            "map with wide keys",
            &[r#"{"f":{"<f64>":"<u8>","<i8>?":"<u8>"},"i":{"<u64>":"<u8>"},
                "u":{"<u64>":"<u8>"}}"#],
        ),
        Shape::of::<Lists>(
            "sequences, arrays, tuples",
            &[r#"{"v":["<i64>","<u8>"],"t":["<u8>","<bool>","<char>"],"a":["<u16>","<u8>","<u8>"],
                "b":["<u16>"],"s":["<text>","<text>"]}"#],
        ),
        Shape::of::<Numbers>(
            "numbers",
            &[r#"{"a?":"<u8>","b?":"<i8>","c?":"<u16>","d?":"<i8>","e?":"<u16>","f?":"<i8>",
                "g?":"<u64>","h?":"<i64>","i?":"<u64>","j?":"<i64>","k?":"<u16>","l?":"<f64>"}"#],
        ),
        Shape::of::<Texts>(
            "texts and octets",
            &[r#"{"a":"<text>","b":"<char>","c":"<text>","d":["<u8>","<u8>"],"e?":"<text>"}"#],
        ),
        Shape::of::<Closed>("deny_unknown_fields", &[r#"{"id":"<u16>","a?":"<bool>"}"#]),
        Shape::of::<HasTried>("try_from", &[r#"{"a":{"x":"<i8>","y":"<text>"},"b":"ok:b"}"#]),
        Shape::of::<Keycloak>(
            "nested",
            &[r#"{"realm_access?":{"roles":["<text>","<text>"]},
                "resource_access":{"<name>":{"roles":["<text>"]},"account":{"roles":[]}}}"#],
        ),
        Shape::of::<Json>(
            "serde_json::Value",
            &[r#"{"a":"<any>","b":["<any>","<any>"],"<name>":{"c":"<any>"},"d":"<f64>"}"#],
        ),
        Shape::of::<Raw>("RawValue", &[r#"{"id":"<u8>"}"#, r#"{"id":"<u8>","raw?":"<any>"}"#]),
    ]
}

/// Why the result for a strict document may differ from that of `serde_json`. Returns `None` if
/// there is no explanation.
fn excuse(
    shape: &Shape,
    (doc, text): (&Doc, &str),
    here: Option<&str>,
    arbitrary: bool,
) -> Option<&'static str> {
    let has = |is_so: &dyn Fn(Option<&str>, &Doc) -> bool| doc.any_of(is_so);
    let plain = |number: &str| number.parse::<u64>().is_ok() || number.parse::<i64>().is_ok();
    let is_number = |text: &str| text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let odd_number = |_: Option<&str>, value: &Doc| matches!(value, Doc::Bare(text) if is_number(text) && (text == "-0" || !plain(text)));
    let odd_key = |name: Option<&str>, _: &Doc| {
        name.is_some_and(|name| is_number(name) && (name == "-0" || !plain(name)))
    };
    let numbered_level = |name: Option<&str>, value: &Doc| {
        name == Some("level") && matches!(value, Doc::Bare(text) if is_number(text))
    };
    match shape.name {
        name if name.to_lowercase().contains("map with")
            && here.is_some()
            && text.contains("\\u") =>
        {
            Some("serde_json takes no escape for a digit in a key that is a number")
        }
        "flatten of a tagged enum" | "untagged" if has(&numbered_level) => {
            Some("a number is no name of a variant, out of a buffer neither")
        }
        "RawValue" if here.is_none() => Some("its text is not kept"),
        "numbers" if here.is_none() && has(&odd_number) => {
            Some("128 bits: an integer beyond 64, and -0, is a double")
        }
        "map with wide keys" if here.is_none() && has(&odd_key) => {
            Some("a key has one spelling, without an exponent, and 1.0 is 1")
        }
        _ if arbitrary && has(&odd_number) => {
            Some("serde_json can't buffer a fraction with arbitrary_precision")
        }
        _ => None,
    }
}

#[test]
fn own_types_are_read_as_serde_json_reads_them() {
    let arbitrary = serde_json::from_str::<serde_json::Value>("1.00000000000000000000001")
        .is_ok_and(|number| number.to_string().len() > 20);
    let shapes = shapes();
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut excused: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, shape) in shapes.iter().enumerate() {
        let patterns: Vec<_> =
            shape.patterns.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let mut random = Random(number as u64);
        let (mut read, mut unfit, mut loose) = (0, 0, 0);
        let count = DOCUMENTS.div_ceil(shapes.len());
        for _ in 0..count {
            let mut doc = Doc::of(&patterns[random.below(patterns.len())], &mut random);
            for _ in 0..random.below(3) {
                doc.change(&mut random);
            }
            let mut text = String::new();
            doc.write(&mut text, &mut random);
            let object = json::parse(text.as_bytes());
            assert_eq!(object.is_ok(), doc.is_strict(), "{}: {text}", shape.name);
            let here = object.as_ref().ok().and_then(shape.here);
            for octet in here.as_deref().unwrap_or("no").bytes() {
                digest = (digest ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
            }
            if object.is_err() {
                loose += 1;
                continue;
            }
            read += usize::from(here.is_some());
            unfit += usize::from(here.is_none());
            let foreign = |name: Option<&str>, _: &Doc| name.is_some_and(|name| !name.is_ascii());
            if shape.name == "map with booleans" && doc.any_of(&foreign) {
                // `serde_json` begins to read such a key at its second octet and panics.
                assert_eq!(here, None, "{text}");
                continue;
            }
            let there = (shape.there)(&text);
            if here != there {
                let reason = excuse(shape, (&doc, &text), here.as_deref(), arbitrary);
                let reason =
                    reason.unwrap_or_else(|| panic!("{}: {text}\n{here:?}\n{there:?}", shape.name));
                *excused.entry(reason).or_default() += 1;
            }
        }
        assert!(read * 5 > count, "{}: {read} of {count} were read", shape.name);
        if shape.name != "serde_json::Value" {
            assert!(unfit * 20 > count, "{}: {unfit} of {count} were unfit", shape.name);
        }
        assert!(loose * 200 > count, "{}: {loose} of {count} were not strict", shape.name);
    }
    assert_eq!(
        digest, DIGEST,
        "the answers depend on a feature, or documents have changed: {digest:#x}, {excused:#?}"
    );
}
