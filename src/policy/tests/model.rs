//! Random policies on random tokens, against a naive model of what the documentation says.
//!
//! The model knows nothing of branches that are shared, of prepared challenges or of the parser: it
//! expands each expression to all its alternatives, and judges each condition on plain JSON.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::clock::TestClock;
use crate::config_error::ConfigError;
use crate::error::Error;
use crate::policy::branch::invitation;
use crate::policy::*;
use crate::server_id::ServerId;
use crate::token::{
    AccessToken, Actor, AnyToken, Cnf, Facts, Names, NumericDate, Payload, RoleList,
    ScopeHierarchy, ScopeSet, ScopeToken,
};

const NOW: u64 = 1_790_000_000;
const OWN: &str = "https://api.example.com";
const ISSUERS: [&str; 2] = ["https://as.example.com", "https://other.example.com"];
const SCOPES: [&str; 5] = ["a", "b", "c", "all", "most"];
/// `all` implies `most` and `c`; `most` implies `a` and `b`.
const IMPLIES: [(&str, &[&str]); 2] = [("most", &["a", "b"]), ("all", &["most", "c"])];
const ROLES: [&str; 3] = ["editor", "auditor", "edit"];
const ACRS: [&str; 3] = ["low", "mid", "high"];
const NAMES: [&str; 5] = ["tenant", "level", "tags", "org", "a/b"];
const POINTERS: [&str; 7] =
    ["/tenant", "/org/id", "/org/tags", "/org/tags/0", "/tags/1", "/a~1b", "/org/id/x"];
const TEXTS: [&str; 4] = ["x", "y", "1", ""];
const KINDS: [&str; 2] = ["payment", "account"];

