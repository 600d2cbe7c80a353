//! The requirement of a route: a policy and user-supplied checks.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use http::request::Parts;

use crate::config_error::ConfigError;
use crate::error::Error;
use crate::lookup_error::LookupError;
use crate::policy::branch::{Branch, Unmet, explain};
use crate::policy::check::{Check, Lookups};
use crate::policy::expression::Policy;
#[cfg(feature = "http-client")]
use crate::policy::expression::authenticated;
use crate::policy::leaf::Judged;
use crate::token::{AccessToken, AnyToken, Claims, Excerpt};

/// A policy with user-supplied checks, for `require` and `protect`. `C` is the server's type of claims. The
/// checks read claims of this type.
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
    introspected_now: bool,
    hidden: bool,
    checks: Vec<Check>,
    claims: PhantomData<fn(&C)>,
}

/// Requires introspection of the token at each request (RFC 7662). Use this requirement for the few
/// routes on which a token that was just revoked must not pass.
///
/// Neither a cached answer nor a call that began before the request arrived is used. An answer about a JWT can
/// only restrict the JWT: the scope is the intersection of both scopes. The issuer needs
/// [`Issuer::introspection`](crate::Issuer::introspection). Without this setting, the response is 500, and the
/// log says what to set.
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

    /// Answers 404 to a valid token that does not meet the requirement, as if the resource did not exist
    /// (RFC 9110 §15.5.4). The response has no challenge and no `Cache-Control`. The response is equal to
    /// the API's own 404 if both have the same body; see [`RefusalBody`](crate::refusal::RefusalBody).
    ///
    /// If a new login would be enough, the response is still 401, so that the client can ask the user to log in
    /// again. A request without a valid token gets 401, as for each path, without the scopes of the
    /// requirement. For a method that a route does not have, axum itself answers 405 with `Allow`, outside of
    /// this layer. Such a response would show that the path exists, so register a hidden path for all methods
    /// (`any`).
    ///
    /// ```
    /// use tower_resource_server::policy::{Requirement, role};
    ///
    /// let requirement: Requirement = Requirement::from(role("auditor")).hidden();
    /// # let _ = requirement;
    /// ```
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Both requirements.
    ///
    /// # Errors
    /// If the policy has too many branches.
    pub(crate) fn and(mut self, other: Self) -> Result<Self, ConfigError> {
        self.policy = Policy::try_all_of([self.policy, other.policy])?;
        self.introspected_now |= other.introspected_now;
        self.hidden |= other.hidden;
        self.checks.extend(other.checks);
        Ok(self)
    }

    /// Whether a refusal gets 404 instead of 403.
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Whether each request needs introspection of its token.
    pub(crate) fn asks_now(&self) -> bool {
        self.introspected_now
    }

    /// Whether a check reads the head of the request.
    pub(crate) fn reads_request(&self) -> bool {
        self.checks.iter().any(Check::reads_request)
    }

    /// The branches of the policy, for its challenges.
    pub(crate) fn branches(&self) -> Vec<Branch> {
        self.policy.branches()
    }

    /// Evaluates the policy, then the checks. Returns the async checks (lookups) that are in progress. The
    /// caller must wait for them. `branches` are the branches of the policy, or empty if they were not
    /// prepared.
    ///
    /// # Errors
    /// What the token lacks.
    #[inline]
    pub(crate) fn evaluate(
        &self,
        token: &AnyToken,
        parts: Option<&Parts>,
        branches: &[Branch],
    ) -> Result<Option<Box<Lookups>>, Unmet> {
        let judged = Judged::new(token);
        if !self.policy.allows(&judged) {
            return Err(match branches {
                [] => explain(&self.policy.branches(), &judged),
                branches => explain(branches, &judged),
            });
        }
        match self.checks.is_empty() {
            true => Ok(None),
            false => self.run_checks(token, parts),
        }
    }

    /// Runs the checks. Starts the async checks last.
    fn run_checks(
        &self,
        token: &AnyToken,
        parts: Option<&Parts>,
    ) -> Result<Option<Box<Lookups>>, Unmet> {
        for check in &self.checks {
            let passes = match (check, parts) {
                (Check::Token(check), _) => check(token),
                (Check::Request(check), Some(parts)) => check(parts, token),
                (Check::Lookup(_), Some(_)) => Ok(true),
                (Check::Request(_) | Check::Lookup(_), None) => {
                    Err(Error::Wiring { fix: NEEDS_REQUEST.into() })
                }
            };
            if !passes.map_err(Unmet::of)? {
                return Err(Unmet::of(Error::AccessDenied { requires: Excerpt::of("its check") }));
            }
        }
        // Async checks start only now, since the API's code may start its work before its future is polled.
        let lookups = self.checks.iter().filter_map(|check| match (check, parts) {
            (Check::Lookup(lookup), Some(parts)) => Some(lookup(parts, token)),
            _ => None,
        });
        let lookups: Vec<_> = lookups.collect::<Result<_, _>>().map_err(Unmet::of)?;
        if lookups.is_empty() {
            return Ok(None);
        }
        Ok(Some(Box::new(Lookups { lookups, hidden: self.hidden })))
    }
}

