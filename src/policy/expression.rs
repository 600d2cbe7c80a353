//! Expressions over conditions.

use std::sync::Arc;
use std::time::Duration;

use crate::config_error::ConfigError;
use crate::policy::branch::{Branch, MAX_BRANCHES};
use crate::policy::leaf::{Judged, Leaf};
use crate::policy::node::{All, Node};
use crate::token::{InvalidScope, ScopeToken};

/// An expression over conditions on a token.
#[derive(Clone, Debug)]
pub struct Policy(pub(super) Node);

/// Requires one scope token.
///
/// # Panics
/// If `token` is not a scope token (RFC 6749 §3.3). For text from outside the program, use
/// [`Policy::try_scope`].
#[track_caller]
pub fn scope(token: &str) -> Policy {
    expect(&format!("scope({token:?})"), Policy::try_scope(token))
}

/// Requires all of `policies`. A `&str` is a scope.
///
/// A [`Requirement`](crate::policy::Requirement) is not a policy, so it cannot be in `policies`. Add the check
/// to the whole policy, as in `all_of(["a", "b"]).and_check(..)`.
///
/// # Panics
/// If `policies` is empty, if a text is not a scope token, if two conditions on `acr` have no common value, or
/// if the policy has more than 64 branches. Each `any_of` inside multiplies the number of branches. See
/// [`Policy::try_all_of`].
#[track_caller]
pub fn all_of<P: Into<Policy>>(policies: impl IntoIterator<Item = P>) -> Policy {
    let policies = converted(policies);
    expect("all_of", Policy::try_all_of(policies))
}

/// Requires at least one of `policies`. A `&str` is a scope.
///
/// A [`Requirement`](crate::policy::Requirement) is not a policy, so it cannot be in `policies`: a check can
/// refuse a request, but cannot grant access. Add the check to the whole policy, as in
/// `any_of(["a", "b"]).and_check(..)`.
///
/// # Panics
/// If `policies` is empty, if a text is not a scope token, or if the policy has more than 64 branches.
/// See [`Policy::try_any_of`].
#[track_caller]
pub fn any_of<P: Into<Policy>>(policies: impl IntoIterator<Item = P>) -> Policy {
    let policies = converted(policies);
    expect("any_of", Policy::try_any_of(policies))
}

/// Requires that `policy` does not hold. Only conditions on claims and roles can be negated.
///
/// `not` denies by default: a claim that is missing or of another type passes neither `claim(..)` nor
/// `not(claim(..))`. Inside `not`, `all_of` and `any_of` are exchanged: `not(any_of([a, b]))` requires both
/// `not(a)` and `not(b)`.
///
/// `not(role(..))` needs a complete list of roles. It refuses a token without a claim of roles, a token whose
/// claim has another type or is a string that may be a list, and a JWT whose introspection answer names other
/// roles.
///
/// ```
/// use tower_resource_server::policy::{all_of, claim, not, role};
/// use tower_resource_server::scope;
///
/// let policy = all_of([
///     scope("notes:write"),
///     not(claim("status").equals("suspended")),
///     not(role("guest")),
/// ]);
/// # let _ = policy;
/// ```
///
/// # Panics
/// If `policy` has a condition that is neither on a claim nor on a role, if it contains `exists()` or
/// `absent()` (write the opposite test instead), or if the negated policy has more than 64 branches. See
/// [`Policy::try_not`].
#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "it reads as the other constructors do")]
pub fn not(policy: Policy) -> Policy {
    expect("not", Policy::try_not(policy))
}

/// Requires any valid token. Behind an optional layer, it refuses anonymous requests.
pub fn authenticated() -> Policy {
    Policy(Node::Authenticated)
}

/// Requires a token of a user. It refuses a token with which a client acts on its own behalf (RFC 9068 §5). It
/// also refuses a token that does not show who acts. In this case, the log names the settings that help.
pub fn user() -> Policy {
    Policy::of(Leaf::User)
}

/// Requires a token with which a client acts on its own behalf (RFC 9068 §5). It refuses a token that does not
/// show who acts.
pub fn client() -> Policy {
    Policy::of(Leaf::Client)
}