/// An expression as it is written.
#[derive(Clone, Debug)]
enum Expr {
    Leaf(Leaf),
    AllOf(Vec<Expr>),
    AnyOf(Vec<Expr>),
    Not(Box<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
enum Leaf {
    Authenticated,
    Scope(&'static str),
    Role(&'static str),
    Claim {
        path: Path,
        test: Test,
    },
    User,
    Client,
    Acr(Vec<&'static str>),
    MaxAge(u64),
    TokenAge(u64),
    ClientId(&'static str, &'static str),
    Subject(&'static str, &'static str),
    Issuer(&'static str),
    Audience(&'static str),
    SenderConstrained,
    KeyBound,
    Details {
        kind: &'static str,
        with: Vec<(&'static str, Vec<Value>)>,
        ignoring: Vec<&'static str>,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum Path {
    Name(&'static str),
    Pointer(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Equals(Value),
    Contains(Value),
    OneOf(Vec<Value>),
    Exists,
    Absent,
}

/// A token, as plain data.
#[derive(Clone, Debug)]
struct Token {
    issuer: &'static str,
    scope: Vec<&'static str>,
    actor: Actor,
    subject: Option<&'static str>,
    client: Option<&'static str>,
    acr: Option<&'static str>,
    auth_time: Option<f64>,
    iat: Option<f64>,
    /// Whether it is bound to a key. `None` if it is bound to nothing.
    bound: Option<bool>,
    roles: (RoleList, Vec<&'static str>),
    claims: Map<String, Value>,
}

/// What the documentation promises about an expression and a token.
#[derive(Debug, PartialEq)]
enum Told {
    Passes,
    /// 403 with these scopes.
    Scope(Vec<String>),
    /// 401 with these scopes, values of `acr`, and `max_age`.
    Login(Vec<String>, Option<Vec<String>>, Option<u64>),
    /// 401 `invalid_token`.
    InvalidToken,
    /// 403 without an error code.
    Denied,
}

// Random data.

fn one<T: Copy>(random: &mut StdRng, of: &[T]) -> T {
    of[random.random_range(0..of.len())]
}

fn some<T: Copy>(random: &mut StdRng, of: &[T], least: usize, most: usize) -> Vec<T> {
    (0..random.random_range(least..=most)).map(|_| one(random, of)).collect()
}

fn scalar(random: &mut StdRng) -> Value {
    match random.random_range(0..14) {
        0..5 => json!(one(random, &TEXTS)),
        5 => json!(1),
        6 => json!(1.0),
        7 => json!(-1),
        8 => json!(-1.0),
        9 => json!(1.5),
        10 => json!(one(random, &[0.0, -0.0])),
        11 => one(random, &[true, false]).into(),
        12 => json!(one(random, &[u64::MAX, 9_007_199_254_740_993, 9_007_199_254_740_992, 0])),
        _ => json!(one(random, &[18_446_744_073_709_551_615.0, 9_007_199_254_740_992.0, 1e300])),
    }
}

fn any_value(random: &mut StdRng) -> Value {
    match random.random_range(0..10) {
        0 => Value::Null,
        1..5 => scalar(random),
        5..8 => (0..random.random_range(0..4))
            .map(|_| match random.random_range(0..8) {
                0 => json!(null),
                1 => json!(["x"]),
                2 => json!({ "x": "x" }),
                _ => scalar(random),
            })
            .collect(),
        _ => json!({ "id": scalar(random), "tags": [scalar(random), "x"] }),
    }
}

fn details_entry(random: &mut StdRng) -> Value {
    let mut entry = Map::new();
    if random.random_ratio(9, 10) {
        entry.insert("type".to_owned(), json!(one(random, &KINDS)));
    }
    if random.random_ratio(1, 3) {
        let locations = match random.random_range(0..6) {
            0 => json!([]),
            1 => json!(OWN),
            2 => json!(["https://foreign.example.com"]),
            3 => json!(null),
            _ => json!(["https://foreign.example.com", OWN]),
        };
        entry.insert("locations".to_owned(), locations);
    }
    for name in ["actions", "limit"] {
        if random.random_ratio(1, 2) {
            let value = match random.random_range(0..3) {
                0 => scalar(random),
                1 => json!(some(random, &TEXTS, 0, 3)),
                _ => any_value(random),
            };
            entry.insert(name.to_owned(), value);
        }
    }
    Value::Object(entry)
}

fn token(random: &mut StdRng) -> Token {
    let mut claims = Map::new();
    for name in NAMES {
        if random.random_ratio(3, 4) {
            claims.insert(name.to_owned(), any_value(random));
        }
    }
    match random.random_range(0..6) {
        0 => {}
        1 => drop(claims.insert("aud".to_owned(), any_value(random))),
        2 => drop(claims.insert("aud".to_owned(), json!([1, OWN]))),
        3 => drop(claims.insert("aud".to_owned(), json!([format!("{OWN}/")]))),
        _ => drop(claims.insert("aud".to_owned(), json!(OWN))),
    }
    match random.random_range(0..6) {
        0 => {}
        1 => drop(claims.insert("authorization_details".to_owned(), details_entry(random))),
        2 => drop(claims.insert("authorization_details".to_owned(), any_value(random))),
        _ => {
            let entries = (0..random.random_range(0..4)).map(|_| details_entry(random)).collect();
            claims.insert("authorization_details".to_owned(), Value::Array(entries));
        }
    }
    let times = [
        None,
        Some(NOW as f64),
        Some(NOW as f64 - 60.0),
        Some(NOW as f64 - 60.5),
        Some(NOW as f64 - 3600.0),
        Some(NOW as f64 + 60.0),
        Some(NOW as f64 + 61.0),
        Some(-1e300),
        Some(1e300),
    ];
    let actor = one(random, &[Actor::User, Actor::User, Actor::Client, Actor::Unknown(None)]);
    let list = one(random, &[RoleList::Absent, RoleList::Complete, RoleList::Incomplete]);
    let roles = match list {
        RoleList::Absent => Vec::new(),
        RoleList::Complete | RoleList::Incomplete => some(random, &ROLES, 0, 2),
    };
    Token {
        issuer: one(random, &ISSUERS),
        scope: some(random, &SCOPES, 0, 3),
        subject: match actor {
            Actor::User => Some(one(random, &["alice", "bob"])),
            _ => one(random, &[None, Some("alice")]),
        },
        actor,
        client: one(random, &[None, Some("app"), Some("other")]),
        acr: one(random, &[None, Some("low"), Some("mid"), Some("high"), Some("")]),
        auth_time: one(random, &times),
        iat: one(random, &times),
        bound: one(random, &[None, Some(true), Some(false)]),
        roles: (list, roles),
        claims,
    }
}

fn claim_leaf(random: &mut StdRng) -> Leaf {
    let path = match random.random_range(0..2) {
        0 => Path::Name(one(random, &NAMES)),
        _ => Path::Pointer(one(random, &POINTERS)),
    };
    let test = match random.random_range(0..10) {
        0..3 => Test::Equals(scalar(random)),
        3..6 => Test::Contains(scalar(random)),
        6..8 => Test::OneOf((0..random.random_range(0..4)).map(|_| scalar(random)).collect()),
        8 => Test::Exists,
        _ => Test::Absent,
    };
    Leaf::Claim { path, test }
}

fn leaf(random: &mut StdRng) -> Leaf {
    match random.random_range(0..25) {
        0..7 => Leaf::Scope(one(random, &SCOPES)),
        7..9 => Leaf::Role(one(random, &ROLES)),
        9..12 => claim_leaf(random),
        12 if random.random_ratio(1, 2) => Leaf::User,
        12 => Leaf::Client,
        13..15 => Leaf::Acr(some(random, &ACRS, 1, 3)),
        15 => Leaf::MaxAge(one(random, &[0, 60, 3600, u64::MAX])),
        16 => Leaf::TokenAge(one(random, &[0, 60, 3600, u64::MAX])),
        17 => Leaf::ClientId(one(random, &ISSUERS), one(random, &["app", "other"])),
        18 => Leaf::Subject(one(random, &ISSUERS), one(random, &["alice", "bob"])),
        19 => Leaf::Issuer(one(random, &ISSUERS)),
        20 => Leaf::Audience(one(random, &[OWN, "x"])),
        21 => Leaf::SenderConstrained,
        22 => Leaf::KeyBound,
        23 => Leaf::Details {
            kind: one(random, &KINDS),
            with: (0..random.random_range(0..2))
                .map(|_| {
                    let values = (0..random.random_range(1..3)).map(|_| scalar(random)).collect();
                    (one(random, &["actions", "limit"]), values)
                })
                .collect(),
            ignoring: some(random, &["actions", "limit"], 0, 2),
        },
        _ => Leaf::Authenticated,
    }
}

fn expr(random: &mut StdRng, depth: usize) -> Expr {
    if depth == 0 {
        return Expr::Leaf(leaf(random));
    }
    let several = |random: &mut StdRng| -> Vec<Expr> {
        let least = usize::from(!random.random_ratio(1, 50));
        (0..random.random_range(least..4)).map(|_| expr(random, depth - 1)).collect()
    };
    match random.random_range(0..10) {
        0..3 => Expr::AllOf(several(random)),
        3..7 => Expr::AnyOf(several(random)),
        7 => Expr::Not(Box::new(negatable(random, depth - 1))),
        _ => Expr::Leaf(leaf(random)),
    }
}

/// Mostly of claims and roles, so that `not` can be written around it.
fn negatable(random: &mut StdRng, depth: usize) -> Expr {
    let several = |random: &mut StdRng| -> Vec<Expr> {
        (0..random.random_range(1..3)).map(|_| negatable(random, depth - 1)).collect()
    };
    match random.random_range(0..12) {
        0..2 if depth > 0 => Expr::AllOf(several(random)),
        2..4 if depth > 0 => Expr::AnyOf(several(random)),
        4 if depth > 0 => Expr::Not(Box::new(negatable(random, depth - 1))),
        5 => Expr::Leaf(leaf(random)),
        6..9 => Expr::Leaf(Leaf::Role(one(random, &ROLES))),
        _ => Expr::Leaf(claim_leaf(random)),
    }
}

// The code under test.

fn value(value: &Value) -> ClaimValue {
    match value {
        Value::String(text) => text.into(),
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., Some(number)) => number.into(),
            (None, None, None) => panic!("a number"),
        },
        other => panic!("not a scalar: {other}"),
    }
}

fn written(expr: &Expr) -> Result<Policy, ConfigError> {
    let all = |exprs: &[Expr]| exprs.iter().map(written).collect::<Result<Vec<_>, _>>();
    match expr {
        Expr::AllOf(exprs) => Policy::try_all_of(all(exprs)?),
        Expr::AnyOf(exprs) => Policy::try_any_of(all(exprs)?),
        Expr::Not(expr) => Policy::try_not(written(expr)?),
        Expr::Leaf(leaf) => Ok(match leaf {
            Leaf::Authenticated => authenticated(),
            Leaf::Scope(scope) => Policy::try_scope(scope)?,
            Leaf::Role(role) => Policy::try_role(role)?,
            Leaf::Claim { path, test } => {
                let claim = match path {
                    Path::Name(name) => Claim::try_named(name)?,
                    Path::Pointer(pointer) => Claim::try_at(pointer)?,
                };
                match test {
                    Test::Equals(wanted) => claim.equals(value(wanted)),
                    Test::Contains(wanted) => claim.contains(value(wanted)),
                    Test::OneOf(wanted) => claim.one_of(wanted.iter().map(value)),
                    Test::Exists => claim.exists(),
                    Test::Absent => claim.absent(),
                }
            }
            Leaf::User => user(),
            Leaf::Client => client(),
            Leaf::Acr(values) => Policy::try_acr(values.iter().copied())?,
            Leaf::MaxAge(seconds) => max_age(Duration::from_secs(*seconds)),
            Leaf::TokenAge(seconds) => token_age(Duration::from_secs(*seconds)),
            Leaf::ClientId(issuer, client) => client_id(issuer, client),
            Leaf::Subject(issuer, sub) => subject(issuer, sub),
            Leaf::Issuer(name) => issuer(name),
            Leaf::Audience(name) => audience(name),
            Leaf::SenderConstrained => sender_constrained(),
            Leaf::KeyBound => dpop_bound(),
            Leaf::Details { kind, with, ignoring } => {
                let mut details = AuthorizationDetails::try_of_type(kind)?;
                for (name, values) in with {
                    details = details.with(name, values.iter().map(value));
                }
                ignoring.iter().fold(details, |details, name| details.ignoring(name)).into()
            }
        }),
    }
}

fn minted(token: &Token, server: &ServerId) -> AnyToken {
    let (list, roles) = &token.roles;
    let names = Names::with_roles(token.subject, token.client, token.acr, |add| {
        roles.iter().for_each(|role| add(role));
        *list
    });
    let facts = Facts {
        issuer: token.issuer.into(),
        audiences: [OWN.into()].into(),
        actor: token.actor,
        scope: ScopeSet::new(&token.scope.join(" ")),
        other_scope: None,
        expires_at: None,
        leeway: 0,
        cnf: token.bound.map(|key| if key { Cnf::of_test_key() } else { Cnf::of_test() }),
        issued_at: token.iat.map(NumericDate::from_secs_f64),
        authenticated_at: token.auth_time.map(NumericDate::from_secs_f64),
        names,
    };
    let text = Value::Object(token.claims.clone()).to_string().into_bytes();
    let length = text.len();
    AccessToken::new(facts, Payload::of_buffer(text, length), server.clone(), ()).into()
}

fn found(policy: &Policy, branches: &[Branch], token: &AnyToken) -> Told {
    let words = |set: &ScopeSet| set.iter().map(str::to_owned).collect::<Vec<_>>();
    let named = |unmet: &Unmet| branches[unmet.branch.expect("a branch")].clone();
    let requirement: Requirement<()> = Requirement::from(policy.clone());
    let told = |prepared: &[Branch]| match requirement.evaluate(token, None, prepared) {
        Ok(lookups) => {
            assert!(lookups.is_none());
            Told::Passes
        }
        Err(unmet) => match &unmet.error {
            Error::InsufficientScope { required, .. } => {
                // The challenge is made from the branch, and the log from the error.
                assert_eq!(texts(&named(&unmet).scopes()), words(required));
                Told::Scope(words(required))
            }
            Error::InsufficientUserAuthentication { acr_values, max_age, .. } => {
                let branch = named(&unmet);
                let step_up = branch.step_up().expect("a login");
                let joined = step_up.acr_values.as_ref().map(|values| values.join(" "));
                assert_eq!(joined.as_deref(), acr_values.as_deref());
                assert_eq!(step_up.max_age, *max_age);
                Told::Login(texts(&branch.scopes()), step_up.acr_values, *max_age)
            }
            other => {
                assert!(unmet.branch.is_none(), "{other}");
                match other {
                    Error::ForeignAudience { .. }
                    | Error::TokenTooOld { .. }
                    | Error::SenderNotConstrained
                    | Error::KeyNotBound => Told::InvalidToken,
                    Error::AccessDenied { .. } | Error::UnknownPrincipal { .. } => Told::Denied,
                    other => panic!("another error: {other}"),
                }
            }
        },
    };
    let with_prepared = told(branches);
    assert_eq!(told(&[]), with_prepared);
    with_prepared
}

fn texts(scopes: &[ScopeToken]) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}

// The model.

/// A condition, and whether it stands under an odd number of `not`.
type Condition = (Leaf, bool);

/// All alternatives of an expression, in the order in which they are written. `None` where `not` can't
/// be written.
fn alternatives(expr: &Expr, negated: bool) -> Option<Vec<Vec<Condition>>> {
    let each = |exprs: &[Expr]| -> Option<Vec<_>> {
        exprs.iter().map(|expr| alternatives(expr, negated)).collect()
    };
    match (expr, negated) {
        (Expr::Not(expr), _) => alternatives(expr, !negated),
        (Expr::AnyOf(exprs), false) | (Expr::AllOf(exprs), true) => {
            Some(each(exprs)?.into_iter().flatten().collect())
        }
        (Expr::AllOf(exprs), false) | (Expr::AnyOf(exprs), true) => {
            let mut product = vec![Vec::new()];
            for choices in each(exprs)? {
                let mut next = Vec::new();
                for before in &product {
                    for choice in &choices {
                        next.push([before.as_slice(), choice.as_slice()].concat());
                    }
                }
                product = next;
            }
            Some(product)
        }
        (Expr::Leaf(Leaf::Authenticated), false) => Some(vec![Vec::new()]),
        (Expr::Leaf(leaf), false) => Some(vec![vec![(leaf.clone(), false)]]),
        (Expr::Leaf(leaf), true) => match leaf {
            Leaf::Role(_) => Some(vec![vec![(leaf.clone(), true)]]),
            Leaf::Claim { test: Test::Exists | Test::Absent, .. } => None,
            Leaf::Claim { .. } => Some(vec![vec![(leaf.clone(), true)]]),
            _ => None,
        },
    }
}

/// Whether the expression can't be written: each part of it must be possible, too.
fn is_mistake(expr: &Expr) -> bool {
    let parts_fail = match expr {
        Expr::AllOf(exprs) | Expr::AnyOf(exprs) => exprs.is_empty() || exprs.iter().any(is_mistake),
        Expr::Not(expr) => is_mistake(expr),
        Expr::Leaf(_) => false,
    };
    parts_fail
        || match alternatives(expr, false) {
            None => true,
            Some(branches) => {
                let made = matches!(expr, Expr::AllOf(_) | Expr::AnyOf(_) | Expr::Not(_));
                branches.len() > 64
                    || (made && branches.iter().any(|own| login(own).0 == Some(vec![])))
            }
        }
}

/// A number as its exact decimal text.
fn decimal(number: &serde_json::Number) -> String {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(number), ..) => number.to_string(),
        (_, Some(number), _) => number.to_string(),
        (.., Some(0.0)) => "0".to_owned(),
        (.., Some(number)) if number.fract() == 0.0 => format!("{number:.0}"),
        (.., number) => format!("{number:?}"),
    }
}

/// `None` if the two are of different types.
fn same(wanted: &Value, own: &Value) -> Option<bool> {
    match (wanted, own) {
        (Value::String(wanted), Value::String(own)) => Some(wanted == own),
        (Value::Bool(wanted), Value::Bool(own)) => Some(wanted == own),
        (Value::Number(wanted), Value::Number(own)) => Some(decimal(wanted) == decimal(own)),
        _ => None,
    }
}

/// Whether the claim passes, or passes the negated test.
fn claim_passes(claims: &Map<String, Value>, path: &Path, test: &Test, negated: bool) -> bool {
    let claims = Value::Object(claims.clone());
    let own = match path {
        Path::Name(name) => claims.get(*name),
        Path::Pointer(pointer) => claims.pointer(pointer),
    };
    let Some(own) = own.filter(|own| !own.is_null()) else {
        return *test == Test::Absent
            && !matches!(path, Path::Pointer(own) if !leads_on(own, &claims));
    };
    match test {
        Test::Exists => true,
        Test::Absent => false,
        Test::Equals(wanted) => same(wanted, own) == Some(!negated),
        Test::OneOf(wanted) => {
            let known: Vec<_> = wanted.iter().filter_map(|wanted| same(wanted, own)).collect();
            !known.is_empty() && known.contains(&true) != negated
        }
        Test::Contains(wanted) => match own.as_array() {
            None => false,
            Some(own) if negated => own.iter().all(|own| same(wanted, own) == Some(false)),
            Some(own) => own.iter().any(|own| same(wanted, own) == Some(true)),
        },
    }
}

/// Whether each value on the way of a pointer that leads to nothing could have the next one: it is an
/// object, absent, null, or an array that is asked for an index.
fn leads_on(pointer: &str, claims: &Value) -> bool {
    let cuts = pointer.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
    cuts.clone().all(|at| match claims.pointer(&pointer[..at]) {
        None | Some(Value::Null | Value::Object(_)) => true,
        Some(Value::Array(_)) => {
            let name = pointer[at + 1..].split('/').next().unwrap_or_default();
            let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
            digits && (name == "0" || !name.starts_with('0'))
        }
        Some(_) => false,
    })
}

fn implied(scope: &str) -> Vec<&str> {
    let below = IMPLIES.iter().filter(|(own, _)| *own == scope).flat_map(|(_, below)| *below);
    [scope].into_iter().chain(below.flat_map(|below| implied(below))).collect()
}

fn grants_details(
    entry: &Value,
    kind: &str,
    with: &[(&str, Vec<Value>)],
    ignoring: &[&str],
) -> bool {
    let Some(entry) = entry.as_object() else { return false };
    let located = match entry.get("locations") {
        None => true,
        Some(Value::Array(places)) => places.contains(&json!(OWN)),
        Some(_) => false,
    };
    let known = |name: &String| {
        ["type", "locations"].contains(&name.as_str())
            || with.iter().any(|(own, _)| own == name)
            || ignoring.contains(&name.as_str())
    };
    let holds = |own: &Value, wanted: &Value| match own {
        Value::Array(own) => own.iter().any(|own| same(wanted, own) == Some(true)),
        own => same(wanted, own) == Some(true),
    };
    entry.get("type") == Some(&json!(kind))
        && located
        && entry.keys().all(known)
        && with.iter().all(|(name, wanted)| {
            entry.get(*name).is_some_and(|own| wanted.iter().all(|wanted| holds(own, wanted)))
        })
}

fn meets((leaf, negated): &Condition, token: &Token) -> bool {
    let recent = |time: Option<f64>, seconds: u64| {
        time.is_some_and(|time| {
            let age = NOW as f64 - time;
            age <= seconds as f64 && age >= -60.0
        })
    };
    let is_user = matches!(token.actor, Actor::User);
    match leaf {
        Leaf::Authenticated => true,
        Leaf::Scope(scope) => token.scope.iter().any(|own| implied(own).contains(scope)),
        Leaf::Role(role) if *negated => {
            token.roles.0 == RoleList::Complete && !token.roles.1.contains(role)
        }
        Leaf::Role(role) => token.roles.1.contains(role),
        Leaf::Claim { path, test } => claim_passes(&token.claims, path, test, *negated),
        Leaf::User => is_user,
        Leaf::Client => matches!(token.actor, Actor::Client),
        Leaf::Acr(values) => token.acr.is_some_and(|acr| values.contains(&acr)),
        Leaf::MaxAge(seconds) => recent(token.auth_time, *seconds),
        Leaf::TokenAge(seconds) => recent(token.iat, *seconds),
        Leaf::ClientId(issuer, client) => token.issuer == *issuer && token.client == Some(client),
        Leaf::Subject(issuer, subject) => {
            token.issuer == *issuer && is_user && token.subject == Some(subject)
        }
        Leaf::Issuer(issuer) => token.issuer == *issuer,
        Leaf::Audience(audience) => match token.claims.get("aud") {
            Some(Value::String(own)) => own == audience,
            Some(Value::Array(own)) => own.contains(&json!(audience)),
            _ => false,
        },
        Leaf::SenderConstrained => token.bound.is_some(),
        Leaf::KeyBound => token.bound == Some(true),
        Leaf::Details { kind, with, ignoring } => {
            let entries = token.claims.get("authorization_details").and_then(Value::as_array);
            entries.is_some_and(|entries| {
                entries.iter().any(|entry| grants_details(entry, kind, with, ignoring))
            })
        }
    }
}

/// The scopes of a branch, in their order, each once.
fn scopes(branch: &[Condition]) -> Vec<String> {
    let mut scopes = Vec::new();
    for (leaf, _) in branch {
        if let Leaf::Scope(scope) = leaf
            && !scopes.contains(&(*scope).to_owned())
        {
            scopes.push((*scope).to_owned());
        }
    }
    scopes
}

/// The values of `acr` that all conditions of a branch accept, and the shortest age.
fn login(branch: &[Condition]) -> (Option<Vec<String>>, Option<u64>) {
    let lists: Vec<_> = branch
        .iter()
        .filter_map(|(leaf, _)| if let Leaf::Acr(values) = leaf { Some(values) } else { None })
        .collect();
    let values = lists.first().map(|first| {
        let accepted = first.iter().filter(|value| lists.iter().all(|list| list.contains(value)));
        accepted.map(|value| (*value).to_owned()).collect()
    });
    let ages = branch.iter().filter_map(|(leaf, _)| match leaf {
        Leaf::MaxAge(seconds) => Some(*seconds),
        _ => None,
    });
    (values, ages.min())
}

fn heals(leaf: &Leaf) -> usize {
    match leaf {
        Leaf::Scope(_) => 0,
        Leaf::Acr(_) | Leaf::MaxAge(_) => 1,
        Leaf::Audience(_) | Leaf::TokenAge(_) | Leaf::SenderConstrained | Leaf::KeyBound => 2,
        _ => 3,
    }
}

fn expected(branches: &[Vec<Condition>], token: &Token) -> Told {
    let missing: Vec<Vec<Condition>> = branches
        .iter()
        .map(|branch| branch.iter().filter(|own| !meets(own, token)).cloned().collect())
        .collect();
    if missing.iter().any(Vec::is_empty) {
        return Told::Passes;
    }
    let only = |most: usize| {
        let within = move |own: &Vec<Condition>| own.iter().all(|(leaf, _)| heals(leaf) <= most);
        missing.iter().enumerate().filter(move |(_, own)| within(own)).map(|(at, _)| at)
    };
    if let Some(fewest) = only(0).map(|at| scopes(&missing[at]).len()).min() {
        let at = only(0).find(|at| scopes(&missing[*at]).len() == fewest).unwrap();
        return Told::Scope(scopes(&branches[at]));
    }
    if let Some(at) = only(1).next() {
        let (values, age) = login(&branches[at]);
        return Told::Login(scopes(&branches[at]), values, age);
    }
    if only(2).next().is_some() { Told::InvalidToken } else { Told::Denied }
}

/// The scopes that a client without a token is told: those of the branch that is named to a token
/// which meets nothing.
fn invited(branches: &[Vec<Condition>]) -> Vec<String> {
    let class = |branch: &Vec<Condition>| {
        // Without conditions, a token of any kind is enough: no scope is needed.
        branch.iter().map(|(leaf, _)| heals(leaf) + 1).max().unwrap_or(0)
    };
    let best = branches.iter().map(class).min().unwrap();
    let mut of_class: Vec<_> =
        branches.iter().filter(|own| class(own) == best).map(|own| scopes(own)).collect();
    if best == 1 {
        of_class.sort_by_key(Vec::len);
    }
    of_class.remove(0)
}

#[test]
fn random_policies_judge_random_tokens_as_the_documentation_says() {
    const POLICIES: usize = 17_000;
    const TOKENS_EACH: usize = 6;

    let mut random = StdRng::seed_from_u64(13);
    let mut hierarchy = ScopeHierarchy::default();
    for (scope, below) in IMPLIES {
        let parse = |text: &&str| ScopeToken::parse(text).unwrap();
        hierarchy.add(&parse(&scope), &below.iter().map(parse).collect::<Vec<_>>());
    }
    let server = ServerId::of_test(hierarchy, Arc::new(TestClock::at(NOW)));
    let (mut pairs, mut mistakes, mut seen) = (0, 0, [0; 5]);
    let mut several_branches = 0;
    while pairs < POLICIES * TOKENS_EACH {
        let depth = random.random_range(0..4);
        let expr = expr(&mut random, depth);
        let policy = written(&expr);
        assert_eq!(policy.is_err(), is_mistake(&expr), "{expr:?}: {policy:?}");
        let Ok(policy) = policy else {
            mistakes += 1;
            continue;
        };
        let alternatives = alternatives(&expr, false).unwrap();
        let branches = policy.branches();
        assert_eq!(branches.len(), alternatives.len(), "{expr:?}");
        assert_eq!(texts(&invitation(&branches)), invited(&alternatives), "{expr:?}");
        for _ in 0..TOKENS_EACH {
            let token = token(&mut random);
            let told = found(&policy, &branches, &minted(&token, &server));
            let model = expected(&alternatives, &token);
            assert_eq!(told, model, "\npolicy: {expr:?}\ntoken: {token:?}");
            seen[match told {
                Told::Passes => 0,
                Told::Scope(_) => 1,
                Told::Login(..) => 2,
                Told::InvalidToken => 3,
                Told::Denied => 4,
            }] += 1;
            several_branches += usize::from(alternatives.len() > 1);
            pairs += 1;
        }
    }
    // What was compared is not one case again and again.
    assert!(pairs >= 100_000);
    assert!(seen.iter().all(|count| *count > pairs / 50), "{seen:?}");
    assert!(several_branches > pairs / 5 && mistakes > 500, "{several_branches} {mistakes}");
}
