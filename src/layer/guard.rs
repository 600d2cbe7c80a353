//! The requirement of a layer, with its prepared challenges.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

use crate::challenge::{BranchChallenges, Challenges};
use crate::config_error::ConfigError;
use crate::error::Error;
use crate::policy::{Branch, Lookup, Requirement, Unmet, invitation, typed};
use crate::rejection::{Refusal, challenges_of};
use crate::server::ResourceServer;
use crate::server_id::ServerId;
use crate::token::{AccessToken, AnyToken, Excerpt};

/// What a layer requires in addition to a valid token.
pub(crate) enum Guard<C> {
    Fixed(Box<Fixed<C>>),
    /// The requirement depends on the request.
    ByRequest(Rule<C>),
}

/// What to wait for before a request passes.
#[derive(Default)]
pub(crate) struct Lookups {
    pub(crate) each: Vec<Lookup>,
    /// Whether a lookup that refuses is answered 404 instead of 403.
    pub(crate) hidden: bool,
}

/// A requirement that is the same for all requests. Its challenges are built once.
pub(crate) struct Fixed<C> {
    requirement: Requirement<C>,
    branches: Vec<Branch>,
    /// The challenges of each branch, in the same order.
    by_branch: Vec<Option<BranchChallenges>>,
    /// The challenges for a request without a valid token.
    challenges: Challenges,
}

/// Makes the requirement for a request.
pub(crate) type Rule<C> = Arc<
    dyn Fn(&Parts, &AccessToken<C>) -> Result<Requirement<C>, ConfigError> + Send + Sync + 'static,
>;

impl<C> Guard<C> {
    pub(crate) fn fixed<R>(requirement: Requirement<C>, server: &ResourceServer<C, R>) -> Self {
        let branches = requirement.branches();
        let by_branch = branches.iter().map(|branch| challenges_of(branch, server.id())).collect();
        let challenges = server.challenges_for(&invitation(&branches));
        Self::Fixed(Box::new(Fixed { requirement, branches, by_branch, challenges }))
    }

    /// The challenges for a request without a valid token, if they name scopes of the route.
    pub(crate) fn challenges(&self) -> Option<&Challenges> {
        match self {
            Self::Fixed(fixed) => Some(&fixed.challenges),
            Self::ByRequest(_) => None,
        }
    }

    /// Whether the authorization server must be asked at each request.
    pub(crate) fn asks_now(&self) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.requirement.asks_now(),
            Self::ByRequest(_) => false,
        }
    }

    /// Whether the decision needs the head of the request.
    pub(crate) fn reads_request(&self) -> bool {
        match self {
            Self::Fixed(fixed) => fixed.requirement.reads_request(),
            Self::ByRequest(_) => true,
        }
    }
}

impl<C: Send + Sync + 'static> Guard<C> {
    /// Returns the lookups that the caller must wait for.
    ///
    /// # Errors
    /// The refusal, not yet reported to the log.
    pub(crate) fn evaluate(
        &self,
        token: &AnyToken,
        parts: Option<&Parts>,
        server: &ServerId,
    ) -> Result<Lookups, Refusal> {
        match self {
            Self::Fixed(fixed) => fixed.evaluate(token, parts, server),
            Self::ByRequest(rule) => by_request(rule, token, parts, server),
        }
    }
}

impl<C> Fixed<C> {
    fn evaluate(
        &self,
        token: &AnyToken,
        parts: Option<&Parts>,
        server: &ServerId,
    ) -> Result<Lookups, Refusal> {
        let hidden = self.requirement.is_hidden();
        match self.requirement.evaluate(token, parts, &self.branches) {
            Ok(each) => Ok(Lookups { each, hidden }),
            Err(unmet) => {
                let branch = unmet.branch.and_then(|index| self.by_branch.get(index)?.as_ref());
                Err(Refusal::unmet(unmet, server, branch, hidden))
            }
        }
    }
}

fn by_request<C: Send + Sync + 'static>(
    rule: &Rule<C>,
    token: &AnyToken,
    parts: Option<&Parts>,
    server: &ServerId,
) -> Result<Lookups, Refusal> {
    let refuse = |error| Refusal::unmet(Unmet::of(error), server, None, false);
    let wiring = |fix: &'static str| refuse(Error::Wiring { fix: fix.into() });
    // The caller passes the head of the request wherever `reads_request` is true.
    let parts = parts.ok_or_else(|| wiring("the rule of `require_with` got no request"))?;
    let typed = typed(token).map_err(refuse)?;
    let requirement = rule(parts, &typed).map_err(|error| {
        let problem =
            format!("a policy that can be made from the request: {}", error.problems().join("; "));
        refuse(Error::AccessDenied { requires: Excerpt::of(&problem) })
    })?;
    if requirement.asks_now() {
        return Err(wiring(
            "`introspected_now` in the requirement of `require_with`, which can't ask for it: add \
             `.require(introspected_now())` around the route",
        ));
    }
    match requirement.evaluate(token, Some(parts), &[]) {
        Ok(each) => Ok(Lookups { each, hidden: requirement.is_hidden() }),
        Err(unmet) => Err(Refusal::of_requirement(unmet, server, &requirement)),
    }
}

impl<C> fmt::Debug for Guard<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(fixed) => f
                .debug_struct("Guard")
                .field("requirement", &fixed.requirement)
                .field("challenges", &fixed.challenges)
                .finish(),
            Self::ByRequest(_) => f.write_str("Guard(by request)"),
        }
    }
}
