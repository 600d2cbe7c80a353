//! A requirement that is the same for all requests to a layer, or to an entry in a table of routes.
//!
//! A policy has one or more branches. A branch is a set of conditions. A token meets the policy if it
//! meets all conditions of at least one branch.

use http::request::Parts;

use crate::challenge::{BranchChallenges, Challenges};
use crate::policy::{Branch, Lookups, Requirement, invitation};
use crate::rejection::{Refusal, challenges_of};
use crate::server::ResourceServer;
use crate::server_id::ServerId;
use crate::token::AnyToken;

/// A requirement that is the same for all requests. The challenges are built once, with the layer.
pub(crate) struct Fixed<C> {
    pub(crate) requirement: Requirement<C>,
    branches: Vec<Branch>,
    /// The challenges of each branch, in the order of `branches`. If the token lacks a scope, or if the login is not
    /// recent or strong enough, the client gets the challenges of one branch: the branch
    /// that the client can meet with more scopes or, if there is no such branch, with a new login.
    by_branch: Vec<Option<BranchChallenges>>,
    /// The challenges for a request without a valid token.
    pub(crate) challenges: Challenges,
}

impl<C> Fixed<C> {
    pub(crate) fn new<R>(requirement: Requirement<C>, server: &ResourceServer<C, R>) -> Self {
        if requirement.asks_now() {
            server.keep_tokens();
        }
        let branches = requirement.branches();
        let by_branch = branches.iter().map(|branch| challenges_of(branch, server.id())).collect();
        let challenges = server.challenges_for(&invitation(&branches));
        Self { requirement, branches, by_branch, challenges }
    }

    #[inline]
    pub(crate) fn evaluate(
        &self,
        token: &AnyToken,
        parts: Option<&Parts>,
        server: &ServerId,
    ) -> Result<Option<Box<Lookups>>, Refusal> {
        self.requirement.evaluate(token, parts, &self.branches).map_err(|unmet| {
            let branch = unmet.branch.and_then(|index| self.by_branch.get(index)?.as_ref());
            let scheme = token.facts().scheme();
            Refusal::unmet(unmet, server, scheme, branch, self.requirement.is_hidden())
        })
    }
}