/// Requires a role. The issuer's profile says where the roles are: see
/// [`Profile::roles_claim`](crate::Profile::roles_claim). Roles are compared as exact strings.
///
/// ```
/// use tower_resource_server::policy::{any_of, role};
/// use tower_resource_server::scope;
///
/// let policy = any_of([role("editor"), scope("notes:write")]);
/// # let _ = policy;
/// ```
///
/// # Panics
/// If `role` is empty or contains U+0000. See [`Policy::try_role`].
#[track_caller]
pub fn role(role: &str) -> Policy {
    expect(&format!("role({role:?})"), Policy::try_role(role))
}

/// Requires one of these authentication contexts (`acr`), in the order of preference (RFC 9470). A token with
/// another `acr`, or without `acr`, gets 401 `insufficient_user_authentication`.
///
/// # Panics
/// If `values` is empty, or if a value has a space or another character that a scope token can't have.
/// See [`Policy::try_acr`].
#[track_caller]
pub fn acr<'a>(values: impl IntoIterator<Item = &'a str>) -> Policy {
    expect("acr", Policy::try_acr(values))
}

/// Requires that the user logged in at most `age` ago, by the claim `auth_time` (RFC 9470). A token with an
/// older login, or without `auth_time`, gets 401 `insufficient_user_authentication`. Fractions of a second in
/// `age` are cut off. The leeway does not extend `age`. Because clocks differ, `auth_time` may be at most 60
/// seconds in the future.
pub fn max_age(age: Duration) -> Policy {
    Policy::of(Leaf::MaxAge(age.as_secs()))
}

/// Requires a token that was issued at most `age` ago, by the claim `iat`. An older token, or a token without
/// `iat`, gets 401 `invalid_token`, so that the client requests a new token. Fractions of a second in `age` are
/// cut off. The leeway does not extend `age`. Because clocks differ, `iat` may be at most 60 seconds in the
/// future.
pub fn token_age(age: Duration) -> Policy {
    Policy::of(Leaf::TokenAge(age.as_secs()))
}

/// Requires a token that this client (`client_id`) of this issuer requested, for a user or for itself. A
/// `client_id` is unique only within its issuer.
pub fn client_id(issuer: &str, client_id: &str) -> Policy {
    Policy::of(Leaf::ClientId { iss: issuer.into(), client_id: client_id.into() })
}

/// Requires a token of this user of this issuer. A subject is unique only within its issuer. A token of a
/// client that acts on its own behalf is refused even if it has the same `sub`, and so is a token that does not
/// show who acts: see [`user`].
pub fn subject(issuer: &str, subject: &str) -> Policy {
    Policy::of(Leaf::Subject { iss: issuer.into(), sub: subject.into() })
}

/// Requires a token of this issuer. `name` is the configured name of the issuer. For a tenant, `name` is the
/// tenant's own issuer name.
pub fn issuer(name: &str) -> Policy {
    Policy::of(Leaf::Issuer(name.into()))
}

/// Requires a token whose `aud` is exactly this text, or is an array that contains it. Another token gets 401
/// `invalid_token` (RFC 8707 §3). Use this condition if a route is a separate resource, such as the path of a
/// tenant.
pub fn audience(name: &str) -> Policy {
    Policy::of(Leaf::Audience(name.into()))
}

/// Requires a token that is bound to a key of the client (DPoP, RFC 9449) or to a client certificate (RFC 8705
/// §3). Another token gets 401 `invalid_token`. A stolen token of this kind is useless without the private key.
/// See the manual about [DPoP](crate::manual::dpop) and about [certificates](crate::manual::mtls).
pub fn sender_constrained() -> Policy {
    Policy::of(Leaf::SenderConstrained)
}

/// Requires a token that is bound to a key of the client (DPoP, RFC 9449). Another token gets 401
/// `invalid_token`. See the [manual](crate::manual::dpop).
pub fn dpop_bound() -> Policy {
    Policy::of(Leaf::KeyBound)
}

#[track_caller]
fn converted<P: Into<Policy>>(policies: impl IntoIterator<Item = P>) -> Vec<Policy> {
    let mut converted = Vec::new();
    // A loop instead of `map`, so that a panic of `into` is reported at the caller's line.
    for policy in policies {
        converted.push(policy.into());
    }
    converted
}

