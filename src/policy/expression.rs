//! An expression over the scope and the principal of a token.

use crate::config_error::ConfigError;
use crate::token::{Facts, InvalidScope, Principal, ScopeToken};

/// What a route asks of the scope and the principal of a token.
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

/// Asks for one scope token.
///
/// # Panics
/// When `token` is no scope token (RFC 6749 §3.3); see [`Policy::try_scope`] for text from outside.
#[track_caller]
#[allow(clippy::panic, reason = "a mistake in the API's own text, at start-up, as axum's `route`")]
pub fn scope(token: &str) -> Policy {
    match Policy::try_scope(token) {
        Ok(policy) => policy,
        Err(error) => panic!("scope({token:?}): {error}"),
    }
}

/// Asks for everything in `policies`; `&str` stands for a scope.
///
/// A [`Requirement`](crate::Requirement) is not a policy, so it cannot be in `policies`: add the check to the whole, as
/// in `all_of(["a", "b"]).and_check(..)`.
///
/// # Panics
/// When `policies` is empty, or a text is no scope token.
#[track_caller]
pub fn all_of<P: Into<Policy>>(policies: impl IntoIterator<Item = P>) -> Policy {
    Policy(Node::AllOf(nodes("all_of", policies)))
}

/// Asks for at least one of `policies`; `&str` stands for a scope.
///
/// A [`Requirement`](crate::Requirement) is not a policy, so it cannot be in `policies`: a check can refuse a request but
/// not let one through. Add it to the whole, as in `any_of(["a", "b"]).and_check(..)`.
///
/// # Panics
/// When `policies` is empty, or a text is no scope token.
#[track_caller]
pub fn any_of<P: Into<Policy>>(policies: impl IntoIterator<Item = P>) -> Policy {
    Policy(Node::AnyOf(nodes("any_of", policies)))
}

/// Asks for any valid token; behind an optional layer it refuses anonymous requests.
pub fn authenticated() -> Policy {
    Policy(Node::Authenticated)
}

/// Asks for a token of a user: one of a client on its own behalf is refused (RFC 9068 §5), and so is
/// one of which nothing tells who acts. For the second, the log names the settings that would tell.
pub fn user() -> Policy {
    Policy(Node::User)
}

#[track_caller]
fn nodes<P: Into<Policy>>(name: &str, policies: impl IntoIterator<Item = P>) -> Vec<Node> {
    let mut nodes = Vec::new();
    // A loop and not `map`, so that a panic of `into` is reported at the caller's line.
    for policy in policies {
        nodes.push(policy.into().0);
    }
    assert!(!nodes.is_empty(), "{name} of nothing would ask for nothing; see `authenticated`");
    nodes
}

impl Policy {
    /// As [`scope`], for text that comes from outside the program.
    ///
    /// # Errors
    /// When `token` is no scope token (RFC 6749 §3.3).
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

    /// Whether every scope of the world would satisfy the node: if not, scope is not the cause.
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

/// All of these scopes.
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
