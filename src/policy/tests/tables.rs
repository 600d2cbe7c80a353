//! The rules of conditions, in tables.

use std::panic::{Location, catch_unwind};
use std::sync::{Arc, Mutex};

use serde::Deserialize;

use super::evaluate;
use crate::clock::TestClock;
use crate::config_error::ConfigError;
use crate::policy::expression::scope;
use crate::policy::*;
use crate::server_id::ServerId;
use crate::token::json;
use crate::token::{AccessToken, Actor, AnyToken, Facts, Names, Payload, RoleList, ScopeHierarchy};

/// The token of a user with these claims.
fn token_with(claims: &str) -> AnyToken {
    json::parse(claims.as_bytes()).expect("claims of a test");
    let server =
        ServerId::of_test(ScopeHierarchy::default(), Arc::new(TestClock::at(1_790_000_000)));
    let payload = Payload::of_buffer(claims.as_bytes().to_vec(), claims.len());
    AccessToken::new(Facts::of_test("a"), payload, server, ()).into()
}

fn allows(policy: Policy, claims: &str) -> bool {
    evaluate::<()>(&policy.into(), &token_with(claims)).is_ok()
}

#[test]
fn values_are_compared_by_type_and_without_rounding() {
    const BEYOND: u64 = 9_007_199_254_740_993; // 2^53 + 1, which no double is
    for (name, value, claim, equal) in [
        ("a text", "a".into(), r#""a""#, Some(true)),
        ("another text", "a".into(), r#""A""#, Some(false)),
        ("a text with an escape", "a".into(), r#""\u0061""#, Some(true)),
        ("a composed letter", "é".into(), r#""e\u0301""#, Some(false)),
        ("an empty text", "".into(), r#""""#, Some(true)),
        ("a text and a number", "1".into(), "1", None),
        ("a number and a text", 1.into(), r#""1""#, None),
        ("a text and a boolean", "true".into(), "true", None),
        ("a boolean and a text", true.into(), r#""true""#, None),
        ("a boolean and a number", true.into(), "1", None),
        ("a number and a boolean", 1.into(), "true", None),
        ("booleans", true.into(), "true", Some(true)),
        ("other booleans", true.into(), "false", Some(false)),
        ("integers", 1.into(), "1", Some(true)),
        ("an integer and a double", 1.into(), "1.0", Some(true)),
        ("a double and an integer", ClaimValue::from(1.0), "1", Some(true)),
        ("doubles", ClaimValue::from(1.0), "1.0", Some(true)),
        ("an exponent", 100.into(), "1e2", Some(true)),
        ("a fraction", 1.into(), "1.5", Some(false)),
        ("a fraction and an integer", ClaimValue::from(1.5), "1", Some(false)),
        ("equal fractions", ClaimValue::from(0.1), "0.1", Some(true)),
        ("negative", ClaimValue::from(-1), "-1", Some(true)),
        ("negative, as a double", ClaimValue::from(-1), "-1.0", Some(true)),
        ("another sign", ClaimValue::from(-1), "1", Some(false)),
        ("zero and minus zero", 0.into(), "-0.0", Some(true)),
        ("minus zero and zero", ClaimValue::from(-0.0), "0", Some(true)),
        ("minus zero, an integer", 0.into(), "-0", Some(true)),
        ("u64::MAX", u64::MAX.into(), "18446744073709551615", Some(true)),
        ("u64::MAX as a double", u64::MAX.into(), "18446744073709551616", Some(false)),
        (
            "2^64 as two doubles",
            ClaimValue::from(18446744073709551616.0),
            "18446744073709551616",
            Some(true),
        ),
        (
            "2^64 and u64::MAX",
            ClaimValue::from(18446744073709551616.0),
            "18446744073709551615",
            Some(false),
        ),
        ("i64::MIN", i64::MIN.into(), "-9223372036854775808", Some(true)),
        ("i64::MIN as a double", i64::MIN.into(), "-9223372036854775808.0", Some(true)),
        ("i64::MIN and u64 of its bits", i64::MIN.into(), "9223372036854775808", Some(false)),
        ("2^53 + 1", BEYOND.into(), "9007199254740993", Some(true)),
        ("2^53 + 1 and 2^53", BEYOND.into(), "9007199254740992", Some(false)),
        ("2^53 + 1 and a double", BEYOND.into(), "9007199254740993.0", Some(false)),
        (
            "2^53 and 2^53 + 1",
            ClaimValue::from(9007199254740992.0),
            "9007199254740993",
            Some(false),
        ),
        ("a large double", ClaimValue::from(1e300), "1e300", Some(true)),
        (
            "a large double and an integer",
            ClaimValue::from(1e300),
            "18446744073709551615",
            Some(false),
        ),
        ("an integer and a large double", i64::MAX.into(), "1e300", Some(false)),
        ("no number", ClaimValue::from(f64::NAN), "1.5", Some(false)),
        ("infinity", ClaimValue::from(f64::INFINITY), "1.7976931348623157e308", Some(false)),
        (
            "infinity and an integer",
            ClaimValue::from(f64::INFINITY),
            "18446744073709551615",
            Some(false),
        ),
        ("null", "null".into(), "null", None),
        ("an array", "a".into(), r#"["a"]"#, None),
        ("an object", "a".into(), r#"{"a":"a"}"#, None),
    ] {
        let claims = format!(r#"{{"x":{claim}}}"#);
        let equals = claim_named("x").equals(value);
        assert_eq!(allows(equals.clone(), &claims), equal == Some(true), "{name}");
        assert_eq!(allows(not(equals), &claims), equal == Some(false), "{name}, negated");
    }
}

fn claim_named(name: &str) -> Claim {
    claim(name)
}

/// What a claim of each type makes of a test and of its negation.
#[test]
fn a_claim_of_another_type_passes_neither_a_test_nor_its_negation() {
    let equals = || claim("x").equals("a");
    let contains = || claim("x").contains("a");
    let one_of = || claim("x").one_of(["a", "b"]);
    let mixed = || claim("x").one_of([ClaimValue::from("a"), 7.into()]);
    let of_none = || claim("x").one_of::<&str>([]);
    // Each column: the test passes, its negation passes.
    let (neither, yes, no) = ((false, false), (true, false), (false, true));
    for (name, claims, expected) in [
        ("missing", r#"{"y":"a"}"#, [neither; 5]),
        ("null", r#"{"x":null}"#, [neither; 5]),
        ("the text", r#"{"x":"a"}"#, [yes, neither, yes, yes, neither]),
        ("another text of the list", r#"{"x":"b"}"#, [no, neither, yes, no, neither]),
        ("another text", r#"{"x":"c"}"#, [no, neither, no, no, neither]),
        ("a list in one text", r#"{"x":"a b"}"#, [no, neither, no, no, neither]),
        ("a number", r#"{"x":7}"#, [neither, neither, neither, yes, neither]),
        ("another number", r#"{"x":8}"#, [neither, neither, neither, no, neither]),
        ("a boolean", r#"{"x":true}"#, [neither; 5]),
        ("an object", r#"{"x":{"a":"a"}}"#, [neither; 5]),
        ("an array with the text", r#"{"x":["b","a"]}"#, [neither, yes, neither, neither, neither]),
        ("an array without it", r#"{"x":["b","c"]}"#, [neither, no, neither, neither, neither]),
        ("an empty array", r#"{"x":[]}"#, [neither, no, neither, neither, neither]),
        ("an array of other types", r#"{"x":[1,null,["a"]]}"#, [neither; 5]),
        ("an array of null", r#"{"x":[null]}"#, [neither; 5]),
        ("a mixed array without it", r#"{"x":["b",1]}"#, [neither; 5]),
        ("a mixed array with it", r#"{"x":[1,"a"]}"#, [neither, yes, neither, neither, neither]),
        ("an array inside", r#"{"x":[["a"]]}"#, [neither; 5]),
    ] {
        let tests = [equals(), contains(), one_of(), mixed(), of_none()];
        for (index, (test, expected)) in tests.into_iter().zip(expected).enumerate() {
            let found = (allows(test.clone(), claims), allows(not(test.clone()), claims));
            assert_eq!(found, expected, "{name}, column {index}");
            assert_eq!(allows(not(not(test)), claims), expected.0, "{name}, twice negated");
        }
    }
}

#[test]
fn what_exists_is_not_null() {
    for (name, claims, there) in [
        ("missing", "{}", false),
        ("null", r#"{"x":null}"#, false),
        ("false", r#"{"x":false}"#, true),
        ("zero", r#"{"x":0}"#, true),
        ("an empty text", r#"{"x":""}"#, true),
        ("an empty array", r#"{"x":[]}"#, true),
        ("an empty object", r#"{"x":{}}"#, true),
        ("another case", r#"{"X":1}"#, false),
    ] {
        assert_eq!(allows(claim("x").exists(), claims), there, "{name}");
        assert_eq!(allows(claim("x").absent(), claims), !there, "{name}, absent");
        assert_eq!(allows(claim_at("/x").exists(), claims), there, "{name}, by pointer");
        assert_eq!(allows(claim_at("/x").absent(), claims), !there, "{name}, absent by pointer");
    }
}

#[test]
fn a_name_is_exact_and_a_pointer_goes_inside() {
    let claims = r#"{"a.b":1,"a":{"b":2,"c/d":3},"a/b":4,"/a/b":5,"list":[{"id":6}],"":7}"#;
    for (name, policy, good) in [
        ("a dot", claim("a.b").equals(1), true),
        ("a slash", claim("a/b").equals(4), true),
        ("a name like a pointer", claim("/a/b").equals(5), true),
        ("a pointer", claim_at("/a/b").equals(2), true),
        ("a pointer with a slash", claim_at("/a/c~1d").equals(3), true),
        ("a pointer to a name with a slash", claim_at("/a~1b").equals(4), true),
        ("a pointer into an array", claim_at("/list/0/id").equals(6), true),
        ("a pointer to the empty name", claim_at("/").equals(7), true),
        ("a pointer through a number", claim_at("/a.b/x").exists(), false),
        ("a dot is no way inside", claim("list.0.id").exists(), false),
        ("behind the end", claim_at("/list/1").exists(), false),
        ("absent behind the end", claim_at("/list/1").absent(), true),
    ] {
        assert_eq!(allows(policy, claims), good, "{name}");
    }
}

#[derive(Deserialize)]
struct Payment {
    limit: u64,
}

#[test]
fn one_entry_of_authorization_details_grants_everything_that_is_asked() {
    let plain = || authorization_details("pay").into();
    let read = || authorization_details("pay").with("actions", ["read"]).into();
    let both = || authorization_details("pay").with("actions", ["read", "write"]).into();
    let lax = || authorization_details("pay").with("actions", ["read"]).ignoring("note").into();
    let typed = || authorization_details("pay").matching(|own: &Payment| own.limit >= 10);
    for (name, policy, details, good) in [
        ("the type alone", plain(), r#"[{"type":"pay"}]"#, true),
        ("an object", plain(), r#"{"type":"pay"}"#, false),
        ("a text", plain(), r#""pay""#, false),
        ("an array of texts", plain(), r#"["pay"]"#, false),
        ("an array in an array", plain(), r#"[[{"type":"pay"}]]"#, false),
        ("null", plain(), "null", false),
        ("empty", plain(), "[]", false),
        ("JSON in a text", plain(), r#""[{\"type\":\"pay\"}]""#, false),
        ("no type", plain(), "[{}]", false),
        ("the type as an array", plain(), r#"[{"type":["pay"]}]"#, false),
        ("the type as null", plain(), r#"[{"type":null}]"#, false),
        ("another type", plain(), r#"[{"type":"Pay"}]"#, false),
        ("the second entry", plain(), r#"[{"type":"x"},{"type":"pay"}]"#, true),
        ("an entry of a wrong type before", plain(), r#"[1,{"type":"pay"}]"#, true),
        ("an unknown member", plain(), r#"[{"type":"pay","limit":1}]"#, false),
        ("an unknown member, null", plain(), r#"[{"type":"pay","limit":null}]"#, false),
        ("a text equals", read(), r#"[{"type":"pay","actions":"read"}]"#, true),
        ("a longer text", read(), r#"[{"type":"pay","actions":"read write"}]"#, false),
        ("an array contains", read(), r#"[{"type":"pay","actions":["write","read"]}]"#, true),
        ("an array without it", read(), r#"[{"type":"pay","actions":["write"]}]"#, false),
        ("an empty array", read(), r#"[{"type":"pay","actions":[]}]"#, false),
        ("an array inside", read(), r#"[{"type":"pay","actions":[["read"]]}]"#, false),
        ("an object", read(), r#"[{"type":"pay","actions":{"read":true}}]"#, false),
        ("null", read(), r#"[{"type":"pay","actions":null}]"#, false),
        ("no such member", read(), r#"[{"type":"pay"}]"#, false),
        ("all values", both(), r#"[{"type":"pay","actions":["read","x","write"]}]"#, true),
        ("one of two values", both(), r#"[{"type":"pay","actions":["read"]}]"#, false),
        ("one text for two values", both(), r#"[{"type":"pay","actions":"read"}]"#, false),
        (
            "only both entries together",
            both(),
            r#"[{"type":"pay","actions":["read"]},{"type":"pay","actions":["write"]}]"#,
            false,
        ),
        (
            "the type of one, the members of another",
            read(),
            r#"[{"type":"pay","actions":["x"]},{"type":"y","actions":["read"]}]"#,
            false,
        ),
        ("an ignored member", lax(), r#"[{"type":"pay","actions":"read","note":[1]}]"#, true),
        ("an ignored member, absent", lax(), r#"[{"type":"pay","actions":"read"}]"#, true),
        ("a member beside it", lax(), r#"[{"type":"pay","actions":"read","Note":1}]"#, false),
        ("the typed rule", typed(), r#"[{"type":"pay","limit":10,"x":1}]"#, true),
        ("the typed rule refuses", typed(), r#"[{"type":"pay","limit":9}]"#, false),
        ("another type of member", typed(), r#"[{"type":"pay","limit":"10"}]"#, false),
        ("another type of entry", typed(), r#"[{"type":"x","limit":10}]"#, false),
        ("the second one fits", typed(), r#"[{"type":"pay"},{"type":"pay","limit":10}]"#, true),
        (
            "the typed rule elsewhere",
            typed(),
            r#"[{"type":"pay","limit":10,"locations":["https://foreign.example.com"]}]"#,
            false,
        ),
    ] {
        let claims = format!(r#"{{"authorization_details":{details}}}"#);
        assert_eq!(allows(policy, &claims), good, "{name}: {details}");
    }
    assert!(!allows(plain(), "{}"), "no claim");
    let elsewhere = r#"{"x":{"authorization_details":[{"type":"pay"}]}}"#;
    assert!(!allows(plain(), elsewhere), "not at the top level");
}

#[test]
fn an_entry_for_other_locations_grants_nothing_here() {
    for (name, locations, good) in [
        ("this API", r#"["https://api.example.com"]"#, true),
        ("this API among others", r#"["https://x.example.com","https://api.example.com"]"#, true),
        ("another API", r#"["https://x.example.com"]"#, false),
        ("a path of this API", r#"["https://api.example.com/"]"#, false),
        ("a text", r#""https://api.example.com""#, false),
        ("empty", "[]", false),
        ("null", "null", false),
        ("an array inside", r#"[["https://api.example.com"]]"#, false),
        ("an object", r#"{"0":"https://api.example.com"}"#, false),
        ("a number beside it", r#"[1,"https://api.example.com"]"#, true),
    ] {
        let claims =
            format!(r#"{{"authorization_details":[{{"type":"pay","locations":{locations}}}]}}"#);
        assert_eq!(allows(authorization_details("pay").into(), &claims), good, "{name}");
        let ignoring = authorization_details("pay").ignoring("locations");
        assert_eq!(allows(ignoring.into(), &claims), good, "{name}, ignored by name");
        let typed = authorization_details("pay").matching(|_: &serde_json::Value| true);
        assert_eq!(allows(typed, &claims), good, "{name}, typed");
    }
}

/// What was asked before the typed rule still counts, and asking for no value grants nothing.
#[test]
fn no_demand_on_an_entry_is_dropped() {
    let limit = |own: &Payment| own.limit >= 10;
    let typed = || authorization_details("pay").with("currency", ["EUR"]).matching(limit);
    for (name, policy, details, good) in [
        ("both hold", typed(), r#"[{"type":"pay","limit":10,"currency":"EUR"}]"#, true),
        ("the member differs", typed(), r#"[{"type":"pay","limit":10,"currency":"USD"}]"#, false),
        ("the member is absent", typed(), r#"[{"type":"pay","limit":10}]"#, false),
        ("the rule refuses", typed(), r#"[{"type":"pay","limit":9,"currency":"EUR"}]"#, false),
        (
            "of no values",
            authorization_details("pay").with::<&str>("currency", []).into(),
            r#"[{"type":"pay","currency":"EUR"}]"#,
            false,
        ),
    ] {
        let claims = format!(r#"{{"authorization_details":{details}}}"#);
        assert_eq!(allows(policy, &claims), good, "{name}");
    }
}

#[test]
fn roles_are_exact_and_a_list_that_is_not_known_is_not_negated() {
    let of = |list: RoleList, roles: &'static [&'static str]| {
        let names = Names::with_roles(Some("alice"), Some("app"), None, move |add| {
            roles.iter().for_each(|role| add(role));
            list
        });
        let server = ServerId::of_test(ScopeHierarchy::default(), Arc::new(TestClock::at(0)));
        let facts = Facts { names, actor: Actor::User, ..Facts::of_test("") };
        AnyToken::from(AccessToken::new(facts, Payload::default(), server, ()))
    };
    for (name, token, has, has_not) in [
        ("no claim", of(RoleList::Absent, &[]), false, false),
        ("the role", of(RoleList::Complete, &["x", "editor"]), true, false),
        ("other roles", of(RoleList::Complete, &["edit", "editors", "Editor", ""]), false, true),
        ("no roles", of(RoleList::Complete, &[]), false, true),
        ("words in one role", of(RoleList::Complete, &["editor x"]), false, true),
        ("an incomplete list with it", of(RoleList::Incomplete, &["editor"]), true, false),
        ("an incomplete list without it", of(RoleList::Incomplete, &["x"]), false, false),
        ("a role with the separator", of(RoleList::Complete, &["editor\0x"]), false, false),
    ] {
        assert_eq!(evaluate::<()>(&role("editor").into(), &token).is_ok(), has, "{name}");
        assert_eq!(evaluate::<()>(&not(role("editor")).into(), &token).is_ok(), has_not, "{name}");
        assert_eq!(evaluate::<()>(&not(not(role("editor"))).into(), &token).is_ok(), has, "{name}");
    }
}

fn many(most: usize) -> Vec<Policy> {
    (0..most).map(|index| Policy::try_scope(&format!("s{index}")).unwrap()).collect()
}

/// Each mistake, by the function that panics and by the one that returns it.
#[test]
fn mistakes_panic_where_they_are_written_and_are_errors_of_the_try_forms() {
    type Written = fn() -> Policy;
    type Tried = fn() -> Result<Policy, ConfigError>;
    let table: &[(&str, u32, Written, Tried, &str)] = &[
        (
            "any_of nothing",
            line!(),
            || any_of::<Policy>([]),
            || Policy::try_any_of([]),
            "of nothing",
        ),
        ("all_of nothing", line!(), || all_of::<&str>([]), || Policy::try_all_of([]), "of nothing"),
        (
            "not(scope)",
            line!(),
            || not(scope("a")),
            || Policy::try_not(scope("a")),
            "can be negated",
        ),
        ("not(acr)", line!(), || not(acr(["a"])), || Policy::try_not(acr(["a"])), "can be negated"),
        ("not(user)", line!(), || not(user()), || Policy::try_not(user()), "can be negated"),
        ("not(client)", line!(), || not(client()), || Policy::try_not(client()), "can be negated"),
        (
            "not(any token)",
            line!(),
            || not(authenticated()),
            || Policy::try_not(authenticated()),
            "can be negated",
        ),
        (
            "not(bound)",
            line!(),
            || not(sender_constrained()),
            || Policy::try_not(sender_constrained()),
            "can be negated",
        ),
        (
            "not(audience)",
            line!(),
            || not(audience("x")),
            || Policy::try_not(audience("x")),
            "can be negated",
        ),
        (
            "not(issuer)",
            line!(),
            || not(issuer("x")),
            || Policy::try_not(issuer("x")),
            "can be negated",
        ),
        (
            "not(details)",
            line!(),
            || not(authorization_details("x").into()),
            || Policy::try_not(authorization_details("x").into()),
            "can be negated",
        ),
        (
            "not(exists)",
            line!(),
            || not(claim("x").exists()),
            || Policy::try_not(claim("x").exists()),
            "absent()",
        ),
        (
            "not(absent)",
            line!(),
            || not(claim("x").absent()),
            || Policy::try_not(claim("x").absent()),
            "exists()",
        ),
        (
            "not(all_of) with a scope",
            line!(),
            || not(all_of([role("x"), scope("a")])),
            || Policy::try_not(all_of([role("x"), scope("a")])),
            "can be negated",
        ),
        ("an empty role", line!(), || role(""), || Policy::try_role(""), "not empty"),
        ("a role with U+0000", line!(), || role("a\0b"), || Policy::try_role("a\0b"), "U+0000"),
        (
            "a claim without a name",
            line!(),
            || claim("").exists(),
            || Claim::try_named("").map(Claim::exists),
            "not empty",
        ),
        (
            "an empty pointer",
            line!(),
            || claim_at("").exists(),
            || Claim::try_at("").map(Claim::exists),
            "begins with",
        ),
        (
            "a pointer without a slash",
            line!(),
            || claim_at("a/b").exists(),
            || Claim::try_at("a/b").map(Claim::exists),
            "begins with",
        ),
        (
            "a malformed escape",
            line!(),
            || claim_at("/a~2").exists(),
            || Claim::try_at("/a~2").map(Claim::exists),
            "`~`",
        ),
        (
            "a tilde at the end",
            line!(),
            || claim_at("/a~").exists(),
            || Claim::try_at("/a~").map(Claim::exists),
            "`~`",
        ),
        ("acr of nothing", line!(), || acr([]), || Policy::try_acr([]), "of nothing"),
        ("an empty acr", line!(), || acr([""]), || Policy::try_acr([""]), "visible ASCII"),
        (
            "an acr with a space",
            line!(),
            || acr(["a b"]),
            || Policy::try_acr(["a b"]),
            "visible ASCII",
        ),
        (
            "an acr with a quote",
            line!(),
            || acr(["a\""]),
            || Policy::try_acr(["a\""]),
            "visible ASCII",
        ),
        (
            "details without a type",
            line!(),
            || authorization_details("").into(),
            || AuthorizationDetails::try_of_type("").map(Into::into),
            "not empty",
        ),
        (
            "65 branches",
            line!(),
            || any_of(many(65)),
            || Policy::try_any_of(many(65)),
            "more than 64",
        ),
        (
            "9 times 9 branches",
            line!(),
            || all_of([any_of(many(9)), any_of(many(9))]),
            || Policy::try_all_of([any_of(many(9)), any_of(many(9))]),
            "more than 64",
        ),
        (
            "branches without number",
            line!(),
            || all_of(vec![any_of(many(64)); 40]),
            || Policy::try_all_of(vec![any_of(many(64)); 40]),
            "more than 64",
        ),
        (
            "two values of acr at once",
            line!(),
            || all_of([acr(["a"]), acr(["b"])]),
            || Policy::try_all_of([acr(["a"]), acr(["b"])]),
            "common value",
        ),
        (
            "three lists of acr",
            line!(),
            || all_of([acr(["a", "b"]), acr(["b", "c"]), acr(["c", "a"])]),
            || Policy::try_all_of([acr(["a", "b"]), acr(["b", "c"]), acr(["c", "a"])]),
            "common value",
        ),
        (
            "one branch that can't be met",
            line!(),
            || all_of([any_of([acr(["a"]), scope("x")]), acr(["b"])]),
            || Policy::try_all_of([any_of([acr(["a"]), scope("x")]), acr(["b"])]),
            "common value",
        ),
        (
            "a scope with a space",
            line!(),
            || scope("a b"),
            || Policy::try_from("a b".to_owned()),
            "scope",
        ),
        ("an empty scope", line!(), || scope(""), || Ok(Policy::try_scope("")?), "scope"),
        ("a scope of a text", line!(), || "a b".into(), || Ok(Policy::try_scope("a b")?), "scope"),
        (
            "scopes of texts",
            line!(),
            || all_of(["a", "b c"]),
            || Ok(Policy::try_scope("b c")?),
            "scope",
        ),
        ("an array of texts", line!(), || ["a", ""].into(), || Ok(Policy::try_scope("")?), "scope"),
        (
            "an empty array of texts",
            line!(),
            || <[&str; 0]>::into([]),
            || Policy::try_all_of([]),
            "of nothing",
        ),
    ];
    let place: Arc<Mutex<Option<(String, u32)>>> = Arc::default();
    let before = Arc::new(std::panic::take_hook());
    std::panic::set_hook(Box::new({
        let (place, before) = (Arc::clone(&place), Arc::clone(&before));
        let thread = std::thread::current().id();
        move |info| {
            if std::thread::current().id() != thread {
                return before(info);
            }
            let of = |at: &Location<'_>| (at.file().to_owned(), at.line());
            *place.lock().unwrap() = info.location().map(of);
        }
    }));
    let results: Vec<_> = table
        .iter()
        .map(|(_, _, written, tried, _)| {
            let panicked = catch_unwind(|| drop(written()));
            (panicked, place.lock().unwrap().take(), tried())
        })
        .collect();
    std::panic::set_hook(Box::new(move |info| before(info)));
    for ((name, line, _, _, words), (panicked, place, tried)) in table.iter().zip(results) {
        let panic = panicked.expect_err(name);
        let text = panic.downcast_ref::<String>().expect(name);
        assert!(text.contains(words), "{name}: {text}");
        let (file, at) = place.expect(name);
        assert_eq!(file, file!(), "{name}");
        assert!((*line..line + 14).contains(&at), "{name}: line {at}");
        let error = tried.expect_err(name).to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
    // What is next to the mistakes can be written.
    for (name, policy) in [
        ("one of one", any_of(["a"])),
        ("not a claim", not(claim("x").equals("a"))),
        ("not both", not(all_of([role("x"), claim("x").contains(1)]))),
        ("64 branches", any_of(many(64))),
        ("8 times 8 branches", all_of([any_of(many(8)), any_of(many(8))])),
        ("a common value", all_of([acr(["a", "b"]), acr(["b", "c"])])),
        ("acr of either branch", any_of([acr(["a"]), acr(["b"])])),
        ("a name like a pointer", claim("/a~2").exists()),
        ("a role with a space", role("a b")),
    ] {
        assert!(!policy.branches().is_empty(), "{name}");
    }
}

#[test]
fn policies_that_pass_allocate_nothing() {
    let token = {
        let names = Names::with_roles(Some("app"), Some("app"), Some("high"), |add| {
            ["reader", "editor"].into_iter().for_each(add);
            RoleList::Complete
        });
        let mut scopes = ScopeHierarchy::default();
        let parse = |text: &str| crate::token::ScopeToken::parse(text).unwrap();
        scopes.add(&parse("all"), &[parse("a"), parse("b")]);
        let server = ServerId::of_test(scopes, Arc::new(TestClock::at(1_790_000_000)));
        let facts = Facts { names, actor: Actor::Client, ..Facts::of_test("c all") };
        AnyToken::from(AccessToken::new(facts, Payload::default(), server, ()))
    };
    let passing: Vec<(&str, Policy)> = vec![
        ("scope", scope("c")),
        ("an implied scope", scope("a")),
        ("three scopes and a role", all_of([all_of(["a", "b", "c"]), role("editor")])),
        ("the second of two", any_of(["x", "c"])),
        ("acr", acr(["mid", "high"])),
        ("client", client()),
        ("client by name", client_id("https://as.example.com", "app")),
        ("role", role("editor")),
        ("not a role", not(role("auditor"))),
        ("issuer", issuer("https://as.example.com")),
        ("any token", authenticated()),
    ];
    for (name, policy) in passing {
        let requirement: Requirement<()> = Requirement::from(policy);
        let branches = requirement.branches();
        let evaluate = || assert!(requirement.evaluate(&token, None, &branches).is_ok(), "{name}");
        evaluate();
        let counted = allocation_counter::measure(evaluate).count_total;
        assert_eq!(counted, 0, "{name}");
    }
    // The counter counts: a refusal has a reason for the log.
    let refused: Requirement<()> = Requirement::from(scope("x"));
    let counted =
        allocation_counter::measure(|| assert!(refused.evaluate(&token, None, &[]).is_err()));
    assert!(counted.count_total > 0);
}

#[test]
fn debug_of_a_policy_shows_no_user_no_client_and_no_value_of_a_claim() {
    let policy = all_of([
        subject("https://as.example.com", "alice-s3cret"),
        client_id("https://as.example.com", "app-s3cret"),
        claim("email").equals("mail-s3cret"),
        not(claim("phone").one_of(["phone-s3cret"])),
        authorization_details("pay").with("iban", ["iban-s3cret"]).into(),
        scope("notes:read"),
        role("editor"),
    ]);
    let requirement: Requirement<()> = Requirement::from(policy.clone());
    for shown in
        [format!("{policy:?}"), format!("{requirement:?}"), format!("{:?}", policy.branches())]
    {
        assert!(!shown.contains("s3cret"), "{shown}");
        for word in ["email", "phone", "pay", "scope notes:read", "role editor"] {
            assert!(shown.contains(word), "{word}: {shown}");
        }
    }
}
