use std::borrow::Cow;

use super::*;

fn check(bytes: &[u8]) -> Result<(), Fault> {
    parse(bytes).map(drop)
}

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
        ("a name of serde_json's", br#"{"a":{"$serde_json::private::RawValue":"1"}}"#, false),
        ("nearly that name", br#"{"a":{"$serde_json::private::RawValu":"1"}}"#, true),
        ("a number's name", br#"{"a":{"$serde_json::private::Number":"1"}}"#, false),
        ("with an escape", br#"{"a":{"\u0024serde_json::private::Number":"1"}}"#, false),
        ("a value with an escape", br#"{"a":{"$serde_json::private::Number":"\u0031"}}"#, false),
        ("with an odd number", br#"{"a":{"$serde_json::private::Number":"+1795"}}"#, false),
        ("with a number", br#"{"a":{"$serde_json::private::Number":1}}"#, false),
        ("with a fraction", br#"{"a":{"$serde_json::private::Number":1.5}}"#, false),
        (
            "with itself",
            br#"{"a":{"$serde_json::private::Number":{"$serde_json::private::Number":"1"}}}"#,
            false,
        ),
        ("before others", br#"{"a":{"$serde_json::private::Number":"1","b":2}}"#, false),
        ("after others", br#"{"a":{"b":2,"$serde_json::private::Number":"1"}}"#, false),
        ("at the top", br#"{"$serde_json::private::Number":"1"}"#, false),
        ("in an array", br#"{"a":[{"$serde_json::private::Number":"1"}]}"#, false),
        ("nearly a number's name", br#"{"a":{"$serde_json::private::number":"1"}}"#, true),
        ("as a value", br#"{"a":"$serde_json::private::Number"}"#, true),
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
    assert_eq!(check(&nested(MAX_DEPTH as usize + 1)), Err(Fault::Depth));
    // The number of members is limited only by the size of the document.
    assert!(check(&members(5_000)).is_ok());
}

#[test]
fn a_late_duplicate_among_many_is_seen() {
    let mut many = members(200);
    many.pop();
    many.extend_from_slice(b",\"m7\":0}");
    assert!(check(&many).is_err());
}

#[test]
fn every_duplicate_among_few_is_seen() {
    let names: Vec<String> =
        (0..24).map(|n| ["", "a", "ab", "name", "é", "iss"][n % 6].repeat(n / 6 + 1)).collect();
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let document = |names: &[&str]| {
        let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(check(document(&names).as_bytes()).is_ok());
    for name in &names {
        let twice = [names.as_slice(), &[name]].concat();
        assert!(check(document(&twice).as_bytes()).is_err(), "{name}");
    }
}

#[test]
fn numbers_keep_their_kind() {
    let object = parse(br#"{"a":1,"b":-1,"c":1.5,"d":18446744073709551615}"#).unwrap();
    assert_eq!(object.get("a"), Some(&Value::Unsigned(1)));
    assert_eq!(object.get("b"), Some(&Value::Signed(-1)));
    assert_eq!(object.get("c"), Some(&Value::Float(1.5)));
    assert_eq!(object.get("d"), Some(&Value::Unsigned(u64::MAX)));
    assert_eq!(strict::number::<serde_json::Error>("1.5").unwrap(), Value::Float(1.5));
    assert!(strict::number::<serde_json::Error>("1e400").is_err());
}

#[test]
fn numbers_are_read_alike_whatever_features_are_on() {
    let unsigned: &[(&str, u64)] = &[("0", 0), ("7", 7), ("18446744073709551615", u64::MAX)];
    let signed: &[(&str, i64)] = &[("-1", -1), ("-9223372036854775808", i64::MIN)];
    for (text, number) in unsigned {
        assert_eq!(member(text), Some(Value::Unsigned(*number)), "{text}");
        assert_eq!(strict::number::<serde_json::Error>(text).unwrap(), Value::Unsigned(*number));
    }
    for (text, number) in signed {
        assert_eq!(member(text), Some(Value::Signed(*number)), "{text}");
        assert_eq!(strict::number::<serde_json::Error>(text).unwrap(), Value::Signed(*number));
    }
    // The result must be the nearest double, as in the standard library.
    for text in [
        "-0",
        "0.0",
        "-0.0",
        "-0e5",
        "0e999",
        "0e99999999999999999999",
        "1.0",
        "1E2",
        "1e2",
        "1e+2",
        "1e-2",
        "18446744073709551616",
        "-9223372036854775809",
        "123456789012345678901234567890",
        "0.30000000000000004",
        "123456789.123456789012345678901234567890",
        "9007199254740993.0",
        "7.0385307e-26",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "5e-324",
        "2e-324",
        "1e-400",
        "1e-99999999999999999999",
    ] {
        let expected: f64 = text.parse().unwrap();
        for found in [member(text), strict::number::<serde_json::Error>(text).ok()] {
            let Some(Value::Float(found)) = found else { panic!("{text}: {found:?}") };
            assert_eq!(found.to_bits(), expected.to_bits(), "{text}");
        }
    }
    let long = format!("0.{}1e400", "0".repeat(399));
    assert_eq!(member(&long), Some(Value::Float(1.0)));
    for text in ["1e400", "-1e400", "1.7976931348623159e308", "1e99999999999999999999"] {
        assert_eq!(member(text), None, "{text}");
    }
    for text in ["+1", "01", "-01", "1.", ".5", "1e", "1e+", "-", "NaN", "inf", "0x1", "1_0"] {
        assert_eq!(member(text), None, "{text}");
    }
}

/// The value of a member with this text.
fn member(text: &str) -> Option<Value<'static>> {
    let document = format!("{{\"a\":{text}}}");
    match parse(document.as_bytes()).ok()?.get("a")? {
        Value::Unsigned(number) => Some(Value::Unsigned(*number)),
        Value::Signed(number) => Some(Value::Signed(*number)),
        Value::Float(number) => Some(Value::Float(*number)),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn fractions_cost_neither_depth_nor_members() {
    let list = |numbers: usize| format!("{{\"a\":[{}0.5]}}", "0.5,".repeat(numbers - 1));
    for (name, text, good) in [("600", list(600), true), ("6,000", list(6_000), true)] {
        assert_eq!(check(text.as_bytes()).is_ok(), good, "{name}");
    }
    // The deepest object has one member.
    let deep = |depth: usize| {
        let depth = depth - 1;
        format!("{}{{\"a\":[-0.0e-7]}}{}", r#"{"a":"#.repeat(depth - 1), "}".repeat(depth - 1))
    };
    assert!(check(deep(MAX_DEPTH as usize).as_bytes()).is_ok());
    assert!(check(deep(MAX_DEPTH as usize + 1).as_bytes()).is_err());
}

#[test]
fn text_without_escapes_is_borrowed() {
    let object = parse(br#"{"a":"plain","b":"\u0041"}"#).unwrap();
    assert!(matches!(object.get("a"), Some(Value::String(Cow::Borrowed("plain")))));
    assert!(matches!(object.get("b"), Some(Value::String(Cow::Owned(text))) if text == "A"));
}

#[test]
fn names_are_found_whatever_their_marks() {
    // There are more names than marks, so that many names share a mark.
    let text = members(200);
    let object = parse(&text).unwrap();
    for n in 0..200 {
        assert_eq!(object.get(&format!("m{n}")), Some(&Value::Unsigned(n)));
    }
    for absent in ["", "m", "m200", "m1a", "n1", "é"] {
        assert_eq!(object.get(absent), None, "{absent}");
    }
    let object = parse(br#"{"":1,"\u00e9":2}"#).unwrap();
    assert!(object.contains("") && object.contains("é"));
}

#[cfg(feature = "http-client")]
#[test]
fn members_that_are_kept_are_the_same() {
    let text = br#"{"a":[1,-2,0.5,"x",null,true,{"b":"\u0041"}],"c":18446744073709551615}"#;
    let mut object = parse(text).unwrap();
    assert_eq!(object.clone().into_owned(), object);
    assert_eq!(object.take("c"), Some(Value::Unsigned(u64::MAX)));
    assert!(!object.contains("c") && object.contains("a"));
}

#[test]
fn a_fault_is_named() {
    for (name, text, expected) in [
        ("good", r#"{"a":"\ud83d\ude00 \\ud83d"}"#, None),
        ("duplicate", r#"{"a":{"b":1,"b":1}}"#, Some(Fault::Duplicate)),
        ("deep", &"[".repeat(40), Some(Fault::Depth)),
        ("an array", "[]", Some(Fault::Form)),
        ("half a pair, the first", r#"{"a":"x\ud83d"}"#, Some(Fault::Surrogate)),
        ("half a pair, the second", r#"{"a":"\udE00x"}"#, Some(Fault::Surrogate)),
        ("two first halves", r#"{"a":"\ud83d\ud83d"}"#, Some(Fault::Surrogate)),
        ("another escape between", r#"{"a":"\ud83d\n\ude00"}"#, Some(Fault::Surrogate)),
        ("in a name", r#"{"\ud83d":1}"#, Some(Fault::Surrogate)),
        ("after a pair", r#"{"a":"\ud83d\ude00\ude00"}"#, Some(Fault::Surrogate)),
        ("a text of a backslash and more", r#"{"a":"\\ud83d",}"#, Some(Fault::Form)),
        ("an escape that is cut off", r#"{"a":"\ud8"#, Some(Fault::Form)),
        ("no hexadecimal digits", r#"{"a":"\u+d83"}"#, Some(Fault::Form)),
        ("nothing", "", Some(Fault::Form)),
    ] {
        assert_eq!(check(text.as_bytes()).err(), expected, "{name}");
    }
}