/// The fix for a check that needs the request, where there is no request.
const NEEDS_REQUEST: &str = "a check that reads the request or waits was used in \
                             `AccessToken::require`, which has no request: use the check in a layer \
                             (`require`, `protect`, `require_with`)";

impl<C: Send + Sync + 'static> Requirement<C> {
    /// Adds a check; see [`Policy::and_check`].
    pub fn and_check(
        mut self,
        check: impl Fn(&AccessToken<C>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Check::of_token(check));
        self
    }

    /// Adds a check that also reads the head of the request; see [`Policy::and_check_request`].
    pub fn and_check_request(
        mut self,
        check: impl Fn(&Parts, &AccessToken<C>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Check::of_request(check));
        self
    }

    /// Adds an async check; see [`Policy::and_check_async`].
    pub fn and_check_async<F>(
        mut self,
        check: impl Fn(&Parts, &AccessToken<C>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), LookupError>> + Send + 'static,
    {
        self.checks.push(Check::of_lookup(check));
        self
    }
}

impl<P: Into<Policy>, C> From<P> for Requirement<C> {
    #[track_caller]
    fn from(policy: P) -> Self {
        let policy = policy.into();
        let claims = PhantomData;
        Self { policy, introspected_now: false, hidden: false, checks: Vec::new(), claims }
    }
}

impl<C> Clone for Requirement<C> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            introspected_now: self.introspected_now,
            hidden: self.hidden,
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
            .field("hidden", &self.hidden)
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

    /// Adds a user-supplied check. The check runs after the policy has allowed the token. The check can refuse
    /// the token with 403 (404 if the requirement is [`hidden`](Requirement::hidden)), but cannot accept a
    /// token that the policy refused. A closure must name the type of its argument, because the compiler cannot
    /// infer the type of claims.
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

    /// As [`and_check`](Self::and_check), for a check that also reads the head of the request.
    ///
    /// ```
    /// use http::request::Parts;
    /// use tower_resource_server::{AccessToken, Claims, scope};
    ///
    /// let same_tenant = scope("notes:read")
    ///     .and_check_request(|parts: &Parts, token: &AccessToken<Claims>| {
    ///         let tenant = token.extra.get("tenant").and_then(|tenant| tenant.as_str());
    ///         tenant.is_some() && parts.uri.path().split('/').nth(1) == tenant
    ///     });
    /// # let _ = same_tenant;
    /// ```
    pub fn and_check_request<C: Send + Sync + 'static>(
        self,
        check: impl Fn(&Parts, &AccessToken<C>) -> bool + Send + Sync + 'static,
    ) -> Requirement<C> {
        Requirement::from(self).and_check_request(check)
    }

    /// As [`and_check`](Self::and_check), for a check that waits, for example for a policy service or a
    /// database. All other conditions and checks come first. All async checks of a request together have 2
    /// seconds of real time.
    ///
    /// The future cannot borrow the arguments, because the future lives longer than the call. So clone what the
    /// future needs before `async move`. [`LookupError::Refused`] gets 403. [`LookupError::Unavailable`], a
    /// panic, and a check that takes too long get 503.
    ///
    /// ```
    /// use http::request::Parts;
    /// use tower_resource_server::policy::LookupError;
    /// use tower_resource_server::{AccessToken, Claims, scope};
    ///
    /// async fn may_edit(user: String, path: String) -> Result<bool, std::io::Error> {
    ///     Ok(path.contains(&user))
    /// }
    ///
    /// let edit = scope("notes:write")
    ///     .and_check_async(|parts: &Parts, token: &AccessToken<Claims>| {
    ///         let user = token.subject().unwrap_or_default().to_owned();
    ///         let path = parts.uri.path().to_owned();
    ///         async move {
    ///             match may_edit(user, path).await {
    ///                 Ok(true) => Ok(()),
    ///                 Ok(false) => Err(LookupError::refused("not an editor")),
    ///                 Err(_) => Err(LookupError::unavailable("the database does not answer")),
    ///             }
    ///         }
    ///     });
    /// # let _ = edit;
    /// ```
    pub fn and_check_async<C, F>(
        self,
        check: impl Fn(&Parts, &AccessToken<C>) -> F + Send + Sync + 'static,
    ) -> Requirement<C>
    where
        C: Send + Sync + 'static,
        F: Future<Output = Result<(), LookupError>> + Send + 'static,
    {
        Requirement::from(self).and_check_async(check)
    }
}
