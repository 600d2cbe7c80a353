//! Step 8 of the walk: may this token do what the route does? Pure.
//!
//! A [`Policy`] is an expression over scope, evaluated per route after the layer. Whatever the
//! route asks for, a token without a scope claim has no scope, and a policy that asks for nothing
//! cannot be written by accident: `all_of` and `any_of` of nothing panic where they are written.
//!
//! A [`Requirement`] is a policy and checks of the API's own. Checks come last and can only refuse:
//! they are no part of the expression, so no `any_of` can turn one into a grant.
//!
//! ```
//! use tower_resource_server::{all_of, any_of, scope};
//!
//! let read = scope("notes:read");
//! let edit = all_of(["notes:read", "notes:write"]);
//! let either = any_of([edit, scope("notes:admin")]);
//! # let _ = (read, either);
//! ```

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::config_error::ConfigError;
use crate::error::Error;
use crate::token::{
    AccessToken, Actor, AnyToken, Claims, Facts, InvalidScope, OtherScope, Principal, ScopeSet,
    ScopeToken,
};

/// What a route asks of the scope and the principal of a token.
#[derive(Clone, Debug)]
pub struct Policy(Node);

#[derive(Clone, Debug)]
enum Node {
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
/// A [`Requirement`] is not a policy, so it cannot be in `policies`: add the check to the whole, as
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
/// A [`Requirement`] is not a policy, so it cannot be in `policies`: a check can refuse a request but
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

    /// Asks the authorization server about the token, at each request anew; see
    /// [`introspected_now`].
    ///
    /// ```
    /// use tower_resource_server::{Requirement, scope};
    ///
    /// let transfer: Requirement = scope("transfer").and_introspected_now();
    /// # let _ = transfer;
    /// ```
    #[cfg(feature = "remote")]
    pub fn and_introspected_now<C>(self) -> Requirement<C> {
        Requirement::from(self).and_introspected_now()
    }

    fn scopes(&self) -> Vec<ScopeToken> {
        let mut scopes = Vec::new();
        self.0.collect_scopes(&mut scopes);
        scopes
    }

    /// Adds a check of the API's own, asked after the policy allowed the token. It can refuse with
    /// 403, never admit. A closure names the type of its argument, since the compiler cannot infer
    /// the type of claims.
    ///
    /// ```
    /// use tower_resource_server::{AccessToken, Claims, scope};
    ///
    /// let audit = scope("audit")
    ///     .and_check(|token: &AccessToken<Claims>| token.has("roles", "auditor"));
    /// # let _ = audit;
    /// ```
    pub fn and_check<C: Send + Sync + 'static>(
        self,
        check: impl Fn(&AccessToken<C>) -> bool + Send + Sync + 'static,
    ) -> Requirement<C> {
        Requirement::from(self).and_check(check)
    }
}

impl Node {
    fn allows(&self, facts: &Facts) -> bool {
        match self {
            Self::Authenticated => true,
            Self::Scope(token) => facts.scope.contains(token.as_str()),
            Self::User => is_user(facts),
            Self::AllOf(nodes) => nodes.iter().all(|node| node.allows(facts)),
            Self::AnyOf(nodes) => nodes.iter().any(|node| node.allows(facts)),
        }
    }

