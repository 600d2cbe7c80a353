//! Expressions over the scope and the principal of a token.

use crate::config_error::ConfigError;
use crate::token::{Facts, InvalidScope, Principal, ScopeToken};

/// A requirement on the scope and the principal of a token.
#[derive(Clone, Debug)]
pub struct Policy(pub(super) Node);

#[derive(Clone, Debug)]
pub(super) enum Node {
    Authenticated,
    Scope(ScopeToken),
    User,
    AllOf(Vec<Node>),
    AnyOf(Vec<Node>),
}

/// Requires one scope token.
///
/// # Panics
/// If `token` is not a scope token (RFC 6749 §3.3). For text from outside the program, use
/// [`Policy::try_scope`].
#[track_caller]
#[allow(clippy::panic, reason = "a mistake in the API's code, at start-up, as in axum's `route`")]
pub fn scope(token: &str) -> Policy {
    match Policy::try_scope(token) {
        Ok(policy) => policy,
        Err(error) => panic!("scope({token:?}): {error}"),
    }
}

/// Requires all of `policies`. A `&str` is a scope.
///
/// A [`Requirement`](crate::policy::Requirement) is not a policy, so it cannot be in `policies`. Add the check
/// to the whole policy, as in `all_of(["a", "b"]).and_check(..)`.
///
/// # Panics
/// If `policies` is empty, or a text is not a scope token.
#[track_caller]
pub fn all_of<P: Into<Policy>>(policies: impl IntoIterator<Item = P>) -> Policy {
    Policy(Node::AllOf(nodes("all_of", policies)))
}

/// Requires at least one of `policies`. A `&str` is a scope.
///
/// A [`Requirement`](crate::policy::Requirement) is not a policy, so it cannot be in `policies`: a check can
/// refuse a request, but cannot grant access. Add the check to the whole policy, as in
/// `any_of(["a", "b"]).and_check(..)`.
///
/// # Panics
/// If `policies` is empty, or a text is not a scope token.
#[track_caller]
pub fn any_of<P: Into<Policy>>(policies: impl IntoIterator<Item = P>) -> Policy {
    Policy(Node::AnyOf(nodes("any_of", policies)))
}

/// Requires any valid token. Behind an optional layer, it refuses anonymous requests.
pub fn authenticated() -> Policy {
    Policy(Node::Authenticated)
}

/// Requires a token of a user. A token that a client has on its own behalf is refused (RFC 9068 §5). A
/// token that does not show who acts is also refused. The log then names the settings that help.
pub fn user() -> Policy {
    Policy(Node::User)
}

#[track_caller]
fn nodes<P: Into<Policy>>(name: &str, policies: impl IntoIterator<Item = P>) -> Vec<Node> {
    let mut nodes = Vec::new();
    // Not `map`: only with a loop is a panic of `into` reported at the caller's line.
    for policy in policies {
        nodes.push(policy.into().0);
    }
    assert!(!nodes.is_empty(), "{name} of nothing would ask for nothing; see `authenticated`");
    nodes
}

impl Policy {
    /// As [`scope`], for text from outside the program.
    ///
    /// # Errors
    /// If `token` is not a scope token (RFC 6749 §3.3).
    pub fn try_scope(token: &str) -> Result<Self, InvalidScope> {
        ScopeToken::parse(token).map(|token| Self(Node::Scope(token)))
    }

    pub(super) fn scopes(&self) -> Vec<ScopeToken> {
        let mut scopes = Vec::new();
        self.0.collect_scopes(&mut scopes);
        scopes
    }
}

impl Node {
    pub(super) fn allows(&self, facts: &Facts) -> bool {
        match self {
            Self::Authenticated => true,
            Self::Scope(token) => facts.scope.contains(token.as_str()),
            Self::User => is_user(facts),
            Self::AllOf(nodes) => nodes.iter().all(|node| node.allows(facts)),
            Self::AnyOf(nodes) => nodes.iter().any(|node| node.allows(facts)),
        }
    }

    /// Whether a token with all scopes would satisfy this part of the policy. If not, a missing scope is
    /// not the cause of the refusal.
    pub(super) fn allows_with_all_scopes(&self, facts: &Facts) -> bool {
        match self {
            Self::Authenticated | Self::Scope(_) => true,
            Self::User => is_user(facts),
            Self::AllOf(nodes) => nodes.iter().all(|node| node.allows_with_all_scopes(facts)),
            Self::AnyOf(nodes) => nodes.iter().any(|node| node.allows_with_all_scopes(facts)),
        }
    }

    fn collect_scopes(&self, scopes: &mut Vec<ScopeToken>) {
        match self {
            Self::Authenticated | Self::User => {}
            Self::Scope(token) if scopes.contains(token) => {}
            Self::Scope(token) => scopes.push(token.clone()),
            Self::AllOf(nodes) | Self::AnyOf(nodes) => {
                for node in nodes {
                    node.collect_scopes(scopes);
                }
            }
        }
    }
}

fn is_user(facts: &Facts) -> bool {
    matches!(facts.principal(), Principal::User { .. })
}

impl From<&str> for Policy {
    /// # Panics
    /// As [`scope`].
    #[track_caller]
    fn from(token: &str) -> Self {
        scope(token)
    }
}

/// Requires all of these scopes.
impl<const N: usize> From<[&str; N]> for Policy {
    /// # Panics
    /// As [`all_of`].
    #[track_caller]
    fn from(tokens: [&str; N]) -> Self {
        all_of(tokens)
    }
}

impl TryFrom<String> for Policy {
    type Error = ConfigError;

    fn try_from(token: String) -> Result<Self, ConfigError> {
        Self::try_scope(&token)
            .map_err(|error| ConfigError::one(format!("scope `{}`: {error}", token.escape_debug())))
    }
}
