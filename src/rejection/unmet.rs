//! The refusal of a token that does not meet a requirement.

use crate::challenge::BranchChallenges;
use crate::policy::{Branch, Requirement, Unmet};
use crate::rejection::Refusal;
use crate::scheme::Scheme;
use crate::server_id::ServerId;

impl Refusal {
    /// `branch` has the prepared challenges of the branch that the refusal names. Without a branch, the challenge names
    /// no scope, because another scope would not help.
    pub(crate) fn unmet(
        unmet: Unmet,
        server: &ServerId,
        scheme: Scheme,
        branch: Option<&BranchChallenges>,
        hidden: bool,
    ) -> Self {
        let hidden = hidden && !unmet.login_is_enough;
        let refusal = Self::of_branch(unmet.error, &server.without_scope, scheme, branch);
        if hidden { refusal.hidden() } else { refusal }
    }

    /// The same for a requirement whose challenges were not prepared.
    pub(crate) fn of_requirement<C>(
        unmet: Unmet,
        server: &ServerId,
        scheme: Scheme,
        requirement: &Requirement<C>,
    ) -> Self {
        let branches = requirement.branches();
        let branch = unmet.branch.and_then(|index| branches.get(index));
        let branch = branch.and_then(|branch| challenges_of(branch, server));
        Self::unmet(unmet, server, scheme, branch.as_ref(), requirement.is_hidden())
    }
}

/// The challenges of one branch. This cannot fail: `build` has checked the configuration, and the types
/// have checked the scopes and the values of `acr`.
pub(crate) fn challenges_of(branch: &Branch, server: &ServerId) -> Option<BranchChallenges> {
    let step_up = branch.step_up();
    BranchChallenges::build(&server.challenge, &branch.scopes(), step_up.as_ref()).ok()
}