/// Panics if `result` is an error. A mistake in the API's code should end the program at start-up, as in axum's
/// `route`.
#[track_caller]
#[allow(clippy::panic, reason = "a mistake in the API's code, at start-up, as in axum's `route`")]
pub(super) fn expect<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error}"),
    }
}

pub(super) fn mistake(problem: impl Into<String>) -> ConfigError {
    ConfigError::one(problem.into())
}

impl Policy {
    pub(super) fn of(leaf: Leaf) -> Self {
        Self(Node::Leaf(Arc::new(leaf)))
    }

    /// As [`scope`], for text from outside the program.
    ///
    /// # Errors
    /// If `token` is not a scope token (RFC 6749 §3.3).
    pub fn try_scope(token: &str) -> Result<Self, InvalidScope> {
        ScopeToken::parse(token).map(|token| Self::of(Leaf::Scope(token)))
    }

    /// As [`all_of`], for policies that depend on something outside the program.
    ///
    /// # Errors
    /// The reasons for which [`all_of`] panics.
    pub fn try_all_of(policies: impl IntoIterator<Item = Self>) -> Result<Self, ConfigError> {
        Self(Node::AllOf(All::of(policies.into_iter().map(|policy| policy.0)))).checked()
    }

    /// As [`any_of`], for policies that depend on something outside the program.
    ///
    /// # Errors
    /// The reasons for which [`any_of`] panics.
    pub fn try_any_of(policies: impl IntoIterator<Item = Self>) -> Result<Self, ConfigError> {
        Self(Node::AnyOf(policies.into_iter().map(|policy| policy.0).collect())).checked()
    }

    /// As [`not`], for policies that depend on something outside the program.
    ///
    /// # Errors
    /// The reasons for which [`not`] panics.
    #[allow(clippy::needless_pass_by_value, reason = "it reads as the other constructors do")]
    pub fn try_not(policy: Self) -> Result<Self, ConfigError> {
        Self(policy.0.negated().map_err(mistake)?).checked()
    }

    /// As [`role`], for text from outside the program.
    ///
    /// # Errors
    /// The reasons for which [`role`] panics.
    pub fn try_role(role: &str) -> Result<Self, ConfigError> {
        match role {
            "" => Err(mistake("a role is not empty")),
            _ if role.contains('\0') => Err(mistake("a role does not contain U+0000")),
            role => Ok(Self::of(Leaf::Role(role.into(), true))),
        }
    }

    /// As [`acr`], for texts from outside the program.
    ///
    /// # Errors
    /// The reasons for which [`acr`] panics.
    pub fn try_acr<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let values: Vec<Box<str>> = values.into_iter().map(Into::into).collect();
        if values.is_empty() {
            return Err(mistake("acr of nothing can't be met"));
        }
        // RFC 9470 §3: `acr_values` separates the values by spaces.
        match values.iter().find(|value| ScopeToken::parse(value).is_err()) {
            Some(value) => Err(mistake(format!(
                "acr `{}`: a value is visible ASCII without space, `\"` and `\\`",
                value.escape_debug()
            ))),
            None => Ok(Self::of(Leaf::Acr(values))),
        }
    }

    /// Checks a policy that was built from other policies.
    fn checked(self) -> Result<Self, ConfigError> {
        if self.0.is_empty() {
            return Err(mistake(
                "a policy of nothing would ask for nothing; see `policy::authenticated`",
            ));
        }
        if self.0.branches_count() > MAX_BRANCHES {
            return Err(mistake(format!("the policy has more than {MAX_BRANCHES} branches")));
        }
        if self.branches().iter().any(Branch::is_impossible) {
            return Err(mistake(
                "no token can meet two conditions on `acr` without a common value",
            ));
        }
        Ok(self)
    }

    /// The branches, in the order in which they are written.
    pub(crate) fn branches(&self) -> Vec<Branch> {
        self.0.branches()
    }

    pub(super) fn allows(&self, judged: &Judged<'_>) -> bool {
        self.0.allows(judged)
    }
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
