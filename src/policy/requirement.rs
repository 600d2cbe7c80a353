//! What a route asks for: an expression, and checks of the API's own.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::Error;
use crate::policy::expression::Policy;
#[cfg(feature = "remote")]
use crate::policy::expression::authenticated;
use crate::token::{AccessToken, Actor, AnyToken, Claims, OtherScope, ScopeSet, ScopeToken};

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

impl Policy {
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
