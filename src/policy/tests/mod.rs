//! Policies and requirements on facts.

mod model;
mod tables;

use std::sync::Arc;

use super::*;
use crate::clock::TestClock;
use crate::error::Error;
use crate::policy::check::wrong_claims_type;
use crate::policy::expression::scope;
use crate::server_id::ServerId;
use crate::token::{AccessToken, AnyToken, Claims, Facts, Payload, ScopeHierarchy};

fn evaluate<C>(requirement: &Requirement<C>, token: &AnyToken) -> Result<(), Error> {
    match requirement.evaluate(token, None, &[]) {
        Ok(lookups) => {
            assert!(lookups.is_none());
            Ok(())
        }
        Err(unmet) => Err(unmet.error),
    }
}

fn token(scope: &str) -> AnyToken {
    let clock = Arc::new(TestClock::at(1_790_000_000));
    let server = ServerId::of_test(ScopeHierarchy::default(), clock);
    AccessToken::new(Facts::of_test(scope), Payload::default(), server, ()).into()
}

#[test]
fn another_type_of_claims_is_told_by_names_that_the_api_can_write() {
    let error = wrong_claims_type::<Claims>(&token("a")).to_string();
    assert!(error.contains("reads claims of type `()`"), "{error}");
    assert!(error.contains("asks for `tower_resource_server::Claims`"), "{error}");
    assert!(error.contains("write `AccessToken<()>` there"), "{error}");
    let error = wrong_claims_type::<u8>(&token("a")).to_string();
    assert!(error.contains("or `.claims::<u8>()` on the builder"), "{error}");
}

#[test]
fn several_scopes_in_one_text_are_told_how_to_be_written() {
    assert!(Policy::try_scope("a").is_ok());
    let error = Policy::try_scope("a b").err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|text| text.contains("all_of([..])")), "{error:?}");
}

#[test]
fn expressions() {
    let nested = any_of([all_of(["a", "b"]), scope("root")]);
    for (name, policy, held, good) in [
        ("scope", scope("a"), "b a", true),
        ("scope missing", scope("a"), "b", false),
        ("no scope at all", scope("a"), "", false),
        ("all", all_of(["a", "b"]), "b a", true),
        ("all but one", all_of(["a", "b"]), "a", false),
        ("any", any_of(["a", "b"]), "b", true),
        ("none of any", any_of(["a", "b"]), "c", false),
        ("nested, left", nested.clone(), "a b", true),
        ("nested, right", nested.clone(), "root", true),
        ("nested, half", nested, "a", false),
        ("any token", authenticated(), "", true),
    ] {
        let requirement: Requirement<()> = Requirement::from(policy);
        assert_eq!(evaluate(&requirement, &token(held)).is_ok(), good, "{name}");
    }
}

#[test]
fn a_branch_names_each_scope_once() {
    let requirement: Requirement<()> = Requirement::from(all_of(["a", "b", "a"]));
    let branches = requirement.branches();
    let scopes: Vec<_> = branches[0].scopes().iter().map(ToString::to_string).collect();
    assert_eq!((branches.len(), scopes), (1, vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn a_check_can_refuse_and_never_admit() {
    let refuse = scope("a").and_check(|_: &AccessToken<()>| false);
    let refused = evaluate(&refuse, &token("a"));
    assert!(matches!(refused, Err(Error::AccessDenied { .. })), "{refused:?}");
    let admit = scope("a").and_check(|_: &AccessToken<()>| true);
    assert_eq!(evaluate(&admit, &token("a")), Ok(()));
    let refused = evaluate(&admit, &token("b"));
    assert!(matches!(refused, Err(Error::InsufficientScope { .. })), "{refused:?}");
}

#[test]
#[should_panic(expected = "all_of: ")]
fn nothing_is_asked_by_accident() {
    let _ = all_of::<Policy>([]);
}

#[test]
#[should_panic(expected = "scope(\"a b\")")]
fn a_scope_that_is_none_panics_where_it_is_written() {
    let _ = scope("a b");
}