    /// Whether every scope of the world would satisfy the node: if not, scope is not the cause.
    fn allows_with_all_scopes(&self, facts: &Facts) -> bool {
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

/// A policy and the API's own checks, as `require` and `protect` take it. `C` is the type of claims
/// that the checks read: that of the server.
///
/// ```no_run
/// use tower_resource_server::{AccessToken, ResourceServer, scope};
///
/// #[derive(serde::Deserialize)]
/// struct Own {}
///
/// # fn example() -> Result<(), tower_resource_server::ConfigError> {
/// let api = ResourceServer::builder()
///     .issuer("https://as.example.com")
///     .audience("https://api.example.com")
///     .claims::<Own>()
///     .build()?;
/// let layer = api.require(scope("a").and_check(|_: &AccessToken<Own>| true));
/// # Ok(())
/// # }
/// ```
///
/// A check of another type does not compile:
///
/// ```compile_fail
/// use tower_resource_server::{AccessToken, Claims, ResourceServer, scope};
///
/// #[derive(serde::Deserialize)]
/// struct Own {}
///
/// # fn example() -> Result<(), tower_resource_server::ConfigError> {
/// let api = ResourceServer::builder()
///     .issuer("https://as.example.com")
///     .audience("https://api.example.com")
///     .claims::<Own>()
///     .build()?;
/// let layer = api.require(scope("a").and_check(|_: &AccessToken<Claims>| true));
/// # Ok(())
/// # }
/// ```
pub struct Requirement<C = Claims> {
    policy: Policy,
    /// All scopes that the policy names.
    names: ScopeSet,
    introspected_now: bool,
    checks: Vec<Check>,
    claims: PhantomData<fn(&C)>,
}

type Check = Arc<dyn Fn(&AnyToken) -> Result<bool, Error> + Send + Sync>;

/// Asks the authorization server about the token, at each request anew (RFC 7662): for the few
/// routes on which a token that was revoked a moment ago must not pass.
///
/// No remembered answer will do, and no call that began before the request came. The answer narrows
/// what the token says: the scope is what both say. It needs an issuer with
/// [`Issuer::introspection`](crate::Issuer::introspection); without one the answer is 500, and the
/// log names the fix.
///
/// It is a condition beside the policy and no part of it: asking is no alternative to a scope, so no
/// `any_of` can make it one. [`Policy::and_introspected_now`] adds it to a policy.
#[cfg(feature = "remote")]
pub fn introspected_now<C>() -> Requirement<C> {
    authenticated().and_introspected_now()
}

impl<C> Requirement<C> {
    /// Asks the authorization server, too; see [`introspected_now`].
    #[cfg(feature = "remote")]
    pub fn and_introspected_now(mut self) -> Self {
        self.introspected_now = true;
        self
    }

    /// Whether the authorization server is to be asked.
    pub(crate) fn asks_now(&self) -> bool {
        self.introspected_now
    }

    /// Evaluates the policy, then the checks.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`] where scope is what lacks; [`Error::AccessDenied`] where it is
    /// not, or [`Error::UnknownPrincipal`] where nothing tells whether a user acts.
    pub(crate) fn evaluate(&self, token: &AnyToken) -> Result<(), Error> {
        let facts = token.facts();
        if !self.policy.0.allows(facts) {
            return Err(match facts.actor {
                _ if self.policy.0.allows_with_all_scopes(facts) => Error::InsufficientScope {
                    required: self.names.clone(),
                    found: facts.scope.clone(),
                    hint: facts.other_scope.map(OtherScope::hint),
                },
                // Beside scopes, a policy can only ask for a user.
                Actor::Unknown(claim) => Error::UnknownPrincipal { claim },
                Actor::User | Actor::Client => Error::AccessDenied,
            });
        }
        for check in &self.checks {
            if !check(token)? {
                return Err(Error::AccessDenied);
            }
        }
        Ok(())
    }

    /// Every scope that the policy names, for the challenge.
    pub(crate) fn scopes(&self) -> Vec<ScopeToken> {
        self.policy.scopes()
    }
}

impl<C: Send + Sync + 'static> Requirement<C> {
    /// Adds a check; see [`Policy::and_check`].
    pub fn and_check(
        mut self,
        check: impl Fn(&AccessToken<C>) -> bool + Send + Sync + 'static,
    ) -> Self {
        // The token comes from the server whose claims are of this type, so the other arm is for a
        // mistake of ours alone.
        self.checks.push(Arc::new(move |token| match token.downcast::<C>() {
            Some(token) => Ok(check(&token)),
            None => Err(wrong_claims_type::<C>(token)),
        }));
        self
    }
}

impl<P: Into<Policy>, C> From<P> for Requirement<C> {
    fn from(policy: P) -> Self {
        let policy = policy.into();
        let names = policy.scopes();
        let names: Vec<_> = names.iter().map(ScopeToken::as_str).collect();
        let names = ScopeSet::new(&names.join(" "));
        let claims = PhantomData;
        Self { policy, names, introspected_now: false, checks: Vec::new(), claims }
    }
}

impl<C> Clone for Requirement<C> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            names: self.names.clone(),
            introspected_now: self.introspected_now,
            checks: self.checks.clone(),
            claims: PhantomData,
        }
    }
}

impl<C> fmt::Debug for Requirement<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requirement")
            .field("policy", &self.policy.0)
            .field("introspected_now", &self.introspected_now)
            .field("checks", &self.checks.len())
            .finish()
    }
}

/// The API asks for claims of another type than its server reads.
pub(crate) fn wrong_claims_type<C>(token: &AnyToken) -> Error {
    let (server, asked) = (public_name(token.claims_type()), public_name(type_name::<C>()));
    Error::Wiring {
        fix: format!(
            "the server reads claims of type `{server}`, and this handler or check asks for \
             `{asked}`: write `AccessToken<{server}>` there, or `.claims::<{asked}>()` on the builder"
        )
        .into(),
    }
}

/// The name of a type of claims as the API can write it: that of [`Claims`] is re-exported.
fn public_name(name: &'static str) -> &'static str {
    if name == type_name::<Claims>() { "tower_resource_server::Claims" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Names;

    fn token(scope: &str) -> AnyToken {
        let facts = Facts {
            issuer: "https://as.example.com".into(),
            actor: Actor::User,
            scope: ScopeSet::new(scope),
            other_scope: None,
            expires_at: None,
            cnf: None,
            names: Names::new(Some("alice"), Some("app")),
        };
        AccessToken::new(facts, ()).into()
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
            assert_eq!(requirement.evaluate(&token(held)).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_challenge_names_each_scope_once() {
        let requirement: Requirement<()> =
            Requirement::from(any_of([all_of(["a", "b"]), scope("a")]));
        let scopes: Vec<_> = requirement.scopes().iter().map(ToString::to_string).collect();
        assert_eq!(scopes, ["a", "b"]);
    }

    #[test]
    fn a_check_can_refuse_and_never_admit() {
        let refuse = scope("a").and_check(|_: &AccessToken<()>| false);
        assert_eq!(refuse.evaluate(&token("a")), Err(Error::AccessDenied));
        let admit = scope("a").and_check(|_: &AccessToken<()>| true);
        assert_eq!(admit.evaluate(&token("a")), Ok(()));
        let refused = admit.evaluate(&token("b"));
        assert!(matches!(refused, Err(Error::InsufficientScope { .. })), "{refused:?}");
    }

    #[test]
    #[should_panic(expected = "all_of of nothing")]
    fn nothing_is_asked_by_accident() {
        let _ = all_of::<Policy>([]);
    }

    #[test]
    #[should_panic(expected = "scope(\"a b\")")]
    fn a_scope_that_is_none_panics_where_it_is_written() {
        let _ = scope("a b");
    }
}
