//! The requirement of a route: a policy and user-supplied checks.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::Error;
use crate::policy::expression::Policy;
#[cfg(feature = "http-client")]
use crate::policy::expression::authenticated;
use crate::token::{AccessToken, Actor, AnyToken, Claims, OtherScope, ScopeSet, ScopeToken};

/// A policy with user-supplied checks, for `require` and `protect`. `C` is the server's type of claims,
/// which the checks read.
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
/// A check for another type of claims does not compile:
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

/// Requires introspection of the token at each request (RFC 7662). Use this requirement for the few
/// routes on which a token that was just revoked must not pass.
///
/// A cached answer is not used, and a call that began before the request arrived is not used. The
/// answer can only restrict the token: the scope is the intersection of both scopes. The issuer needs
/// [`Issuer::introspection`](crate::Issuer::introspection). Without this setting, the response is 500,
/// and the log says how to fix it.
///
/// This requirement is not a part of the policy, so `any_of` cannot make it an alternative to a scope.
/// [`Policy::and_introspected_now`] adds this requirement to a policy.
#[cfg(feature = "http-client")]
pub fn introspected_now<C>() -> Requirement<C> {
    authenticated().and_introspected_now()
}

impl<C> Requirement<C> {
    /// Also requires introspection at each request; see [`introspected_now`].
    #[cfg(feature = "http-client")]
    pub fn and_introspected_now(mut self) -> Self {
        self.introspected_now = true;
        self
    }

    /// Whether the authorization server must be asked at each request.
    pub(crate) fn asks_now(&self) -> bool {
        self.introspected_now
    }

    /// Evaluates the policy, then the checks.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`] if the token lacks scope. Otherwise [`Error::UnknownPrincipal`] if the
    /// token does not show whether a user acts, and [`Error::AccessDenied`] in all other cases.
    pub(crate) fn evaluate(&self, token: &AnyToken) -> Result<(), Error> {
        let facts = token.facts();
        if !self.policy.0.allows(facts) {
            return Err(match facts.actor {
                _ if self.policy.0.allows_with_all_scopes(facts) => Error::InsufficientScope {
                    required: self.names.clone(),
                    found: facts.scope.clone(),
                    hint: facts.other_scope.map(OtherScope::hint),
                },
                // Apart from scopes, a policy can only require a user.
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

    /// All scopes that the policy names, for the challenge.
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
        // The token comes from a server with this type of claims. So the other arm needs a bug in this
        // crate.
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
    /// Also requires introspection of the token at each request; see [`introspected_now`].
    ///
    /// ```
    /// use tower_resource_server::scope;
    /// use tower_resource_server::policy::Requirement;
    ///
    /// let transfer: Requirement = scope("transfer").and_introspected_now();
    /// # let _ = transfer;
    /// ```
    #[cfg(feature = "http-client")]
    pub fn and_introspected_now<C>(self) -> Requirement<C> {
        Requirement::from(self).and_introspected_now()
    }

    /// Adds a user-supplied check. The check runs after the policy has allowed the token. The check can
    /// refuse the token with 403, but cannot accept a token that the policy refused. A closure must name
    /// the type of its argument, because the compiler cannot infer the type of claims.
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

/// The error for a handler or a check that uses another type of claims than the server.
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

/// The name of a type of claims that the API's code can use. [`Claims`] has another path in public.
fn public_name(name: &'static str) -> &'static str {
    if name == type_name::<Claims>() { "tower_resource_server::Claims" } else { name }
}
