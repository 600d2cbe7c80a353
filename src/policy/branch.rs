//! The branches of a policy. A branch is a set of conditions that together suffice.
//!
//! A refusal is about one branch, so that the client does not request more than it needs. This module
//! decides which branch, and what the client needs to meet it:
//!
//! 1. if some branches lack only scopes: the first of those with the fewest missing scopes;
//! 2. otherwise the first branch that lacks only a login, or a login and scopes. The challenge asks for
//!    the login (RFC 9470) and also names the scopes of the branch;
//! 3. otherwise the first branch that another token can meet, for example a token for another audience;
//! 4. otherwise the first branch. Nothing that the client can request would help.

use std::sync::Arc;

use crate::challenge::StepUp;
use crate::error::Error;
use crate::policy::leaf::{Judged, Leaf, Remedy, insufficient_scope};
use crate::token::ScopeToken;

/// The largest number of branches of a policy. Each `any_of` in an `all_of` multiplies the number of
/// branches.
pub(crate) const MAX_BRANCHES: usize = 64;

/// Conditions that together suffice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Branch {
    pub(super) leaves: Vec<Arc<Leaf>>,
}

/// A policy is not met.
#[derive(Debug)]
pub(crate) struct Unmet {
    pub(crate) error: Error,
    /// The branch that the challenge names. `None` if scopes and a login would not be enough.
    pub(crate) branch: Option<usize>,
    /// Whether a new login alone would be enough.
    pub(crate) login_is_enough: bool,
}

impl Unmet {
    /// An error after which neither a scope nor a login would help.
    pub(crate) fn of(error: Error) -> Self {
        Self { error, branch: None, login_is_enough: false }
    }
}

impl Branch {
    /// The scopes of the branch, each once.
    pub(crate) fn scopes(&self) -> Vec<ScopeToken> {
        let mut scopes = Vec::new();
        for leaf in &self.leaves {
            if let Leaf::Scope(scope) = &**leaf
                && !scopes.contains(scope)
            {
                scopes.push(scope.clone());
            }
        }
        scopes
    }

    /// The types of `authorization_details` that the branch requires, each once.
    pub(crate) fn details_types(&self) -> Vec<&str> {
        let mut types = Vec::new();
        for leaf in &self.leaves {
            if let Leaf::Details(details) = &**leaf
                && !types.contains(&&*details.kind)
            {
                types.push(&*details.kind);
            }
        }
        types
    }

    /// The login that the branch requires: the values of `acr` that meet all conditions on `acr`, and
    /// the shortest `max_age`. `None` if the branch has no such condition.
    pub(crate) fn step_up(&self) -> Option<StepUp> {
        let mut step_up = None::<StepUp>;
        for leaf in &self.leaves {
            match &**leaf {
                Leaf::Acr(values) => {
                    let step_up = step_up.get_or_insert_default();
                    match &mut step_up.acr_values {
                        Some(all) => all.retain(|own| values.iter().any(|value| **value == **own)),
                        None => {
                            step_up.acr_values =
                                Some(values.iter().map(|own| own.to_string()).collect())
                        }
                    }
                }
                Leaf::MaxAge(seconds) => {
                    let step_up = step_up.get_or_insert_default();
                    let shortest = step_up.max_age.map_or(*seconds, |own| own.min(*seconds));
                    step_up.max_age = Some(shortest);
                }
                _ => {}
            }
        }
        step_up
    }

    /// Whether no token can meet the branch, because its conditions on `acr` exclude each other.
    pub(super) fn is_impossible(&self) -> bool {
        self.step_up()
            .and_then(|step_up| step_up.acr_values)
            .is_some_and(|values| values.is_empty())
    }

    fn unmet<'b>(&'b self, judged: &Judged<'_>) -> Vec<&'b Leaf> {
        self.leaves.iter().map(|leaf| &**leaf).filter(|leaf| !leaf.allows(judged)).collect()
    }
}

/// The scopes that a client should request before it has a token: the scopes of the branch that would be
/// chosen for a token that meets none of the conditions.
pub(crate) fn invitation(branches: &[Branch]) -> Vec<ScopeToken> {
    let rank = |branch: &&Branch| {
        let remedy = branch.leaves.iter().map(|leaf| leaf.remedy()).max();
        let scopes = branch.scopes().len();
        (remedy, if remedy == Some(Remedy::Scope) { scopes } else { 0 })
    };
    branches.iter().min_by_key(rank).map(Branch::scopes).unwrap_or_default()
}

/// Explains the refusal of a token that meets no branch: see the list at the top of this module.
pub(super) fn explain(branches: &[Branch], judged: &Judged<'_>) -> Unmet {
    let mut best: Option<(Remedy, usize, usize)> = None;
    for (index, branch) in branches.iter().enumerate() {
        let unmet = branch.unmet(judged);
        let remedy = unmet.iter().map(|leaf| leaf.remedy()).max().unwrap_or(Remedy::Nothing);
        // Only the number of missing scopes makes a later branch better than an earlier one.
        let missing = match remedy {
            Remedy::Scope => missing_scopes(&unmet),
            Remedy::Login | Remedy::Token | Remedy::Nothing => 0,
        };
        if best.is_none_or(|(best, count, _)| (remedy, missing) < (best, count)) {
            best = Some((remedy, missing, index));
        }
    }
    let Some((remedy, _, index)) = best else { return Unmet::of(denied()) };
    let Some(branch) = branches.get(index) else { return Unmet::of(denied()) };
    let unmet = branch.unmet(judged);
    match remedy {
        Remedy::Scope => Unmet {
            branch: Some(index),
            ..Unmet::of(insufficient_scope(&branch.scopes(), judged.facts))
        },
        Remedy::Login => Unmet {
            error: step_up(branch, judged),
            branch: Some(index),
            login_is_enough: unmet.iter().all(|leaf| leaf.remedy() == Remedy::Login),
        },
        Remedy::Token | Remedy::Nothing => {
            let cause = unmet.into_iter().find(|leaf| leaf.remedy() == remedy);
            Unmet::of(cause.map_or_else(denied, |leaf| leaf.error(judged)))
        }
    }
}

/// The number of different scopes that are missing.
fn missing_scopes(unmet: &[&Leaf]) -> usize {
    let mut missing: Vec<&ScopeToken> = Vec::new();
    for leaf in unmet {
        if let Leaf::Scope(scope) = leaf
            && !missing.contains(&scope)
        {
            missing.push(scope);
        }
    }
    missing.len()
}

fn step_up(branch: &Branch, judged: &Judged<'_>) -> Error {
    let StepUp { acr_values, max_age } = branch.step_up().unwrap_or_default();
    Error::InsufficientUserAuthentication {
        acr_values: acr_values.map(|values| values.join(" ").into()),
        max_age,
        auth_time: judged.facts.authenticated_at,
    }
}

/// The error if no unmet condition is found. This cannot happen: a policy refuses a token only if each
/// branch has an unmet condition.
fn denied() -> Error {
    Error::AccessDenied { requires: crate::token::Excerpt::of("another token") }
}
